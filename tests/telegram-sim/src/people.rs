//! What people do in their apps: write and tap.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::{
    Group, Role, Sim, Toast, User, html,
    model::Author,
    state::{Query, State},
};

/// A message somebody wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Its id in the chat.
    pub message_id: i32,
    /// The update that tells the bot; `None` when Telegram does not (privacy mode, `allowed_updates`).
    pub update_id: Option<i64>,
}

/// A tap on a callback button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// `callback_query.id`.
    pub query_id: String,
    /// The update that tells the bot; `None` when it did not ask for callback queries.
    pub update_id: Option<i64>,
}

impl Sim {
    /// Somebody writes into a chat: `sim.say(&anna, &anna, "/start")` in private, `sim.say(&group, &anna, …)` in a
    /// group. Writing to a bot one has blocked unblocks it first.
    ///
    /// # Panics
    /// When the chat is unknown or the person is not in it: a mistake in the test.
    pub fn say(&self, chat: impl Into<i64>, user: &User, text: &str) -> Said {
        self.write(chat.into(), Author::User(user.id), text, None, None)
    }

    /// As [`Sim::say`], in a topic of a forum group.
    ///
    /// # Panics
    /// As [`Sim::say`].
    pub fn say_in(&self, group: &Group, topic: i32, user: &User, text: &str) -> Said {
        self.write(group.id, Author::User(user.id), text, None, Some(topic))
    }

    /// As [`Sim::say`], as a reply to a message. Replies to the bot reach it in groups too.
    ///
    /// # Panics
    /// As [`Sim::say`].
    pub fn reply(&self, chat: impl Into<i64>, user: &User, to: i32, text: &str) -> Said {
        self.write(chat.into(), Author::User(user.id), text, Some(to), None)
    }

    /// An administrator of the group writes in its name: user 1087968824 with `sender_chat`.
    ///
    /// # Panics
    /// As [`Sim::say`].
    pub fn say_anonymously(&self, group: &Group, text: &str) -> Said {
        self.write(group.id, Author::Anonymous, text, None, None)
    }

    /// Taps the button with this label (or, failing that, the one whose `callback_data` starts like this, or whose
    /// label contains it) under a message of the bot.
    ///
    /// # Errors
    /// When there is no such button, when it is none that calls back, or when several are meant; the error shows
    /// the chat.
    pub fn press(&self, chat: impl Into<i64>, user: &User, message_id: i32, button: &str) -> anyhow::Result<Press> {
        let chat = chat.into();
        let data = self
            .inner
            .quiet(|state| find_button(state, chat, message_id, button))
            .with_context(|| format!("cannot press {button:?}; the chat:\n{}", self.transcript(chat)))?;
        Ok(self.press_data(chat, user, message_id, &data))
    }

    /// Taps a button the message need not have (any more): what a slow or tampered app sends.
    pub fn press_data(&self, chat: impl Into<i64>, user: &User, message_id: i32, data: &str) -> Press {
        let chat = chat.into();
        self.inner.with(|state| {
            let query_id = state.next_query_id();
            let gone = state.chats.get(&chat).is_none_or(|c| c.post(message_id).is_none());
            let message = match state.message_json(chat, message_id) {
                Some(message) if !gone => message,
                // An InaccessibleMessage: date 0 is how the Bot API marks it.
                _ => json!({
                    "message_id": message_id, "date": 0,
                    "chat": state.chats.get(&chat).map_or_else(|| json!({"id": chat, "type": "private"}), crate::model::Chat::json),
                }),
            };
            let payload = json!({
                "id": query_id, "from": user.json(), "message": message, "data": data,
                "chat_instance": (chat.unsigned_abs().wrapping_mul(2_654_435_761)).to_string(),
            });
            let query = Query { chat_id: chat, user_id: user.id, message_id, at: Instant::now(), answered: false };
            state.queries.insert(query_id.clone(), query);
            let update_id = state.push("callback_query", chat, &payload);
            Press { query_id, update_id }
        })
    }

    /// Waits for the bot's `answerCallbackQuery` to this tap.
    ///
    /// # Errors
    /// When it has not answered after `limit`; the error shows the chat.
    pub async fn wait_toast(&self, press: &Press, limit: Duration) -> anyhow::Result<Toast> {
        let found = self.inner.until(limit, |state| state.toasts.iter().find(|t| t.query_id == press.query_id).cloned());
        found.await.with_context(|| {
            let chat = self.inner.quiet(|state| state.queries.get(&press.query_id).map(|q| q.chat_id));
            format!("no answer to the tap after {limit:?}; the chat:\n{}", self.transcript(chat.unwrap_or_default()))
        })
    }

    fn write(&self, chat: i64, author: Author, text: &str, reply_to: Option<i32>, topic: Option<i32>) -> Said {
        self.inner.with(|state| {
            let known = state.chats.get(&chat).unwrap_or_else(|| panic!("there is no chat {chat}"));
            if let Author::User(id) = author {
                let present = known.members.get(&id).is_some_and(|role| role.is_present());
                assert!(present, "user {id} is not in chat {chat} and cannot write there");
                if chat > 0 && known.bot == Role::Kicked {
                    state.set_bot_role(chat, Role::Member, id);
                }
            }
            let mut parsed = html::verbatim(text);
            parsed.entities = command_entities(&parsed.plain);
            let message_id = state.add_post(chat, author, text, parsed);
            let heard = hears(state, chat, text, reply_to);
            if let Some(chat) = state.chats.get_mut(&chat) {
                chat.started = true;
                if let Some(post) = chat.post_mut(message_id) {
                    post.reply_to = reply_to;
                    post.topic = topic;
                }
            }
            let message = state.message_json(chat, message_id).filter(|_| heard);
            Said { message_id, update_id: message.and_then(|message| state.push("message", chat, &message)) }
        })
    }
}

/// Whether Telegram shows the bot what is said here: <https://core.telegram.org/bots/features#privacy-mode>.
fn hears(state: &State, chat: i64, text: &str, reply_to: Option<i32>) -> bool {
    let Some(known) = state.chats.get(&chat) else { return false };
    if !known.is_group() || !state.privacy_mode || known.bot.is_admin() {
        return known.bot.is_present();
    }
    let to_bot = reply_to.and_then(|id| known.post(id)).is_some_and(|post| post.author == Author::Bot);
    let command = text.split_whitespace().next().filter(|word| word.starts_with('/'));
    let for_bot =
        command.is_some_and(|word| word.split_once('@').is_none_or(|(_, name)| name.eq_ignore_ascii_case(&state.bot_username)));
    known.bot.is_present() && (to_bot || for_bot)
}

/// The `bot_command` entities Telegram puts on what people write.
fn command_entities(text: &str) -> Vec<Value> {
    let mut entities = vec![];
    let mut offset = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let name = bare.strip_prefix('/').unwrap_or_default().split('@').next().unwrap_or_default();
        if !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            entities.push(json!({"type": "bot_command", "offset": offset, "length": html::utf16_len(bare)}));
        }
        offset += html::utf16_len(word);
    }
    entities
}

fn find_button(state: &State, chat: i64, message_id: i32, wanted: &str) -> anyhow::Result<String> {
    let chat = state.chats.get(&chat).context("there is no such chat")?;
    let post = chat.post(message_id).with_context(|| format!("there is no message {message_id}"))?;
    let rows = post.markup.as_ref().and_then(|markup| markup["inline_keyboard"].as_array());
    let buttons: Vec<(&str, Option<&str>)> = rows
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .map(|button| (button["text"].as_str().unwrap_or_default(), button["callback_data"].as_str()))
        .collect();
    let meant = |way: u8, label: &str, data: Option<&str>| match way {
        0 => label == wanted,
        1 => data == Some(wanted),
        2 => data.is_some_and(|data| data.starts_with(wanted)),
        _ => label.contains(wanted),
    };
    for way in 0..4 {
        let mut found = buttons.iter().filter(|(label, data)| meant(way, label, *data));
        match (found.next(), found.next()) {
            (None, _) => {}
            (Some((label, None)), None) => bail!("the button {label:?} opens or copies something and does not call back"),
            (Some((_, Some(data))), None) => return Ok((*data).to_owned()),
            (Some((one, _)), Some((other, _))) => bail!("several buttons are meant, {one:?} and {other:?}"),
        }
    }
    bail!("message {message_id} has no such button")
}
