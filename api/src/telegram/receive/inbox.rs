//! Applies what people asked for: of each chat its oldest open update, one after the other; many chats side by side, so that
//! nobody waits for another's look-up at Telegram.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock, Semaphore},
    task::JoinSet,
    time::timeout,
};

use crate::{
    domain::{access::Standing, intent::Request},
    error::Result,
    store::updates::Claimed,
    telegram::send::bot::Bot,
    usecase::{Core, access::role, update},
};

/// How long to wait for a wake before looking anyway.
const SWEEP: Duration = Duration::from_secs(1);
/// How long Telegram may take to say whether somebody is an administrator: well below the claim on an update.
const LOOK_UP: Duration = Duration::from_secs(5);
/// Chats at a time. Most wait for Telegram, if for anything: the database takes one after the other.
const AT_ONCE: usize = 64;

/// Ends when the backend stops, with what is under way applied.
pub async fn run(core: &Arc<Core>, bot: &Arc<Bot>) {
    let inbox = Arc::new(Inbox { core: core.clone(), bot: bot.clone(), suspects: Arc::default() });
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut turns = JoinSet::new();
    while !core.store.hub.is_stopping() {
        // Whatever ends, of itself or by a panic, gives its place back; a panic costs its own update only, which is begun again
        // when its claim has run out, and set aside in the end.
        while turns.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match inbox.clone().claim().await {
            Ok(Some(turn)) => {
                turns.spawn(async move {
                    if let Err(error) = turn.apply().await {
                        tracing::error!(%error, "inbox");
                    }
                    drop(place);
                });
            }
            // The end of a turn lets the next update of its chat be claimed.
            Ok(None) => tokio::select! {
                _ = timeout(SWEEP, core.store.hub.inbox.notified()) => {}
                Some(_) = turns.join_next() => {}
            },
            Err(error) => {
                tracing::error!(%error, "inbox");
                tokio::time::sleep(SWEEP).await;
            }
        }
    }
    while turns.join_next().await.is_some() {}
}

struct Inbox {
    core: Arc<Core>,
    bot: Arc<Bot>,
    /// What was begun before and not finished may crash the backend: it is applied alone, so that it takes nothing else along.
    suspects: Arc<RwLock<()>>,
}

/// A claimed update. While it is held, no suspect is applied.
struct Turn {
    inbox: Arc<Inbox>,
    claimed: Claimed,
    beside: OwnedRwLockReadGuard<()>,
}

impl Inbox {
    /// Claims the next update, if there is one.
    async fn claim(self: Arc<Self>) -> Result<Option<Turn>> {
        let beside = self.suspects.clone().read_owned().await;
        let claimed = update::claim(&self.core).await?;
        Ok(claimed.map(|claimed| Turn { inbox: self, claimed, beside }))
    }

    async fn apply(&self, claimed: &Claimed) -> Result<()> {
        let standing = match &claimed.request {
            Some(request) if role::depends_on_group_role(&self.core, request).await? => self.standing(request).await,
            _ => Standing::Member,
        };
        update::apply(&self.core, claimed, standing).await
    }

    /// Asks Telegram. Not knowing means not allowing.
    async fn standing(&self, request: &Request) -> Standing {
        match timeout(LOOK_UP, self.bot.is_admin(request.chat.id, request.actor.id)).await {
            Ok(Ok(true)) => Standing::Administrator,
            Ok(Ok(false)) => Standing::Member,
            unknown => {
                tracing::warn!(?unknown, "the role in a group could not be looked up");
                Standing::Member
            }
        }
    }
}

impl Turn {
    async fn apply(self) -> Result<()> {
        let Self { inbox, claimed, beside } = self;
        if claimed.attempts == 1 {
            let _beside = beside;
            return inbox.apply(&claimed).await;
        }
        drop(beside);
        let _alone = inbox.suspects.write().await;
        inbox.apply(&claimed).await
    }
}
