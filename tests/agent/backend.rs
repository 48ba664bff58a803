//! A backend that does as it is told: honest by default, or one that means harm or has been taken over. It keeps what it was
//! sent, and checks every request as the true one does: at its end no request was ill-signed, no report broke the contract,
//! and no forgery was answered.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::Outcome,
    command::{Audience, Command},
    envelope::{self, Envelope},
    key::PublicKey,
    keyset::{KeySet, Pairing, Removed, Replace},
    messages::{
        Acknowledgement, PairRequest, PairResponse, Problem, Receipt, Removal, Report, ReportBatch, Validate as _, problem,
    },
    pairing_token::PairingToken,
    request_signature::{Received, SignatureError, Target},
};
use osm_tests::process::Host;
use poem::{Body, Request, Response, Server, http::StatusCode, listener::TcpAcceptor};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

pub const SERVER: &str = "0190a6b0-7c00-7000-8000-00000000aaaa";
/// How long a story waits for what must happen.
pub const SOON: Duration = Duration::from_secs(40);

pub const PROBLEM: &str = "application/problem+json";

/// How long a poll without commands stays open.
const POLL: Duration = Duration::from_secs(5);
/// How soon a story looks again at what no request tells, as a file.
const LOOK: Duration = Duration::from_millis(50);

pub struct Backend {
    pub url: String,
    pub token: PairingToken,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    authority: String,
    state: Mutex<State>,
    /// Wakes the story, and the requests that wait.
    changed: Condvar,
    woken: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.woken.notify_waiters();
    }

    /// Waits until something is there to be taken.
    async fn take<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut woken = std::pin::pin!(self.woken.notified());
            woken.as_mut().enable();
            if let Some(taken) = take(&mut self.lock()) {
                return taken;
            }
            woken.await;
        }
    }
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
    /// Envelopes for every poll that finds no offer.
    pub always: Option<Vec<String>>,
    /// `after` of each poll.
    pub polls: Vec<i64>,
    pub outcomes: Vec<(String, Outcome)>,
    /// Ids of the plain commands of [`Backend::serve`].
    plain: Vec<String>,
    /// Nothing but the plain commands may ever be answered, however late.
    pub only_plain: bool,
    /// Ids of commands that may never be answered, however late.
    pub never: Vec<String>,
    /// Bodies of reports, as they came.
    pub reports: Vec<Vec<u8>>,
    /// What `GET /agent/v1/keys` answers, and the version that receipts name.
    pub key_set: Option<(i64, Envelope)>,
    pub keys_asked: usize,
    /// Answers every request but pairing.
    pub answer: Option<Answer>,
    /// What the server is called in the chat; otherwise web-1.
    pub name: Option<String>,
    /// The same of pairings alone.
    pub pair_answer: Option<Answer>,
    /// The same of polls alone.
    pub poll_answer: Option<Answer>,
    /// Reports that arrived, however they were answered.
    pub reports_asked: usize,
    /// Requests that arrived, also those that a redirection brought.
    pub requests: usize,
    /// This backend's clock minus the host's, in milliseconds.
    pub clock_ms: i64,
    /// A command that every poll with a lower `after` gets.
    pub queue: Option<(i64, String)>,
    /// Signs the plain command of [`Backend::serve`] instead of the key that the pairing named.
    pub signer: Option<SigningKey>,
    /// So many answers to pairings are lost on the way; what was asked for is done.
    pub lose: usize,
    /// The same of outcomes.
    pub lose_outcomes: usize,
    /// What the next outcomes are answered instead, one each.
    pub outcome_answers: VecDeque<Answer>,
    /// Pairings are not answered as long as this is set.
    pub hold: bool,
    /// Tokens that are refused.
    pub used_up: Vec<String>,
    /// Whether the agent has taken its leave.
    pub left: bool,
    /// What no agent may do.
    violations: Vec<String>,
    last_seq: i64,
}

/// What is wrong with an answer to a pairing.
#[derive(Clone, Copy, Debug)]
pub enum Spoil {
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
    /// A page of this status, which asks to come again in an hour.
    Page(u16),
    /// A body of this status and media type, in which NONCE stands for the request's own.
    Like(u16, &'static str, String),
    /// The server was removed; the proof is made with these.
    Removed(Box<Proof>),
}

/// What a removal is proven with.
#[derive(Clone, Debug)]
pub struct Proof {
    pub key_set: Envelope,
    pub signer: SigningKey,
    /// The agent that is told; otherwise the paired one.
    pub agent: Option<PublicKey>,
    /// When it was said, milliseconds from now.
    pub said_ms: i64,
}

impl Proof {
    /// As the true backend gives it.
    pub fn honest() -> Self {
        let keys = [PublicKey::from(&command_key()).to_string()];
        Self { key_set: key_set(1, &root(), &keys), signer: command_key(), agent: None, said_ms: 0 }
    }
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

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
        if !std::thread::panicking() {
            let mut state = self.shared.lock();
            let mut violations = std::mem::take(&mut state.violations);
            let wrong = |jti: &String| state.never.contains(jti) || state.only_plain && !state.plain.contains(jti);
            violations.extend(
                state.outcomes.iter().filter(|(jti, _)| wrong(jti)).map(|told| format!("an answer to a forgery: {told:?}")),
            );
            drop(state);
            assert!(violations.is_empty(), "{violations:#?}");
        }
    }
}

impl Backend {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let url = format!("http://{authority}");
        let state = Mutex::new(State { last_seq: now(), ..State::default() });
        let shared = Arc::new(Shared { authority, state, changed: Condvar::new(), woken: Notify::new() });
        let serving = shared.clone();
        let endpoint = poem::endpoint::make(move |request| {
            let shared = serving.clone();
            async move {
                let response = answer(request, &shared).await;
                shared.wake();
                Ok::<_, poem::Error>(response)
            }
        });
        let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap());
        let serving = tokio::spawn(async move { server.run(endpoint).await.unwrap() });
        Self { url, token: PairingToken::new([7; 16], &PublicKey::from(&root())), shared, serving }
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.shared.lock());
        self.shared.wake();
        result
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl FnMut(&mut State) -> bool) {
        self.until_within(SOON, what, is);
    }

    /// Waits for longer.
    #[track_caller]
    pub fn until_within(&self, limit: Duration, what: &str, mut is: impl FnMut(&mut State) -> bool) {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        while !is(&mut state) {
            assert!(Instant::now() < end, "not within {limit:?}: {what}");
            state = self.shared.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
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
            let (now, seq) = (state.now(), state.last_seq);
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
        let signer = self.with(|state| state.signer.clone()).unwrap_or_else(command_key);
        offer.push(wire(&Envelope::sign(envelope::COMMAND, plain.to_string().as_bytes(), &signer)));
        self.with(|state| {
            state.plain.push(jti.clone());
            state.offer = Some(offer);
        });
        self.until("the outcome of the plain command", |state| state.outcome(&jti).is_some());
        let polls = self.with(|state| state.polls.len());
        self.until("the next poll", |state| {
            state.polls.len() > polls || state.polls.last() >= Some(&plain["seq"].as_i64().unwrap())
        });
        Served { seq: plain["seq"].as_i64().unwrap() }
    }
}

/// What came of [`Backend::serve`].
pub struct Served {
    /// Of the plain command.
    pub seq: i64,
}

impl State {
    /// By this backend's clock.
    pub fn now(&self) -> i64 {
        now() + self.clock_ms
    }

    /// The reports in the order in which they came, of each request.
    pub fn batches(&self) -> Vec<Vec<Report>> {
        let parse = |body: &Vec<u8>| serde_json::from_slice::<ReportBatch>(body).expect("a batch").reports;
        self.reports.iter().map(parse).collect()
    }

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

/// A problem document, with the request's nonce where it says NONCE.
pub fn like(status: u16, media_type: &'static str, kind: &str, nonce: &str) -> Answer {
    let body = json!({ "type": kind, "title": "no", "status": status, "detail": "", "nonce": nonce, "now": 1 });
    Answer::Like(status, media_type, body.to_string())
}

pub fn key_set(version: i64, signer: &SigningKey, command_keys: &[String]) -> Envelope {
    KeySet { version, root_key: PublicKey::from(&root()).to_string(), command_keys: command_keys.to_vec() }.sign(signer)
}

async fn answer(mut request: Request, shared: &Shared) -> Response {
    let body = request.take_body().into_vec().await.unwrap_or_default();
    let path = request.uri().path().to_owned();
    let canned = {
        let mut state = shared.lock();
        state.requests += 1;
        state.reports_asked += usize::from(path == "/agent/v1/reports");
        if path == "/agent/v1/pair"
            && let Some(answer) = state.pair_answer.clone()
        {
            return spoilt(answer, &path, &nonce_of(&request));
        }
        let of_poll = state.poll_answer.clone().filter(|_| path == "/agent/v1/commands");
        of_poll.or_else(|| state.answer.clone().filter(|_| path != "/agent/v1/pair"))
    };
    let nonce = nonce_of(&request);
    if let Some(answer) = canned {
        return match answer {
            Answer::Removed(proof) => removed(&shared.lock(), &proof, nonce),
            other => spoilt(other, &path, &nonce),
        };
    }
    if let Some(refusal) = ill_signed(&request, &body, shared) {
        return refusal;
    }
    if path == "/agent/v1/commands" {
        return poll(&request, shared).await;
    }
    if path == "/agent/v1/pair" {
        let response = pair(&mut shared.lock(), &body, nonce);
        shared.wake();
        shared.take(|state| (!state.hold).then_some(())).await;
        return lost_or(response, &mut shared.lock().lose);
    }
    match path.as_str() {
        "/agent/v1/reports" => take_reports(&mut shared.lock(), body, nonce),
        "/agent/v1/keys" => {
            let mut state = shared.lock();
            state.keys_asked += 1;
            let honest = || key_set(1, &root(), &[PublicKey::from(&command_key()).to_string()]);
            json_body(&state.key_set.as_ref().map_or_else(honest, |(_, set)| set.clone()))
        }
        "/agent/v1/unpair" => {
            shared.lock().left = true;
            json_body(&Acknowledgement { nonce })
        }
        other => {
            let jti = other.strip_prefix("/agent/v1/commands/").and_then(|rest| rest.strip_suffix("/outcome"));
            let outcome = (jti.unwrap_or(other).to_owned(), serde_json::from_slice(&body).expect("an outcome"));
            let mut state = shared.lock();
            state.outcomes.push(outcome);
            match state.outcome_answers.pop_front() {
                Some(answer) => spoilt(answer, &path, &nonce),
                None => lost_or(json_body(&Acknowledgement { nonce }), &mut state.lose_outcomes),
            }
        }
    }
}

/// The answer, unless it is to be lost.
fn lost_or(response: Response, lose: &mut usize) -> Response {
    if *lose == 0 {
        return response;
    }
    *lose -= 1;
    broken()
}

/// Refuses as the true backend does what is not signed by the key that is to be paired, or is.
fn ill_signed(request: &Request, body: &[u8], shared: &Shared) -> Option<Response> {
    let mut state = shared.lock();
    let (path, now) = (request.uri().path(), state.now());
    let key = if path == "/agent/v1/pair" {
        serde_json::from_slice::<PairRequest>(body).ok().and_then(|pair| PublicKey::parse(&pair.agent_key).ok())
    } else {
        state.agent
    };
    let header = |name: &str| request.header(name).unwrap_or_default();
    let target = Target { method: request.method().as_str(), authority: &shared.authority, path, query: request.uri().query() };
    let verified = Received::parse(header("signature-input"), header("signature")).and_then(|received| {
        let mut digest = received.verify(target, header("content-digest"), &key.expect("a key"), now / 1000)?;
        digest.take(body);
        digest.check()
    });
    match verified {
        Ok(()) => None,
        Err(SignatureError::Stale { .. }) => Some(refusal(401, problem::CLOCK_SKEW, Some(now), nonce_of(request))),
        Err(error) => {
            state.violations.push(format!("{path}: {error}"));
            Some(refusal(401, problem::SIGNATURE, None, nonce_of(request)))
        }
    }
}

fn take_reports(state: &mut State, body: Vec<u8>, nonce: String) -> Response {
    let now = state.now();
    let broken = match serde_json::from_slice::<ReportBatch>(&body) {
        Ok(batch) => batch.validate(now).err().map(|invalid| invalid.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(broken) = broken {
        state.violations.push(format!("a report: {broken}"));
        return refusal(422, problem::INVALID, None, nonce);
    }
    state.reports.push(body);
    json_body(&Receipt { now, key_set_version: state.key_set.as_ref().map_or(1, |(version, _)| *version), nonce })
}

async fn poll(request: &Request, shared: &Shared) -> Response {
    let after = request.uri().query().and_then(|query| query.split('&').find_map(|part| part.strip_prefix("after=")));
    let after = after.and_then(|after| after.parse().ok()).unwrap_or(-1);
    let number = {
        let mut state = shared.lock();
        state.polls.push(after);
        state.polls.len()
    };
    shared.wake();
    // A poll of an agent that is gone takes nothing away from the one that came after it.
    let offered = shared.take(|state| {
        let offer = if state.polls.len() == number { state.offer.take() } else { None };
        let queued = || state.queue.as_ref().filter(|(seq, _)| *seq > after).map(|(_, envelope)| vec![envelope.clone()]);
        offer.or_else(queued).or_else(|| state.always.clone())
    });
    let offer = tokio::time::timeout(POLL, offered).await.unwrap_or_default();
    Response::builder().content_type("application/json").body(format!(r#"{{"commands":[{}]}}"#, offer.join(",")))
}

fn pair(state: &mut State, body: &[u8], nonce: String) -> Response {
    let request: PairRequest = serde_json::from_slice(body).expect("a pairing request");
    let token = PairingToken::parse(&request.token).expect("a token");
    let is_of_another = |earlier: &PairRequest| earlier.token == request.token && earlier.agent_key != request.agent_key;
    if state.used_up.contains(&request.token) || state.pairs.iter().any(is_of_another) && state.spoil.is_empty() {
        return refusal(403, problem::TOKEN, None, nonce);
    }
    let agent = PublicKey::parse(&request.agent_key).unwrap();
    if let Err(invalid) = request.validate(state.now()) {
        state.violations.push(format!("a pairing: {invalid}"));
    }
    if let Some(replaces) = &request.replaces {
        let replace = Replace::open(replaces, &state.agent.expect("a paired agent"));
        if replace.as_ref().map(|replace| &replace.new_key) != Ok(&request.agent_key) {
            state.violations.push(format!("a replacement: {replace:?}"));
        }
    }
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
        name: state.name.clone().unwrap_or_else(|| "web-1".to_owned()),
        key_set: set,
        pairing: Envelope::sign_json(envelope::PAIRING, &pairing, &signer),
    };
    match spoil {
        Some(Spoil::Html) => spoilt(Answer::Html, "", &nonce),
        Some(Spoil::Redirect) => spoilt(Answer::Redirect("http://127.0.0.1:9".to_owned()), "/agent/v1/pair", &nonce),
        _ => json_body(&answer),
    }
}

fn spoilt(answer: Answer, path: &str, nonce: &str) -> Response {
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
        Answer::Page(status) => Response::builder()
            .content_type("text/html")
            .header("retry-after", 3600)
            .body("<html><head><title>We will be back soon</title></head></html>")
            .with_status(status),
        Answer::Like(status, media_type, body) => {
            Response::builder().content_type(media_type).body(body.replace("NONCE", nonce)).with_status(status)
        }
        Answer::Removed(_) => unreachable!("it is told by the agent's key"),
    }
}

/// Tells the paired agent that its server was removed.
fn removed(state: &State, proof: &Proof, nonce: String) -> Response {
    let agent = proof.agent.or(state.agent).expect("a paired agent");
    let removed = Removed { agent_key: agent.to_string(), at: state.now() + proof.said_ms }.sign(&proof.signer);
    let removal = Some(Removal { key_set: proof.key_set.clone(), removed });
    problem_body(&Problem { removal, ..problem(410, problem::REMOVED, nonce) })
}

/// Announces more than it sends, and ends.
fn broken() -> Response {
    let pieces = [Ok(vec![b'{']), Err(std::io::Error::other("cut"))];
    let body = Body::from_bytes_stream(futures_util::stream::iter(pieces));
    // Of pieces without a length poem would make a whole answer.
    Response::builder().content_type("application/json").header("content-length", 100).body(body)
}

fn refusal(status: u16, kind: &str, now: Option<i64>, nonce: String) -> Response {
    problem_body(&Problem { now, ..problem(status, kind, nonce) })
}

fn problem(status: u16, kind: &str, nonce: String) -> Problem {
    let (title, detail) = ("no".to_owned(), String::new());
    Problem { kind: kind.to_owned(), title, status, detail, now: None, nonce: Some(nonce), removal: None }
}

fn problem_body(problem: &Problem) -> Response {
    let body = serde_json::to_vec(problem).unwrap();
    Response::builder().content_type(PROBLEM).body(body).with_status(problem.status)
}

fn nonce_of(request: &Request) -> String {
    let header = |name: &str| request.header(name).unwrap_or_default();
    Received::parse(header("signature-input"), header("signature")).map(|received| received.nonce).unwrap_or_default()
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
