//! From the webhook's request with the tap on Confirm until the agent holds the signed command.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use osm_api::domain::server::unit_tag;
use osm_protocol::{
    action::{Outcome, OutcomeKind},
    command::Judge,
    key::PublicKey,
    messages::Commands,
};
use osm_telegram_sim::{BotMessage, ButtonKind, User};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    backend::{Backend, WEBHOOK_SECRET},
    figures::{Latencies, Table},
    fleet::{Fleet, Server, UNIT, now},
    wire::Connection,
};

/// Telegram's budgets apply in between.
const SOON: Duration = Duration::from_secs(40);
/// Far above what the stand-in counts, below what `update_id` holds.
const FIRST_UPDATE: u32 = 3_000_000_000;

pub struct Measured {
    until_stored: Latencies,
    until_agent: Latencies,
}

impl Measured {
    pub fn rows(mut self, table: &mut Table) {
        let what = format!("webhook → agent holds the command, {} times", self.until_agent.len());
        table.row(what, self.until_agent.summary(), "p50 < 20 ms");
        table.row("  webhook answered (update stored)", self.until_stored.summary(), "");
    }
}

pub async fn run(backend: &Backend, fleet: &Fleet, count: u32) -> Result<Measured> {
    let mut people = Vec::new();
    for server in &fleet.of_people {
        people.push(Person::greet(backend, server).await?);
    }
    let mut webhook = Connection::open(backend.address).await?;
    let mut measured = Measured { until_stored: Latencies::default(), until_agent: Latencies::default() };
    let mut left = count as usize;
    while left > 0 {
        let some = left.min(people.len());
        for person in &people[..some] {
            person.ask(backend);
        }
        let mut questions = Vec::new();
        for person in &people[..some] {
            questions.push(person.question(backend).await?);
        }
        for (person, (message_id, confirm)) in people.iter_mut().zip(questions) {
            let update_id = FIRST_UPDATE + u32::try_from(measured.until_agent.len())?;
            let tap = person.tap(backend, update_id, message_id, &confirm);
            person.confirm(backend, &mut webhook, &tap, &mut measured).await?;
            person.last = message_id;
        }
        left -= some;
    }
    Ok(measured)
}

/// Somebody with one server, whose agent they also play.
struct Person<'a> {
    user: User,
    server: &'a Server,
    agent: Connection,
    seq: i64,
    /// The last message they acted upon.
    last: i32,
}

impl<'a> Person<'a> {
    async fn greet(backend: &Backend, server: &'a Server) -> Result<Self> {
        let user = backend.sim.user(server.chat_id, &format!("Anna{}", server.chat_id));
        let said = backend.sim.say(&user, &user, "/start");
        let welcome = backend.sim.wait(&user, SOON, |message| message.message_id > said.message_id).await?;
        let agent = Connection::open(backend.address).await?;
        Ok(Self { user, server, agent, seq: 0, last: welcome.message_id })
    }

    /// Taps the restart button of a service.
    fn ask(&self, backend: &Backend) {
        let data = format!("u:{}:{}", self.server.id, unit_tag(UNIT));
        backend.sim.press_data(&self.user, &self.user, self.last, &data);
    }

    /// The message that asks to confirm, and what its button carries.
    async fn question(&self, backend: &Backend) -> Result<(i32, String)> {
        let question = backend
            .sim
            .wait(&self.user, SOON, |message| message.message_id > self.last && confirm_data(message).is_some())
            .await?;
        Ok((question.message_id, confirm_data(&question).context("no button to confirm")?))
    }

    /// As Telegram would send it.
    fn tap(&self, backend: &Backend, update_id: u32, message_id: i32, data: &str) -> Vec<u8> {
        let update = json!({
            "update_id": update_id,
            "callback_query": {
                "id": update_id.to_string(),
                "from": {"id": self.user.id, "is_bot": false, "first_name": self.user.name, "language_code": "en"},
                "message": {
                    "message_id": message_id, "date": now() / 1000, "text": "?",
                    "chat": {"id": self.user.id, "type": "private", "first_name": self.user.name},
                },
                "chat_instance": "1",
                "data": data,
            },
        });
        let body = update.to_string();
        format!(
            "POST /telegram/webhook HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-Telegram-Bot-Api-Secret-Token: {WEBHOOK_SECRET}\r\n\r\n{body}",
            backend.authority,
            body.len()
        )
        .into_bytes()
    }

    async fn confirm(&mut self, backend: &Backend, webhook: &mut Connection, tap: &[u8], measured: &mut Measured) -> Result<()> {
        let query = format!("wait=25&after={}", self.seq);
        self.agent.send(&self.server.get(&backend.authority, "/agent/v1/commands", &query)).await?;
        // The poll is waiting, and what the tap before has caused is done.
        sleep(Duration::from_millis(100)).await;
        ensure!(self.agent.is_waiting(), "the poll did not wait");

        let start = Instant::now();
        let stored = async {
            let status = webhook.exchange(tap).await?.status;
            ensure!(status == 200, "the webhook answered {status}");
            Ok(start.elapsed())
        };
        let held = async {
            let reply = self.agent.receive().await?;
            let after = start.elapsed();
            ensure!(reply.status == 200, "the poll was answered {}", reply.status);
            Ok((after, serde_json::from_slice::<Commands>(reply.body)?))
        };
        let (until_stored, (until_agent, commands)) = tokio::try_join!(stored, held)?;
        measured.until_stored.push(until_stored);
        measured.until_agent.push(until_agent);
        self.finish(backend, &commands).await
    }

    /// Judges the command as an agent must, and says how it ended.
    async fn finish(&mut self, backend: &Backend, commands: &Commands) -> Result<()> {
        let envelope = commands.commands.first().context("the poll brought no command")?;
        let agent_key = PublicKey::from(&self.server.key).to_string();
        let judge = Judge {
            trusted: &backend.trusted.command_keys,
            server_id: self.server.id,
            agent_key: &agent_key,
            now: now(),
            last_seq: self.seq,
        };
        let command = judge.judge(envelope)?;
        self.seq = command.seq;
        let outcome = Outcome { result: OutcomeKind::Succeeded, reason: None, detail: "active (running)".to_owned(), at: now() };
        let path = format!("/agent/v1/commands/{}/outcome", command.jti);
        let status =
            self.agent.exchange(&self.server.post(&backend.authority, &path, &serde_json::to_vec(&outcome)?)).await?.status;
        ensure!(status == 200, "the outcome was answered {status}");
        Ok(())
    }
}

fn confirm_data(message: &BotMessage) -> Option<String> {
    message.buttons.iter().flatten().find_map(|button| match &button.kind {
        ButtonKind::Callback(data) if data.starts_with("y:") => Some(data.clone()),
        _ => None,
    })
}
