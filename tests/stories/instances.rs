//! Two backends on one PostgreSQL database: each does its share, nothing is done twice, and one goes on without the other.
//! (SQLite is for one process alone.)

use std::time::Duration;

use futures_util::future::join_all;
use osm_protocol::action::OutcomeKind;
use osm_telegram_sim::{Options, User};
use osm_tests::{
    agent::{Agent, client},
    database::Engine,
    until::until_within,
    world::{ANNA, SOON, World},
};
use serde_json::json;
use tokio::time::timeout;

/// What a wake takes from one backend to the other at most, once the tap is answered. A poll that is not woken lasts 10 s.
const CROSSED: Duration = Duration::from_secs(2);

/// Hands an update to one of the backends, as a balancer does; what it cannot take now comes again, as Telegram's does.
async fn post(world: &World, api: &str, update: &serde_json::Value) {
    // Sixty at once, each twice: on a busy machine that takes its time.
    until_within(Duration::from_mins(1), "the backend takes the update", async || {
        let request = client()
            .post(format!("{api}/telegram/webhook"))
            .header("X-Telegram-Bot-Api-Secret-Token", world.core.keys.webhook_secret.expose())
            .body(update.to_string());
        let status = request.send().await.unwrap().status().as_u16();
        assert!(matches!(status, 200 | 503), "{status}");
        status == 200
    })
    .await;
}

fn add_server(update_id: usize, user: &User, name: &str) -> serde_json::Value {
    json!({
        "update_id": update_id,
        "message": {
            "message_id": 5, "date": 1_800_000_000, "text": format!("/add_server {name}"),
            "from": { "id": user.id, "is_bot": false, "first_name": user.name },
            "chat": { "id": user.id, "type": "private", "first_name": user.name },
            "entities": [{ "type": "bot_command", "offset": 0, "length": 11 }]
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_spread_over_two_backends_are_each_answered_once() {
    let settings = [("OSM_ALLOWED_USERS", "*"), ("OSM_TELEGRAM_MODE", "webhook")];
    let world = World::with(Engine::Postgres, Options::default(), &settings).await;
    let other = world.another().await.unwrap();
    let users: Vec<User> = (3001..=3020).map(|id| world.sim.user(id, "Somebody")).collect();
    for user in &users {
        // Telegram lets a bot write only to who has written to it; this is no command, and gets no answer.
        world.sim.say(user, user, "hello");
    }
    world.sim.wait_delivered(SOON).await.unwrap();

    let updates: Vec<_> = (0..60).map(|number| add_server(1000 + number, &users[number % 20], &format!("n{number}."))).collect();
    let apis = [&world.api, &other.api];
    let all = |first: usize| {
        let (world, updates) = (&world, &updates);
        join_all(updates.iter().enumerate().map(move |(number, update)| async move {
            post(world, apis[(number + first) % 2], update).await;
        }))
    };
    // Telegram repeats what it thinks was lost, and the balancer sends that to the other one.
    tokio::join!(all(0), all(1));
    world.settled(Duration::from_mins(1)).await;

    for (number, user) in (0..60).zip(users.iter().cycle()) {
        let title = format!("Add a server: n{number}.");
        let answers = world.sim.messages(user).iter().filter(|message| message.plain.contains(&title)).count();
        assert_eq!(answers, 1, "{title}:\n{}", world.sim.transcript(user));
    }
    assert_eq!(world.rows("SELECT COUNT(*) FROM pairings").await, [[60]]);
    other.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_reaches_an_agent_that_waits_at_the_other_backend() {
    let world = World::new(Engine::Postgres).await;
    let other = world.another().await.unwrap();
    // Its requests are signed for the public URL, and the balancer sends them to the other backend.
    let mut agent = Agent { api: other.api.clone(), ..world.paired("web-1").await };
    // Either backend may handle a tap, most likely the one that took it: three times, so that one of them crosses over.
    for round in 1..=3 {
        let question = world.restart_question("nginx.service").await;
        let poll = tokio::spawn({
            let mut agent = agent.clone();
            async move { agent.command().await.map(|command| (agent, command)) }
        });
        World::poll_stands(&other.core, agent.server_id).await;
        world.tap(&world.anna, &question, "Restart").await;
        let polled = timeout(CROSSED, poll).await.unwrap_or_else(|_| panic!("{round}: the poll is not woken"));
        let command;
        (agent, command) = polled.unwrap().unwrap();
        assert_eq!(agent.finish(command.jti, OutcomeKind::Succeeded, "well").await.unwrap().status, 200);
        world.becomes(&question, "Done").await;
    }
    other.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_backend_no_longer_sends_the_other_does() {
    let mut world = World::new(Engine::Postgres).await;
    world.ask(&world.anna, "/help", "/servers").await;
    let other = world.another().await.unwrap();
    let anna = world.anna.clone();
    world.stop().await.unwrap();
    post(&world, &other.api, &add_server(2001, &anna, "stopped")).await;
    world.see(ANNA, "Add a server: stopped").await;

    // One that dies gives nothing up: its lease runs out.
    world.start().await.unwrap();
    other.crash().await;
    world.sim.say(&anna, &anna, "/add_server crashed");
    world.sim.wait_delivered(SOON).await.unwrap();
    world.clock.advance(31_000);
    world.see(ANNA, "Add a server: crashed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_backend_refuses_a_replaced_key_five_seconds_after_it_was_looked_up_however_often_it_calls() {
    let world = World::new(Engine::Postgres).await;
    let other = world.another().await.unwrap();
    let old = world.paired("web-1").await;
    let (token, _) = world.token(&world.anna, "web-1").await;
    let there = Agent { api: other.api.clone(), ..old.clone() };
    let keys = async || there.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status;
    // The other backend knows the old key by heart from this moment, and it is replaced in the same.
    world.clock.advance(5_000);
    assert_eq!(keys().await, 200);
    let reply = Agent::new(&world).pair_replacing(&token, old.server_id, &old, "c").await;
    assert_eq!(reply.status, 200);
    for second in 0..5 {
        assert_eq!(keys().await, 200, "after {second} s");
        world.clock.advance(1_000);
    }
    assert_eq!(keys().await, 410);
    drop(world);
    other.stop().await.unwrap();
}
