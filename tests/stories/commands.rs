//! Every way in which a restart ends, besides well.

use osm_protocol::{
    action::{Outcome, OutcomeKind, Rejection},
    envelope,
};
use osm_tests::{story, talk::data, world::World};

story!(a_restart_that_fails_shows_the_reason, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &question, "Restart").await;
    let command = agent.command().await.unwrap();
    agent.finish(command.jti, OutcomeKind::Failed, "exit-code, status 1: <b>bad</b> config").await.unwrap();
    let failed = world.becomes(&question, "exit-code, status 1: <b>bad</b> config").await;
    assert!(failed.plain.contains("Failed"), "{}", failed.plain);
});

story!(each_refusal_of_the_host_is_told_with_its_fix, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    for (reason, said) in [
        (Rejection::Policy, "agent.toml"),
        (Rejection::Rate, "once in 30 s"),
        (Rejection::UnitNotListed, "policy allow"),
        (Rejection::Clock, "set-ntp"),
        (Rejection::Unsupported, "doctor"),
    ] {
        let question = world.restart_question("nginx.service").await;
        world.tap(&world.anna, &question, "Restart").await;
        let command = agent.command().await.unwrap();
        let outcome =
            Outcome { result: OutcomeKind::Rejected, reason: Some(reason), detail: String::new(), at: world.clock.now() };
        let reply = agent.post(&format!("/agent/v1/commands/{}/outcome", command.jti), &outcome).await.unwrap();
        assert_eq!(reply.status, 200);
        world.becomes(&question, said).await;
        // A second between messages of a chat is Telegram's pace, and the sender's.
        world.clock.advance(1000);
    }
});

story!(what_nobody_fetches_expires_and_what_nobody_answers_is_said, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let first = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &first, "Restart").await;
    world.becomes(&first, "Queued").await;
    world.clock.advance(121_000);
    world.becomes(&first, "Expired: the server did not fetch it").await;
    assert!(agent.envelopes(0).await.unwrap().is_empty(), "an expired command is not handed out");

    agent.send_report(&agent.report()).await.unwrap();
    let second = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &second, "Restart").await;
    let command = agent.command().await.unwrap();
    world.clock.advance(241_000);
    world.becomes(&second, "No answer").await;
    // An outcome that comes late still counts: the agent saw what happened.
    agent.finish(command.jti, OutcomeKind::Succeeded, "late but well").await.unwrap();
    world.becomes(&second, "late but well").await;
});

story!(a_question_is_confirmed_once_in_time_or_declined, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &question, "Cancel").await;
    world.becomes(&question, "Cancelled by Anna").await;

    let question = world.restart_question("nginx.service").await;
    let confirm = data(&question, "Restart");
    world.clock.advance(60_000);
    world.becomes(&question, "Not confirmed within 60 s").await;
    let toast = world.tap_data(&world.anna, &question, &confirm).await;
    assert_eq!(toast.text.as_deref(), Some("The 60 seconds are over; nothing was done. Ask again."));
    assert!(agent.envelopes(0).await.unwrap().is_empty());

    agent.send_report(&agent.report()).await.unwrap();
    let question = world.restart_question("nginx.service").await;
    let first = world.sim.press(&world.anna, &world.anna, question.message_id, "Restart").unwrap();
    let second = world.sim.press(&world.anna, &world.anna, question.message_id, "Restart").unwrap();
    world.popped_up(&first).await;
    let again = world.popped_up(&second).await;
    assert_eq!(again.text.as_deref(), Some("This was answered before."));
    assert_eq!(agent.envelopes(5).await.unwrap().len(), 1);
});

story!(a_lost_hand_out_is_handed_out_again_and_seq_only_grows, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &question, "Restart").await;
    let lost = agent.envelopes(10).await.unwrap();
    let again = agent.envelopes(0).await.unwrap();
    assert_eq!(lost, again);
    assert_eq!(lost[0].payload_type, envelope::COMMAND);
    let first = agent.command().await.unwrap();
    assert!(agent.envelopes(0).await.unwrap().is_empty(), "the agent said that it has this one");
    agent.finish(first.jti, OutcomeKind::Succeeded, "first").await.unwrap();

    // The clock goes back: the next seq is higher all the same.
    let question = world.restart_question("nginx.service").await;
    world.clock.advance(-5_000);
    world.tap(&world.anna, &question, "Restart").await;
    let second = agent.command().await.unwrap();
    assert!(second.seq > first.seq);
});

story!(another_servers_commands_are_none_of_an_agents_business, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let other = world.paired("web-2").await;
    let card = world.ask(&world.anna, "/status web-1", "online").await;
    world.tap(&world.anna, &card, "Restart").await;
    let services = world.becomes(&card, "Restart a service on web-1").await;
    world.tap(&world.anna, &services, "nginx").await;
    let question = world.see(&world.anna, "Restart nginx.service on web-1").await;
    world.tap(&world.anna, &question, "Restart").await;
    let command = agent.command().await.unwrap();
    assert!(other.envelopes(0).await.unwrap().is_empty());
    assert_eq!(other.finish(command.jti, OutcomeKind::Succeeded, "mine").await.unwrap().status, 404);
    let long = "x".repeat(501);
    assert_eq!(agent.finish(command.jti, OutcomeKind::Succeeded, &long).await.unwrap().status, 422);
    assert_eq!(agent.finish(command.jti, OutcomeKind::Succeeded, "a\u{0}b").await.unwrap().status, 422);
});
