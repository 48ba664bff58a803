//! What of alerts a chat hears: a message when something begins and one when it is over. What comes together shares one, and
//! what one transaction brings about is looked up and written once for each chat, when its
//! [`Work`](crate::usecase::work::Work) is committed.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use crate::{
    domain::{
        MINUTE, Millis, SECOND,
        alert::{Rule, Severity},
        ids::{ChatId, IncidentId, MessageId},
        incident::{EndTold, Incident},
        notice::{Notice, Urgency},
    },
    query::mutes::Mutes,
    store::{
        self, Tx, chats, incidents, messages,
        outbox::{self, Gathers, Room, Shown},
        servers,
    },
    usecase::tell::Teller,
};

/// Between two messages of a kind in a chat. Within it every agent with the default interval has reported, so that what
/// befell many servers is two messages and not one a server.
const APART: Millis = 30 * SECOND;
/// What one message told together is told to be over together, unless the last of it takes longer than this.
const ENDS_TOGETHER: Millis = 5 * MINUTE;

/// What one unit of work is to announce.
pub struct Announcements<'a> {
    teller: Teller<'a>,
    mutes: HashMap<ChatId, Mutes>,
    /// New messages, and those that wait and take in more.
    messages: BTreeMap<(Room, Gathers), Message>,
    /// Messages that show something else from now on.
    changed: BTreeSet<(ChatId, MessageId)>,
    /// Messages of which something is over.
    ended: BTreeSet<(ChatId, MessageId)>,
}

#[derive(Clone, Copy)]
struct Message {
    id: MessageId,
    is_new: bool,
    urgency: Urgency,
}

impl<'a> Announcements<'a> {
    pub fn new(teller: Teller<'a>) -> Self {
        Self { teller, mutes: HashMap::new(), messages: BTreeMap::new(), changed: BTreeSet::new(), ended: BTreeSet::new() }
    }

    /// Tells that something begins, unless its chat is mute; the caller writes the incident down.
    pub async fn begins(&mut self, tx: &mut Tx, incident: &mut Incident) -> store::Result<()> {
        if self.mutes(tx, incident.chat_id).await?.cover(incident.server_id) {
            return Ok(());
        }
        let gathers = if incident.rule == Rule::Offline { Gathers::Offline } else { Gathers::Alerts };
        let urgency = match incident.limits.severity {
            Severity::Critical => Urgency::Critical,
            Severity::Warning => Urgency::Warning,
        };
        let room = (incident.chat_id, servers::topic(tx, incident.server_id).await?);
        let message_id = self.message(tx, room, gathers, urgency).await?;
        incident.tell_in(message_id, self.teller.now);
        Ok(())
    }

    /// Lets its message show how it stands now.
    pub fn changes(&mut self, incident: &Incident) {
        self.changed.extend(incident.message_id.map(|message_id| (incident.chat_id, message_id)));
    }

    /// Tells that it is over, where it was told that it began.
    pub fn ends(&mut self, incident: &Incident) {
        if let Some(message_id) = incident.message_id {
            self.ends_of(incident.chat_id, message_id);
        }
    }

    /// Tells what of this message is over: the others have taken long enough.
    pub fn ends_of(&mut self, chat_id: ChatId, message_id: MessageId) {
        self.changed.insert((chat_id, message_id));
        self.ended.insert((chat_id, message_id));
    }

    /// Tells the chat again of what nobody has seen to.
    pub async fn reminds(&mut self, tx: &mut Tx, room: Room, urgency: Urgency) -> store::Result<()> {
        self.message(tx, room, Gathers::Reminders, urgency).await.map(drop)
    }

    /// Leaves the notices of all that was to be announced.
    pub async fn finish(mut self, tx: &mut Tx) -> store::Result<()> {
        for (chat_id, message_id) in std::mem::take(&mut self.ended) {
            self.tell_ends(tx, chat_id, message_id).await?;
        }
        for ((room, gathers), message) in std::mem::take(&mut self.messages) {
            self.changed.remove(&(room.0, message.id));
            self.tell(tx, room, gathers, message).await?;
        }
        for (chat_id, message_id) in std::mem::take(&mut self.changed) {
            let notice = Notice::Alert { message_id };
            let shown = Shown { chat_id, message_id, notice: &notice, urgency: Urgency::Background };
            self.teller.edit(tx, &shown).await?;
        }
        Ok(())
    }

    async fn tell_ends(&mut self, tx: &mut Tx, chat_id: ChatId, message_id: MessageId) -> store::Result<()> {
        let ended = incidents::untold_ends(tx, message_id).await?;
        let Some(first) = ended.first() else { return Ok(()) };
        // Not on its way yet: it says itself that this is over.
        let says_so = outbox::is_gathering(tx, message_id).await?;
        let is_early = self.teller.now - first.resolved_at < ENDS_TOGETHER;
        if !says_so && is_early && incidents::any_open_of_message(tx, message_id).await? {
            return Ok(());
        }
        let mutes = self.mutes(tx, chat_id).await?;
        let (heard, silent): (Vec<_>, Vec<_>) = ended.into_iter().partition(|end| !says_so && !mutes.cover(end.server_id));
        let ids = |ended: Vec<incidents::Untold>| ended.into_iter().map(|end| end.id).collect::<Vec<IncidentId>>();
        incidents::set_end(tx, &ids(silent), EndTold::Never).await?;
        if heard.is_empty() {
            return Ok(());
        }
        let room = (chat_id, messages::topic(tx, message_id).await?);
        let recovery_id = self.message(tx, room, Gathers::Recoveries, Urgency::Warning).await?;
        incidents::set_end(tx, &ids(heard), EndTold::By(recovery_id)).await
    }

    async fn mutes(&mut self, tx: &mut Tx, chat_id: ChatId) -> store::Result<&Mutes> {
        Ok(match self.mutes.entry(chat_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(Mutes::of_chat(tx, chat_id, self.teller.now).await?),
        })
    }

    /// Gives the chat's message that takes in this too.
    async fn message(&mut self, tx: &mut Tx, room: Room, gathers: Gathers, urgency: Urgency) -> store::Result<MessageId> {
        if let Some(message) = self.messages.get_mut(&(room, gathers)) {
            message.urgency = message.urgency.min(urgency);
            return Ok(message.id);
        }
        let waiting = outbox::gathering(tx, room, gathers).await?;
        let message = Message { id: waiting.unwrap_or_else(|| self.teller.clock.id()), is_new: waiting.is_none(), urgency };
        self.messages.insert((room, gathers), message);
        Ok(message.id)
    }

    async fn tell(&self, tx: &mut Tx, (chat_id, topic): Room, gathers: Gathers, message: Message) -> store::Result<()> {
        let Message { id: message_id, is_new, urgency } = message;
        let notice = match gathers {
            Gathers::Alerts | Gathers::Offline => Notice::Alert { message_id },
            Gathers::Recoveries => Notice::Recovered { recovery_id: message_id },
            Gathers::Reminders => Notice::Reminder,
        };
        let shown = Shown { chat_id, message_id, notice: &notice, urgency };
        if !is_new {
            return self.teller.edit(tx, &shown).await;
        }
        self.teller.send_in(tx, topic, &shown).await?;
        let turn = chats::take_turn(tx, chat_id, gathers, APART, self.teller.now).await?;
        outbox::gather(tx, message_id, gathers, turn.filter(|turn| *turn > self.teller.now)).await
    }
}

/// Lists messages of which something has been over for so long that it is to be told, whatever else they show.
pub async fn overdue_ends(tx: &mut Tx, now: Millis) -> store::Result<Vec<(ChatId, MessageId)>> {
    incidents::messages_with_untold_ends(tx, now - ENDS_TOGETHER).await
}
