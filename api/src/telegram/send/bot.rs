//! The few calls of the Bot API that this product makes, each with its errors sorted by what to do about them.
//! The client is never formatted: its URLs hold the token.

use std::sync::OnceLock;

use anyhow::Context as _;
use reqwest_of_teloxide::redirect::Policy;
use serde::Serialize;
use serde_json::Value;
use teloxide::{
    ApiError, RequestError,
    net::default_reqwest_settings,
    payloads::{AnswerCallbackQuerySetters, EditMessageTextSetters, SendMessageSetters, SetMyCommandsSetters, SetWebhookSetters},
    prelude::Requester,
    requests::{JsonRequest, Payload},
    types::{self, AllowedUpdate, BotCommand, BotCommandScope, CallbackQueryId, ChatMemberKind, LinkPreviewOptions, ParseMode},
};
use url::Url;

use crate::{
    config::Telegram,
    domain::ids::{CallbackId, ChatId, TelegramMessageId, UserId},
    telegram::cards::Rendered,
};

pub struct Bot {
    bot: teloxide::Bot,
    username: OnceLock<String>,
}

/// Why Telegram did not do it, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The message shows this already: as good as done.
    #[error("the message shows this already")]
    NotModified,
    /// The message to edit is gone, or too old: send it anew.
    #[error("the message is gone")]
    MessageGone,
    /// The tap is too old to be answered: nobody waits any more.
    #[error("the tap is too old")]
    QueryTooOld,
    /// Not so fast: seconds to wait.
    #[error("it asks to wait {0} s")]
    TooMany(u32),
    /// The group is a supergroup now.
    #[error("the group has the id {0} now")]
    Migrated(ChatId),
    /// Blocked, kicked, deactivated, never started: stop until somebody writes again.
    #[error("the chat cannot be reached: {0}")]
    Unreachable(String),
    /// The token is not (or no longer) a bot's.
    #[error("it does not know this bot")]
    BadToken,
    /// Another poller, or a webhook, has the updates.
    #[error("another poller or a webhook has the updates")]
    Conflict,
    /// Telegram will say the same again.
    #[error("{0}")]
    Permanent(String),
    /// Network or server trouble: try again.
    #[error("{0}")]
    Transient(String),
}

type Result<T> = std::result::Result<T, Fault>;

/// getUpdates, with what comes left unread.
#[derive(Clone, Serialize)]
struct GetUpdates {
    offset: i64,
    /// Seconds.
    timeout: u32,
    allowed_updates: Vec<AllowedUpdate>,
}

impl Payload for GetUpdates {
    type Output = Vec<Value>;

    const NAME: &'static str = "GetUpdates";
}

impl Bot {
    pub fn new(config: &Telegram) -> anyhow::Result<Self> {
        let token = config.token.as_ref().context("OSM_TELEGRAM_TOKEN: not set")?;
        // An address of the Bot API holds the token: it is told to nobody else, neither by following nor as a referrer.
        let client = default_reqwest_settings().redirect(Policy::none()).referer(false).build()?;
        let bot = teloxide::Bot::with_client(token.expose(), client).set_api_url(config.api_url.clone());
        Ok(Self { bot, username: OnceLock::new() })
    }

    /// Without the @; empty until Telegram has said it.
    pub fn username(&self) -> &str {
        self.username.get().map_or("", String::as_str)
    }

    pub async fn identify(&self) -> Result<()> {
        let me = self.bot.get_me().await.map_err(|error| self.fault(&error))?;
        let _ = self.username.set(me.username().to_owned());
        Ok(())
    }

    pub async fn send(&self, chat_id: ChatId, message: Rendered) -> Result<TelegramMessageId> {
        let sent = self
            .bot
            .send_message(types::ChatId(chat_id.0), message.html)
            .parse_mode(ParseMode::Html)
            .link_preview_options(no_preview())
            .reply_markup(message.keyboard)
            .await
            .map_err(|error| self.fault(&error))?;
        Ok(TelegramMessageId(sent.id.0))
    }

    pub async fn edit(&self, chat_id: ChatId, telegram_id: TelegramMessageId, message: Rendered) -> Result<()> {
        self.bot
            .edit_message_text(types::ChatId(chat_id.0), types::MessageId(telegram_id.0), message.html)
            .parse_mode(ParseMode::Html)
            .link_preview_options(no_preview())
            .reply_markup(message.keyboard)
            .await
            .map(drop)
            .map_err(|error| self.fault(&error))
    }

    pub async fn answer(&self, callback_id: &CallbackId, text: String) -> Result<()> {
        let call = self.bot.answer_callback_query(CallbackQueryId(callback_id.0.clone()));
        let call = if text.is_empty() { call } else { call.text(text) };
        call.await.map(drop).map_err(|error| self.fault(&error))
    }

    pub async fn is_admin(&self, chat_id: ChatId, user_id: UserId) -> Result<bool> {
        let user_id = types::UserId(u64::try_from(user_id.0).unwrap_or_default());
        let member = self.bot.get_chat_member(types::ChatId(chat_id.0), user_id).await.map_err(|error| self.fault(&error))?;
        Ok(matches!(member.kind, ChatMemberKind::Owner(_) | ChatMemberKind::Administrator(_)))
    }

    /// Goes away from a group.
    pub async fn leave(&self, chat_id: ChatId) -> Result<()> {
        self.bot.leave_chat(types::ChatId(chat_id.0)).await.map(drop).map_err(|error| self.fault(&error))
    }

    pub async fn set_commands(&self, commands: Vec<BotCommand>, scope: BotCommandScope) -> Result<()> {
        self.bot.set_my_commands(commands).scope(scope).await.map(drop).map_err(|error| self.fault(&error))
    }

    pub async fn set_webhook(&self, url: Url, secret: &str) -> Result<()> {
        let call = self.bot.set_webhook(url).secret_token(secret).allowed_updates(allowed_updates());
        call.await.map(drop).map_err(|error| self.fault(&error))
    }

    pub async fn delete_webhook(&self) -> Result<()> {
        self.bot.delete_webhook().await.map(drop).map_err(|error| self.fault(&error))
    }

    /// Gives the updates from `offset` on, each as it came: one that the library cannot read must not cost its neighbours.
    /// Waits up to 10 s: the client gives up at 17.
    pub async fn updates(&self, offset: i64) -> Result<Vec<Value>> {
        let payload = GetUpdates { offset, timeout: 10, allowed_updates: allowed_updates() };
        JsonRequest::new(self.bot.clone(), payload).await.map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &RequestError) -> Fault {
        match error {
            RequestError::RetryAfter(seconds) => Fault::TooMany(seconds.seconds()),
            RequestError::MigrateToChatId(id) => Fault::Migrated(ChatId(id.0)),
            RequestError::Api(error) => api_fault(error),
            RequestError::Network(_) | RequestError::InvalidJson { .. } | RequestError::Io(_) => {
                // Teloxide hides the token in these; not to depend on it costs nothing.
                Fault::Transient(with_causes(error).replace(self.bot.token(), "TOKEN").chars().take(300).collect())
            }
        }
    }
}

/// Gives an error and what lies behind it, each once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

fn api_fault(error: &ApiError) -> Fault {
    let text = error.to_string();
    match error {
        ApiError::MessageNotModified => Fault::NotModified,
        ApiError::MessageToEditNotFound | ApiError::MessageCantBeEdited | ApiError::MessageIdInvalid => Fault::MessageGone,
        ApiError::InvalidQueryId => Fault::QueryTooOld,
        ApiError::InvalidToken => Fault::BadToken,
        ApiError::TerminatedByOtherGetUpdates | ApiError::CantGetUpdates => Fault::Conflict,
        ApiError::BotBlocked
        | ApiError::BotKicked
        | ApiError::BotKickedFromSupergroup
        | ApiError::UserDeactivated
        | ApiError::CantInitiateConversation
        | ApiError::ChatNotFound
        | ApiError::GroupDeactivated => Fault::Unreachable(text),
        ApiError::Unknown(said) => unknown_fault(said),
        _ => Fault::Permanent(text),
    }
}

/// Descriptions that the library has no name for, by what they begin with.
fn unknown_fault(said: &str) -> Fault {
    let said_lower = said.to_lowercase();
    if said_lower.starts_with("forbidden") {
        Fault::Unreachable(said.to_owned())
    } else if said_lower.starts_with("conflict") {
        Fault::Conflict
    } else if said_lower.contains("query is too old") {
        Fault::QueryTooOld
    } else if said_lower.contains("message is not modified") {
        Fault::NotModified
    } else if said_lower.starts_with("bad request") {
        Fault::Permanent(said.to_owned())
    } else {
        // 5xx and whatever else: Telegram's trouble, not ours.
        Fault::Transient(said.to_owned())
    }
}

fn allowed_updates() -> Vec<AllowedUpdate> {
    vec![AllowedUpdate::Message, AllowedUpdate::CallbackQuery, AllowedUpdate::MyChatMember]
}

fn no_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}
