//! A notice with fresh data, ready to be put in words. Strings in here come from hosts and people: hostile.

use osm_protocol::{action::Chore, messages::Service};

use crate::domain::{
    Millis,
    command::Command,
    intent::Family,
    notice::{Limit, Purpose},
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
    /// What the message was about is gone (a removed server).
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    pub id: String,
    /// The name the server will have; empty: its hostname.
    pub name: String,
    pub family: Family,
    /// The backend's public URL.
    pub api_url: String,
    pub state: PairingState,
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
