//! The one sender: takes notices out of the outbox, puts them in words, and sends them within Telegram's budgets, in order
//! within a chat, most urgent first. Delivery is at least once.

use std::{collections::HashSet, future::ready, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};

use crate::{
    domain::{
        MINUTE, Millis, SECOND,
        ids::{ChatId, TelegramMessageId},
        notice::Notice,
    },
    query::access,
    store::{
        self, Tx, chats, incidents, leases, messages,
        outbox::{self, Content, Entry},
    },
    telegram::{
        cards::{self, Frame, Place},
        send::answer::Fault,
        send::bot::{Bot, Form, Letter},
        send::budget::{Budget, Lane},
        send::settle::{self, Rest, Sent, Taken},
        text::Text,
    },
    usecase::Core,
    zone::Zone,
};

const ROLE: &str = "sender";
/// A sender that has not renewed its lease for this long is no longer the sender. Longer than a call may take, 17 s.
const LEASE: i64 = 30 * SECOND;
/// For so long at least nothing was sent when a lease has run out.
const QUIET: Duration = Duration::from_secs(3);
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
    let mut sender =
        Sender { core, bot, budget: Budget::new(core.clock.instant()), calls: FuturesUnordered::new(), lanes: HashSet::new() };
    // Not with the first message: a new sender makes that wait.
    if let Err(error) = sender.hold_lease().await {
        tracing::error!(%error, "outbox");
    }
    loop {
        let mut wait = SWEEP;
        if core.store.hub.is_stopping() {
            if sender.calls.is_empty() {
                return;
            }
        } else {
            match sender.begin_calls().await {
                Ok(needed) => wait = needed,
                Err(error) => tracing::error!(%error, "outbox"),
            }
        }
        tokio::select! {
            Some(call) = sender.calls.next() => sender.end_call(call).await,
            _ = timeout(wait, core.store.hub.outbox.notified()) => {}
        }
    }
}

struct Sender<'a> {
    core: &'a Core,
    bot: &'a Bot,
    budget: Budget,
    /// Under way. They stand still while the sender is at the database, and so must not hold a connection to it.
    calls: FuturesUnordered<BoxFuture<'a, Call>>,
    /// Of these calls: one at a time in each, and the next one follows when it is settled.
    lanes: HashSet<Lane>,
}

/// An entry, what became of its call, and when.
type Call = (Entry, Sent, Instant);

/// Toasts are no part of what a chat is told in order: whatever becomes of one, the chat's messages go on.
fn lane(entry: &Entry) -> Lane {
    match entry.message_id {
        Some(_) => Lane::Messages(entry.chat_id),
        None => Lane::Taps(entry.chat_id),
    }
}

/// Tells whether a tap's button has stopped spinning: there is nothing to send.
fn is_stale(entry: &Entry, now: Millis) -> bool {
    matches!(entry.content, Some(Content::Toast(_))) && now - entry.created_at > TOAST_STALE
}

impl Sender<'_> {
    /// Begins what may be sent now; returns how long there is nothing more to begin.
    async fn begin_calls(&mut self) -> store::Result<Duration> {
        let mut tx = self.core.store.read().await?;
        let mut entries = outbox::due(&mut tx, self.core.clock.now(), LOOK).await?;
        drop(tx);
        entries.retain(|entry| !self.lanes.contains(&lane(entry)));
        if entries.is_empty() {
            self.budget.tidy(self.core.clock.instant());
            return Ok(SWEEP);
        }
        if !self.hold_lease().await? {
            return Ok(SWEEP);
        }
        let mut wait = SWEEP;
        let mut sendable = Vec::new();
        for entry in entries {
            let under_way = self.calls.len() + sendable.len();
            if under_way == AT_ONCE {
                break;
            }
            let is_stale = is_stale(&entry, self.core.clock.now());
            let taken = if is_stale { Ok(()) } else { self.budget.take(lane(&entry), under_way, self.core.clock.instant()) };
            match taken {
                Ok(()) => sendable.push(entry),
                Err(needed) => wait = wait.min(needed),
            }
        }
        for entry in close_gathering(self.core, sendable).await? {
            match prepare(self.core, self.bot, &entry).await {
                Ok(call) => {
                    self.lanes.insert(lane(&entry));
                    let clock = &self.core.clock;
                    self.calls.push(async move { (entry, call.await, clock.instant()) }.boxed());
                }
                Err(error) => self.try_again(&entry, &error),
            }
        }
        Ok(wait)
    }

    /// Tells whether this is the sender. One that was not before knows nothing of what was just sent.
    async fn hold_lease(&mut self) -> store::Result<bool> {
        let now = self.core.clock.now();
        let mut tx = self.core.store.begin().await?;
        let before = leases::holder(&mut tx, ROLE).await?;
        let held = leases::hold(&mut tx, ROLE, self.core.instance, now, now + LEASE).await?;
        tx.commit("sender-lease").await?;
        if held && before != Some(self.core.instance) {
            // A lease that ran out says since when nothing was sent; one that was given up says nothing.
            let quiet = if before.is_some() { QUIET } else { Duration::ZERO };
            self.budget = Budget::new(self.core.clock.instant() - quiet);
        }
        Ok(held)
    }

    async fn end_call(&mut self, (entry, sent, at): Call) {
        self.lanes.remove(&lane(&entry));
        self.budget.answered(lane(&entry), at);
        let now = self.core.clock.instant();
        match settle::settle(self.core, ROLE, &entry, sent).await {
            Ok(Rest::Not) => {}
            Ok(Rest::Throttled(wait)) => self.budget.throttle(lane(&entry), wait, now),
            Ok(Rest::Failed(wait)) => self.budget.pause(lane(&entry), wait, now),
            Err(error) => self.try_again(&entry, &error),
        }
    }

    /// Waits for a moment: the database did not take it, and then it may.
    fn try_again(&mut self, entry: &Entry, error: &sqlx::Error) {
        tracing::error!(chat = %entry.chat_id, %error, "outbox");
        self.budget.pause(lane(entry), SWEEP, self.core.clock.instant());
    }
}

/// Closes messages that are about to go out: what comes from now on is for another.
async fn close_gathering(core: &Core, entries: Vec<Entry>) -> store::Result<Vec<Entry>> {
    if !entries.iter().any(|entry| entry.gathers.is_some()) {
        return Ok(entries);
    }
    let mut tx = core.store.begin().await?;
    let mut closed = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.gathers.is_some() {
            closed.extend(outbox::close(&mut tx, &entry).await?);
        } else {
            closed.push(entry);
        }
    }
    tx.commit("close-gathering").await?;
    Ok(closed)
}

/// Tells whether a chat may be told this: what goes to a private chat goes to a person, who must still be admitted. A token
/// is taken out of its message all the same.
async fn may_be_sent(
    tx: &mut Tx,
    core: &Core,
    chat_id: ChatId,
    notice: &Notice,
    sent_as: Option<TelegramMessageId>,
) -> store::Result<bool> {
    let Some(person) = chat_id.person() else { return Ok(true) };
    let takes_token_out = sent_as.is_some() && matches!(notice, Notice::Pairing { .. });
    Ok(notice.is_for_strangers()
        || takes_token_out
        || access::admission(tx, &core.config.allowed_users, person).await?.is_admitted())
}

/// What was refused may be refused for its markup: every third try does without.
fn form(entry: &Entry) -> Form {
    if entry.refused % 3 == 2 && !entry.shown_plain { Form::Plain } else { Form::Full }
}

/// Tells whether the bot goes away once this is said: of a private chat it cannot.
fn leaves(notice: &Notice, chat_id: ChatId) -> bool {
    chat_id.person().is_none() && matches!(notice, Notice::ChatRevoked { .. })
}

/// Loads what an entry tells of and puts it in words: gives the call, which is yet to be made.
async fn prepare<'a>(core: &Core, bot: &'a Bot, entry: &Entry) -> store::Result<BoxFuture<'a, Sent>> {
    let mut tx = core.store.read().await?;
    let now = core.clock.now();
    let (chat_id, chat) = (entry.chat_id, chats::get(&mut tx, entry.chat_id).await?);
    let text = Text::new(chat.as_ref().and_then(|chat| chat.language.as_deref()));
    match (&entry.content, &entry.callback_id, entry.message_id) {
        (Some(Content::Toast(_)), ..) if is_stale(entry, now) => Ok(ready(Ok(None)).boxed()),
        (Some(Content::Toast(toast)), Some(callback_id), _) => {
            let (callback_id, said) = (callback_id.clone(), cards::toast(*toast, &text));
            Ok(async move { bot.answer(&callback_id, said).await.map(|()| None) }.boxed())
        }
        (Some(Content::Notice(notice)), _, Some(message_id)) => {
            let telegram_id = messages::telegram_id(&mut tx, message_id).await?;
            if !may_be_sent(&mut tx, core, entry.chat_id, notice, telegram_id).await? {
                tracing::info!(chat = %chat_id, "nothing is sent to somebody who may no longer use the bot");
                return Ok(ready(Ok(None)).boxed());
            }
            // An edit makes no sound, and what it shows is of now.
            let is_late = telegram_id.is_none() && notice.is_news() && now - entry.created_at > LATE;
            let frame = Frame {
                text: &text,
                zone: &Zone::of(chat.as_ref().and_then(|chat| chat.zone.as_deref())),
                now,
                delayed_since: is_late.then_some(entry.created_at),
            };
            let topic = messages::topic(&mut tx, message_id).await?;
            // Before the rest: what ends meanwhile is shown as over, and told to be over too.
            let over = incidents::over_in_message(&mut tx, message_id).await?;
            let place = Place { core, bot_username: bot.username(), chat_id, topic };
            let rendered = match cards::show(&mut tx, &place, &frame, notice).await {
                Ok(Some(rendered)) => rendered,
                Ok(None) => return Ok(ready(Ok(None)).boxed()),
                // A row that cannot be read will not be readable later.
                Err(error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))) => {
                    return Ok(ready(Err(Fault::Unreadable(error.to_string()))).boxed());
                }
                Err(error) => return Err(error),
            };
            let form = form(entry);
            let letter = Letter { chat_id, topic: topic.filter(|_| !entry.in_general), rendered, form };
            let over = if telegram_id.is_none() { over } else { Vec::new() };
            let taken = move |telegram_id| Some(Taken { telegram_id, form, over });
            let goes_away = leaves(notice, chat_id);
            Ok(match telegram_id {
                Some(telegram_id) => {
                    async move { bot.edit(&letter, telegram_id).await.map(|()| taken(Some(telegram_id))) }.boxed()
                }
                None => async move {
                    let said = bot.send(&letter).await?;
                    // What was said is not said again, whatever becomes of this.
                    if goes_away && let Err(fault) = bot.leave(chat_id).await {
                        tracing::warn!(chat = %chat_id, "the bot could not leave a group: {fault}");
                    }
                    Ok(taken(said))
                }
                .boxed(),
            })
        }
        _ => Ok(ready(Err(Fault::Unreadable("an entry that this version cannot read".to_owned()))).boxed()),
    }
}
