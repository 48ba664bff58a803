//! The main job: a server is paired from the chat, looked at, and a service on it restarted.

use osm_protocol::action::{Action, OutcomeKind};
use osm_tests::{
    agent::Agent,
    world::{World, copied, token_in},
};

use crate::story;

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
    let paired = world.see(&world.anna, "Debian GNU/Linux 12").await;
    assert!(paired.plain.contains("web-1"));

    // The message that carried the token is edited, so that it is gone.
    let used = world.see(&world.anna, "used").await;
    assert_eq!(used.message_id, pairing.message_id);
    assert!(!world.sim.transcript(&world.anna).contains(&token));

    agent.send_report(&agent.report()).await.unwrap();
    let card = world.see(&world.anna, "online").await;
    for shown in ["web-1", "12.5", "/var", "91", "nginx.service"] {
        assert!(card.plain.contains(shown), "{shown} is missing:\n{}", card.plain);
    }
    let again = world.ask(&world.anna, "/status", "online").await;
    assert!(again.plain.contains("web-1"));
});

story!(a_service_is_restarted_from_the_card, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let card = world.see(&world.anna, "online").await;
    world.tap(&world.anna, &card, "Restart").await;
    let services = world.see(&world.anna, "nginx.service").await;
    world.tap(&world.anna, &services, "nginx.service").await;
    let question = world.see(&world.anna, "Restart nginx.service").await;
    world.tap(&world.anna, &question, "Restart").await;

    let command = agent.command().await.unwrap();
    assert_eq!(command.action, Action::RestartService { unit: "nginx.service".to_owned() });
    assert_eq!(agent.finish(&command.jti, OutcomeKind::Succeeded, "active (running)").await.unwrap().status, 204);
    let done = world.see(&world.anna, "active (running)").await;
    assert_eq!(done.message_id, question.message_id, "the message that asked shows the result");
});
