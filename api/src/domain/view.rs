//! A notice with fresh data, ready to be put in words. Strings in here come from hosts and people: hostile.

use osm_protocol::{action::Chore, messages::Service};

use crate::domain::{
    Millis,
    alert::{Limits, Rule, Setting},
    command::Command,
    incident,
    intent::Family,
    mute::Mute,
    notice::{Limit, Purpose, Usage},
    server::Server,
};

#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// `servers`: how many the chat has. `claimed`: this person just became the owner.
    Welcome {
        servers: i64,
        claimed: bool,
    },
    PrivateBot,
    Help,
    Pairing(Pairing),
    PairingSentPrivately {
        name: String,
    },
    /// `link`: `https://t.me/BOT?start=…`
    PairingNeedsPrivateChat {
        link: String,
    },
    Paired {
        server: Server,
    },
    Cloned {
        server: Server,
    },
    Unpaired {
        name: String,
    },
    Servers {
        servers: Vec<Server>,
        page: u32,
        pages: u32,
    },
    Status {
        server: Server,
        page: u32,
    },
    /// One page of the units that can be restarted.
    Services {
        server: Server,
        services: Vec<Service>,
        page: u32,
        pages: u32,
    },
    Choose {
        purpose: Purpose,
        servers: Vec<Server>,
    },
    NoSuchServer {
        name: String,
    },
    Confirmation(Confirmation),
    Command(Command),
    Removed {
        name: String,
    },
    NotAllowed,
    LimitReached {
        limit: Limit,
    },
    UnknownCommand,
    SetAside {
        update_id: i64,
    },
    /// One alert, and what can be done about it.
    Incident(Box<Incident>),
    /// Many that came at once, most urgent first; `servers`: how many the chat has.
    Digest {
        incidents: Vec<incident::Incident>,
        servers: i64,
    },
    Recovered {
        over: Vec<incident::Incident>,
        open: Vec<incident::Incident>,
    },
    Reminder {
        open: Vec<incident::Incident>,
    },
    /// One page of what is open; `count`: on all pages.
    Alerts {
        open: Vec<incident::Incident>,
        count: usize,
        page: u32,
        pages: u32,
    },
    TestAlert,
    Thresholds {
        scope: Scope,
        limits: Vec<(Rule, Limits)>,
    },
    Threshold(Box<Threshold>),
    Mutes {
        mutes: Vec<Mute>,
        servers: Vec<Server>,
    },
    NotUnderstood {
        usage: Usage,
    },
    /// The one in which the message is written.
    TimeZone,
    /// There is nothing to tell any more: the message stays as it is, or never comes.
    Nothing,
    /// What the message was about is gone (a removed server).
    Gone,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub incident: incident::Incident,
    pub server: Server,
    /// The newest that may mend it, asked for since it began.
    pub command: Option<Command>,
}

/// What limits are about.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// `None`: all servers of the chat that have none of their own.
    pub server: Option<Server>,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub scope: Scope,
    pub rule: Rule,
    pub present: Limits,
    /// What the buttons have come to, if that is another.
    pub tried: Option<Setting>,
    /// This very scope has set it.
    pub is_set: bool,
    /// The highest figure now.
    pub worst: Option<Worst>,
    pub history: History,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    pub server: String,
    /// The mount point; empty for what a server has one of.
    pub subject: String,
    pub value: f64,
}

/// How often limits would have fired lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// None is kept of that figure.
    Unknown,
    /// More servers than a person would wait for; so many can be tried.
    TooMany { most: i64 },
    /// The present limits, and the tried ones.
    Fired(Vec<u32>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    pub id: String,
    /// The name the server will have; empty: its hostname.
    pub name: String,
    pub family: Family,
    /// The backend's public URL.
    pub api_url: String,
    /// The packages that the backend itself offers.
    pub offer: Option<Offer>,
    pub state: PairingState,
}

/// What a person checks the packages by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Of the `OpenPGP` key that signs them: 40 hexadecimal digits.
    pub fingerprint: String,
    pub script_sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairingState {
    /// The token may be used until `until`.
    Open {
        token: String,
        until: Millis,
    },
    Used {
        server_name: String,
    },
    Expired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    pub id: String,
    pub asks: Asks,
    pub server_name: String,
    /// Who asked, and who alone may confirm.
    pub actor_name: String,
    pub state: ConfirmationState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    Restart { unit: String },
    Chore { chore: Chore },
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmationState {
    Open,
    Declined,
    Expired,
}
