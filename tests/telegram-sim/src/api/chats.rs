//! Chats and their members, and whether the bot may write to one.

use serde_json::{Value, json};

use super::{ApiError, Outcome, Params};
use crate::{
    User,
    model::{Chat, ChatKind, Role},
    state::State,
};

/// The chat a call is about, by id or `@username`.
pub(super) fn resolve(state: &State, params: &Params) -> Result<i64, ApiError> {
    let not_found = || ApiError::bad("chat not found");
    if let Some(id) = params.int("chat_id") {
        return state.chats.contains_key(&id).then_some(id).ok_or_else(not_found);
    }
    let name = match params.text("chat_id") {
        Some(name) if !name.is_empty() => name,
        _ => return Err(ApiError::bad("chat_id is empty")),
    };
    let wanted = name.strip_prefix('@').ok_or_else(not_found)?;
    // Bots address only public groups and channels by name, never people.
    let found = state.chats.values().find(|c| c.is_group() && c.username.as_deref() == Some(wanted));
    found.map(|chat| chat.id).ok_or_else(not_found)
}

/// The chat, if the bot is still in it.
fn reachable<'s>(state: &'s State, params: &Params) -> Result<&'s Chat, ApiError> {
    let chat_id = resolve(state, params)?;
    let chat = &state.chats[&chat_id];
    if let Some(to) = chat.migrated_to {
        return Err(ApiError {
            parameters: Some(json!({"migrate_to_chat_id": to})),
            ..ApiError::bad("group chat was upgraded to a supergroup chat")
        });
    }
    match (chat.kind, chat.bot) {
        (ChatKind::Private, _) | (_, Role::Owner | Role::Administrator | Role::Member) => Ok(chat),
        (ChatKind::Group, Role::Kicked) => Err(ApiError::forbidden("bot was kicked from the group chat")),
        (ChatKind::Supergroup, Role::Kicked) => Err(ApiError::forbidden("bot was kicked from the supergroup chat")),
        (ChatKind::Group, Role::Left) => Err(ApiError::forbidden("bot is not a member of the group chat")),
        (ChatKind::Supergroup, Role::Left) => Err(ApiError::forbidden("bot is not a member of the supergroup chat")),
    }
}

/// The chat, if the bot may write to it.
pub(super) fn writable(state: &State, params: &Params) -> Result<i64, ApiError> {
    let chat = reachable(state, params)?;
    if chat.kind == ChatKind::Private {
        if !chat.started {
            return Err(ApiError::forbidden("bot can't initiate conversation with a user"));
        }
        if chat.bot == Role::Kicked {
            return Err(ApiError::forbidden("bot was blocked by the user"));
        }
    }
    Ok(chat.id)
}

pub(super) fn get(state: &State, params: &Params) -> Outcome {
    let chat = reachable(state, params)?;
    let mut full = chat.json();
    full["accent_color_id"] = 0.into();
    full["max_reaction_count"] = 11.into();
    full["accepted_gift_types"] = json!({
        "unlimited_gifts": false, "limited_gifts": false, "unique_gifts": false, "premium_subscription": false,
        "gifts_from_channels": false,
    });
    if chat.is_group() {
        let allowed = [
            "can_send_messages",
            "can_send_audios",
            "can_send_documents",
            "can_send_photos",
            "can_send_videos",
            "can_send_video_notes",
            "can_send_voice_notes",
            "can_send_polls",
            "can_send_other_messages",
            "can_add_web_page_previews",
            "can_change_info",
            "can_invite_users",
            "can_pin_messages",
            "can_manage_topics",
        ];
        full["permissions"] = allowed.iter().map(|right| ((*right).to_owned(), Value::Bool(true))).collect();
    }
    Ok(full.into())
}

pub(super) fn member(state: &State, params: &Params) -> Outcome {
    let chat = reachable(state, params)?;
    let user_id = params.int("user_id").ok_or_else(|| ApiError::bad("invalid user_id specified"))?;
    if state.bot["id"] == user_id {
        return Ok(chat.bot.json(&state.bot).into());
    }
    let user = state.users.get(&user_id).ok_or_else(|| ApiError::bad("user not found"))?;
    let role = match chat.members.get(&user_id) {
        Some(role) => *role,
        None if chat.id == user_id => Role::Member,
        None => Role::Left,
    };
    Ok(role.json(&user.json()).into())
}

pub(super) fn administrators(state: &State, params: &Params) -> Outcome {
    let chat = reachable(state, params)?;
    if !chat.is_group() {
        return Err(ApiError::bad("there are no administrators in the private chat"));
    }
    // Telegram lists no bots here except the one that asks.
    let own = chat.bot.is_admin().then(|| chat.bot.json(&state.bot));
    let admins = chat.members.iter().filter(|(_, role)| role.is_admin());
    let people = admins.filter_map(|(id, role)| Some(role.json(&state.users.get(id).map(User::json)?)));
    Ok(people.chain(own).collect::<Value>().into())
}

pub(super) fn action(state: &State, params: &Params) -> Outcome {
    writable(state, params)?;
    Ok(json!(true).into())
}

pub(super) fn leave(state: &mut State, params: &Params) -> Outcome {
    let chat_id = reachable(state, params)?.id;
    if chat_id > 0 {
        return Err(ApiError::bad("chat member status can't be changed in private chats"));
    }
    let bot_id = state.bot["id"].as_i64().unwrap_or_default();
    state.set_bot_role(chat_id, Role::Left, bot_id);
    Ok(json!(true).into())
}
