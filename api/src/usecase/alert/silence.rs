//! Servers go silent, as one instance hears them.

use std::collections::HashSet;

use crate::{
    domain::{
        SECOND,
        alert::{Limits, Rule, Watch},
        event::By,
        ids::ServerId,
        incident::Firing,
        silence::{Listener, SHORTEST_GRACE, Seen},
    },
    store::{
        self, commands, leases, servers,
        thresholds::{self, Thresholds},
        watches::{self, Heard, Row},
    },
    usecase::{
        Core,
        alert::{incident, judge::REBOOTING},
        work::Work,
    },
};

/// Takes one look at who is silent, as the holder of the lease `role`.
pub async fn listen(core: &Core, listener: &mut Listener, role: &str) -> store::Result<()> {
    let mut tx = core.store.read().await?;
    let heard = watches::heard(&mut tx).await?;
    let rebooting = commands::rebooting(&mut tx, core.clock.now() - REBOOTING).await?;
    let thresholds = thresholds::of_rule(&mut tx, Rule::Offline).await?;
    drop(tx);
    let seen: Vec<Seen> = heard.iter().map(|heard| seen(heard, &limits(&thresholds, heard), &rebooting)).collect();
    let silent: Vec<&Heard> = listener.look(core.clock.steady(), &seen).into_iter().map(|place| &heard[place]).collect();
    // The rule was switched off: whoever is silent is no trouble any more.
    let excused: Vec<&Heard> = heard.iter().filter(|heard| heard.is_offline && !limits(&thresholds, heard).enabled).collect();
    if silent.is_empty() && excused.is_empty() {
        return Ok(());
    }
    let mut work = Work::begin(core, By::System {}).await?;
    if leases::holder(&mut work.tx, role).await? != Some(core.instance) {
        return Ok(());
    }
    let ids: Vec<ServerId> = silent.iter().chain(&excused).map(|heard| heard.server_id).collect();
    servers::hold(&mut work.tx, &ids).await?;
    let mut rows = Vec::new();
    for heard in silent {
        // It may have reported, or gone, since the look.
        if watches::is_still(&mut work.tx, heard).await? {
            incident::fire(&mut work, went_silent(heard, limits(&thresholds, heard))).await?;
            rows.push(row(heard, Watch { at: work.now, firing: true, ..Watch::default() }));
        }
    }
    for heard in excused {
        incident::clear(&mut work, heard.server_id, Rule::Offline, "").await?;
        rows.push(row(heard, Watch::default()));
    }
    watches::put(&mut work.tx, &rows).await?;
    work.commit("offline").await
}

fn limits(thresholds: &Thresholds, heard: &Heard) -> Limits {
    thresholds.of(heard.chat_id, Some(heard.server_id), Rule::Offline)
}

fn row(heard: &Heard, watch: Watch) -> Row {
    Row { server_id: heard.server_id, rule: Rule::Offline, subject: String::new(), watch }
}

fn seen(heard: &Heard, limits: &Limits, rebooting: &HashSet<ServerId>) -> Seen {
    let interval = heard.interval_s * SECOND;
    #[expect(clippy::cast_possible_truncation, reason = "at most 60 intervals")]
    let grace = (interval * limits.limit as i64).max(SHORTEST_GRACE);
    Seen {
        server_id: heard.server_id,
        chat_id: heard.chat_id,
        received_at: heard.received_at,
        interval,
        grace,
        excused: heard.is_offline || rebooting.contains(&heard.server_id) || !limits.enabled,
    }
}

fn went_silent(heard: &Heard, limits: Limits) -> Firing<'_> {
    Firing {
        chat_id: heard.chat_id,
        server_id: heard.server_id,
        server_name: &heard.server_name,
        rule: Rule::Offline,
        subject: "",
        limits,
        value: limits.limit,
        since: heard.received_at,
        processes: Vec::new(),
    }
}
