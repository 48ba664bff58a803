//! What else a host lets the chat ask for: its journal is cleaned, its logs are rotated, it is rebooted or not after all.

use osm_protocol::action::{Action, Chore, OutcomeKind};
use osm_telegram_sim::{BotMessage, Options};
use osm_tests::{
    story,
    talk::data,
    world::{BORIS, World},
};

const CANCEL: &str = "Cancel the reboot";

/// Anna asks for a reboot and confirms; the message that shows its course.
async fn ask_reboot(world: &World) -> BotMessage {
    let question = world.chore_question("Reboot").await;
    world.tap(&world.anna, &question, "Reboot").await;
    world.becomes(&question, "Queued").await
}

story!(each_chore_goes_from_its_button_to_its_result, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    for (button, yes, chore, valid, said) in [
        ("Clean journal", "Clean", Chore::CleanJournal, 120_000, "<b>1.2 GiB</b> & more freed"),
        ("Rotate logs", "Rotate", Chore::RunLogrotate, 120_000, "logrotate ended well"),
        ("Reboot", "Reboot", Chore::Reboot, 60_000, "rebooted; away for 42 s"),
    ] {
        let question = world.chore_question(button).await;
        assert!(question.plain.contains("web-1?"), "{}", question.plain);
        world.tap(&world.anna, &question, yes).await;
        let command = agent.command().await.unwrap();
        assert_eq!((&command.action, command.exp - command.iat), (&chore.action(), valid));
        world.becomes(&question, "Sent to the server").await;
        agent.finish(command.jti, OutcomeKind::Succeeded, said).await.unwrap();
        let done = world.becomes(&question, &format!("The host says: {said}")).await;
        assert!(done.plain.contains("Done") && done.button(CANCEL).is_none(), "{}", done.plain);
    }
});

story!(what_the_host_does_not_offer_has_no_button_and_an_old_one_does_nothing, |engine| {
    let world = World::new(engine).await;
    let (agent, old) = world.paired_with_card("web-1").await;
    let reboot = data(&old, "Reboot");

    world.clock.advance(1000);
    let mut report = agent.report();
    report.chores = vec![Chore::CleanJournal];
    agent.send_report(&report).await.unwrap();
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.button("Clean journal").is_some());
    assert!(card.button("Rotate logs").is_none() && card.button("Reboot").is_none());
    let toast = world.tap_data(&world.anna, &old, &reboot).await;
    assert!(toast.text.unwrap_or_default().contains("does not, or no longer"));
    world.hears_nothing(&world.anna).await;
});

story!(a_reboot_that_was_not_fetched_is_taken_back, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let queued = ask_reboot(&world).await;
    let cancel = data(&queued, CANCEL);
    let toast = world.tap(&world.anna, &queued, CANCEL).await;
    assert!(toast.text.unwrap_or_default().contains("nothing was done"));
    let cancelled = world.becomes(&queued, "Cancelled in time").await;
    assert!(cancelled.button(CANCEL).is_none());

    let toast = world.tap_data(&world.anna, &cancelled, &cancel).await;
    assert!(toast.text.unwrap_or_default().contains("no longer be cancelled"));
    assert!(agent.envelopes(0).await.unwrap().is_empty(), "the agent never sees anything of it");
});

story!(a_reboot_that_was_handed_out_is_called_off_once, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let queued = ask_reboot(&world).await;
    let reboot = agent.command().await.unwrap();
    let sent = world.becomes(&queued, "reboots 60 s after it took this up").await;
    let cancel = data(&sent, CANCEL);
    let first = world.sim.press(&world.anna, &world.anna, sent.message_id, CANCEL).unwrap();
    let second = world.sim.press(&world.anna, &world.anna, sent.message_id, CANCEL).unwrap();
    assert_eq!(world.popped_up(&first).await.text, None);
    let again = world.popped_up(&second).await;
    assert!(again.text.unwrap_or_default().contains("asked to cancel it before"));

    let asked = world.see(&world.anna, "Cancel the reboot of web-1").await;
    let calling_off = agent.command().await.unwrap();
    assert_eq!(calling_off.action, Action::CancelReboot { of: reboot.jti });
    assert!(agent.envelopes(0).await.unwrap().is_empty(), "two taps, one command");

    agent.finish(calling_off.jti, OutcomeKind::Succeeded, "the reboot is called off").await.unwrap();
    // What the host says of the reboot itself may be later.
    let toast = world.tap_data(&world.anna, &sent, &cancel).await;
    assert!(toast.text.unwrap_or_default().contains("asked to cancel it before"));
    agent.finish(reboot.jti, OutcomeKind::Cancelled, "called off by <i>Anna</i>").await.unwrap();
    let asked = world.becomes(&asked, "The host says: the reboot is called off").await;
    assert!(asked.plain.contains("Done") && asked.button(CANCEL).is_none(), "{}", asked.plain);
    let cancelled = world.becomes(&sent, "The host says: called off by <i>Anna</i>").await;
    assert!(cancelled.plain.contains("Cancelled in time") && cancelled.button(CANCEL).is_none(), "{}", cancelled.plain);

    let toast = world.tap_data(&world.anna, &cancelled, &cancel).await;
    assert!(toast.text.unwrap_or_default().contains("no longer be cancelled"));
    assert!(agent.envelopes(0).await.unwrap().is_empty());
});

story!(calling_off_that_failed_may_be_asked_for_again, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let queued = ask_reboot(&world).await;
    agent.command().await.unwrap();
    let sent = world.becomes(&queued, "answers once it is back").await;
    world.tap(&world.anna, &sent, CANCEL).await;
    let asked = world.see(&world.anna, "Cancel the reboot of web-1").await;
    let first = agent.command().await.unwrap();
    agent.finish(first.jti, OutcomeKind::Failed, "logind did not answer").await.unwrap();
    world.becomes(&asked, "logind did not answer").await;
    world.tap(&world.anna, &sent, CANCEL).await;
    let second = agent.command().await.unwrap();
    assert_eq!(second.action, first.action);
    world.see(&world.anna, "Cancel the reboot of").await;
});

story!(whoever_may_act_cancels_somebody_elses_reboot, |engine| {
    let settings = [("OSM_ALLOWED_USERS", "1001,1002"), ("OSM_TELEGRAM_MODE", "webhook")];
    let world = World::with(engine, Options::default(), &settings).await;
    let carla = world.sim.user(1003, "Carla");
    let members = [world.anna.admin(), world.boris.admin(), carla.member()];
    let group = world.sim.group(-1_000_000_000_123, "Ops", &members);
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    let (mut agent, card) = world.paired_in(&group, "web-1").await;

    let refused = world.tap(&carla, &card, "Reboot").await;
    assert!(refused.text.unwrap_or_default().contains("You may look"));
    world.tap(&world.anna, &card, "Reboot").await;
    let question = world.see(&group, "can confirm, within 60 s").await;
    world.tap(&world.anna, &question, "Reboot").await;
    agent.command().await.unwrap();
    let sent = world.becomes(&question, "answers once it is back").await;
    let refused = world.tap(&carla, &sent, CANCEL).await;
    assert!(refused.text.unwrap_or_default().contains("You may look"));
    assert!(agent.envelopes(0).await.unwrap().is_empty());
    world.tap(&world.boris, &sent, CANCEL).await;
    let command = agent.command().await.unwrap();
    assert!(command.requested_by.contains(&format!("({BORIS})")), "{}", command.requested_by);
    let asked = world.see(&group, "Cancel the reboot of web-1").await;
    assert!(asked.plain.contains("Asked by Boris"), "{}", asked.plain);
});

story!(a_reboot_may_take_longer_to_answer_than_a_restart, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let rebooting = ask_reboot(&world).await;
    let reboot = agent.command().await.unwrap();
    let restarting = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &restarting, "Restart").await;
    agent.command().await.unwrap();
    world.becomes(&restarting, "Sent to the server").await;
    world.clock.advance(9 * 60_000);
    world.becomes(&restarting, "No answer").await;
    // What is over is told in the order in which it expired: the reboot's would have been first.
    world.becomes(&rebooting, "answers once it is back").await;
    agent.finish(reboot.jti, OutcomeKind::Succeeded, "rebooted; away for 8 min").await.unwrap();
    world.becomes(&rebooting, "The host says: rebooted; away for 8 min").await;

    agent.send_report(&agent.report()).await.unwrap();
    let rebooting = ask_reboot(&world).await;
    let reboot = agent.command().await.unwrap();
    world.becomes(&rebooting, "answers once it is back").await;
    world.clock.advance(16 * 60_000 + 1);
    let unanswered = world.becomes(&rebooting, "No answer").await;
    assert!(unanswered.button(CANCEL).is_none());
    // The agent saw what happened.
    agent.finish(reboot.jti, OutcomeKind::Failed, "the server has not rebooted").await.unwrap();
    let told = world.becomes(&rebooting, "The host says: the server has not rebooted").await;
    assert!(told.plain.contains("Failed"), "{}", told.plain);
});
