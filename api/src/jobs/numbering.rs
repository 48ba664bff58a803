//! Numbers committed events, within a second. A role of one instance.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    domain::{Millis, SECOND},
    store::{self, events, leases},
    usecase::Core,
};

pub const ROLE: &str = "numberer";
pub const LEASE: Millis = 15 * SECOND;
/// How long to wait for a wake before looking anyway.
const SWEEP: Duration = Duration::from_secs(1);

pub async fn run(core: &Core) {
    while !core.store.hub.is_stopping() {
        match number(core).await {
            Ok(Progress::More) => continue,
            Ok(Progress::Done) => {}
            Err(error) => tracing::error!(%error, "numbering of events"),
        }
        let _ = timeout(SWEEP, core.store.hub.events.notified()).await;
    }
}

enum Progress {
    More,
    Done,
}

async fn number(core: &Core) -> store::Result<Progress> {
    // A look first: an idle backend writes nothing.
    if !events::any_unnumbered(&mut core.store.read().await?).await? {
        return Ok(Progress::Done);
    }
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    if !leases::hold(&mut tx, ROLE, core.instance, now, now + LEASE).await? {
        return Ok(Progress::Done);
    }
    let more = events::number(&mut tx).await?;
    tx.commit("number-events").await?;
    Ok(if more { Progress::More } else { Progress::Done })
}
