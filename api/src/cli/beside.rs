//! The database, opened beside a running backend.

use anyhow::ensure;

use crate::{
    clock::Clock,
    config::Config,
    keys::Keys,
    store::{Store, wake},
    usecase::{Core, readiness::Readiness, tally::Refusals},
};

/// Opens what the use cases work on. It makes no state directory, no database and no schema: those are the backend's.
pub async fn open(config: Config, clock: Clock) -> anyhow::Result<Core> {
    ensure!(
        config.state_dir.join("keyset.json").exists(),
        "{}: not the state directory of a backend that has run; name its configuration by --config FILE, or set OSM_STATE_DIR",
        config.state_dir.display()
    );
    let keys = Keys::load(&config.state_dir, config.telegram.webhook_secret.clone(), clock.now())?;
    let store = Store::beside(config.database_url.expose(), &config.state_dir.join(wake::SOCKET)).await?;
    let instance = clock.id();
    Ok(Core {
        config,
        clock,
        store,
        keys,
        packages: None,
        refusals: Refusals::default(),
        readiness: Readiness::default(),
        instance,
    })
}
