//! Callers who are nobody here were refused: told once a minute for each kind, and the worst to the owner, at most once an hour.

use crate::{
    domain::{
        HOUR,
        event::{By, Event, Happened, Refused},
        notice::{Notice, Urgency},
    },
    store::{self, meta, people},
    usecase::{
        Core,
        tally::{Tallies, Tally},
        work::Work,
    },
};

/// Leaves one event for each kind of refusal since the last time. What the database does not take counts on.
pub async fn tell(core: &Core) -> store::Result<()> {
    let tallies = core.refusals.take();
    if tallies.is_empty() {
        return Ok(());
    }
    let told = leave(core, &tallies).await;
    if told.is_err() {
        core.refusals.give_back(tallies);
    }
    told
}

async fn leave(core: &Core, tallies: &Tallies) -> store::Result<()> {
    let mut work = Work::begin(core, By::System {}).await?;
    tell_owner(&mut work, tallies.iter()).await?;
    for (what, Tally { count, networks }) in tallies {
        work.record(Happened::here(Event::Refused { what: *what, count: *count, networks: networks.iter().cloned().collect() }));
    }
    work.commit("refusals").await
}

/// Tells the owner of the worst, unless an instance told one less than an hour ago.
async fn tell_owner<'t>(work: &mut Work<'_>, tallies: impl Iterator<Item = (&'t Refused, &'t Tally)>) -> store::Result<()> {
    // Nobody sends it any more, and told at the next start it would not be of the last minute.
    if work.core.store.hub.is_stopping() {
        return Ok(());
    }
    let worst = tallies.filter_map(|(what, tally)| what.gravity().map(|gravity| (gravity, what, tally)));
    let Some((_, what, Tally { count, networks })) = worst.max_by_key(|(gravity, ..)| *gravity) else { return Ok(()) };
    let Some(owner) = people::owner(&mut work.tx).await? else { return Ok(()) };
    let told_at = meta::hold_counter(&mut work.tx, meta::REFUSALS_TOLD_AT).await?;
    // A time that lies ahead is of a clock that was set back.
    if (told_at..told_at + HOUR).contains(&work.now) {
        return Ok(());
    }
    meta::set(&mut work.tx, meta::REFUSALS_TOLD_AT, &work.now.to_string()).await?;
    let notice = Notice::Refused { what: *what, count: *count, networks: networks.iter().cloned().collect() };
    work.send(owner.private_chat(), &notice, Urgency::Background).await
}
