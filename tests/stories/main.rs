//! Stories through the outer edges, each told on both databases.

mod agent_edge;
mod alert_edge;
mod alerts;
mod chores;
mod commands;
mod events;
mod faults;
mod first;
mod instances;
mod isolation;
mod limits;
mod limits_crowd;
mod limits_edges;
mod migrations;
mod packages;
mod reporting;
mod sender;
mod telegram_edge;
