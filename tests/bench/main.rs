//! `osm-bench`: how much the backend and the agent carry on this machine, as a table. It plays everybody else itself: agents
//! with keys of their own, people and the Bot API; all on loopback, for a bounded time, then it stops.
//!
//! | module | what it measures or does |
//! |---|---|
//! | `reports` | reports accepted and committed, their latency |
//! | `polls` | memory with many agents long-polling |
//! | `hostile` | memory, and the latency of others' reports, beside a thousand hostile connections |
//! | `taps` | from the tap to the agent that holds the signed command |
//! | `real_agent` | memory and CPU of the real agent |
//! | `proxy` | nginx or Caddy in front, by the shipped example |
//! | `backend`, `fleet` | the real backend as a child; servers that are paired already |
//! | `wire`, `proc`, `figures`, `machine` | HTTP/1.1 as cheap as can be; /proc; percentiles and the table; where this was measured |

mod backend;
mod figures;
mod fleet;
mod hostile;
mod machine;
mod polls;
mod proc;
mod proxy;
mod real_agent;
mod reports;
mod taps;
mod wire;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;

use crate::{backend::Backend, figures::Table, fleet::Fleet, proxy::Proxy};

/// Measures the backend and the agent on this machine; everything stays on loopback.
#[derive(Parser)]
#[command(
    name = "osm-bench",
    version,
    after_help = "osm-api and osm-agent are taken from beside this program: cargo build --release -p osm-api -p osm-agent -p osm-tests --bins"
)]
struct Options {
    /// How long reports are sent, after a warm-up of 3 s.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=30))]
    seconds: u64,
    /// Simulated servers that report. The backend takes 5 batches a second of each.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1000..=200_000))]
    servers: u32,
    /// Connections that report at once, each with one request under way.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=2000))]
    connections: u32,
    /// Rate of the second round, whose latency is not that of a full queue; reports a second.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=8000))]
    rate: u32,
    /// Confirmed restarts, from the webhook to the agent.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1000))]
    taps: u32,
    /// Hostile connections beside reports at a tenth of that rate; 0 leaves them out.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=4000))]
    hostile: u32,
    /// The round with hostile connections and no other.
    #[arg(long)]
    only_hostile: bool,
    /// That round through a proxy in front, by its shipped example
    #[arg(long, requires = "only_hostile")]
    proxy: Option<Proxy>,
    /// How long the real agent is watched; 0 leaves it out.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(0..=3600))]
    agent_seconds: u64,
    /// An empty PostgreSQL database, `postgres://user:password@host/name` [default: a fresh SQLite file]
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Where state goes meanwhile; its disk decides what a commit costs [default: beside this program]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Agents that wait for commands while memory is looked at.
const POLLS: usize = 1000;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("osm-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(options: &Options) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let beside = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let dir = tempfile::Builder::new().prefix("osm-bench-").tempdir_in(options.dir.as_ref().unwrap_or(&beside))?;
    if cfg!(debug_assertions) {
        say("this is no release build: the figures say nothing");
    }
    machine::print(dir.path())?;
    wire::allow_connections(4 * POLLS as u64 + 1000 + 2 * u64::from(options.hostile))?;

    say("making keys, pairing servers");
    let fleet = Fleet::new(options.servers);
    let mut backend = Backend::start(&beside, dir.path(), options.postgres.as_deref(), &fleet).await?;
    let in_front = match options.proxy {
        Some(proxy) => Some(proxy.start(dir.path(), backend.address).await?),
        None => None,
    };
    if let Some(in_front) = &in_front {
        backend.address = in_front.address;
    }
    let mut table = Table::default();

    table.row("memory of osm-api, idle", figures::mb(proc::rss(backend.pid)?), "");
    let mut accepted = 0;
    if options.hostile > 0 {
        say(&format!("{} hostile connections, and reports beside them", options.hostile));
        let seconds = Duration::from_secs(options.seconds.max(25));
        let beside = reports::Plan { seconds, connections: 32, rate: Some((options.rate / 10).max(1)) };
        let measured = hostile::run(&backend, &fleet, options.hostile, &beside).await?;
        accepted += measured.reports.accepted_in_all;
        measured.rows(&mut table);
    }
    if options.only_hostile {
        println!("\n{table}");
        return Ok(());
    }
    say(&format!("{POLLS} agents wait for commands"));
    let memory = polls::memory(&backend, &fleet.servers[..POLLS]).await?;
    table.row(format!("  with {POLLS} agents long-polling"), figures::mb(memory), "");

    say(&format!("reports: as many as go, {} connections", options.connections));
    let plan = reports::Plan { seconds: Duration::from_secs(options.seconds), connections: options.connections, rate: None };
    let mut full = reports::run(&backend, &fleet, &plan).await?;
    full.rows(&mut table, "reports, as many as go", "≥ 4,000 /s");
    say(&format!("reports: {} a second", options.rate));
    let mut paced = reports::run(&backend, &fleet, &reports::Plan { rate: Some(options.rate), ..plan }).await?;
    paced.rows(&mut table, &format!("reports, at {} a second", options.rate), "");
    let stored = fleet.count(&backend.database_url).await?;
    accepted += full.accepted_in_all + paced.accepted_in_all;
    table.row("  stored / accepted", format!("{stored} / {accepted}"), "equal");
    let memory = polls::memory(&backend, &fleet.servers[..POLLS]).await?;
    table.row(format!("memory after that, with {POLLS} long-polling"), figures::mb(memory), "");

    say(&format!("{} restarts are confirmed in the chat", options.taps));
    taps::run(&backend, &fleet, options.taps).await?.rows(&mut table);

    if options.agent_seconds > 0 {
        say(&format!("the real agent, watched for {} s", options.agent_seconds));
        let watched = Duration::from_secs(options.agent_seconds);
        real_agent::run(&backend, &beside, dir.path(), watched).await?.rows(&mut table);
    }
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    println!("\n{table}\n{command}");
    Ok(())
}

fn say(what: &str) {
    eprintln!("· {what}");
}
