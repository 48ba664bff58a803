//! Leaves notices for a chat, in the caller's transaction.

use crate::{
    clock::Clock,
    domain::{
        Millis,
        intent::Tap,
        notice::{Notice, Toast, Urgency},
    },
    store::{Result, Tx, messages, outbox},
};

pub struct Teller<'a> {
    pub clock: &'a Clock,
    pub chat_id: i64,
    pub now: Millis,
}

impl Teller<'_> {
    /// A new message; returns our id of it.
    pub async fn send(&self, tx: &mut Tx, notice: &Notice, urgency: Urgency) -> Result<String> {
        let message_id = self.clock.id();
        self.send_as(tx, &message_id, notice, urgency).await?;
        Ok(message_id)
    }

    /// A new message under an id that was made before, for what must name its own message.
    pub async fn send_as(&self, tx: &mut Tx, message_id: &str, notice: &Notice, urgency: Urgency) -> Result<()> {
        messages::insert(tx, message_id, self.chat_id, None, self.now).await?;
        self.edit(tx, message_id, notice, urgency).await
    }

    /// A message of ours shows something else from now on.
    pub async fn edit(&self, tx: &mut Tx, message_id: &str, notice: &Notice, urgency: Urgency) -> Result<()> {
        outbox::push_notice(tx, &self.clock.id(), self.chat_id, message_id, notice, urgency, self.now).await
    }

    /// Where a button was tapped, the message it stands under; otherwise a new one.
    pub async fn show(&self, tx: &mut Tx, tap: Option<&Tap>, notice: &Notice) -> Result<()> {
        match tap.and_then(|tap| tap.message_id) {
            None => self.send(tx, notice, Urgency::Answer).await.map(drop),
            Some(telegram_id) => {
                let known = messages::by_telegram_id(tx, self.chat_id, telegram_id).await?;
                let message_id = known.clone().unwrap_or_else(|| self.clock.id());
                if known.is_none() {
                    messages::insert(tx, &message_id, self.chat_id, Some(telegram_id), self.now).await?;
                }
                self.edit(tx, &message_id, notice, Urgency::Answer).await
            }
        }
    }

    /// Answers a tap; nothing where there was none.
    pub async fn toast(&self, tx: &mut Tx, tap: Option<&Tap>, toast: Toast) -> Result<()> {
        let Some(tap) = tap else { return Ok(()) };
        outbox::push_toast(tx, &self.clock.id(), self.chat_id, &tap.callback_id, toast, self.now).await
    }
}
