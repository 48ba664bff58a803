//! The server as a booted Debian container: the agent is installed as its package will do it, and nginx is there to be
//! restarted.

use std::{fs, net::TcpListener, path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow};
use osm_tests::machine::{Machine, Root};
use tokio::{
    task::spawn_blocking,
    time::{Duration, Instant, sleep},
};

use crate::{host::PairingLine, settings::program};

const NAME: &str = "web-1";
const REBOOT: Duration = Duration::from_mins(1);
/// The same as the stories of tests/systemd use: the root is built once for both.
const PACKAGES: [&str; 9] =
    ["systemd", "systemd-sysv", "dbus", "polkitd", "libpam-systemd", "nginx", "ca-certificates", "procps", "iproute2"];
/// What the agent's package puts where; all of root's, and readable for everybody.
const FILES: [(&str, &str); 5] = [
    ("/usr/lib/systemd/system/osm-agent.service", include_str!("../../agent/dist/osm-agent.service")),
    ("/usr/lib/systemd/system/osm-agent-policy.service", include_str!("../../agent/dist/osm-agent-policy.service")),
    ("/usr/lib/sysusers.d/osm-agent.conf", include_str!("../../agent/dist/osm-agent.sysusers.conf")),
    ("/usr/lib/tmpfiles.d/osm-agent.conf", include_str!("../../agent/dist/osm-agent.tmpfiles.conf")),
    // Fresher figures and more restarts than by default, for whoever tries the buttons.
    ("/etc/osm-agent/agent.toml", "interval = 10\n\n[rates]\nrestart_gap_seconds = 5\nrestarts_per_hour = 60\n"),
];

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
            machine.write("/root/pair", script, 0o600, "root")?;
            let printed = machine.ok(&["sh", "/root/pair"]);
            machine.ok(&["rm", "/root/pair"])?;
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
    let root = Root::ensure(suite(), &PACKAGES)?;
    // The container shares this machine's network: a port that is free here.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let site = format!("server {{ listen 127.0.0.1:{port}; server_name localhost; return 204; }}\n");
    let machine = Machine::boot_with(&root, NAME, |tree| Ok(fs::write(tree.join("etc/nginx/sites-available/default"), site)?))?;
    machine.copy_in(agent, "/usr/bin/osm-agent", 0o755)?;
    for (path, contents) in FILES {
        machine.write(path, contents, 0o644, "root")?;
    }
    machine.ok(&["/usr/bin/osm-agent", "--version"]).context("the agent built here does not run in the container")?;
    machine.ok(&["systemd-sysusers"])?;
    machine.ok(&["systemd-tmpfiles", "--create", "osm-agent.conf"])?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    // Detects nginx and grants its restart.
    machine.ok(&["systemctl", "enable", "--quiet", "--now", "osm-agent-policy.service"])?;
    Ok(machine)
}

/// Debian 12, unless this machine's C library is newer: what is built here would not run there.
fn suite() -> &'static str {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if release.lines().any(|line| line == "VERSION_CODENAME=bookworm") { "bookworm" } else { "trixie" }
}
