//! The agent dies: between its key and its pairing, a sample and its report, an answer and what it does about it. What happens
//! to commands is seen where they can be run, in booted containers (tests/systemd).

use std::{collections::BTreeSet, path::Path};

use osm_api::{
    clock::Clock,
    keys::{Keys, Old, Rotation},
};
use osm_tests::{
    database::{self, Engine},
    process::{Host, program},
    talk::token_in,
    world::World,
};

use crate::{named_in_sources, persistently, supervised::Supervised};

/// Points of `pair`, `run` and `unpair`: each host dies at one of each.
const PAIR: [&str; 5] = ["pair.key_made", "pair.key_persisted", "pair.answered", "pair.stored", "pair.done"];
const RUN: [&str; 8] = [
    "ledger.opened",
    "spool.appended",
    "report.acknowledged",
    "report.removed",
    "backlog.acknowledged",
    "backlog.removed",
    "keys.verified",
    "keys.stored",
];
const UNPAIR: [&str; 2] = ["unpair.answered", "unpair.done"];
/// Those of commands.
const IN_CONTAINERS: [&str; 9] = [
    "command.admitted",
    "command.acted",
    "ledger.before_taken",
    "ledger.taken",
    "ledger.refused",
    "ledger.before_outcome",
    "ledger.outcome",
    "outcome.acknowledged",
    "outcome.delivered",
];

/// A host whose agent dies once in each of its lives.
struct Mortal {
    host: Host,
    name: String,
    agent: Option<Supervised>,
}

async fn lives_and_dies(engine: Engine) {
    let mut world = World::on_system_clock(engine, &[]).await;
    world.overlooks("many hosts are paired side by side, each in its own time");
    let mut hosts = Vec::new();
    for (number, run) in RUN.iter().enumerate() {
        let mut mortal = paired(&world, &format!("web-{number}"), PAIR[number % PAIR.len()]).await;
        mortal.run(run);
        hosts.push(mortal);
    }
    let paired = hosts.len();
    assert_eq!(count(&world, "SELECT CAST(COUNT(*) AS BIGINT) FROM servers").await, paired, "each is one server");
    for mortal in &hosts {
        persistently("a first report", async || {
            Ok(world.sim.messages(&world.anna).iter().any(|card| is_card(card, &mortal.name)).then_some(()))
        })
        .await
        .unwrap();
    }

    // The backend goes away, and comes back with new keys.
    world.stop().await.unwrap();
    let mut kept = BTreeSet::new();
    for mortal in &hosts {
        persistently("reports in the spool", async || Ok((mortal.host.spooled().len() >= 2).then_some(()))).await.unwrap();
    }
    for mortal in &hosts {
        kept.extend(mortal.host.spooled().iter().map(|name| time_of(name)));
    }
    Keys::rotate(&world.state_dir(), &Rotation { old: Old::Trusted, root: None }, Clock::system().now()).unwrap();
    world.start().await.unwrap();
    for mortal in &hosts {
        let keys = mortal.host.state_dir().join("keys.json");
        persistently("an empty spool and the new keys", async || {
            mortal.agent.as_ref().and_then(Supervised::failure).map_or(Ok(()), |failure| Err(anyhow::anyhow!(failure)))?;
            Ok((mortal.host.spooled().is_empty() && keys.exists()).then_some(()))
        })
        .await
        .unwrap();
    }
    for (mortal, point) in hosts.iter_mut().zip(RUN) {
        let agent = mortal.agent.take().unwrap();
        persistently(point, async || Ok((agent.crashes() > 0).then_some(()))).await.unwrap();
        assert_eq!(agent.crashes(), 1, "{point}");
        assert!(agent.stop().status.success());
    }
    let stored: BTreeSet<i64> =
        database::rows(&world.database_url(), "SELECT at FROM reports").await.unwrap().iter().map(|row| row[0]).collect();
    let lost: Vec<&i64> = kept.difference(&stored).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    for mortal in &hosts {
        let cards = world.sim.messages(&world.anna).iter().filter(|card| is_card(card, &mortal.name)).count();
        assert_eq!(cards, 1, "history and reports sent twice bring no second card to {}", mortal.name);
    }

    for (number, mortal) in hosts.iter().enumerate() {
        let point = UNPAIR[number % UNPAIR.len()];
        assert!(mortal.host.output(mortal.host.command(&["unpair"]).env("OSM_CRASH_AT", point)).crashed(), "{point}");
        mortal.host.output(&mut mortal.host.command(&["unpair"])).succeeded();
        assert!(!mortal.host.state_dir().join("state.json").exists());
    }
    assert_eq!(count(&world, "SELECT CAST(COUNT(*) AS BIGINT) FROM servers").await, 0);
}

/// Pairs as the chat says; the agent dies at `point`, and the same line is run again.
async fn paired(world: &World, name: &str, point: &str) -> Mortal {
    let host = Host::default();
    let message = world.ask(&world.anna, &format!("/add_server {name}"), "osm-agent pair").await;
    let token = token_in(&message).unwrap();
    let died = host.pair_with(&world.api, &token, |command| {
        command.env("OSM_CRASH_AT", point);
    });
    assert!(died.crashed(), "osm-agent was built without crash points, or does not pass {point}: run `make test`; {died:?}");
    persistently("the pairing", async || {
        let ended = host.pair(&world.api, &token);
        if ended.stderr.contains("busy") {
            // So many from one address: the backend's own limit.
            return Ok(None);
        }
        Ok(Some(ended.succeeded()))
    })
    .await
    .unwrap();
    Mortal { host, name: name.to_owned(), agent: None }
}

impl Mortal {
    fn run(&mut self, point: &str) {
        let arguments: Vec<_> = self.host.command(&["run"]).get_args().map(std::ffi::OsStr::to_owned).collect();
        let own = program("osm-agent");
        let start = arguments.iter().position(|argument| **argument == *own.as_os_str()).map_or(0, |at| at + 1);
        let arguments = arguments[start..].to_vec();
        let make = move || {
            let mut command = osm_tests::process::command(&own);
            command.args(&arguments);
            command
        };
        self.agent = Some(Supervised::start(make, Some(point), &self.host.path(""), "run"));
    }
}

fn is_card(message: &osm_telegram_sim::BotMessage, name: &str) -> bool {
    message.plain.contains("Figures of") && message.plain.contains(&format!("{name} "))
}

/// A spooled report's time, from its name.
fn time_of(name: &str) -> i64 {
    name.split('_').nth(1).and_then(|at| at.parse().ok()).expect("a report's name")
}

async fn count(world: &World, query: &str) -> usize {
    usize::try_from(database::rows(&world.database_url(), query).await.unwrap()[0][0]).unwrap()
}

osm_tests::story!(the_agent_dies_anywhere_and_nothing_is_lost_or_doubled, |engine| super::lives_and_dies(engine).await);

#[test]
fn every_crash_point_of_the_agent_is_tried_here_or_in_containers() {
    let points = named_in_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src"), "crash::point(\"");
    assert!(points.len() > 10, "{points:?}");
    for point in points {
        let tried = [&PAIR[..], &RUN, &UNPAIR, &IN_CONTAINERS].concat().contains(&point.as_str());
        assert!(tried, "nobody dies at {point}: add it to a list here");
    }
}
