//! A proxy in front of the backend, set up by the example that its package brings: only where it listens, and its certificate,
//! are others.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::sleep,
};

use crate::backend;

const NGINX: &str = include_str!("../../api/dist/nginx.conf.example");
const CADDY: &str = include_str!("../../api/dist/Caddyfile.example");
/// As the example asks for; Debian has 768.
const WORKER_CONNECTIONS: &str = "events { worker_connections 8192; }";
const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Proxy {
    Nginx,
    Caddy,
}

/// A proxy, killed when this is dropped.
pub struct Running {
    pub address: SocketAddr,
    _child: Child,
}

impl Proxy {
    pub async fn start(self, dir: &Path, backend: SocketAddr) -> Result<Running> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let (file, log) = (dir.join("proxy.conf"), dir.join("proxy.log"));
        let mut command = match self {
            Self::Nginx => {
                fs::write(&file, nginx(dir, address, backend)?)?;
                let mut command = Command::new("/usr/sbin/nginx");
                command.arg("-e").arg(&log).arg("-c").arg(&file);
                command
            }
            Self::Caddy => {
                fs::write(&file, caddy(address, backend)?)?;
                let mut command = Command::new("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
                command.env("XDG_DATA_HOME", dir).env("XDG_CONFIG_HOME", dir);
                command
            }
        };
        let (child, _) = backend::spawn(&mut command, &dir.join("proxy.out"))
            .with_context(|| format!("{self:?} does not start: apt install nginx caddy"))?;
        let end = Instant::now() + SOON;
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() > end {
                let said = |name| fs::read_to_string(dir.join(name)).unwrap_or_default();
                bail!("{self:?} does not listen after {SOON:?}; it said:\n{}{}", said("proxy.out"), said("proxy.log"));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Running { address, _child: child })
    }
}

fn nginx(dir: &Path, address: SocketAddr, backend: SocketAddr) -> Result<String> {
    let mut site = with(NGINX, "127.0.0.1:8080", &backend.to_string())?;
    site = with(&site, "listen 443 ssl;", &format!("listen {address} backlog=4096;"))?;
    let of_tls = |line: &&str| !["listen [::]", "ssl_"].iter().any(|start| line.trim_start().starts_with(start));
    let site: Vec<&str> = site.lines().filter(of_tls).collect();
    let dir = dir.display();
    Ok(format!(
        "daemon off;\npid {dir}/nginx.pid;\nworker_processes auto;\nworker_rlimit_nofile 65536;\n{WORKER_CONNECTIONS}\n\
         http {{\naccess_log off;\nclient_body_temp_path {dir}/body;\nproxy_temp_path {dir}/proxy;\n{}\n}}\n",
        site.join("\n")
    ))
}

fn caddy(address: SocketAddr, backend: SocketAddr) -> Result<String> {
    let file = with(CADDY, "127.0.0.1:8080", &backend.to_string())?;
    let file = with(&file, "osm.example.com {", &format!("http://{address} {{"))?;
    with(&file, "{\n\tservers {", "{\n\tadmin off\n\tservers {")
}

fn with(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "the example has no {from:?} any more");
    Ok(text.replacen(from, to, 1))
}
