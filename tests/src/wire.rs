//! HTTP/1.1 by hand: for callers who do not keep to it.

use std::time::Duration;

use osm_protocol::request_signature::Headers;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::world::SOON;

pub struct Wire(TcpStream);

/// The head of an answer, and whether the connection was closed after it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (its_name, value) = line.split_once(':')?;
            its_name.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Wire {
    /// `authority` is where it listens.
    pub async fn open(authority: &str) -> Self {
        Self(TcpStream::connect(authority).await.expect("a connection"))
    }

    /// Sends these bytes, unless the other end has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Waits for the head of an answer; `None`: it was closed without one.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                match self.0.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
        };
        timeout(SOON, read).await.expect("an answer, or an end");
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.get(9..12)?.parse().expect("a status");
        Some(Answer { status, head })
    }

    /// Waits until the other end closes, and gives what it said until then.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset ends it too.
        let _ = timeout(Duration::from_secs(40), self.0.read_to_end(&mut rest)).await.expect("an end");
        rest
    }

    /// Whether nothing has come, and it is open.
    pub fn is_waiting(&self) -> bool {
        self.0.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// Sends each of these on a connection of its own, waits for so many answers, and gives them with those that still wait.
pub async fn side_by_side(
    authority: &str,
    requests: impl Iterator<Item = String>,
    answered: usize,
) -> (Vec<Answer>, JoinSet<Option<Answer>>) {
    let mut waiting = JoinSet::new();
    for request in requests {
        let mut wire = Wire::open(authority).await;
        wire.send(request.as_bytes()).await;
        waiting.spawn(async move { wire.answer().await });
    }
    let mut answers = Vec::new();
    while answers.len() < answered {
        answers.push(waiting.join_next().await.expect("a call").expect("no panic").expect("an answer"));
    }
    assert!(waiting.try_join_next().is_none(), "the others are held");
    (answers, waiting)
}

/// The head of a signed request whose body has `length` bytes.
pub fn head(method: &str, path: &str, headers: &Headers, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: osm\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Content-Digest: {}\r\nSignature-Input: {}\r\nSignature: {}\r\n\r\n",
        headers.content_digest, headers.signature_input, headers.signature
    )
}
