//! Everything at once.

use futures_util::{StreamExt as _, stream};
use osm_api::{
    domain::{
        SECOND,
        alert::{Limits, Rule, Severity},
        ids::ChatId,
    },
    store::thresholds,
};
use osm_protocol::{ids::ServerId, messages::Report};
use osm_telegram_sim::Options;
use osm_tests::{
    agent::{Agent, service},
    story,
    world::World,
};

use crate::tally::{Ear, too_many};

/// Telegram with its budgets, and everybody may use the bot.
async fn world(engine: osm_tests::database::Engine) -> World {
    let settings = [("OSM_ALLOWED_USERS", "*"), ("OSM_TELEGRAM_MODE", "webhook")];
    World::with(engine, Options { enforce_budgets: true, ..Options::default() }, &settings).await
}

/// Failed services are only warnings here.
async fn take_failures_lightly(world: &World, chat_id: i64, server_id: Option<ServerId>) {
    let mut tx = world.core.store.begin().await.expect("a transaction");
    let limits = Limits { severity: Severity::Warning, ..Rule::Service.default_limits() };
    thresholds::set(&mut tx, ChatId(chat_id), server_id, Rule::Service, &limits).await.expect("limits");
    tx.commit("limits").await.expect("a commit");
}

/// All report at once, by a clock that stands still, so many failed services each.
async fn all_fail(agents: &[Agent], services: usize) {
    let failed: Vec<_> = (0..services).map(|number| service(&format!("app-{number}.service"), "failed", "failed")).collect();
    let report = |agent: &Agent| Report { services: failed.clone(), ..agent.report() };
    stream::iter(agents)
        .for_each_concurrent(32, async |agent| {
            agent.send_report(&report(agent)).await.expect("taken");
        })
        .await;
}

story!(fifty_servers_with_ten_alerts_each_in_one_second_are_two_messages, |engine| {
    let world = world(engine).await;
    world.ask(&world.anna, "/start", "").await;
    let agents = world.enlist(&world.anna, 50).await;
    for agent in agents.iter().step_by(2) {
        take_failures_lightly(&world, world.anna.id, Some(agent.server_id)).await;
    }
    let ear = Ear::new(&world, &world.anna).await;
    world.clock.pass(SECOND).await;
    all_fail(&agents, 10).await;
    world.all_is_told().await;
    world.clock.pass(30 * SECOND).await;
    let heard = ear.heard(&world).await;
    println!("50 servers x 10 alerts in a second: {} messages, {} refused by Telegram", heard.len(), too_many(&world));
    assert!((1..=2).contains(&heard.len()), "{heard:#?}");
    let last = heard.last().expect("a message");
    assert!(last.plain.contains("critical"), "{}", last.plain);
    let (critical, warning) = (last.plain.rfind("🔴"), last.plain.find("🟠"));
    assert!(critical.is_some() && warning.is_none_or(|warning| Some(warning) > critical), "{}", last.plain);
    assert_eq!(too_many(&world), 0);
    assert_eq!(world.rows("SELECT COUNT(*) FROM incidents WHERE message_id IS NOT NULL").await, [[500]]);
});

story!(ten_thousand_alerts_at_once_are_a_digest_a_chat_the_critical_ones_first, |engine| {
    const CHATS: usize = 100;
    /// Calls under way at a time: the last critical ones and the first warnings may overtake each other there.
    const AT_ONCE: usize = 16;
    let world = world(engine).await;
    let mut agents = Vec::new();
    let chats: Vec<i64> = (3001..).take(CHATS).collect();
    for (place, chat) in chats.iter().enumerate() {
        let person = world.sim.user(*chat, "Somebody");
        world.ask(&person, "/start", "").await;
        let enlisted = world.enlist(*chat, 2).await;
        if place % 2 == 0 {
            take_failures_lightly(&world, *chat, None).await;
        }
        agents.extend(enlisted);
    }
    world.all_is_told().await;
    let before = world.sim.calls().len();
    // Another instance has the sender's role until all of it is in.
    world
        .sql(
            "UPDATE leases SET holder = '00000000-0000-7000-8000-000000000001', expires_at = 9000000000000 WHERE role = 'sender'",
        )
        .await;
    world.clock.pass(SECOND).await;
    all_fail(&agents, 50).await;
    world.sql("UPDATE leases SET expires_at = 0 WHERE role = 'sender'").await;
    let started = std::time::Instant::now();
    world.all_is_told().await;
    let took = started.elapsed();

    let calls = world.sim.calls();
    let told: Vec<i64> =
        calls[before..].iter().filter(|call| call.method == "sendMessage").filter_map(|call| call.chat_id).collect();
    println!(
        "10,000 alerts at once in 100 chats: {} messages in {took:.1?}, {} refused by Telegram",
        told.len(),
        too_many(&world)
    );
    assert_eq!(told.len(), CHATS);
    let first_warning = told.iter().position(|chat| (chat - chats[0]) % 2 == 0).expect("a warning");
    assert!(first_warning >= CHATS / 2 - AT_ONCE, "a warning was told as number {first_warning}");
    assert_eq!(too_many(&world), 0);
    assert_eq!(world.rows("SELECT COUNT(*) FROM incidents WHERE message_id IS NOT NULL").await, [[10_000]]);
});

story!(ten_thousand_alerts_in_one_chat_are_two_messages, |engine| {
    let world = world(engine).await;
    world.ask(&world.anna, "/start", "").await;
    let agents = world.enlist(&world.anna, 200).await;
    let ear = Ear::new(&world, &world.anna).await;
    world.clock.pass(SECOND).await;
    all_fail(&agents, 50).await;
    world.all_is_told().await;
    world.clock.pass(30 * SECOND).await;
    let heard = ear.heard(&world).await;
    println!("10,000 alerts at once in one chat: {} messages, {} refused by Telegram", heard.len(), too_many(&world));
    assert!((1..=2).contains(&heard.len()), "{heard:#?}");
    assert_eq!(world.rows("SELECT COUNT(*) FROM incidents WHERE message_id IS NOT NULL").await, [[10_000]]);
    // Somebody has them all.
    world.sim.say(&world.anna, &world.anna, "/alerts");
    let list = world.see_among(&world.anna, "Open alerts: 10").await;
    world.tap(&world.anna, &list, "I have them all").await;
    world.all_is_told().await;
    assert_eq!(world.rows("SELECT COUNT(*) FROM incidents WHERE acked_by IS NULL").await, [[0]]);
    assert_eq!(too_many(&world), 0);
});
