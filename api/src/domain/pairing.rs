//! From the token to the paired server.

use crate::domain::{Millis, ids::PairingId};

/// A pairing, as the message that carries its token shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    pub id: PairingId,
    /// The name the server will have; empty: its hostname.
    pub name: String,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
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

/// Where the packages come from, and what a person checks them by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The backend's public URL.
    pub api_url: String,
    /// The host in it, as apt knows a repository's.
    pub host: String,
    /// The packages that the backend itself offers.
    pub offer: Option<Offer>,
}

/// What a person checks the backend's own packages by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Of the `OpenPGP` key that signs them: 40 hexadecimal digits.
    pub fingerprint: String,
    pub script_sha256: String,
}
