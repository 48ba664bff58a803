//! Stories through the outer edges, each told on both databases.

mod agent_edge;
mod commands;
mod first;
mod telegram_edge;
