//! The handle to a running stand-in: its start, its end and its switches.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Duration, Instant, timeout_at},
};

use crate::{
    Failure, Group, Options, Role, Topic, User, delivery,
    model::{Chat, ChatKind},
    net::Cuts,
    server,
    state::State,
};

/// A running stand-in. Clones are handles to the same one; what it remembers lives as long as any handle.
#[derive(Clone)]
pub struct Sim {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub options: Options,
    pub address: SocketAddr,
    pub cuts: Cuts,
    pub http: reqwest::Client,
    /// Counts up with every change; all waiting in this crate is waiting for it.
    pub changed: watch::Sender<u64>,
    pub stop: watch::Sender<bool>,
    state: Mutex<State>,
}

impl Sim {
    /// Starts a stand-in on [`Options::listen`].
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
        Self::serve(listener, options)
    }

    /// Starts a stand-in on a listener that is there already; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the HTTP client cannot be made or the listener has no address.
    pub fn serve(listener: TcpListener, options: Options) -> anyhow::Result<Self> {
        // reqwest comes without a provider of its own. A second installation fails, and that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(options.webhook_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("cannot make the HTTP client for webhooks")?;
        let inner = Arc::new(Inner {
            address: listener.local_addr().context("the listener has no address")?,
            cuts: Cuts::default(),
            http,
            changed: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            state: Mutex::new(State::new(&options)),
            options,
        });
        server::spawn(listener, &inner);
        tokio::spawn(delivery::run(inner.clone()));
        Ok(Self { inner })
    }

    /// The base address of the Bot API, as the product's `OSM_TELEGRAM_API_URL` wants it. A browser finds the chat page
    /// there.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// The token the product must use.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.inner.options.token
    }

    /// Makes a person known who has not written to the bot yet; calling it again returns the same person.
    pub fn user(&self, id: i64, name: &str) -> User {
        self.user_speaking(id, name, "en")
    }

    /// As [`Sim::user`], with the language of the person's app.
    ///
    /// # Panics
    /// When the id is not positive: people's ids are.
    pub fn user_speaking(&self, id: i64, name: &str, language_code: &str) -> User {
        assert!(id > 0, "a user's id is positive");
        self.inner.with(|state| {
            let user = state.users.entry(id).or_insert_with(|| User {
                id,
                chat_id: id,
                name: name.to_owned(),
                username: Some(format!("{}_{id}", name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"))),
                language_code: language_code.to_owned(),
            });
            let chat = state.chats.entry(id).or_insert_with(|| Chat::new(id, name));
            chat.username.clone_from(&user.username);
            chat.members.insert(id, Role::Member);
            user.clone()
        })
    }

    /// Makes a group in which the bot is an ordinary member already, without telling the bot; see
    /// [`Sim::set_bot_role`] for its joining. Ids below -1000000000000 make supergroups, as with Telegram.
    ///
    /// # Panics
    /// When the id is not negative: groups' ids are.
    pub fn group(&self, id: i64, title: &str, members: &[(i64, Role)]) -> Group {
        assert!(id < 0, "a group's id is negative");
        self.inner.with(|state| {
            let chat = state.chats.entry(id).or_insert_with(|| Chat::new(id, title));
            chat.members.extend(members.iter().copied());
        });
        Group { id, title: title.to_owned() }
    }

    /// Gives a group a topic, or changes what becomes of it: the group is a forum from then on. [`GENERAL`](crate::GENERAL)
    /// is one, too.
    pub fn topic(&self, group: &Group, id: i32, topic: Topic) {
        self.inner.with(|state| state.chats.get_mut(&group.id).map(|chat| chat.topics.insert(id, topic)));
    }

    /// Removes a topic without a trace: what is for it is answered with "message thread not found".
    pub fn forget_topic(&self, group: &Group, id: i32) {
        self.inner.with(|state| state.chats.get_mut(&group.id).map(|chat| chat.topics.remove(&id)));
    }

    /// Changes somebody's place in a group; `chat_member` is pushed only if the bot asked for it.
    pub fn set_role(&self, group: &Group, user: &User, role: Role) {
        self.inner.with(|state| {
            let Some(chat) = state.chats.get_mut(&group.id) else { return };
            let old = chat.members.insert(user.id, role).unwrap_or(Role::Left);
            let payload = serde_json::json!({
                "chat": chat.json(), "from": user.json(), "date": crate::model::unix_now(),
                "old_chat_member": old.json(&user.json()), "new_chat_member": role.json(&user.json()),
            });
            state.push("chat_member", group.id, &payload);
        });
    }

    /// Somebody adds, promotes, demotes or removes the bot: changes its place and pushes `my_chat_member`.
    pub fn set_bot_role(&self, chat: impl Into<i64>, by: &User, role: Role) -> Option<i64> {
        let chat = chat.into();
        self.inner.with(|state| state.set_bot_role(chat, role, by.id))
    }

    /// The person blocks the bot: calls answer 403 from now on, and `my_chat_member` is pushed. Writing to the bot
    /// unblocks it.
    pub fn block(&self, user: &User) {
        self.set_bot_role(user, user, Role::Kicked);
    }

    /// The person lets the bot write again, without writing to it.
    pub fn unblock(&self, user: &User) {
        self.set_bot_role(user, user, Role::Member);
    }

    /// Somebody throws the bot out of the group: calls answer 403, and `my_chat_member` is pushed.
    pub fn kick(&self, group: &Group, by: &User) {
        self.set_bot_role(group, by, Role::Kicked);
    }

    /// The group becomes a supergroup with a new id: both service messages are pushed, and calls about the old chat
    /// answer 400 with `migrate_to_chat_id`.
    ///
    /// # Panics
    /// When the new id is no supergroup's.
    pub fn migrate(&self, group: &Group, to: i64) -> Group {
        assert!(ChatKind::of(to) == ChatKind::Supergroup, "a supergroup's id is below -1000000000000");
        self.inner.with(|state| {
            let mut new = Chat::new(to, &group.title);
            if let Some(old) = state.chats.get_mut(&group.id) {
                new.members = old.members.clone();
                new.bot = old.bot;
                old.migrated_to = Some(to);
            }
            state.chats.insert(to, new);
            let moved = "The group was upgraded to a supergroup";
            state.add_service(group.id, moved, serde_json::json!({"migrate_to_chat_id": to}));
            state.add_service(to, moved, serde_json::json!({"migrate_from_chat_id": group.id}));
        });
        Group { id: to, title: group.title.clone() }
    }

    /// Arms a failure; failures are used in the order in which they were armed.
    pub fn fail(&self, failure: Failure) {
        self.inner.with(|state| state.failures.push(failure));
    }

    /// Disarms all failures, and delivery is tidy again.
    pub fn heal(&self) {
        self.inner.with(|state| {
            state.failures.clear();
            state.queue.duplicate = false;
            state.queue.reorder = false;
        });
    }

    /// Every update from now on is delivered twice.
    pub fn duplicate_updates(&self, on: bool) {
        self.inner.with(|state| state.queue.duplicate = on);
    }

    /// Updates of one chat that come within 60 ms of each other go to the webhook newest first.
    pub fn reorder_updates(&self, on: bool) {
        self.inner.with(|state| state.queue.reorder = on);
    }

    /// Queues this very JSON as an update, whatever it is: hostile, repeated or out of order. `update_id` is filled
    /// in when it is missing from an object; `allowed_updates` is not asked.
    pub fn push_raw(&self, mut update: Value) -> i64 {
        self.inner.with(|state| {
            let update_id = match update.get("update_id").and_then(Value::as_i64) {
                Some(id) => id,
                None => state.next_update_id(),
            };
            if let Some(object) = update.as_object_mut() {
                object.entry("update_id").or_insert_with(|| update_id.into());
            }
            let lane =
                ["/message/chat/id", "/edited_message/chat/id", "/channel_post/chat/id", "/callback_query/message/chat/id"]
                    .iter()
                    .find_map(|path| update.pointer(path)?.as_i64());
            state.queue.push(update_id, lane.unwrap_or_default(), update, Instant::now());
            update_id
        })
    }

    /// Waits until the bot has taken every update: 2xx from the webhook, or confirmed by `getUpdates`.
    ///
    /// # Errors
    /// When updates are still waiting after `limit`.
    pub async fn wait_delivered(&self, limit: Duration) -> anyhow::Result<()> {
        self.inner.until(limit, |state| (state.queue.len() == 0).then_some(())).await.with_context(|| {
            let error = self.inner.quiet(|state| state.webhook_error.clone());
            format!("the bot has not taken all updates after {limit:?}; last webhook error: {error:?}")
        })
    }

    /// Whether this update still waits for the bot.
    #[must_use]
    pub fn is_pending(&self, update_id: i64) -> bool {
        self.inner.quiet(|state| state.queue.holds(update_id))
    }

    /// Waits until the bot has set a webhook.
    ///
    /// # Errors
    /// When it has not after `limit`.
    pub async fn wait_webhook(&self, limit: Duration) -> anyhow::Result<String> {
        self.inner
            .until(limit, |state| state.webhook.as_ref().map(|webhook| webhook.url.to_string()))
            .await
            .with_context(|| format!("the bot has set no webhook after {limit:?}"))
    }

    /// Stops serving: open connections are closed, waiting updates stay undelivered.
    pub async fn shutdown(&self) {
        self.inner.stop.send_replace(true);
        // The accept loop drops the listener at once; the address is free when this connection is refused.
        for _ in 0..100 {
            if tokio::net::TcpStream::connect(self.inner.address).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Inner {
    /// Works on the state and wakes whoever waits for a change.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let result = work(&mut self.lock());
        self.touch();
        result
    }

    /// Works on the state without waking anybody.
    pub(crate) fn quiet<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.lock())
    }

    pub(crate) fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Waits until `find` finds something, at most `limit`.
    pub(crate) async fn until<R>(&self, limit: Duration, mut find: impl FnMut(&State) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + limit;
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = self.quiet(|state| find(state)) {
                return Some(found);
            }
            if timeout_at(deadline, changed.changed()).await.is_err() {
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test's predicate that panicked must not hide the failure behind a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
