//! Leaves notices for chats, in the caller's transaction.

use crate::{
    clock::Clock,
    domain::Millis,
    store::{
        Result, Tx, messages,
        outbox::{self, Shown},
    },
};

#[derive(Clone, Copy)]
pub struct Teller<'a> {
    pub clock: &'a Clock,
    pub now: Millis,
}

impl Teller<'_> {
    /// Sends a new message under an id that was made before.
    pub async fn send(&self, tx: &mut Tx, shown: &Shown<'_>) -> Result<()> {
        messages::insert(tx, shown.message_id, shown.chat_id, None, self.now).await?;
        self.edit(tx, shown).await
    }

    /// Lets a message of ours show something else from now on.
    pub async fn edit(&self, tx: &mut Tx, shown: &Shown<'_>) -> Result<()> {
        outbox::push_notice(tx, self.clock.id(), shown, self.now).await
    }
}
