//! One thing that happens: its transaction, its moment, and what it brings about.

use uuid::Uuid;

use crate::{
    domain::{
        Millis,
        event::{By, Happened, line},
        ids::{CallbackId, ChatId, EventId, MessageId, ServerId, TopicId},
        incident::Incident,
        notice::{Notice, Toast, Urgency},
    },
    store::{
        Result, Tx, events,
        outbox::{self, Popped, Room, Shown},
        servers,
    },
    usecase::{Core, announce::Announcements, tell::Teller},
};

/// A unit of work. Dropped without [`Work::commit`], it never was.
pub struct Work<'a> {
    pub tx: Tx,
    pub core: &'a Core,
    /// The moment at which all of it happens.
    pub now: Millis,
    by: By,
    happened: Vec<(EventId, Happened)>,
    announcements: Announcements<'a>,
    teller: Teller<'a>,
}

impl<'a> Work<'a> {
    /// Begins what `by` does.
    pub async fn begin(core: &'a Core, by: By) -> Result<Self> {
        let tx = core.store.begin().await?;
        let now = core.clock.now();
        let teller = Teller { clock: &core.clock, now };
        Ok(Self { tx, core, now, by, happened: Vec::new(), announcements: Announcements::new(teller), teller })
    }

    /// Notes that this happened: one event for each thing, in the transaction in which it happens.
    pub fn record(&mut self, happened: Happened) {
        self.happened.push((self.core.clock.id(), happened));
    }

    /// Leaves what is to be announced of alerts and the events of what happened, and makes everything durable at once; `step`
    /// names it for the crash tests. The log is written from the events.
    ///
    /// Announcing ends here and nowhere else, so that no use case can forget it.
    pub async fn commit(mut self, step: &str) -> Result<()> {
        self.announcements.finish(&mut self.tx).await?;
        if !self.happened.is_empty() {
            events::insert(&mut self.tx, &self.by, &self.happened, self.now).await?;
        }
        self.tx.commit(step).await?;
        for (_, happened) in &self.happened {
            let line = line(&self.by, happened);
            if happened.event.is_a_warning() {
                tracing::warn!("{line}");
            } else {
                tracing::info!("{line}");
            }
        }
        Ok(())
    }

    /// Makes an id that carries this process's clock.
    pub fn id<I: From<Uuid>>(&self) -> I {
        self.core.clock.id()
    }

    /// Sends a chat a new message.
    pub async fn send(&mut self, chat_id: ChatId, notice: &Notice, urgency: Urgency) -> Result<()> {
        let message_id = self.id();
        self.send_as(&Shown { chat_id, message_id, notice, urgency }).await
    }

    /// Sends a chat a new message about one of its servers: where that was paired.
    pub async fn send_of(&mut self, server_id: ServerId, chat_id: ChatId, notice: &Notice, urgency: Urgency) -> Result<()> {
        let (message_id, topic) = (self.id(), servers::topic(&mut self.tx, server_id).await?);
        self.send_in(topic, &Shown { chat_id, message_id, notice, urgency }).await
    }

    /// Sends a new message in a topic of a forum group.
    pub async fn send_in(&mut self, topic: Option<TopicId>, shown: &Shown<'_>) -> Result<()> {
        self.teller.send_in(&mut self.tx, topic, shown).await
    }

    /// Sends a new message under an id that was made before, for what must name its own message.
    pub async fn send_as(&mut self, shown: &Shown<'_>) -> Result<()> {
        self.teller.send(&mut self.tx, shown).await
    }

    /// Lets a message of ours show something else from now on.
    pub async fn edit(&mut self, shown: &Shown<'_>) -> Result<()> {
        self.teller.edit(&mut self.tx, shown).await
    }

    /// Lets a message show, without a sound, what became of its matter meanwhile.
    pub async fn refresh(&mut self, chat_id: ChatId, message_id: MessageId, notice: &Notice) -> Result<()> {
        self.edit(&Shown { chat_id, message_id, notice, urgency: Urgency::Background }).await
    }

    /// Answers a tap: a few words that pop up over the button.
    pub async fn pop(&mut self, chat_id: ChatId, callback_id: &CallbackId, toast: Toast) -> Result<()> {
        let popped = Popped { chat_id, callback_id, toast };
        outbox::push_toast(&mut self.tx, self.core.clock.id(), &popped, self.now).await
    }

    /// Tells that an alert begins, unless its chat is mute; the caller writes the incident down.
    pub async fn begins(&mut self, incident: &mut Incident) -> Result<()> {
        self.announcements.begins(&mut self.tx, incident).await
    }

    /// Lets an alert's message show how it stands now.
    pub fn changes(&mut self, incident: &Incident) {
        self.announcements.changes(incident);
    }

    /// Tells that an alert is over, where it was told that it began.
    pub fn ends(&mut self, incident: &Incident) {
        self.announcements.ends(incident);
    }

    /// Tells what of this message is over: the others have taken long enough.
    pub fn ends_of(&mut self, chat_id: ChatId, message_id: MessageId) {
        self.announcements.ends_of(chat_id, message_id);
    }

    /// Tells a chat again of what nobody has seen to.
    pub async fn reminds(&mut self, room: Room, urgency: Urgency) -> Result<()> {
        self.announcements.reminds(&mut self.tx, room, urgency).await
    }
}
