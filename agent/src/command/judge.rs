//! An envelope's own merits, in the order that SECURITY.md gives.
//!
//! Only what is truly the backend's and for this agent is ever answered; anything else is logged.

use osm_protocol::action::Rejection;
use osm_protocol::{
    command::{Command, CommandError, Judge, SEQ_AHEAD_MS, TOLERANCE_MS, VALID_MAX_MS},
    envelope::{Envelope, EnvelopeError},
    ids::{CommandId, KeyId, ServerId},
    key::PublicKey,
};

use super::ended::Refusal;
use crate::{
    host::identity::BootId,
    text::{duration, shorten},
};

/// Who this agent is, to the backend.
#[derive(Clone, Debug)]
pub struct Identity {
    pub server_id: ServerId,
    /// The agent's public key, as it stands in `aud`.
    pub agent_key: String,
    /// Its thumbprint, under which the ledger counts.
    pub key_id: KeyId,
    /// Hash of this boot.
    pub boot: BootId,
}

/// What becomes of an envelope.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// Take it up.
    Do(Box<Command>),
    /// Truly the backend's, and refused by name.
    Refuse { jti: CommandId, seq: i64, exp: i64, refusal: Refusal },
    /// Not answered.
    Ignore(String),
    /// As `Ignore`; perhaps the keys have changed.
    UnknownKey,
}

/// What an envelope is judged by.
#[derive(Clone, Copy)]
pub struct Judging<'a> {
    pub trusted: &'a [PublicKey],
    pub us: &'a Identity,
    /// The host's clock judges.
    pub host_now: i64,
    /// The backend's clock only tells a wrong clock here from a command that came too late.
    pub backend_now: i64,
    /// The highest seq taken up so far.
    pub last_seq: i64,
}

impl Judging<'_> {
    pub fn judge(self, raw: &[u8]) -> Judged {
        let Self { trusted, us, host_now, last_seq, .. } = self;
        let envelope = match Envelope::from_slice(raw) {
            Ok(envelope) => envelope,
            Err(error) => return ignore(&error),
        };
        let judge = Judge { trusted, server_id: us.server_id, agent_key: &us.agent_key, now: host_now, last_seq };
        match judge.judge(&envelope) {
            Ok(command) => Judged::Do(Box::new(command)),
            Err(CommandError::NotNow { command, .. }) => self.not_now(&command),
            Err(CommandError::Unknown { header, problem }) => {
                let detail = format!("this agent ({}) does not know it: {problem}", env!("CARGO_PKG_VERSION"));
                // How long it would have been valid is not known: for as long as any.
                let exp = host_now.saturating_add(VALID_MAX_MS);
                Judged::Refuse { jti: header.jti, seq: header.seq, exp, refusal: Refusal::new(Rejection::Unknown, detail) }
            }
            Err(CommandError::Envelope(EnvelopeError::UnknownKey)) => Judged::UnknownKey,
            Err(error) => ignore(&error),
        }
    }

    /// Says whose fault it is that a command comes at the wrong time.
    fn not_now(self, command: &Command) -> Judged {
        let latest = self.host_now.saturating_add(SEQ_AHEAD_MS);
        // A replay past its time must not override the outcome it once had.
        if command.seq <= self.last_seq {
            return ignore(&CommandError::Replayed { seq: command.seq, last: self.last_seq });
        }
        let valid = command.nbf.saturating_sub(TOLERANCE_MS)..=command.exp.saturating_add(TOLERANCE_MS);
        let refusal = if valid.contains(&self.backend_now) {
            let off = duration(self.host_now - self.backend_now);
            Refusal::new(Rejection::Clock, format!("this server's clock is {off} off; set it right (timedatectl)"))
        } else if self.host_now < command.nbf {
            if command.nbf - self.host_now > VALID_MAX_MS {
                return ignore(&"it is to be valid later than any command of an honest backend");
            }
            Refusal::new(Rejection::Clock, "it is not valid yet")
        } else {
            Refusal::new(Rejection::Expired, "it came too late")
        };
        // By a clock that stands in 1970 every seq is far ahead: no more of them is used up than a right clock would let.
        Judged::Refuse { jti: command.jti, seq: command.seq.min(latest), exp: command.exp, refusal }
    }
}

fn ignore(why: &dyn std::fmt::Display) -> Judged {
    Judged::Ignore(shorten(&why.to_string(), 300))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fixture::{NOW, command, key, signed, us};
    use ed25519_dalek::SigningKey;
    use osm_protocol::envelope;

    #[test]
    fn time_is_judged_by_the_hosts_clock_and_a_wrong_clock_is_named() {
        let envelope = signed(&command(8, NOW));
        let keys = [PublicKey::from(&key())];
        let us = us();
        let judged = |host_now, backend_now, last_seq| {
            Judging { trusted: &keys, us: &us, host_now, backend_now, last_seq }.judge(&envelope)
        };
        let reason = |judged| match judged {
            Judged::Refuse { refusal, .. } => refusal.reason,
            other => panic!("{other:?}"),
        };
        assert!(matches!(judged(NOW, NOW, 7), Judged::Do(_)));
        // An hour ahead or behind, and known to be.
        assert_eq!(reason(judged(NOW + 3_600_000, NOW, 7)), Rejection::Clock);
        assert_eq!(reason(judged(NOW - 3_600_000, NOW, 7)), Rejection::Clock);
        // Truly too late.
        assert_eq!(reason(judged(NOW + 3_600_000, NOW + 3_600_000, 7)), Rejection::Expired);
        // A replay past its time is a replay: it must not override an outcome.
        assert!(matches!(judged(NOW + 3_600_000, NOW + 3_600_000, 8), Judged::Ignore(_)));
        assert!(matches!(judged(NOW, NOW, 8), Judged::Ignore(_)));
    }

    #[test]
    fn forged_and_malformed_envelopes_are_never_answered() {
        let keys = [PublicKey::from(&key())];
        let us = us();
        let judging = Judging { trusted: &keys, us: &us, host_now: NOW, backend_now: NOW, last_seq: 0 };
        let judged = |raw: &[u8]| judging.judge(raw);
        let good = signed(&command(8, NOW));
        for cut in 0..good.len() {
            assert!(matches!(judged(&good[..cut]), Judged::Ignore(_)), "cut at {cut}");
        }
        assert!(matches!(judged(&vec![b' '; 20_000]), Judged::Ignore(_)));
        let other = Envelope::sign_json(envelope::COMMAND, &command(8, NOW), &SigningKey::from_bytes(&[9; 32]));
        assert_eq!(judged(&serde_json::to_vec(&other).unwrap()), Judged::UnknownKey);
        let mut forged = Envelope::from_slice(&good).unwrap();
        forged.payload = Envelope::sign_json(envelope::COMMAND, &command(9, NOW), &key()).payload;
        assert!(matches!(judged(&serde_json::to_vec(&forged).unwrap()), Judged::Ignore(_)));
        let typed = Envelope::sign_json(envelope::PAIRING, &command(8, NOW), &key());
        assert!(matches!(judged(&serde_json::to_vec(&typed).unwrap()), Judged::Ignore(_)));
        let mut strange = command(8, NOW);
        strange.aud.server_id = "0190a6b0-7c00-7000-8000-00000000bbbb".parse().unwrap();
        assert!(matches!(judged(&signed(&strange)), Judged::Ignore(_)));
        let unknown =
            String::from_utf8(serde_json::to_vec(&command(8, NOW)).unwrap()).unwrap().replace("restart-service", "run-shell");
        let unknown = Envelope::sign(envelope::COMMAND, unknown.as_bytes(), &key());
        let judged = judged(&serde_json::to_vec(&unknown).unwrap());
        let Judged::Refuse { refusal, seq: 8, .. } = &judged else { panic!("{judged:?}") };
        assert_eq!(refusal.reason, Rejection::Unknown);
    }
}
