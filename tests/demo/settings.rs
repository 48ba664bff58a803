//! Where backend and web chat listen, and where the programs are: errors name the variable to change.

use std::{
    env, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use anyhow::{Context, Result, anyhow};

pub struct Settings {
    /// Of the backend, which binds it itself; found to be free.
    pub api: SocketAddr,
    /// Of the Bot API stand-in with its web chat.
    pub chat: TcpListener,
}

impl Settings {
    pub fn from_environment() -> Result<Self> {
        // The backend's is let go again, so that the backend can have it.
        let api = listener("OSM_LISTEN", "127.0.0.1:8080")?.local_addr()?;
        let chat = listener("OSM_DEMO_CHAT_LISTEN", "127.0.0.1:8081")?;
        chat.set_nonblocking(true)?;
        Ok(Self { api, chat })
    }
}

/// Whether there is a bot in real Telegram to run as.
pub fn telegram_token() -> bool {
    ["OSM_TELEGRAM_TOKEN", "OSM_TELEGRAM_TOKEN_FILE"].into_iter().any(|key| set(key).is_some())
}

/// An environment variable that is set to something.
pub fn set(key: &str) -> Option<String> {
    env::var(key).ok().filter(|value| !value.is_empty())
}

/// Where the programs built together with this one are.
pub fn program(name: &str) -> Result<PathBuf> {
    let folder = env::current_exe()?.parent().context("this program is in no folder")?.to_owned();
    let program = folder.join(name);
    program.is_file().then_some(program).with_context(|| {
        let release = if folder.ends_with("release") { " --release" } else { "" };
        format!("{name} is not in {}: build it with `cargo build{release} -p {name}`, or use `make run`", folder.display())
    })
}

/// As a browser or an agent on this machine reaches it.
pub fn url(address: SocketAddr) -> String {
    let local = if address.ip().is_unspecified() { SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())) } else { address };
    format!("http://{local}")
}

fn listener(key: &str, default: &str) -> Result<TcpListener> {
    let text = set(key).unwrap_or_else(|| default.to_owned());
    let address: SocketAddr =
        text.parse().map_err(|_| anyhow!("{key}: {text:?} is not an address and a port, such as {default}"))?;
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow!("{address} is in use: stop what listens there, or set {key} to a free address, such as {}:0", address.ip())
        }
        _ => anyhow!("cannot listen on {address} ({error}): set {key} to an address of this machine, such as {default}"),
    })
}
