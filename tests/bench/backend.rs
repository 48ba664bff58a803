//! The real backend, as a child, with the Bot API stand-in beside it.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use osm_api::keys::Keys;
use osm_protocol::keyset::TrustedKeys;
use osm_telegram_sim::{Options, Sim};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::sleep,
};

use crate::{
    fleet::{Fleet, now},
    wire::Connection,
};

pub const WEBHOOK_SECRET: &str = "0123456789abcdef0123456789abcdef";
const SOON: Duration = Duration::from_secs(20);

pub struct Backend {
    pub address: SocketAddr,
    /// As it stands in signatures.
    pub authority: String,
    pub database_url: String,
    pub pid: u32,
    pub sim: Sim,
    pub trusted: TrustedKeys,
    /// Killed when this is dropped.
    _child: Child,
}

impl Backend {
    pub async fn start(beside: &Path, dir: &Path, postgres: Option<&str>, fleet: &Fleet) -> Result<Self> {
        let state_dir = dir.join("api");
        std::fs::create_dir(&state_dir)?;
        let database_url = postgres.map_or_else(|| format!("sqlite://{}", state_dir.join("osm.db").display()), ToOwned::to_owned);
        fleet.pair(&database_url).await.context("pairing servers in the database")?;

        let sim = Sim::start(Options::default()).await?;
        // Free now; the backend takes it a moment later.
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let users: Vec<String> = fleet.of_people.iter().map(|server| server.chat_id.to_string()).collect();
        let mut command = Command::new(program(beside, "osm-api")?);
        command
            .arg("serve")
            .env("OSM_LISTEN", address.to_string())
            .env("OSM_STATE_DIR", &state_dir)
            .env("OSM_DATABASE_URL", &database_url)
            .env("OSM_TELEGRAM_TOKEN", sim.token())
            .env("OSM_TELEGRAM_API_URL", sim.api_url())
            .env("OSM_TELEGRAM_MODE", "webhook")
            .env("OSM_TELEGRAM_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("OSM_ALLOWED_USERS", users.join(","))
            // Attackers come from many networks, as through a proxy.
            .env("OSM_TRUSTED_PROXIES", "127.0.0.0/8");
        let (child, pid) = spawn(&mut command, &dir.join("osm-api.log"))?;
        ready(address, &dir.join("osm-api.log")).await?;
        sim.wait_webhook(SOON).await?;
        let trusted = Keys::load(&state_dir, None, now())?.trusted;
        Ok(Self { address, authority: address.to_string(), database_url, pid, sim, trusted, _child: child })
    }
}

/// Starts a child that ends with this process, its output in a file.
pub fn spawn(command: &mut Command, log: &Path) -> Result<(Child, u32)> {
    let file = File::create(log)?;
    let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true).spawn()?;
    let pid = child.id().context("the child ended at once")?;
    Ok((child, pid))
}

pub fn program(beside: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = beside.join(name);
    ensure!(path.exists(), "{} is missing: cargo build --release -p osm-api -p osm-agent -p osm-tests --bins", path.display());
    Ok(path)
}

async fn ready(address: SocketAddr, log: &Path) -> Result<()> {
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if let Ok(mut connection) = Connection::open(address).await
            && connection.exchange(b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n").await.is_ok_and(|reply| reply.status == 200)
        {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("osm-api is not ready after {SOON:?}; it said:\n{}", std::fs::read_to_string(log).unwrap_or_default())
}
