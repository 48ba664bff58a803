//! What strangers are told: beside the outbox, since nothing that a stranger does may cost a durable write. What does not
//! fit, or does not arrive, is lost.

use std::time::Duration;

use tokio::{sync::mpsc, time::sleep};

use crate::{
    domain::{
        ids::{CallbackId, ChatId, UserId},
        notice::Toast,
    },
    telegram::{
        cards,
        send::bot::{Bot, Form, Letter},
        text::Text,
    },
    usecase::Core,
};

/// What waits to be said.
const WAITING_MAX: usize = 32;
/// Between two of them: a small part of what Telegram takes of a bot in a second.
const APART: Duration = Duration::from_millis(500);

pub enum Aside {
    /// This is a private bot.
    PrivateBot { chat_id: ChatId, language: Option<String> },
    /// Answers a tap of somebody who may not.
    NotAllowed { callback_id: CallbackId, language: Option<String> },
}

/// Where what strangers are told is left.
#[derive(Clone)]
pub struct Asides(mpsc::Sender<Aside>);

impl Asides {
    pub fn say(&self, aside: Aside) {
        // Full: somebody floods, and need not be answered.
        let _ = self.0.try_send(aside);
    }
}

pub fn queue() -> (Asides, mpsc::Receiver<Aside>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Asides(sender), receiver)
}

/// Ends when the backend stops.
pub async fn run(core: &Core, bot: &Bot, mut waiting: mpsc::Receiver<Aside>) {
    loop {
        let aside = tokio::select! {
            aside = waiting.recv() => aside,
            () = core.store.hub.stopped() => None,
        };
        let sent = match aside {
            Some(Aside::PrivateBot { chat_id, language }) => {
                let rendered = cards::private_bot(&Text::new(language.as_deref()), UserId(chat_id.0));
                bot.send(&Letter { chat_id, topic: None, rendered, form: Form::Full }).await.map(drop)
            }
            Some(Aside::NotAllowed { callback_id, language }) => {
                bot.answer(&callback_id, cards::toast(Toast::NotAllowed, &Text::new(language.as_deref()))).await
            }
            None => return,
        };
        if let Err(fault) = sent {
            tracing::debug!(%fault, "a stranger could not be told");
        }
        sleep(APART).await;
    }
}
