//! `osm-api`: parses the command line, loads the configuration, dispatches.

use std::{
    io::{IsTerminal, stderr},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use osm_api::{App, clock::Clock, config::Config, keys::Keys};
use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// The backend of Online Server Monitor: Telegram on one side, agents on the other.
#[derive(Parser)]
#[command(
    version,
    after_help = "Configuration: a TOML file (--config), then the environment (OSM_LISTEN, OSM_PUBLIC_URL, \
OSM_TELEGRAM_TOKEN, …; every secret also as …_FILE). The README lists all keys. OSM_LOG sets the log's level: error, warn, info, debug, trace, or per part as in info,sqlx=warn."
)]
struct Cli {
    /// Configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the backend until SIGINT or SIGTERM.
    Serve,
    /// Print the OpenAPI document.
    Openapi,
    /// Print the completion script of a shell; packages install those of bash, zsh and fish.
    Completions { shell: clap_complete::Shell },
    /// The keys that sign commands.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Show the root key's fingerprint and the command keys in use.
    Show,
    /// Make a new command key; the old one stays trusted until the next rotation. Needs keys/root.pem, and is run as the
    /// user of the service. Restart the backend afterwards.
    Rotate,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    log();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("osm-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// To standard error; the journal has a clock of its own.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OSM_LOG").unwrap_or_else(|_| "info,sqlx=warn,poem=warn".into());
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false).with_ansi(colours);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().init();
    } else {
        lines.init();
    }
}

#[tokio::main]
async fn run(cli: &Cli) -> anyhow::Result<()> {
    let clock = Clock::system();
    let (file, environment) = (cli.config.as_deref(), |key: &str| std::env::var(key).ok());
    match &cli.command {
        Command::Serve => serve(Config::load(file, environment)?, clock).await,
        Command::Openapi => {
            print!("{}", osm_api::document());
            Ok(())
        }
        Command::Completions { shell } => {
            print!("{}", completions(*shell));
            Ok(())
        }
        Command::Keys { command: KeysCommand::Show } => {
            show_keys(&Keys::show(&Config::state_dir(file, environment)?)?);
            Ok(())
        }
        Command::Keys { command: KeysCommand::Rotate } => {
            show_keys(&Keys::rotate(&Config::state_dir(file, environment)?, clock.now())?);
            println!("Restart the backend; agents fetch the new key set with their next report.");
            Ok(())
        }
    }
}

/// Writes the completion script of a shell.
fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_BIN_NAME"), &mut script);
    // For bash it spells a program's name with a hyphen in two ways, and nothing past a subcommand would be completed (clap issue
    // 6421).
    String::from_utf8_lossy(&script).replace("osm__subcmd__api", "osm__api")
}

async fn serve(config: Config, clock: Clock) -> anyhow::Result<()> {
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; set OSM_LISTEN to a free address"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        notify(NotifyState::Stopping);
    };
    tokio::pin!(shutdown);
    let reached_as = config.public_url.text.clone();
    let app = tokio::select! {
        app = App::open(config, clock) => app?,
        () = &mut shutdown => return Ok(()),
    };
    println!("osm-api {} on http://{address}, reached as {reached_as}", env!("CARGO_PKG_VERSION"));
    notify(NotifyState::Ready);
    app.serve(listener, shutdown, |link| println!("This bot has no owner yet. Open {link} in Telegram to become its owner."))
        .await
}

/// Tells systemd, where that started us (`sd_notify(3)`).
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "sd_notify");
    }
}

fn show_keys(trusted: &osm_protocol::keyset::TrustedKeys) {
    println!("key set  version {}", trusted.version);
    println!("root     {}", trusted.root.fingerprint());
    for key in &trusted.command_keys {
        println!("command  {}", key.fingerprint());
    }
}
