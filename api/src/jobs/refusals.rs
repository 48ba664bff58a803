//! Tells once a minute who was refused. Every instance tells of its own callers.

use std::time::Duration;

use crate::usecase::{Core, refusals};

const EVERY: Duration = Duration::from_mins(1);

pub async fn run(core: &Core) {
    let pace = core.clock.pace();
    while !core.store.hub.is_stopping() {
        if let Err(error) = refusals::tell(core).await {
            tracing::error!(%error, "refusals");
        }
        tokio::select! {
            () = pace.sleep(EVERY) => {}
            () = core.store.hub.stopped() => {}
        }
    }
}
