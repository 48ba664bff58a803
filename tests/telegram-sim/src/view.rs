//! What tests look at: the bot's messages, its answers to taps, its calls, and transcripts to read.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::Value;
use tokio::time::{Duration, Instant};

use crate::{
    Sim,
    model::{Author, Post},
    state::State,
};

/// A message the bot sent, as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct BotMessage {
    pub chat_id: i64,
    pub message_id: i32,
    /// As sent, HTML included.
    pub text: String,
    /// As people read it.
    pub plain: String,
    pub buttons: Vec<Vec<Button>>,
    /// How often it was edited.
    pub edits: u32,
    pub deleted: bool,
    /// Sent with `disable_notification`.
    pub silent: bool,
    pub reply_to: Option<i32>,
    /// The topic in which it stands; none: General, or no forum.
    pub topic: Option<i32>,
}

impl BotMessage {
    /// The button with this label, or the first whose label contains it.
    #[must_use]
    pub fn button(&self, label: &str) -> Option<&Button> {
        let all = || self.buttons.iter().flatten();
        all().find(|button| button.label == label).or_else(|| all().find(|button| button.label.contains(label)))
    }
}

/// A button under a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    pub label: String,
    pub kind: ButtonKind,
}

/// What a button does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ButtonKind {
    /// Sends this `callback_data`.
    Callback(String),
    /// Opens this address.
    Url(String),
    /// Copies this text.
    CopyText(String),
    /// Opens this Mini App.
    WebApp(String),
    /// Anything else the Bot API knows.
    Other,
}

/// What `answerCallbackQuery` showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Toast {
    pub query_id: String,
    pub chat_id: i64,
    pub user_id: i64,
    pub message_id: i32,
    /// `None` when the bot only ended the spinner.
    pub text: Option<String>,
    pub show_alert: bool,
    pub url: Option<String>,
    pub at: Instant,
}

/// A call of the Bot API, other than a successful `getUpdates`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Spelled as Telegram does, whatever the client wrote.
    pub method: String,
    pub chat_id: Option<i64>,
    pub at: Instant,
    /// Whether it took effect; true for a call whose answer was then withheld.
    pub accepted: bool,
    /// Why not.
    pub error: Option<String>,
    pub params: Value,
}

/// An attempt to deliver an update to the webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub update_id: i64,
    /// HTTP status; `None` when there was no answer.
    pub status: Option<u16>,
    pub at: Instant,
}

impl Sim {
    /// All messages the bot sent to a chat, deleted ones included.
    #[must_use]
    pub fn messages(&self, chat: impl Into<i64>) -> Vec<BotMessage> {
        let chat = chat.into();
        self.inner.quiet(|state| messages(state, chat))
    }

    /// One message of the bot as it stands now.
    #[must_use]
    pub fn message(&self, chat: impl Into<i64>, message_id: i32) -> Option<BotMessage> {
        self.messages(chat).into_iter().find(|message| message.message_id == message_id)
    }

    /// Waits for a message of the bot that is as wanted, and returns the newest such. Messages that were there before count:
    /// ask for `m.message_id > said.message_id` when an answer is meant. Deleted ones do not.
    ///
    /// # Errors
    /// When there is none after `limit`; the error shows the chat.
    pub async fn wait(
        &self,
        chat: impl Into<i64>,
        limit: Duration,
        wanted: impl Fn(&BotMessage) -> bool,
    ) -> anyhow::Result<BotMessage> {
        let chat = chat.into();
        self.inner
            .until(limit, |state| messages(state, chat).into_iter().rev().find(|m| !m.deleted && wanted(m)))
            .await
            .with_context(|| format!("no such message after {limit:?}; the chat:\n{}", self.transcript(chat)))
    }

    /// All answers to taps in a chat.
    #[must_use]
    pub fn toasts(&self, chat: impl Into<i64>) -> Vec<Toast> {
        let chat = chat.into();
        self.inner.quiet(|state| state.toasts.iter().filter(|toast| toast.chat_id == chat).cloned().collect())
    }

    /// Every call since the start, refused ones included.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.inner.quiet(|state| state.calls.clone())
    }

    /// Waits for the first call of a method. A call is recorded once it is answered: what it did may be seen before.
    ///
    /// # Errors
    /// When there is none after `limit`.
    pub async fn wait_call(&self, method: &str, limit: Duration) -> anyhow::Result<Call> {
        self.inner
            .until(limit, |state| state.calls.iter().find(|call| call.method == method).cloned())
            .await
            .with_context(|| format!("no call of {method} after {limit:?}"))
    }

    /// Every attempt to deliver to the webhook.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.quiet(|state| state.deliveries.clone())
    }

    /// The commands somebody is offered in a chat, as `(name, description)`.
    #[must_use]
    pub fn commands(&self, chat: impl Into<i64>, user: impl Into<i64>) -> Vec<(String, String)> {
        let (chat, user) = (chat.into(), user.into());
        let commands = self.inner.quiet(|state| state.commands_for(chat, user));
        let field = |command: &Value, name: &str| command[name].as_str().unwrap_or_default().to_owned();
        commands.iter().map(|command| (field(command, "command"), field(command, "description"))).collect()
    }

    /// The chat as somebody would read it over your shoulder: who, what, and the buttons as `[ Label ]`.
    #[must_use]
    pub fn transcript(&self, chat: impl Into<i64>) -> String {
        let chat = chat.into();
        self.inner.quiet(|state| transcript(state, chat))
    }
}

fn messages(state: &State, chat_id: i64) -> Vec<BotMessage> {
    let posts = state.chats.get(&chat_id).map_or(&[][..], |chat| &chat.posts);
    posts.iter().filter(|post| post.author == Author::Bot).map(|post| bot_message(chat_id, post)).collect()
}

fn bot_message(chat_id: i64, post: &Post) -> BotMessage {
    BotMessage {
        chat_id,
        message_id: post.message_id,
        text: post.raw.clone(),
        plain: post.text.plain.clone(),
        buttons: buttons(post),
        edits: post.edits,
        deleted: post.deleted,
        silent: post.silent,
        topic: post.topic,
        reply_to: post.reply_to,
    }
}

pub(crate) fn buttons(post: &Post) -> Vec<Vec<Button>> {
    let rows = post.markup.as_ref().and_then(|markup| markup["inline_keyboard"].as_array());
    rows.into_iter().flatten().filter_map(Value::as_array).map(|row| row.iter().map(button).collect()).collect()
}

fn button(json: &Value) -> Button {
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let kind = text("/callback_data")
        .map(ButtonKind::Callback)
        .or_else(|| text("/url").map(ButtonKind::Url))
        .or_else(|| text("/copy_text/text").map(ButtonKind::CopyText))
        .or_else(|| text("/web_app/url").map(ButtonKind::WebApp))
        .unwrap_or(ButtonKind::Other);
    Button { label: text("/text").unwrap_or_default(), kind }
}

fn transcript(state: &State, chat_id: i64) -> String {
    let Some(chat) = state.chats.get(&chat_id) else { return format!("(there is no chat {chat_id})\n") };
    let mut out = format!("── {} ({chat_id}) ──\n", chat.title);
    if chat.posts.is_empty() {
        out.push_str("(nothing was said)\n");
    }
    for post in &chat.posts {
        let who = match post.author {
            Author::Bot => format!("@{}", state.bot_username),
            Author::User(id) => state.users.get(&id).map_or_else(|| id.to_string(), |user| user.name.clone()),
            Author::Anonymous => format!("{} (anonymous)", chat.title),
            Author::Service => "*".into(),
        };
        let edited = match post.edits {
            0 => String::new(),
            n => format!(" (edited {n}×)"),
        };
        let deleted = if post.deleted { " (deleted)" } else { "" };
        let _ = writeln!(out, "#{} {who}{edited}{deleted}:", post.message_id);
        for line in post.text.plain.lines() {
            let _ = writeln!(out, "    {line}");
        }
        for row in buttons(post) {
            let labels: Vec<String> = row.iter().map(|button| format!("[ {} ]", button.label)).collect();
            let _ = writeln!(out, "    {}", labels.join(" "));
        }
        for toast in state.toasts.iter().filter(|t| t.chat_id == chat_id && t.message_id == post.message_id) {
            if let Some(text) = &toast.text {
                let _ = writeln!(out, "    ({}: {text})", if toast.show_alert { "alert" } else { "toast" });
            }
        }
    }
    out
}
