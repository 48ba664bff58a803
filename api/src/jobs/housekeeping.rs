//! Ends what is over (commands, questions, tokens), every second; prunes what is old, every ten minutes, in small steps.
//! A role of one instance.

use std::time::Duration;

use crate::{
    domain::{DAY, HOUR, MINUTE, Millis, SECOND, event::By},
    store::{
        self, commands, confirmations, events, incidents, leases, messages, mutes, outbox, pairings, reports, servers, updates,
    },
    usecase::{Core, alert::incident, command::finish, pair::token, work::Work},
};

const ROLE: &str = "housekeeper";
const LEASE: i64 = 15 * SECOND;
const EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Millis = 10 * MINUTE;

/// How long raw figures are kept: longer than an agent's spool reaches back.
const KEEP_FIGURES: Millis = 7 * DAY;
/// Longer than Telegram repeats an update.
const KEEP_UPDATES: Millis = 48 * HOUR;
/// As long as Telegram lets a bot edit a message for sure.
const KEEP_OUTBOX: Millis = 48 * HOUR;
const KEEP_DEAD_TOKENS: Millis = DAY;
const KEEP_MESSAGES: Millis = 30 * DAY;
const KEEP_COMMANDS: Millis = 90 * DAY;
const KEEP_INCIDENTS: Millis = 90 * DAY;
const KEEP_REMOVED_KEYS: Millis = 365 * DAY;
const STEP: i64 = 5_000;

pub async fn run(core: &Core) {
    let pace = core.clock.pace();
    let mut pruned: Option<Millis> = None;
    while !core.store.hub.is_stopping() {
        if let Err(error) = sweep(core).await {
            tracing::error!(%error, "housekeeping");
        } else if pruned.is_none_or(|pruned| core.clock.steady() - pruned >= PRUNE_EVERY) {
            match prune(core).await {
                Ok(()) => pruned = Some(core.clock.steady()),
                Err(error) => tracing::error!(%error, "pruning"),
            }
        }
        tokio::select! {
            () = pace.sleep(EVERY) => {}
            () = core.store.hub.stopped() => {}
        }
    }
}

async fn sweep(core: &Core) -> store::Result<()> {
    let now = core.clock.now();
    // A look first: an idle backend writes nothing.
    let mut tx = core.store.read().await?;
    let due = commands::any_due(&mut tx, now).await?
        || confirmations::any_due(&mut tx, now).await?
        || pairings::any_dead(&mut tx, now).await?
        || incident::any_due(&mut tx, now).await?;
    drop(tx);
    if !due {
        return Ok(());
    }
    let mut work = Work::begin(core, By::System {}).await?;
    if leases::hold(&mut work.tx, ROLE, core.instance, now, now + LEASE).await? {
        // First: it waits for servers that are being judged, and those who judge wait for messages.
        incident::sweep(&mut work).await?;
        finish::sweep(&mut work).await?;
        token::close_messages(&mut work).await?;
    }
    work.commit("sweep").await
}

async fn prune(core: &Core) -> store::Result<()> {
    let now = core.clock.now();
    loop {
        let mut tx = core.store.begin().await?;
        if !leases::hold(&mut tx, ROLE, core.instance, now, now + LEASE).await? {
            return Ok(());
        }
        let more = reports::prune(&mut tx, now - KEEP_FIGURES, STEP).await?;
        tx.commit("prune-figures").await?;
        if !more {
            break;
        }
    }
    while prune_events(core, now).await? {}
    let mut tx = core.store.begin().await?;
    updates::prune(&mut tx, now - KEEP_UPDATES).await?;
    incidents::tell_anew(&mut tx, now - KEEP_OUTBOX).await?;
    outbox::prune(&mut tx, now - KEEP_OUTBOX).await?;
    pairings::prune(&mut tx, now - KEEP_DEAD_TOKENS).await?;
    confirmations::prune(&mut tx, now - KEEP_DEAD_TOKENS).await?;
    commands::prune(&mut tx, now - KEEP_COMMANDS).await?;
    incidents::prune(&mut tx, now - KEEP_INCIDENTS).await?;
    mutes::prune(&mut tx, now).await?;
    messages::prune(&mut tx, now - KEEP_MESSAGES).await?;
    servers::prune_removed(&mut tx, now - KEEP_REMOVED_KEYS).await?;
    tx.commit("prune").await
}

/// Drops a step of old events; tells whether there may be more.
async fn prune_events(core: &Core, now: Millis) -> store::Result<bool> {
    let mut tx = core.store.begin().await?;
    if !leases::hold(&mut tx, ROLE, core.instance, now, now + LEASE).await? {
        return Ok(false);
    }
    let more = events::prune(&mut tx, now - core.config.keep_events, STEP).await?;
    tx.commit("prune-events").await?;
    Ok(more)
}
