//! Debian 11: its polkit cannot tell services apart, so the agent watches and does nothing else.

use anyhow::{Context, Result};
use osm_telegram_sim::BotMessage;
use osm_tests::{
    server::{Server, listed},
    world::{ANNA, SOON},
};

use crate::site;

/// The id of a question that nobody was asked.
const QUESTION: &str = "0190a6b0-7c00-7000-8000-00000000a5ed";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debian_11_is_monitored_and_says_why_it_cannot_act() -> Result<()> {
    let server = Server { world: site::backend().await?, machine: site::machine("bullseye", "old-11")? };
    site::run_ok(&server.machine, &site::lines(&server.world, "old-11", None).await?)?;
    let card = server.first_card("old-11").await?;
    assert!(card.plain.contains("Debian GNU/Linux 11") && card.plain.contains("Memory"), "{}", card.plain);
    let why = "polkit 0.105 has no rules that tell services apart";
    assert!(card.plain.contains(why), "{}", card.plain);
    for action in ["Restart a service", "Clean journal", "Rotate logs", "Reboot"] {
        assert!(card.button(action).is_none(), "{action} is offered");
    }
    assert!(server.machine.ok(&["osm-agent", "services"])?.contains(why));
    assert!(listed(&server.machine)?.is_empty());
    assert_ne!(server.machine.run(&["test", "-e", "/etc/polkit-1/rules.d/50-osm-agent.rules"])?.status, 0);
    a_command_is_refused_all_the_same(&server, &card, why).await?;
    // polkit's own word, whatever the agent thinks of itself.
    let restart = server.machine.as_user("osm-agent", &["systemctl", "--no-ask-password", "restart", "ssh.service"])?;
    assert!(restart.status != 0 && restart.stderr.contains("Interactive authentication required"), "{restart:?}");

    site::apt(&server.machine, &["purge", "osm-agent"])?;
    assert_ne!(server.machine.run(&["test", "-e", "/var/lib/osm-agent"])?.status, 0);
    Ok(())
}

/// The chat offers none: a backend that somebody has stolen would send one.
async fn a_command_is_refused_all_the_same(server: &Server, card: &BotMessage, why: &str) -> Result<()> {
    let (world, anna) = (&server.world, &server.world.anna);
    let state: serde_json::Value = serde_json::from_str(&server.machine.ok(&["cat", "/var/lib/osm-agent/state.json"])?)?;
    let id = state["server_id"].as_str().context("a server id")?;
    // As if Anna had been asked.
    world
        .sql(&format!(
            "INSERT INTO confirmations (id, chat_id, user_id, actor_name, server_id, asks, expires_at, state, message_id) VALUES \
             ('{QUESTION}', {ANNA}, {ANNA}, 'Anna', '{id}', '{{\"type\":\"restart\",\"unit\":\"ssh.service\"}}', {}, 'open', '{QUESTION}')",
            i64::MAX
        ))
        .await;
    world.sim.press_data(anna, anna, card.message_id, &format!("y:{QUESTION}"));
    let refused = |message: &BotMessage| message.plain.contains("The host refused it") && message.plain.contains(why);
    world.sim.wait(anna, SOON, refused).await.with_context(|| world.sim.transcript(anna))?;
    Ok(())
}
