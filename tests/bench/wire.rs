//! HTTP/1.1 over a connection that stays open, as cheap as can be: the load generator shares the cores with what it measures.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use osm_protocol::request_signature::Headers;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Above the longest poll.
const WITHIN: Duration = Duration::from_mins(1);

pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What came back.
pub struct Reply<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(2048) })
    }

    pub async fn exchange(&mut self, request: &[u8]) -> Result<Reply<'_>> {
        self.send(request).await?;
        self.receive().await
    }

    pub async fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request).await?)
    }

    pub async fn receive(&mut self) -> Result<Reply<'_>> {
        let (status, body) = timeout(WITHIN, self.read()).await.context("no answer")??;
        Ok(Reply { status, body: &self.received[body..] })
    }

    /// Whether nothing has come yet.
    pub fn is_waiting(&self) -> bool {
        self.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Reads one answer; where its body starts.
    async fn read(&mut self) -> Result<(u16, usize)> {
        self.received.clear();
        let head = loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the connection was closed");
        };
        let (status, length) = parse(std::str::from_utf8(&self.received[..head])?)?;
        while self.received.len() < head + length {
            ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the connection was closed");
        }
        Ok((status, head))
    }
}

fn parse(head: &str) -> Result<(u16, usize)> {
    let status = head.get(9..12).context("no status")?.parse()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    });
    match length {
        Some(length) => Ok((status, length.parse()?)),
        None if status == 204 => Ok((status, 0)),
        None => bail!("an answer without a Content-Length:\n{head}"),
    }
}

/// The head of a signed request.
pub fn head(method: &str, path_and_query: &str, authority: &str, headers: &Headers, length: usize) -> Vec<u8> {
    format!(
        "{method} {path_and_query} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Content-Digest: {}\r\nSignature-Input: {}\r\nSignature: {}\r\n\r\n",
        headers.content_digest, headers.signature_input, headers.signature
    )
    .into_bytes()
}

/// Each connection is a file, and so it is in the backend, which inherits this limit.
pub fn allow_connections(count: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        let raised = limit.maximum.map_or(count, |maximum| maximum.min(count));
        ensure!(raised >= count, "only {raised} files may be open here, {count} are needed: raise the hard limit (ulimit -Hn)");
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum })?;
    }
    Ok(())
}
