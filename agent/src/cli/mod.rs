//! The command line: what a person types.

mod doctor;
mod privileges;
mod report;
mod services;
mod status;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::text::complain;
use crate::{
    config::Settings,
    host::{clock::Clock, journal, systemd::bus::Bus},
    logging,
    machine::Machine,
    pair::{
        pairing::{self, Unpair},
        token,
    },
    policy::{
        apply::apply,
        decide::{Word, decide},
        polkit::RULES_DIR,
    },
    service::run,
    state::dir::{self, StateDir},
};

#[derive(Debug, Parser)]
#[command(
    name = "osm-agent",
    version,
    about = "Agent of Online Server Monitor",
    after_help = "OSM_LOG sets what is logged: error, warn, info (default), debug, trace. OSM_AGENT_INTERVAL and OSM_AGENT_CA_FILE go \
                  before interval and ca_file of agent.toml. Proxies: HTTPS_PROXY, NO_PROXY."
)]
struct Cli {
    /// Configuration file [default: /etc/osm-agent/agent.toml, which may be missing]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// State directory; with it root stays root instead of becoming osm-agent [default: /var/lib/osm-agent]
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pair this server with a backend; the token is asked for, or read from a file
    Pair {
        /// Address of the backend, as `https://osm.example`
        #[arg(long, value_name = "URL")]
        api: String,
        /// File that holds the token; `-` is standard input
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Report and wait for commands; this is the service
    Run,
    /// Show how the agent is doing
    Status,
    /// Show the services that are reported, and which may be restarted
    Services,
    /// Show exactly what would be sent about this machine
    Report {
        /// Print it
        #[arg(long, required = true)]
        print: bool,
    },
    /// Check clock, DNS, TLS, API, D-Bus, state directory and policy
    Doctor,
    /// Take this server off the backend
    Unpair {
        /// Forget the pairing on this side only
        #[arg(long)]
        local: bool,
    },
    /// Clean the journal down to what agent.toml keeps; root's oneshot osm-agent-journal.service does it
    CleanJournal,
    /// Print the completion script of a shell; packages install those of bash, zsh and fish
    Completions { shell: clap_complete::Shell },
    /// Decide, as root, what may be restarted from the chat
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
        /// Folder of the polkit rules
        #[arg(long, global = true, value_name = "DIR", default_value = RULES_DIR, hide = true)]
        rules_dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Detect services and write the list and the polkit rule
    Apply,
    /// Allow the restart of a unit
    Allow {
        /// Its name; `.service` may be left out
        unit: String,
    },
    /// Forbid the restart of a unit
    Deny {
        /// Its name; `.service` may be left out
        unit: String,
    },
}

/// Parses the command line, loads the configuration, dispatches.
pub fn main() -> ExitCode {
    logging::init();
    // ring; rustls itself is built without a default.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().dispatch() {
        Ok(code) => code,
        Err(error) => {
            complain!("osm-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    fn dispatch(self) -> Result<ExitCode> {
        // Whoever names a state directory of their own stays who they are.
        let by_agent =
            !matches!(self.command, Command::Run | Command::CleanJournal | Command::Completions { .. } | Command::Policy { .. });
        if self.state_dir.is_none() && by_agent {
            let token_file = if let Command::Pair { token_file, .. } = &self.command { token_file.as_deref() } else { None };
            privileges::become_agent(token_file)?;
        }
        let settings = Settings::load(self.config.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(8)
            .thread_stack_size(512 * 1024)
            .build()
            .context("the runtime cannot be set up")?;
        let result = runtime.block_on(self.command.run(&settings, self.config.as_deref(), self.state_dir));
        // A thread that hangs on a dead disk must not keep the process.
        runtime.shutdown_background();
        result
    }
}

impl Command {
    async fn run(self, settings: &Settings, config: Option<&Path>, state_dir: Option<PathBuf>) -> Result<ExitCode> {
        let path = state_dir.unwrap_or_else(|| dir::DEFAULT_DIR.into());
        let systemd = Bus::default();
        match self {
            Self::Pair { api, token_file } => {
                let token = token::read(token_file.as_deref())?;
                pairing::pair(&Machine::real(settings, &StateDir::open_or_make(&path)?), &api, &token).await?;
            }
            Self::Run => Box::pin(run::run(&Machine::real(settings, &StateDir::open_or_make(&path)?), &systemd)).await?,
            Self::Status => status::status(&Machine::real(settings, &StateDir::open(&path)?), &systemd).await?,
            Self::Services => services::services(settings, &Clock::system(), &systemd).await?,
            Self::Report { .. } => report::print(settings, &Clock::system(), &systemd).await?,
            Self::Doctor => return Ok(doctor::doctor(settings, &path, &systemd).await),
            Self::Unpair { local } => {
                let unpair = if local { Unpair::HereOnly } else { Unpair::Everywhere };
                pairing::unpair(&Machine::real(settings, &StateDir::open(&path)?), unpair).await?;
            }
            Self::CleanJournal => journal::clean(settings)?,
            Self::Completions { shell } => {
                #[expect(
                    clippy::print_stdout,
                    reason = "a shell reads this, to the byte, and nothing of it comes from elsewhere"
                )]
                {
                    print!("{}", completions(shell));
                }
            }
            Self::Policy { command, rules_dir } => command.run(config, &rules_dir, &systemd).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the completion script of a shell.
fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
    // For bash it spells a program's name with a hyphen in two ways, and nothing past a subcommand would be completed (clap issue
    // 6421).
    String::from_utf8_lossy(&script).replace("osm__subcmd__agent", "osm__agent")
}

impl PolicyCommand {
    async fn run(self, config: Option<&Path>, rules_dir: &Path, systemd: &Bus) -> Result<()> {
        match self {
            Self::Apply => apply(config, rules_dir, systemd).await,
            Self::Allow { unit } => decide(config, rules_dir, systemd, &unit, Word::Allow).await,
            Self::Deny { unit } => decide(config, rules_dir, systemd, &unit, Word::Deny).await,
        }
    }
}
