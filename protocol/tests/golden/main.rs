//! What backend and agent store, send and sign keeps the form that `protocol/golden` shows.

#[macro_use]
mod forms;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use forms::Golden;
use osm_protocol::{
    action::{Action, Chore, Outcome, OutcomeKind, Rejection},
    command::Command,
    envelope::{self, Envelope},
    key::PublicKey,
    keyset::{KeySet, Pairing, Removed, Replace},
    messages::{Acknowledgement, Commands, PairRequest, PairResponse, Problem, Receipt, ReportBatch, Systemd},
    pairing_token::PairingToken,
    request_signature::{self, Target},
};
use serde::Deserialize;
use serde_json::{Value, json};

#[test]
fn what_is_stored_sent_or_signed_keeps_its_form() {
    let mut golden = Golden::of(env!("CARGO_MANIFEST_DIR"));
    actions(&mut golden);
    messages(&mut golden);
    documents(&mut golden);
    keys(&mut golden);
    request_signatures(&mut golden);
    pairing_tokens(&mut golden);
    golden.finish();
}

fn actions(golden: &mut Golden) {
    let actions: Vec<Action> = golden.forms("action.jsonl");
    golden.every("action.jsonl", &actions, variants!(Action: RestartService CleanJournal RunLogrotate Reboot CancelReboot));
    let commands: Vec<Command> = golden.forms("command.jsonl");
    golden.every(
        "command.jsonl",
        commands.iter().map(|command| &command.action),
        variants!(Action: RestartService CleanJournal RunLogrotate Reboot CancelReboot),
    );
    let outcomes: Vec<Outcome> = golden.forms("outcome.jsonl");
    golden.every(
        "outcome.jsonl",
        outcomes.iter().map(|outcome| &outcome.result),
        variants!(OutcomeKind: Succeeded Failed Rejected Indeterminate Cancelled),
    );
    golden.every(
        "outcome.jsonl",
        outcomes.iter().filter_map(|outcome| outcome.reason.as_ref()),
        variants!(Rejection: Clock Expired Policy Rate UnitNotListed Unsupported Unknown),
    );
}

fn messages(golden: &mut Golden) {
    golden.forms::<PairRequest>("pair-request.jsonl");
    golden.forms::<PairResponse>("pair-response.jsonl");
    golden.forms::<Receipt>("receipt.jsonl");
    golden.forms::<Acknowledgement>("acknowledgement.jsonl");
    golden.forms::<Problem>("problem.jsonl");
    golden.forms::<Commands>("commands.jsonl");
    let batches: Vec<ReportBatch> = golden.forms("report-batch.jsonl");
    let reports = || batches.iter().flat_map(|batch| &batch.reports);
    golden.every("report-batch.jsonl", reports().map(|report| &report.systemd), variants!(Systemd: Available Absent Unreachable));
    golden.every(
        "report-batch.jsonl",
        reports().flat_map(|report| &report.chores),
        variants!(Chore: CleanJournal RunLogrotate Reboot),
    );
    for report in reports() {
        report.validate(report.at).expect("a report that a backend takes");
    }
}

/// The documents that are signed, and each of them in its envelope by the key of seed 1.
fn documents(golden: &mut Golden) {
    golden.forms::<KeySet>("key-set.jsonl");
    golden.forms::<Pairing>("pairing.jsonl");
    golden.forms::<Replace>("replace.jsonl");
    golden.forms::<Removed>("removed.jsonl");
    let key = signing_key(1);
    let envelopes: Vec<Envelope> = golden.forms("envelope.jsonl");
    for (payload_type, file) in [
        (envelope::COMMAND, "command.jsonl"),
        (envelope::KEY_SET, "key-set.jsonl"),
        (envelope::PAIRING, "pairing.jsonl"),
        (envelope::REPLACE, "replace.jsonl"),
        (envelope::REMOVED, "removed.jsonl"),
    ] {
        let text = golden.text(file);
        let document = text.lines().next().unwrap_or_default();
        let signed = Envelope::sign(payload_type, document.as_bytes(), &key);
        let held = envelopes.iter().find(|envelope| envelope.payload_type == payload_type);
        golden.same(&format!("envelope.jsonl, {payload_type}"), &to_json(&held), &to_json(&Some(&signed)));
        let opened = signed.open(payload_type, [&PublicKey::from(&key)]).expect("an envelope of our own");
        assert_eq!(opened, document.as_bytes(), "an envelope holds what it was made of");
    }
}

fn keys(golden: &mut Golden) {
    #[derive(Deserialize)]
    struct Key {
        seed: u8,
    }
    let (held, Key { seed }) = example(golden, "key.json");
    let key = PublicKey::from(&signing_key(seed));
    let is = json!({"seed": seed, "public": key.to_string(), "id": key.id(), "fingerprint": key.fingerprint()});
    golden.same("key.json", &held.to_string(), &is.to_string());
}

fn request_signatures(golden: &mut Golden) {
    #[derive(Deserialize)]
    struct Request {
        seed: u8,
        method: String,
        authority: String,
        path: String,
        query: Option<String>,
        body: String,
        created: i64,
        nonce: String,
        base: String,
    }
    for file in ["request-with-body.json", "request-with-query.json"] {
        let (held, request): (Value, Request) = example(golden, file);
        let target = Target {
            method: &request.method,
            authority: &request.authority,
            path: &request.path,
            query: request.query.as_deref(),
        };
        let key = signing_key(request.seed);
        let headers = request_signature::sign(target, request.body.as_bytes(), &key, request.created, &request.nonce);
        let mut is = held.clone();
        is["content-digest"] = headers.content_digest.into();
        is["signature-input"] = headers.signature_input.into();
        is["signature"] = headers.signature.into();
        golden.same(file, &held.to_string(), &is.to_string());
        let of_base = format!("osm=:{}:", BASE64.encode(&key.sign(request.base.as_bytes()).to_bytes()));
        golden.same(&format!("{file}, the signature of base"), &of_base, is["signature"].as_str().unwrap_or_default());
    }
}

fn pairing_tokens(golden: &mut Golden) {
    #[derive(Deserialize)]
    struct Token {
        secret: String,
        root_seed: u8,
        text: String,
    }
    let (held, Token { secret, root_seed, text }) = example(golden, "pairing-token.json");
    let bytes = HEXLOWER.decode(secret.as_bytes()).expect("hexadecimal digits");
    let root = PublicKey::from(&signing_key(root_seed));
    let token = PairingToken::new(bytes.try_into().expect("16 bytes"), &root);
    let is = json!({"secret": secret, "root_seed": root_seed, "text": token.text(), "hash": token.hash()});
    golden.same("pairing-token.json", &held.to_string(), &is.to_string());
    assert!(PairingToken::parse(&text).is_ok_and(|parsed| parsed == token && parsed.pins(&root)), "{text} is read again");
}

fn example<T: serde::de::DeserializeOwned>(golden: &mut Golden, file: &str) -> (Value, T) {
    let text = golden.text(file);
    let held: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("golden/{file}: {error}"));
    let example = serde_json::from_value(held.clone()).unwrap_or_else(|error| panic!("golden/{file}: {error}"));
    (held, example)
}

/// The key whose seed is this byte 32 times.
fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a JSON form")
}
