//! `osm-demo`: the product tried on this machine, see `make run`.
//!
//! | module | what |
//! |---|---|
//! | `settings` | addresses and folders, from the environment |
//! | `conversation` | the first conversation, as Anna has it |
//! | `host`, `container` | where the agent runs: beside us, or in a booted container |
//! | `programs` | the backend and the agent as processes that end with us |
//! | `screen` | what is shown in the terminal |
//! | `telegram` | no conversation, but the backend in real Telegram |

mod container;
mod conversation;
mod host;
mod programs;
mod screen;
mod settings;
mod telegram;

use std::{future::Future, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{conversation::Demo, settings::Settings};

/// Tries Online Server Monitor on this machine: starts the backend and plays the first conversation with its bot, pairing this
/// machine's agent; then a person can go on in a web chat. Nothing leaves this machine and nothing is installed.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "OSM_TELEGRAM_TOKEN (or OSM_TELEGRAM_TOKEN_FILE) set: no conversation is played; the backend runs as that bot in real Telegram.\n\
                  OSM_LISTEN             address of the backend [default: 127.0.0.1:8080]\n\
                  OSM_DEMO_CHAT_LISTEN   address of the web chat, which has no login [default: 127.0.0.1:8081]\n\
                  OSM_LOG                what backend and agent log: error, warn, info, debug"
)]
struct Options {
    /// End after the conversation, with success if all of it went well
    #[arg(long)]
    once: bool,
    /// Run the agent in a booted Debian container with nginx, whose restart button works; needs root
    #[arg(long)]
    systemd: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // One thread: the programs started here end with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.context("the runtime cannot be set up").and_then(|runtime| {
        let result = runtime.block_on(run(&options));
        // A container half booted is not waited for: it ends with this process.
        runtime.shutdown_background();
        result
    });
    result.unwrap_or_else(|error| {
        eprintln!("osm-demo: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(options: &Options) -> Result<ExitCode> {
    if settings::telegram_token() && !options.systemd {
        match telegram::become_backend()? {}
    }
    let stopped = stopped()?;
    let mut demo = Demo::new(Settings::from_environment()?)?;
    let played = tokio::select! {
        played = demo.play(options.systemd, options.once) => played.map(|()| ExitCode::SUCCESS),
        // Whoever stops the conversation did not see it succeed.
        () = stopped => Ok(if options.once { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
    };
    demo.end().await;
    played
}

/// Ctrl-C, or the terminal, or somebody's kill.
fn stopped() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("signals cannot be waited for");
    let (mut interrupt, mut terminate, mut hangup): (Signal, Signal, Signal) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
