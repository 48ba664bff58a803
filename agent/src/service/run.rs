//! `osm-agent run`: waits for a pairing, then works under it until the pairing changes or a signal comes.

use std::{rc::Rc, time::Duration};

use anyhow::Result;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Mutex,
    time::sleep,
};

use crate::{
    config::Settings,
    host::{
        clock::Clock,
        identity,
        systemd::{Systemd, notify},
    },
    service::session::Session,
    state::dir::{Pairing, StateDir},
};

/// How soon a new pairing, or the end of one, is noticed.
const LOOK: Duration = Duration::from_secs(3);
/// A restart under way may take this long after a signal; then its end is not seen.
const GRACE: Duration = Duration::from_secs(15);

pub async fn run(settings: &Settings, dir: &StateDir, systemd: &impl Systemd) -> Result<()> {
    let _lock = dir.lock("lock", "run")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Held while a command is done: whoever gets it knows that none is half done.
    let executing = Mutex::new(());
    notify::ready();
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        result = work(settings, dir, systemd, &executing, end) => result,
        () = notify::watchdog() => Ok(()),
    }
}

async fn work(
    settings: &Settings,
    dir: &StateDir,
    systemd: &impl Systemd,
    executing: &Mutex<()>,
    end: impl Future<Output = ()>,
) -> Result<()> {
    let mut sessions = std::pin::pin!(sessions(settings, dir, systemd, executing));
    tokio::select! {
        result = &mut sessions => return result,
        () = end => {}
    }
    notify::stopping();
    log::info!("stopping");
    // A command under way gets time to end; the lock is kept, so that no other one begins.
    tokio::select! {
        result = &mut sessions => result,
        _ = executing.lock() => Ok(()),
        () = sleep(GRACE) => Ok(()),
    }
}

/// One session after the other, one for each pairing.
async fn sessions(settings: &Settings, dir: &StateDir, systemd: &impl Systemd, executing: &Mutex<()>) -> Result<()> {
    let clock = Rc::new(Clock::default());
    let mut said = String::new();
    loop {
        let mark = dir.pairing_mark();
        match ready(dir) {
            Ok(pairing) => {
                said.clear();
                log::info!("working as {} ({}) for {}", pairing.name, pairing.server_id, pairing.api);
                match Session::open(settings, dir, &pairing, Rc::clone(&clock), systemd, executing) {
                    Ok(session) => {
                        let changed = async {
                            while dir.pairing_mark() == mark {
                                sleep(LOOK).await;
                            }
                            // Not in the middle of a command.
                            let _ = tokio::time::timeout(GRACE, executing.lock()).await;
                        };
                        tokio::select! {
                            () = session.work() => {}
                            () = changed => log::info!("the pairing has changed"),
                        }
                        continue;
                    }
                    Err(error) => say(&mut said, format!("{error:#}")),
                }
            }
            Err(why) => say(&mut said, why),
        }
        sleep(LOOK).await;
    }
}

/// The pairing to work under, or what a person must do first.
fn ready(dir: &StateDir) -> Result<Pairing, String> {
    let pairing = dir.pairing().map_err(|error| format!("{error:#}"))?.ok_or_else(|| {
        "not paired. Get a line with /add_server in the chat, and run it here: osm-agent pair --api URL --token-file -".to_owned()
    })?;
    let machine = identity::machine(dir.path()).map_err(|error| format!("{error:#}"))?;
    if machine != pairing.machine {
        return Err("this machine is not the one that was paired (a clone, or its machine id was made anew): nothing is sent. \
                    Pair it again: osm-agent pair"
            .to_owned());
    }
    Ok(pairing)
}

/// Once each, however long it lasts.
fn say(said: &mut String, what: String) {
    if *said != what {
        log::warn!("{what}");
        notify::status(&what);
        *said = what;
    }
}
