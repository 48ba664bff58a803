//! Commands as the true backend signs them, for the tests of this room.

use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::Action,
    command::{Audience, Command},
    envelope::{self, Envelope},
    ids::{CommandId, Digest, KeyId},
};

use super::judge::Identity;
use crate::host::identity::BootId;

pub const NOW: i64 = 1_800_000_000_000;
const SERVER: &str = "0190a6b0-7c00-7000-8000-00000000aaaa";

pub fn jti(seq: i64) -> CommandId {
    format!("0190a6b0-7c00-7000-8000-{seq:012}").parse().unwrap()
}

pub fn us() -> Identity {
    Identity { server_id: SERVER.parse().unwrap(), agent_key: "k1".to_owned(), key_id: key_of(1), boot: BootId::for_test("b") }
}

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub fn command(seq: i64, now: i64) -> Command {
    Command {
        v: 1,
        iss: "https://osm.example".to_owned(),
        aud: Audience { server_id: SERVER.parse().unwrap(), agent_key: "k1".to_owned() },
        jti: jti(seq),
        seq,
        iat: now,
        nbf: now,
        exp: now + 120_000,
        action: Action::RestartService { unit: "nginx.service".to_owned() },
        requested_by: "anna".to_owned(),
    }
}

pub fn signed(command: &Command) -> Vec<u8> {
    serde_json::to_vec(&Envelope::sign_json(envelope::COMMAND, command, &key())).unwrap()
}

/// An id of some key of an agent's.
pub fn key_of(number: u8) -> KeyId {
    Digest([number; 32]).into()
}
