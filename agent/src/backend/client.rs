//! All HTTP: one client, its trust and its limits, and the signature on every request.
//!
//! Proxies come from the usual variables (`HTTPS_PROXY`, `NO_PROXY`); a loopback address never goes through one.

use std::{path::Path, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::Outcome,
    envelope::Envelope,
    ids::CommandId,
    messages::{PairRequest, PairResponse, Problem, Receipt, ReportBatch, problem},
    request_signature::{self, Target},
};
use reqwest::{Certificate, Method, StatusCode, Url, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::host::{clock::Clock, identity};

/// Seconds a long poll stays open.
const POLL_SECONDS: u64 = 25;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const ANSWER_MAX: usize = 1024 * 1024;
/// The longest Retry-After that is honoured: a typo in a proxy must not silence a server for a day.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer: network, DNS, TLS, time-out.
    #[error("{0}")]
    Network(String),
    /// 429 or 503.
    #[error("the backend is busy")]
    Busy { retry_after: Option<Duration> },
    /// 410: the server was removed.
    #[error("the backend no longer knows this server (it was removed); pair it again, or stop the agent")]
    Removed,
    /// Any other refusal.
    #[error("the backend refused: {} {}{}", .0.status, .0.title, if .0.detail.is_empty() { String::new() } else { format!(" ({})", .0.detail) })]
    Refused(Problem),
    /// Not what was agreed on: a proxy's page, a newer backend.
    #[error("the answer is not understood: {0}")]
    Answer(String),
}

impl ClientError {
    /// The body itself was refused: sending it again changes nothing.
    pub fn is_about_the_body(&self) -> bool {
        matches!(self, Self::Refused(problem) if matches!(problem.status, 400 | 413 | 422))
    }

    /// The backend does not know this command (any more), or will never take this outcome.
    pub fn is_about_the_command(&self) -> bool {
        matches!(self, Self::Refused(problem) if matches!(problem.status, 400 | 404 | 413 | 422))
    }

    /// The key was refused: nothing will be accepted until something changes on the other side.
    pub fn is_about_the_key(&self) -> bool {
        matches!(self, Self::Refused(problem) if matches!(problem.status, 401 | 403))
    }
}

/// Where the backend is: scheme, host and port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    url: Url,
    authority: String,
}

impl Api {
    /// Parses an address as a person gives it; plain http is taken for this very machine only.
    pub fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text.trim())
            .map_err(|error| anyhow!("the API address is not a URL: {error}; it looks like https://osm.example"))?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        if host.is_empty() || !matches!(url.scheme(), "https" | "http") {
            bail!("the API address must start with https:// and name a host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("the API address must not hold a user name or password");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            bail!("the API address has no path: give scheme, host and port only, as https://osm.example");
        }
        if url.scheme() == "http" && !is_loopback(&host) {
            bail!(
                "{host} over plain http: anybody on the way could read and change it. Use https:// (http is for 127.0.0.1 only)"
            );
        }
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Ok(Self { url, authority })
    }

    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub struct Client {
    http: reqwest::Client,
    api: Api,
    key: SigningKey,
    clock: Rc<Clock>,
}

/// Envelopes as they came, each to be judged from its own bytes.
#[derive(Deserialize)]
pub struct Delivered {
    pub commands: Vec<Box<RawValue>>,
}

impl Client {
    pub fn new(api: Api, ca_file: Option<&Path>, key: SigningKey, clock: Rc<Clock>) -> Result<Self> {
        Ok(Self { http: http(&api, ca_file)?, api, key, clock })
    }

    pub async fn pair(&self, request: &PairRequest) -> Result<PairResponse, ClientError> {
        self.post("/agent/v1/pair", request).await
    }

    /// Sends reports; the answer's clock is taken up. The batch is made anew when the clock turns out to be off: its samples'
    /// times follow the clock.
    pub async fn report(&self, batch: impl Fn(&Clock) -> ReportBatch) -> Result<Receipt, ClientError> {
        let sent = tokio::time::Instant::now();
        let body = |clock: &Clock| serde_json::to_vec(&batch(clock)).unwrap_or_default();
        let answer = self.send_made(&Method::POST, "/agent/v1/reports", None, body, TIMEOUT).await?;
        let receipt: Receipt = parse(&answer)?;
        self.clock.learn(receipt.now, sent.elapsed());
        Ok(receipt)
    }

    /// Waits for commands with a higher seq.
    pub async fn commands(&self, after: i64) -> Result<Delivered, ClientError> {
        let query = format!("wait={POLL_SECONDS}&after={after}");
        let answer =
            self.send(Method::GET, "/agent/v1/commands", Some(&query), &[], TIMEOUT + Duration::from_secs(POLL_SECONDS)).await?;
        parse(&answer)
    }

    /// Tells how a command ended.
    pub async fn outcome(&self, jti: CommandId, outcome: &Outcome) -> Result<(), ClientError> {
        let body = serde_json::to_vec(outcome).map_err(|error| ClientError::Answer(error.to_string()))?;
        self.send(Method::POST, &format!("/agent/v1/commands/{jti}/outcome"), None, &body, TIMEOUT).await.map(drop)
    }

    pub async fn keys(&self) -> Result<Envelope, ClientError> {
        parse(&self.send(Method::GET, "/agent/v1/keys", None, &[], TIMEOUT).await?)
    }

    pub async fn unpair(&self) -> Result<(), ClientError> {
        self.send(Method::POST, "/agent/v1/unpair", None, b"{}", TIMEOUT).await.map(drop)
    }

    async fn post<T: Serialize, R: DeserializeOwned>(&self, path: &str, body: &T) -> Result<R, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Answer(error.to_string()))?;
        parse(&self.send(Method::POST, path, None, &body, TIMEOUT).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        self.send_made(&method, path, query, |_| body.to_vec(), timeout).await
    }

    /// Sends, and once more when the backend says that our clock is off.
    async fn send_made(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        body: impl Fn(&Clock) -> Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        let sent = tokio::time::Instant::now();
        match self.send_once(method, path, query, body(&self.clock), timeout).await {
            Err(ClientError::Refused(Problem { kind, status: 401, now: Some(now), .. })) if kind == problem::CLOCK_SKEW => {
                self.clock.learn(now, sent.elapsed());
                log::warn!(
                    "this machine's clock is {} off the backend's; what is sent is corrected",
                    crate::command::execute::duration(self.clock.ahead())
                );
                self.send_once(method, path, query, body(&self.clock), timeout).await
            }
            other => other,
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        let nonce = HEXLOWER.encode(&identity::random::<16>().map_err(|error| ClientError::Network(error.to_string()))?);
        let target = Target { method: method.as_str(), authority: &self.api.authority, path, query };
        let signed = request_signature::sign(target, &body, &self.key, self.clock.now() / 1000, &nonce);
        let mut url = self.api.url.clone();
        url.set_path(path);
        url.set_query(query);
        let answer = self
            .http
            .request(method.clone(), url)
            .timeout(timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header("content-digest", signed.content_digest)
            .header("signature-input", signed.signature_input)
            .header("signature", signed.signature)
            .body(body)
            .send()
            .await
            .map_err(|error| ClientError::Network(explain(error)))?;
        read(answer).await
    }
}

/// What an answer means; the body is read up to a limit only.
async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, ClientError> {
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| ClientError::Network(explain(error)))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(ClientError::Answer(format!("more than {ANSWER_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(body);
    }
    match status {
        StatusCode::GONE => Err(ClientError::Removed),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(ClientError::Busy { retry_after }),
        _ => Err(ClientError::Refused(problem_of(status, &body))),
    }
}

/// The problem in an error's body; a proxy's HTML page is none, and is not shown.
fn problem_of(status: StatusCode, body: &[u8]) -> Problem {
    let shorten = |text: &str| crate::text::shorten(text, 300);
    let problem = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_| Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("unknown status").to_owned(),
        status: status.as_u16(),
        detail: String::new(),
        now: None,
    });
    Problem { status: status.as_u16(), title: shorten(&problem.title), detail: shorten(&problem.detail), ..problem }
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(answer).map_err(|error| ClientError::Answer(error.to_string()))
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
        let pem = crate::host::durable::read(path, 1024 * 1024)
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

/// The whole chain of an error in one line, with the fix where there is one.
fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    for (sign, fix) in [
        ("UnknownIssuer", "the backend's certificate is of a CA this machine does not know: set ca_file in agent.toml"),
        ("CaUsedAsEndEntity", "the backend shows the certificate of a CA itself: it needs one of its own, signed by that CA"),
        (
            "not valid for name",
            "the backend's certificate is for another name: give its name to pair --api, or let the backend have one for this name",
        ),
        ("certificate expired", "the backend's certificate has expired, or this machine's clock is wrong"),
        ("not valid yet", "this machine's clock is behind, or the certificate is of the future"),
        ("No CA certificates", "install the package ca-certificates"),
        ("dns error", "the backend's name cannot be resolved: check the address and DNS"),
        ("refused", "nothing listens there: check the address and that the backend runs"),
    ] {
        if text.contains(sign) {
            return format!("{text} ({fix})");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_only_where_nobody_can_listen() {
        for good in
            ["https://osm.example", "https://osm.example:8443/", "http://127.0.0.1:8080", "http://[::1]:80", "http://localhost:1"]
        {
            Api::parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "http://osm.example",
            "http://10.0.0.1:8080",
            "http://127.0.0.1.evil.example",
            "http://localhost.example",
            "https://user:pass@osm.example",
            "https://osm.example/api",
            "https://osm.example/?x=1",
            "https://osm.example/#x",
            "ftp://osm.example",
            "osm.example",
            "",
        ] {
            assert!(Api::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_authority_is_lower_case_without_the_default_port() {
        assert_eq!(Api::parse("https://OSM.Example:443").unwrap().authority, "osm.example");
        assert_eq!(Api::parse("http://127.0.0.1:8080").unwrap().authority, "127.0.0.1:8080");
        assert_eq!(Api::parse("http://[::1]:8080/").unwrap().authority, "[::1]:8080");
        assert_eq!(Api::parse("https://osm.example/").unwrap().to_string(), "https://osm.example");
    }

    #[test]
    fn a_proxys_page_is_a_problem_by_its_status_and_is_not_shown() {
        let problem = problem_of(StatusCode::BAD_GATEWAY, b"<html>nginx</html>");
        assert_eq!((problem.status, problem.title.as_str(), problem.detail.as_str()), (502, "Bad Gateway", ""));
        let lying = br#"{"type":"about:blank","title":"x","status":200,"detail":"a\u001b[2Jb"}"#;
        let problem = problem_of(StatusCode::BAD_REQUEST, lying);
        assert_eq!((problem.status, problem.detail.as_str()), (400, "a [2Jb"));
    }
}
