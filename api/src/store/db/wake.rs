//! Who is woken when something is committed: workers and long polls of this process, and those of other instances through
//! LISTEN/NOTIFY; on SQLite, where a backend is alone but for the operator's commands, those wake it through a socket in its
//! state directory: datagrams, so that there is no connection to hold and nothing to answer. Waking only shortens the wait;
//! every worker also sweeps.

use std::{
    collections::HashMap,
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram as Sender},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{PgPool, postgres::PgListener};
use tokio::{
    net::UnixDatagram,
    sync::{Notify, futures::Notified, watch},
};

use super::Result;
use crate::domain::ids::ServerId;

pub const CHANNEL: &str = "osm_wake";
/// In the state directory: where the operator's commands wake a backend on SQLite.
pub const SOCKET: &str = "wake.sock";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    Inbox,
    Outbox,
    /// Whoever numbers events.
    Events,
    /// The long poll of this server.
    Commands(ServerId),
}

impl Wake {
    pub fn to_text(&self) -> String {
        match self {
            Self::Inbox => "inbox".to_owned(),
            Self::Outbox => "outbox".to_owned(),
            Self::Events => "events".to_owned(),
            Self::Commands(server_id) => format!("commands:{server_id}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "inbox" => Some(Self::Inbox),
            "outbox" => Some(Self::Outbox),
            "events" => Some(Self::Events),
            _ => text.strip_prefix("commands:")?.parse().ok().map(Self::Commands),
        }
    }
}

#[derive(Default)]
pub struct Hub {
    pub inbox: Notify,
    pub outbox: Notify,
    pub events: Notify,
    stopping: watch::Sender<bool>,
    /// Where the backend hears what a command beside it committed.
    beside: Option<PathBuf>,
    polls: Mutex<HashMap<ServerId, Arc<Notify>>>,
}

impl Hub {
    /// Makes the hub of a command beside a running backend, which hears its wakes at this socket.
    pub fn beside(socket: &Path) -> Self {
        Self { beside: Some(socket.to_owned()), ..Self::default() }
    }

    pub fn wake(&self, whom: &Wake) {
        if let Some(socket) = &self.beside {
            send(socket, whom);
        }
        match whom {
            Wake::Inbox => self.inbox.notify_one(),
            Wake::Outbox => self.outbox.notify_one(),
            Wake::Events => self.events.notify_one(),
            Wake::Commands(server_id) => {
                if let Some(poll) = self.polls().get(server_id) {
                    poll.notify_waiters();
                }
            }
        }
    }

    /// Gives what a long poll of this server waits on.
    pub fn poll(self: &Arc<Self>, server_id: ServerId) -> Poll {
        let woken = self.polls().entry(server_id).or_default().clone();
        Poll { hub: self.clone(), server_id, woken }
    }

    /// Lets nobody wait any longer: the process is about to end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        self.inbox.notify_one();
        self.outbox.notify_one();
        self.events.notify_one();
    }

    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub async fn stopped(&self) {
        // Fails only when the sender is gone, and that is this very hub.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    fn polls(&self) -> std::sync::MutexGuard<'_, HashMap<ServerId, Arc<Notify>>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A long poll's place in the [`Hub`], for as long as it waits.
pub struct Poll {
    hub: Arc<Hub>,
    server_id: ServerId,
    woken: Arc<Notify>,
}

impl Poll {
    /// Tells how many polls of its server there are, this one included.
    pub fn waiting(&self) -> usize {
        let held_by_the_hub = 1;
        Arc::strong_count(&self.woken) - held_by_the_hub
    }

    pub fn notified(&self) -> Notified<'_> {
        self.woken.notified()
    }
}

impl Drop for Poll {
    /// The last poll of a server takes its entry along.
    fn drop(&mut self) {
        let mut polls = self.hub.polls();
        if self.waiting() == 1 {
            polls.remove(&self.server_id);
        }
    }
}

/// Passes notifications of other instances on, for as long as the pool lives.
pub fn listen(pool: PgPool, hub: Arc<Hub>) {
    tokio::spawn(async move {
        while !pool.is_closed() {
            if let Err(error) = forward(&pool, &hub).await {
                tracing::debug!(%error, "LISTEN interrupted; sweeps go on");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
}

async fn forward(pool: &PgPool, hub: &Hub) -> Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        if let Some(wake) = Wake::parse(listener.recv().await?.payload()) {
            hub.wake(&wake);
        }
    }
}

/// Sends a wake to the backend. Where none runs, or it has many to read already, nothing is lost: it looks by itself.
fn send(socket: &Path, whom: &Wake) {
    let sent = Sender::unbound().and_then(|sender| {
        sender.set_nonblocking(true)?;
        sender.send_to(whom.to_text().as_bytes(), socket)
    });
    if let Err(error) = sent {
        tracing::debug!(%error, "the backend was not woken; it looks within a second");
    }
}

/// Passes on what commands beside this process committed, until it stops. Only the user of the service reaches the socket.
pub fn hear(socket: &Path, hub: Arc<Hub>) -> io::Result<()> {
    // Of a process that is dead: the state directory is this one's alone.
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let bound = UnixDatagram::bind(socket)?;
    fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    tokio::spawn(async move {
        let mut text = [0; 64];
        loop {
            tokio::select! {
                received = bound.recv(&mut text) => {
                    let wake = received.ok().and_then(|length| Wake::parse(std::str::from_utf8(&text[..length]).ok()?));
                    if let Some(wake) = wake {
                        hub.wake(&wake);
                    }
                }
                () = hub.stopped() => return,
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_beside_the_backend_wakes_it_and_nobody_else_can() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("wake.sock");
        let hub = Arc::new(Hub::default());
        // Nobody runs: nothing is lost but the wake.
        Hub::beside(&socket).wake(&Wake::Outbox);
        // One that crashed left its socket.
        fs::write(&socket, "").unwrap();
        hear(&socket, hub.clone()).unwrap();
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        Sender::unbound().unwrap().send_to(b"nonsense \xff", &socket).unwrap();
        let beside = Hub::beside(&socket);
        beside.wake(&Wake::Outbox);
        beside.wake(&Wake::Events);
        let woken = async { tokio::join!(hub.outbox.notified(), hub.events.notified()) };
        tokio::time::timeout(Duration::from_secs(5), woken).await.unwrap();
    }

    #[test]
    fn a_server_has_an_entry_for_as_long_as_one_of_its_polls_waits() {
        let hub = Arc::new(Hub::default());
        let server_id = ServerId::from(uuid::Uuid::from_u128(1));
        let (one, two) = (hub.poll(server_id), hub.poll(server_id));
        assert!(Arc::ptr_eq(&one.woken, &two.woken));
        drop(one);
        assert_eq!(hub.polls().len(), 1);
        drop(two);
        assert!(hub.polls().is_empty());
    }
}
