//! A forum group: what is asked in a topic is answered there, and what was paired there is told of there, or in General where
//! the topic takes nothing any more.

use osm_api::domain::{HOUR, MINUTE, SECOND};
use osm_protocol::messages::Report;
use osm_telegram_sim::{GENERAL, Group, Options, Topic};
use osm_tests::{
    agent::{Agent, service},
    database::Engine,
    story,
    talk::token_in,
    world::{SOON, World},
};

const OPS: i32 = 77;
const OTHER: i32 = 78;

/// A forum in which Anna has paired web-1 in a topic.
async fn forum(engine: Engine) -> (World, Group, Agent) {
    let world = World::with(engine, Options::default(), &[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "webhook")]).await;
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    let group = world.sim.group(-1_001_234_500_001, "Ops", &[world.anna.admin()]);
    for topic in [GENERAL, OPS, OTHER] {
        world.sim.topic(&group, topic, Topic::Open);
    }
    world.sim.say_in(&group, OPS, &world.anna, "/add_server web-1");
    let token = token_in(&world.see(&world.anna, "osm-agent pair").await).unwrap();
    assert_eq!(world.see(&group, "in our private chat").await.topic, Some(OPS));
    let mut agent = Agent::new(&world);
    agent.pair(&token).await.unwrap();
    assert_eq!(world.see(&group, "Key fingerprint").await.topic, Some(OPS));
    agent.send_report(&agent.report()).await.unwrap();
    assert_eq!(world.see(&group, "online").await.topic, Some(OPS));
    (world, group, agent)
}

/// Reports with this unit failed, until everything that comes of it is told.
async fn fails(world: &World, agent: &Agent, unit: &str) {
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&Report { services: vec![service(unit, "failed", "failed")], ..agent.report() }).await.unwrap();
    world.all_is_told().await;
}

async fn is_well(world: &World, agent: &Agent) {
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.all_is_told().await;
}

story!(what_is_asked_in_a_topic_is_answered_there_and_alerts_go_to_where_it_was_paired, |engine| {
    let (world, group, agent) = forum(engine).await;
    for topic in [OTHER, OPS] {
        world.sim.say_in(&group, topic, &world.anna, "/status");
        let card = world.see(&group, "web-1").await;
        assert_eq!(card.topic, Some(topic));
        world.tap(&world.anna, &card, "Restart").await;
        let services = world.becomes(&card, "Restart a service on").await;
        world.tap(&world.anna, &services, "nginx").await;
        assert_eq!(world.see(&group, "can confirm").await.topic, Some(topic));
    }
    world.sim.say(&group, &world.anna, "/status");
    assert_eq!(world.see(&group, "web-1").await.topic, None);
    // Who answers somebody does not write in a topic, whatever thread that is.
    world.settled(SOON).await;

    fails(&world, &agent, "nginx.service").await;
    assert_eq!(world.see(&group, "nginx.service failed").await.topic, Some(OPS));
    for _ in 0..16 {
        world.clock.pass(MINUTE).await;
        fails(&world, &agent, "nginx.service").await;
    }
    assert_eq!(world.see(&group, "Nobody has seen to").await.topic, Some(OPS));
    is_well(&world, &agent).await;
    assert_eq!(world.see(&group, "Over: web-1").await.topic, Some(OPS));
    world.hears_nothing(&group).await;
});

story!(what_a_topic_does_not_take_goes_to_general, |engine| {
    let (world, group, agent) = forum(engine).await;
    world.expects_refusals("topics are gone and closed");
    for (number, gone) in [Some(Topic::Closed), Some(Topic::Deleted), None].into_iter().enumerate() {
        let unit = format!("unit-{number}.service");
        match gone {
            Some(topic) => world.sim.topic(&group, OPS, topic),
            None => world.sim.forget_topic(&group, OPS),
        }
        fails(&world, &agent, &unit).await;
        assert_eq!(world.see(&group, &format!("{unit} failed")).await.topic, None);
        is_well(&world, &agent).await;
        assert_eq!(world.see(&group, "Over: web-1").await.topic, None);
    }
    world.sim.topic(&group, OPS, Topic::Open);
    fails(&world, &agent, "last.service").await;
    assert_eq!(world.see(&group, "last.service failed").await.topic, Some(OPS), "the topic is open again");
    world.hears_nothing(&group).await;
});

story!(while_general_is_closed_too_it_waits_for_either, |engine| {
    let (world, group, agent) = forum(engine).await;
    world.expects_refusals("topics are closed");
    world.sim.topic(&group, OPS, Topic::Closed);
    world.sim.topic(&group, GENERAL, Topic::Closed);
    fails(&world, &agent, "nginx.service").await;
    for _ in 0..5 {
        fails(&world, &agent, "nginx.service").await;
    }
    assert!(world.untaken(&group).is_empty());
    world.sim.topic(&group, OPS, Topic::Open);
    world.clock.pass(HOUR).await;
    assert_eq!(world.see(&group, "nginx.service failed").await.topic, Some(OPS));
});
