//! Sending, editing and deleting messages.

use serde_json::{Value, json};

use super::{ApiError, Outcome, Params, chats, markup};
use crate::{
    html::{self, Parsed},
    model::{Author, GENERAL, Post, Topic, unix_now},
    state::State,
};

const MAX_TEXT: usize = 4096;

pub(super) fn send(state: &mut State, params: &Params) -> Outcome {
    let (raw, text) = formatted(params)?;
    let keyboard = markup::keyboard(params)?;
    let chat_id = chats::writable(state, params)?;
    if html::utf16_len(&text.plain) > MAX_TEXT {
        return Err(ApiError::bad("message is too long"));
    }
    let reply_to = reply_target(state, params, chat_id)?;
    let topic = topic(state, params, chat_id)?;
    let link_preview = params.json("link_preview_options")?;
    let message_id = state.add_post(chat_id, Author::Bot, &raw, text);
    if let Some(post) = state.chats.get_mut(&chat_id).and_then(|chat| chat.post_mut(message_id)) {
        post.markup = keyboard;
        post.silent = params.flag("disable_notification");
        post.reply_to = reply_to;
        post.topic = topic;
        post.link_preview = link_preview;
    }
    message(state, chat_id, message_id)
}

pub(super) fn edit_text(state: &mut State, params: &Params) -> Outcome {
    let (raw, text) = formatted(params)?;
    let keyboard = markup::keyboard(params)?;
    let chat_id = chats::writable(state, params)?;
    let post = editable(state, params, chat_id)?;
    if html::utf16_len(&text.plain) > MAX_TEXT {
        // Unlike sendMessage, editing passes the server's own error name on.
        return Err(ApiError::bad("MESSAGE_TOO_LONG"));
    }
    if post.text.plain == text.plain && post.text.entities == text.entities && post.markup == keyboard {
        return Err(not_modified());
    }
    post.raw = raw;
    post.text = text;
    finish_edit(state, chat_id, params, keyboard)
}

pub(super) fn edit_markup(state: &mut State, params: &Params) -> Outcome {
    let keyboard = markup::keyboard(params)?;
    let chat_id = chats::writable(state, params)?;
    let post = editable(state, params, chat_id)?;
    if post.markup == keyboard {
        return Err(not_modified());
    }
    finish_edit(state, chat_id, params, keyboard)
}

pub(super) fn delete(state: &mut State, params: &Params) -> Outcome {
    let chat_id = chats::writable(state, params)?;
    let message_id = message_id(params)?;
    let not_found = || ApiError::bad("message to delete not found");
    let chat = state.chats.get_mut(&chat_id).ok_or_else(not_found)?;
    // In groups other people's messages are an administrator's business.
    let may_delete_others = !chat.is_group() || chat.bot.is_admin();
    let post = chat.post_mut(message_id).ok_or_else(not_found)?;
    if post.author != Author::Bot && !may_delete_others {
        return Err(ApiError::bad("message can't be deleted"));
    }
    post.deleted = true;
    Ok(json!(true).into())
}

fn formatted(params: &Params) -> Result<(String, Parsed), ApiError> {
    let raw = params.text("text").unwrap_or_default();
    let mut text = match params.text("parse_mode").unwrap_or_default().to_ascii_lowercase().as_str() {
        "html" => html::parse(&raw).map_err(|why| ApiError::bad(&format!("can't parse entities: {why}")))?,
        "" => html::verbatim(&raw),
        // Markdown is not simulated: the product does not use it, and a half-right parser would mislead.
        _ => return Err(ApiError::bad("unsupported parse_mode")),
    };
    if text.plain.is_empty() {
        return Err(ApiError::bad("message text is empty"));
    }
    if params.text("parse_mode").is_none_or(|mode| mode.is_empty())
        && let Some(Value::Array(entities)) = params.json("entities")?
    {
        text.entities = entities;
    }
    Ok((raw, text))
}

fn message_id(params: &Params) -> Result<i32, ApiError> {
    params
        .int("message_id")
        .and_then(|id| i32::try_from(id).ok())
        .ok_or_else(|| ApiError::bad("message identifier is not specified"))
}

fn editable<'s>(state: &'s mut State, params: &Params, chat_id: i64) -> Result<&'s mut Post, ApiError> {
    let message_id = message_id(params)?;
    let post = state
        .chats
        .get_mut(&chat_id)
        .and_then(|chat| chat.post_mut(message_id))
        .ok_or_else(|| ApiError::bad("message to edit not found"))?;
    if post.author == Author::Bot { Ok(post) } else { Err(ApiError::bad("message can't be edited")) }
}

fn finish_edit(state: &mut State, chat_id: i64, params: &Params, keyboard: Option<Value>) -> Outcome {
    let post = editable(state, params, chat_id)?;
    post.markup = keyboard;
    post.edits += 1;
    post.edited = Some(unix_now());
    let message_id = post.message_id;
    message(state, chat_id, message_id)
}

fn not_modified() -> ApiError {
    ApiError::bad(
        "message is not modified: specified new message content and reply markup are exactly the same as a current \
         content and reply markup of the message",
    )
}

fn reply_target(state: &State, params: &Params, chat_id: i64) -> Result<Option<i32>, ApiError> {
    let parameters = params.json("reply_parameters")?.unwrap_or_default();
    let wanted = parameters["message_id"].as_i64().or_else(|| params.int("reply_to_message_id"));
    let Some(id) = wanted.and_then(|id| i32::try_from(id).ok()) else { return Ok(None) };
    if state.chats.get(&chat_id).is_some_and(|chat| chat.post(id).is_some()) {
        return Ok(Some(id));
    }
    let forgiven = parameters["allow_sending_without_reply"] == true || params.flag("allow_sending_without_reply");
    if forgiven { Ok(None) } else { Err(ApiError::bad("message to be replied not found")) }
}

/// The topic that a message is for, if a bot that is no administrator may write there.
fn topic(state: &State, params: &Params, chat_id: i64) -> Result<Option<i32>, ApiError> {
    let Some(chat) = state.chats.get(&chat_id) else { return Ok(None) };
    let wanted = params.int("message_thread_id").and_then(|id| i32::try_from(id).ok());
    match chat.topics.get(&wanted.unwrap_or(GENERAL)) {
        None if wanted.is_some() => Err(ApiError::bad("message thread not found")),
        Some(Topic::Deleted) => Err(ApiError::bad("TOPIC_DELETED")),
        Some(Topic::Closed) if !chat.bot.is_admin() => Err(ApiError::bad("TOPIC_CLOSED")),
        Some(Topic::Open | Topic::Closed) | None => Ok(wanted.filter(|id| *id != GENERAL)),
    }
}

fn message(state: &State, chat_id: i64, message_id: i32) -> Outcome {
    let message = state.message_json(chat_id, message_id);
    message.map(Into::into).ok_or_else(|| ApiError::new(500, "Internal Server Error"))
}
