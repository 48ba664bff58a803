//! A person's request, while it is applied: who asks, where, and with which role; and the answers that they get.

use crate::{
    domain::{
        access::Role,
        event::{About, Event, Happened},
        ids::{ChatId, MessageId, ServerId, TopicId},
        intent::{Actor, Tap},
        notice::{Notice, Toast, Urgency},
    },
    store::{Result, messages, outbox::Shown, servers},
    usecase::work::Work,
};

pub struct Scene<'a> {
    pub work: Work<'a>,
    pub chat_id: ChatId,
    /// The topic in which it is asked.
    pub topic: Option<TopicId>,
    pub actor: &'a Actor,
    /// As looked up at this very request.
    pub role: Role,
    /// The button that was tapped, if one was.
    pub tap: Option<&'a Tap>,
}

impl Scene<'_> {
    /// Notes that this happened in the chat.
    pub fn record(&mut self, event: Event) {
        self.work.record(Happened::in_chat(self.chat_id, event));
    }

    /// Notes that this happened to a server of the chat; without one, to the chat.
    pub async fn record_of(&mut self, server_id: impl Into<Option<ServerId>>, event: Event) -> Result<()> {
        let about = match server_id.into() {
            Some(id) => servers::by_id(&mut self.work.tx, id).await?.map(|server| About { id, name: server.name }),
            None => None,
        };
        self.work.record(Happened { chat_id: Some(self.chat_id), server: about, event });
        Ok(())
    }

    /// Answers with a new message.
    pub async fn say(&mut self, notice: &Notice) -> Result<()> {
        let message_id = self.work.id();
        self.say_as(message_id, notice).await
    }

    /// Answers with a new message under an id that was made before.
    pub async fn say_as(&mut self, message_id: MessageId, notice: &Notice) -> Result<()> {
        let shown = Shown { chat_id: self.chat_id, message_id, notice, urgency: Urgency::Answer };
        self.work.send_in(self.topic, &shown).await
    }

    /// Answers in a message of ours that stands in the chat.
    pub async fn edit(&mut self, message_id: MessageId, notice: &Notice) -> Result<()> {
        self.work.edit(&Shown { chat_id: self.chat_id, message_id, notice, urgency: Urgency::Answer }).await
    }

    /// Answers where the button was tapped; by a new message where none was.
    pub async fn show(&mut self, notice: &Notice) -> Result<()> {
        let Some(telegram_id) = self.tap.and_then(|tap| tap.message_id) else { return self.say(notice).await };
        let tx = &mut self.work.tx;
        let known = messages::by_telegram_id(tx, self.chat_id, telegram_id).await?;
        let message_id = known.unwrap_or_else(|| self.work.core.clock.id());
        if known.is_none() {
            messages::insert(tx, message_id, self.chat_id, Some(telegram_id), self.work.now).await?;
        }
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
