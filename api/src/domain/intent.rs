//! What a person asked for, parsed. This is all that is stored of what people write to the bot, and only until it is handled.

use osm_protocol::action::Chore;
use serde::{Deserialize, Serialize};

use crate::domain::{
    alert::{Rule, Setting},
    ids::{
        CallbackId, ChatId, CommandId, ConfirmationId, IncidentId, MuteId, PairingId, ServerId, TelegramMessageId, TopicId,
        UserId,
    },
};

/// One update, understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub chat: Chat,
    pub actor: Actor,
    pub intent: Intent,
    /// Set when a button was tapped.
    pub tap: Option<Tap>,
    /// The topic of a forum group in which it was asked; none: General, or no forum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    pub id: ChatId,
    pub kind: ChatKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChatKind {
    Private,
    /// Groups and supergroups.
    Group,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub id: UserId,
    /// First name, and @username where there is one.
    pub name: String,
    /// IETF language tag of the person's client.
    pub language: Option<String>,
}

impl ChatKind {
    pub const ALL: [Self; 2] = [Self::Private, Self::Group];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Actor {
    /// The id under which anonymous group administrators write (`@GroupAnonymousBot`).
    pub const ANONYMOUS_ADMIN: UserId = UserId(1_087_968_824);
}

/// A tapped button: the query to answer, and the message it stands under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tap {
    pub callback_id: CallbackId,
    /// Telegram's id of the message; absent when it is too old for Telegram to say.
    pub message_id: Option<TelegramMessageId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Intent {
    /// `/start`, with the claim code of `t.me/BOT?start=CODE` where there is one.
    Start {
        code: Option<String>,
    },
    Help,
    /// `/add_server [name]`, or the button.
    AddServer {
        name: Option<String>,
    },
    /// The buttons of the pairing message: show the steps for one family of distributions.
    PairingSteps {
        pairing_id: PairingId,
        family: Family,
    },
    Servers {
        page: u32,
    },
    /// `/status [name]`, `/server_status [name]`.
    Status {
        name: Option<String>,
    },
    /// A server's button in a list: its card as a new message.
    ShowServer {
        server_id: ServerId,
    },
    /// A card's own buttons: show it again in place.
    Refresh {
        server_id: ServerId,
        page: u32,
    },
    /// The services of a server, to pick one to restart, in place.
    Services {
        server_id: ServerId,
        page: u32,
    },
    /// Restart a unit: asks to confirm. `unit` is [`crate::domain::server::unit_tag`] of its name, since a button holds 64
    /// bytes.
    AskRestart {
        server_id: ServerId,
        unit: String,
    },
    /// A chore's button on a card: asks to confirm.
    AskChore {
        server_id: ServerId,
        chore: Chore,
    },
    /// The button under a reboot that is on its way: at once, since this is the safe side.
    CancelReboot {
        command_id: CommandId,
    },
    /// `/remove_server [name]`.
    RemoveServer {
        name: Option<String>,
    },
    /// A server's button in the list of `/remove_server`: asks to confirm.
    AskRemove {
        server_id: ServerId,
    },
    /// `/alerts`, or a page of that list.
    Alerts {
        page: u32,
    },
    /// One of them as a message of its own.
    ShowIncident {
        incident_id: IncidentId,
    },
    Acknowledge {
        incident_id: IncidentId,
    },
    /// All that are open.
    AcknowledgeAll,
    /// No reminders for some hours.
    Snooze {
        incident_id: IncidentId,
        hours: u32,
    },
    /// Does the phone ring?
    TestAlert,
    /// `/thresholds [name]`.
    Thresholds {
        name: Option<String>,
    },
    /// The limits of a server, or of the chat, in place.
    ShowThresholds {
        server_id: Option<ServerId>,
    },
    /// One limit, with a setting to try.
    TryThreshold {
        server_id: Option<ServerId>,
        rule: Rule,
        setting: Option<Setting>,
    },
    /// Sets a limit, or takes back what was set.
    SetThreshold {
        server_id: Option<ServerId>,
        rule: Rule,
        setting: Option<Setting>,
    },
    /// `/mute [server] [span]`.
    Mute {
        words: Option<String>,
    },
    MuteFor {
        server_id: Option<ServerId>,
        hours: u32,
    },
    Unmute {
        mute_id: MuteId,
    },
    /// `/timezone [Area/City]`.
    TimeZone {
        name: Option<String>,
    },
    Confirm {
        confirmation_id: ConfirmationId,
    },
    Decline {
        confirmation_id: ConfirmationId,
    },
    /// A button of an older version, or one that was tampered with.
    StaleButton,
    /// A command that the bot does not know.
    UnknownCommand,
    /// The bot was blocked or removed from the chat (`false`), or may write again (`true`).
    Reachable {
        reachable: bool,
    },
    /// The group became a supergroup with another id.
    Migrated {
        to: ChatId,
    },
}

/// Which steps the pairing message shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// The pairing line alone, for a host that has the agent.
    Short,
    /// Debian, Ubuntu.
    Apt,
    /// Fedora, RHEL, Alma, Rocky.
    Dnf,
}
