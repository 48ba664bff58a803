//! A backend for the agent's own stories: the agent's contract over plain HTTP on loopback, nothing stored but what a test
//! looks at. Every request's signature is checked as the real one does.

#![expect(clippy::disallowed_methods, reason = "a test is no part of the agent")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::{Action, Outcome},
    command::{Audience, Command},
    envelope::{self, Envelope},
    ids::{CommandId, ServerId},
    key::PublicKey,
    keyset::{KeySet, Pairing, Replace},
    messages::{Commands, PairRequest, PairResponse, Problem, Receipt, Report, ReportBatch, problem},
    pairing_token::PairingToken,
    request_signature::{Received, SignatureError, Target},
};

pub fn server() -> ServerId {
    "0190a6b0-7c00-7000-8000-00000000aaaa".parse().unwrap()
}

pub struct Backend {
    pub state: Arc<Mutex<State>>,
    pub url: String,
}

pub struct State {
    pub root: SigningKey,
    pub command: SigningKey,
    pub key_set_version: i64,
    pub token: PairingToken,
    pub agent: Option<PublicKey>,
    pub batches: Vec<Vec<Report>>,
    pub queue: Vec<(i64, Envelope)>,
    pub outcomes: Vec<(CommandId, Outcome)>,
    pub pairs: Vec<PairRequest>,
    pub polls: usize,
    /// The backend's clock minus the host's, milliseconds.
    pub clock_ms: i64,
    /// Answers that are lost on the way: the request is worked on, then the connection ends.
    pub lose: usize,
    /// This status for everything but pairing.
    pub refuse: Option<u16>,
    /// Names this key in the pairing instead of the agent's.
    pub lie: Option<PublicKey>,
    authority: String,
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn host_now() -> i64 {
    let now = SystemTime::now();
    i64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Backend {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let root = key(1);
        let token = PairingToken::new([7; 16], &PublicKey::from(&root));
        let state = Arc::new(Mutex::new(State {
            root,
            command: key(2),
            key_set_version: 1,
            token,
            agent: None,
            batches: vec![],
            queue: vec![],
            outcomes: vec![],
            pairs: vec![],
            polls: 0,
            clock_ms: 0,
            lose: 0,
            refuse: None,
            lie: None,
            authority: authority.clone(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { state, url: format!("http://{authority}") }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, mut is: impl FnMut(&mut State) -> bool) {
        let end = Instant::now() + Duration::from_secs(40);
        while !self.with(&mut is) {
            assert!(Instant::now() < end, "not within 40 s: {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Puts a command for this agent into the queue; returns its id.
    pub fn ask(&self, action: Action) -> CommandId {
        self.ask_with(action, |_| {})
    }

    pub fn ask_with(&self, action: Action, change: impl FnOnce(&mut Command)) -> CommandId {
        self.with(|state| {
            let now = host_now() + state.clock_ms;
            let seq = state.queue.last().map_or(now, |(seq, _)| seq + 1);
            let mut command = Command {
                v: 1,
                iss: "http://backend".to_owned(),
                aud: Audience { server_id: server(), agent_key: state.agent.unwrap().to_string() },
                jti: format!("0190a6b0-7c00-7000-8000-{:012x}", seq & 0xffff_ffff_ffff).parse().unwrap(),
                seq,
                iat: now,
                nbf: now,
                exp: now + 120_000,
                action,
                requested_by: "anna".to_owned(),
            };
            change(&mut command);
            let envelope = Envelope::sign_json(envelope::COMMAND, &command, &state.command);
            state.queue.push((command.seq, envelope));
            command.jti
        })
    }
}

impl State {
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.batches.iter().flatten()
    }

    pub fn outcome(&self, jti: CommandId) -> Option<&Outcome> {
        self.outcomes.iter().find(|(of, _)| *of == jti).map(|(_, outcome)| outcome)
    }

    fn key_set(&self) -> Envelope {
        KeySet {
            version: self.key_set_version,
            root_key: PublicKey::from(&self.root).to_string(),
            command_keys: vec![PublicKey::from(&self.command).to_string()],
        }
        .sign(&self.root)
    }
}

struct Request {
    method: String,
    path: String,
    query: Option<String>,
    digest: String,
    input: String,
    signature: String,
    body: Vec<u8>,
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        if request.path == "/agent/v1/commands" {
            wait_for_commands(&request, state);
        }
        let (status, body) = {
            let mut state = state.lock().unwrap();
            let answer = answer(&mut state, &request);
            if state.lose > 0 && request.path != "/agent/v1/commands" {
                state.lose -= 1;
                return None;
            }
            answer
        };
        let mut stream = stream;
        let extra = if status == 503 { "retry-after: 1\r\n" } else { "" };
        let head =
            format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{extra}content-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&body).ok()?;
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) =
        target.split_once('?').map_or((target.clone(), None), |(path, query)| (path.to_owned(), Some(query.to_owned())));
    let mut request =
        Request { method, path, query, digest: String::new(), input: String::new(), signature: String::new(), body: vec![] };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-digest" => request.digest = value.to_owned(),
            "signature-input" => request.input = value.to_owned(),
            "signature" => request.signature = value.to_owned(),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn after(request: &Request) -> i64 {
    let query = request.query.as_deref().unwrap_or_default();
    query.split('&').find_map(|part| part.strip_prefix("after=")).and_then(|after| after.parse().ok()).unwrap_or(0)
}

fn wait_for_commands(request: &Request, state: &Mutex<State>) {
    let end = Instant::now() + Duration::from_secs(5);
    state.lock().unwrap().polls += 1;
    while Instant::now() < end {
        let state = state.lock().unwrap();
        if state.refuse.is_some() || state.queue.iter().any(|(seq, _)| *seq > after(request)) {
            return;
        }
        drop(state);
        thread::sleep(Duration::from_millis(20));
    }
}

fn answer(state: &mut State, request: &Request) -> (u16, Vec<u8>) {
    let now = host_now() + state.clock_ms;
    let key = if request.path == "/agent/v1/pair" {
        let Ok(pair) = serde_json::from_slice::<PairRequest>(&request.body) else { return refusal(400, problem::INVALID, None) };
        PublicKey::parse(&pair.agent_key).ok()
    } else {
        if let Some(status) = state.refuse {
            let kind = if status == 410 { problem::REMOVED } else { "about:blank" };
            return refusal(status, kind, None);
        }
        state.agent
    };
    let target =
        Target { method: &request.method, authority: &state.authority, path: &request.path, query: request.query.as_deref() };
    let Some(key) = key else { return refusal(401, problem::SIGNATURE, None) };
    let verified = Received::parse(&request.input, &request.signature)
        .and_then(|received| received.verify(target, &request.digest, &request.body, &key, now / 1000));
    match verified {
        Ok(()) => {}
        Err(SignatureError::Stale { .. }) => return refusal(401, problem::CLOCK_SKEW, Some(now)),
        Err(_) => return refusal(401, problem::SIGNATURE, None),
    }
    match request.path.as_str() {
        "/agent/v1/pair" => pair(state, request, key),
        "/agent/v1/reports" => {
            let batch: ReportBatch = serde_json::from_slice(&request.body).unwrap();
            if let Err(invalid) = batch.validate(now) {
                eprintln!("refused: {invalid}");
                return refusal(422, problem::INVALID, None);
            }
            state.batches.push(batch.reports);
            json(&Receipt { now, key_set_version: state.key_set_version })
        }
        "/agent/v1/commands" => {
            let after = after(request);
            let commands = state.queue.iter().filter(|(seq, _)| *seq > after).map(|(_, envelope)| envelope.clone()).collect();
            json(&Commands { commands })
        }
        "/agent/v1/keys" => json(&state.key_set()),
        "/agent/v1/unpair" => {
            state.agent = None;
            (204, vec![])
        }
        path => {
            let jti = path.strip_prefix("/agent/v1/commands/").and_then(|rest| rest.strip_suffix("/outcome")).unwrap();
            state.outcomes.push((jti.parse().unwrap(), serde_json::from_slice(&request.body).unwrap()));
            (204, vec![])
        }
    }
}

fn pair(state: &mut State, request: &Request, key: PublicKey) -> (u16, Vec<u8>) {
    let pair: PairRequest = serde_json::from_slice(&request.body).unwrap();
    pair.validate().unwrap();
    let known = state.pairs.iter().find(|earlier| earlier.token == pair.token).map(|earlier| earlier.agent_key.clone());
    if pair.token != state.token.text() || known.is_some_and(|known| known != pair.agent_key) {
        return refusal(403, problem::TOKEN, None);
    }
    if let Some(replaces) = &pair.replaces {
        let old = state.agent.expect("a paired agent");
        assert_eq!(Replace::open(replaces, &old).unwrap().new_key, key.to_string());
    }
    state.agent = Some(key);
    state.pairs.push(pair);
    let pairing =
        Pairing { server_id: server(), agent_key: state.lie.unwrap_or(key).to_string(), token_hash: state.token.hash() };
    json(&PairResponse {
        server_id: server(),
        name: "web-1".to_owned(),
        key_set: state.key_set(),
        pairing: Envelope::sign_json(envelope::PAIRING, &pairing, &state.command),
    })
}

fn json<T: serde::Serialize>(body: &T) -> (u16, Vec<u8>) {
    (200, serde_json::to_vec(body).unwrap())
}

fn refusal(status: u16, kind: &str, now: Option<i64>) -> (u16, Vec<u8>) {
    let problem = Problem { kind: kind.to_owned(), title: "refused".to_owned(), status, detail: String::new(), now };
    (status, serde_json::to_vec(&problem).unwrap())
}
