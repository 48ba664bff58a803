//! `make run-systemd`, to its end: its own conversation fails unless the button has really restarted nginx.

use std::process::Command;

use anyhow::Result;
use osm_tests::process::program;

#[test]
fn the_conversation_with_a_booted_server_is_played_and_nginx_restarts() -> Result<()> {
    let mut demo = Command::new(program("osm-demo"));
    demo.args(["--systemd", "--once"]).env("OSM_LISTEN", "127.0.0.1:0").env("OSM_DEMO_CHAT_LISTEN", "127.0.0.1:0");
    let output = demo.env_remove("OSM_TELEGRAM_TOKEN").env_remove("OSM_TELEGRAM_TOKEN_FILE").output()?;
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("Restart nginx.service") && shown.contains("The host says: active (running)"), "{shown}");
    Ok(())
}
