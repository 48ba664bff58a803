//! The real agent at its default interval, paired as a person would: memory, and CPU time a minute.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use osm_tests::talk::token_in;
use tokio::{io::AsyncWriteExt, process::Command, time::sleep};

use crate::{
    backend::{Backend, program, spawn},
    figures::{Table, mb, ms},
    proc,
};

const SOON: Duration = Duration::from_secs(40);
/// Its first reports, and what it only does once.
const SETTLING: Duration = Duration::from_secs(10);

pub struct Measured {
    pss: u64,
    cpu_a_minute: Duration,
    at_start: Duration,
    watched: Duration,
}

impl Measured {
    pub fn rows(self, table: &mut Table) {
        table.row("osm-agent, PSS", mb(self.pss), "< 7 MB");
        let cpu = format!("{} a minute, over {} s", ms(self.cpu_a_minute), self.watched.as_secs());
        table.row("  CPU at the default interval", cpu, "< 30 ms");
        table.row(format!("  CPU of its start and first {} s", SETTLING.as_secs()), ms(self.at_start), "");
    }
}

pub async fn run(backend: &Backend, beside: &Path, dir: &Path, watched: Duration) -> Result<Measured> {
    let agent = program(beside, "osm-agent")?;
    let (config, state) = (dir.join("agent.toml"), dir.join("agent"));
    // The defaults, whatever this machine's own file says.
    std::fs::write(&config, "")?;
    let arguments = [config.as_os_str(), "--state-dir".as_ref(), state.as_os_str()];
    pair(backend, Command::new(&agent).arg("--config").args(arguments)).await?;

    let log = dir.join("osm-agent.log");
    let (mut child, pid) = spawn(Command::new(&agent).arg("--config").args(arguments).arg("run"), &log)?;
    sleep(SETTLING).await;
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    ensure!(child.try_wait()?.is_none(), "osm-agent ended; it said:\n{}", said());
    let at_start = proc::cpu(pid)?;
    let start = Instant::now();
    sleep(watched).await;
    ensure!(child.try_wait()?.is_none(), "osm-agent ended; it said:\n{}", said());
    let cpu = proc::cpu(pid)?.saturating_sub(at_start);
    let pss = proc::pss(pid)?;
    let cpu_a_minute = Duration::from_secs_f64(cpu.as_secs_f64() * 60.0 / start.elapsed().as_secs_f64());
    child.kill().await?;
    Ok(Measured { pss, cpu_a_minute, at_start, watched })
}

async fn pair(backend: &Backend, command: &mut Command) -> Result<()> {
    let anna = backend.sim.user(1001, "Anna");
    let said = backend.sim.say(&anna, &anna, "/add_server bench");
    let message =
        backend.sim.wait(&anna, SOON, |message| message.message_id > said.message_id && token_in(message).is_some()).await?;
    let token = token_in(&message).context("no token")?;
    let api = format!("http://{}", backend.authority);
    let mut child = command
        .args(["pair", "--api", &api, "--token-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    child.stdin.take().context("no input")?.write_all(token.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "pairing failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
