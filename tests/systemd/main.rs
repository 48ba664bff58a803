//! Stories on a booted Debian, with real systemd, D-Bus and polkit. Run as root, see `osm_tests::machine`.

mod crash;
mod harness;
mod installed;
mod outage;
mod polkit;
mod restart;

use std::path::Path;

use anyhow::Result;
use osm_tests::machine::{Machine, Root};

/// What a small web server has installed.
const PACKAGES: [&str; 9] =
    ["systemd", "systemd-sysv", "dbus", "polkitd", "libpam-systemd", "nginx", "ca-certificates", "procps", "iproute2"];

/// A web server whose nginx listens on a free port of its own: the host's ports are shared by all machines.
fn web_server(suite: &str, name: &str) -> Result<Machine> {
    let root = Root::ensure(suite, &PACKAGES)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = format!("server {{ listen 127.0.0.1:{port}; server_name localhost; return 204; }}\n");
    let prepare = |tree: &Path| Ok(std::fs::write(tree.join("etc/nginx/sites-available/default"), config)?);
    Machine::boot_with(&root, name, prepare)
}
