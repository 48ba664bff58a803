//! A small web server to watch: a booted Debian with nginx, and the agent installed as its package will do it.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::machine::{Machine, Root};

const PACKAGES: [&str; 10] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "polkitd",
    "libpam-systemd",
    "nginx",
    "ca-certificates",
    "procps",
    "iproute2",
    "logrotate",
];
/// What the agent's package puts where, all of root's and readable for everybody.
const FILES: [(&str, &str); 8] = [
    ("/usr/lib/systemd/system/osm-agent.service", include_str!("../../agent/dist/osm-agent.service")),
    ("/usr/lib/systemd/system/osm-agent-policy.service", include_str!("../../agent/dist/osm-agent-policy.service")),
    ("/usr/lib/systemd/system/osm-agent-policy.path", include_str!("../../agent/dist/osm-agent-policy.path")),
    ("/usr/lib/systemd/system/osm-agent-policy.timer", include_str!("../../agent/dist/osm-agent-policy.timer")),
    ("/usr/lib/systemd/system/osm-agent-journal.service", include_str!("../../agent/dist/osm-agent-journal.service")),
    ("/usr/lib/systemd/system/osm-agent-logrotate.service", include_str!("../../agent/dist/osm-agent-logrotate.service")),
    ("/usr/lib/sysusers.d/osm-agent.conf", include_str!("../../agent/dist/sysusers.d/osm-agent.conf")),
    ("/usr/lib/tmpfiles.d/osm-agent.conf", include_str!("../../agent/dist/tmpfiles.d/osm-agent.conf")),
];

/// Boots it. Its nginx listens on a free port of its own: the host's ports are shared by all machines.
pub fn boot(suite: &str, name: &str) -> Result<Machine> {
    let root = Root::ensure(suite, &PACKAGES)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = format!("server {{ listen 127.0.0.1:{port}; server_name localhost; return 204; }}\n");
    let prepare = |tree: &Path| Ok(fs::write(tree.join("etc/nginx/sites-available/default"), config)?);
    Machine::boot_with(&root, name, prepare)
}

/// The agent's program, its user and its units; nothing of it runs yet.
pub fn install_agent(machine: &Machine, program: &Path) -> Result<()> {
    machine.copy_in(program, "/usr/bin/osm-agent", 0o755)?;
    machine.ok(&["osm-agent", "--version"]).context("the agent built on this host does not run in the container")?;
    for (path, contents) in FILES {
        machine.write(path, contents, 0o644, "root")?;
    }
    machine.ok(&["systemd-sysusers"])?;
    machine.ok(&["systemd-tmpfiles", "--create", "osm-agent.conf"])?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    Ok(())
}
