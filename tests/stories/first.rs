//! The main job: a server is paired from the chat, looked at, a service on it restarted, and the server removed.

use std::time::Duration;

use osm_api::domain::SECOND;
use osm_protocol::{
    action::{Action, OutcomeKind},
    key::PublicKey,
};
use osm_tests::{
    agent::Agent,
    database::Table,
    story,
    talk::{copied, token_in},
    world::{SOON, World},
};
use tokio::time::timeout;

/// What a wake takes at most. A poll that is not woken looks again after 50 s.
const AT_ONCE: Duration = Duration::from_secs(2);

story!(a_server_is_paired_and_its_first_card_comes, |engine| {
    let world = World::new(engine).await;
    let welcome = world.ask(&world.anna, "/start", "Add a server").await;
    world.tap(&world.anna, &welcome, "Add a server").await;
    let pairing = world.see(&world.anna, "osm-agent pair").await;
    let token = token_in(&pairing).unwrap();
    let line = format!("printf %s {token} | sudo osm-agent pair --api {} --token-file -", world.api);
    assert_eq!(copied(&pairing).unwrap(), line);

    let mut agent = Agent::new(&world);
    let response = agent.pair(&token).await.unwrap();
    assert_eq!(response.name, "web-1");
    let paired = world.see(&world.anna, "Key fingerprint").await;
    for shown in ["web-1", "Debian GNU/Linux 12", "127.0.0.1"] {
        assert!(paired.plain.contains(shown), "{shown} is missing:\n{}", paired.plain);
    }
    // The message that carried the token is edited, so that it is gone.
    world.becomes(&pairing, "Used").await;
    assert!(!world.sim.transcript(&world.anna).contains(&token));

    agent.send_report(&agent.report()).await.unwrap();
    let card = world.see(&world.anna, "online").await;
    for shown in ["web-1", "CPU 12", "/var", "71 %", "nginx.service", "postgresql@15-main.service"] {
        assert!(card.plain.contains(shown), "{shown} is missing:\n{}", card.plain);
    }
    for command in ["/status", "/status web-1", "/server_status WEB-1"] {
        assert!(world.ask(&world.anna, command, "online").await.plain.contains("web-1"), "{command}");
    }
    let list = world.ask(&world.anna, "/servers", "Servers").await;
    world.tap(&world.anna, &list, "web-1").await;
    world.see(&world.anna, "Figures of").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_service_is_restarted_from_the_card, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &question, "Restart").await;

    let command = agent.command().await.unwrap();
    assert_eq!(command.action, Action::RestartService { unit: "nginx.service".to_owned() });
    assert_eq!(command.exp - command.iat, 120_000);
    assert_eq!(agent.finish(command.jti, OutcomeKind::Succeeded, "nginx.service is active (running)").await.unwrap().status, 200);
    world.becomes(&question, "The host says: nginx.service is active (running)").await;

    // Saying it again, or saying something else later, changes nothing.
    assert_eq!(agent.finish(command.jti, OutcomeKind::Failed, "no, it failed").await.unwrap().status, 200);
    world.hears_nothing(&world.anna).await;
    assert!(!world.sim.transcript(&world.anna).contains("no, it failed"));
});

story!(a_waiting_poll_gets_the_command_at_once, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    let poll = tokio::spawn({
        let agent = agent.clone();
        async move { agent.envelopes(50).await }
    });
    World::poll_stands(&world.core, agent.server_id).await;
    world.tap(&world.anna, &question, "Restart").await;
    let envelopes = timeout(AT_ONCE, poll).await.expect("a poll that is woken").unwrap().unwrap();
    assert_eq!(envelopes.len(), 1);
    world.becomes(&question, "Sent to the server").await;
});

story!(a_poll_whose_agent_is_gone_takes_no_command, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    let poll = tokio::spawn({
        let agent = agent.clone();
        async move { agent.envelopes(50).await }
    });
    World::poll_stands(&world.core, agent.server_id).await;
    poll.abort();
    World::no_poll_stands(&world.core, agent.server_id).await;
    world.tap(&world.anna, &question, "Restart").await;
    world.becomes(&question, "Queued").await;
    // The next one gets it.
    agent.command().await.unwrap();
    world.becomes(&question, "Sent to the server").await;
});

story!(a_removed_server_is_gone_and_its_agent_learns_it, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("kestrel").await;
    let choice = world.ask(&world.anna, "/remove_server", "Which server").await;
    world.tap(&world.anna, &choice, "kestrel").await;
    let question = world.see(&world.anna, "Remove kestrel").await;
    let poll = tokio::spawn({
        let agent = agent.clone();
        async move { agent.envelopes(50).await }
    });
    World::poll_stands(&world.core, agent.server_id).await;
    world.tap(&world.anna, &question, "Remove").await;
    let polled = timeout(AT_ONCE, poll).await.expect("a poll that is woken").unwrap();
    assert!(polled.unwrap_err().to_string().starts_with("410"), "the waiting poll learns it at once");
    world.becomes(&question, "kestrel is removed").await;

    assert_eq!(agent.send_reports(vec![agent.report()]).await.unwrap().status, 410);
    // Also when the key is no longer remembered from before.
    world.clock.advance(5 * SECOND);
    let gone = agent.send_reports(vec![agent.report()]).await.unwrap();
    assert_eq!((gone.status, gone.problem().kind.as_str()), (410, osm_protocol::messages::problem::REMOVED));
    assert_eq!(agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap().status, 410);
    world.ask(&world.anna, "/servers", "Nothing is paired").await;
});

/// Names of the tables that hold one of these texts.
fn holding(tables: &[Table], texts: &[&str]) -> Vec<String> {
    let holds = |table: &&Table| texts.iter().any(|text| table.naming(text).next().is_some());
    let mut names: Vec<String> = tables.iter().filter(holds).map(|table| table.name.clone()).collect();
    names.sort();
    names
}

story!(of_a_removed_server_no_table_holds_a_row_but_what_happened_and_its_key_id, |engine| {
    let world = World::new(engine).await;
    let (token, _) = world.token(&world.anna, "kestrel").await;
    let mut agent = world.pair(&world.anna, &token).await;
    // A row in every table that may have one: a failed service, a command, a limit, a mute, a question.
    let mut report = agent.report();
    report.host.hostname = "kestrel.example".into();
    report.services[0].active_state = "failed".into();
    agent.send_report(&report).await.unwrap();
    world.see_all(&world.anna, &["online", "nginx.service failed"]).await;
    let restart = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &restart, "Restart").await;
    agent.command().await.unwrap();
    world.becomes(&restart, "Sent to the server").await;
    let limits = world.ask(&world.anna, "/thresholds kestrel", "Limits of kestrel").await;
    world.tap_data(&world.anna, &limits, &format!("E:{}:c:500:450:5:c", agent.server_id)).await;
    world.ask(&world.anna, "/mute kestrel 1h", "kestrel · until").await;
    let question = world.ask(&world.anna, "/remove_server kestrel", "Remove kestrel").await;
    world.settled(SOON).await;

    let id = agent.server_id.to_string();
    let key = PublicKey::from(&agent.key);
    let (key_id, key) = (key.id(), key.to_string());
    let texts = [id.as_str(), "kestrel"];
    assert_eq!(
        holding(&world.tables().await, &texts),
        [
            "commands",
            "confirmations",
            "events",
            "incidents",
            "mutes",
            "pairings",
            "reports",
            "server_states",
            "servers",
            "thresholds",
            "watches"
        ],
        "a table that the next look is about"
    );

    world.tap(&world.anna, &question, "Remove").await;
    world.becomes(&question, "kestrel is removed").await;
    world.hears_nothing(&world.anna).await;
    let tables = world.tables().await;
    assert_eq!(holding(&tables, &texts), ["events"]);
    // The key stays, so that its holder, and nobody else, can be told.
    assert_eq!(holding(&tables, &[&key_id.to_string(), &key]), ["removed_keys"]);
    // Whoever comes with the used token again and the same key learns why, and others learn nothing.
    let again = async |agent: &Agent| agent.post("/agent/v1/pair", &agent.pair_request(&token)).await.unwrap().status;
    assert_eq!((again(&agent).await, again(&Agent::new(&world)).await), (410, 403));
});

story!(an_agent_that_unpairs_tells_the_chat, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    assert_eq!(agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap().status, 200);
    let unpaired = world.see(&world.anna, "unpaired").await;
    assert!(unpaired.plain.contains("web-1"), "{}", unpaired.plain);
});

story!(a_lost_answer_to_a_pairing_can_be_had_again_and_a_repaired_host_stays_the_same_server, |engine| {
    use osm_protocol::{keyset::Pairing, messages::PairResponse, pairing_token::PairingToken};
    let world = World::new(engine).await;
    let (token, _) = world.token(&world.anna, "db").await;
    let mut agent = Agent::new(&world);
    let first = agent.pair(&token).await.unwrap();
    world.see(&world.anna, "Key fingerprint").await;
    let again = agent.pair(&token).await.unwrap();
    assert_eq!(first, again);
    let bound = Pairing::open(&again.pairing, agent.keys.as_ref().unwrap()).unwrap();
    assert_eq!(bound.agent_key, PublicKey::from(&agent.key).to_string());
    assert_eq!(bound.token_hash, PairingToken::parse(&token).unwrap().hash());

    // The host is paired anew: the old key signs, the record stays one.
    let (token, _) = world.token(&world.anna, "db").await;
    let mut anew = Agent::new(&world);
    let reply = anew.pair_replacing(&token, first.server_id, &agent, "c").await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let second: PairResponse = reply.json().unwrap();
    assert_eq!((second.server_id, second.name.as_str()), (first.server_id, "db"));
    world.see(&world.anna, "Key fingerprint").await;
    anew.server_id = second.server_id;
    anew.send_report(&anew.report()).await.unwrap();
    world.see(&world.anna, "online").await;
    assert_eq!(world.ask(&world.anna, "/servers", "Servers").await.plain.matches("db").count(), 1);
});
