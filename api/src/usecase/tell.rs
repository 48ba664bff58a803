//! Leaves notices for chats, in the caller's transaction.

use crate::{
    clock::Clock,
    domain::{Millis, ids::TopicId},
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

    /// As [`Self::send`], in a topic of a forum group.
    pub async fn send_in(&self, tx: &mut Tx, topic: Option<TopicId>, shown: &Shown<'_>) -> Result<()> {
        self.send(tx, shown).await?;
        match topic {
            Some(topic) => messages::set_topic(tx, shown.message_id, topic).await,
            None => Ok(()),
        }
    }

    /// Lets a message of ours show something else from now on.
    pub async fn edit(&self, tx: &mut Tx, shown: &Shown<'_>) -> Result<()> {
        outbox::push_notice(tx, self.clock.id(), shown, self.now).await
    }
}
