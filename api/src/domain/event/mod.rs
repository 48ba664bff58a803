//! What happened: each thing that happens leaves one event in its transaction. Audit, streams, webhooks, counters and the log are
//! written from these.
//!
//! No event holds a token, a code, a secret, a process name or a line of somebody's log.

mod line;

pub use line::line;
use osm_protocol::action::Action;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Millis,
    alert::{Rule, Setting, Severity},
    command,
    confirmation::Asks,
    ids::{ChatId, CommandId, EventNumber, IncidentId, ServerId, UserId},
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// `None`: for the owner and the operator.
    pub chat_id: Option<ChatId>,
    pub server: Option<About>,
    pub event: Event,
}

/// The server that an event is about. Its name stays in the event when the server is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub id: ServerId,
    pub name: String,
}

impl Happened {
    /// Something of a chat.
    pub fn in_chat(chat_id: ChatId, event: Event) -> Self {
        Self { chat_id: Some(chat_id), server: None, event }
    }

    /// Something of a chat's server.
    pub fn to_server(chat_id: ChatId, id: ServerId, name: &str, event: Event) -> Self {
        Self { chat_id: Some(chat_id), server: Some(About { id, name: name.to_owned() }), event }
    }

    /// Something of the whole installation.
    pub fn here(event: Event) -> Self {
        Self { chat_id: None, server: None, event }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum By {
    /// Somebody in a chat.
    Person { id: UserId, name: String },
    /// The server's own agent.
    Agent {},
    /// Whoever has the backend's machine.
    Operator {},
    /// The backend itself: by what was reported, or by time alone.
    System {},
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// A person became the owner by the claim link.
    OwnerClaimed {},
    /// The operator named the owner; the one before is kept out from then on.
    OwnerSet {
        user: UserId,
        before: Option<UserId>,
    },
    /// The operator let a person use the bot.
    AccessGranted {
        user: UserId,
    },
    /// The operator kept a person out.
    AccessRevoked {
        user: UserId,
    },
    /// A person got a pairing token.
    PairingAsked {
        name: String,
    },
    /// An agent was paired; `again`: a host that was paired before, under a new key.
    Paired {
        fingerprint: String,
        address: String,
        again: bool,
    },
    /// An agent took itself off.
    Unpaired {},
    /// A person, or the operator, removed a server.
    Removed {},
    /// The host was paired anew in another chat; what is stored of it stays.
    PairedElsewhere {},
    /// The operator moved the server to another chat, or from one.
    MovedAway {},
    MovedHere {},
    /// The operator removed all that is of a chat.
    ChatRevoked {
        servers: u32,
        tokens: u64,
    },
    /// Two hosts report with one key: commands are suspended.
    Cloned {},
    /// A person asked for something that has to be confirmed.
    Asked {
        what: Asked,
    },
    /// The person who asked confirmed.
    Confirmed {
        what: Asked,
    },
    Declined {
        what: Asked,
    },
    /// A command was signed and waits for the agent.
    CommandQueued {
        command: CommandId,
        action: Action,
    },
    CommandEnded {
        command: CommandId,
        action: Action,
        state: CommandState,
    },
    AlertOpened {
        alert: IncidentId,
        rule: Rule,
        subject: String,
        severity: Severity,
    },
    AlertAcknowledged {
        alert: IncidentId,
    },
    AlertSnoozed {
        alert: IncidentId,
        until: Millis,
    },
    AlertOver {
        alert: IncidentId,
        rule: Rule,
        subject: String,
    },
    /// A person made the chat or a server silent: until a time, or daily between two minutes of the chat's day.
    Muted {
        until: Option<Millis>,
        daily: Option<(i64, i64)>,
    },
    Unmuted {},
    ThresholdSet {
        rule: Rule,
        setting: Setting,
    },
    ThresholdReset {
        rule: Rule,
    },
    TimeZoneSet {
        zone: String,
    },
    /// Telegram says that the bot can, or cannot, write in this chat.
    Reachable {
        reachable: bool,
    },
    /// An update was begun three times and never finished, or could not be read.
    UpdateSetAside {
        update: i64,
    },
    /// The backend started with a key set of another version than before.
    KeysRotated {
        version: i64,
    },
    /// Another machine tried the token with which the server was paired.
    TokenTried {
        address: String,
    },
    /// Callers who are nobody here were refused, so many times in a minute.
    Refused {
        what: Refused,
        count: u64,
        networks: Vec<String>,
    },
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Asked {
    Action { action: Action },
    Remove {},
}

impl From<&Asks> for Asked {
    fn from(asks: &Asks) -> Self {
        asks.action().map_or(Self::Remove {}, |action| Self::Action { action })
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct CommandState(pub command::State);

impl TryFrom<String> for CommandState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        command::State::parse(&text).map(Self).ok_or_else(|| format!("no state of a command: {text}"))
    }
}

impl From<CommandState> for &'static str {
    fn from(state: CommandState) -> Self {
        state.0.as_str()
    }
}

/// Refusals of callers who are nobody here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// A pairing token that is wrong, used or expired.
    PairingToken,
    /// A key that no server has.
    UnknownKey,
    /// A signature that does not hold.
    Signature,
    /// A wrong or missing secret of the webhook.
    WebhookSecret,
    /// More requests than one address may make that names no known key.
    TooMany,
    /// More requests than one server may make.
    TooManyOfKey,
    /// More bodies, requests or connections than this process takes at once.
    NoRoom,
    /// A head or a body that did not arrive in time.
    TooSlow,
    /// A body over its limit.
    TooLarge,
    /// A command or a tap of somebody whom nobody here has let in.
    Stranger,
}

impl Refused {
    /// Tells how much the owner should hear of it; `None`: not at all, since it comes of forgetting and of curiosity.
    pub fn gravity(self) -> Option<u8> {
        match self {
            Self::WebhookSecret => Some(5),
            Self::Signature => Some(4),
            Self::PairingToken => Some(3),
            Self::NoRoom => Some(2),
            Self::TooMany | Self::TooManyOfKey => Some(1),
            Self::UnknownKey | Self::Stranger | Self::TooSlow | Self::TooLarge => None,
        }
    }
}

impl Event {
    /// Tells whether somebody who looks after the backend has to hear of it.
    pub fn is_a_warning(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TokenTried { .. })
    }

    /// Gives the name under which it is stored and told.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::OwnerClaimed {} => "owner-claimed",
            Self::OwnerSet { .. } => "owner-set",
            Self::AccessGranted { .. } => "access-granted",
            Self::AccessRevoked { .. } => "access-revoked",
            Self::PairingAsked { .. } => "pairing-asked",
            Self::Paired { .. } => "paired",
            Self::Unpaired {} => "unpaired",
            Self::Removed {} => "removed",
            Self::PairedElsewhere {} => "paired-elsewhere",
            Self::MovedAway {} => "moved-away",
            Self::MovedHere {} => "moved-here",
            Self::ChatRevoked { .. } => "chat-revoked",
            Self::Cloned {} => "cloned",
            Self::Asked { .. } => "asked",
            Self::Confirmed { .. } => "confirmed",
            Self::Declined { .. } => "declined",
            Self::CommandQueued { .. } => "command-queued",
            Self::CommandEnded { .. } => "command-ended",
            Self::AlertOpened { .. } => "alert-opened",
            Self::AlertAcknowledged { .. } => "alert-acknowledged",
            Self::AlertSnoozed { .. } => "alert-snoozed",
            Self::AlertOver { .. } => "alert-over",
            Self::Muted { .. } => "muted",
            Self::Unmuted {} => "unmuted",
            Self::ThresholdSet { .. } => "threshold-set",
            Self::ThresholdReset { .. } => "threshold-reset",
            Self::TimeZoneSet { .. } => "time-zone-set",
            Self::Reachable { .. } => "reachable",
            Self::UpdateSetAside { .. } => "update-set-aside",
            Self::KeysRotated { .. } => "keys-rotated",
            Self::TokenTried { .. } => "token-tried",
            Self::Refused { .. } => "refused",
        }
    }
}

/// An event as readers get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub number: EventNumber,
    pub at: Millis,
    pub by: By,
    pub server: Option<About>,
    pub event: Event,
}

#[cfg(test)]
mod tests;
