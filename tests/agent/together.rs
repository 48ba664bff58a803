//! The real agent with the real backend and a person in the chat.

use osm_tests::{
    database,
    process::{Host, terminate},
    talk::token_in,
    until::until_within,
    world::{START, World},
};

use crate::backend::SOON;

/// A host that is paired from the chat, as the message says.
async fn paired(world: &World) -> Host {
    let host = Host::default();
    let message = world.ask(&world.anna, "/add_server web-1", "osm-agent pair").await;
    host.pair(&world.api, &token_in(&message).unwrap()).succeeded();
    world.see(&world.anna, "Key fingerprint").await;
    host
}

async fn until(what: &str, so: impl AsyncFnMut() -> bool) {
    // Reports come every few seconds.
    until_within(SOON, what, so).await;
}

/// Times of the reports that are stored, and of their arrival, oldest first.
async fn stored(world: &World) -> Vec<(i64, i64)> {
    let rows = database::rows(&world.database_url(), "SELECT at, received_at FROM reports ORDER BY at").await.unwrap();
    rows.iter().map(|row| (row[0], row[1])).collect()
}

osm_tests::story!(a_host_whose_clock_is_wrong_by_months_is_paired_reports_and_says_so, |engine| {
    // The backend's clock stands in 2027.
    let world = World::new(engine).await;
    let host = paired(&world).await;
    let running = host.run();
    let card = world.see(&world.anna, "online").await;
    assert!(card.plain.contains("web-1"), "{}", card.plain);
    until("the skew on the card", async || {
        world.ask(&world.anna, "/status", "online").await.plain.to_lowercase().contains("clock")
    })
    .await;
    let times = stored(&world).await;
    assert!(times.iter().all(|(at, _)| at.abs_diff(START) < 60_000), "{times:?}");
    let status = host.output(&mut host.command(&["status"])).succeeded();
    assert!(status.contains("behind the backend's"), "{status}");
    terminate(running);
});

osm_tests::story!(what_was_measured_while_the_backend_was_away_arrives_with_its_real_times_after_the_live_one, |engine| {
    let mut world = World::on_system_clock(engine, &[]).await;
    let host = paired(&world).await;
    let running = host.run();
    world.see(&world.anna, "online").await;
    until("a first report taken", async || host.spooled().is_empty()).await;
    world.stop().await.unwrap();
    let away = world.clock.now();
    until("two reports in the spool", async || host.spooled().len() >= 3).await;
    let kept = host.spooled();
    let back = world.clock.now();
    world.start().await.unwrap();
    until("an empty spool", async || host.spooled().is_empty()).await;

    let times = stored(&world).await;
    let meanwhile: Vec<_> = times.iter().filter(|(at, _)| (away..back).contains(at)).collect();
    assert!(meanwhile.len() >= kept.len().min(2), "{kept:?} {times:?}");
    for (at, _) in &meanwhile {
        assert!(kept.iter().any(|name| name.contains(&at.to_string())) || *at > back - 6_000, "{at} {kept:?}");
    }
    let live = times.iter().filter(|(_, received_at)| *received_at > away).min_by_key(|(_, received_at)| *received_at).unwrap();
    assert!(meanwhile.iter().filter(|row| **row != live).all(|(at, _)| *at < live.0), "the live one came first: {times:?}");
    let mut spaced = times.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    spaced.dedup();
    assert_eq!(spaced.len(), times.len());
    // History brings no second card.
    world.hears_nothing(&world.anna).await;
    terminate(running);
});

osm_tests::story!(a_host_that_is_removed_in_the_chat_stops_and_one_that_unpairs_is_gone_from_it, |engine| {
    let world = World::on_system_clock(engine, &[]).await;
    let host = paired(&world).await;
    let running = host.run();
    world.see(&world.anna, "online").await;
    let choice = world.ask(&world.anna, "/remove_server", "Which server").await;
    world.tap(&world.anna, &choice, "web-1").await;
    let question = world.see(&world.anna, "Remove web-1").await;
    world.tap(&world.anna, &question, "Remove").await;
    world.becomes(&question, "web-1 is removed").await;
    until("the agent's notice of it", async || {
        host.output(&mut host.command(&["status"])).succeeded().contains("no longer knows this server")
    })
    .await;
    // Paired again it works again, under the eyes of the agent that still runs.
    let message = world.ask(&world.anna, "/add_server web-2", "osm-agent pair").await;
    host.pair(&world.api, &token_in(&message).unwrap()).succeeded();
    world.see(&world.anna, "Key fingerprint").await;
    let card = world.see(&world.anna, "online").await;
    assert!(card.plain.contains("web-2"), "{}", card.plain);
    terminate(running);
    assert!(host.output(&mut host.command(&["unpair"])).succeeded().contains("no longer paired"));
    world.see(&world.anna, "unpaired").await;
    assert!(!host.state_dir().join("state.json").exists(), "the key is forgotten");
    assert!(host.output(&mut host.command(&["status"])).succeeded().contains("Not paired"));
});
