//! Many honest agents beside an attacker: nothing of theirs is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use osm_protocol::messages::{ReportBatch, limits};
use osm_telegram_sim::Options;
use osm_tests::{
    agent::{Agent, fresh_key},
    database::Engine,
    story,
    wire::{Wire, head, side_by_side},
    world::{SOON, World},
};
use tokio::task::JoinSet;

const AGENTS: usize = 500;

/// Somebody who does not stop: each of its ways at once, until they are told to.
struct Attack {
    over: Arc<AtomicBool>,
    tried: Arc<AtomicUsize>,
    ways: JoinSet<()>,
}

impl Attack {
    fn start(world: &World, agents: &[Agent]) -> Self {
        let mut attack = Self { over: Arc::default(), tried: Arc::default(), ways: JoinSet::new() };
        let like = Agent::new(world);
        // Keys that nobody paired, each with a good signature of its own.
        attack.way(&like, |like, _| {
            let stranger = Agent { key: fresh_key(), ..like.clone() };
            head("GET", "/agent/v1/keys", &stranger.sign("GET", "/agent/v1/keys", None, b""), 0)
        });
        // The ids of the agents' keys, which are no secret, with another signature, and a body that does not come.
        let victims = agents.to_vec();
        attack.way(&like, move |like, number| {
            let mut headers = victims[number % victims.len()].sign("POST", "/agent/v1/reports", None, b"{}");
            headers.signature = like.sign("POST", "/agent/v1/reports", None, b"{}").signature;
            head("POST", "/agent/v1/reports", &headers, limits::BODY)
        });
        // Pairings whose body does not come.
        attack.way(&like, |like, _| {
            head("POST", "/agent/v1/pair", &like.sign("POST", "/agent/v1/pair", None, b"{}"), limits::PAIR_BODY)
        });
        attack
    }

    fn way(&mut self, like: &Agent, request: impl Fn(&Agent, usize) -> String + Send + Sync + 'static) {
        let request = Arc::new(request);
        for lane in 0..2 {
            let (over, tried, like, request) = (self.over.clone(), self.tried.clone(), like.clone(), request.clone());
            self.ways.spawn(async move {
                let mut held = Vec::new();
                let mut number = lane;
                while !over.load(Relaxed) {
                    let mut wire = Wire::open(&like.authority).await;
                    wire.send(request(&like, number).as_bytes()).await;
                    tried.fetch_add(1, Relaxed);
                    number += 2;
                    held.push(wire);
                    if held.len() > 50 {
                        held.clear();
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    async fn end(mut self) -> usize {
        self.over.store(true, Relaxed);
        while let Some(ended) = self.ways.join_next().await {
            ended.unwrap();
        }
        self.tried.load(Relaxed)
    }
}

/// What a request is answered in the end: one that finds the database busy comes again, as an agent does.
async fn lasting(agent: &Agent, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> u16 {
    for _ in 0..20 {
        match agent.request(method, path, query, body).await.unwrap().status {
            503 => tokio::time::sleep(Duration::from_millis(500)).await,
            status => return status,
        }
    }
    503
}

/// All agents report and look for commands, side by side; gives what they were answered.
async fn round(agents: &[Agent], ahead: i64) -> Vec<u16> {
    let mut calls = JoinSet::new();
    for chunk in agents.chunks(AGENTS / 10) {
        let chunk = chunk.to_vec();
        calls.spawn(async move {
            let mut statuses = Vec::new();
            for agent in chunk {
                let mut report = agent.report();
                report.at += ahead;
                let batch = ReportBatch { agent_version: "0.1.0".to_owned(), reports: vec![report] };
                let batch = serde_json::to_vec(&batch).unwrap();
                statuses.push(lasting(&agent, "POST", "/agent/v1/reports", None, &batch).await);
                statuses.push(lasting(&agent, "GET", "/agent/v1/commands", Some("wait=0"), b"").await);
            }
            statuses
        });
    }
    calls.join_all().await.concat()
}

// Findings 1 and 5.
story!(five_hundred_agents_of_one_address_lose_nothing_beside_an_attacker_there, |engine| {
    let world = World::new(engine).await;
    world.leaves_messages("nobody reads what is told of 500 servers");
    let agents = world.enlist(&world.anna, AGENTS).await;
    let attack = Attack::start(&world, &agents);
    let busy = async {
        while attack.tried.load(Relaxed) < 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, busy).await.expect("an attack");
    for ahead in [1, 2] {
        let statuses = round(&agents, ahead).await;
        let refused: Vec<_> = statuses.iter().filter(|status| **status != 200).collect();
        assert!(refused.is_empty(), "{} of {} were refused: {refused:?}", refused.len(), statuses.len());
    }
    let tried = attack.end().await;
    assert!(tried >= 200, "{tried}");
    let stored = world.rows("SELECT COUNT(*) FROM reports").await;
    assert_eq!(stored, [[2 * i64::try_from(AGENTS).unwrap()]]);
});

// An address that has asked for too many unknown keys keeps nobody out whose key another instance has just paired.
story!(a_server_that_another_instance_paired_is_known_beside_an_attacker_of_its_address, |engine| {
    if engine == Engine::Sqlite {
        // The embedded database has one process.
        return;
    }
    let mut world = World::new(engine).await;
    let another = world.another().await.unwrap();
    let stranger = Agent { api: another.api.clone(), ..Agent::new(&world) };
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let stranger = Agent { key: fresh_key(), ..stranger.clone() };
        statuses.push(stranger.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status);
    }
    assert_eq!((&statuses[..20], &statuses[20..]), (&[401; 20][..], &[429; 10][..]));
    let agent = world.paired("web-1").await;
    world.clock.advance(5000);
    let there = Agent { api: another.api.clone(), ..agent };
    // That second brought the address one more question: the attacker has it.
    let stranger = Agent { key: fresh_key(), ..stranger };
    assert_eq!(stranger.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status, 401);
    assert_eq!(there.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status, 200);
    another.stop().await.unwrap();
    world.stop().await.unwrap();
});

// Finding 1: bodies that are held by many addresses take up what strangers may, and no report waits for that.
story!(held_pairings_of_many_addresses_are_bounded_and_keep_no_report_out, |engine| {
    let settings = [("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "webhook"), ("OSM_TRUSTED_PROXIES", "127.0.0.1")];
    let world = World::with(engine, Options::default(), &settings).await;
    let agent = world.paired("web-1").await;
    let headers = agent.sign("POST", "/agent/v1/pair", None, b"{}");
    let pair = head("POST", "/agent/v1/pair", &headers, limits::PAIR_BODY);
    let from = |number| pair.replacen("\r\nHost", &format!("\r\nX-Forwarded-For: 198.51.100.{}\r\nHost", number / 18), 1);
    let (refused, _held) = side_by_side(&agent.authority, (0..576).map(from), 64).await;
    assert!(refused.iter().all(|answer| (answer.status, answer.header("retry-after")) == (503, Some("5"))), "{refused:?}");
    let mut report = agent.report();
    report.at += 1;
    agent.send_report(&report).await.unwrap();
});

// Finding 11: whoever connects and says nothing makes room for who comes later.
story!(a_thousand_silent_connections_keep_nobody_out, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let poll = agent.sign("GET", "/agent/v1/commands", Some("wait=50"), b"");
    let mut waiting = Wire::open(&agent.authority).await;
    waiting.send(head("GET", "/agent/v1/commands?wait=50", &poll, 0).as_bytes()).await;
    let mut silent = Vec::new();
    for _ in 0..1100 {
        silent.push(Wire::open(&agent.authority).await);
    }
    let mut report = agent.report();
    report.at += 1;
    agent.send_report(&report).await.unwrap();
    assert!(silent[0].rest().await.is_empty(), "the oldest made room");
    assert!(silent[1099].is_waiting() && waiting.is_waiting());
});
