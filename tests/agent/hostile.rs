//! A backend that means harm, or has been taken over: it answers as it is told, well or badly, and keeps what it was sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::Outcome,
    command::{Audience, Command},
    envelope::{self, Envelope},
    key::PublicKey,
    keyset::{KeySet, Pairing},
    messages::{PairRequest, PairResponse, Problem, Receipt, problem},
    pairing_token::PairingToken,
};
use osm_tests::process::Host;
use poem::{Body, Request, Response, Server, http::StatusCode, listener::TcpAcceptor};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub const SERVER: &str = "0190a6b0-7c00-7000-8000-00000000aaaa";
/// How long a story waits for what must happen.
pub const SOON: Duration = Duration::from_secs(40);

pub struct Hostile {
    pub url: String,
    pub token: PairingToken,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
pub struct State {
    pub agent: Option<PublicKey>,
    /// Bodies of pairing requests.
    pub pairs: Vec<PairRequest>,
    /// How the next pairings are spoilt; honest when there is none.
    pub spoil: VecDeque<Spoil>,
    /// Envelopes for the next poll, as they go over the wire.
    pub offer: Option<Vec<String>>,
    /// `after` of each poll.
    pub polls: Vec<i64>,
    pub outcomes: Vec<(String, Outcome)>,
    /// Bodies of reports, as they came.
    pub reports: Vec<Vec<u8>>,
    /// What `GET /agent/v1/keys` answers, and the version that receipts name.
    pub key_set: Option<(i64, Envelope)>,
    pub keys_asked: usize,
    /// Answers every request but pairing.
    pub answer: Option<Answer>,
    /// Requests that arrived, also those that a redirection brought.
    pub requests: usize,
    last_seq: i64,
}

/// What is wrong with an answer to a pairing.
#[derive(Clone, Copy, Debug)]
pub enum Spoil {
    /// It breaks off on the way.
    Lost,
    /// The key set is signed by, and names, another root key than the token pins.
    AnotherRoot,
    /// The key set names the pinned root key and is signed by another.
    ForgedRoot,
    /// The pairing names another agent key.
    AnotherAgent,
    /// The pairing is for another token.
    AnotherToken,
    /// The pairing is signed by a key outside the key set.
    AnotherSigner,
    /// Inside and outside of the pairing another server is named.
    TwoServers,
    /// Not JSON.
    Html,
    /// Look elsewhere.
    Redirect,
}

/// An answer that is none.
#[derive(Clone, Debug)]
pub enum Answer {
    Html,
    Huge,
    Nested,
    Redirect(String),
    Broken,
    Status(u16),
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn root() -> SigningKey {
    key(1)
}

pub fn command_key() -> SigningKey {
    key(2)
}

pub fn now() -> i64 {
    osm_api::clock::Clock::system().now()
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Hostile {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { last_seq: now(), ..State::default() }));
        let shared = state.clone();
        let endpoint = poem::endpoint::make(move |request| {
            let state = shared.clone();
            async move { Ok::<_, poem::Error>(answer(request, state).await) }
        });
        let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap());
        let serving = tokio::spawn(async move { server.run(endpoint).await.unwrap() });
        Self { url, token: PairingToken::new([7; 16], &PublicKey::from(&root())), state, serving }
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn until(&self, what: &str, mut is: impl FnMut(&mut State) -> bool) {
        let end = Instant::now() + SOON;
        while !self.with(&mut is) {
            assert!(Instant::now() < end, "not within {SOON:?}: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A host that is paired with this backend.
    #[track_caller]
    pub fn paired(&self, configuration: &str) -> Host {
        let host = Host::new(configuration);
        host.pair(&self.url, &self.token.text()).succeeded();
        host
    }

    /// The payload of a valid command, to be spoilt.
    pub fn payload(&self, action: Value) -> Value {
        self.with(|state| {
            state.last_seq += 10;
            let agent_key = state.agent.expect("a paired agent").to_string();
            let (now, seq) = (now(), state.last_seq);
            let mut payload = serde_json::to_value(Command {
                v: 1,
                iss: "http://backend".to_owned(),
                aud: Audience { server_id: id(SERVER), agent_key },
                jti: id(&format!("0190a6b0-7c00-7000-8000-{:012x}", seq & 0xffff_ffff_ffff)),
                seq,
                iat: now,
                nbf: now,
                exp: now + 120_000,
                action: osm_protocol::action::Action::Reboot {},
                requested_by: "mallory".to_owned(),
            })
            .unwrap();
            payload["action"] = action;
            payload
        })
    }

    /// Serves envelopes in one answer, with a plain one behind them, and waits until the agent has said how that ended: so
    /// whatever was to be said about those before it has been said.
    #[track_caller]
    pub fn serve(&self, envelopes: impl IntoIterator<Item = String>) -> Served {
        let plain = self.payload(json!({ "type": "reboot" }));
        let jti = plain["jti"].as_str().unwrap().to_owned();
        let mut offer: Vec<String> = envelopes.into_iter().collect();
        offer.push(wire(&signed(&plain)));
        self.with(|state| state.offer = Some(offer));
        self.until("the outcome of the plain command", |state| state.outcome(&jti).is_some());
        let polls = self.with(|state| state.polls.len());
        self.until("the next poll", |state| {
            state.polls.len() > polls || state.polls.last() >= Some(&plain["seq"].as_i64().unwrap())
        });
        Served { seq: plain["seq"].as_i64().unwrap() }
    }
}

/// What came of [`Hostile::serve`].
pub struct Served {
    /// Of the plain command.
    pub seq: i64,
}

impl State {
    pub fn outcome(&self, jti: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|(of, _)| of == jti).map(|(_, outcome)| outcome)
    }
}

/// Signed as the true backend does.
pub fn signed(payload: &Value) -> Envelope {
    Envelope::sign(envelope::COMMAND, payload.to_string().as_bytes(), &command_key())
}

pub fn wire(envelope: &Envelope) -> String {
    serde_json::to_string(envelope).unwrap()
}

pub fn key_set(version: i64, signer: &SigningKey, command_keys: &[String]) -> Envelope {
    KeySet { version, root_key: PublicKey::from(&root()).to_string(), command_keys: command_keys.to_vec() }.sign(signer)
}

async fn answer(mut request: Request, state: Arc<Mutex<State>>) -> Response {
    let body = request.take_body().into_vec().await.unwrap_or_default();
    let path = request.uri().path().to_owned();
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    lock().requests += 1;
    if path == "/agent/v1/pair" {
        return pair(&mut lock(), &body);
    }
    let canned = lock().answer.clone();
    if let Some(answer) = canned {
        return spoilt(answer, &path);
    }
    match path.as_str() {
        "/agent/v1/reports" => {
            let mut state = lock();
            state.reports.push(body);
            json_body(&Receipt { now: now(), key_set_version: state.key_set.as_ref().map_or(1, |(version, _)| *version) })
        }
        "/agent/v1/commands" => {
            let after = request.uri().query().and_then(|query| query.split('&').find_map(|part| part.strip_prefix("after=")));
            let number = {
                let mut state = lock();
                state.polls.push(after.and_then(|after| after.parse().ok()).unwrap_or(-1));
                state.polls.len()
            };
            for _ in 0..250 {
                // A poll of an agent that is gone takes nothing away from the one that came after it.
                let offer = {
                    let mut state = lock();
                    if state.polls.len() == number { state.offer.take() } else { None }
                };
                if let Some(offer) = offer {
                    return Response::builder()
                        .content_type("application/json")
                        .body(format!(r#"{{"commands":[{}]}}"#, offer.join(",")));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            json_body(&json!({ "commands": [] }))
        }
        "/agent/v1/keys" => {
            let mut state = lock();
            state.keys_asked += 1;
            let honest = || key_set(1, &root(), &[PublicKey::from(&command_key()).to_string()]);
            json_body(&state.key_set.as_ref().map_or_else(honest, |(_, set)| set.clone()))
        }
        "/agent/v1/unpair" => StatusCode::NO_CONTENT.into(),
        other => {
            let jti = other.strip_prefix("/agent/v1/commands/").and_then(|rest| rest.strip_suffix("/outcome"));
            let outcome = (jti.unwrap_or(other).to_owned(), serde_json::from_slice(&body).expect("an outcome"));
            lock().outcomes.push(outcome);
            StatusCode::NO_CONTENT.into()
        }
    }
}

fn pair(state: &mut State, body: &[u8]) -> Response {
    let request: PairRequest = serde_json::from_slice(body).expect("a pairing request");
    let token = PairingToken::parse(&request.token).expect("a token");
    if let Some(taken) = state.pairs.iter().find(|earlier| earlier.token == request.token)
        && taken.agent_key != request.agent_key
        && state.spoil.is_empty()
    {
        let problem =
            Problem { kind: problem::TOKEN.to_owned(), title: "no".to_owned(), status: 403, detail: String::new(), now: None };
        return json_body(&problem).with_status(403);
    }
    let agent = PublicKey::parse(&request.agent_key).unwrap();
    state.agent = Some(agent);
    state.pairs.push(request);
    let spoil = state.spoil.pop_front();
    let command_keys = [PublicKey::from(&command_key()).to_string()];
    let set = match spoil {
        Some(Spoil::AnotherRoot) => {
            KeySet { version: 1, root_key: PublicKey::from(&key(9)).to_string(), command_keys: command_keys.to_vec() }
                .sign(&key(9))
        }
        Some(Spoil::ForgedRoot) => key_set(1, &key(9), &command_keys),
        _ => key_set(1, &root(), &command_keys),
    };
    let mut pairing = Pairing { server_id: id(SERVER), agent_key: agent.to_string(), token_hash: token.hash() };
    let mut server_id = id(SERVER);
    let mut signer = command_key();
    match spoil {
        Some(Spoil::AnotherAgent) => pairing.agent_key = PublicKey::from(&key(8)).to_string(),
        Some(Spoil::AnotherToken) => pairing.token_hash = "0".repeat(64),
        Some(Spoil::AnotherSigner) => signer = key(8),
        Some(Spoil::TwoServers) => server_id = id("0190a6b0-7c00-7000-8000-00000000bbbb"),
        _ => {}
    }
    let answer = PairResponse {
        server_id,
        name: "web-1".to_owned(),
        key_set: set,
        pairing: Envelope::sign_json(envelope::PAIRING, &pairing, &signer),
    };
    match spoil {
        Some(Spoil::Lost) => broken(),
        Some(Spoil::Html) => spoilt(Answer::Html, ""),
        Some(Spoil::Redirect) => spoilt(Answer::Redirect("http://127.0.0.1:9".to_owned()), "/agent/v1/pair"),
        _ => json_body(&answer),
    }
}

fn spoilt(answer: Answer, path: &str) -> Response {
    match answer {
        Answer::Html => {
            Response::builder().content_type("text/html").body("<html><body>Welcome to the hotel's Wi-Fi</body></html>")
        }
        Answer::Huge => Response::builder().content_type("application/json").body(vec![b' '; 8 << 20]),
        Answer::Nested => Response::builder().content_type("application/json").body("[".repeat(200_000)),
        Answer::Redirect(to) => {
            Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header("location", format!("{to}{path}")).finish()
        }
        Answer::Broken => broken(),
        Answer::Status(status) => json_body(&json!({})).with_status(status),
    }
}

/// Announces more than it sends, and ends.
fn broken() -> Response {
    let pieces = [Ok(vec![b'{']), Err(std::io::Error::other("cut"))];
    Response::builder().content_type("application/json").body(Body::from_bytes_stream(futures_util::stream::iter(pieces)))
}

fn json_body<T: serde::Serialize>(body: &T) -> Response {
    Response::builder().content_type("application/json").body(serde_json::to_vec(body).unwrap())
}

trait WithStatus {
    fn with_status(self, status: u16) -> Self;
}

impl WithStatus for Response {
    fn with_status(mut self, status: u16) -> Self {
        self.set_status(StatusCode::from_u16(status).unwrap());
        self
    }
}

/// # Panics
/// When it is none.
fn id<I: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> I {
    text.parse().expect("an id")
}
