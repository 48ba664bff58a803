//! Commands as the true backend signs them, and a host that takes them, for the tests of this room.

use std::{cell::RefCell, fs, os::unix::fs::PermissionsExt as _, path::Path};

use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::{Action, Outcome},
    command::{Audience, Command},
    envelope::{self, Envelope},
    ids::{CommandId, Digest, KeyId},
    key::PublicKey,
};

use super::{
    execute::{Executor, Handled},
    judge::Identity,
    ledger::Ledger,
};
use crate::{
    config::Settings,
    host::{
        clock::{Clock, Moment},
        identity::BootId,
        systemd::fake::{Fake, state},
    },
};

pub const NOW: i64 = 1_800_000_000_000;
pub const AT: Moment = Moment { host: NOW, boot: 5_000_000 };
const SERVER: &str = "0190a6b0-7c00-7000-8000-00000000aaaa";

pub fn jti(seq: i64) -> CommandId {
    format!("0190a6b0-7c00-7000-8000-{:012}", seq % 1_000_000_000_000).parse().unwrap()
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
    signed_by(&key(), command)
}

pub fn signed_by(key: &SigningKey, command: &Command) -> Vec<u8> {
    serde_json::to_vec(&Envelope::sign_json(envelope::COMMAND, command, key)).unwrap()
}

/// An id of some key of an agent's.
pub fn key_of(number: u8) -> KeyId {
    Digest([number; 32]).into()
}

/// A host with a list, a ledger and a systemd.
pub struct Host {
    pub settings: Settings,
    pub clock: Clock,
    pub ledger: RefCell<Ledger>,
    pub systemd: Fake,
    pub identity: Identity,
    pub folder: tempfile::TempDir,
}

impl Host {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::for_test();
        settings.policy_file = folder.path().join("units.json");
        list(&settings.policy_file, r#"{"version":1,"units":["nginx.service"]}"#);
        let ledger = RefCell::new(Ledger::open(&folder.path().join("ledger.jsonl"), &us().boot, AT));
        let systemd = Fake { states: vec![state("active", "running", "success")].into(), ..Fake::default() };
        Self { settings, clock: Clock::manual(AT), ledger, systemd, identity: us(), folder }
    }

    pub async fn handle(&self, raw: &[u8]) -> Handled {
        self.handle_under(raw, &key()).await
    }

    /// Handles an envelope where only this command key is trusted.
    pub async fn handle_under(&self, raw: &[u8], trusted: &SigningKey) -> Handled {
        let executor = Executor {
            settings: &self.settings,
            identity: &self.identity,
            clock: &self.clock,
            ledger: &self.ledger,
            systemd: &self.systemd,
        };
        executor.handle(raw, &[PublicKey::from(trusted)]).await
    }

    pub async fn ask(&self, seq: i64) -> Outcome {
        assert_eq!(self.handle(&signed(&command(seq, NOW))).await, Handled::Recorded);
        self.ledger.borrow().open_outcomes(us().key_id).pop().unwrap().1
    }

    pub fn restarts(&self) -> usize {
        self.systemd.restarted.borrow().len()
    }

    /// Lets the agent die and come back.
    pub fn restart_agent(&mut self) {
        self.ledger = RefCell::new(Ledger::open(&self.folder.path().join("ledger.jsonl"), &us().boot, self.clock.moment()));
    }
}

pub fn list(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
