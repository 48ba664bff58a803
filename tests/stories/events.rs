//! What happened leaves one event each, numbered once it is committed.

use std::collections::BTreeSet;

use osm_api::{
    domain::{
        MINUTE,
        event::{By, Event, Happened, Recorded},
        ids::EventNumber,
    },
    store::events,
    usecase::work::Work,
};
use osm_protocol::action::OutcomeKind;
use osm_tests::{
    agent::Agent,
    database::Engine,
    story,
    until::until,
    world::{ANNA, SOON, World},
};

/// What has a number above this one.
async fn after(world: &World, number: i64) -> Vec<Recorded> {
    let mut tx = world.core.store.read().await.unwrap();
    events::after(&mut tx, EventNumber(number), 1000).await.unwrap()
}

/// Waits until nothing is without a number, and gives all events.
async fn all(world: &World) -> Vec<Recorded> {
    let unnumbered = "SELECT COUNT(*) FROM events WHERE number IS NULL";
    until("numbers for all events", async || world.rows(unnumbered).await == [[0]]).await;
    after(world, 0).await
}

fn kinds(events: &[Recorded]) -> Vec<&'static str> {
    events.iter().map(|recorded| recorded.event.kind()).collect()
}

story!(what_happened_is_one_event_each_with_who_and_where, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.tap(&world.anna, &question, "Restart").await;
    let command = agent.command().await.unwrap();
    agent.finish(command.jti, OutcomeKind::Succeeded, "active (running)").await.unwrap();
    world.settled(SOON).await;

    let events = all(&world).await;
    assert_eq!(kinds(&events), ["pairing-asked", "paired", "asked", "confirmed", "command-queued", "command-ended"]);
    assert_eq!(events.iter().map(|event| event.number.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let by: BTreeSet<String> = events.iter().map(|event| event.by.to_string()).collect();
    assert_eq!(by.into_iter().collect::<Vec<_>>(), ["Anna (@anna_1001) (1001)", "the agent"]);
    assert!(events[1..].iter().all(|event| event.server.as_ref().is_some_and(|server| server.name == "web-1")), "{events:?}");
    // Saying it again changes nothing, and is no event.
    agent.finish(command.jti, OutcomeKind::Succeeded, "active (running)").await.unwrap();
    assert_eq!(all(&world).await.len(), 6);
    assert_eq!(world.rows("SELECT COUNT(*) FROM events e JOIN chats c ON c.inner_id = e.chat").await, [[6]]);
});

story!(events_stay_when_their_server_is_removed_and_hold_no_secret, |engine| {
    let world = World::new(engine).await;
    let (token, _) = world.token(&world.anna, "web-1").await;
    let mut agent = Agent::new(&world);
    agent.pair(&token).await.unwrap();
    agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap();
    let events = all(&world).await;
    assert_eq!(kinds(&events), ["pairing-asked", "paired", "unpaired"]);
    assert_eq!(world.rows("SELECT COUNT(*) FROM servers").await, [[0]]);
    let text = format!("{events:?}");
    assert!(!text.contains(&token) && !text.contains("OSM1"), "{text}");
});

story!(who_is_nobody_here_is_counted_and_told_once_a_minute, |engine| {
    let world = World::new(engine).await;
    let agent = Agent::new(&world);
    for _ in 0..3 {
        let token = osm_protocol::pairing_token::PairingToken::new([7; 16], &(&agent.key).into()).text();
        assert_eq!(agent.post("/agent/v1/pair", &agent.pair_request(&token)).await.unwrap().status, 403);
        assert_eq!(agent.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status, 401);
    }
    assert!(all(&world).await.is_empty(), "they are told together");
    world.clock.pass(MINUTE).await;
    let events = all(&world).await;
    let told: Vec<(String, u64, &[String])> = events
        .iter()
        .map(|recorded| match &recorded.event {
            Event::Refused { what, count, networks } => (format!("{what:?}"), *count, networks.as_slice()),
            other => panic!("{other:?}"),
        })
        .collect();
    let loopback = ["127.0.0.1".to_owned()];
    assert_eq!(told, [("PairingToken".to_owned(), 3, &loopback[..]), ("UnknownKey".to_owned(), 3, &loopback[..])]);
    world.clock.pass(10 * MINUTE).await;
    assert_eq!(all(&world).await.len(), 2, "nobody was refused since");
});

/// Ids are given before the commit: on PostgreSQL a lower one can become visible after a higher one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_what_was_committed_in_the_reverse_order_of_ids() {
    let world = World::new(Engine::Postgres).await;
    let happened = |update| Happened::in_chat(osm_api::domain::ids::ChatId(ANNA), Event::UpdateSetAside { update });
    let mut first = Work::begin(&world.core, By::System {}).await.unwrap();
    first.record(happened(1));
    let mut second = Work::begin(&world.core, By::System {}).await.unwrap();
    second.record(happened(2));

    second.commit("second").await.unwrap();
    let seen = all(&world).await;
    assert!(matches!(seen[..], [Recorded { event: Event::UpdateSetAside { update: 2 }, .. }]), "{seen:?}");
    first.commit("first").await.unwrap();
    all(&world).await;
    let later = after(&world, seen[0].number.0).await;
    assert!(matches!(later[..], [Recorded { event: Event::UpdateSetAside { update: 1 }, .. }]), "{later:?}");
}
