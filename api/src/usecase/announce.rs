//! What of alerts a chat hears: a message when something begins and one when it is over. What comes together shares one, and what
//! one transaction brings about is looked up and written once for each chat.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    domain::{
        MINUTE, Millis, SECOND,
        alert::{Rule, Severity},
        incident::Incident,
        notice::{Notice, Urgency},
    },
    store::{
        self, Tx, chats, incidents,
        outbox::{self, Gathers},
    },
    usecase::{Core, mute::Mutes, tell::Teller},
};

/// Between two messages of a kind in a chat. Within it every agent with the default interval has reported, so that what befell many
/// servers is two messages and not one a server.
const APART: Millis = 30 * SECOND;
/// What one message told together is told to be over together, unless the last of it takes longer than this.
const ENDS_TOGETHER: Millis = 5 * MINUTE;

pub struct Announcer<'a> {
    core: &'a Core,
    pub now: Millis,
    mutes: HashMap<i64, Mutes>,
    /// New messages, and those that wait and take in more.
    messages: BTreeMap<(i64, Gathers), Message>,
    /// Messages that show something else from now on.
    changed: BTreeSet<(i64, String)>,
    /// Messages of which something is over.
    ended: BTreeSet<(i64, String)>,
}

struct Message {
    id: String,
    is_new: bool,
    urgency: Urgency,
}

impl<'a> Announcer<'a> {
    pub fn new(core: &'a Core, now: Millis) -> Self {
        Self { core, now, mutes: HashMap::new(), messages: BTreeMap::new(), changed: BTreeSet::new(), ended: BTreeSet::new() }
    }

    pub fn id(&self) -> String {
        self.core.clock.id()
    }

    /// It is to be told, unless its chat is mute; the caller writes it down.
    pub async fn begins(&mut self, tx: &mut Tx, incident: &mut Incident) -> store::Result<()> {
        if self.mutes(tx, incident.chat_id).await?.cover(&incident.server_id) {
            return Ok(());
        }
        let gathers = if incident.rule == Rule::Offline { Gathers::Offline } else { Gathers::Alerts };
        let urgency = match incident.limits.severity {
            Severity::Critical => Urgency::Critical,
            Severity::Warning => Urgency::Warning,
        };
        let id = self.message(tx, incident.chat_id, gathers, urgency).await?;
        incident.tell_in(&id, self.now);
        Ok(())
    }

    /// Its message shows how it stands now.
    pub fn changes(&mut self, incident: &Incident) {
        self.changed.extend(incident.message_id.clone().map(|message_id| (incident.chat_id, message_id)));
    }

    /// It is over, and what was told is to be told to be over.
    pub fn ends(&mut self, incident: &Incident) {
        self.changes(incident);
        self.ended.extend(incident.message_id.clone().map(|message_id| (incident.chat_id, message_id)));
    }

    /// Something of this message is over, and the others have taken long enough.
    pub fn ends_of(&mut self, chat_id: i64, message_id: String) {
        self.changed.insert((chat_id, message_id.clone()));
        self.ended.insert((chat_id, message_id));
    }

    /// The chat hears again of what nobody has seen to.
    pub async fn reminds(&mut self, tx: &mut Tx, chat_id: i64, urgency: Urgency) -> store::Result<()> {
        self.message(tx, chat_id, Gathers::Reminders, urgency).await.map(drop)
    }

    /// Leaves the notices.
    pub async fn finish(mut self, tx: &mut Tx) -> store::Result<()> {
        for (chat_id, message_id) in std::mem::take(&mut self.ended) {
            self.tell_ends(tx, chat_id, &message_id).await?;
        }
        for ((chat_id, gathers), message) in &self.messages {
            self.changed.remove(&(*chat_id, message.id.clone()));
            self.tell(tx, *chat_id, *gathers, message).await?;
        }
        for (chat_id, message_id) in &self.changed {
            let notice = Notice::Alert { message_id: message_id.clone() };
            self.teller(*chat_id).edit(tx, message_id, &notice, Urgency::Background).await?;
        }
        Ok(())
    }

    async fn tell_ends(&mut self, tx: &mut Tx, chat_id: i64, message_id: &str) -> store::Result<()> {
        let ended = incidents::untold_ends(tx, message_id).await?;
        let Some((_, _, first)) = ended.first() else { return Ok(()) };
        // Not on its way yet: it says itself that this is over.
        let says_so = outbox::is_gathering(tx, message_id).await?;
        if !says_so && self.now - first < ENDS_TOGETHER && incidents::any_open_of_message(tx, message_id).await? {
            return Ok(());
        }
        let mutes = self.mutes(tx, chat_id).await?;
        let (heard, silent): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|(_, server_id, _)| !says_so && !mutes.cover(server_id));
        let ids = |ended: Vec<(String, String, Millis)>| ended.into_iter().map(|(id, _, _)| id).collect::<Vec<_>>();
        incidents::set_recovery(tx, &ids(silent), "").await?;
        if heard.is_empty() {
            return Ok(());
        }
        let recovery_id = self.message(tx, chat_id, Gathers::Recoveries, Urgency::Warning).await?;
        incidents::set_recovery(tx, &ids(heard), &recovery_id).await
    }

    async fn mutes(&mut self, tx: &mut Tx, chat_id: i64) -> store::Result<&Mutes> {
        if !self.mutes.contains_key(&chat_id) {
            self.mutes.insert(chat_id, Mutes::of_chat(tx, chat_id, self.now).await?);
        }
        Ok(&self.mutes[&chat_id])
    }

    /// The chat's message that takes in this too.
    async fn message(&mut self, tx: &mut Tx, chat_id: i64, gathers: Gathers, urgency: Urgency) -> store::Result<String> {
        if let Some(message) = self.messages.get_mut(&(chat_id, gathers)) {
            message.urgency = message.urgency.min(urgency);
            return Ok(message.id.clone());
        }
        let waiting = outbox::gathering(tx, chat_id, gathers).await?;
        let is_new = waiting.is_none();
        let id = waiting.unwrap_or_else(|| self.id());
        self.messages.insert((chat_id, gathers), Message { id: id.clone(), is_new, urgency });
        Ok(id)
    }

    async fn tell(&self, tx: &mut Tx, chat_id: i64, gathers: Gathers, message: &Message) -> store::Result<()> {
        let id = || message.id.clone();
        let notice = match gathers {
            Gathers::Alerts | Gathers::Offline => Notice::Alert { message_id: id() },
            Gathers::Recoveries => Notice::Recovered { recovery_id: id() },
            Gathers::Reminders => Notice::Reminder,
        };
        let teller = self.teller(chat_id);
        if !message.is_new {
            return teller.edit(tx, &message.id, &notice, message.urgency).await;
        }
        teller.send_as(tx, &message.id, &notice, message.urgency).await?;
        let turn = chats::take_turn(tx, chat_id, gathers, APART, self.now).await?;
        outbox::gather(tx, &message.id, gathers, turn.filter(|turn| *turn > self.now)).await
    }

    fn teller(&self, chat_id: i64) -> Teller<'a> {
        Teller { clock: &self.core.clock, chat_id, now: self.now }
    }
}

/// Messages of which something has been over for so long that it is to be told, whatever else they show.
pub async fn overdue_ends(tx: &mut Tx, now: Millis) -> store::Result<Vec<(i64, String)>> {
    incidents::messages_with_untold_ends(tx, now - ENDS_TOGETHER).await
}
