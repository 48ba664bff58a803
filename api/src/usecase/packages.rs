//! The package repositories that are served run out: the owner hears of it weekly, and at once when they have.

use crate::{
    domain::{DAY, Millis, event::By, notice::Notice, notice::Urgency},
    store::{self, meta, people},
    usecase::{Core, work::Work},
};

const GAP: Millis = 7 * DAY;

pub async fn run_out(core: &Core, until: Millis) -> store::Result<()> {
    let mut work = Work::begin(core, By::System {}).await?;
    let Some(owner) = people::owner(&mut work.tx).await? else { return Ok(()) };
    let told_at = meta::hold_counter(&mut work.tx, meta::PACKAGES_TOLD_AT).await?;
    let is_new = told_at < until && until <= work.now;
    // A time that lies ahead is of a clock that was set back.
    if (told_at..told_at + GAP).contains(&work.now) && !is_new {
        return Ok(());
    }
    meta::set(&mut work.tx, meta::PACKAGES_TOLD_AT, &work.now.to_string()).await?;
    work.send(owner.private_chat(), &Notice::PackagesRunOut { until }, Urgency::Background).await?;
    work.commit("packages").await
}
