//! At start: who is this bot, which commands it has, whether it can be written to by webhook or has to poll, who owns it.

use std::time::Duration;

use anyhow::bail;
use teloxide::types::BotCommandScope;
use url::Url;

use crate::{
    config::Mode,
    telegram::{
        receive::update,
        receive::webhook,
        send::bot::{Bot, Fault},
        text::Text,
    },
    usecase::{Core, access::claim},
};

/// Tries until Telegram has answered; ends with an error only for what will not get better by itself. Returns the claim link,
/// if the bot still needs an owner.
pub async fn run(core: &Core, bot: &Bot) -> anyhow::Result<Option<String>> {
    let mut wait = Duration::from_secs(1);
    loop {
        match attempt(core, bot).await {
            Ok(()) => break,
            Err(Fault::BadToken) => {
                bail!("OSM_TELEGRAM_TOKEN: Telegram does not know this bot; copy the token again from @BotFather")
            }
            Err(Fault::Permanent(said)) => bail!("Telegram refused the set-up of the bot: {said}"),
            Err(fault) => {
                tracing::warn!("Telegram: {fault}; next try in {} s", wait.as_secs());
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_mins(1));
            }
        }
    }
    let code = claim::offer_claim(core).await?;
    Ok(code.map(|code| format!("https://t.me/{}?start={code}", bot.username())))
}

async fn attempt(core: &Core, bot: &Bot) -> Result<(), Fault> {
    bot.identify().await?;
    let english = Text::new(None);
    for scope in [BotCommandScope::AllPrivateChats, BotCommandScope::AllGroupChats, BotCommandScope::AllChatAdministrators] {
        bot.set_commands(update::commands(&scope, &english), scope).await?;
    }
    match core.config.telegram.mode {
        Mode::Webhook => {
            let url = Url::parse(&format!("{}{}", core.config.public_url.text, webhook::PATH))
                .map_err(|error| Fault::Permanent(error.to_string()))?;
            bot.set_webhook(url, core.keys.webhook_secret.expose()).await
        }
        Mode::Polling => bot.delete_webhook().await,
    }
}
