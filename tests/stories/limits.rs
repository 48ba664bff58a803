//! Limits come before the work they limit: who cannot sign has no body read and takes up nothing of anybody.

use data_encoding::BASE64;
use osm_api::domain::{MINUTE, event::Event, ids::EventNumber};
use osm_protocol::{
    messages::{limits, problem},
    request_signature::Headers,
};
use osm_telegram_sim::Options;
use osm_tests::{
    agent::{Agent, client},
    story,
    wire::{Wire, head, side_by_side},
    world::{SOON, World},
};

/// A signature that names the agent's key, and that the key never made.
fn forged(agent: &Agent, method: &str, path: &str) -> Headers {
    let mut headers = agent.sign(method, path, None, b"");
    headers.signature = format!("osm=:{}:", BASE64.encode(&[7; 64]));
    headers
}

// Findings 1 and 5.
story!(who_only_knows_a_keys_id_has_no_body_read_and_uses_up_nothing_of_it, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    for (method, path) in [
        ("POST", "/agent/v1/reports"),
        ("GET", "/agent/v1/commands"),
        ("GET", "/agent/v1/keys"),
        ("POST", "/agent/v1/unpair"),
        ("POST", "/agent/v1/commands/01890a5d-ac96-774b-bcce-b302099a8057/outcome"),
    ] {
        // More than a key may do, and more than an address may ask for unknown ones.
        for _ in 0..130 {
            let mut wire = Wire::open(&agent.authority).await;
            // A mebibyte that never comes: the answer does not wait for it.
            wire.send(head(method, path, &forged(&agent, method, path), limits::BODY).as_bytes()).await;
            let answer = wire.answer().await.expect("an answer");
            assert_eq!((answer.status, answer.header("connection")), (401, Some("close")), "{path}: {}", answer.head);
        }
    }
    assert_eq!(agent.envelopes(0).await.unwrap().len(), 0);
    let mut report = agent.report();
    report.at += 1;
    agent.send_report(&report).await.unwrap();
});

// Finding 5: the signature covers the digest, and the body is held against it as it arrives.
story!(a_body_that_is_not_the_signed_one_is_refused_when_it_has_come, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let mut report = agent.report();
    report.at += 1;
    let body = serde_json::json!({ "agent_version": "0.1.0", "reports": [report] }).to_string();
    let headers = agent.sign("POST", "/agent/v1/reports", None, body.as_bytes());
    let other = body.replacen("12.5", "99.5", 1);
    assert_ne!(body, other);
    let reply = agent.send("POST", "/agent/v1/reports", None, &headers, other.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.problem().kind.as_str()), (401, problem::SIGNATURE));
    // It comes in pieces.
    let mut wire = Wire::open(&agent.authority).await;
    wire.send(head("POST", "/agent/v1/reports", &headers, body.len()).as_bytes()).await;
    for piece in body.as_bytes().chunks(100) {
        wire.send(piece).await;
    }
    assert_eq!(wire.answer().await.unwrap().status, 200);
});

// Finding 5: one key held a thousand polls, and some calls had no limit.
story!(a_key_has_two_polls_and_three_bodies_at_once_and_a_limit_on_every_call, |engine| {
    let world = World::new(engine).await;
    let (agent, other) = (world.paired("web-1").await, world.paired("web-2").await);
    let poll = |_| {
        let headers = agent.sign("GET", "/agent/v1/commands", Some("wait=50"), b"");
        head("GET", "/agent/v1/commands?wait=50", &headers, 0)
    };
    let (refused, polls) = side_by_side(&agent.authority, (0..6).map(poll), 4).await;
    assert!(refused.iter().all(|answer| (answer.status, answer.header("retry-after")) == (429, Some("5"))), "{refused:?}");
    let held = |_| head("POST", "/agent/v1/reports", &agent.sign("POST", "/agent/v1/reports", None, b"{}"), 1000);
    let (refused, bodies) = side_by_side(&agent.authority, (0..8).map(held), 5).await;
    assert!(refused.iter().all(|answer| (answer.status, answer.header("retry-after")) == (429, Some("5"))), "{refused:?}");

    // The rest is limited too, and nobody else's is.
    let mut statuses = Vec::new();
    for _ in 0..130 {
        statuses.push(agent.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status);
    }
    assert!(statuses.starts_with(&[200; 100]) && statuses.ends_with(&[429]), "{statuses:?}");
    assert_eq!(other.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status, 200);
    world.clock.advance(1000);
    assert_eq!(agent.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status, 200, "five a second come back");
    drop((polls, bodies));

    // Told once a minute, with the network.
    world.clock.pass(MINUTE).await;
    let told = async {
        loop {
            let mut tx = world.core.store.read().await.unwrap();
            let events = osm_api::store::events::after(&mut tx, EventNumber(0), 1000).await.unwrap();
            drop(tx);
            let refused = events.into_iter().find_map(|recorded| match recorded.event {
                Event::Refused { what, count, networks } if format!("{what:?}") == "TooManyOfKey" => Some((count, networks)),
                _ => None,
            });
            if let Some(refused) = refused {
                return refused;
            }
            tokio::task::yield_now().await;
        }
    };
    let (count, networks) = tokio::time::timeout(SOON, told).await.expect("an event");
    assert!(count >= 12 && networks == ["127.0.0.1"], "{count} {networks:?}");
});

// Finding 1: a mebibyte was read of whoever wanted to pair.
story!(a_pairing_has_32_kib_and_an_address_holds_no_more_than_its_tries, |engine| {
    let world = World::new(engine).await;
    let agent = Agent::new(&world);
    let pair = |length| head("POST", "/agent/v1/pair", &agent.sign("POST", "/agent/v1/pair", None, b"{}"), length);
    let mut wire = Wire::open(&agent.authority).await;
    wire.send(pair(limits::PAIR_BODY + 1).as_bytes()).await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    // One that does not say how long it is has no more.
    let mut wire = Wire::open(&agent.authority).await;
    wire.send(pair(0).replace("Content-Length: 0", "Transfer-Encoding: chunked").as_bytes()).await;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..3 {
        wire.send(chunk.as_bytes()).await;
    }
    assert_eq!(wire.answer().await.unwrap().status, 413);

    let (refused, _held) = side_by_side(&agent.authority, (0..23).map(|_| pair(1000)), 5).await;
    assert!(refused.iter().all(|answer| (answer.status, answer.header("retry-after")) == (429, Some("5"))), "{refused:?}");
});

// Finding 15.
story!(only_the_holder_of_a_removed_key_learns_that_it_was_removed, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    assert_eq!(agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap().status, 200);
    world.clock.advance(6000);
    let path = "/agent/v1/keys";
    let reply = agent.send("GET", path, None, &forged(&agent, "GET", path), b"").await.unwrap();
    assert_eq!((reply.status, reply.problem().kind.as_str()), (401, problem::SIGNATURE));
    assert_eq!(agent.request("GET", path, None, b"").await.unwrap().problem().kind, problem::REMOVED);
});

// Finding 15.
story!(an_array_is_no_report, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let mut report = agent.report();
    report.at += 1;
    let honest = serde_json::json!({ "agent_version": "0.1.0", "reports": [report] }).to_string();
    let start = honest.find(r#""load":{"#).unwrap();
    let end = start + honest[start..].find('}').unwrap() + 1;
    let load_as_array = format!("{}\"load\":[0.42,0.3,0.2]{}", &honest[..start], &honest[end..]);
    let outer = format!("[\"0.1.0\",[{}]]", serde_json::to_string(&report).unwrap());
    for body in [outer, load_as_array] {
        let reply = agent.request("POST", "/agent/v1/reports", None, body.as_bytes()).await.unwrap();
        assert_eq!((reply.status, reply.problem().kind.as_str()), (400, problem::MALFORMED), "{body}");
    }
    assert_eq!(agent.request("POST", "/agent/v1/reports", None, honest.as_bytes()).await.unwrap().status, 200);
});

// Finding 15.
story!(there_is_no_webhook_where_updates_are_asked_for, |engine| {
    let settings = [("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "polling")];
    let world = World::with(engine, Options::default(), &settings).await;
    let secret = world.core.keys.webhook_secret.expose();
    let update = client().post(format!("{}/telegram/webhook", world.api)).body(r#"{"update_id":1}"#);
    let answer = update.header("X-Telegram-Bot-Api-Secret-Token", secret).send().await.unwrap();
    assert_eq!(answer.status(), 404);
});

// Only wrong secrets count for an address: Telegram's own updates come from few.
story!(wrong_secrets_of_the_webhook_are_limited_and_right_ones_are_not, |engine| {
    let world = World::new(engine).await;
    let update = async |secret: &str, id: u32| {
        let update = client().post(format!("{}/telegram/webhook", world.api)).body(format!(r#"{{"update_id":{id}}}"#));
        update.header("X-Telegram-Bot-Api-Secret-Token", secret).send().await.unwrap().status().as_u16()
    };
    let mut refused = Vec::new();
    for id in 0..25 {
        refused.push(update("wrong", id).await);
    }
    assert_eq!((&refused[..20], &refused[20..]), (&[403; 20][..], &[429; 5][..]));
    let secret = world.core.keys.webhook_secret.expose().to_owned();
    for id in 100..150 {
        assert_eq!(update(&secret, id).await, 200);
    }
});
