//! What is wrong, most urgent first, and what can be done about it.

use osm_protocol::action::Action;

use crate::{
    domain::{
        Millis,
        alert::Rule,
        command::Command,
        ids::{ChatId, IncidentId, MessageId, TopicId},
        incident::{Incident, by_urgency},
        server::Server,
    },
    query::mutes::Mutes,
    store::{self, Tx, commands, incidents, messages, servers},
};

/// One alert, and what can be done about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub incident: Incident,
    pub server: Server,
    /// The newest that may mend it, asked for since it began.
    pub command: Option<Command>,
}

/// The alerts that one message shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Alerts {
    /// Their server was removed.
    Gone,
    /// Their server was removed before anybody heard of them.
    NeverTold,
    One(Box<Alert>),
    /// `servers`: how many the chat has.
    Many {
        incidents: Vec<Incident>,
        servers: i64,
    },
}

/// Gives the alerts that a message was sent for.
pub async fn of_message(tx: &mut Tx, chat_id: ChatId, message_id: MessageId) -> store::Result<Alerts> {
    let shown = incidents::of_message(tx, chat_id, message_id).await?;
    if shown.is_empty() && messages::telegram_id(tx, message_id).await?.is_none() {
        return Ok(Alerts::NeverTold);
    }
    together(tx, chat_id, shown).await
}

/// Gives one alert of this chat.
pub async fn one(tx: &mut Tx, chat_id: ChatId, incident_id: IncidentId) -> store::Result<Alerts> {
    let found = incidents::get(tx, chat_id, incident_id).await?;
    together(tx, chat_id, found.into_iter().collect()).await
}

/// Lists the chat's open alerts, most urgent first.
pub async fn open(tx: &mut Tx, chat_id: ChatId) -> store::Result<Vec<Incident>> {
    let mut open = incidents::open_in_chat(tx, chat_id).await?;
    open.sort_by(by_urgency);
    Ok(open)
}

/// Lists the open alerts of servers of this topic that nobody has seen to and that are to be heard, most urgent first.
pub async fn unseen(tx: &mut Tx, chat_id: ChatId, topic: Option<TopicId>, now: Millis) -> store::Result<Vec<Incident>> {
    let mutes = Mutes::of_chat(tx, chat_id, now).await?;
    let (unheard, here) = (incidents::unheard(tx, chat_id).await?, servers::of_topic(tx, chat_id, topic).await?);
    let mut unseen = open(tx, chat_id).await?;
    unseen.retain(|incident| incident.is_unseen(now) && !mutes.cover(incident.server_id) && !unheard.contains(&incident.id));
    unseen.retain(|incident| here.contains(&incident.server_id));
    Ok(unseen)
}

/// Lists what one message tells to be over, but for what the chat never heard of.
pub async fn recovered(tx: &mut Tx, chat_id: ChatId, recovery_id: MessageId) -> store::Result<Vec<Incident>> {
    let unheard = incidents::unheard(tx, chat_id).await?;
    let mut over = incidents::of_recovery(tx, chat_id, recovery_id).await?;
    over.retain(|incident| !unheard.contains(&incident.id));
    Ok(over)
}

async fn together(tx: &mut Tx, chat_id: ChatId, mut incidents: Vec<Incident>) -> store::Result<Alerts> {
    incidents.sort_by(by_urgency);
    if incidents.len() > 1 {
        return Ok(Alerts::Many { incidents, servers: servers::count(tx, chat_id).await? });
    }
    let Some(incident) = incidents.pop() else { return Ok(Alerts::Gone) };
    let Some(server) = servers::get(tx, chat_id, incident.server_id).await? else { return Ok(Alerts::Gone) };
    let command = mending(tx, &incident).await?;
    Ok(Alerts::One(Box::new(Alert { incident, server, command })))
}

/// Gives the newest command that may mend an alert, asked for since it began.
async fn mending(tx: &mut Tx, incident: &Incident) -> store::Result<Option<Command>> {
    let action = match incident.rule {
        Rule::Service | Rule::Restarts | Rule::NotReady | Rule::Down => Action::RestartService { unit: incident.subject.clone() },
        Rule::Disk => Action::CleanJournal {},
        Rule::Cpu
        | Rule::Memory
        | Rule::Swap
        | Rule::Inodes
        | Rule::ReadOnly
        | Rule::NoAnswer
        | Rule::Load
        | Rule::Unit
        | Rule::Offline
        | Rule::Reboot
        | Rule::Clock
        | Rule::Commands => return Ok(None),
    };
    let asked = commands::asked(tx, incident.server_id, incident.opened_at).await?;
    match asked.into_iter().find(|asked| asked.action == action) {
        Some(asked) => commands::get(tx, incident.chat_id, asked.id).await,
        None => Ok(None),
    }
}
