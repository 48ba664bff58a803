//! The backend starts.

use crate::{
    domain::event::{By, Event, Happened},
    store::{self, leases, meta, updates},
    usecase::{Core, access::left, work::Work},
};

/// Clears what a dead process left, where only one can be using the database, notes that the keys are others than before, and
/// looks at who is no longer admitted.
pub async fn start(core: &Core) -> store::Result<()> {
    let mut work = Work::begin(core, By::Operator {}).await?;
    if core.store.is_embedded() {
        // Whatever was claimed, its claimer is dead.
        updates::release_all(&mut work.tx).await?;
        leases::clear(&mut work.tx).await?;
    }
    let version = core.keys.trusted.version;
    let before = meta::get(&mut work.tx, meta::KEY_SET_VERSION).await?;
    let now = version.to_string();
    if before.as_ref() != Some(&now) {
        meta::set(&mut work.tx, meta::KEY_SET_VERSION, &now).await?;
        if before.is_some() {
            work.record(Happened::here(Event::KeysRotated { version }));
        }
    }
    left::look_at_configuration(&mut work).await?;
    work.commit("release").await
}
