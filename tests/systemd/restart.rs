//! The main job on a real system: a server is paired from the chat, its services are restarted by a tap, and the host has the
//! last word. One machine for all of it: booting costs more than what is done with it.

use anyhow::{Context, Result};
use osm_tests::{
    database::Engine,
    machine::Machine,
    server::{AGENT, NGINX, Server, listed},
    world::SOON,
};

/// (unit, the service's own lines, how the failure of its restart is told)
const FAILING: [(&str, &str, &str); 3] = [
    ("broken.service", "ExecStart=/bin/sh -c 'exit 3'", "failed (failed): exit-code, status 3"),
    // Here systemd itself sees that the start failed, and ends the job so.
    ("missing.service", "Type=exec\nExecStart=/usr/bin/nobody-installed-this", "failed (failed): exit-code, status 203"),
    (
        "flapping.service",
        "Restart=always\nRestartSec=60\nExecStart=/bin/sh -c 'exit 4'",
        "activating (auto-restart): exit-code, status 4",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_paired_and_its_services_are_restarted_from_the_chat() -> Result<()> {
    let server = Server::install(Engine::Sqlite, "web-1", "interval = 5", units_of_its_own).await?;
    an_unpaired_agent_says_what_to_do(&server)?;
    it_is_paired_by_the_bots_line(&server).await?;
    the_list_and_the_rule_are_roots(&server.machine)?;
    the_service_runs_in_its_sandbox(&server)?;
    only_what_is_listed_is_offered(&server).await?;
    a_tap_restarts_nginx(&server).await?;
    a_second_restart_within_30_s_is_refused(&server).await?;
    a_restart_that_fails_is_told_with_its_reason(&server).await?;
    a_unit_taken_off_the_list_is_refused(&server).await?;
    what_agent_toml_forbids_is_refused(&server).await?;
    the_command_line_says_how_it_goes(&server)?;
    what_the_list_promises_and_polkit_denies_is_told(&server).await?;
    a_bus_that_does_not_answer_stops_no_report(&server).await
}

fn units_of_its_own(machine: &Machine) -> Result<()> {
    let sleeper = "ExecStart=/bin/sleep infinity";
    // Finding 8: what formats scratch storage at boot is no service, though it is the administrator's own and enabled.
    let boot_job = "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true";
    let others = [("own.service", sleeper, ""), ("not-enabled.service", sleeper, ""), ("boot-job.service", boot_job, "")];
    for (unit, service, _) in FAILING.into_iter().chain(others) {
        let text = format!("[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n");
        machine.write(&format!("/etc/systemd/system/{unit}"), text, 0o644, "root")?;
        if unit != "not-enabled.service" {
            machine.ok(&["systemctl", "enable", "--quiet", unit])?;
        }
        // Some fail: that is their part.
        machine.run(&["systemctl", "start", unit])?;
    }
    Ok(())
}

fn an_unpaired_agent_says_what_to_do(server: &Server) -> Result<()> {
    let doctor = server.machine.run(&["osm-agent", "doctor"])?;
    assert_eq!(doctor.status, 1, "{doctor:?}");
    assert!(line(&doctor.stdout, "FAIL  pairing").contains("/add_server"), "{doctor:?}");
    assert!(server.machine.ok(&["osm-agent", "status"])?.contains("Not paired"));
    Ok(())
}

async fn it_is_paired_by_the_bots_line(server: &Server) -> Result<()> {
    let (token, printed) = server.pair("web-1").await?;
    assert!(printed.starts_with(&format!("Paired with {} as web-1", server.world.api)), "{printed}");
    // Root ran the line; all that it made is the agent's own, and nobody else can read it.
    let state = server.machine.ok(&["find", "/var/lib/osm-agent", "-printf", "%y %u:%g %m %P\\n"])?;
    assert!(state.contains("f osm-agent:osm-agent 600 state.json"), "{state}");
    for entry in state.lines() {
        let mode = if entry.starts_with('d') { "700" } else { "600" };
        assert_eq!(entry[2..].split(' ').take(2).collect::<Vec<_>>(), ["osm-agent:osm-agent", mode], "{state}");
    }
    let told = server.world.see(&server.world.anna, "Key fingerprint").await;
    let fingerprint = printed.lines().find_map(|line| line.split_once("key: ")).context("no fingerprint was printed")?.1;
    assert!(told.plain.contains(fingerprint), "{}\n{printed}", told.plain);
    server.world.sim.wait(&server.world.anna, SOON, |message| message.plain.contains("Used")).await?;
    assert!(!server.world.sim.transcript(&server.world.anna).contains(&token), "the token is gone from the chat");

    server.machine.ok(&["systemctl", "enable", "--quiet", "--now", AGENT])?;
    let card = server.first_card("web-1").await?;
    for shown in [
        "Debian GNU/Linux 12",
        "nginx.service · active (running)",
        "broken.service · failed (exit-code, status 3)",
        "own.service · active",
    ] {
        assert!(card.plain.contains(shown), "{shown} is missing:\n{}", card.plain);
    }
    Ok(())
}

/// Starting the agent has run `osm-agent policy apply`, as at every boot.
fn the_list_and_the_rule_are_roots(machine: &Machine) -> Result<()> {
    let units = ["broken.service", "cron.service", "flapping.service", "missing.service", NGINX, "own.service"];
    assert_eq!(listed(machine)?, units);
    let rule = machine.ok(&["cat", "/etc/polkit-1/rules.d/50-osm-agent.rules"])?;
    let granted: Vec<_> = rule.split('"').filter(|word| word.ends_with(".service") && *word != AGENT).collect();
    let oneshots = ["osm-agent-journal.service", "osm-agent-logrotate.service"];
    assert_eq!(granted, [&units[..], &oneshots].concat(), "{rule}");
    for path in ["/etc/polkit-1/rules.d/50-osm-agent.rules", "/var/lib/osm-agent-policy/units.json"] {
        assert_eq!(machine.ok(&["stat", "-c", "%U:%G %a", path])?, "root:root 644\n", "{path}");
        let attempt = machine.as_user("osm-agent", &["sh", "-c", &format!("echo >>{path}")])?;
        assert!(attempt.status != 0 && attempt.stderr.contains("Permission denied"), "{attempt:?}");
    }
    Ok(())
}

fn the_service_runs_in_its_sandbox(server: &Server) -> Result<()> {
    let machine = &server.machine;
    let pid = server.main_pid(AGENT)?;
    let status = machine.ok(&["cat", &format!("/proc/{pid}/status")])?;
    let uid = machine.ok(&["id", "-u", "osm-agent"])?;
    let none = "0000000000000000";
    let ids = [uid.trim_end(); 4].join("\t");
    for (field, value) in
        [("Uid", ids.as_str()), ("CapEff", none), ("CapBnd", none), ("CapAmb", none), ("NoNewPrivs", "1"), ("Seccomp", "2")]
    {
        assert!(status.contains(&format!("\n{field}:\t{value}\n")), "{field} is not {value}:\n{status}");
    }
    // Not even root can write in there but to the state directory.
    let touch = |path: &str| machine.run(&["nsenter", "--mount", "--target", &pid, "touch", path]);
    for path in ["/etc/x", "/usr/x", "/var/lib/osm-agent-policy/x", "/root/x"] {
        let attempt = touch(path)?;
        assert!(attempt.stderr.contains("Read-only file system"), "{path}: {attempt:?}");
    }
    assert_eq!(touch("/var/lib/osm-agent/x")?.status, 0);
    machine.ok(&["rm", "/var/lib/osm-agent/x"])?;

    for (unit, limit) in [(AGENT, 1.5), ("osm-agent-journal.service", 1.0)] {
        let exposure = machine.ok(&["systemd-analyze", "--no-pager", "security", unit])?;
        let level =
            exposure.lines().find_map(|line| line.split_once(&format!("exposure level for {unit}: "))).context("no level")?.1;
        println!("systemd-analyze security {unit}: {level}");
        let level: f64 = level.split(' ').next().unwrap_or_default().parse()?;
        assert!(level <= limit, "{exposure}");
    }
    Ok(())
}

async fn only_what_is_listed_is_offered(server: &Server) -> Result<()> {
    let card = server.card_with("own.service").await?;
    assert_eq!(server.machine.unit_property("not-enabled.service", "ActiveState")?, "active");
    let mut offered = server.offered(&card).await?;
    offered.sort();
    assert_eq!(offered, ["broken.service", "cron.service", "flapping.service", "missing.service", NGINX, "own.service"]);
    Ok(())
}

async fn a_tap_restarts_nginx(server: &Server) -> Result<()> {
    let (before, starts) = (server.main_pid(NGINX)?, server.starts(NGINX)?);
    let question = server.ask_restart(NGINX).await?;
    let told = server.told(&question, "Done").await?;
    assert!(told.contains("The host says: active (running)"), "{told}");
    assert_eq!(server.machine.unit_property(NGINX, "ActiveState")?, "active");
    assert_ne!(server.main_pid(NGINX)?, before);
    assert_eq!(server.starts(NGINX)?, starts + 1);
    let journal = server.machine.journal(AGENT);
    assert!(journal.contains("asked for by Anna"), "who asked stands in the host's own journal:\n{journal}");
    Ok(())
}

async fn a_second_restart_within_30_s_is_refused(server: &Server) -> Result<()> {
    let before = server.main_pid(NGINX)?;
    let question = server.ask_restart(NGINX).await?;
    let told = server.told(&question, "The host refused it").await?;
    assert!(told.contains("at most once in 30 s") && told.contains("The host says: it was done"), "{told}");
    assert_eq!(server.main_pid(NGINX)?, before);
    Ok(())
}

async fn a_restart_that_fails_is_told_with_its_reason(server: &Server) -> Result<()> {
    for (unit, _, reason) in FAILING {
        let question = server.ask_restart(unit).await?;
        let told = server.told(&question, "Failed").await?;
        assert!(told.contains(&format!("The host says: {reason}")), "{unit}: {told}");
    }
    server.card_with("broken.service · failed (exit-code, status 3)").await?;
    Ok(())
}

/// The tap comes first, the agent later: in between, root has changed their mind.
async fn a_unit_taken_off_the_list_is_refused(server: &Server) -> Result<()> {
    let before = server.main_pid("own.service")?;
    let question = server.world.restart_question("own.service").await;
    server.machine.ok(&["systemctl", "stop", AGENT])?;
    server.confirm(&question).await;
    server.told(&question, "Queued").await?;
    server.machine.ok(&["osm-agent", "policy", "deny", "own"])?;
    server.machine.ok(&["systemctl", "start", AGENT])?;
    let told = server.told(&question, "The host refused it").await?;
    assert!(told.contains("not on the host’s own list"), "{told}");
    assert_eq!(server.main_pid("own.service")?, before);
    // Shown as before, and no longer offered.
    let card = server.card_with("own.service").await?;
    assert!(!server.offered(&card).await?.contains(&"own.service".to_owned()));
    Ok(())
}

async fn what_agent_toml_forbids_is_refused(server: &Server) -> Result<()> {
    let (before, starts) = (server.main_pid(NGINX)?, server.starts(NGINX)?);
    let question = server.world.restart_question(NGINX).await;
    server.machine.ok(&["systemctl", "stop", AGENT])?;
    server.confirm(&question).await;
    server.told(&question, "Queued").await?;
    server.configure("interval = 5\n[actions]\nrestart_service = false")?;
    server.machine.ok(&["systemctl", "start", AGENT])?;
    let told = server.told(&question, "The host refused it").await?;
    assert!(told.contains("/etc/osm-agent/agent.toml on the host does not allow this"), "{told}");
    assert_eq!((server.main_pid(NGINX)?, server.starts(NGINX)?), (before, starts));

    let card = server.card_with("None may be restarted from here").await?;
    assert!(card.plain.contains("nginx.service · active") && server.offered(&card).await?.is_empty(), "{}", card.plain);
    let rule = server.machine.ok(&["cat", "/etc/polkit-1/rules.d/50-osm-agent.rules"])?;
    assert!(!rule.contains(NGINX), "the grant is gone too:\n{rule}");
    assert!(server.machine.ok(&["osm-agent", "services"])?.contains("Restarts: not allowed by agent.toml"));

    server.configure("interval = 5")?;
    server.machine.ok(&["systemctl", "restart", AGENT])?;
    server.wait_for("list with nginx", || Ok(listed(&server.machine)?.contains(&NGINX.to_owned()).then_some(())))?;
    Ok(())
}

fn the_command_line_says_how_it_goes(server: &Server) -> Result<()> {
    let agent = |command: &str| server.machine.ok(&["osm-agent", command]);
    let status = server.wait_for("status of an agent that reports", || {
        let status = agent("status")?;
        Ok(status.contains("Kept here    0 reports, 0 outcomes").then_some(status))
    })?;
    println!("--- osm-agent status\n{status}");
    assert!(line(&status, "Paired with").contains(&format!("{} as web-1", server.world.api)), "{status}");
    assert_eq!(line(&status, "Agent  "), "Agent        running");
    assert!(line(&status, "Last report").ends_with(" s ago"), "{status}");
    assert_eq!(line(&status, "Restarts"), "Restarts     5 services may be restarted from the chat");
    assert!(!status.contains("Last error") && !status.contains("Clock"), "{status}");

    let doctor = agent("doctor")?;
    println!("--- osm-agent doctor\n{doctor}");
    for check in ["state directory", "D-Bus", "policy", "pairing", "DNS", "API", "clock"] {
        assert!(!line(&doctor, &format!("ok    {check}")).is_empty(), "{check}:\n{doctor}");
    }
    assert!(line(&doctor, "note  TLS").contains("this very machine"), "{doctor}");

    let services = agent("services")?;
    println!("--- osm-agent services\n{services}");
    assert!(line(&services, NGINX).ends_with("active (running)  may be restarted from the chat"), "{services}");
    assert!(line(&services, "broken.service").contains("failed (failed) exit-code"), "{services}");
    assert!(line(&services, "own.service").ends_with("active (running)"), "denied, so without the word:\n{services}");
    assert_eq!(line(&services, "Restarts:"), "Restarts: 5 services may be restarted from the chat");

    let report: serde_json::Value = serde_json::from_str(&server.machine.ok(&["osm-agent", "report", "--print"])?)?;
    assert_eq!(report["reports"][0]["host"]["hostname"], "web-1");
    let unit = server.machine.unit_property(AGENT, "StatusText")?;
    assert!(unit.starts_with("Last report"), "systemctl status shows it: {unit:?}");
    Ok(())
}

/// The line that starts so; empty where there is none.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default()
}

/// A rule that somebody took away, and a list that still has the unit.
async fn what_the_list_promises_and_polkit_denies_is_told(server: &Server) -> Result<()> {
    server.configure("interval = 5\n[rates]\nrestart_gap_seconds = 0")?;
    server.machine.ok(&["systemctl", "restart", AGENT])?;
    let before = server.main_pid(NGINX)?;
    server.machine.ok(&["rm", "/etc/polkit-1/rules.d/50-osm-agent.rules"])?;
    let question = server.ask_restart(NGINX).await?;
    let told = server.told(&question, "The host refused it").await?;
    assert!(told.contains("polkit does not let the agent do this") && told.contains("osm-agent policy apply"), "{told}");
    assert_eq!(server.main_pid(NGINX)?, before);
    server.machine.ok(&["osm-agent", "policy", "apply"])?;
    Ok(())
}

/// Without the bus there are no services to see; everything else is reported, and they come back with it.
async fn a_bus_that_does_not_answer_stops_no_report(server: &Server) -> Result<()> {
    let bus = ["dbus.socket", "dbus.service"];
    server.machine.ok(&[&["systemctl", "stop"], &bus[..]].concat())?;
    let card = server.card_with("systemd did not answer the agent").await?;
    assert!(card.plain.contains("Memory") && !card.plain.contains("nginx.service"), "{}", card.plain);
    let doctor = server.machine.run(&["osm-agent", "doctor"])?;
    assert!(line(&doctor.stdout, "FAIL  D-Bus").contains("systemctl status dbus"), "{doctor:?}");
    server.machine.ok(&[&["systemctl", "start"], &bus[..]].concat())?;
    server.card_with("nginx.service · active").await?;
    Ok(())
}
