//! What people and agents do while the backend dies.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use osm_api::clock::Clock;
use osm_protocol::{action::OutcomeKind, command::Command, messages::Report};
use osm_telegram_sim::BotMessage;
use osm_tests::{
    agent::{Agent, service},
    talk::token_in,
};

use crate::{SOON, life::Life, persistently};

/// An interval, in seconds, within which no story expects another report.
const LONG: u32 = 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Story {
    /// The main job, from the claim link to the end of the pairing.
    Main,
    /// A question that nobody confirms.
    Unconfirmed,
    /// An alert, from firing to its end, with all that chats set about alerts.
    Alert,
    /// A server that falls silent.
    Silence,
    /// Updates by polling.
    Polling,
}

impl Story {
    pub const ALL: [Self; 5] = [Self::Unconfirmed, Self::Silence, Self::Alert, Self::Main, Self::Polling];

    pub async fn tell(self, life: &Life) -> Result<()> {
        match self {
            Self::Main => main_job(life).await?,
            Self::Unconfirmed => unconfirmed(life).await?,
            Self::Alert => alert(life).await?,
            Self::Silence => silence(life).await?,
            Self::Polling => drop(life.ask("/start", "Online Server Monitor").await?),
        }
        life.rest().await
    }

    /// The messages that the chat holds at its end, each by what it is.
    pub fn messages(self) -> Vec<&'static str> {
        match self {
            Self::Main => vec![
                "You are now the owner",
                "Used",
                "Key fingerprint",
                "Another machine tried",
                "Restart a service",
                "The host says: done",
                "Figures of",
                "unpaired",
            ],
            Self::Unconfirmed => vec!["Used", "Key fingerprint", "Restart a service", "Not confirmed within 60 s"],
            Self::Alert => vec![
                "Used",
                "Key fingerprint",
                "Figures of",
                "may be heard",
                "nginx.service failed",
                "CPU, busy",
                "Nothing else is open",
                "Nothing is open",
                "This is a test",
            ],
            Self::Silence => vec!["Used", "Key fingerprint", "Figures of", "offline, last heard", "Nothing else is open"],
            Self::Polling => vec!["Online Server Monitor"],
        }
    }

    /// Whether it is told for the sake of this crash point.
    pub fn is_about(self, point: &str) -> bool {
        let any = |names: &[&str]| names.iter().any(|name| point.starts_with(name));
        match self {
            Self::Main => !any(&["sweep.", "judge-lease."]),
            Self::Unconfirmed => any(&["sweep."]),
            Self::Alert => any(&["apply-update.", "close-gathering.", "reports.", "sweep."]),
            Self::Silence => any(&["judge-lease.", "offline."]),
            Self::Polling => any(&["poll"]),
        }
    }
}

async fn main_job(life: &Life) -> Result<()> {
    claim(life).await?;
    let (mut agent, token) = paired_with(life).await?;
    persistently("the used token refused to another", async || {
        let other = Agent::at(&life.api, Clock::system());
        let reply = other.post("/agent/v1/pair", &other.pair_request(&token)).await?;
        Ok((reply.status == 403).then_some(()))
    })
    .await?;
    life.see(|message| message.plain.contains("Another machine tried")).await?;
    let question = restart_question(life).await?;
    life.tap(&question, "Restart").await?;
    let command = delivered(life, &mut agent).await?;
    persistently("the outcome taken", async || {
        let reply = agent.finish(command.jti, OutcomeKind::Succeeded, "done").await?;
        Ok((reply.status == 200).then_some(()))
    })
    .await?;
    let done = life.see(|message| message.plain.contains("The host says: done")).await?;
    ensure!(done.message_id >= question.message_id);
    life.ask("/status", "Figures of").await?;
    life.rest().await?;
    for (query, expected) in [
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM servers", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM pairings WHERE server_id IS NOT NULL AND NOT message_open", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM reports", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM confirmations WHERE state = 'confirmed'", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM commands WHERE state = 'succeeded'", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM commands", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM events WHERE kind = 'paired'", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM events WHERE kind = 'confirmed'", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM events WHERE kind = 'command-ended'", 1),
    ] {
        let found = life.count(query).await?;
        ensure!(found == expected, "{query}: {found}");
    }
    persistently("the end of the pairing", async || {
        let reply = agent.request("POST", "/agent/v1/unpair", None, b"").await?;
        // 410: it was done, and the answer was lost.
        Ok(matches!(reply.status, 200 | 410).then_some(()))
    })
    .await?;
    life.see(|message| message.plain.contains("unpaired")).await?;
    ensure!(life.count("SELECT CAST(COUNT(*) AS BIGINT) FROM servers").await? == 0);
    Ok(())
}

/// Anna becomes the owner by the link that the backend prints; a link of a backend that died may be dead with it.
async fn claim(life: &Life) -> Result<()> {
    for _ in 0..3 {
        let code = persistently("a claim link", async || {
            life.alive()?;
            let said = life.backend.stdout();
            Ok(said.rsplit_once("?start=").and_then(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned))
        })
        .await?;
        let answer = life.ask(&format!("/start {code}"), "").await?;
        if answer.plain.contains("You are now the owner") {
            return Ok(());
        }
        ensure!(life.backend.crashes() > 0 && answer.plain.contains("private bot"), "{}", answer.plain);
    }
    bail!("no link made Anna the owner")
}

async fn paired(life: &Life) -> Result<Agent> {
    Ok(paired_with(life).await?.0)
}

/// Pairs an agent, and gives the token that was used.
async fn paired_with(life: &Life) -> Result<(Agent, String)> {
    let message = life.ask("/add_server web-1", "osm-agent pair").await?;
    let Some(token) = token_in(&message) else { bail!("no token in {}", message.plain) };
    let mut agent = Agent::at(&life.api, Clock::system());
    persistently("the pairing", async || agent.pair(&token).await.map(Some)).await?;
    life.see(|message| message.plain.contains("Key fingerprint")).await?;
    life.see(|message| message.plain.contains("Used")).await?;
    report(life, &agent, agent.report(), LONG).await?;
    life.see(|message| message.plain.contains("Figures of")).await?;
    Ok((agent, token))
}

/// A report of now, from a host that says it will send the next one in `interval_s`.
async fn report(life: &Life, agent: &Agent, report: Report, interval_s: u32) -> Result<()> {
    life.settled().await?;
    let report = Report { interval_s, ..report };
    persistently("the report taken", async || agent.send_report(&report).await.map(drop).map(Some)).await
}

async fn restart_question(life: &Life) -> Result<BotMessage> {
    let card = life.see(|message| message.button("Restart").is_some()).await?;
    let press = life.tap(&card, "Restart").await?;
    let services =
        life.see(|message| message.message_id == card.message_id && message.plain.contains("Restart a service")).await?;
    life.sim.wait_toast(&press, SOON).await?;
    let press = life.tap(&services, "nginx").await?;
    let question =
        life.see(|message| message.plain.contains("Restart nginx.service") && message.button("Restart").is_some()).await?;
    life.sim.wait_toast(&press, SOON).await?;
    Ok(question)
}

/// The one command, however often it is handed out.
async fn delivered(life: &Life, agent: &mut Agent) -> Result<Command> {
    let envelope = persistently("the command", async || {
        life.alive()?;
        Ok(agent.envelopes(5).await?.into_iter().next())
    })
    .await?;
    // Its answer might have been lost: it is handed out again, the same.
    let again = persistently("the command again", async || Ok(Some(agent.envelopes(0).await?))).await?;
    ensure!(again == [envelope], "{again:?}");
    let command = persistently("the command judged", async || agent.command().await.map(Some)).await?;
    let more = persistently("an empty poll", async || Ok(Some(agent.envelopes(0).await?))).await?;
    ensure!(more.is_empty(), "{more:?}");
    Ok(command)
}

/// A service fails while its server is mute; it is told when that is over, seen to, and well again.
async fn alert(life: &Life) -> Result<()> {
    let agent = paired(life).await?;
    let mutes = life.ask("/mute web-1 1h", "web-1 · until").await?;
    let failed = Report { services: vec![service("nginx.service", "failed", "failed")], ..agent.report() };
    report(life, &agent, failed, LONG).await?;
    let told = "SELECT CAST(COUNT(*) AS BIGINT) FROM incidents WHERE message_id IS NOT NULL";
    ensure!(life.count(told).await? == 0, "it was told while it was mute");
    let press = life.tap(&mutes, "End: web-1").await?;
    life.sim.wait_toast(&press, SOON).await?;
    let alert = life.see(|message| message.plain.contains("nginx.service failed")).await?;
    let press = life.tap(&alert, "I have it").await?;
    life.sim.wait_toast(&press, SOON).await?;
    life.see(|message| message.plain.contains("has it.")).await?;

    let limits = life.ask("/thresholds web-1", "Limits of web-1").await?;
    life.settled().await?;
    let save = format!("E:{}:c:950:900:5:c", agent.server_id);
    let press = life.sim.press_data(&life.anna, &life.anna, limits.message_id, &save);
    life.sim.wait_toast(&press, SOON).await?;
    life.see(|message| message.plain.contains("Now: 95 % for 5 min")).await?;

    report(life, &agent, agent.report(), LONG).await?;
    life.see(|message| message.plain.contains("Nothing else is open")).await?;
    let list = life.ask("/alerts", "Nothing is open").await?;
    let press = life.tap(&list, "Test alert").await?;
    life.see(|message| message.plain.contains("This is a test")).await?;
    life.sim.wait_toast(&press, SOON).await?;
    life.rest().await?;
    for (query, expected) in [
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM mutes", 0),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM thresholds", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM incidents", 1),
        (
            "SELECT CAST(COUNT(*) AS BIGINT) FROM incidents WHERE times = 1 AND resolved_at IS NOT NULL AND acked_by IS NOT NULL",
            1,
        ),
    ] {
        let found = life.count(query).await?;
        ensure!(found == expected, "{query}: {found}");
    }
    Ok(())
}

/// A server that reports every 5 s falls silent, and is back.
async fn silence(life: &Life) -> Result<()> {
    let agent = paired(life).await?;
    report(life, &agent, agent.report(), 5).await?;
    // A grace of 15 s, which a backend that died on the way gives once more.
    life.sim.wait(&life.anna, Duration::from_mins(2), |message| message.plain.contains("offline, last heard")).await?;
    report(life, &agent, agent.report(), LONG).await?;
    life.see(|message| message.plain.contains("Nothing else is open")).await?;
    Ok(())
}

async fn unconfirmed(life: &Life) -> Result<()> {
    paired(life).await?;
    restart_question(life).await?;
    // A minute, and what a backend that died on the way takes to come back.
    life.sim.wait(&life.anna, Duration::from_mins(2), |message| message.plain.contains("Not confirmed within 60 s")).await?;
    Ok(())
}
