//! The main job: a server is paired from the chat, looked at, a service on it restarted, and the server removed.

use osm_protocol::action::{Action, OutcomeKind};
use osm_tests::{
    agent::Agent,
    world::{SOON, World, copied, token_in},
};

use osm_tests::story;

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
    let used = world.see(&world.anna, "Used").await;
    assert_eq!(used.message_id, pairing.message_id);
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
    let newer =
        |message: &osm_telegram_sim::BotMessage| message.message_id > list.message_id && message.plain.contains("Figures of");
    world.sim.wait(&world.anna, SOON, newer).await.unwrap();
});

story!(a_service_is_restarted_from_the_card, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &question, "Restart").await;

    let command = agent.command().await.unwrap();
    assert_eq!(command.action, Action::RestartService { unit: "nginx.service".to_owned() });
    assert_eq!(command.exp - command.iat, 120_000);
    assert_eq!(agent.finish(command.jti, OutcomeKind::Succeeded, "nginx.service is active (running)").await.unwrap().status, 204);
    let done = world.see(&world.anna, "The host says: nginx.service is active (running)").await;
    assert_eq!(done.message_id, question.message_id, "the message that asked shows the result");

    // Saying it again, or saying something else later, changes nothing.
    assert_eq!(agent.finish(command.jti, OutcomeKind::Failed, "no, it failed").await.unwrap().status, 204);
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.message_id > done.message_id);
    assert!(!world.sim.transcript(&world.anna).contains("no, it failed"));
});

story!(a_waiting_poll_gets_the_command_at_once, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    let (command, _) = tokio::join!(agent.command(), async {
        // The poll stands before the tap.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.tap(&world.anna, &question, "Restart").await
    });
    assert!(command.is_ok());
    world.see(&world.anna, "Sent to the server").await;
});

story!(a_poll_whose_agent_is_gone_takes_no_command, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    let hung_up = tokio::time::timeout(std::time::Duration::from_millis(300), agent.envelopes(25)).await;
    assert!(hung_up.is_err(), "the poll was waiting");
    world.tap(&world.anna, &question, "Restart").await;
    let waiting = world.see(&world.anna, "Queued").await;
    // The next one gets it.
    agent.command().await.unwrap();
    let sent = world.see(&world.anna, "Sent to the server").await;
    assert_eq!(sent.message_id, waiting.message_id);
});

story!(a_removed_server_is_gone_and_its_agent_learns_it, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let choice = world.ask(&world.anna, "/remove_server", "Which server").await;
    world.tap(&world.anna, &choice, "web-1").await;
    let question = world.see(&world.anna, "Remove web-1").await;
    let poll = agent.envelopes(10);
    let tap = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.tap(&world.anna, &question, "Remove").await;
    };
    let (polled, ()) = tokio::join!(poll, tap);
    assert!(polled.unwrap_err().to_string().starts_with("410"), "the waiting poll learns it at once");
    world.see(&world.anna, "web-1 is removed").await;

    assert_eq!(agent.send_reports(vec![agent.report()]).await.unwrap().status, 410);
    // Also when the key is no longer remembered from before.
    tokio::time::sleep(std::time::Duration::from_millis(5200)).await;
    let gone = agent.send_reports(vec![agent.report()]).await.unwrap();
    assert_eq!((gone.status, gone.problem().kind.as_str()), (410, osm_protocol::messages::problem::REMOVED));
    assert_eq!(agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap().status, 410);
    world.ask(&world.anna, "/servers", "Nothing is paired").await;
});

story!(an_agent_that_unpairs_tells_the_chat, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    assert_eq!(agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap().status, 204);
    world
        .sim
        .wait(&world.anna, SOON, |message| message.plain.contains("web-1") && message.plain.contains("unpaired"))
        .await
        .unwrap();
});

story!(a_lost_answer_to_a_pairing_can_be_had_again_and_a_repaired_host_stays_the_same_server, |engine| {
    use osm_protocol::{
        envelope::{self, Envelope},
        key::PublicKey,
        keyset::{Pairing, Replace},
        pairing_token::PairingToken,
    };
    let world = World::new(engine).await;
    let (token, _) = world.token(&world.anna, "db").await;
    let mut agent = Agent::new(&world);
    let first = agent.pair(&token).await.unwrap();
    let again = agent.pair(&token).await.unwrap();
    assert_eq!(first, again);
    let bound = Pairing::open(&again.pairing, agent.keys.as_ref().unwrap()).unwrap();
    assert_eq!(bound.agent_key, PublicKey::from(&agent.key).to_string());
    assert_eq!(bound.token_hash, PairingToken::parse(&token).unwrap().hash());

    // The host is paired anew: the old key signs, the record stays one.
    let (token, _) = world.token(&world.anna, "db").await;
    let mut anew = Agent::new(&world);
    let mut request = anew.pair_request(&token);
    let replace = Replace {
        server_id: first.server_id,
        new_key: request.agent_key.clone(),
        token_hash: PairingToken::parse(&token).unwrap().hash(),
    };
    request.replaces = Some(Envelope::sign_json(envelope::REPLACE, &replace, &agent.key));
    let reply = anew.post("/agent/v1/pair", &request).await.unwrap();
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let second: osm_protocol::messages::PairResponse = reply.json().unwrap();
    assert_eq!((second.server_id, second.name.as_str()), (first.server_id, "db"));
    anew.server_id = second.server_id;
    anew.send_report(&anew.report()).await.unwrap();
    assert_eq!(world.ask(&world.anna, "/servers", "Servers").await.plain.matches("db").count(), 1);
});
