//! What is to be told, as keys. The outbox stores these; fresh data is loaded and put in words when a message is sent,
//! so that what waited is never stale and edits of one message collapse into the last.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Millis,
    alert::{Rule, Setting},
    event::Refused,
    ids::{CommandId, ConfirmationId, IncidentId, MessageId, PairingId, ServerId, UpdateId},
    intent::Family,
};

/// The content of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Notice {
    /// The answer to `/start`; `claimed`: this person just became the owner.
    Welcome {
        claimed: bool,
    },
    /// To somebody whose request was taken up, and who may not use the bot after all: their claim link died meanwhile, say. Other
    /// strangers are told beside the outbox.
    PrivateBot,
    /// The operator lets this person use the bot.
    AccessGranted,
    /// The operator keeps this person out.
    AccessRevoked,
    /// The operator made this person the owner.
    OwnerSet,
    /// To the owner: servers are left of people who may no longer use the bot.
    LeftBehind,
    Help,
    /// The message that carries a pairing token while that is open.
    Pairing {
        pairing_id: PairingId,
        family: Family,
    },
    /// In a group: the pairing message went to the asker's private chat.
    PairingSentPrivately {
        name: String,
    },
    /// In a group: the asker has never written to the bot, which therefore cannot write to them.
    PairingNeedsPrivateChat,
    /// A server was paired.
    Paired {
        server_id: ServerId,
    },
    /// Another machine tried the token with which this server was paired.
    TokenTried {
        server_id: ServerId,
        address: String,
    },
    /// For the owner: callers who are nobody here were refused.
    Refused {
        what: Refused,
        count: u64,
        networks: Vec<String>,
    },
    /// For the owner: the package repositories that are served can be used until then.
    PackagesRunOut {
        until: Millis,
    },
    /// Reports come from two hosts in turn: one is a clone. Commands are suspended.
    Cloned {
        server_id: ServerId,
    },
    /// The agent was unpaired on the host.
    Unpaired {
        name: String,
    },
    /// The host was paired anew with a token of another chat; its history stays here.
    PairedElsewhere {
        server_id: ServerId,
    },
    /// The operator removed a server.
    RemovedByOperator {
        name: String,
    },
    /// The operator moved a server to another chat, with its history.
    MovedAway {
        name: String,
    },
    /// The operator moved a server here.
    MovedHere {
        server_id: ServerId,
    },
    /// The operator removed all that is of this chat; from a group the bot goes away after that.
    ChatRevoked {
        servers: u32,
    },
    Servers {
        page: u32,
    },
    /// A server's card.
    Status {
        server_id: ServerId,
        page: u32,
    },
    /// The units that can be restarted.
    Services {
        server_id: ServerId,
        page: u32,
    },
    /// A name is missing or matches several servers: buttons to choose from.
    Choose {
        purpose: Purpose,
    },
    NoSuchServer {
        name: String,
    },
    /// "Really?", with the two buttons.
    Confirmation {
        confirmation_id: ConfirmationId,
    },
    /// A command's course, from queued to its result.
    Command {
        command_id: CommandId,
    },
    Removed {
        name: String,
    },
    /// The person's role does not allow it.
    NotAllowed,
    /// A limit of this backend; says which.
    LimitReached {
        limit: Limit,
    },
    UnknownCommand,
    /// An update that crashed the backend three times was set aside.
    SetAside {
        update_id: UpdateId,
    },
    /// The alerts that this message was sent for: one, or many that came at once.
    Alert {
        message_id: MessageId,
    },
    /// They are over.
    Recovered {
        recovery_id: MessageId,
    },
    /// Critical ones that nobody has acknowledged.
    Reminder,
    /// One alert, opened from a list.
    Incident {
        incident_id: IncidentId,
    },
    /// What is open now.
    Alerts {
        page: u32,
    },
    TestAlert,
    /// The limits of the chat, or of a server.
    Thresholds {
        server_id: Option<ServerId>,
    },
    /// One of them, with the setting that is being tried.
    Threshold {
        server_id: Option<ServerId>,
        rule: Rule,
        tried: Option<Setting>,
    },
    /// When the chat makes no sound, and the buttons that begin and end that.
    Mutes,
    /// What was written after a command was not understood.
    NotUnderstood {
        usage: Usage,
    },
    /// The chat's time zone, after it was set or asked for.
    TimeZone,
}

impl Notice {
    /// Tells whether it is meant for people who may not use the bot; nothing else is sent to their private chats.
    pub fn is_for_strangers(&self) -> bool {
        matches!(self, Self::PrivateBot | Self::AccessRevoked | Self::ChatRevoked { .. })
    }

    /// Tells whether its time matters: when it comes late, it says so.
    pub fn is_news(&self) -> bool {
        matches!(
            self,
            Self::Alert { .. }
                | Self::Recovered { .. }
                | Self::Reminder
                | Self::TestAlert
                | Self::TokenTried { .. }
                | Self::Refused { .. }
                | Self::PackagesRunOut { .. }
                | Self::Cloned { .. }
                | Self::Unpaired { .. }
                | Self::PairedElsewhere { .. }
                | Self::RemovedByOperator { .. }
                | Self::MovedAway { .. }
                | Self::MovedHere { .. }
                | Self::ChatRevoked { .. }
                | Self::AccessGranted
                | Self::AccessRevoked
                | Self::OwnerSet
                | Self::LeftBehind
        )
    }
}

/// The command that was written wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    Mute,
    TimeZone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    Status,
    Remove,
    Thresholds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Servers in one chat.
    Servers,
    /// Open pairing tokens of one person.
    PairingTokens,
    /// Commands waiting for one server.
    Commands,
    /// Mutes of one chat.
    Mutes,
}

/// The short answer that pops up where a button was tapped (`answerCallbackQuery`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Toast {
    /// Nothing to say: ends the button's spinner.
    Done,
    Refreshed,
    /// The button belongs to something that is no longer so.
    Stale,
    NotAllowed,
    /// Only the person who asked can confirm.
    NotYours,
    /// The 60 seconds are over.
    ConfirmationExpired,
    /// It was confirmed or declined before.
    AlreadyAnswered,
    Declined,
    /// The unit is not, or no longer, restartable.
    NotRestartable,
    /// The host does not, or no longer, let the chat ask for this chore.
    NotOffered,
    /// The reboot to cancel is no longer on its way.
    RebootOver,
    /// Somebody asked the host to cancel this reboot before.
    CancelAsked,
    LimitReached,
    Acknowledged,
    Snoozed,
    /// The alert is over, and with it what could be done about it.
    AlertOver,
    Saved,
    /// A limit or a duration that the rule does not allow.
    OutOfRange,
    Muted,
    Unmuted,
    TooManyMutes,
    /// Commands for this server are suspended.
    Suspended,
}

/// Which goes first when the budget is short: the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i16)]
pub enum Urgency {
    /// A person waits with a spinning button.
    Tap = 0,
    /// Somebody has to be woken.
    Critical = 1,
    /// The answer to what a person wrote, or the course of what they asked for.
    Answer = 2,
    /// Somebody has to be told.
    Warning = 3,
    /// Nobody waits.
    Background = 4,
}
