//! Hostile connections of every kind, from 50 networks as through a proxy, and the reports of others meanwhile.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use osm_protocol::{key::PublicKey, messages::limits, request_signature::content_digest};
use osm_tests::agent::fresh_key;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout_at},
};

use crate::{
    backend::Backend,
    figures::{Table, mb},
    fleet::{Fleet, now},
    proc,
    reports::{self, Plan},
};

const NETWORKS: usize = 50;
/// Wrong keys in all, on connections of their own beside the others.
const WRONG_KEYS: usize = 100_000;
const WRONG_KEYS_AT_ONCE: usize = 50;
const LOOK: Duration = Duration::from_millis(50);
/// Whoever was closed comes again after this.
const AGAIN: Duration = Duration::from_millis(200);
/// Time for what was held to go: heads and bodies have 15 s.
const AFTERWARDS: Duration = Duration::from_secs(20);

pub struct Measured {
    connections: u32,
    before: u64,
    peak: u64,
    after: u64,
    pub reports: reports::Measured,
    answers: BTreeMap<String, usize>,
}

impl Measured {
    pub fn rows(mut self, table: &mut Table) {
        let what = format!("memory beside {} hostile connections", self.connections);
        let memory = format!("{} before, at most {}, {} after", mb(self.before), mb(self.peak), mb(self.after));
        table.row(what, memory, "< 157 MB (150 MiB)");
        self.reports.rows(table, "  reports of others meanwhile", "none lost");
        for (what, count) in self.answers {
            table.row(format!("  {what}"), count.to_string(), "");
        }
    }
}

pub async fn run(backend: &Backend, fleet: &Fleet, connections: u32, beside: &Plan) -> Result<Measured> {
    let before = proc::rss(backend.pid)?;
    let end = Instant::now() + beside.seconds + Duration::from_secs(15);
    let attack =
        Arc::new(Attack { address: backend.address, requests: Requests::new(backend, fleet), end, seen: Mutex::default() });
    let mut lanes = JoinSet::new();
    for number in 0..connections as usize {
        lanes.spawn(attack.clone().lane(number));
    }
    for lane in 0..WRONG_KEYS_AT_ONCE {
        lanes.spawn(attack.clone().wrong_keys(lane));
    }
    let pid = backend.pid;
    let watch = tokio::spawn(async move {
        let mut peak = 0;
        while Instant::now() < end {
            peak = peak.max(proc::rss(pid)?);
            sleep(LOOK).await;
        }
        anyhow::Ok(peak)
    });
    let reports = reports::run(backend, fleet, beside).await?;
    let peak = watch.await??;
    lanes.join_all().await;
    sleep(AFTERWARDS).await;
    let answers = attack.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Measured { connections, before, peak, after: proc::rss(backend.pid)?, reports, answers })
}

struct Attack {
    address: SocketAddr,
    requests: Requests,
    end: Instant,
    /// What came of it, by kind and status.
    seen: Mutex<BTreeMap<String, usize>>,
}

/// What the kinds begin with; `{}` stands where the address is written that a proxy would have seen.
struct Requests {
    held_pairing: String,
    held_report: String,
    poll: String,
    wrong_key: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    HeldPairing,
    HeldReport,
    EndlessHead,
    Trickle,
    Poll,
    Http2,
}

impl Kind {
    /// A fifth each of what holds most, and the rest of the others.
    fn of(number: usize) -> Self {
        match number % 10 {
            0 | 1 => Self::HeldPairing,
            2 | 3 => Self::HeldReport,
            4 | 5 => Self::EndlessHead,
            6 | 7 => Self::Trickle,
            8 => Self::Poll,
            _ => Self::Http2,
        }
    }
}

impl Requests {
    fn new(backend: &Backend, fleet: &Fleet) -> Self {
        let hostile = fleet.of_people.last().expect("people have servers");
        let poll = String::from_utf8(hostile.get(&backend.authority, "/agent/v1/commands", "wait=50")).expect("text");
        let unsigned = |path: &str, keyid: &str, length: usize| {
            let (digest, created) = (content_digest(b""), now() / 1000);
            format!(
                "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nX-Forwarded-For: {{}}\r\n\
                 Content-Digest: {digest}\r\nSignature-Input: osm=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");\
                 created={created};keyid=\"{keyid}\";nonce=\"x\";alg=\"ed25519\";tag=\"osm-agent-v1\"\r\nSignature: osm=:{}:\r\n\r\n",
                backend.authority,
                "AAAA".repeat(21) + "AA=="
            )
        };
        let victim = PublicKey::from(&fleet.servers[0].key).id().to_string();
        Self {
            held_pairing: unsigned("/agent/v1/pair", &PublicKey::from(&fresh_key()).id().to_string(), limits::PAIR_BODY),
            held_report: unsigned("/agent/v1/reports", &victim, limits::BODY),
            poll: poll.replacen("\r\nHost", "\r\nX-Forwarded-For: {}\r\nHost", 1),
            wrong_key: unsigned("/agent/v1/reports", "KEYID", 2),
        }
    }
}

impl Attack {
    async fn lane(self: Arc<Self>, number: usize) {
        let kind = Kind::of(number);
        while Instant::now() < self.end {
            let ended = match self.open(number).await {
                Ok(stream) => {
                    timeout_at(self.end.into(), self.hold(kind, number, stream)).await.unwrap_or_else(|_| "held".into())
                }
                Err(error) => format!("no connection: {}", error.kind()),
            };
            self.count(&format!("{kind:?}: {ended}"));
            sleep(AGAIN).await;
        }
    }

    async fn wrong_keys(self: Arc<Self>, lane: usize) {
        for number in 0..WRONG_KEYS / WRONG_KEYS_AT_ONCE {
            if Instant::now() > self.end {
                break;
            }
            let Ok(mut stream) = self.open(lane).await else { continue };
            let keyid = format!("{:0>43}", lane * WRONG_KEYS + number);
            let request = self.requests.wrong_key.replacen("KEYID", &keyid, 1).replacen("{}", &network(lane), 1) + "{}";
            let _ = stream.write_all(request.as_bytes()).await;
            let said = said(&mut stream).await;
            self.count(&format!("wrong keys: {said}"));
        }
    }

    /// From an address of its own, or the ports of one would not do.
    async fn open(&self, number: usize) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number % NETWORKS).unwrap_or_default() + 1);
        socket.bind((from, 0).into())?;
        socket.connect(self.address).await
    }

    /// Keeps a connection for as long as the backend lets it; says how it ended.
    async fn hold(&self, kind: Kind, number: usize, mut stream: TcpStream) -> String {
        let from = network(number);
        let request = |text: &str| text.replacen("{}", &from, 1);
        match kind {
            Kind::HeldPairing => {
                self.say(&mut stream, &(request(&self.requests.held_pairing) + &"x".repeat(limits::PAIR_BODY - 1))).await
            }
            Kind::HeldReport => self.say(&mut stream, &request(&self.requests.held_report)).await,
            Kind::Poll => self.say(&mut stream, &request(&self.requests.poll)).await,
            Kind::Http2 => self.say(&mut stream, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0").await,
            Kind::EndlessHead => {
                let line = format!("X-Padding: {}\r\n", "x".repeat(1000));
                let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: osm\r\n").await;
                // As much as is taken without an answer, and then a little at a time.
                for _ in 0..15 {
                    let _ = stream.write_all(line.as_bytes()).await;
                }
                while stream.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
                "closed".to_owned()
            }
            Kind::Trickle => {
                let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: osm\r\nX-Slow: ").await;
                while stream.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_secs(20)).await;
                }
                "closed".to_owned()
            }
        }
    }

    async fn say(&self, stream: &mut TcpStream, request: &str) -> String {
        let _ = stream.write_all(request.as_bytes()).await;
        said(stream).await
    }

    fn count(&self, what: &str) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() += 1;
    }
}

/// The status that comes, or that none does.
async fn said(stream: &mut TcpStream) -> String {
    let mut head = [0; 12];
    match stream.read_exact(&mut head).await {
        Ok(_) => String::from_utf8_lossy(&head[9..]).into_owned(),
        Err(_) => "closed".to_owned(),
    }
}

fn network(number: usize) -> String {
    format!("203.0.{}.7", number % NETWORKS)
}
