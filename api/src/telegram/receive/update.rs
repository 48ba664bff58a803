//! A Telegram update as what a person asked for. Pure; whether they may is judged elsewhere.
//!
//! Only the parsed intent goes on from here: the words of other messages are dropped.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use teloxide::types::{BotCommand, BotCommandScope};

use crate::{
    domain::{
        ids::{CallbackId, ChatId, TelegramMessageId, UpdateId, UserId},
        intent::{Actor, Chat, ChatKind, Intent, Request, Tap},
    },
    telegram::{
        keyboards,
        receive::wire::{self, Membership, Message, Update, User},
        send::bot::ALLOWED_UPDATES as ASKED_FOR,
        text::{Text, printable, visible},
    },
};

/// Names of servers, and first names.
const NAME_MAX: usize = 64;
/// " 22:00-06:00" after a name.
const WINDOW_MAX: usize = 12;
/// Telegram's limit on the parameter of a deep link.
const CODE_MAX: usize = 64;

/// The commands, and the catalogue's key of what each does.
pub const COMMANDS: [(&str, &str); 12] = [
    ("start", "command-start"),
    ("add_server", "command-add-server"),
    ("servers", "command-servers"),
    ("status", "command-status"),
    ("server_status", "command-server-status"),
    ("alerts", "command-alerts"),
    ("mute", "command-mute"),
    ("unmute", "command-unmute"),
    ("thresholds", "command-thresholds"),
    ("timezone", "command-timezone"),
    ("remove_server", "command-remove-server"),
    ("help", "command-help"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    Request(Request),
    /// Acknowledged and dropped; the kind, for the log.
    Ignored(&'static str),
}

pub fn parse(update: &Update, bot_username: &str) -> Parsed {
    let parsed = match update {
        Update::Message(message) => from_message(message, bot_username),
        Update::Tap(tap) => from_tap(tap),
        Update::Membership(change) => from_membership(change),
    };
    parsed.map_or_else(Parsed::Ignored, Parsed::Request)
}

/// An update as it came.
pub struct Incoming {
    /// Its number; `None`: it is no update at all.
    pub id: Option<UpdateId>,
    /// What of it can be read, or else its kind, for the log.
    pub update: Result<Update, String>,
}

/// Reads an update by its kind first: what was not asked for is not read any further. Whatever cannot be read costs nobody
/// but itself.
pub fn read(bytes: &[u8]) -> Incoming {
    let read: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_slice(bytes);
    let mut fields = read.unwrap_or_default();
    let Some(update_id) = fields.remove("update_id").and_then(|id| serde_json::from_str(id.get()).ok()) else {
        return Incoming { id: None, update: Err("no update".to_owned()) };
    };
    let read = |kind: &str, body: &RawValue| {
        let body = body.get();
        let read = match kind {
            "message" => serde_json::from_str(body).map(|message| Update::Message(Box::new(message))),
            "callback_query" => serde_json::from_str(body).map(|tap| Update::Tap(Box::new(tap))),
            "my_chat_member" => serde_json::from_str(body).map(|change| Update::Membership(Box::new(change))),
            _ => return Err(printable(kind, NAME_MAX)),
        };
        read.map_err(|_| format!("unreadable {kind}"))
    };
    let known = fields.iter().find(|(kind, _)| ASKED_FOR.contains(&kind.as_str()));
    let update = match known.or_else(|| fields.iter().next()) {
        Some((kind, body)) => read(kind, body),
        None => Err("empty".to_owned()),
    };
    Incoming { id: Some(UpdateId(update_id)), update }
}

/// Gives who is offered which commands, as `setMyCommands` is told.
pub fn commands(scope: &BotCommandScope, text: &Text) -> Vec<BotCommand> {
    let offered = COMMANDS.iter().filter(|(name, _)| match scope {
        BotCommandScope::AllPrivateChats => true,
        BotCommandScope::AllChatAdministrators => *name != "start",
        // Members look; who may not act need not be tempted.
        _ => !matches!(*name, "start" | "add_server" | "mute" | "unmute" | "timezone" | "remove_server"),
    });
    offered.map(|(name, key)| BotCommand::new(*name, text.get(key))).collect()
}

fn from_message(message: &Message, bot_username: &str) -> Result<Request, &'static str> {
    let chat = chat(&message.chat)?;
    if let Some(to) = message.migrate_to_chat_id {
        return Ok(Request { actor: sender(message), intent: Intent::Migrated { to: ChatId(to) }, chat, tap: None, topic: None });
    }
    if message.sender_chat.as_ref().is_some_and(wire::Chat::is_channel) {
        return Err("sent_as_channel");
    }
    if message.forward_origin.is_some() || message.forward_date.is_some() {
        return Err("forwarded");
    }
    if message.via_bot.is_some() || message.sender_business_bot.is_some() {
        return Err("via_bot");
    }
    let actor = sender(message);
    if actor.id != Actor::ANONYMOUS_ADMIN && message.from.as_ref().is_some_and(|from| from.is_bot == Some(true)) {
        return Err("bot");
    }
    let text = message.text.as_deref().ok_or(NO_TEXT)?;
    let command = Command::parse(text).ok_or(TALK)?;
    let addressed = command.addressee.is_some_and(|name| name.eq_ignore_ascii_case(bot_username));
    if command.addressee.is_some() && !addressed {
        return Err(OTHER_BOT);
    }
    let intent = command.intent();
    // In a group the command may be meant for any other bot.
    if intent == Intent::UnknownCommand && chat.kind == ChatKind::Group && !addressed {
        return Err(UNKNOWN_COMMAND);
    }
    let topic = message.thread.filter(|_| message.is_in_topic == Some(true));
    Ok(Request { chat, actor, intent, tap: None, topic })
}

/// Messages that are understood and ask this bot for nothing: people talk.
const NO_TEXT: &str = "no_text";
const TALK: &str = "text";
const OTHER_BOT: &str = "other_bot";
const UNKNOWN_COMMAND: &str = "unknown_command";

/// Tells whether what was dropped is only what people say to each other.
pub fn is_talk(kind: &str) -> bool {
    [NO_TEXT, TALK, OTHER_BOT, UNKNOWN_COMMAND].contains(&kind)
}

fn from_tap(query: &wire::Tap) -> Result<Request, &'static str> {
    // The bot writes no inline messages; without a message there is no chat.
    let message = query.message.as_ref().ok_or("inline_callback")?;
    let tap = Tap { callback_id: CallbackId(query.id.clone()), message_id: Some(TelegramMessageId(message.message_id)) };
    let topic = message.thread.filter(|_| message.is_in_topic == Some(true));
    let intent = query.data.as_deref().map_or(Intent::StaleButton, keyboards::parse);
    Ok(Request { chat: chat(&message.chat)?, actor: person(&query.from), intent, tap: Some(tap), topic })
}

fn from_membership(change: &Membership) -> Result<Request, &'static str> {
    let member = &change.new_chat_member;
    let reachable = match member.status.as_str() {
        "creator" | "administrator" | "member" => true,
        "restricted" => member.belongs != Some(false) && member.can_send_messages != Some(false),
        "left" | "kicked" => false,
        _ => return Err("unknown_membership"),
    };
    let intent = Intent::Reachable { reachable };
    Ok(Request { chat: chat(&change.chat)?, actor: person(&change.from), intent, tap: None, topic: None })
}

/// `/name@addressee argument`.
struct Command<'t> {
    name: String,
    addressee: Option<&'t str>,
    argument: &'t str,
}

impl<'t> Command<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let text = text.strip_prefix('/')?;
        let (head, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let (name, addressee) = head.split_once('@').map_or((head, None), |(name, addressee)| (name, Some(addressee)));
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // Telegram's own limit on a command: a path such as /etc/passwd is text, not a command.
        let is_command = name.len() <= 32 && is_word(name) && addressee.is_none_or(is_word);
        // Phones write the first letter of a message large.
        is_command.then(|| Self { name: name.to_ascii_lowercase(), addressee, argument })
    }

    fn intent(&self) -> Intent {
        match self.name.as_str() {
            "start" => Intent::Start { code: self.code() },
            "help" => Intent::Help,
            "add_server" => Intent::AddServer { name: self.server_name() },
            "servers" => Intent::Servers { page: 0 },
            "status" | "server_status" => Intent::Status { name: self.server_name() },
            "alerts" => Intent::Alerts { page: 0 },
            "mute" => Intent::Mute { words: self.words(NAME_MAX + WINDOW_MAX) },
            // The list of mutes has the buttons that end them.
            "unmute" => Intent::Mute { words: None },
            "thresholds" => Intent::Thresholds { name: self.server_name() },
            "timezone" => Intent::TimeZone { name: self.words(NAME_MAX) },
            "remove_server" => Intent::RemoveServer { name: self.server_name() },
            _ => Intent::UnknownCommand,
        }
    }

    /// Telegram lets these characters through in a deep link, and only these.
    fn code(&self) -> Option<String> {
        let code = self.argument.trim();
        let fits = (1..=CODE_MAX).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        fits.then(|| code.to_owned())
    }

    fn server_name(&self) -> Option<String> {
        self.words(NAME_MAX)
    }

    fn words(&self, max: usize) -> Option<String> {
        let words = visible(self.argument, max);
        (!words.is_empty()).then_some(words)
    }
}

/// A chat's kind is told by its number, as Telegram makes them: new names of kinds change nothing.
fn chat(chat: &wire::Chat) -> Result<Chat, &'static str> {
    if chat.is_channel() {
        return Err("channel");
    }
    let id = ChatId(chat.id);
    Ok(Chat { id, kind: if id.person().is_some() { ChatKind::Private } else { ChatKind::Group } })
}

/// Gives who wrote. Service messages may come from nobody, and those of a group's anonymous administrators from
/// [`Actor::ANONYMOUS_ADMIN`]; the id is kept as it is, so that the rules of access see it.
fn sender(message: &Message) -> Actor {
    if let Some(from) = &message.from {
        return person(from);
    }
    let chat = message.sender_chat.as_ref().unwrap_or(&message.chat);
    let title = chat.title.as_deref().unwrap_or_default();
    Actor { id: UserId(chat.id), name: printable(title, NAME_MAX), language: None }
}

fn person(user: &User) -> Actor {
    let language = user.language_code.clone().filter(|tag| {
        // RFC 5646 advises room for 35 characters.
        (2..=35).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    let first_name = user.first_name.as_deref().unwrap_or_default();
    Actor { id: UserId(user.id), name: full_name(first_name, user.username.as_deref(), user.id), language }
}

/// First name and @username; of a deleted account, which has neither, the number.
fn full_name(first_name: &str, username: Option<&str>, id: i64) -> String {
    // Telegram's usernames have at most 32 characters.
    let username = username.map(|name| printable(name, 32));
    match (visible(first_name, 1).is_empty(), username) {
        (false, Some(username)) => format!("{} (@{username})", printable(first_name, NAME_MAX)),
        (false, None) => printable(first_name, NAME_MAX),
        (true, Some(username)) => format!("@{username}"),
        (true, None) => id.to_string(),
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
