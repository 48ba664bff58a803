//! Callers who are nobody here were refused: told once a minute for each kind.

use crate::{
    domain::event::{By, Event, Happened},
    store,
    usecase::{Core, tally::Tally, work::Work},
};

/// Leaves one event for each kind of refusal since the last time.
pub async fn tell(core: &Core) -> store::Result<()> {
    let tallies = core.refusals.take();
    if tallies.is_empty() {
        return Ok(());
    }
    let mut work = Work::begin(core, By::System {}).await?;
    for (what, Tally { count, networks }) in tallies {
        work.record(Happened::here(Event::Refused { what, count, networks: networks.into_iter().collect() }));
    }
    work.commit("refusals").await
}
