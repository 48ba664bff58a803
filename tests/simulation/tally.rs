//! What a chat has heard.

use osm_protocol::messages::Report;
use osm_telegram_sim::BotMessage;
use osm_tests::{agent::Agent, world::World};

/// Reports every `step` for `span`; between two reports everything is told. `None` is a report that gets lost.
pub async fn live(world: &World, agent: &Agent, span: i64, step: i64, mut report: impl FnMut(&Agent) -> Option<Report>) {
    for _ in 0..span / step {
        world.clock.pass(step).await;
        if let Some(report) = report(agent) {
            agent.send_report(&report).await.expect("a report is taken");
        }
        world.all_is_told().await;
    }
}

/// The bot's messages in a chat from some point on. Each made the phone ring.
pub struct Ear {
    chat_id: i64,
    from: usize,
}

impl Ear {
    pub async fn new(world: &World, chat: impl Into<i64>) -> Self {
        world.all_is_told().await;
        let chat_id = chat.into();
        Self { chat_id, from: world.sim.messages(chat_id).len() }
    }

    pub async fn heard(&self, world: &World) -> Vec<BotMessage> {
        world.all_is_told().await;
        world.sim.messages(self.chat_id).split_off(self.from)
    }
}

/// Incidents of a rule, and how often they fired.
pub async fn incidents(world: &World, rule: &str) -> (i64, i64) {
    let query = format!("SELECT COUNT(*), CAST(COALESCE(SUM(times), 0) AS BIGINT) FROM incidents WHERE rule = '{rule}'");
    let rows = world.rows(&query).await;
    (rows[0][0], rows[0][1])
}

/// Calls that Telegram refused because there were too many.
pub fn too_many(world: &World) -> usize {
    let refused = |error: &Option<String>| error.as_deref().is_some_and(|error| error.contains("Too Many Requests"));
    world.sim.calls().iter().filter(|call| refused(&call.error)).count()
}
