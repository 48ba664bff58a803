//! The one sender: takes notices out of the outbox, puts them in words, and sends them within Telegram's budgets, in order within a
//! chat, most urgent first. Delivery is at least once.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use crate::{
    domain::{MINUTE, Millis, SECOND, view::View},
    store::{
        self, chats, leases, messages,
        outbox::{self, Content, Entry},
    },
    telegram::{
        bot::{Bot, Fault},
        budget::Budget,
        cards::{self, Frame},
        text::Text,
        views,
    },
    usecase::Core,
    zone::Zone,
};

const ROLE: &str = "sender";
/// A sender that has not renewed its lease for this long is no longer the sender. Longer than a call may take (17 s).
const LEASE: i64 = 30 * SECOND;
const SWEEP: Duration = Duration::from_secs(1);
/// Entries looked at in a round, and calls under way at a time.
const LOOK: i64 = 500;
const AT_ONCE: usize = 16;
/// News that waited for longer say so.
const LATE: Millis = MINUTE;
/// A tap nobody answered for this long has stopped spinning.
const TOAST_STALE: i64 = 60 * SECOND;

/// Ends when the backend stops, with what is under way settled.
pub async fn run(core: &Core, bot: &Bot) {
    let mut budget = Budget::new(Instant::now());
    while !core.store.hub.is_stopping() {
        let wait = match round(core, bot, &mut budget).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "outbox");
                SWEEP
            }
        };
        if !wait.is_zero() {
            let _ = timeout(wait.min(SWEEP), core.store.hub.outbox.notified()).await;
        }
    }
}

/// Sends what may be sent now; returns how long there is nothing to do.
async fn round(core: &Core, bot: &Bot, budget: &mut Budget) -> store::Result<Duration> {
    let mut tx = core.store.read().await?;
    let entries = outbox::due(&mut tx, core.clock.now(), LOOK).await?;
    drop(tx);
    if entries.is_empty() {
        budget.tidy(Instant::now());
        return Ok(SWEEP);
    }
    if !hold_lease(core).await? {
        return Ok(SWEEP);
    }

    let now = Instant::now();
    let mut wait = SWEEP;
    let mut chats = HashSet::new();
    let mut sendable = Vec::new();
    for entry in entries {
        // Only the first of each chat: the next one follows when it was accepted.
        if sendable.len() == AT_ONCE || !chats.insert(entry.chat_id) {
            continue;
        }
        match budget.take(entry.chat_id, now) {
            Ok(()) => sendable.push(entry),
            Err(needed) => wait = wait.min(needed),
        }
    }
    if sendable.is_empty() {
        return Ok(wait.max(Duration::from_millis(10)));
    }
    let sendable = close_gathering(core, sendable).await?;
    let mut failed = None;
    let results = join_all(sendable.iter().map(async |entry| (send(core, bot, entry).await, Instant::now()))).await;
    for (entry, (result, at)) in sendable.iter().zip(results) {
        budget.answered(entry.chat_id, at);
        // What Telegram has accepted is settled first of all; only then does somebody else's error count.
        match result {
            Ok(sent) => {
                if let Err(error) = settle(core, budget, entry, sent).await {
                    failed = Some(error);
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(Duration::ZERO), Err)
}

/// What comes from now on is for another message than those that are about to go out.
async fn close_gathering(core: &Core, entries: Vec<Entry>) -> store::Result<Vec<Entry>> {
    if !entries.iter().any(|entry| entry.is_gathering) {
        return Ok(entries);
    }
    let mut tx = core.store.begin().await?;
    let mut closed = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.is_gathering {
            closed.extend(outbox::close(&mut tx, &entry).await?);
        } else {
            closed.push(entry);
        }
    }
    tx.commit("close-gathering").await?;
    Ok(closed)
}

async fn hold_lease(core: &Core) -> store::Result<bool> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    let held = leases::hold(&mut tx, ROLE, &core.instance, now, now + LEASE).await?;
    tx.commit("sender-lease").await?;
    Ok(held)
}

/// What became of a call.
type Sent = Result<Option<i32>, Fault>;

async fn send(core: &Core, bot: &Bot, entry: &Entry) -> store::Result<Sent> {
    let mut tx = core.store.read().await?;
    let now = core.clock.now();
    let chat = chats::get(&mut tx, entry.chat_id).await?;
    let text = Text::new(chat.as_ref().and_then(|chat| chat.language.as_deref()));
    match (&entry.content, &entry.callback_id, &entry.message_id) {
        (Some(Content::Toast(toast)), Some(callback_id), _) => {
            drop(tx);
            if now - entry.created_at > TOAST_STALE {
                return Ok(Ok(None));
            }
            Ok(bot.answer(callback_id, cards::toast(*toast, &text)).await.map(|()| None))
        }
        (Some(Content::Notice(notice)), _, Some(message_id)) => {
            let view = match views::load(&mut tx, core, bot.username(), entry.chat_id, notice).await {
                Ok(view) => view,
                // A row that cannot be read will not be readable later.
                Err(error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))) => {
                    return Ok(Err(Fault::Permanent(error.to_string())));
                }
                Err(error) => return Err(error),
            };
            if view == View::Nothing {
                return Ok(Ok(None));
            }
            let telegram_id = messages::telegram_id(&mut tx, message_id).await?;
            drop(tx);
            // An edit makes no sound, and what it shows is of now.
            let is_late = telegram_id.is_none() && notice.is_news() && now - entry.created_at > LATE;
            let frame = Frame {
                text: &text,
                zone: &Zone::of(chat.as_ref().and_then(|chat| chat.zone.as_deref())),
                now,
                delayed_since: is_late.then_some(entry.created_at),
            };
            let rendered = cards::render(&view, &frame);
            Ok(match telegram_id {
                Some(telegram_id) => bot.edit(entry.chat_id, telegram_id, rendered).await.map(|()| None),
                None => bot.send(entry.chat_id, rendered).await.map(Some),
            })
        }
        _ => Ok(Err(Fault::Permanent("an entry that this version cannot read".to_owned()))),
    }
}

async fn settle(core: &Core, budget: &mut Budget, entry: &Entry, sent: Sent) -> store::Result<()> {
    crate::crash::point("outbox.called");
    let now = Instant::now();
    let mut tx = core.store.begin().await?;
    // Whoever took the lease over also sends this again: at least once, never lost.
    if !leases::is_held(&mut tx, ROLE, &core.instance).await? {
        return Ok(());
    }
    match sent {
        Ok(telegram_id) => {
            if let (Some(telegram_id), Some(message_id)) = (telegram_id, &entry.message_id) {
                messages::set_telegram_id(&mut tx, message_id, Some(telegram_id)).await?;
            }
            outbox::sent(&mut tx, entry).await?;
        }
        Err(Fault::NotModified | Fault::QueryTooOld) => outbox::sent(&mut tx, entry).await?,
        Err(Fault::MessageGone) => match &entry.message_id {
            // What it would have shown still counts: it goes out as a new message.
            Some(message_id) => messages::set_telegram_id(&mut tx, message_id, None).await?,
            None => outbox::sent(&mut tx, entry).await?,
        },
        Err(Fault::TooMany(seconds)) => {
            tracing::info!(chat = entry.chat_id, seconds, "Telegram asks to wait");
            budget.throttle(entry.chat_id, Duration::from_secs(u64::from(seconds)), now);
        }
        Err(Fault::Migrated(to)) => {
            tracing::info!(from = entry.chat_id, to, "a group became a supergroup");
            chats::migrate(&mut tx, entry.chat_id, to).await?;
        }
        Err(Fault::Unreachable(said)) => {
            tracing::info!(chat = entry.chat_id, said, "a chat cannot be reached until somebody writes there");
            chats::set_reachable(&mut tx, entry.chat_id, false).await?;
        }
        Err(Fault::Permanent(said)) => {
            tracing::error!(chat = entry.chat_id, said, "Telegram refused a message, which is dropped");
            outbox::sent(&mut tx, entry).await?;
        }
        Err(fault @ (Fault::Transient(_) | Fault::BadToken | Fault::Conflict)) => {
            let wait = Duration::from_secs(1 << entry.attempts.clamp(0, 6));
            tracing::warn!(chat = entry.chat_id, "a message did not go out: {fault}; next try in {} s", wait.as_secs());
            outbox::failed(&mut tx, entry).await?;
            budget.pause(entry.chat_id, wait, now);
        }
    }
    tx.commit("outbox-settle").await?;
    Ok(())
}
