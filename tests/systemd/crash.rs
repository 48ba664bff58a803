//! The agent dies in the middle of a command, at every step of it: systemd brings it back, the service was restarted at most
//! once, and the chat is told what became of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use osm_tests::database::Engine;

use osm_tests::server::{AGENT, NGINX, Server};

/// Each process of the agent notes the points that it passes; one file for all of them.
const LOG: &str = "/var/lib/osm-agent/crash-points";
/// Read at each start: removed before the agent comes back, it crashes once.
const WHERE: &str = "/run/osm-agent-crash";
const SLOW: &str = "slow.service";

osm_tests::story!(a_command_is_done_at_most_once_wherever_the_agent_dies, |engine| super::dies(engine).await.unwrap());

async fn dies(engine: Engine) -> Result<()> {
    // One report at the start and none in the way: the points are the same in each run.
    let config = "interval = 3600\n[rates]\nrestart_gap_seconds = 0\nrestarts_per_hour = 1000";
    let server = Server::at_work(engine, "crashes", config, |machine| {
        let drop_in = format!("[Service]\nEnvironment=OSM_CRASH_LOG={LOG}\nEnvironmentFile=-{WHERE}\nRestartSec=1\n");
        machine.write("/etc/systemd/system/osm-agent.service.d/crash.conf", drop_in, 0o644, "root")?;
        let slow = "[Service]\nType=exec\nExecStartPre=/bin/sleep 4\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
        machine.write(&format!("/etc/systemd/system/{SLOW}"), slow, 0o644, "root")?;
        machine.ok(&["systemctl", "enable", "--now", "--quiet", SLOW])?;
        Ok(())
    })
    .await?;
    let before = begin(&server, None)?;
    restart_well(&server).await?;
    let points = server.wait_for("end of the command", || {
        let passed = passed(&server)?.split_off(before.len());
        Ok((passed.last().map(String::as_str) == Some("outcome.delivered")).then_some(passed))
    })?;
    println!("passed by a restart: {points:?}");
    let at =
        |name: &str| points.iter().position(|point| point == name).unwrap_or_else(|| panic!("{name} is not passed: {points:?}"));
    let (taken, acted, written) = (at("ledger.taken"), at("command.acted"), at("ledger.outcome"));
    assert!(taken < acted && acted < written, "{points:?}");

    let mut ends = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let starts = server.starts(NGINX)?;
        assert_eq!(begin(&server, Some(before.len() + index + 1))?, before);
        let question = server.ask_restart(NGINX).await?;
        server.came_back(1)?;
        // Not yet written down: it is done afterwards. Written down without its end: it is never done again.
        let expected = if (taken..written).contains(&index) { "Unknown" } else { "Done" };
        let told = server.told(&question, expected).await?;
        settled(&server)?;
        let restarted = server.starts(NGINX)? - starts;
        println!("{point}: {expected}, restarted {restarted} times");
        assert_eq!(restarted, usize::from(index != taken), "{point}: {told}");
        ends.push((question, told, point));
    }
    killed_while_systemd_is_at_it(&server).await?;

    begin(&server, None)?;
    let starts = server.starts(NGINX)?;
    restart_well(&server).await?;
    assert_eq!(server.starts(NGINX)?, starts + 1, "nothing that was open before is done now");
    for (question, told, point) in ends {
        let now = server.world.sim.message(&server.world.anna, question.message_id).expect("the message").plain;
        assert_eq!(now, told, "{point}: the end is the end");
    }
    Ok(())
}

/// The job is systemd's and goes on without the agent; what it came to, nobody saw.
async fn killed_while_systemd_is_at_it(server: &Server) -> Result<()> {
    begin(server, None)?;
    let starts = server.starts(SLOW)?;
    let question = server.ask_restart(SLOW).await?;
    server
        .wait_for("restart under way", || Ok((server.machine.unit_property(SLOW, "SubState")? == "start-pre").then_some(())))?;
    server.kill_agent()?;
    server.came_back(1)?;
    server.told(&question, "Unknown").await?;
    server.wait_for("started unit", || Ok((server.machine.unit_property(SLOW, "SubState")? == "running").then_some(())))?;
    assert_eq!(server.starts(SLOW)?, starts + 1);
    settled(server)
}

async fn restart_well(server: &Server) -> Result<()> {
    let question = server.ask_restart(NGINX).await?;
    server.told(&question, "Done").await?;
    Ok(())
}

/// Starts the agent anew, to crash once at the `at`-th point; waits until its first report is through and gives the points
/// passed by then.
fn begin(server: &Server, at: Option<usize>) -> Result<Vec<String>> {
    server.machine.ok(&["systemctl", "stop", AGENT])?;
    server.machine.ok(&["rm", "-f", LOG])?;
    if let Some(at) = at {
        server.machine.write(WHERE, format!("OSM_CRASH_AT={at}\n"), 0o644, "root")?;
    }
    server.machine.ok(&["systemctl", "start", AGENT])?;
    server.machine.ok(&["rm", "-f", WHERE])?;
    let points = server.wait_for("first report, with crash points (`make test-systemd` builds them in)", || {
        let passed = passed(server)?;
        Ok((passed.last().map(String::as_str) == Some("report.removed")).then_some(passed))
    })?;
    // A backlog would follow at once.
    std::thread::sleep(Duration::from_millis(200));
    ensure!(passed(server)? == points, "more than a report: {:?}", passed(server)?);
    Ok(points)
}

/// Waits until each process that began has sent its report, and the outcome is the backend's.
fn settled(server: &Server) -> Result<()> {
    server.wait_for("quiet agent", || {
        let passed = passed(server)?;
        let count = |name: &str| passed.iter().filter(|point| *point == name).count();
        Ok((count("outcome.delivered") > 0 && count("ledger.opened") == count("report.removed")).then_some(()))
    })
}

fn passed(server: &Server) -> Result<Vec<String>> {
    Ok(server.machine.run(&["cat", LOG])?.stdout.lines().map(str::to_owned).collect())
}
