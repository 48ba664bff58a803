//! Tells once a minute who was refused. Every instance tells of its own callers.

use std::time::Duration;

use crate::usecase::{Core, refusals};

const EVERY: Duration = Duration::from_mins(1);

pub async fn run(core: &Core) {
    let pace = core.clock.pace();
    while !core.store.hub.is_stopping() {
        tokio::select! {
            () = pace.sleep(EVERY) => {}
            // What was counted by then is told before the backend stops.
            () = core.store.hub.stopped() => {}
        }
        if let Err(error) = refusals::tell(core).await {
            tracing::error!(%error, "refusals");
        }
    }
}
