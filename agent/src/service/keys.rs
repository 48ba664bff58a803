//! Fetches a newer key set when there is word of one.

use anyhow::Result;
use osm_protocol::keyset::KeySet;
use tokio::time::sleep;

use super::session::Session;
use crate::{backend::backoff::jittered, host::systemd::Systemd};

pub async fn run<S: Systemd>(session: &Session<'_, S>) {
    let machine = session.service.machine;
    loop {
        session.keys_wanted.notified().await;
        match fetch(session).await {
            Ok(Fetched::Newer) => log::info!("command keys: version {}", session.keys.borrow().version),
            Ok(Fetched::Same) => {}
            Err(error) => log::warn!("the key set cannot be renewed: {error:#}"),
        }
        // A backend that keeps asking for it must not keep us busy.
        sleep(jittered(machine.settings.interval, machine.random)).await;
    }
}

enum Fetched {
    Newer,
    Same,
}

async fn fetch<S: Systemd>(session: &Session<'_, S>) -> Result<Fetched> {
    let envelope = session.client.keys().await?;
    let root = session.pairing.root()?;
    let held = session.keys.borrow().version;
    // Any version first: the one already held is nothing to complain about.
    if KeySet::open(&envelope, &root, i64::MIN)?.version == held {
        return Ok(Fetched::Same);
    }
    let keys = KeySet::open(&envelope, &root, held)?;
    session.take_up(&envelope, keys).await?;
    Ok(Fetched::Newer)
}
