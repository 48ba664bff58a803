//! `osm-api`: parses the command line, loads the configuration, dispatches.

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser as _;
use osm_api::{
    App,
    cli::{self, Cli, Command, Refused},
    clock::Clock,
    config::Config,
};
use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    log(&cli.command);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("osm-api: {error:#}");
            if error.is::<Refused>() { ExitCode::from(3) } else { ExitCode::FAILURE }
        }
    }
}

/// To standard error; the journal has a clock of its own. What a command does it says itself.
fn log(command: &Command) {
    let level = if matches!(command, Command::Serve) { "info,sqlx=warn,poem=warn" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("OSM_LOG").unwrap_or_else(|_| level.into());
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
            print!("{}", cli::completions(*shell));
            Ok(())
        }
        Command::Keys { command } => cli::keys::run(&Config::state_dir(file, environment)?, command, &clock),
        Command::Operate(command) => cli::operate(command, Config::for_operator(file, environment)?, clock).await,
    }
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
