//! Agents that report for a while, and what Anna hears.

use osm_api::domain::SECOND;
use osm_protocol::messages::Report;
use osm_tests::{
    agent::{Agent, service},
    world::World,
};

/// A report with the CPU at this.
pub fn busy(agent: &Agent, cpu: f64) -> Report {
    Report { cpu: Some(cpu), ..agent.report() }
}

/// A report with nginx failed.
pub fn broken(agent: &Agent) -> Report {
    Report { services: vec![service("nginx.service", "failed", "failed")], ..agent.report() }
}

/// Reports every half minute for `span`; what is to be told is told before the next one.
pub async fn keep_reporting(world: &World, agent: &Agent, span: i64, report: impl Fn(&Agent) -> Report) {
    for _ in 0..span / (30 * SECOND) {
        world.clock.pass(30 * SECOND).await;
        agent.send_report(&report(agent)).await.unwrap();
        world.all_is_told().await;
    }
}

/// Lets time pass without reports, as jobs see it.
pub async fn pass(world: &World, span: i64) {
    for _ in 0..span / (5 * SECOND) {
        world.clock.pass(5 * SECOND).await;
    }
}
