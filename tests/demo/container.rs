//! The server as a booted Debian container: the agent is installed as its package will do it, and nginx is there to be
//! restarted.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Result, anyhow};
use osm_tests::{machine::Machine, web_server};
use tokio::{
    task::spawn_blocking,
    time::{Duration, Instant, sleep},
};

use crate::{host::PairingLine, settings::program};

const NAME: &str = "web-1";
const REBOOT: Duration = Duration::from_mins(1);
/// Fresher figures and more restarts than by default, for whoever tries the buttons.
const CONFIG: &str = "interval = 10\n\n[rates]\nrestart_gap_seconds = 5\nrestarts_per_hour = 60\n";

pub struct Container {
    machine: Arc<Machine>,
}

impl Container {
    pub async fn boot() -> Result<Self> {
        let agent = program("osm-agent")?;
        // The machine blocks; its own thread keeps it alive, so any thread may boot it.
        let machine = spawn_blocking(move || boot(&agent)).await??;
        Ok(Self { machine: Arc::new(machine) })
    }

    /// Runs the bot's line as it stands, in root's shell, where sudo has nothing to do.
    pub async fn pair(&self, line: &PairingLine) -> Result<String> {
        let script = format!("set -e\nsudo() {{ \"$@\"; }}\n{}\n", line.text);
        self.with(move |machine| {
            // Not as an argument: the token is in the line.
            machine.write("/run/pair", script, 0o600, "root")?;
            let printed = machine.ok(&["sh", "/run/pair"]);
            machine.ok(&["rm", "/run/pair"])?;
            Ok(printed?.trim_end().to_owned())
        })
        .await
    }

    pub async fn start(&self) -> Result<()> {
        self.with(|machine| machine.ok(&["systemctl", "enable", "--quiet", "--now", "osm-agent.service"]).map(drop)).await
    }

    /// The process id of nginx, which a restart changes.
    pub async fn nginx(&self) -> Result<String> {
        self.with(|machine| machine.unit_property("nginx.service", "MainPID")).await
    }

    /// Waits until it is down for longer than a reboot takes.
    pub async fn died(&self) -> anyhow::Error {
        let mut seen = Instant::now();
        loop {
            sleep(Duration::from_secs(2)).await;
            if self.machine.init_pid().is_ok() {
                seen = Instant::now();
            } else if seen.elapsed() > REBOOT {
                return anyhow!("the container has ended; its console said last:\n{}", self.machine.console());
            }
        }
    }

    pub async fn end(self) {
        // Dropping a machine blocks until all of it is gone.
        let _ = spawn_blocking(move || drop(self.machine)).await;
    }

    async fn with<T: Send + 'static>(&self, work: impl FnOnce(&Machine) -> Result<T> + Send + 'static) -> Result<T> {
        let machine = Arc::clone(&self.machine);
        spawn_blocking(move || work(&machine)).await?
    }
}

fn boot(agent: &Path) -> Result<Machine> {
    let machine = web_server::boot(suite(), NAME)?;
    web_server::install_agent(&machine, agent)?;
    machine.write("/etc/osm-agent/agent.toml", CONFIG, 0o644, "root")?;
    // Detects nginx and grants its restart.
    machine.ok(&["systemctl", "enable", "--quiet", "--now", "osm-agent-policy.service"])?;
    Ok(machine)
}

/// Debian 12, unless this machine's C library is newer: what is built here would not run there.
fn suite() -> &'static str {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if release.lines().any(|line| line == "VERSION_CODENAME=bookworm") { "bookworm" } else { "trixie" }
}
