//! `osm-agent run`: waits for a pairing, then works under it until the pairing changes or a signal comes.

use std::time::Duration;

use anyhow::Result;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Mutex,
    time::{sleep, timeout},
};

use super::{
    commands, keys, outcomes, reboots,
    reports::Reports,
    session::{Service, Session},
};
use crate::{
    host::{
        identity,
        systemd::{Systemd, notify},
    },
    machine::Machine,
    state::{dir::Mark, pairing::Pairing},
};

/// How soon a new pairing, or the end of one, is noticed.
const LOOK: Duration = Duration::from_secs(3);
/// A restart under way may take this long after a signal; then its end is not seen.
const GRACE: Duration = Duration::from_secs(15);

/// Runs until a signal comes.
pub async fn run(machine: &Machine<'_>, systemd: &impl Systemd) -> Result<()> {
    let _lock = machine.dir.lock("lock", "run")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let service = Service { machine, systemd, executing: Mutex::new(()) };
    notify::ready();
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        () = work(&service, end) => Ok(()),
        () = notify::watchdog() => Ok(()),
    }
}

async fn work(service: &Service<'_, impl Systemd>, end: impl Future<Output = ()>) {
    let mut sessions = std::pin::pin!(sessions(service));
    tokio::select! {
        () = &mut sessions => return,
        () = end => {}
    }
    notify::stopping();
    log::info!("stopping");
    // A command under way gets time to end; the lock is kept, so that no other one begins.
    tokio::select! {
        () = &mut sessions => {}
        _ = service.executing.lock() => {}
        () = sleep(GRACE) => {}
    }
}

/// Runs one session after the other, one for each pairing.
async fn sessions(service: &Service<'_, impl Systemd>) {
    let mut said = String::new();
    loop {
        let mark = service.machine.dir.pairing_mark();
        let ended = match ready(service.machine) {
            Ok(pairing) => session(service, &pairing, mark).await.map_err(|error| format!("{error:#}")),
            Err(why) => Err(why),
        };
        match ended {
            Ok(()) => said.clear(),
            Err(why) => {
                say(&mut said, why);
                sleep(LOOK).await;
            }
        }
    }
}

/// Works under a pairing until it changes.
async fn session(service: &Service<'_, impl Systemd>, pairing: &Pairing, mark: Option<Mark>) -> Result<()> {
    let session = Session::open(service, pairing)?;
    let reports = Reports::open(&session)?;
    // Once it can: what keeps it from working is said once, however often it is tried.
    log::info!("working as {} ({}) for {}", pairing.name, pairing.server_id, pairing.api);
    let changed = async {
        while service.machine.dir.pairing_mark() == mark {
            sleep(LOOK).await;
        }
        // Not in the middle of a command.
        let _ = timeout(GRACE, service.executing.lock()).await;
    };
    tokio::select! {
        _ = async {
            tokio::join!(
                reports.run(),
                commands::run(&session),
                reboots::run(&session),
                outcomes::run(&session),
                keys::run(&session),
            )
        } => {}
        () = changed => log::info!("the pairing has changed"),
    }
    Ok(())
}

/// Reads the pairing to work under, or says what a person must do first.
fn ready(machine: &Machine<'_>) -> Result<Pairing, String> {
    let dir = machine.dir;
    let pairing = dir.pairing().map_err(|error| format!("{error:#}"))?.ok_or_else(|| {
        "not paired. Get a line with /add_server in the chat, and run it here: osm-agent pair --api URL --token-file -".to_owned()
    })?;
    let now = identity::machine(dir.path(), machine.random).map_err(|error| format!("{error:#}"))?;
    if now != pairing.machine {
        return Err("this machine is not the one that was paired (a clone, or its machine id was made anew): nothing is sent. \
                    Pair it again: osm-agent pair"
            .to_owned());
    }
    Ok(pairing)
}

/// Says something once, however long it lasts.
fn say(said: &mut String, what: String) {
    if *said != what {
        log::warn!("{what}");
        notify::status(&what);
        *said = what;
    }
}
