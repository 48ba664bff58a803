//! Real units that are not well: what systemd calls failed, and what it does not.

use anyhow::{Context, Result};
use osm_tests::{
    database::Engine,
    machine::Machine,
    server::{AGENT, Server, listed},
    world::SOON,
};

/// Dies every four seconds, which systemd's limit of starts does not count, and is started again for ever.
const LOOPY: &str = "[Service]\nExecStart=/bin/sh -c \"sleep 1; exit 1\"\nRestart=on-failure\nRestartSec=3s\n";
/// Its program never says that it is ready.
const NEVER_STARTS: &str = "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n";
/// Works for long, which is a job's good right.
const BACKUP: &str =
    "[Service]\nType=oneshot\nSuccessExitStatus=SIGTERM\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n";
const AT_BOOT: [(&str, &str); 4] = [
    ("dep.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n"),
    ("needs.service", "[Unit]\nRequires=dep.service\nAfter=dep.service\n[Service]\nExecStart=/bin/sleep infinity\n"),
    ("mnt-data.mount", "[Mount]\nWhat=/dev/nonexistent\nWhere=/mnt/data\nType=ext4\n"),
    ("snap.lxd.daemon.service", "[Unit]\nX-Snappy=yes\n[Service]\nExecStart=/bin/sleep infinity\n"),
];
/// Enabled, and down for a reason.
const MEANT: [(&str, &str); 3] = [
    ("conditional.service", "[Unit]\nConditionPathExists=/nonexistent\n[Service]\nExecStart=/bin/sleep infinity\n"),
    ("unconfigured.service", "[Service]\nExecCondition=/bin/false\nExecStart=/bin/sleep infinity\n"),
    ("stopped.service", "[Service]\nExecStart=/bin/sleep infinity\n"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_are_not_well_are_told_and_never_plainly_green() -> Result<()> {
    let server = Server::at_work(Engine::Sqlite, "units", "interval = 5", units_of_its_own).await?;
    what_snapd_wrote_may_not_be_restarted(&server)?;
    eight_at_once_leave_one_list_and_its_rule(&server)?;
    it_boots_and_some_do_not_come_up(&server).await?;
    a_service_that_is_restarted_for_ever_is_told(&server).await?;
    a_service_that_does_not_get_ready_is_told(&server).await?;
    what_is_meant_to_be_down_is_not_told(&server).await?;
    a_report_costs_few_calls(&server)
}

fn units_of_its_own(machine: &Machine) -> Result<()> {
    let others = [("loopy.service", LOOPY), ("never-starts.service", NEVER_STARTS), ("backup.service", BACKUP)];
    for (unit, text) in AT_BOOT.into_iter().chain(MEANT).chain(others) {
        let text = format!("{text}[Install]\nWantedBy=multi-user.target\n");
        machine.write(&format!("/etc/systemd/system/{unit}"), text, 0o644, "root")?;
    }
    for (unit, _) in AT_BOOT.into_iter().chain(MEANT).filter(|(unit, _)| *unit != "dep.service") {
        machine.ok(&["systemctl", "enable", "--quiet", unit])?;
    }
    Ok(())
}

fn what_snapd_wrote_may_not_be_restarted(server: &Server) -> Result<()> {
    let listed = listed(&server.machine)?;
    assert!(listed.contains(&"needs.service".to_owned()), "{listed:?}");
    assert!(!listed.iter().any(|unit| unit.starts_with("snap.")), "{listed:?}");
    Ok(())
}

/// Words of people, beside root's oneshot that each of them sets off by the path unit.
fn eight_at_once_leave_one_list_and_its_rule(server: &Server) -> Result<()> {
    let words = "for n in 1 2; do for word in 'allow cron' 'deny needs' 'allow needs' apply; do \
                 osm-agent policy $word >/run/word.$n.\"$word\" 2>&1 || touch /run/word-failed & done; done; wait; \
                 ! test -e /run/word-failed || { cat /run/word.*; exit 1; }";
    server.machine.ok(&["sh", "-c", words])?;
    server.wait_for("list and rule of one look", || {
        let list = listed(&server.machine)?;
        let rule = server.machine.ok(&["cat", "/etc/polkit-1/rules.d/50-osm-agent.rules"])?;
        Ok(list.iter().all(|unit| rule.contains(&format!("\"{unit}\""))).then_some(()))
    })
}

async fn told(server: &Server, expected: &str) -> Result<()> {
    let (world, anna) = (&server.world, &server.world.anna);
    let alert = world.sim.wait(anna, SOON * 3, |message| message.plain.contains(expected)).await;
    alert.with_context(|| server.machine.journal(AGENT))?;
    Ok(())
}

async fn over(server: &Server, expected: &str) -> Result<()> {
    let (world, anna) = (&server.world, &server.world.anna);
    // In a message of its own, or with a mark beside what goes on: the host's disk may be full.
    let is_over = |plain: &str| plain.lines().any(|line| line.contains('✅') && line.contains(expected));
    world.sim.wait(anna, SOON * 3, |message| is_over(&message.plain)).await.with_context(|| server.machine.journal(AGENT))?;
    Ok(())
}

/// Tells a rule at once, which by default waits for some minutes.
async fn at_once(server: &Server, button: &str) {
    let (world, anna) = (&server.world, &server.world.anna);
    let limits = world.ask(anna, "/thresholds", "Limits of this chat").await;
    world.tap(anna, &limits, button).await;
    world.becomes(&limits, "Now: for").await;
    loop {
        let page = world.sim.message(anna, limits.message_id).expect("the page");
        if page.plain.contains("New: at once") {
            break;
        }
        world.tap(anna, &page, "Shorter").await;
        let edits = page.edits;
        world
            .sim
            .wait(anna, SOON, |message| message.message_id == page.message_id && message.edits > edits)
            .await
            .expect("an edit");
    }
    world.tap(anna, &limits, "Save").await;
    world.becomes(&limits, "Now: at once").await;
}

async fn it_boots_and_some_do_not_come_up(server: &Server) -> Result<()> {
    at_once(server, "Down").await;
    server.machine.run(&["systemctl", "reboot"])?;
    let mut failed = server.machine.wait_for_reboot(1, std::time::Duration::from_mins(2))?;
    failed.sort();
    assert_eq!(failed, ["dep.service", "mnt-data.mount"]);
    assert_eq!(server.machine.unit_property("needs.service", "ActiveState")?, "inactive");
    told(server, "needs.service is not running since boot").await?;
    told(server, "mnt-data.mount failed").await?;
    let card = server.card_with("🟠 needs.service · inactive (dead) · not running since boot, for dep.service failed").await?;
    for shown in ["🔴 dep.service · failed (exit-code, status 1)", "🔴 mnt-data.mount · failed (exit-code)"] {
        assert!(card.plain.contains(shown), "{shown}:\n{}", card.plain);
    }

    // Mended by hand, as one does.
    server.machine.write("/etc/systemd/system/dep.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n", 0o644, "root")?;
    server.machine.ok(&["systemctl", "daemon-reload"])?;
    server.machine.ok(&["systemctl", "start", "needs.service"])?;
    server.machine.ok(&["systemctl", "reset-failed", "mnt-data.mount"])?;
    // What one message told is told to be over together.
    over(server, "mnt-data.mount failed").await?;
    over(server, "needs.service is not running since boot").await
}

async fn a_service_that_is_restarted_for_ever_is_told(server: &Server) -> Result<()> {
    server.machine.ok(&["systemctl", "start", "loopy.service"])?;
    told(server, "loopy.service is restarted again and again").await?;
    let card = server.card_with("🟠 loopy.service").await?;
    let line = card.plain.lines().find(|line| line.contains("loopy.service")).unwrap_or_default();
    assert!(line.contains("· restarted ") && line.contains("ago: exit-code, status 1"), "{}", card.plain);
    server.machine.ok(&["systemctl", "stop", "loopy.service"])?;
    over(server, "loopy.service is restarted again and again").await
}

async fn a_service_that_does_not_get_ready_is_told(server: &Server) -> Result<()> {
    at_once(server, "Not ready").await;
    server.machine.ok(&["systemctl", "start", "--no-block", "never-starts.service", "backup.service"])?;
    told(server, "never-starts.service does not get ready").await?;
    let card = server.card_with("🟠 never-starts.service · activating (start) · not ready").await?;
    assert!(card.plain.contains("🟡 backup.service · activating (start)\n"), "{}", card.plain);
    server.machine.ok(&["systemctl", "stop", "never-starts.service", "backup.service"])?;
    over(server, "never-starts.service does not get ready").await
}

async fn what_is_meant_to_be_down_is_not_told(server: &Server) -> Result<()> {
    server.machine.ok(&["systemctl", "stop", "stopped.service"])?;
    let card = server.card_with("⚪ stopped.service").await?;
    for unit in ["conditional.service", "unconfigured.service"] {
        let shown = format!("⚪ {unit} · inactive (dead)");
        assert!(card.plain.lines().any(|line| line == shown), "{unit}:\n{}", card.plain);
    }
    let transcript = server.world.sim.transcript(&server.world.anna);
    let told = |unit: &str| transcript.contains(&format!("{unit} is not running since boot"));
    assert!(told("needs.service") && MEANT.iter().all(|(unit, _)| !told(unit)), "{transcript}");
    Ok(())
}

/// Calls of the agent on the bus while some reports are made, by what systemd itself was asked.
fn a_report_costs_few_calls(server: &Server) -> Result<()> {
    let watch = "timeout 16 busctl monitor --match=\"type='method_call',destination='org.freedesktop.systemd1'\" 2>/dev/null \
                 | grep -oE 'Member=[A-Za-z]+' | sort | uniq -c";
    let calls = server.machine.run(&["sh", "-c", watch])?.stdout;
    println!("--- calls in three reports\n{calls}");
    let of = |member: &str| {
        let line = calls.lines().find(|line| line.ends_with(&format!("Member={member}")));
        line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0)
    };
    let (lists, gets) = (of("ListUnitsByPatterns"), of("Get"));
    assert!(lists >= 2, "{calls}");
    // One for each service that runs, and some for what is down.
    assert!(gets <= lists * 40, "{calls}");
    Ok(())
}
