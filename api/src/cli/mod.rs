//! What the operator types on the backend's machine, beside a running `serve` or without one.
//!
//! | module | what |
//! |---|---|
//! | [`access`] | who may use the bot |
//! | [`servers`] | servers of all chats |
//! | [`chats`] | the chats |
//! | [`keys`] | the keys that sign commands |
//! | `beside` | the database, opened beside a running backend |
//! | `typed` | what is typed, read; and the refusal of it |
//! | `print` | answers as lines for people, and as JSON |

pub mod access;
mod beside;
pub mod chats;
pub mod keys;
mod print;
pub mod servers;
mod typed;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

pub use typed::Refused;

use crate::{cli::print::Form, clock::Clock, config::Config};

/// The backend of Online Server Monitor: Telegram on one side, agents on the other.
#[derive(Parser)]
#[command(
    name = "osm-api",
    version,
    after_help = ABOUT
)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

const ABOUT: &str = "Configuration: a TOML file (--config), then the environment (OSM_LISTEN, OSM_PUBLIC_URL, \
OSM_TELEGRAM_TOKEN, …; every secret also as …_FILE). The README lists all keys. OSM_LOG sets the log's level: \
error, warn, info, debug, trace, or per part as in info,sqlx=warn.

Exit status: 0 on success, also where there was nothing to change; 1 if something failed; 2 for a wrong command \
line; 3 if it was refused. The message says what to do.";

#[derive(Subcommand)]
pub enum Command {
    /// Run the backend until SIGINT or SIGTERM.
    Serve,
    #[command(flatten)]
    Operate(Operate),
    /// The keys that sign commands.
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Print the completion script of a shell; packages install those of bash, zsh and fish.
    Completions { shell: clap_complete::Shell },
}

/// What is done beside a running backend.
#[derive(Subcommand)]
pub enum Operate {
    /// Who may use the bot.
    #[command(after_help = OPERATORS)]
    Access {
        #[command(subcommand)]
        command: access::Command,
        /// Answer in JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// The servers of all chats.
    #[command(after_help = OPERATORS)]
    Servers {
        #[command(subcommand)]
        command: servers::Command,
        /// Answer in JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// The chats that the bot works in.
    #[command(after_help = OPERATORS)]
    Chats {
        #[command(subcommand)]
        command: chats::Command,
        /// Answer in JSON.
        #[arg(long, global = true)]
        json: bool,
    },
}

const OPERATORS: &str = "Run it as the user of the service, with its configuration: \
sudo -u osm-api osm-api --config /etc/osm-api/api.toml … It works beside a running backend, which acts on it at once, and needs no \
token of a bot.";

/// Does what the operator typed, with the configuration of the backend, and prints what became of it.
pub async fn operate(command: &Operate, config: Config, clock: Clock) -> anyhow::Result<()> {
    let core = beside::open(config, clock).await?;
    let done = match command {
        Operate::Access { command, .. } => access::run(&core, command).await,
        Operate::Servers { command, .. } => servers::run(&core, command).await,
        Operate::Chats { command, .. } => chats::run(&core, command).await,
    };
    core.store.close().await;
    let (Operate::Access { json, .. } | Operate::Servers { json, .. } | Operate::Chats { json, .. }) = command;
    done?.print(if *json { Form::Json } else { Form::Lines })
}

/// Writes the completion script of a shell.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "osm-api", &mut script);
    // For bash it spells a program's name with a hyphen in two ways, and nothing past a subcommand would be completed (clap issue
    // 6421).
    String::from_utf8_lossy(&script).replace("osm__subcmd__api", "osm__api")
}
