//! Who is woken when something is committed: workers and long polls of this process, and those of other instances
//! through LISTEN/NOTIFY. Waking only shortens the wait; every worker also sweeps.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, futures::Notified, watch};

use super::Result;
use crate::domain::ids::ServerId;

pub const CHANNEL: &str = "osm_wake";

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
    polls: Mutex<HashMap<ServerId, Arc<Notify>>>,
}

impl Hub {
    pub fn wake(&self, whom: &Wake) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
