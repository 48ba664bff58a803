//! Debian 11: its polkit cannot tell services apart, so the agent watches and does nothing else.

use anyhow::Result;
use osm_tests::server::{Server, listed};

use crate::site;

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
    // polkit's own word, whatever the agent thinks of itself.
    let restart = server.machine.as_user("osm-agent", &["systemctl", "--no-ask-password", "restart", "ssh.service"])?;
    assert!(restart.status != 0 && restart.stderr.contains("Interactive authentication required"), "{restart:?}");

    site::apt(&server.machine, &["purge", "osm-agent"])?;
    assert_ne!(server.machine.run(&["test", "-e", "/var/lib/osm-agent"])?.status, 0);
    Ok(())
}
