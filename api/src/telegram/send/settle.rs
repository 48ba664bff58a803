//! What becomes of an outbox row once its call has ended.
//!
//! A refusal (400, 403) is never final: Telegram's come and go, and its words are not to be relied on. What was refused
//! stays. Its chat is looked at again after a pause that grows to an hour, and soon where there is something new that
//! somebody has to hear; and each time another of its messages goes first, so that one that is refused for what it says holds
//! up nobody. Is it refused while others of its chat are taken, it alone waits. Every third try does without markup; what is
//! taken so is shown with it by the next call, and stays plain where that is refused.

use std::time::Duration;

use crate::{
    domain::ids::{IncidentId, ServerId, TelegramMessageId},
    store::{
        self, Tx, chats, incidents, leases, messages,
        outbox::{self, Entry},
        servers,
    },
    telegram::send::{answer::Fault, bot::Form},
    usecase::Core,
};

/// What became of a call. `None`: there was nothing to say.
pub type Sent = Result<Option<Taken>, Fault>;

/// What Telegram took.
pub struct Taken {
    /// The message it became; not known of answers to taps, nor where Telegram does not say.
    pub telegram_id: Option<TelegramMessageId>,
    pub form: Form,
    /// Alerts that a new message told for the first time, and as over.
    pub over: Vec<(IncidentId, ServerId)>,
}

/// How long the lane of a call rests.
pub enum Rest {
    Not,
    /// Telegram asked for it.
    Throttled(Duration),
    /// It failed in passing.
    Failed(Duration),
}

/// From so many refusals on it is worth an error that a message is refused while others are taken: it was tried without its
/// markup.
const TRIED_PLAIN: i64 = 3;

/// Writes down what became of a call, as the holder of the lease `role`.
pub async fn settle(core: &Core, role: &str, entry: &Entry, sent: Sent) -> store::Result<Rest> {
    crate::crash::point("outbox.called");
    let mut tx = core.store.begin().await?;
    // Whoever took the lease over also sends this again: at least once, never lost.
    if leases::holder(&mut tx, role).await? != Some(core.instance) {
        return Ok(Rest::Not);
    }
    let reach = match &sent {
        Ok(Some(_)) | Err(Fault::NotModified) => Reach::Took,
        Err(Fault::TopicGone(said)) if goes_to_topic(&mut tx, entry).await? => {
            tracing::info!(chat = %entry.chat_id, said, "a topic takes nothing; the message goes to General");
            outbox::to_general(&mut tx, entry).await?;
            Reach::Unknown
        }
        Err(Fault::Refused(said) | Fault::TopicGone(said)) => {
            // The topic may be open by the next try.
            outbox::to_topic(&mut tx, entry).await?;
            refused(&mut tx, core, entry, said).await?
        }
        _ => Reach::Unknown,
    };
    if sent.as_ref().is_err_and(Fault::is_certain) && entry.gathers.is_some() {
        outbox::reopen(&mut tx, entry).await?;
    }
    let rest = match sent {
        Ok(None) | Err(Fault::NotModified | Fault::QueryTooOld) => {
            outbox::sent(&mut tx, entry).await?;
            Rest::Not
        }
        Ok(Some(taken)) => {
            settle_taken(&mut tx, core, entry, taken).await?;
            Rest::Not
        }
        Err(fault) => settle_fault(&mut tx, entry, fault).await?,
    };
    tx.commit("outbox-settle").await?;
    note(core, entry, reach).await?;
    Ok(rest)
}

async fn settle_taken(tx: &mut Tx, core: &Core, entry: &Entry, taken: Taken) -> store::Result<()> {
    let Some(message_id) = entry.message_id else { return outbox::sent(tx, entry).await };
    let (over, servers): (Vec<_>, Vec<_>) = taken.over.into_iter().unzip();
    if !over.is_empty() {
        // First of all, as everybody who changes alerts.
        servers::hold(tx, &servers).await?;
        incidents::heard_as_over(tx, &over).await?;
    }
    messages::told(tx, message_id, taken.telegram_id, core.clock.now()).await?;
    if taken.form == Form::Plain && taken.telegram_id.is_some() {
        outbox::taken_plain(tx, entry).await
    } else {
        outbox::sent(tx, entry).await
    }
}

async fn settle_fault(tx: &mut Tx, entry: &Entry, fault: Fault) -> store::Result<Rest> {
    match fault {
        Fault::MessageGone => match entry.message_id {
            // What it would have shown still counts: it goes out as a new message.
            Some(message_id) => messages::gone(tx, message_id).await?,
            None => outbox::sent(tx, entry).await?,
        },
        Fault::TooMany(seconds) => {
            tracing::info!(chat = %entry.chat_id, seconds, "Telegram asks to wait");
            return Ok(Rest::Throttled(Duration::from_secs(u64::from(seconds))));
        }
        Fault::Migrated(to) => {
            tracing::info!(from = %entry.chat_id, %to, "a group became a supergroup");
            chats::migrate(tx, entry.chat_id, to).await?;
        }
        Fault::Unreadable(said) => {
            tracing::error!(chat = %entry.chat_id, said, "a message cannot be put in words, and is dropped");
            outbox::sent(tx, entry).await?;
        }
        Fault::Transient(_) | Fault::BadToken | Fault::Conflict => {
            let wait = Duration::from_secs(1 << entry.attempts.clamp(0, 6));
            tracing::warn!(chat = %entry.chat_id, "a message did not go out: {fault}; next try in {} s", wait.as_secs());
            outbox::failed(tx, entry).await?;
            return Ok(Rest::Failed(wait));
        }
        Fault::NotModified | Fault::QueryTooOld | Fault::Refused(_) | Fault::TopicGone(_) => {}
    }
    Ok(Rest::Not)
}

/// Tells whether a message was tried in its topic.
async fn goes_to_topic(tx: &mut Tx, entry: &Entry) -> store::Result<bool> {
    let Some(message_id) = entry.message_id else { return Ok(false) };
    Ok(!entry.in_general && messages::topic(tx, message_id).await?.is_some())
}

/// What a call tells of its chat.
enum Reach {
    Unknown,
    Took,
    Refused { before: i64 },
}

/// Keeps what was refused. Where others of its chat are taken, it alone waits; otherwise the chat does.
async fn refused(tx: &mut Tx, core: &Core, entry: &Entry, said: &str) -> store::Result<Reach> {
    let (chat, now) = (entry.chat_id, core.clock.now());
    if entry.message_id.is_none() {
        tracing::info!(%chat, said, "Telegram refused the answer to a tap");
        outbox::sent(tx, entry).await?;
        return Ok(Reach::Unknown);
    }
    if entry.shown_plain {
        tracing::error!(%chat, said, "Telegram takes a message only without its markup: it stays plain");
        outbox::sent(tx, entry).await?;
        return Ok(Reach::Unknown);
    }
    match chats::refusals(tx, chat).await? {
        Some(before) if before > 0 || entry.refused == 0 => {
            outbox::refused(tx, entry, None).await?;
            if before == 0 {
                tracing::warn!(%chat, said, "a chat refuses a message, which is kept; the chat is looked at again");
            } else {
                tracing::debug!(%chat, said, before, "a chat still refuses messages");
            }
            Ok(Reach::Refused { before })
        }
        // Of a chat that is not stored nothing is known; it may be one of somebody who never wrote here.
        _ => {
            let try_at = outbox::next_try(entry.refused, now);
            outbox::refused(tx, entry, Some(try_at)).await?;
            let wait_s = (try_at - now) / 1000;
            if entry.refused == TRIED_PLAIN {
                tracing::error!(%chat, said, wait_s, "Telegram goes on refusing a message, which is kept for two days");
            } else {
                tracing::info!(%chat, said, wait_s, "Telegram refuses a message; others of its chat go on");
            }
            Ok(Reach::Unknown)
        }
    }
}

/// Notes what a chat does, by itself: whoever announces something holds rows of the outbox and waits for the chat's.
async fn note(core: &Core, entry: &Entry, reach: Reach) -> store::Result<()> {
    let chat = entry.chat_id;
    let tx = match reach {
        Reach::Unknown => return Ok(()),
        Reach::Took => {
            let mut tx = core.store.read().await?;
            if chats::refusals(&mut tx, chat).await?.unwrap_or_default() == 0 {
                return Ok(());
            }
            drop(tx);
            let mut tx = core.store.begin().await?;
            chats::takes(&mut tx, chat).await?;
            tracing::info!(%chat, "a chat takes messages again");
            tx
        }
        Reach::Refused { before } => {
            let mut tx = core.store.begin().await?;
            chats::refuses(&mut tx, chat, outbox::next_try(before, core.clock.now())).await?;
            tx
        }
    };
    tx.commit("outbox-settle").await
}
