//! The list of commands people are offered, by scope and language.

use serde_json::{Value, json};

use super::{ApiError, Outcome, Params};
use crate::state::State;

const MAX_COMMANDS: usize = 100;

pub(super) fn set(state: &mut State, params: &Params) -> Outcome {
    let key = key(state, params)?;
    let Some(Value::Array(commands)) = params.json("commands")? else {
        return Err(ApiError::bad("can't parse commands: Expected an Array of BotCommand"));
    };
    if commands.len() > MAX_COMMANDS {
        return Err(ApiError::bad("BOT_COMMANDS_TOO_MUCH"));
    }
    let mut kept = vec![];
    for command in &commands {
        // Telegram takes a leading slash off before it looks.
        let name = command["command"].as_str().unwrap_or_default();
        let name = name.strip_prefix('/').unwrap_or(name);
        let description = command["description"].as_str().unwrap_or_default().trim();
        let well_formed = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if name.is_empty() || name.len() > 32 || !well_formed {
            return Err(ApiError::bad("BOT_COMMAND_INVALID"));
        }
        if description.is_empty() || description.chars().count() > 256 {
            return Err(ApiError::bad("BOT_COMMAND_DESCRIPTION_INVALID"));
        }
        kept.push(json!({"command": name, "description": description}));
    }
    if kept.is_empty() {
        state.commands.remove(&key);
    } else {
        state.commands.insert(key, kept);
    }
    Ok(json!(true).into())
}

pub(super) fn get(state: &State, params: &Params) -> Outcome {
    let commands = state.commands.get(&key(state, params)?).cloned().unwrap_or_default();
    Ok(Value::Array(commands).into())
}

pub(super) fn delete(state: &mut State, params: &Params) -> Outcome {
    let key = key(state, params)?;
    state.commands.remove(&key);
    Ok(json!(true).into())
}

/// Scope, written the one way [`State::commands_for`] looks it up, and language.
fn key(state: &State, params: &Params) -> Result<(String, String), ApiError> {
    let language = params.text("language_code").unwrap_or_default();
    if !matches!(language.len(), 0 | 2) || !language.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(ApiError::bad("invalid language code specified"));
    }
    let scope = params.json("scope")?.unwrap_or_else(|| json!({"type": "default"}));
    let kind = scope["type"].as_str().unwrap_or_default();
    let chat = || {
        let id = scope["chat_id"].as_i64().or_else(|| scope["chat_id"].as_str()?.parse().ok());
        id.filter(|id| state.chats.contains_key(id)).ok_or_else(|| ApiError::bad("chat not found"))
    };
    let scope = match kind {
        "default" | "all_private_chats" | "all_group_chats" | "all_chat_administrators" => json!({"type": kind}),
        "chat" | "chat_administrators" => json!({"type": kind, "chat_id": chat()?}),
        "chat_member" => match scope["user_id"].as_i64() {
            Some(user_id) => json!({"type": kind, "chat_id": chat()?, "user_id": user_id}),
            None => return Err(ApiError::bad("can't parse BotCommandScope: user_id is not specified")),
        },
        _ => return Err(ApiError::bad("can't parse BotCommandScope: Unsupported type specified")),
    };
    Ok((scope.to_string(), language))
}
