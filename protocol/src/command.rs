//! The payload of a command envelope, and the checks an agent makes before it looks at its own policy.

use serde::{Deserialize, Serialize};

use crate::{
    action::Action,
    envelope::{self, Envelope, EnvelopeError, strict_json},
    ids::{CommandId, ServerId},
    key::PublicKey,
    messages::{limits, text},
};

/// How far the host's clock may be off when it judges `nbf` and `exp`, milliseconds.
pub const TOLERANCE_MS: i64 = 30_000;
/// The longest that a command may be valid, from `nbf` to `exp`, milliseconds.
pub const VALID_MAX_MS: i64 = 5 * 60_000;
/// How far ahead of the host's clock `seq` may be, milliseconds: a key that was stolen for an hour must not use up all that will
/// ever be.
pub const SEQ_AHEAD_MS: i64 = 24 * 3_600_000;

/// A request for one server, valid for minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Version of this payload: 1.
    pub v: u32,
    /// The backend's public URL.
    pub iss: String,
    pub aud: Audience,
    /// Names the command: a UUIDv7.
    pub jti: CommandId,
    /// Higher than that of every earlier command to this server.
    pub seq: i64,
    /// Issued at, not before, expires: milliseconds since the Unix epoch.
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub action: Action,
    /// Who asked, for the host's own log.
    pub requested_by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    pub server_id: ServerId,
    /// The agent's public key, so that an envelope for a re-paired server is dead.
    pub agent_key: String,
}

/// The few fields that name a command whose payload this agent does not understand (a later version, an unknown action),
/// so that it can be refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Header {
    pub aud: Audience,
    pub jti: CommandId,
    pub seq: i64,
}

impl Command {
    /// Checks what no clock is needed for.
    fn within_bounds(&self) -> Result<(), CommandError> {
        let valid = self.exp.checked_sub(self.nbf).is_some_and(|span| (0..=VALID_MAX_MS).contains(&span));
        if !valid {
            return Err(CommandError::OutOfBounds("it is valid for longer than 5 minutes"));
        }
        let named =
            text("iss", &self.iss, 1, limits::TEXT).and_then(|()| text("requested_by", &self.requested_by, 0, limits::TEXT));
        named.map_err(|_| CommandError::OutOfBounds("a name in it is too long, or has control characters"))
    }
}

/// Why an envelope was not taken up.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// Not provably the backend's: logged, never answered.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("it is for another server or another agent key")]
    Audience,
    /// Truly the backend's and for this agent, but not understood.
    #[error("the payload is not understood: {problem}")]
    Unknown { header: Header, problem: String },
    /// Signed by a trusted key, and nothing that an honest backend says.
    #[error("{0}")]
    OutOfBounds(&'static str),
    /// Received before `nbf` or after `exp`.
    #[error("valid from {} to {}, and it is {now} here", .command.nbf, .command.exp)]
    NotNow { command: Box<Command>, now: i64 },
    #[error("its seq {seq} is not higher than the last one, {last}")]
    Replayed { seq: i64, last: i64 },
}

/// What the agent knows when it judges an envelope.
pub struct Judge<'a> {
    pub trusted: &'a [PublicKey],
    pub server_id: ServerId,
    pub agent_key: &'a str,
    /// The host's clock, milliseconds since the Unix epoch.
    pub now: i64,
    pub last_seq: i64,
}

impl Judge<'_> {
    /// In this order: size and trusted key, signature, type, audience, bounds, time, sequence.
    pub fn judge(&self, envelope: &Envelope) -> Result<Command, CommandError> {
        let payload = envelope.open(envelope::COMMAND, self.trusted)?;
        let command: Command = match strict_json(&payload) {
            Ok(command) => command,
            Err(error) => return Err(self.not_understood(&payload, error)),
        };
        self.is_for_us(&command.aud)?;
        command.within_bounds()?;
        if command.v != 1 {
            self.is_new(command.seq)?;
            let problem = format!("version {}", command.v);
            return Err(CommandError::Unknown {
                header: Header { aud: command.aud, jti: command.jti, seq: command.seq },
                problem,
            });
        }
        if self.now < command.nbf.saturating_sub(TOLERANCE_MS) || self.now > command.exp.saturating_add(TOLERANCE_MS) {
            return Err(CommandError::NotNow { command: Box::new(command), now: self.now });
        }
        self.is_new(command.seq)?;
        Ok(command)
    }

    fn not_understood(&self, payload: &[u8], error: EnvelopeError) -> CommandError {
        let Ok(header) = serde_json::from_slice::<Header>(payload) else { return error.into() };
        if let Err(error) = self.is_for_us(&header.aud).and_then(|()| self.is_new(header.seq)) {
            return error;
        }
        CommandError::Unknown { header, problem: error.to_string() }
    }

    fn is_for_us(&self, aud: &Audience) -> Result<(), CommandError> {
        if aud.server_id == self.server_id && aud.agent_key == self.agent_key { Ok(()) } else { Err(CommandError::Audience) }
    }

    fn is_new(&self, seq: i64) -> Result<(), CommandError> {
        if seq > self.now.saturating_add(SEQ_AHEAD_MS) {
            return Err(CommandError::OutOfBounds("its seq is more than a day ahead of this host's clock"));
        }
        if seq > self.last_seq { Ok(()) } else { Err(CommandError::Replayed { seq, last: self.last_seq }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000_000;
    const SERVER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const COMMAND: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn payload() -> Value {
        json!({
            "v": 1, "iss": "https://osm.example", "aud": {"server_id": SERVER, "agent_key": "k1"}, "jti": COMMAND, "seq": 8,
            "iat": NOW, "nbf": NOW, "exp": NOW + 120_000,
            "action": {"type": "restart-service", "unit": "nginx.service"}, "requested_by": "anna"
        })
    }

    fn judge(payload: &[u8]) -> Result<Command, CommandError> {
        judge_at(payload, NOW)
    }

    fn judge_at(payload: &[u8], now: i64) -> Result<Command, CommandError> {
        let key = SigningKey::from_bytes(&[1; 32]);
        let trusted = [PublicKey::from(&key)];
        Judge { trusted: &trusted, server_id: SERVER.parse().unwrap(), agent_key: "k1", now, last_seq: 7 }.judge(&Envelope::sign(
            envelope::COMMAND,
            payload,
            &key,
        ))
    }

    fn with(pointer: &str, value: Value) -> Vec<u8> {
        let mut payload = payload();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        payload.pointer_mut(parent).unwrap()[field] = value;
        payload.to_string().into_bytes()
    }

    #[test]
    fn a_true_command_is_taken_up() {
        let command = judge(payload().to_string().as_bytes()).unwrap();
        assert_eq!(command.action, Action::RestartService { unit: "nginx.service".to_owned() });
    }

    #[test]
    fn an_extra_field_anywhere_is_refused_by_name() {
        for pointer in ["/x", "/aud/x", "/action/x"] {
            match judge(&with(pointer, json!(1))).unwrap_err() {
                CommandError::Unknown { header, .. } => assert_eq!(header.jti.to_string(), COMMAND, "{pointer}"),
                // An audience that is not understood is not ours to answer for.
                CommandError::Envelope(EnvelopeError::Malformed(_)) => assert_eq!(pointer, "/aud/x"),
                other => panic!("{pointer}: {other}"),
            }
        }
        for action in ["reboot", "clean-journal", "run-logrotate"] {
            assert!(judge(&with("/action", json!({"type": action}))).is_ok(), "{action}");
            let extra = json!({"type": action, "path": "/etc"});
            assert!(matches!(judge(&with("/action", extra)), Err(CommandError::Unknown { .. })), "{action}");
        }
    }

    /// Finding 3a: a stolen key used up all the numbers there will ever be, or signed a command for ten years ahead.
    #[test]
    fn what_no_honest_backend_says_is_not_taken_up_whoever_signed_it() {
        let out_of_bounds = |pointer: &str, value: Value| {
            let judged = judge(&with(pointer, value.clone()));
            assert!(matches!(judged, Err(CommandError::OutOfBounds(_))), "{pointer} {value}: {judged:?}");
        };
        assert!(judge(&with("/seq", json!(NOW + SEQ_AHEAD_MS))).is_ok());
        out_of_bounds("/seq", json!(NOW + SEQ_AHEAD_MS + 1));
        out_of_bounds("/seq", json!(i64::MAX));
        assert!(judge(&with("/exp", json!(NOW + VALID_MAX_MS))).is_ok());
        out_of_bounds("/exp", json!(NOW + VALID_MAX_MS + 1));
        out_of_bounds("/exp", json!(NOW - 1));
        out_of_bounds("/nbf", json!(i64::MIN));
        out_of_bounds("/requested_by", json!("\u{1b}]52;c;\u{7}"));
        out_of_bounds("/requested_by", json!("x".repeat(1025)));
        out_of_bounds("/iss", json!(""));
        // Nor where only the head of it is understood.
        let mut newer: Value = serde_json::from_slice(&with("/action", json!({"type": "run-shell"}))).unwrap();
        newer["seq"] = json!(i64::MAX);
        assert!(matches!(judge(newer.to_string().as_bytes()), Err(CommandError::OutOfBounds(_))));
    }

    #[test]
    fn array_forms_are_refused() {
        let array = json!([1, "i", [SERVER, "k1"], COMMAND, 8, NOW, NOW, NOW, {"type": "reboot"}, "anna"]).to_string();
        assert!(matches!(judge(array.as_bytes()), Err(CommandError::Envelope(_))));
        assert!(judge(&with("/aud", json!([SERVER, "k1"]))).is_err());
        assert!(judge(&with("/action", json!(["restart-service", "nginx.service"]))).is_err());
    }

    #[test]
    fn an_unknown_action_or_version_is_refused_by_name() {
        for refused in [with("/action", json!({"type": "run-shell", "command": "id"})), with("/v", json!(2))] {
            assert!(matches!(judge(&refused), Err(CommandError::Unknown { .. })));
        }
    }

    #[test]
    fn time_holds_within_the_tolerance_and_not_beyond() {
        let payload = payload().to_string();
        for (now, held) in [
            (NOW - TOLERANCE_MS, true),
            (NOW - TOLERANCE_MS - 1, false),
            (NOW + 120_000 + TOLERANCE_MS, true),
            (NOW + 120_000 + TOLERANCE_MS + 1, false),
        ] {
            assert_eq!(judge_at(payload.as_bytes(), now).is_ok(), held, "{now}");
        }
        // Times at the ends of i64 do not overflow.
        assert!(matches!(judge(&with("/exp", json!(i64::MAX))), Err(CommandError::OutOfBounds(_))));
        assert!(matches!(judge(&with("/nbf", json!(i64::MAX))), Err(CommandError::OutOfBounds(_))));
    }

    #[test]
    fn another_audience_and_an_old_seq_are_refused() {
        assert_eq!(judge(&with("/aud/server_id", json!(COMMAND))), Err(CommandError::Audience));
        assert_eq!(judge(&with("/aud/agent_key", json!("k2"))), Err(CommandError::Audience));
        assert_eq!(judge(&with("/seq", json!(7))), Err(CommandError::Replayed { seq: 7, last: 7 }));
        assert_eq!(judge(&with("/seq", json!(-1))), Err(CommandError::Replayed { seq: -1, last: 7 }));
        // Also what is not understood is refused by name once only.
        for (pointer, value) in [("/v", json!(2)), ("/action", json!({"type": "run-shell"}))] {
            let mut replayed: Value = serde_json::from_slice(&with(pointer, value)).unwrap();
            replayed["seq"] = json!(7);
            assert_eq!(judge(replayed.to_string().as_bytes()), Err(CommandError::Replayed { seq: 7, last: 7 }), "{pointer}");
        }
    }
}
