//! Stories through the outer edges, each told on both databases.

mod access;
mod agent_edge;
mod alert_edge;
mod alerts;
mod chores;
mod commands;
mod events;
mod faults;
mod first;
mod inbox;
mod instances;
mod isolation;
mod limits;
mod limits_crowd;
mod limits_edges;
mod migrations;
mod operator;
mod packages;
mod reporting;
mod sender;
mod telegram_edge;
mod telegram_forms;
mod telegram_refusals;
mod topics;
mod units;
