//! Listens for servers that have gone silent. A role of one instance, which begins with every server's whole grace.

use std::time::Duration;

use crate::{
    domain::{Millis, SECOND, silence::Listener},
    store::{self, leases},
    usecase::{Core, alert::silence},
};

const ROLE: &str = "offline-judge";
const LEASE: Millis = 15 * SECOND;
const EVERY: Duration = Duration::from_secs(5);

pub async fn run(core: &Core) {
    let pace = core.clock.pace();
    let mut listener = Listener::default();
    while !core.store.hub.is_stopping() {
        let looked = async {
            if hold_lease(core).await? {
                return silence::listen(core, &mut listener, ROLE).await;
            }
            // Another instance listens; should it stop, this one begins anew.
            listener = Listener::default();
            Ok(())
        };
        if let Err(error) = looked.await {
            tracing::error!(%error, "offline judge");
            // Nobody could report either, as long as the database was away.
            listener = Listener::default();
        }
        tokio::select! {
            () = pace.sleep(EVERY) => {}
            () = core.store.hub.stopped() => {}
        }
    }
}

async fn hold_lease(core: &Core) -> store::Result<bool> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    let held = leases::hold(&mut tx, ROLE, core.instance, now, now + LEASE).await?;
    tx.commit("judge-lease").await?;
    Ok(held)
}
