//! The few calls of the Bot API that this product makes, each with its errors sorted by what to do about them. Of an answer
//! only what is needed is read, with types of our own (`answer.rs`): a client library that does not know a field yet would
//! call a message that was sent a failure, and it would be sent again. Addresses hold the token, and are never shown.

use std::sync::OnceLock;

use anyhow::Context as _;
use reqwest_of_teloxide::{Client, header::CONTENT_TYPE, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use teloxide::{
    net::default_reqwest_settings,
    types::{BotCommand, BotCommandScope},
};
use url::Url;

use crate::{
    config::Telegram,
    domain::ids::{CallbackId, ChatId, TelegramMessageId, TopicId, UserId},
    telegram::{
        cards::Rendered,
        send::answer::{self, Fault},
    },
};

pub struct Bot {
    client: Client,
    token: String,
    api_url: Url,
    username: OnceLock<String>,
}

type Result<T> = std::result::Result<T, Fault>;

/// A message on its way.
pub struct Letter {
    pub chat_id: ChatId,
    /// Of a new message.
    pub topic: Option<TopicId>,
    pub rendered: Rendered,
    pub form: Form,
}

/// In which form a message goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Full,
    /// Without markup and buttons: there is nothing in it that Telegram could take for wrong.
    Plain,
}

impl Bot {
    pub fn new(config: &Telegram) -> anyhow::Result<Self> {
        let token = config.token.as_ref().context("OSM_TELEGRAM_TOKEN: not set")?;
        // An address of the Bot API holds the token: it is told to nobody else, neither by following nor as a referrer.
        let client = default_reqwest_settings().redirect(Policy::none()).referer(false).build()?;
        Ok(Self { client, token: token.expose().to_owned(), api_url: config.api_url.clone(), username: OnceLock::new() })
    }

    /// Without the @; empty until Telegram has said it.
    pub fn username(&self) -> &str {
        self.username.get().map_or("", String::as_str)
    }

    pub async fn identify(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Me {
            username: String,
        }
        let me: Option<Me> = read(self.call("getMe", &json!({})).await?);
        let me = me.ok_or_else(|| Fault::Transient("getMe names no bot".to_owned()))?;
        let _ = self.username.set(me.username);
        Ok(())
    }

    /// Sends a message. It was sent also where Telegram's answer does not say under which id.
    pub async fn send(&self, letter: &Letter) -> Result<Option<TelegramMessageId>> {
        #[derive(Deserialize)]
        struct Sent {
            message_id: TelegramMessageId,
        }
        let mut parameters = letter.parameters();
        if let Some(topic) = letter.topic {
            parameters["message_thread_id"] = topic.0.into();
        }
        let sent: Option<Sent> = read(self.call("sendMessage", &parameters).await?);
        if sent.is_none() {
            tracing::warn!(chat = %letter.chat_id, "Telegram took a message and does not say under which id");
        }
        Ok(sent.map(|sent| sent.message_id))
    }

    pub async fn edit(&self, letter: &Letter, telegram_id: TelegramMessageId) -> Result<()> {
        let mut parameters = letter.parameters();
        parameters["message_id"] = telegram_id.0.into();
        self.call("editMessageText", &parameters).await.map(drop)
    }

    pub async fn answer(&self, callback_id: &CallbackId, text: String) -> Result<()> {
        let mut parameters = json!({ "callback_query_id": callback_id.0 });
        if !text.is_empty() {
            parameters["text"] = text.into();
        }
        self.call("answerCallbackQuery", &parameters).await.map(drop)
    }

    pub async fn is_admin(&self, chat_id: ChatId, user_id: UserId) -> Result<bool> {
        #[derive(Deserialize)]
        struct Member {
            status: String,
        }
        let parameters = json!({ "chat_id": chat_id.0, "user_id": user_id.0 });
        let member: Option<Member> = read(self.call("getChatMember", &parameters).await?);
        Ok(member.is_some_and(|member| matches!(member.status.as_str(), "creator" | "administrator")))
    }

    /// Goes away from a group.
    pub async fn leave(&self, chat_id: ChatId) -> Result<()> {
        self.call("leaveChat", &json!({ "chat_id": chat_id.0 })).await.map(drop)
    }

    pub async fn set_commands(&self, commands: Vec<BotCommand>, scope: BotCommandScope) -> Result<()> {
        self.call("setMyCommands", &json!({ "commands": commands, "scope": scope })).await.map(drop)
    }

    pub async fn set_webhook(&self, url: Url, secret: &str) -> Result<()> {
        let parameters = json!({ "url": url, "secret_token": secret, "allowed_updates": ALLOWED_UPDATES });
        self.call("setWebhook", &parameters).await.map(drop)
    }

    pub async fn delete_webhook(&self) -> Result<()> {
        self.call("deleteWebhook", &json!({})).await.map(drop)
    }

    /// Gives the updates from `offset` on, each as it came: one that cannot be read must not cost its neighbours.
    /// Waits up to 10 s: the client gives up at 17.
    pub async fn updates(&self, offset: i64) -> Result<Vec<Box<RawValue>>> {
        let parameters = json!({ "offset": offset, "timeout": 10, "allowed_updates": ALLOWED_UPDATES });
        let updates: Option<Vec<Box<RawValue>>> = read(self.call("getUpdates", &parameters).await?);
        updates.ok_or_else(|| Fault::Transient("getUpdates gives no list".to_owned()))
    }

    /// Makes a call; gives its result as it came.
    async fn call(&self, method: &str, parameters: &Value) -> Result<Option<Box<RawValue>>> {
        let mut url = self.api_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&format!("bot{}", self.token)).push(method);
        }
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(parameters.to_string());
        let answered = async {
            let answer = request.send().await?;
            Ok::<_, reqwest_of_teloxide::Error>((answer.status().as_u16(), answer.bytes().await?))
        };
        let (status, body) = answered.await.map_err(|error| self.network(error))?;
        answer::sort(status, &body)
    }

    fn network(&self, error: reqwest_of_teloxide::Error) -> Fault {
        let error = error.without_url();
        // Without its address it does not name the token; not to depend on it costs nothing.
        Fault::Transient(with_causes(&error).replace(&self.token, "TOKEN").chars().take(300).collect())
    }
}

/// Reads what is needed of a result; nothing where it is not there.
fn read<T: for<'a> Deserialize<'a>>(result: Option<Box<RawValue>>) -> Option<T> {
    result.and_then(|result| serde_json::from_str(result.get()).ok())
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

/// The kinds of updates that are asked for.
pub const ALLOWED_UPDATES: [&str; 3] = ["message", "callback_query", "my_chat_member"];

impl Letter {
    fn parameters(&self) -> Value {
        let mut parameters = json!({ "chat_id": self.chat_id.0, "link_preview_options": { "is_disabled": true } });
        match self.form {
            Form::Full => {
                parameters["text"] = self.rendered.html.as_str().into();
                parameters["parse_mode"] = "HTML".into();
                parameters["reply_markup"] = json!(self.rendered.keyboard);
            }
            Form::Plain => parameters["text"] = self.rendered.plain().into(),
        }
        parameters
    }
}
