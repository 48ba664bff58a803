//! The parsers of what comes from outside, for the fuzz targets: each takes any bytes, and returns if nothing panicked.

use std::str::from_utf8;

use crate::{
    command::{Command, Judge},
    envelope::{Envelope, strict_json},
    ids::ServerId,
    key::PublicKey,
    keyset::KeySet,
    request_signature::Received,
};

/// Reads an envelope as an agent does, and a command's payload.
pub fn envelope(bytes: &[u8]) {
    let _ = strict_json::<Command>(bytes);
    let Ok(envelope) = Envelope::from_slice(bytes) else { return };
    let _ = KeySet::claimed_root(&envelope);
    let Ok(key) = PublicKey::parse("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") else { return };
    let judge = Judge {
        trusted: &[key],
        server_id: ServerId::from(uuid::Uuid::nil()),
        agent_key: "",
        now: 1_800_000_000_000,
        last_seq: 0,
    };
    let _ = judge.judge(&envelope);
}

/// Reads the two headers of a signed request: the first line is Signature-Input, the rest Signature.
pub fn signature(bytes: &[u8]) {
    if let Ok(text) = from_utf8(bytes) {
        let (input, signature) = text.split_once('\n').unwrap_or((text, ""));
        let _ = Received::parse(input, signature);
    }
}
