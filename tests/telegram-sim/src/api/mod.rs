//! The Bot API: which method does what, how answers and errors look.
//!
//! Methods that only touch state are plain functions of [`State`]; `getUpdates` waits and is its own case.

mod callbacks;
mod chats;
mod commands;
mod markup;
mod messages;
mod params;
mod updates;

use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) use self::params::Params;
use crate::{Call, FailureKind, sim::Inner, state::State};

/// A refusal in Telegram's words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub code: u16,
    pub description: String,
    pub parameters: Option<Value>,
}

impl ApiError {
    pub(crate) fn new(code: u16, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), parameters: None }
    }

    pub(crate) fn bad(what: &str) -> Self {
        Self::new(400, format!("Bad Request: {what}"))
    }

    pub(crate) fn forbidden(what: &str) -> Self {
        Self::new(403, format!("Forbidden: {what}"))
    }

    pub(crate) fn too_many(retry_after: u32) -> Self {
        Self {
            parameters: Some(json!({"retry_after": retry_after})),
            ..Self::new(429, format!("Too Many Requests: retry after {retry_after}"))
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({"ok": false, "error_code": self.code, "description": self.description});
        if let Some(parameters) = &self.parameters {
            body["parameters"] = parameters.clone();
        }
        body
    }
}

/// A result, and the remark that webhook methods answer with.
#[derive(Debug)]
pub(crate) struct Success {
    result: Value,
    description: Option<&'static str>,
}

impl From<Value> for Success {
    fn from(result: Value) -> Self {
        Self { result, description: None }
    }
}

pub(crate) type Outcome = Result<Success, ApiError>;

/// What the connection gets to see.
#[derive(Debug)]
pub(crate) enum Reply {
    Json(u16, Value),
    /// The front end's page when the servers behind it are away.
    BadGateway,
    /// The connection closes, now or after the hang.
    Silence {
        hang: bool,
    },
}

/// Carries out one call, as told by the failures that are armed.
pub(crate) async fn call(sim: &Inner, name: &str, params: Params) -> Reply {
    let Some(method) = METHODS.iter().find(|method| method.eq_ignore_ascii_case(name)).copied() else {
        record(sim, name, &params, Some("Not Found".into()));
        return Reply::Json(404, ApiError::new(404, "Not Found").body());
    };
    let failure = sim.with(|state| state.failures.iter_mut().find_map(|failure| failure.strikes(method, &params)));
    if let Some(kind) = failure
        && !kind.accepts()
    {
        let error = match kind {
            FailureKind::Refused { description, .. } => description.to_owned(),
            kind => format!("{kind:?}"),
        };
        record(sim, method, &params, Some(error));
        return match kind {
            FailureKind::Refused { code, description } => Reply::Json(code, ApiError::new(code, description).body()),
            FailureKind::TooManyRequests { retry_after } => Reply::Json(429, ApiError::too_many(retry_after).body()),
            FailureKind::ServerError => Reply::Json(500, ApiError::new(500, "Internal Server Error").body()),
            FailureKind::BadGateway => Reply::BadGateway,
            _ => Reply::Silence { hang: kind == FailureKind::TimeoutBefore },
        };
    }
    let outcome = match method {
        "getUpdates" => updates::get_updates(sim, &params).await,
        method => sim.with(|state| execute(state, sim, method, &params)),
    };
    if method != "getUpdates" || outcome.is_err() {
        record(sim, method, &params, outcome.as_ref().err().map(|e| e.description.clone()));
    }
    match (failure, outcome) {
        (Some(FailureKind::AnsweredWith(json)), Ok(_)) => {
            Reply::Json(200, serde_json::from_str(json).expect("what a failure answers with is JSON"))
        }
        (None | Some(FailureKind::AnsweredWith(_)), Err(error)) => Reply::Json(error.code, error.body()),
        (Some(kind), _) => Reply::Silence { hang: kind == FailureKind::TimeoutAfter },
        (None, Ok(Success { result, description: None })) => Reply::Json(200, json!({"ok": true, "result": result})),
        (None, Ok(Success { result, description: Some(remark) })) => {
            Reply::Json(200, json!({"ok": true, "result": result, "description": remark}))
        }
    }
}

const METHODS: &[&str] = &[
    "getMe",
    "setWebhook",
    "deleteWebhook",
    "getWebhookInfo",
    "getUpdates",
    "setMyCommands",
    "getMyCommands",
    "deleteMyCommands",
    "sendMessage",
    "editMessageText",
    "editMessageReplyMarkup",
    "deleteMessage",
    "answerCallbackQuery",
    "getChat",
    "getChatMember",
    "getChatAdministrators",
    "sendChatAction",
    "leaveChat",
];

fn execute(state: &mut State, sim: &Inner, method: &str, params: &Params) -> Outcome {
    if matches!(method, "sendMessage" | "editMessageText" | "editMessageReplyMarkup") && sim.options.enforce_budgets {
        // A chat that does not exist costs nothing: its own error follows.
        if let Ok(chat_id) = chats::resolve(state, params) {
            state.budgets.take(chat_id, chat_id < 0, Instant::now()).map_err(ApiError::too_many)?;
        }
    }
    match method {
        "getMe" => Ok(me(state).into()),
        "setWebhook" => updates::set_webhook(state, params),
        "deleteWebhook" => Ok(updates::delete_webhook(state, params)),
        "getWebhookInfo" => Ok(updates::webhook_info(state).into()),
        "setMyCommands" => commands::set(state, params),
        "getMyCommands" => commands::get(state, params),
        "deleteMyCommands" => commands::delete(state, params),
        "sendMessage" => messages::send(state, params),
        "editMessageText" => messages::edit_text(state, params),
        "editMessageReplyMarkup" => messages::edit_markup(state, params),
        "deleteMessage" => messages::delete(state, params),
        "answerCallbackQuery" => callbacks::answer(state, params, sim.options.callback_lifetime),
        "getChat" => chats::get(state, params),
        "getChatMember" => chats::member(state, params),
        "getChatAdministrators" => chats::administrators(state, params),
        "sendChatAction" => chats::action(state, params),
        "leaveChat" => chats::leave(state, params),
        _ => Err(ApiError::new(404, "Not Found")),
    }
}

fn me(state: &State) -> Value {
    let mut me = state.bot.clone();
    me["can_join_groups"] = true.into();
    me["can_read_all_group_messages"] = (!state.privacy_mode).into();
    for capability in ["supports_inline_queries", "can_connect_to_business", "has_main_web_app"] {
        me[capability] = false.into();
    }
    me
}

fn record(sim: &Inner, method: &str, params: &Params, error: Option<String>) {
    sim.with(|state| {
        state.calls.push(Call {
            method: method.to_owned(),
            chat_id: params.chat_for_log(),
            at: Instant::now(),
            accepted: error.is_none(),
            error,
            params: params.clone().into_value(),
        });
    });
}
