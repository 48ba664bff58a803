//! Looks daily whether package managers will take for long what is served to them. Every instance looks at its own folder.

use std::time::Duration;

use crate::{
    packages::Packages,
    store,
    usecase::{Core, packages},
    zone::Zone,
};

const EVERY: Duration = Duration::from_hours(24);

pub async fn run(core: &Core, served: &Packages) {
    let pace = core.clock.pace();
    while !core.store.hub.is_stopping() {
        if let Err(error) = look(core, served).await {
            tracing::error!(%error, "packages");
        }
        tokio::select! {
            () = pace.sleep(EVERY) => {}
            () = core.store.hub.stopped() => {}
        }
    }
}

async fn look(core: &Core, served: &Packages) -> store::Result<()> {
    let validity = match served.validity().await {
        Ok(validity) => validity,
        Err(error) => {
            tracing::warn!("nobody can tell until when the repositories can be used: {error:#}");
            return Ok(());
        }
    };
    let now = core.clock.now();
    if !validity.runs_out(now) {
        return Ok(());
    }
    let end = Zone::utc().rfc3339(validity.until);
    let fix = "sign them anew with `make repositories`, and put them into OSM_PACKAGES_DIR";
    if validity.is_over(now) {
        tracing::warn!("the repositories have run out at {end}, and servers install nothing from them: {fix}");
    } else {
        tracing::warn!("the repositories run out at {end}: {fix}");
    }
    packages::run_out(core, validity.until).await
}
