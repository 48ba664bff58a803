//! Tells the backend's own answers from those of whatever stands in its place: proxies, portals, maintenance pages and firewalls
//! answer with any status. A refusal is the backend's when it has its media type, a type of ours and the request's nonce; what
//! makes the agent forget something it keeps has the nonce, too. Everything else is somebody in between.

use std::time::Duration;

use osm_protocol::messages::{Problem, problem};
use reqwest::{Response, StatusCode, header};
use serde::de::DeserializeOwned;

use super::error::{ClientError, explain};
use crate::text::shorten;

const PROBLEM: &str = "application/problem+json";
/// The largest answer that is read, in bytes.
const SIZE_MAX: usize = 1024 * 1024;
/// The longest Retry-After that is honoured: whoever asks for longer must not silence a server.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// How much of a page's title is shown, characters.
const TITLE_MAX: usize = 60;

/// A success, as it came.
#[derive(Debug)]
pub struct Answer {
    body: Vec<u8>,
    nonce: String,
    /// What it looks like, should it turn out not to be the backend's.
    look: String,
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|_| ClientError::Between(self.look.clone()))
    }

    /// Reads an answer that has to name the request's nonce.
    pub fn json_with<T: DeserializeOwned>(&self, nonce: impl Fn(&T) -> &str) -> Result<T, ClientError> {
        let answer = self.json()?;
        if nonce(&answer) == self.nonce { Ok(answer) } else { Err(ClientError::Between(self.look.clone())) }
    }
}

/// Reads what came back for the request with this nonce.
pub async fn read(mut response: Response, nonce: String) -> Result<Answer, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| ClientError::Network(explain(error)))? {
        if body.len() + chunk.len() > SIZE_MAX {
            return Err(ClientError::Between(format!("{}, more than {SIZE_MAX} bytes", response.status())));
        }
        body.extend_from_slice(&chunk);
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, media_type) = (response.status(), media_type(header(header::CONTENT_TYPE)));
    let look = look(status, media_type, &body);
    if status.is_success() {
        return Ok(Answer { body, nonce, look });
    }
    let Some(problem) = ours(media_type, &body, &nonce) else { return Err(ClientError::Between(look)) };
    Err(match problem.kind.as_str() {
        problem::BUSY | problem::TOO_MANY => {
            ClientError::Busy { retry_after: header(header::RETRY_AFTER).trim().parse().ok().map(seconds) }
        }
        _ => ClientError::Refused(Box::new(problem)),
    })
}

/// Gives the backend's own refusal of the request with this nonce, fit to be shown.
fn ours(media_type: &str, body: &[u8], nonce: &str) -> Option<Problem> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    let is_ours = media_type.eq_ignore_ascii_case(PROBLEM)
        && problem.kind.starts_with(Problem::TYPES)
        && problem.nonce.as_deref() == Some(nonce);
    is_ours.then(|| Problem { title: shorten(&problem.title, 300), detail: shorten(&problem.detail, 300), ..problem })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(RETRY_AFTER_MAX)
}

fn media_type(header: &str) -> &str {
    header.split(';').next().unwrap_or_default().trim()
}

/// Describes an answer so that a person recognises who gave it.
fn look(status: StatusCode, media_type: &str, body: &[u8]) -> String {
    let media_type = if media_type.is_empty() { "no media type".to_owned() } else { shorten(media_type, TITLE_MAX) };
    match title(&String::from_utf8_lossy(body)) {
        Some(title) => format!("{status}, {media_type}, “{title}”"),
        None => format!("{status}, {media_type}"),
    }
}

/// Finds the title of a page.
fn title(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let title = page[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty()).then(|| shorten(&title, TITLE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "00112233445566778899aabbccddeeff";

    fn problem(kind: &str, nonce: &str) -> Vec<u8> {
        format!(r#"{{"type":"{kind}","title":"x","status":422,"detail":"a\u001b[2Jb","nonce":"{nonce}"}}"#).into_bytes()
    }

    #[test]
    fn a_refusal_is_ours_by_its_media_type_its_type_and_the_nonce() {
        let invalid = problem(problem::INVALID, NONCE);
        assert_eq!(ours(PROBLEM, &invalid, NONCE).unwrap().detail, "a [2Jb");
        assert_eq!(ours("application/json", &invalid, NONCE), None);
        assert_eq!(ours(PROBLEM, &invalid, "00112233445566778899aabbccddeefe"), None, "an answer to another request");
        assert_eq!(ours(PROBLEM, &problem("about:blank", NONCE), NONCE), None);
        assert_eq!(ours(PROBLEM, &problem("urn:somebody:problem:invalid", NONCE), NONCE), None);
        assert_eq!(
            ours(PROBLEM, br#"{"type":"urn:online-server-monitor:problem:removed","title":"","status":410}"#, NONCE),
            None
        );
        assert_eq!(ours(PROBLEM, b"<html>", NONCE), None);
    }

    #[test]
    fn what_is_not_ours_is_described() {
        let page = b"<html><head><TITLE lang=en>Just a\n moment\x1b[2J...</TITLE></head></html>";
        assert_eq!(
            look(StatusCode::FORBIDDEN, media_type("text/html; charset=utf-8"), page),
            "403 Forbidden, text/html, “Just a moment [2J...”"
        );
        assert_eq!(look(StatusCode::BAD_GATEWAY, "", b"\xff\xfe<title>"), "502 Bad Gateway, no media type");
        assert_eq!(title("<title></title>"), None);
        // Lower case must not shift the bytes.
        assert_eq!(title("İİ<title>é</title>").as_deref(), Some("é"));
        assert_eq!(title(&format!("<title>{}</title>", "x".repeat(200))).unwrap().chars().count(), TITLE_MAX);
    }

    #[test]
    fn nobody_silences_a_server_for_more_than_a_minute() {
        assert_eq!(seconds(5), Duration::from_secs(5));
        assert_eq!(seconds(3600), RETRY_AFTER_MAX);
        assert_eq!(seconds(u64::MAX), RETRY_AFTER_MAX);
    }
}
