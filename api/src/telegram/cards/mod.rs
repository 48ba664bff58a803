//! Notices as messages: HTML for Telegram's parse mode, and a keyboard.
//!
//! [`show`] loads what a notice is about through `query` and calls the card that puts it in words; cards are pure. Whatever
//! they are given, the message is one that Telegram takes: every string of a host or person goes through [`markup::safe`] or
//! [`markup::code`], and what is too long loses whole lines, never the end of a tag.
//!
//! | module | what |
//! |---|---|
//! | [`access`] | who may use the bot, and what the operator did to a chat |
//! | [`alert`] | what is wrong, and what can be done about it |
//! | [`mod@card`] | a message in the making, and made |
//! | [`chat`] | answers about the bot itself |
//! | [`command`] | really? and what became of it |
//! | [`figures`] | sizes, shares, times |
//! | [`lists`] | servers and services to pick from |
//! | [`markup`] | well-formed HTML within Telegram's limits |
//! | [`mute`] | when the chat makes no sound |
//! | [`pairing`] | from the token to the paired server |
//! | [`server`] | a server's state in a word |
//! | [`status`] | a server's card |
//! | [`threshold`] | limits, and what another one would have done |

mod access;
mod alert;
mod card;
mod chat;
mod command;
mod figures;
mod lists;
mod markup;
mod mute;
mod pairing;
mod server;
mod status;
mod threshold;

use crate::{
    domain::{
        Millis,
        ids::{ChatId, ServerId, TopicId, UserId},
        notice::{Notice, Toast},
        pairing::Source,
        server::Server,
    },
    query::{
        self, Wanted,
        alerts::{self, Alerts},
        thresholds::{self, Looked},
    },
    store::{self, Tx, commands, mutes, servers},
    telegram::text::Text,
    usecase::Core,
    zone::Zone,
};

use card::Card;
pub use card::Rendered;
use figures::Words;

/// Servers, services or alerts on one page.
const PER_PAGE: u32 = 8;

/// In which language, when and where a message is read.
pub struct Frame<'a> {
    pub text: &'a Text,
    pub zone: &'a Zone,
    pub now: Millis,
    /// News that could not be sent before.
    pub delayed_since: Option<Millis>,
}

/// The chat in which a notice is shown, and by which bot.
pub struct Place<'a> {
    pub core: &'a Core,
    pub bot_username: &'a str,
    pub chat_id: ChatId,
    /// The topic of a forum group.
    pub topic: Option<TopicId>,
}

/// Puts a notice in words, as things are now. `None`: there is nothing to tell any more, and the message stays as it is or
/// never comes.
pub async fn show(tx: &mut Tx, place: &Place<'_>, frame: &Frame<'_>, notice: &Notice) -> store::Result<Option<Rendered>> {
    let words = &Words { text: frame.text, zone: frame.zone, now: frame.now };
    let card = card(tx, place, words, notice).await?;
    Ok(card.map(|card| card.render(words, frame.delayed_since)))
}

/// Loads what a notice is about, and calls its card: the one list of all that the bot says.
async fn card(tx: &mut Tx, place: &Place<'_>, words: &Words<'_>, notice: &Notice) -> store::Result<Option<Card>> {
    let chat_id = place.chat_id;
    let page = |page: u32| Wanted { page, per_page: PER_PAGE };
    Ok(Some(match notice {
        Notice::Welcome { claimed: true } => chat::claimed(words, servers::count(tx, chat_id).await?),
        Notice::Welcome { claimed: false } => chat::welcome(words, servers::count(tx, chat_id).await?),
        Notice::PrivateBot => access::private_bot(words, UserId(chat_id.0)),
        Notice::AccessGranted => access::granted(words),
        Notice::AccessRevoked => Card::line(words.get("access-revoked")),
        Notice::OwnerSet => access::owner_set(words),
        Notice::LeftBehind => return left_behind(tx, words, place).await,
        Notice::Help => chat::help(words),
        Notice::NotAllowed => Card::line(words.get("not-allowed")),
        Notice::UnknownCommand => Card::line(words.get("unknown-command")),
        Notice::NotUnderstood { usage } => mute::not_understood(words, *usage),
        Notice::LimitReached { limit } => chat::limit_reached(words, *limit),
        Notice::SetAside { update_id } => chat::set_aside(words, *update_id),
        Notice::TestAlert => Card::line(words.get("test-alert")),
        Notice::TimeZone => mute::time_zone(words),
        Notice::Pairing { pairing_id, family } => {
            // The message stands in the private chat of the person who asked.
            let (core, asker) = (place.core, UserId(chat_id.0));
            let found = query::pairings::pairing(tx, &core.keys, asker, *pairing_id, words.now).await?;
            let offer = core.packages.as_ref().map(|packages| packages.offer.clone());
            let url = &core.config.public_url;
            let source = Source { api_url: url.text.clone(), host: url.host().to_owned(), offer };
            found.map_or_else(|| gone(words), |pairing| pairing::pairing(words, &pairing, *family, &source))
        }
        Notice::PairingSentPrivately { name } => pairing::sent_privately(words, name),
        Notice::PairingNeedsPrivateChat => {
            pairing::needs_private_chat(words, &format!("https://t.me/{}?start=hello", place.bot_username))
        }
        Notice::Paired { server_id } => of_server(tx, words, place, *server_id, pairing::paired).await?,
        Notice::TokenTried { server_id, address } => {
            of_server(tx, words, place, *server_id, |words, server| pairing::token_tried(words, server, address)).await?
        }
        Notice::Refused { what, count, networks } => chat::refused(words, *what, *count, networks),
        Notice::PackagesRunOut { until } => chat::packages_run_out(words, *until),
        Notice::Cloned { server_id } => of_server(tx, words, place, *server_id, pairing::cloned).await?,
        Notice::Unpaired { name } => pairing::unpaired(words, name),
        Notice::PairedElsewhere { server_id } => kept(tx, words, place, *server_id, "server-paired-elsewhere").await?,
        Notice::RemovedByOperator { name } => access::gone(words, "server-removed-by-operator", name),
        Notice::MovedAway { name } => access::gone(words, "server-moved-away", name),
        Notice::MovedHere { server_id } => kept(tx, words, place, *server_id, "server-moved-here").await?,
        Notice::ChatRevoked { servers } => access::chat_revoked(words, *servers),
        Notice::Removed { name } => command::removed(words, name),
        Notice::NoSuchServer { name } => lists::no_such_server(words, name),
        Notice::Servers { page: number } => lists::servers(words, &query::servers::page(tx, chat_id, page(*number)).await?),
        Notice::Status { server_id, page } => {
            of_server(tx, words, place, *server_id, |words, server| status::status(words, server, *page)).await?
        }
        Notice::Services { server_id, page: number } => {
            let services = |words: &Words, server: &Server| {
                lists::services(words, server, &query::servers::restartable(server, page(*number)))
            };
            of_server(tx, words, place, *server_id, services).await?
        }
        Notice::Choose { purpose } => lists::choose(words, *purpose, &query::servers::all(tx, chat_id).await?),
        Notice::Confirmation { confirmation_id } => {
            let question = query::confirmations::question(tx, chat_id, *confirmation_id).await?;
            question.map_or_else(|| gone(words), |question| command::confirmation(words, &question))
        }
        Notice::Command { command_id } => {
            let found = commands::get(tx, chat_id, *command_id).await?;
            found.map_or_else(|| gone(words), |command| command::command(words, &command))
        }
        Notice::Alert { message_id } => {
            return Ok(of_alerts(words, &alerts::of_message(tx, chat_id, *message_id).await?));
        }
        Notice::Incident { incident_id } => return Ok(of_alerts(words, &alerts::one(tx, chat_id, *incident_id).await?)),
        Notice::Recovered { recovery_id } => {
            let over = alerts::recovered(tx, chat_id, *recovery_id).await?;
            if over.is_empty() {
                return Ok(None);
            }
            alert::recovered(words, &over, &alerts::open(tx, chat_id).await?)
        }
        Notice::Reminder => {
            let unseen = alerts::unseen(tx, chat_id, place.topic, words.now).await?;
            if unseen.is_empty() {
                return Ok(None);
            }
            alert::reminder(words, &unseen)
        }
        Notice::Alerts { page: number } => alert::alerts(words, &page(*number).cut(alerts::open(tx, chat_id).await?)),
        Notice::Thresholds { server_id } => {
            let found = thresholds::in_force(tx, chat_id, *server_id).await?;
            found.map_or_else(|| gone(words), |(scope, limits)| threshold::thresholds(words, &scope, &limits))
        }
        Notice::Threshold { server_id, rule, tried } => {
            let looked = Looked { chat_id, server_id: *server_id, rule: *rule };
            let found = thresholds::threshold(tx, looked, *tried, words.now).await?;
            found.map_or_else(|| gone(words), |threshold| threshold::threshold(words, &threshold))
        }
        Notice::Mutes => {
            let mutes = mutes::of_chat(tx, chat_id, words.now).await?;
            mute::mutes(words, &mutes, &query::servers::all(tx, chat_id).await?)
        }
    }))
}

async fn of_server(
    tx: &mut Tx,
    words: &Words<'_>,
    place: &Place<'_>,
    server_id: ServerId,
    card: impl FnOnce(&Words<'_>, &Server) -> Card,
) -> store::Result<Card> {
    let server = servers::get(tx, place.chat_id, server_id).await?;
    Ok(server.map_or_else(|| gone(words), |server| card(words, &server)))
}

/// Tells a chat of a server that it has, or of whose history it has.
async fn kept(tx: &mut Tx, words: &Words<'_>, place: &Place<'_>, server_id: ServerId, key: &str) -> store::Result<Card> {
    of_server(tx, words, place, server_id, |words, server| access::kept(words, key, server)).await
}

/// Tells what is left of people who may no longer use the bot, unless somebody has seen to it.
async fn left_behind(tx: &mut Tx, words: &Words<'_>, place: &Place<'_>) -> store::Result<Option<Card>> {
    let left = query::access::left_behind(tx, &place.core.config.allowed_users).await?;
    Ok((!left.is_empty()).then(|| access::left_behind(words, &left)))
}

fn of_alerts(words: &Words<'_>, alerts: &Alerts) -> Option<Card> {
    match alerts {
        Alerts::NeverTold => None,
        Alerts::Gone => Some(gone(words)),
        Alerts::One(alert) => Some(alert::alert(words, alert)),
        Alerts::Many { incidents, servers } => Some(alert::digest(words, incidents, *servers)),
    }
}

/// Says that what a message was about is gone: a server was removed.
fn gone(words: &Words<'_>) -> Card {
    Card { lines: vec![words.get("server-gone")], rows: vec![vec![lists::servers_button(words)]] }
}

/// Tells a stranger that this is a private bot.
pub fn private_bot(text: &Text, stranger: UserId) -> Rendered {
    let words = &Words { text, zone: &Zone::utc(), now: 0 };
    access::private_bot(words, stranger).render(words, None)
}

/// Gives the words that pop up over a tapped button: plain text, at most 200 characters; none for [`Toast::Done`].
pub fn toast(toast: Toast, text: &Text) -> String {
    let key = match toast {
        Toast::Done => return String::new(),
        Toast::Refreshed => "toast-refreshed",
        Toast::Stale => "toast-stale",
        Toast::NotAllowed => "toast-not-allowed",
        Toast::NotYours => "toast-not-yours",
        Toast::ConfirmationExpired => "toast-confirmation-expired",
        Toast::AlreadyAnswered => "toast-already-answered",
        Toast::Declined => "toast-declined",
        Toast::NotRestartable => "toast-not-restartable",
        Toast::NotOffered => "toast-not-offered",
        Toast::RebootOver => "toast-reboot-over",
        Toast::CancelAsked => "toast-cancel-asked",
        Toast::Acknowledged => "toast-acknowledged",
        Toast::Snoozed => "toast-snoozed",
        Toast::AlertOver => "toast-alert-over",
        Toast::Saved => "toast-saved",
        Toast::OutOfRange => "toast-out-of-range",
        Toast::Muted => "toast-muted",
        Toast::Unmuted => "toast-unmuted",
        Toast::TooManyMutes => "toast-too-many-mutes",
        Toast::LimitReached => "toast-limit-reached",
        Toast::Suspended => "toast-suspended",
    };
    text.get(key)
}

#[cfg(test)]
mod tests;
