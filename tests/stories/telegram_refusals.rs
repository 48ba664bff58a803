//! Telegram refuses what it is sent, for a while or for what is said: nothing is lost, nothing is told twice, and nobody
//! hears of the end of what they never heard of. Whatever it answers, agents are served.

use osm_api::domain::{HOUR, MINUTE, SECOND};
use osm_protocol::messages::Report;
use osm_telegram_sim::{Call, Failure, FailureKind};
use osm_tests::{
    agent::{Agent, client, service},
    story,
    until::until,
    world::{ANNA, SOON, World},
};

/// Refusals that were seen to come and go.
const PASSING: [(u16, &str); 6] = [
    (400, "Bad Request: not enough rights to send text messages to the chat"),
    (400, "Bad Request: have no rights to send a message"),
    (400, "Bad Request: TOPIC_CLOSED"),
    (400, "Bad Request: CHAT_RESTRICTED"),
    (400, "Bad Request: chat not found"),
    (403, "Forbidden: bot was blocked by the user"),
];

/// From now on Anna's chat takes no new message.
fn refuse(world: &World, (code, description): (u16, &'static str)) {
    world.expects_refusals("Telegram refuses messages for a while");
    let refused = Failure::new(FailureKind::Refused { code, description });
    world.sim.fail(refused.on("sendMessage").in_chat(ANNA).times(u32::MAX));
}

fn refused(world: &World) -> usize {
    let is_refused = |call: &Call| call.method == "sendMessage" && call.error.is_some();
    world.sim.calls().iter().filter(|call| is_refused(call)).count()
}

/// A report in which this unit failed.
async fn fails(world: &World, agent: &Agent, unit: &str) {
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&Report { services: vec![service(unit, "failed", "failed")], ..agent.report() }).await.unwrap();
}

async fn is_well(world: &World, agent: &Agent) {
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
}

story!(what_telegram_refuses_for_a_while_is_told_once_it_takes_messages_again, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.all_is_told().await;
    for (number, refusal) in PASSING.into_iter().enumerate() {
        let unit = format!("unit-{number}.service");
        let before = refused(&world);
        refuse(&world, refusal);
        fails(&world, &agent, &unit).await;
        until("a refusal", async || refused(&world) > before).await;
        for _ in 0..10 {
            world.clock.pass(MINUTE).await;
            fails(&world, &agent, &unit).await;
        }
        assert!(world.untaken(ANNA).is_empty(), "{refusal:?}");
        world.sim.heal();
        // Nobody writes there, and nothing new begins.
        world.clock.pass(HOUR / 4).await;
        let told = world.see(ANNA, &format!("{unit} failed")).await;
        assert!(told.plain.contains("Delayed"), "{refusal:?}: {}", told.plain);
        is_well(&world, &agent).await;
        world.see(ANNA, &format!("Over: web-1 · {unit} failed")).await;
        world.becomes(&told, "Over after").await;
        world.all_is_told().await;
    }
    world.hears_nothing(ANNA).await;
});

story!(what_began_and_ended_before_anybody_heard_of_it_is_one_message, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.all_is_told().await;
    for (number, refusal) in PASSING.into_iter().enumerate() {
        let unit = format!("unit-{number}.service");
        let before = refused(&world);
        refuse(&world, refusal);
        fails(&world, &agent, &unit).await;
        until("a refusal", async || refused(&world) > before).await;
        is_well(&world, &agent).await;
        world.clock.pass(20 * MINUTE).await;
        is_well(&world, &agent).await;
        world.all_is_told().await;
        world.sim.heal();
        world.clock.pass(HOUR).await;
        let told = world.see(ANNA, &format!("{unit} failed")).await;
        assert!(told.plain.contains("Over after"), "{refusal:?}: {}", told.plain);
        is_well(&world, &agent).await;
        world.all_is_told().await;
    }
    world.hears_nothing(ANNA).await;
});

story!(a_call_whose_answer_is_lost_is_not_told_to_be_over_twice, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.all_is_told().await;
    // Never accepted, and nobody can know that.
    world.sim.fail(Failure::new(FailureKind::BadGateway).on("sendMessage").in_chat(ANNA).times(3));
    fails(&world, &agent, "nginx.service").await;
    until("a failure", async || refused(&world) > 0).await;
    is_well(&world, &agent).await;
    let told = world.see(ANNA, "nginx.service failed").await;
    assert!(told.plain.contains("Over after"), "{}", told.plain);
    world.hears_nothing(ANNA).await;
});

story!(a_chat_that_refuses_is_looked_at_ever_more_rarely_and_at_once_when_something_begins, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.all_is_told().await;
    refuse(&world, PASSING[0]);
    fails(&world, &agent, "one.service").await;
    until("a refusal", async || refused(&world) == 1).await;
    for _ in 0..6 * 60 {
        world.clock.pass(MINUTE).await;
        fails(&world, &agent, "one.service").await;
        world.all_is_told().await;
    }
    let tries = refused(&world);
    assert!((12..=24).contains(&tries), "{tries} tries in nine hours");
    world.sim.heal();
    let both = || Report {
        services: vec![service("one.service", "failed", "failed"), service("two.service", "failed", "failed")],
        ..agent.report()
    };
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&both()).await.unwrap();
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&both()).await.unwrap();
    let told = world.see(ANNA, "one.service").await;
    assert!(told.plain.contains("two.service"), "{}", told.plain);
    world.hears_nothing(ANNA).await;
});

story!(what_is_refused_for_its_markup_is_told_without_it_and_holds_up_nobody, |engine| {
    let world = World::new(engine).await;
    world.expects_errors("Telegram refuses a message for what it says");
    let agent = world.paired("web-1").await;
    world.all_is_told().await;
    world.expects_refusals("Telegram cannot read the markup of some messages");
    let unreadable = FailureKind::Refused { code: 400, description: "Bad Request: can't parse entities: Unsupported start tag" };
    let marked_up = || Failure::new(unreadable).with("parse_mode", "HTML").times(u32::MAX);
    world.sim.fail(marked_up().with("text", "nginx").on("sendMessage"));
    world.sim.fail(marked_up().with("text", "nginx").on("editMessageText"));
    fails(&world, &agent, "nginx.service").await;
    until("a refusal", async || refused(&world) == 1).await;
    world.ask(&world.anna, "/help", "/servers").await;
    for _ in 0..4 {
        world.clock.pass(10 * SECOND).await;
        world.all_is_told().await;
    }
    let told = world.see(ANNA, "nginx.service failed").await;
    assert!(told.buttons.is_empty() && !told.plain.contains('<'), "{told:?}");
    world.hears_nothing(ANNA).await;
    // What it shows later is tried anew.
    world.sim.heal();
    is_well(&world, &agent).await;
    world.see(ANNA, "Over: web-1 · nginx.service failed").await;
    let now = world.becomes(&told, "Over after").await;
    assert!(!now.buttons.is_empty(), "{now:?}");
});

/// What `/readyz` says.
async fn readiness(world: &World) -> (u16, String) {
    let ready = client().get(format!("{}/readyz", world.api)).send().await.unwrap();
    (ready.status().as_u16(), ready.text().await.unwrap())
}

story!(whatever_telegram_answers_at_the_start_agents_are_served_and_the_set_up_is_tried_again, |engine| {
    let mut world = World::new(engine).await;
    world.expects_errors("Telegram refuses the set-up");
    world.expects_refusals("Telegram refuses the set-up");
    let agent = world.paired("web-1").await;
    let answers = [
        ("getMe", 401, "Unauthorized", "does not know the bot"),
        ("getMe", 404, "Not Found", "does not know the bot"),
        ("setWebhook", 400, "Bad Request: bad webhook: Failed to resolve host", "refuses the set-up"),
        ("setWebhook", 409, "Conflict", "refuses the set-up"),
        ("setWebhook", 429, "Too Many Requests: retry after 1", "asks to wait"),
        ("setWebhook", 403, "Forbidden", "refuses the set-up"),
    ];
    for (method, code, description, lack) in answers {
        world.stop().await.unwrap();
        world.sim.fail(Failure::new(FailureKind::Refused { code, description }).on(method).times(u32::MAX));
        world.start().await.unwrap();
        let lacks = async || matches!(readiness(&world).await, (503, said) if said.contains(lack));
        until("a backend that says what it lacks", lacks).await;
        agent.send_report(&agent.report()).await.expect("agents are served");
        world.sim.heal();
        until("a backend that is ready", async || readiness(&world).await.0 == 200).await;
        world.ask(&world.anna, "/help", "/servers").await;
    }
    // The commands are not worth waiting for.
    world.stop().await.unwrap();
    let refused = FailureKind::Refused { code: 400, description: "Bad Request: BOT_COMMAND_INVALID" };
    world.sim.fail(Failure::new(refused).on("setMyCommands").times(2));
    world.start().await.unwrap();
    until("a backend that is ready", async || readiness(&world).await.0 == 200).await;
    world.ask(&world.anna, "/help", "/servers").await;
    let offered = |call: &Call| call.method == "setMyCommands" && call.accepted;
    let before = world.sim.calls().iter().filter(|call| offered(call)).count();
    let all = before.div_ceil(3) * 3;
    until("the commands", async || world.sim.calls().iter().filter(|call| offered(call)).count() >= all).await;
    world.settled(SOON).await;
});
