//! An agent that does as it is told, well or badly: it signs with its own key, and every part of a request can be spoilt.

use anyhow::{Context, Result, bail};
use ed25519_dalek::SigningKey;
use osm_api::clock::Clock;
use osm_protocol::{
    action::{Chore, Outcome, OutcomeKind},
    command::{Command, Judge},
    envelope::{self, Envelope},
    ids::{CommandId, ServerId},
    key::PublicKey,
    keyset::{KeySet, Replace, TrustedKeys},
    messages::{
        Commands, Disk, Host, Load, Memory, PairRequest, PairResponse, Problem, Receipt, Report, ReportBatch, Service, Systemd,
    },
    pairing_token::PairingToken,
    request_signature::{Headers, Target, sign},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::world::World;

#[derive(Clone)]
pub struct Agent {
    pub key: SigningKey,
    pub api: String,
    pub authority: String,
    /// Nil until it is paired.
    pub server_id: ServerId,
    pub keys: Option<TrustedKeys>,
    pub clock: Clock,
    pub http: reqwest::Client,
    /// The highest seq it has seen.
    pub seq: i64,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Seconds after which to come again.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("Retry-After")?.parse().ok()
    }

    /// The problem document of a refusal.
    ///
    /// # Panics
    /// When it is none.
    pub fn problem(&self) -> Problem {
        assert!(self.status >= 400, "{self:?} is no refusal");
        self.json().expect("a problem document")
    }
}

impl Agent {
    pub fn new(world: &World) -> Self {
        Self::at(&world.api, world.clock.clone())
    }

    pub fn at(api: &str, clock: Clock) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            key: fresh_key(),
            api: api.to_owned(),
            authority: api.trim_start_matches("http://").to_owned(),
            server_id: uuid::Uuid::nil().into(),
            keys: None,
            clock,
            http: client(),
            seq: 0,
        }
    }

    pub fn pair_request(&self, token: &str) -> PairRequest {
        PairRequest {
            token: token.to_owned(),
            agent_key: PublicKey::from(&self.key).to_string(),
            machine: "c".repeat(64),
            agent_version: "0.1.0".to_owned(),
            host: host(),
            replaces: None,
        }
    }

    /// Pairs, and checks the answer as an agent must.
    pub async fn pair(&mut self, token: &str) -> Result<PairResponse> {
        let reply = self.post("/agent/v1/pair", &self.pair_request(token)).await?;
        if reply.status != 200 {
            bail!("{}: {}", reply.status, reply.problem().detail);
        }
        let response: PairResponse = reply.json()?;
        let token = PairingToken::parse(token)?;
        let root = KeySet::claimed_root(&response.key_set)?;
        assert!(token.pins(&root), "the answer comes with another root key than the token pins");
        self.keys = Some(KeySet::open(&response.key_set, &root, 0)?);
        self.server_id = response.server_id;
        Ok(response)
    }

    /// Comes with a token, and with a replacement of `server_id` signed by `old`, from the machine of this letter.
    pub async fn pair_replacing(&self, token: &str, server_id: ServerId, old: &Self, machine: &str) -> Reply {
        let mut request = self.pair_request(token);
        request.machine = machine.repeat(64);
        let replace = Replace {
            server_id,
            new_key: request.agent_key.clone(),
            token_hash: PairingToken::parse(token).expect("a token").hash(),
        };
        request.replaces = Some(Envelope::sign_json(envelope::REPLACE, &replace, &old.key));
        self.post("/agent/v1/pair", &request).await.expect("an answer")
    }

    /// An honest report of now.
    pub fn report(&self) -> Report {
        Report {
            at: self.clock.now(),
            interval_s: 30,
            boot: "b".repeat(64),
            clock_ahead_ms: 0,
            host: host(),
            cpu: Some(12.5),
            memory: Some(Memory { total: 8 << 30, available: 6 << 30, swap_total: 1 << 30, swap_free: 1 << 30 }),
            load: Some(Load { one: 0.42, five: 0.3, fifteen: 0.2 }),
            disks: vec![disk("/", 40, 60), disk("/var", 71, 29)],
            systemd: Systemd::Available,
            chores: Chore::ALL.to_vec(),
            monitored_only: None,
            unread_disks: Vec::new(),
            disks_left_out: 0,
            commands_unreachable: None,
            processes: vec![],
            services: vec![
                service("nginx.service", "active", "running"),
                service("postgresql@15-main.service", "inactive", "dead"),
            ],
        }
    }

    pub async fn send_report(&self, report: &Report) -> Result<Receipt> {
        let reply = self.send_reports(vec![report.clone()]).await?;
        if reply.status == 200 { reply.json() } else { bail!("{}: {}", reply.status, reply.problem().detail) }
    }

    pub async fn send_reports(&self, reports: Vec<Report>) -> Result<Reply> {
        self.post("/agent/v1/reports", &ReportBatch { agent_version: "0.1.0".to_owned(), reports }).await
    }

    /// Polls for commands as they come over the wire.
    pub async fn envelopes(&self, wait: u64) -> Result<Vec<Envelope>> {
        let reply = self.request("GET", "/agent/v1/commands", Some(&format!("wait={wait}&after={}", self.seq)), b"").await?;
        if reply.status == 200 {
            Ok(reply.json::<Commands>()?.commands)
        } else {
            bail!("{}: {}", reply.status, reply.problem().detail)
        }
    }

    /// Waits for one command and judges it as an agent must.
    pub async fn command(&mut self) -> Result<Command> {
        let envelopes = self.envelopes(10).await?;
        let envelope = envelopes.first().context("no command came")?;
        let agent_key = PublicKey::from(&self.key).to_string();
        let trusted = &self.keys.as_ref().context("not paired")?.command_keys;
        let command =
            Judge { trusted, server_id: self.server_id, agent_key: &agent_key, now: self.clock.now(), last_seq: self.seq }
                .judge(envelope)?;
        self.seq = command.seq;
        Ok(command)
    }

    pub async fn finish(&self, jti: CommandId, result: OutcomeKind, detail: &str) -> Result<Reply> {
        let outcome = Outcome { result, reason: None, detail: detail.to_owned(), at: self.clock.now() };
        self.post(&format!("/agent/v1/commands/{jti}/outcome"), &outcome).await
    }

    pub async fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<Reply> {
        self.request("POST", path, None, &serde_json::to_vec(body)?).await
    }

    /// A request as an agent signs it.
    pub async fn request(&self, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Result<Reply> {
        let headers = self.sign(method, path, query, body);
        self.send(method, path, query, &headers, body).await
    }

    pub fn sign(&self, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Headers {
        let target = Target { method, authority: &self.authority, path, query };
        sign(target, body, &self.key, self.clock.now() / 1000, &uuid::Uuid::new_v4().to_string())
    }

    /// A request with whatever headers.
    pub async fn send(&self, method: &str, path: &str, query: Option<&str>, headers: &Headers, body: &[u8]) -> Result<Reply> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let response = self
            .http
            .request(method.parse()?, format!("{}{path}{query}", self.api))
            .header("Content-Type", "application/json")
            .header("Content-Digest", &headers.content_digest)
            .header("Signature-Input", &headers.signature_input)
            .header("Signature", &headers.signature)
            .body(body.to_vec())
            .send()
            .await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, body: response.bytes().await?.to_vec() })
    }
}

pub fn fresh_key() -> SigningKey {
    let bytes = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat();
    SigningKey::from_bytes(&bytes.try_into().expect("32 bytes"))
}

/// A plain client, for stories that speak HTTP themselves.
#[expect(clippy::disallowed_methods, reason = "tests have no client.rs to go around")]
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub fn host() -> Host {
    Host {
        hostname: "web-1".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0-25-amd64".to_owned(),
        arch: "x86_64".to_owned(),
        cpus: 2,
        uptime_s: 93_784,
    }
}

/// A filesystem of 100 GiB.
pub fn disk(mount: &str, used: u64, available: u64) -> Disk {
    Disk {
        mount: mount.to_owned(),
        fs_type: "ext4".to_owned(),
        total: 100 << 30,
        used: used << 30,
        available: available << 30,
        inodes_total: 1_000_000,
        inodes_free: 900_000,
        read_only: false,
        went_read_only: false,
    }
}

pub fn service(unit: &str, active_state: &str, sub_state: &str) -> Service {
    Service {
        unit: unit.to_owned(),
        active_state: active_state.to_owned(),
        sub_state: sub_state.to_owned(),
        result: (active_state == "failed").then(|| "exit-code".to_owned()),
        restartable: true,
        ..Service::default()
    }
}
