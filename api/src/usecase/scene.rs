//! A person's request, while it is applied: who asks, where, and with which role; and the answers that they get.

use crate::{
    domain::{
        access::Role,
        ids::{ChatId, MessageId},
        intent::{Actor, Tap},
        notice::{Notice, Toast, Urgency},
    },
    store::{Result, messages, outbox::Shown},
    usecase::work::Work,
};

pub struct Scene<'a> {
    pub work: Work<'a>,
    pub chat_id: ChatId,
    pub actor: &'a Actor,
    /// As looked up at this very request.
    pub role: Role,
    /// The button that was tapped, if one was.
    pub tap: Option<&'a Tap>,
}

impl Scene<'_> {
    /// Answers with a new message.
    pub async fn say(&mut self, notice: &Notice) -> Result<()> {
        self.work.send(self.chat_id, notice, Urgency::Answer).await
    }

    /// Answers with a new message under an id that was made before.
    pub async fn say_as(&mut self, message_id: MessageId, notice: &Notice) -> Result<()> {
        self.work.send_as(&Shown { chat_id: self.chat_id, message_id, notice, urgency: Urgency::Answer }).await
    }

    /// Answers in a message of ours that stands in the chat.
    pub async fn edit(&mut self, message_id: MessageId, notice: &Notice) -> Result<()> {
        self.work.edit(&Shown { chat_id: self.chat_id, message_id, notice, urgency: Urgency::Answer }).await
    }

    /// Answers where the button was tapped; by a new message where none was.
    pub async fn show(&mut self, notice: &Notice) -> Result<()> {
        let Some(telegram_id) = self.tap.and_then(|tap| tap.message_id) else { return self.say(notice).await };
        let tx = &mut self.work.tx;
        let message_id = match messages::by_telegram_id(tx, self.chat_id, telegram_id).await? {
            Some(known) => known,
            None => {
                let fresh = self.work.core.clock.id();
                messages::insert(tx, fresh, self.chat_id, Some(telegram_id), self.work.now).await?;
                fresh
            }
        };
        self.edit(message_id, notice).await
    }

    /// Answers the tap itself; nothing where there was none.
    pub async fn toast(&mut self, toast: Toast) -> Result<()> {
        let Some(tap) = self.tap else { return Ok(()) };
        self.work.pop(self.chat_id, &tap.callback_id, toast).await
    }

    /// Shows a notice where the button was tapped, and ends its spinner.
    pub async fn turn_to(&mut self, notice: &Notice) -> Result<()> {
        self.show(notice).await?;
        self.toast(Toast::Done).await
    }

    /// Answers a button of what is no more, and shows in its place what there is.
    pub async fn stale(&mut self) -> Result<()> {
        self.show(&Notice::Servers { page: 0 }).await?;
        self.toast(Toast::Stale).await
    }
}
