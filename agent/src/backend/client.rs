//! All HTTP: one client, its trust and its limits, and the signature on every request.
//!
//! Proxies come from the usual variables (`HTTPS_PROXY`, `NO_PROXY`); a loopback address never goes through one.

use std::{path::Path, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::Outcome,
    envelope::Envelope,
    ids::CommandId,
    messages::{Acknowledgement, PairRequest, PairResponse, Receipt, ReportBatch, problem},
    request_signature::{self, Target},
};
use reqwest::{Certificate, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    address::Api,
    answer::{self, Answer},
    error::{ClientError, explain},
};
use crate::{
    host::{clock::Clock, durable, random::Random},
    text::duration,
};

/// Seconds a long poll stays open.
const POLL_SECONDS: u64 = 25;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Client {
    http: reqwest::Client,
    api: Api,
    key: SigningKey,
    clock: Rc<Clock>,
    random: Random,
}

/// A request, before it is signed.
struct Call<'a> {
    method: Method,
    path: &'a str,
    query: Option<&'a str>,
    timeout: Duration,
}

impl<'a> Call<'a> {
    fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, query: None, timeout: TIMEOUT }
    }

    fn post(path: &'a str) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }
}

/// Envelopes as they came, each to be judged from its own bytes.
#[derive(Deserialize)]
pub struct Delivered {
    pub commands: Vec<Box<RawValue>>,
}

impl Client {
    pub fn new(api: Api, ca_file: Option<&Path>, key: SigningKey, clock: Rc<Clock>, random: Random) -> Result<Self> {
        Ok(Self { http: http(&api, ca_file)?, api, key, clock, random })
    }

    pub fn api(&self) -> &Api {
        &self.api
    }

    pub async fn pair(&self, request: &PairRequest) -> Result<PairResponse, ClientError> {
        self.send(&Call::post("/agent/v1/pair"), &json(request)?).await?.json()
    }

    /// Sends reports; the answer's clock is taken up. The batch is made anew when the clock turns out to be off: its samples'
    /// times follow the clock.
    pub async fn report(&self, batch: impl Fn(&Clock) -> ReportBatch) -> Result<Receipt, ClientError> {
        let sent = self.clock.instant();
        let answer = self.send_made(&Call::post("/agent/v1/reports"), |clock| json(&batch(clock))).await?;
        let receipt: Receipt = answer.json_with(|receipt: &Receipt| &receipt.nonce)?;
        self.clock.learn(receipt.now, self.clock.instant() - sent);
        Ok(receipt)
    }

    /// Waits for commands with a higher seq.
    pub async fn commands(&self, after: i64) -> Result<Delivered, ClientError> {
        // In the order of their names: some proxies sort them, and the signature covers the query as it arrives.
        let query = format!("after={after}&wait={POLL_SECONDS}");
        let timeout = TIMEOUT + Duration::from_secs(POLL_SECONDS);
        let call = Call { query: Some(&query), timeout, ..Call::get("/agent/v1/commands") };
        self.send(&call, &[]).await?.json()
    }

    /// Tells how a command ended.
    pub async fn outcome(&self, jti: CommandId, outcome: &Outcome) -> Result<(), ClientError> {
        self.acknowledged(&Call::post(&format!("/agent/v1/commands/{jti}/outcome")), &json(outcome)?).await
    }

    pub async fn keys(&self) -> Result<Envelope, ClientError> {
        self.send(&Call::get("/agent/v1/keys"), &[]).await?.json()
    }

    pub async fn unpair(&self) -> Result<(), ClientError> {
        self.acknowledged(&Call::post("/agent/v1/unpair"), b"{}").await
    }

    async fn acknowledged(&self, call: &Call<'_>, body: &[u8]) -> Result<(), ClientError> {
        self.send(call, body).await?.json_with(|done: &Acknowledgement| &done.nonce).map(drop)
    }

    async fn send(&self, call: &Call<'_>, body: &[u8]) -> Result<Answer, ClientError> {
        self.send_made(call, |_| Ok(body.to_vec())).await
    }

    /// Sends, and once more when the backend says that our clock is off.
    async fn send_made(
        &self,
        call: &Call<'_>,
        body: impl Fn(&Clock) -> Result<Vec<u8>, ClientError>,
    ) -> Result<Answer, ClientError> {
        let sent = self.clock.instant();
        match self.send_once(call, body(&self.clock)?).await {
            Err(error) if let Some(now) = time_of(&error) => {
                self.clock.learn(now, self.clock.instant() - sent);
                let off = duration(self.clock.ahead());
                log::warn!("this machine's clock is {off} off the backend's; what is sent is corrected");
                self.send_once(call, body(&self.clock)?).await
            }
            other => other,
        }
    }

    async fn send_once(&self, call: &Call<'_>, body: Vec<u8>) -> Result<Answer, ClientError> {
        let nonce = self.random.bytes::<16>().map_err(|error| ClientError::Network(error.to_string()))?;
        let nonce = HEXLOWER.encode(&nonce);
        let Call { method, path, query, timeout } = call;
        let target = Target { method: method.as_str(), authority: &self.api.authority, path, query: *query };
        let signed = request_signature::sign(target, &body, &self.key, self.clock.now() / 1000, &nonce);
        let mut url = self.api.url.clone();
        url.set_path(path);
        url.set_query(*query);
        let answer = self
            .http
            .request(method.clone(), url)
            .timeout(*timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header("content-digest", signed.content_digest)
            .header("signature-input", signed.signature_input)
            .header("signature", signed.signature)
            .body(body)
            .send()
            .await
            .map_err(|error| ClientError::Network(explain(error)))?;
        answer::read(answer, nonce).await
    }
}

/// Gives the backend's time where it says that ours is off.
fn time_of(error: &ClientError) -> Option<i64> {
    error.refusal().filter(|problem| problem.kind == problem::CLOCK_SKEW)?.now
}

fn json<T: Serialize>(body: &T) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(body).map_err(|error| ClientError::Network(format!("the request cannot be made: {error}")))
}

fn http(api: &Api, ca_file: Option<&Path>) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("osm-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // A redirected request would carry a signature for another address.
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(2)
        .tcp_keepalive(Duration::from_mins(1));
    if api.is_plain() {
        // Plain text to loopback: no proxy sees it, and no certificates are loaded for it.
        let none = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        builder = builder.no_proxy().tls_backend_preconfigured(none);
    } else if let Some(path) = ca_file {
        let pem = durable::read(path, 1024 * 1024)
            .map_err(anyhow::Error::from)
            .and_then(|pem| pem.ok_or_else(|| anyhow!("no such file")))
            .with_context(|| format!("ca_file {} cannot be read", path.display()))?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .with_context(|| format!("ca_file {} holds no certificate in PEM form", path.display()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| anyhow!("the HTTPS client cannot be set up: {}", explain(error)))
}
