//! A Telegram update as what a person asked for. Pure; whether they may is judged elsewhere.
//!
//! Only the parsed intent goes on from here: the words of other messages are dropped.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use teloxide::types::{
    self, BotCommand, BotCommandScope, CallbackQuery, ChatMemberKind, ChatMemberUpdated, MaybeInaccessibleMessage, Message,
    Restricted, Update, UpdateKind, User,
};

use crate::{
    domain::{
        ids::{CallbackId, ChatId, TelegramMessageId, UpdateId, UserId},
        intent::{Actor, Chat, ChatKind, Intent, Request, Tap},
    },
    telegram::{
        keyboards,
        text::{Text, printable, visible},
    },
};

/// Names of servers, and first names.
const NAME_MAX: usize = 64;
/// " 22:00-06:00" after a name.
const WINDOW_MAX: usize = 12;
/// Telegram's limit on the parameter of a deep link.
const CODE_MAX: usize = 64;

/// The kinds of updates that are asked for: `allowed_updates` of the Bot API.
const ASKED_FOR: [&str; 3] = ["message", "callback_query", "my_chat_member"];

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
    let parsed = match &update.kind {
        UpdateKind::Message(message) => from_message(message, bot_username),
        UpdateKind::CallbackQuery(query) => from_tap(query),
        UpdateKind::MyChatMember(change) => from_membership(change),
        // Of the kinds that were asked for it is one that the library could not read.
        _ => Err("unreadable"),
    };
    parsed.map_or_else(Parsed::Ignored, Parsed::Request)
}

/// An update as it came.
pub struct Incoming {
    /// Its number; `None`: it is no update at all.
    pub id: Option<UpdateId>,
    /// What of it can be read, or else its kind, for the log.
    pub update: Result<Box<Update>, String>,
}

/// Reads an update by its kind first: what was not asked for is not read any further, because the library panics on some of it.
/// Whatever cannot be read costs nobody but itself.
pub fn read(bytes: &[u8]) -> Incoming {
    #[derive(Deserialize)]
    #[expect(clippy::zero_sized_map_values, reason = "an object is read as a map; what it holds is not kept")]
    struct Shape {
        update_id: i64,
        #[serde(flatten)]
        kinds: BTreeMap<String, IgnoredAny>,
    }
    let Ok(Shape { update_id, kinds }) = serde_json::from_slice(bytes) else {
        return Incoming { id: None, update: Err("no update".to_owned()) };
    };
    let id = Some(UpdateId(update_id));
    if !kinds.keys().any(|kind| ASKED_FOR.contains(&kind.as_str())) {
        let kind = kinds.keys().next().map_or("empty", String::as_str);
        return Incoming { id, update: Err(printable(kind, NAME_MAX)) };
    }
    let read = std::panic::catch_unwind(|| serde_json::from_slice(bytes));
    let update = match read {
        Ok(read) => read.map_err(|_| "unreadable".to_owned()),
        Err(_) => Err("unreadable: the library panicked".to_owned()),
    };
    Incoming { id, update }
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
    if let Some(to) = message.migrate_to_chat_id() {
        return Ok(Request { actor: sender(message), intent: Intent::Migrated { to: ChatId(to.0) }, chat, tap: None });
    }
    if message.sender_chat.as_ref().is_some_and(types::Chat::is_channel) {
        return Err("sent_as_channel");
    }
    if message.forward_origin().is_some() {
        return Err("forwarded");
    }
    if message.via_bot.is_some() || message.sender_business_bot.is_some() {
        return Err("via_bot");
    }
    let actor = sender(message);
    if actor.id != Actor::ANONYMOUS_ADMIN && message.from.as_ref().is_some_and(|from| from.is_bot) {
        return Err("bot");
    }
    let text = message.text().ok_or("no_text")?;
    let command = Command::parse(text).ok_or("text")?;
    let addressed = command.addressee.is_some_and(|name| name.eq_ignore_ascii_case(bot_username));
    if command.addressee.is_some() && !addressed {
        return Err("other_bot");
    }
    let intent = command.intent();
    // In a group the command may be meant for any other bot.
    if intent == Intent::UnknownCommand && chat.kind == ChatKind::Group && !addressed {
        return Err("unknown_command");
    }
    Ok(Request { chat, actor, intent, tap: None })
}

fn from_tap(query: &CallbackQuery) -> Result<Request, &'static str> {
    // The bot writes no inline messages; without a message there is no chat.
    let message = query.message.as_ref().ok_or("inline_callback")?;
    let tap = Tap { callback_id: CallbackId(query.id.0.clone()), message_id: Some(TelegramMessageId(message.id().0)) };
    let intent = query.data.as_deref().map_or(Intent::StaleButton, keyboards::parse);
    Ok(Request { chat: chat(MaybeInaccessibleMessage::chat(message))?, actor: person(&query.from), intent, tap: Some(tap) })
}

fn from_membership(change: &ChatMemberUpdated) -> Result<Request, &'static str> {
    let reachable = match &change.new_chat_member.kind {
        ChatMemberKind::Owner(_) | ChatMemberKind::Administrator(_) | ChatMemberKind::Member(_) => true,
        ChatMemberKind::Restricted(Restricted { is_member, can_send_messages, .. }) => *is_member && *can_send_messages,
        ChatMemberKind::Left | ChatMemberKind::Banned(_) => false,
    };
    let intent = Intent::Reachable { reachable };
    Ok(Request { chat: chat(&change.chat)?, actor: person(&change.from), intent, tap: None })
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

fn chat(chat: &types::Chat) -> Result<Chat, &'static str> {
    if chat.is_channel() {
        return Err("channel");
    }
    let kind = if chat.is_private() { ChatKind::Private } else { ChatKind::Group };
    Ok(Chat { id: ChatId(chat.id.0), kind })
}

/// Gives who wrote. Service messages may come from nobody, and those of a group's anonymous administrators from
/// [`Actor::ANONYMOUS_ADMIN`]; the id is kept as it is, so that the rules of access see it.
fn sender(message: &Message) -> Actor {
    if let Some(from) = &message.from {
        return person(from);
    }
    let chat = message.sender_chat.as_ref().unwrap_or(&message.chat);
    Actor { id: UserId(chat.id.0), name: printable(chat.title().unwrap_or_default(), NAME_MAX), language: None }
}

fn person(user: &User) -> Actor {
    // Telegram's ids have at most 52 bits; 0 is nobody.
    let id = i64::try_from(user.id.0).unwrap_or(0);
    let language = user.language_code.clone().filter(|tag| {
        // RFC 5646 advises room for 35 characters.
        (2..=35).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    Actor { id: UserId(id), name: full_name(&user.first_name, user.username.as_deref(), id), language }
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
