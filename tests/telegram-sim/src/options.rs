//! What a stand-in is started with.

use std::{net::SocketAddr, time::Duration};

/// Settings of one [`Sim`](crate::Sim). The defaults suit tests: a free port, no budgets, short waits.
#[derive(Debug, Clone)]
pub struct Options {
    /// The only token that is accepted; the number before the colon becomes the bot's user id.
    pub token: String,
    /// Where [`Sim::start`](crate::Sim::start) listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bot's username, without `@`.
    pub bot_username: String,
    /// The bot's display name.
    pub bot_name: String,
    /// Whether more than Telegram's 30 messages/s, 1/s a chat and 20/min a group are answered 429. Off by
    /// default, because most tests are not about it and would become slow.
    pub enforce_budgets: bool,
    /// Telegram's privacy mode: in a group where it is no administrator, the bot gets only commands and replies
    /// to its own messages.
    pub privacy_mode: bool,
    /// How long after a tap `answerCallbackQuery` is still accepted.
    pub callback_lifetime: Duration,
    /// How long a call that was told to time out is held before its connection is closed.
    pub hang: Duration,
    /// How long a webhook may take to answer.
    pub webhook_timeout: Duration,
    /// First and longest pause before a failed update is sent again. Telegram's are longer; tests cannot wait.
    pub webhook_backoff: (Duration, Duration),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token: "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            bot_username: "osm_demo_bot".into(),
            bot_name: "Online Server Monitor".into(),
            enforce_budgets: false,
            privacy_mode: true,
            callback_lifetime: Duration::from_secs(15),
            hang: Duration::from_mins(1),
            webhook_timeout: Duration::from_secs(10),
            webhook_backoff: (Duration::from_millis(50), Duration::from_secs(1)),
        }
    }
}
