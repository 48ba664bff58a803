//! At start: who is this bot, whether it can be written to by webhook or has to poll, who owns it, which commands it has. No
//! answer of Telegram's ends it: agents are served meanwhile, and `/readyz` says what is missing.

use std::time::Duration;

use teloxide::types::BotCommandScope;
use url::Url;

use crate::{
    config::Mode,
    telegram::{
        receive::update,
        receive::webhook,
        send::{answer::Fault, bot::Bot},
        text::Text,
    },
    usecase::{Core, access::claim},
};

/// Tries until updates can come. Returns the claim link, if the bot still needs an owner.
pub async fn run(core: &Core, bot: &Bot) -> anyhow::Result<Option<String>> {
    let mut tries = Tries::new("the set-up of the bot");
    while let Err(fault) = receive(core, bot).await {
        core.readiness.lacks(lack(&fault));
        tries.failed(&fault).await;
    }
    core.readiness.complete();
    let code = claim::offer_claim(core).await?;
    Ok(code.map(|code| format!("https://t.me/{}?start={code}", bot.username())))
}

/// Tries until people are offered the bot's commands. Without them everything works that is typed.
pub async fn offer_commands(bot: &Bot) {
    let mut tries = Tries::new("the list of the bot's commands");
    let english = Text::new(None);
    for scope in [BotCommandScope::AllPrivateChats, BotCommandScope::AllGroupChats, BotCommandScope::AllChatAdministrators] {
        while let Err(fault) = bot.set_commands(update::commands(&scope, &english), scope.clone()).await {
            tries.failed(&fault).await;
        }
    }
}

async fn receive(core: &Core, bot: &Bot) -> Result<(), Fault> {
    bot.identify().await?;
    match core.config.telegram.mode {
        Mode::Webhook => {
            let url = Url::parse(&format!("{}{}", core.config.public_url.text, webhook::PATH))
                .map_err(|error| Fault::Refused(format!("OSM_PUBLIC_URL: {error}")))?;
            bot.set_webhook(url, core.keys.webhook_secret.expose()).await
        }
        Mode::Polling => bot.delete_webhook().await,
    }
}

/// What a fault is to those who watch the backend: no words of Telegram's, which may name what is not theirs.
fn lack(fault: &Fault) -> &'static str {
    match fault {
        Fault::BadToken => "Telegram does not know the bot of OSM_TELEGRAM_TOKEN",
        Fault::TooMany(_) => "Telegram asks to wait with the set-up",
        Fault::Transient(_) => "Telegram cannot be reached, or is in trouble",
        _ => "Telegram refuses the set-up of the bot; the log says why",
    }
}

/// The pause between two tries, and what was said of them.
struct Tries {
    of: &'static str,
    pause: Duration,
    told: Option<Fault>,
}

const LONGEST_PAUSE: Duration = Duration::from_mins(1);

impl Tries {
    fn new(of: &'static str) -> Self {
        Self { of, pause: Duration::from_secs(1), told: None }
    }

    /// Says what failed, once for each kind of it, and waits.
    async fn failed(&mut self, fault: &Fault) {
        let wait = match fault {
            Fault::TooMany(seconds) => Duration::from_secs(u64::from(*seconds)),
            _ => self.pause,
        };
        let (of, kind) = (self.of, std::mem::discriminant(fault));
        let is_told = self.told.as_ref().is_some_and(|told| std::mem::discriminant(told) == kind);
        match fault {
            _ if is_told => tracing::debug!("{of}: {fault}; next try in {} s", wait.as_secs()),
            Fault::BadToken => tracing::error!(
                "OSM_TELEGRAM_TOKEN: Telegram does not know this bot; copy the token again from @BotFather. Agents are served, and \
                 nobody is told of anything"
            ),
            Fault::TooMany(_) | Fault::Transient(_) => tracing::warn!("{of}: {fault}; it is tried again"),
            _ => tracing::error!("Telegram refuses {of}: {fault}; it is tried again"),
        }
        self.told = Some(fault.clone());
        tokio::time::sleep(wait).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
