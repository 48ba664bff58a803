//! `osm-agent pair` and `osm-agent unpair`.
//!
//! The token came through the chat and vouches for the backend's root key; the network is believed in nothing.

use anyhow::{Context as _, Result, bail};
use ed25519_dalek::SigningKey;
use osm_protocol::{
    envelope::{self, Envelope},
    key::PublicKey,
    keyset::{self, KeySet, Replace},
    messages::{PairRequest, PairResponse, problem},
    pairing_token::PairingToken,
};

use crate::{
    backend::{address::Api, error::ClientError},
    crash,
    host::{identity, random::Random},
    machine::Machine,
    report::collect,
    state::{
        dir::StateDir,
        pairing::{Pairing, Pending},
    },
    text::{clean_or, complain, say},
};

/// Who is told that a pairing is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpair {
    /// The backend first, then this machine.
    Everywhere,
    /// This machine alone.
    HereOnly,
}

/// Pairs this machine; what it prints is for the person at the terminal.
pub async fn pair(here: &Machine<'_>, api: &str, token: &PairingToken) -> Result<()> {
    let dir = here.dir;
    let _lock = dir.lock("pair.lock", "pair")?;
    let api = Api::parse(api)?;
    let before = dir.pairing().unwrap_or_else(|error| {
        complain!("{error:#}. Going on as if this machine had not been paired.");
        None
    });
    // A lost answer: the backend may have taken up the key of the attempt before, and will answer it once more.
    let key = key_for(dir, before.as_ref(), token, here.random)?;
    let client = here.client(api.clone(), key.clone())?;
    let machine = identity::machine(dir.path(), here.random)?;
    let request = PairRequest {
        token: token.text(),
        agent_key: PublicKey::from(&key).to_string(),
        machine: machine.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        host: collect::host::collect(here.clock.moment().boot),
        // The same line once more: this key is already the one in use. On another machine this is a clone: the record stays the
        // original's.
        replaces: before
            .as_ref()
            .filter(|before| before.key != (&key).into() && before.machine == machine)
            .map(|before| replaces(before, &key, token))
            .transpose()?,
    };
    let answer = client.pair(&request).await.map_err(|error| explain(error, dir))?;
    crash::point("pair.answered");

    let pairing = verified(&answer, &key, token, &api, machine)?;
    dir.store_pairing(&pairing)?;
    dir.remove_pending()?;
    crash::point("pair.done");
    say!("Paired with {api} as {} ({}).", pairing.name, pairing.server_id);
    say!("Fingerprint of this agent's key: {}", pairing.fingerprint()?);
    say!("The first report is sent as soon as `osm-agent run` (the service osm-agent) is running.");
    Ok(())
}

/// Takes this machine off the backend, and forgets the pairing.
pub async fn unpair(here: &Machine<'_>, unpair: Unpair) -> Result<()> {
    let dir = here.dir;
    let _lock = dir.lock("pair.lock", "unpair")?;
    let Some(pairing) = dir.pairing()? else {
        dir.forget()?;
        say!("This machine is not paired.");
        return Ok(());
    };
    if unpair == Unpair::Everywhere {
        let client = here.client(Api::parse(&pairing.api)?, pairing.key.signing_key()?)?;
        match client.unpair().await {
            Ok(()) => {}
            Err(error) if here.is_removed_by(&pairing, &error)? => {}
            Err(error) => {
                return Err(error).context(format!(
                    "{} did not confirm. Try again, or forget the pairing on this side only with `osm-agent unpair --local`",
                    pairing.api
                ));
            }
        }
        crash::point("unpair.answered");
    }
    dir.forget()?;
    crash::point("unpair.done");
    say!("{} is no longer paired with {}.", pairing.name, pairing.api);
    Ok(())
}

/// Finds the key that this token was tried with before, or makes one, which is on disk before anybody hears of it.
fn key_for(dir: &StateDir, before: Option<&Pairing>, token: &PairingToken, random: Random) -> Result<SigningKey> {
    let token_hash = token.hash();
    if let Some(before) = before.filter(|before| before.token_hash == token_hash) {
        return before.key.signing_key();
    }
    if let Ok(Some(pending)) = dir.pending()
        && pending.token_hash == token_hash
        && let Ok(key) = pending.key.signing_key()
    {
        return Ok(key);
    }
    let key = SigningKey::from_bytes(&random.bytes()?);
    dir.store_pending(&Pending { token_hash, key: (&key).into() })?;
    Ok(key)
}

fn replaces(before: &Pairing, new_key: &SigningKey, token: &PairingToken) -> Result<Envelope> {
    let replace =
        Replace { server_id: before.server_id, new_key: PublicKey::from(new_key).to_string(), token_hash: token.hash() };
    Ok(Envelope::sign_json(envelope::REPLACE, &replace, &before.key.signing_key()?))
}

/// Gives the pairing, when the answer is by the backend that the token vouches for and names this very key and token.
fn verified(answer: &PairResponse, key: &SigningKey, token: &PairingToken, api: &Api, machine: String) -> Result<Pairing> {
    let refuse =
        "the answer is not from the backend that made this token: nothing was stored. Check the address given with --api";
    let root = KeySet::claimed_root(&answer.key_set).context(refuse)?;
    if !token.pins(&root) {
        bail!("{refuse} (its root key {} is not the one the token vouches for)", root.fingerprint());
    }
    let keys = KeySet::open(&answer.key_set, &root, i64::MIN).context(refuse)?;
    let pairing = keyset::Pairing::open(&answer.pairing, &keys).context(refuse)?;
    let agent_key = PublicKey::from(key).to_string();
    if pairing.agent_key != agent_key {
        bail!("{refuse} (it names another agent key than this machine's)");
    }
    if pairing.token_hash != token.hash() {
        bail!("{refuse} (it is for another token)");
    }
    if pairing.server_id != answer.server_id {
        bail!("{refuse} (it names two servers)");
    }
    Ok(Pairing {
        api: api.to_string(),
        server_id: pairing.server_id,
        name: clean_or(&answer.name, 255, "this server"),
        key: key.into(),
        root_key: root.to_string(),
        key_set: answer.key_set.clone(),
        machine,
        token_hash: pairing.token_hash,
    })
}

fn explain(error: ClientError, dir: &StateDir) -> anyhow::Error {
    let retry = "run the same command again: the same token works until it expires";
    match error.refusal() {
        Some(refusal) if refusal.kind == problem::TOKEN => {
            // Wrong, used and expired get one answer; the key that was kept for a retry is of no more use.
            let _ = dir.remove_pending();
            anyhow::Error::new(error)
                .context("the token was not accepted: it may be used up or expired. Get a new one in the chat with /add_server")
        }
        Some(_) => anyhow::Error::new(error).context("pairing was refused"),
        None => anyhow::Error::new(error).context(format!("pairing got no answer; {retry}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osm_protocol::ids::ServerId;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn server(number: u8) -> ServerId {
        format!("0190a6b0-7c00-7000-8000-{number:012}").parse().unwrap()
    }

    fn token() -> PairingToken {
        PairingToken::new([9; 16], &PublicKey::from(&key(1)))
    }

    fn answer(root: &SigningKey, command: &SigningKey, pairing: &keyset::Pairing) -> PairResponse {
        let set = KeySet {
            version: 1,
            root_key: PublicKey::from(root).to_string(),
            command_keys: vec![PublicKey::from(&key(2)).to_string()],
        };
        PairResponse {
            server_id: server(1),
            name: "web\u{1b}[2J".to_owned(),
            key_set: set.sign(root),
            pairing: Envelope::sign_json(envelope::PAIRING, pairing, command),
        }
    }

    fn binding() -> keyset::Pairing {
        keyset::Pairing { server_id: server(1), agent_key: PublicKey::from(&key(3)).to_string(), token_hash: token().hash() }
    }

    fn verify(answer: &PairResponse) -> Result<Pairing> {
        verified(answer, &key(3), &token(), &Api::parse("https://osm.example").unwrap(), "m".to_owned())
    }

    #[test]
    fn the_right_answer_is_taken_up() {
        let pairing = verify(&answer(&key(1), &key(2), &binding())).unwrap();
        assert_eq!((pairing.server_id, pairing.name.as_str()), (server(1), "web\u{fffd}[2J"));
        assert_eq!(pairing.root().unwrap(), PublicKey::from(&key(1)));
    }

    #[test]
    fn an_answer_of_another_backend_is_refused() {
        // Another root key, and a set that names the right one but is signed by another.
        assert!(verify(&answer(&key(5), &key(2), &binding())).unwrap_err().to_string().contains("root key"));
        let mut forged = answer(&key(1), &key(2), &binding());
        forged.key_set.signatures = answer(&key(5), &key(2), &binding()).key_set.signatures;
        assert!(verify(&forged).is_err());
        // A pairing signed by a key outside the set, and by the root key, whose role it is not.
        assert!(verify(&answer(&key(1), &key(5), &binding())).is_err());
        assert!(verify(&answer(&key(1), &key(1), &binding())).is_err());
    }

    #[test]
    fn an_answer_for_another_key_token_or_server_is_refused() {
        let mut other = binding();
        other.agent_key = PublicKey::from(&key(4)).to_string();
        assert!(verify(&answer(&key(1), &key(2), &other)).unwrap_err().to_string().contains("agent key"));
        let mut other = binding();
        other.token_hash = "0".repeat(64);
        assert!(verify(&answer(&key(1), &key(2), &other)).unwrap_err().to_string().contains("token"));
        let mut other = binding();
        other.server_id = server(2);
        assert!(verify(&answer(&key(1), &key(2), &other)).is_err());
    }

    #[test]
    fn the_same_token_is_tried_again_with_the_same_key_and_another_token_with_a_new_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let dir = StateDir::open(folder.path()).unwrap();
        let first = key_for(&dir, None, &token(), Random::system()).unwrap();
        assert_eq!(key_for(&dir, None, &token(), Random::system()).unwrap(), first);
        let other = PairingToken::new([8; 16], &PublicKey::from(&key(1)));
        assert_ne!(key_for(&dir, None, &other, Random::system()).unwrap(), first);
        let before = verify(&answer(&key(1), &key(2), &binding())).unwrap();
        assert_eq!(key_for(&dir, Some(&before), &token(), Random::system()).unwrap(), key(3));
    }

    #[test]
    fn the_old_key_signs_its_own_replacement() {
        let before = verify(&answer(&key(1), &key(2), &binding())).unwrap();
        let envelope = replaces(&before, &key(7), &token()).unwrap();
        let replace = Replace::open(&envelope, &PublicKey::from(&key(3))).unwrap();
        assert_eq!(replace.new_key, PublicKey::from(&key(7)).to_string());
        assert_eq!(replace.server_id, server(1));
    }
}
