//! The other actions on a real system: journal, logrotate, reboot; and the host's last word on each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use osm_telegram_sim::BotMessage;
use osm_tests::{
    server::{AGENT, NGINX, Server, listed},
    world::SOON,
};

const DROP_IN: &str = "/etc/systemd/system/osm-agent.service.d";
const LIST: &str = "/var/lib/osm-agent-policy/units.json";
const RULE: &str = "/etc/polkit-1/rules.d/50-osm-agent.rules";

/// The server's `agent.toml` is its own again afterwards.
pub async fn all(server: &Server) -> Result<()> {
    server.configure("interval = 5\n[journal]\nkeep_megabytes = 1\n[rates]\nreboots_per_day = 5")?;
    server.machine.ok(&["systemctl", "restart", AGENT])?;
    the_journal_is_cleaned(server).await?;
    logs_are_rotated(server).await?;
    a_reboot_is_cancelled(server).await?;
    cancelling_touches_only_our_own(server).await?;
    what_root_has_scheduled_stays(server).await?;
    the_server_reboots(server).await?;
    what_agent_toml_forbids_loses_its_grant_at_once(server).await?;
    what_agent_toml_says_last_holds(server)?;
    an_alert_names_processes_where_root_lets_it(server).await?;
    server.configure("interval = 5")?;
    server.machine.ok(&["systemctl", "restart", AGENT])?;
    Ok(())
}

async fn the_journal_is_cleaned(server: &Server) -> Result<()> {
    let flood = "head -c 24000000 /dev/urandom | base64 -w 1000 | systemd-cat; journalctl --sync; journalctl --rotate";
    server.machine.ok(&["sh", "-c", flood])?;
    let question = ask(server, "Clean journal").await?;
    confirm(server, &question, "✅ Clean").await;
    let told = server.told(&question, "Done").await?;
    let freed = told.split("The host says: ").nth(1).and_then(|said| said.split(' ').next()).context("no figure")?;
    let freed: f64 = freed.parse().with_context(|| told.clone())?;
    assert!(freed > 8.0, "{told}");
    // A second one at once is over the host's rates.
    let question = ask(server, "Clean journal").await?;
    confirm(server, &question, "✅ Clean").await;
    server.told(&question, "The host refused it").await?;
    Ok(())
}

async fn logs_are_rotated(server: &Server) -> Result<()> {
    server.machine.write("/etc/logrotate.d/a-service", "/var/log/a-service.log {\n size 1\n rotate 1\n}\n", 0o644, "root")?;
    server.machine.write("/var/log/a-service.log", "one\ntwo\n", 0o644, "root")?;
    let question = ask(server, "Rotate logs").await?;
    confirm(server, &question, "✅ Rotate").await;
    server.told(&question, "Done").await?;
    assert_eq!(server.machine.ok(&["cat", "/var/log/a-service.log.1"])?, "one\ntwo\n");
    Ok(())
}

async fn a_reboot_is_cancelled(server: &Server) -> Result<()> {
    let ahead = reboot_ahead(server).await?;
    cancel(server, &ahead).await;
    server.told(&ahead, "The host says: called off from the chat").await?;
    assert_eq!(scheduled(server)?, "", "nothing is scheduled any more");
    Ok(())
}

/// Root puts another shutdown in the place of ours, and Anna cancels before the agent has seen that.
async fn cancelling_touches_only_our_own(server: &Server) -> Result<()> {
    let machine = &server.machine;
    let ahead = reboot_ahead(server).await?;
    machine.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=STOP", AGENT])?;
    machine.ok(&["shutdown", "-h", "+60"])?;
    let roots = scheduled(server)?;
    assert!(roots.starts_with("poweroff"), "{roots}");
    let cancellations = || -> Result<usize> {
        let ledger = machine.ok(&["cat", "/var/lib/osm-agent/ledger.jsonl"])?;
        Ok(ledger.matches("cancel-reboot").count())
    };
    let before = cancellations()?;
    cancel(server, &ahead).await;
    machine.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=CONT", AGENT])?;
    server.told(&ahead, "The host says: called off on the server").await?;
    server.wait_for("cancellation", || Ok((cancellations()? > before).then_some(())))?;
    assert_eq!(scheduled(server)?, roots);
    machine.ok(&["shutdown", "-c"])?;
    Ok(())
}

/// The message of a reboot that is scheduled.
async fn reboot_ahead(server: &Server) -> Result<BotMessage> {
    let question = ask(server, "Reboot").await?;
    confirm(server, &question, "✅ Reboot").await;
    server.told(&question, "reboots 60 s after").await?;
    server.wait_for("scheduled reboot", || Ok(scheduled(server)?.starts_with("reboot").then_some(())))?;
    let world = &server.world;
    world.sim.message(&world.anna, question.message_id).context("the question")
}

async fn cancel(server: &Server, ahead: &BotMessage) {
    server.world.tap(&server.world.anna, ahead, "Cancel the reboot").await;
}

async fn what_root_has_scheduled_stays(server: &Server) -> Result<()> {
    server.machine.ok(&["shutdown", "-h", "+60"])?;
    let before = scheduled(server)?;
    assert!(before.starts_with("poweroff"), "{before}");
    let question = ask(server, "Reboot").await?;
    confirm(server, &question, "✅ Reboot").await;
    let told = server.told(&question, "Failed").await?;
    assert!(told.contains("somebody on the server has scheduled a poweroff in"), "{told}");
    assert_eq!(scheduled(server)?, before);
    server.machine.ok(&["shutdown", "-c"])?;
    Ok(())
}

async fn the_server_reboots(server: &Server) -> Result<()> {
    let boot_id = || server.machine.ok(&["cat", "/proc/sys/kernel/random/boot_id"]);
    let before = boot_id()?;
    let question = ask(server, "Reboot").await?;
    confirm(server, &question, "✅ Reboot").await;
    server.told(&question, "reboots 60 s after").await?;
    // Made anew at boot, before the agent starts.
    let listed_before = listed(&server.machine)?;
    server.machine.ok(&["rm", RULE, LIST])?;
    server.machine.wait_for_reboot(1, Duration::from_mins(3))?;
    assert_ne!(boot_id()?, before);
    assert_eq!(listed(&server.machine)?, listed_before);
    assert!(server.machine.ok(&["cat", RULE])?.contains(NGINX));
    let told = server.told(&question, "Done").await?;
    assert!(told.contains("The host says: back after "), "{told}");
    Ok(())
}

/// Through the path unit: nobody runs anything.
async fn what_agent_toml_forbids_loses_its_grant_at_once(server: &Server) -> Result<()> {
    let rule = || server.machine.ok(&["cat", RULE]);
    assert!(rule()?.contains("osmAgentReboots = true") && rule()?.contains("osm-agent-journal.service"));
    server.configure("interval = 5\n[actions]\nreboot = false\nclean_journal = false")?;
    server.wait_for("narrower rule", || Ok(rule()?.contains("osmAgentReboots = false").then_some(())))?;
    assert!(!rule()?.contains("osm-agent-journal.service") && rule()?.contains("osm-agent-logrotate.service"));
    server.configure(
        "interval = 5\n[actions]\nreboot = false\nclean_journal = false\nrun_logrotate = false\nrestart_service = false",
    )?;
    server.wait_for("end of the rule", || Ok((server.machine.run(&["test", "-e", RULE])?.status != 0).then_some(())))?;
    server.machine.ok(&["systemctl", "restart", AGENT])?;
    server.card_without("Reboot").await?;
    // Not even by hand.
    let ask = ["busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"];
    let call = [&ask[..], &["ScheduleShutdown", "st", "reboot", "2000000000000000"]].concat();
    let refused = server.machine.as_user("osm-agent", &call)?;
    assert!(refused.status != 0 && scheduled(server)?.is_empty(), "{refused:?}");
    Ok(())
}

/// Also what is written while the list is being made: systemd's path unit forgets that.
fn what_agent_toml_says_last_holds(server: &Server) -> Result<()> {
    for round in 0..10 {
        let reboot = round % 2 == 0;
        server.machine.ok(&["systemctl", "restart", "--no-block", "osm-agent-policy.service"])?;
        server.configure(&format!("interval = 5\n[actions]\nreboot = {reboot}"))?;
        let granted = format!("osmAgentReboots = {reboot}");
        server.wait_for("rule", || Ok(server.machine.ok(&["cat", RULE])?.contains(&granted).then_some(())))?;
    }
    Ok(())
}

/// agent.toml alone does not do it: the sandbox hides other users' processes, and doctor says what to do about that.
async fn an_alert_names_processes_where_root_lets_it(server: &Server) -> Result<()> {
    let machine = &server.machine;
    server.configure("interval = 5\ntop_processes = true")?;
    machine.ok(&["systemctl", "restart", AGENT])?;
    let doctor =
        |line: &str| server.wait_for(line, || Ok(machine.run(&["osm-agent", "doctor"])?.stdout.contains(line).then_some(())));
    doctor("FAIL  processes")?;
    machine.ok(&["mkdir", "-p", DROP_IN])?;
    machine.write(&format!("{DROP_IN}/processes.conf"), "[Service]\nProtectProc=default\n", 0o644, "root")?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    machine.ok(&["systemctl", "restart", AGENT])?;
    doctor("ok    processes")?;

    machine.ok(&["systemd-run", "--quiet", "--unit=busy", "--uid=nobody", "sha256sum", "/dev/zero"])?;
    // An alert names those of the report that raises it, and this machine is busy with other tests: one report may be under way,
    // and a share is a share of the time since the one before.
    let reports = async || server.world.rows("SELECT COUNT(*) FROM reports").await[0][0];
    let before = reports().await;
    let three_more = async {
        while reports().await < before + 3 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), three_more).await.context("no three reports")?;
    // Every CPU is busier than this.
    let (world, anna) = (&server.world, &server.world.anna);
    let card = server.card_with("online").await?;
    let id = server_id(server)?;
    world.sim.press_data(anna, anna, card.message_id, &format!("E:{id}:c:10:10:0:w"));
    let alert = world.see(anna, "The biggest processes at that moment").await;
    ensure!(alert.plain.contains("sha256sum"), "{}", alert.plain);
    machine.ok(&["systemctl", "stop", "busy.service"])?;
    world.sim.press_data(anna, anna, card.message_id, &format!("E:{id}:c"));
    machine.ok(&["rm", "-r", DROP_IN])?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    Ok(())
}

fn server_id(server: &Server) -> Result<String> {
    let state: serde_json::Value = serde_json::from_str(&server.machine.ok(&["cat", "/var/lib/osm-agent/state.json"])?)?;
    Ok(state["server_id"].as_str().context("a server id")?.to_owned())
}

/// Taps a chore on a fresh card; gives the question.
async fn ask(server: &Server, label: &str) -> Result<BotMessage> {
    let (world, anna) = (&server.world, &server.world.anna);
    let card = server.card_with("online").await?;
    ensure!(card.button(label).is_some(), "no button {label:?} under:\n{}", card.plain);
    world.tap(anna, &card, label).await;
    let asked = |message: &BotMessage| message.message_id > card.message_id && message.button("Cancel").is_some();
    world.sim.wait(anna, SOON, asked).await
}

async fn confirm(server: &Server, question: &BotMessage, label: &str) {
    server.world.tap(&server.world.anna, question, label).await;
}

/// What logind has scheduled: kind and time, or nothing.
fn scheduled(server: &Server) -> Result<String> {
    let get = ["busctl", "--json=short", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1"];
    let json = server.machine.ok(&[&get[..], &["org.freedesktop.login1.Manager", "ScheduledShutdown"]].concat())?;
    let value: serde_json::Value = serde_json::from_str(&json)?;
    let kind = value["data"][0].as_str().context("a kind")?;
    Ok(if kind.is_empty() { String::new() } else { format!("{kind} {}", value["data"][1]) })
}
