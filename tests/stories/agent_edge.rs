//! What is wrong with an agent's requests is answered clearly, and changes nothing.

use data_encoding::BASE64;
use osm_api::domain::SECOND;
use osm_protocol::{
    key::PublicKey,
    keyset::{KeySet, Removed},
    messages::{Acknowledgement, Problem, Receipt, Report, limits, problem},
    request_signature::{Received, content_digest},
};
use osm_tests::{
    agent::{Agent, client, disk, service},
    world::{SOON, START, World},
};
use serde_json::json;

use osm_tests::story;

story!(wrong_used_and_expired_tokens_get_one_and_the_same_answer, |engine| {
    let world = World::new(engine).await;
    let (used, _) = world.token(&world.anna, "a").await;
    world.pair(&world.anna, &used).await;
    let (expired, message) = world.token(&world.anna, "b").await;
    world.clock.advance(15 * 60_000);
    let mut wrong = used.clone();
    wrong.replace_range(5..7, if &used[5..7] == "00" { "11" } else { "00" });

    let mut answers = Vec::new();
    for token in [used.as_str(), expired.as_str(), wrong.as_str(), "not a token"] {
        let agent = Agent::new(&world);
        let reply = agent.post("/agent/v1/pair", &agent.pair_request(token)).await.unwrap();
        let problem = Problem { nonce: None, ..reply.problem() };
        assert_eq!(problem.kind, problem::TOKEN, "{token}");
        answers.push((reply.status, problem));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].0, 403);
    // The expired one is gone from the chat.
    world.becomes(&message, "Expired: this pairing command").await;
    assert!(!world.sim.transcript(&world.anna).contains(&expired));
});

story!(a_pairing_signed_by_another_key_than_it_brings_is_refused_and_the_token_still_works, |engine| {
    let world = World::new(engine).await;
    let (token, _) = world.token(&world.anna, "a").await;
    let (agent, other) = (Agent::new(&world), Agent::new(&world));
    let reply = other.post("/agent/v1/pair", &agent.pair_request(&token)).await.unwrap();
    assert_eq!((reply.status, reply.problem().kind.as_str()), (401, problem::SIGNATURE));
    Agent::new(&world).pair(&token).await.unwrap();
});

story!(twenty_pairings_from_one_address_pass_at_once_and_one_in_five_seconds_after_that, |engine| {
    let world = World::new(engine).await;
    let agent = Agent::new(&world);
    let try_once = async || agent.post("/agent/v1/pair", &agent.pair_request("OSM1-0")).await.unwrap();
    for number in 1..=20 {
        assert_eq!(try_once().await.status, 403, "{number}");
    }
    let refused = try_once().await;
    assert_eq!((refused.status, refused.problem().status, refused.retry_after()), (429, 429, Some(5)));
    // Whoever comes again when told so is let in, once.
    world.clock.advance(4_999);
    assert_eq!(try_once().await.status, 429);
    world.clock.advance(1);
    assert_eq!(try_once().await.status, 403);
    assert_eq!(try_once().await.status, 429);
});

story!(spoilt_signatures_are_refused_by_what_is_wrong_with_them, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let stranger = Agent::new(&world);
    let other = world.paired("web-2").await;
    let path = "/agent/v1/reports";
    // One that is not stored yet.
    let mut report = agent.report();
    report.at += 1;
    let body = serde_json::to_vec(&json!({ "agent_version": "0.1.0", "reports": [report] })).unwrap();
    let good = agent.sign("POST", path, None, &body);

    let mut spoilt = Vec::new();
    let mut with = |what: &'static str, change: &dyn Fn(&mut osm_protocol::request_signature::Headers)| {
        let mut headers = good.clone();
        change(&mut headers);
        spoilt.push((what, headers));
    };
    with("a signature of zeros", &|h| h.signature = format!("osm=:{}:", BASE64.encode(&[0; 64])));
    with("two signatures", &|h| {
        h.signature_input = format!("{0}, {1}", h.signature_input, h.signature_input.replacen("osm=", "two=", 1));
        h.signature = format!("{0}, {1}", h.signature, h.signature.replacen("osm=", "two=", 1));
    });
    with("a component left out", &|h| h.signature_input = h.signature_input.replace("\"@authority\" ", ""));
    with("no signature", &|h| h.signature = String::new());
    with("hostile bytes", &|h| h.signature_input = "osm=(((((;;;\"".into());
    with("a digest of another body", &|h| h.content_digest = content_digest(b"{}"));
    with("another digest algorithm", &|h| h.content_digest = "md5=:AAAA:".into());
    with("another tag", &|h| h.signature_input = h.signature_input.replace("osm-agent-v1", "other"));
    spoilt.push(("a key nobody paired", stranger.sign("POST", path, None, &body)));
    spoilt.push(("another path", agent.sign("POST", "/agent/v1/unpair", None, &body)));
    spoilt.push(("a query that was not sent", agent.sign("POST", path, Some("a=b"), &body)));
    let mut elsewhere = Agent::new(&world);
    elsewhere.key = agent.key.clone();
    elsewhere.authority = "osm.example".into();
    spoilt.push(("another authority", elsewhere.sign("POST", path, None, &body)));

    let stored = async || world.rows("SELECT COUNT(*), COUNT(DISTINCT server_id) FROM reports").await;
    let before = stored().await;
    for (what, headers) in spoilt {
        let reply = agent.send("POST", path, None, &headers, &body).await.unwrap();
        assert_eq!((reply.status, reply.problem().kind.as_str()), (401, problem::SIGNATURE), "{what}");
        assert_eq!(stored().await, before, "{what}: nothing is stored");
    }
    // Another server's signature is that server's, whatever the body says: its report is its own.
    let reply = other.send("POST", path, None, &other.sign("POST", path, None, &body), &body).await.unwrap();
    assert_eq!(reply.status, 200);
    // The one good one still works.
    assert_eq!(agent.send("POST", path, None, &good, &body).await.unwrap().status, 200);
    assert_eq!(stored().await, [[before[0][0] + 2, 2]]);
});

story!(every_answer_names_the_nonce_of_its_request_and_a_removal_brings_its_proof, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let send = async |method: &str, path: &str, body: &[u8]| {
        let headers = agent.sign(method, path, None, body);
        let nonce = Received::parse(&headers.signature_input, &headers.signature).unwrap().nonce;
        (nonce, agent.send(method, path, None, &headers, body).await.unwrap())
    };
    let batch = |report| serde_json::to_vec(&json!({ "agent_version": "0.1.0", "reports": [report] })).unwrap();
    let reports = "/agent/v1/reports";
    let (nonce, reply) = send("POST", reports, &batch(agent.report())).await;
    assert_eq!(reply.json::<Receipt>().unwrap().nonce, nonce);
    let outcome = format!("/agent/v1/commands/{}/outcome", uuid::Uuid::nil());
    let late = Report { at: 1, ..agent.report() };
    for (path, body, kind) in [
        (reports, b"{".to_vec(), problem::MALFORMED),
        (reports, batch(late), problem::INVALID),
        (&outcome, br#"{"result":"failed","detail":"","at":1}"#.to_vec(), problem::NOT_FOUND),
    ] {
        let (nonce, reply) = send("POST", path, &body).await;
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{kind}");
        assert_eq!((reply.problem().kind.as_str(), reply.problem().nonce), (kind, Some(nonce)));
    }
    // What was not signed is named, too: by its nonce nobody learns anything.
    let stranger = Agent::new(&world);
    let headers = stranger.sign("GET", "/agent/v1/keys", None, b"");
    let nonce = Received::parse(&headers.signature_input, &headers.signature).unwrap().nonce;
    let reply = stranger.send("GET", "/agent/v1/keys", None, &headers, b"").await.unwrap();
    assert_eq!((reply.problem().kind.as_str(), reply.problem().nonce), (problem::SIGNATURE, Some(nonce)));

    let (nonce, reply) = send("POST", "/agent/v1/unpair", b"").await;
    assert_eq!(reply.json::<Acknowledgement>().unwrap().nonce, nonce);
    // While its key is still remembered, and when it is looked up.
    for _ in 0..2 {
        let (nonce, reply) = send("POST", reports, &batch(agent.report())).await;
        let problem = reply.problem();
        assert_eq!((problem.kind.as_str(), problem.nonce), (problem::REMOVED, Some(nonce)));
        let proof = problem.removal.expect("a proof");
        let keys = KeySet::open(&proof.key_set, &world.core.keys.trusted.root, i64::MIN).unwrap();
        let agent_key = PublicKey::from(&agent.key).to_string();
        assert_eq!(Removed::open(&proof.removed, &keys, &agent_key, world.clock.now()).unwrap().at, world.clock.now());
        world.clock.advance(5 * SECOND);
    }
});

story!(a_clock_an_hour_off_is_told_the_time_and_the_server_reports_and_says_so, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let backend = agent.clock.clone();
    agent.clock = osm_api::clock::Clock::manual(START + 3_600_000);
    let reply = agent.send_reports(vec![agent.report()]).await.unwrap();
    assert_eq!(reply.status, 401);
    let problem = reply.problem();
    assert_eq!((problem.kind.as_str(), problem.now), (problem::CLOCK_SKEW, Some(backend.now())));
    // Who cannot sign does not learn the time.
    let stranger = Agent { clock: agent.clock.clone(), ..Agent::new(&world) };
    assert_eq!(stranger.send_reports(vec![stranger.report()]).await.unwrap().problem().now, None);

    // The agent signs with the offset it measured, and corrects its samples.
    agent.clock = backend;
    let mut report = agent.report();
    report.at += 1;
    report.clock_ahead_ms = 3_600_000;
    agent.send_report(&report).await.unwrap();
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.plain.to_lowercase().contains("clock"), "{}", card.plain);
});

story!(what_a_report_must_not_hold_is_refused_by_field_and_nothing_changes, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let honest = || serde_json::to_value(agent.report()).unwrap();
    let spoil = |pointer: &str, value: serde_json::Value| {
        let mut report = honest();
        *report.pointer_mut(pointer).unwrap() = value;
        report
    };
    let many_disks = serde_json::to_value(vec![disk("/x", 1, 1); 10_000]).unwrap();
    let many_services = serde_json::to_value(vec![service("a.service", "active", "running"); 10_000]).unwrap();
    for (field, report) in [
        ("host.hostname", spoil("/host/hostname", json!("web\u{0}1"))),
        ("host.hostname", spoil("/host/hostname", json!("x".repeat(4096)))),
        ("disks.mount", spoil("/disks/0/mount", json!("/\u{1b}[2J"))),
        ("services.unit", spoil("/services/0/unit", json!("a\nb.service"))),
        ("cpu", spoil("/cpu", json!(-1.0))),
        ("cpu", spoil("/cpu", json!(1e300))),
        ("at", spoil("/at", json!(0))),
        ("at", spoil("/at", json!(i64::MAX))),
        ("at", spoil("/at", json!(START + 3_600_000))),
        ("disks", spoil("/disks", many_disks)),
        ("services", spoil("/services", many_services)),
        ("disks", spoil("/disks/0/total", json!(u64::MAX))),
    ] {
        let body = serde_json::to_vec(&json!({ "agent_version": "0.1.0", "reports": [report] })).unwrap();
        let reply = agent.request("POST", "/agent/v1/reports", None, &body).await.unwrap();
        if body.len() > limits::BODY {
            assert_eq!(reply.status, 413, "{field}");
            continue;
        }
        assert_eq!(reply.status, 422, "{field}: {}", String::from_utf8_lossy(&reply.body));
        assert!(reply.problem().detail.starts_with(&format!("reports[0].{field}: ")), "{}", reply.problem().detail);
    }
    for body in
        [json!({ "agent_version": "0.1.0", "reports": [] }), json!({ "agent_version": "0.1.0", "reports": vec![honest(); 129] })]
    {
        assert_eq!(agent.post("/agent/v1/reports", &body).await.unwrap().status, 422);
    }
    // NaN has no JSON; an unknown field and the wrong type are no report of ours.
    let batch = json!({ "agent_version": "0.1.0", "reports": [honest()] }).to_string();
    assert_eq!(batch.matches("12.5").count(), 1);
    for body in [
        batch.replace("12.5", "NaN"),
        r#"{"agent_version":"0.1.0","reports":[{"at":1}]}"#.to_owned(),
        r#"{"agent_version":"0.1.0","reports":[],"server_id":"other"}"#.to_owned(),
        "\u{0}\u{1}".to_owned(),
        String::new(),
        "[".repeat(100_000),
    ] {
        let reply = agent.request("POST", "/agent/v1/reports", None, body.as_bytes()).await.unwrap();
        assert_eq!((reply.status, reply.problem().kind.as_str()), (400, problem::MALFORMED), "{}", &body[..body.len().min(80)]);
    }
    let mut tx = world.core.store.read().await.unwrap();
    assert_eq!(osm_api::store::reports::count(&mut tx, agent.server_id).await.unwrap(), 1, "only the first report is stored");
});

story!(a_hostile_host_does_not_break_the_card, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let mut report = agent.report();
    report.at += 1;
    report.host.hostname = "<b>web</b>&amp;\u{202e}evil".into();
    report.host.os = "🐧".repeat(60);
    report.disks = (0..limits::DISKS).map(|n| disk(&format!("/<i>{n}</i>/{}", "ü".repeat(400)), 95, 5)).collect();
    report.services = (0..limits::SERVICES)
        .map(|n| service(&format!("<a href='x'>{n}-{}.service", "z".repeat(200)), "failed", "failed"))
        .collect();
    agent.send_report(&report).await.unwrap();
    world.see(&world.anna, "alerts: ").await;
    // The stand-in refuses broken HTML and over-long texts as Telegram does.
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.plain.contains("<i>"), "shown as it is, not as markup");
    world.tap(&world.anna, &card, "Restart").await;
    let refused: Vec<_> = world.sim.calls().into_iter().filter(|call| call.error.is_some()).collect();
    assert!(refused.is_empty(), "{refused:?}");
});

story!(one_bad_report_among_good_ones_fails_alone, |engine| {
    let world = World::new(engine).await;
    let (good, bad) = (world.paired("good").await, world.paired("bad").await);
    let mut spoilt = bad.report();
    spoilt.cpu = Some(101.0);
    let mut fine = good.report();
    fine.at += 1;
    let (fine, spoilt) = tokio::join!(good.send_reports(vec![fine]), bad.send_reports(vec![bad.report(), spoilt]));
    assert_eq!(fine.unwrap().status, 200);
    let spoilt = spoilt.unwrap();
    assert_eq!(spoilt.status, 422);
    assert!(spoilt.problem().detail.starts_with("reports[1].cpu"), "{}", spoilt.problem().detail);
    // A group of one removed server and one good one: each has its own answer.
    let mut fine = good.report();
    fine.at += 2;
    bad.request("POST", "/agent/v1/unpair", None, b"").await.unwrap();
    let (fine, gone) = tokio::join!(good.send_reports(vec![fine]), bad.send_reports(vec![bad.report()]));
    assert_eq!((fine.unwrap().status, gone.unwrap().status), (200, 410));
});

story!(a_report_sent_twice_is_stored_once_and_history_does_not_replace_the_present, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let mut live = agent.report();
    live.at += 1000;
    let mut old = agent.report();
    old.at -= 3_600_000;
    old.cpu = Some(99.0);
    for _ in 0..2 {
        assert_eq!(agent.send_reports(vec![live.clone(), old.clone()]).await.unwrap().status, 200);
    }
    let mut tx = world.core.store.read().await.unwrap();
    assert_eq!(osm_api::store::reports::count(&mut tx, agent.server_id).await.unwrap(), 3);
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.plain.contains("CPU 12"), "{}", card.plain);
});

story!(a_reboot_with_history_to_send_is_no_clone, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let (before, mut after) = (agent.report(), agent.report());
    after.at += 2000;
    after.boot = "d".repeat(64);
    agent.send_report(&after).await.unwrap();
    // What was spooled before the reboot comes in a batch of its own.
    let history = osm_protocol::messages::Report { at: before.at + 1000, ..before };
    assert_eq!(agent.send_reports(vec![history]).await.unwrap().status, 200);
    after.at += 1000;
    agent.send_report(&after).await.unwrap();
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(!card.plain.contains("suspended"), "{}", card.plain);
    assert!(card.button("Restart").is_some());
});

story!(two_hosts_with_one_key_are_noticed_and_commands_stop, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    // Asked before, confirmed after.
    let question = world.restart_question("nginx.service").await;
    for (step, boot) in ["b", "d", "b"].into_iter().enumerate() {
        let mut report = agent.report();
        report.at += 1 + i64::try_from(step).unwrap();
        report.boot = boot.repeat(64);
        agent.send_report(&report).await.unwrap();
    }
    world.see_all(&world.anna, &["are suspended", "Nobody asked for it in this chat"]).await;
    let toast = world.tap(&world.anna, &question, "Restart").await;
    assert_eq!(toast.text.as_deref(), Some("Commands for this server are suspended: two hosts report with its key."));
    assert!(agent.envelopes(0).await.unwrap().is_empty());
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.plain.contains("suspended"), "{}", card.plain);
    for action in ["Restart", "Clean", "Rotate", "Reboot"] {
        assert!(card.button(action).is_none(), "{action}");
    }
});

story!(bodies_over_a_mebibyte_and_bodies_that_do_not_come_are_refused, |engine| {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let reply = agent.request("POST", "/agent/v1/reports", None, &vec![b' '; limits::BODY + 1]).await.unwrap();
    assert_eq!(reply.problem().status, 413);

    let headers = agent.sign("POST", "/agent/v1/reports", None, b"{}");
    let mut stream = tokio::net::TcpStream::connect(&agent.authority).await.unwrap();
    let head = format!(
        "POST /agent/v1/reports HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\nContent-Digest: {}\r\nSignature-Input: {}\r\nSignature: {}\r\n\r\n{{",
        agent.authority, headers.content_digest, headers.signature_input, headers.signature
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read =
        tokio::time::timeout(std::time::Duration::from_secs(20), stream.read(&mut answer)).await.expect("an answer").unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer[..read]));
});

story!(a_backend_whose_database_is_gone_is_alive_and_not_ready, |engine| {
    let world = World::new(engine).await;
    world.expects_errors("the database is gone");
    let agent = world.paired("web-1").await;
    world.settled(SOON).await;
    let status = async |path: &str| client().get(format!("{}{path}", world.api)).send().await.unwrap().status().as_u16();
    assert_eq!((status("/readyz").await, status("/healthz").await), (200, 200));

    world.sql("ALTER TABLE outbox RENAME TO elsewhere").await;
    assert_eq!((status("/readyz").await, status("/healthz").await), (503, 200));
    let answer = client().get(format!("{}/readyz", world.api)).send().await.unwrap();
    let problem: osm_protocol::messages::Problem = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!((problem.status, problem.detail.as_str()), (503, "the database does not answer"));
    // An agent is told to come again.
    world.sql("ALTER TABLE reports RENAME TO nowhere").await;
    let refused = agent.send_reports(vec![Report { at: agent.report().at + 1, ..agent.report() }]).await.unwrap();
    assert_eq!((refused.status, refused.retry_after().is_some()), (503, true));

    world.sql("ALTER TABLE elsewhere RENAME TO outbox").await;
    world.sql("ALTER TABLE nowhere RENAME TO reports").await;
    assert_eq!(status("/readyz").await, 200);
});

story!(health_and_documents_are_there_for_everybody, |engine| {
    let world = World::new(engine).await;
    let get = async |path: &str| client().get(format!("{}{path}", world.api)).send().await.unwrap();
    assert_eq!(get("/healthz").await.text().await.unwrap(), "ok\n");
    let ready: serde_json::Value = get("/readyz").await.json().await.unwrap();
    assert_eq!(ready["outbox_waiting"], 0);
    let document: serde_json::Value = get("/openapi.json").await.json().await.unwrap();
    assert!(document["paths"]["/agent/v1/pair"]["post"].is_object());
    assert_eq!(get("/docs").await.status(), 200);
});
