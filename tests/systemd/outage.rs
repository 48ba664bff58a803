//! The backend is away for a while, and the agent is killed meanwhile: what was measured arrives with its own times.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use osm_tests::{database::Engine, world::World};
use sqlx::{Connection, SqliteConnection};

use osm_tests::server::{NGINX, Server};

const KEPT: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_measured_while_the_backend_was_away_arrives_with_its_own_times() -> Result<()> {
    let mut server = Server::at_work(Engine::Sqlite, "outage", "interval = 5", |_| Ok(())).await?;
    let pid = server.main_pid(osm_tests::server::AGENT)?;
    let nginx = server.main_pid(NGINX)?;

    server.world.stop().await?;
    let away_since = server.world.clock.now();
    let kept = server.wait_for("kept reports", || Ok(Some(kept(&server)?).filter(|kept| kept.len() >= KEPT)))?;
    let status = server.machine.ok(&["osm-agent", "status"])?;
    assert!(status.contains("Last error"), "{status}");

    server.kill_agent()?;
    server.came_back(1)?;
    assert_ne!(server.main_pid(osm_tests::server::AGENT)?, pid);
    let after = server.wait_for("report of the new process", || {
        let now = self::kept(&server)?;
        Ok((now.len() > kept.len()).then_some(now))
    })?;
    assert!(kept.keys().all(|at| after.contains_key(at)), "a kill costs no report: {kept:?}, then {after:?}");

    server.world.start().await?;
    let back_at = server.world.clock.now();
    server.wait_for("empty spool", || Ok(self::kept(&server)?.is_empty().then_some(())))?;
    let now = server.world.clock.now();

    let rows = rows(&server.world).await?;
    for at in after.keys() {
        let (received_at, _) = rows.get(at).with_context(|| format!("the report of {at} is missing: {rows:?}"))?;
        assert!((away_since..=back_at).contains(at) && *received_at >= back_at, "{at}, received at {received_at}");
    }
    // Nothing is made up: reports are of moments that were, none was received before it was measured, the kill is no load.
    for (at, (received_at, cpu)) in &rows {
        assert!(*at <= *received_at && *received_at <= now, "{at} {received_at}");
        assert!(cpu.is_none_or(|cpu| (0.0..=100.0).contains(&cpu)), "{at}: {cpu:?}");
    }
    let while_away = rows.keys().filter(|at| (away_since..back_at).contains(*at)).count();
    assert!(
        (after.len()..=after.len() + 1).contains(&while_away),
        "{while_away} reports of that time, {} were kept",
        after.len()
    );

    // The present is shown, not the past, and the way back works.
    let card = server.card_with("nginx.service · active").await?;
    assert!(!card.plain.contains("suspended") && !card.plain.contains("clock is"), "{}", card.plain);
    let question = server.ask_restart(NGINX).await?;
    server.told(&question, "Done").await?;
    assert_ne!(server.main_pid(NGINX)?, nginx);
    Ok(())
}

/// Reports in the agent's spool, by their times, which stand in their names: `NUMBER_AT_BOOT-TIME_BOOT.json`.
fn kept(server: &Server) -> Result<BTreeMap<i64, String>> {
    let files =
        server.state_files("")?.into_iter().filter(|file| file.starts_with("spool-") && file.rsplit('.').next() == Some("json"));
    // The folder's name has a key's id in it, which may hold a `_` too.
    let time = |file: &str| file.rsplit('/').next()?.split('_').nth(1)?.parse().ok();
    files.map(|file| Ok((time(&file).with_context(|| format!("no time in {file}"))?, file))).collect()
}

/// When reports were measured → when they came, and the CPU's load in them.
async fn rows(world: &World) -> Result<BTreeMap<i64, (i64, Option<f64>)>> {
    let file = world.state_dir().join("osm.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}?mode=ro", file.display())).await?;
    let rows: Vec<(i64, i64, Option<f64>)> =
        sqlx::query_as("SELECT at, received_at, cpu FROM reports").fetch_all(&mut database).await?;
    Ok(rows.into_iter().map(|(at, received_at, cpu)| (at, (received_at, cpu))).collect())
}
