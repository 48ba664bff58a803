//! A backend on a fresh database, the Bot API stand-in beside it, and people who write to the bot.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use osm_api::{App, clock::Clock, config::Config, store::outbox, usecase::Core};
use osm_protocol::ids::ServerId;
use osm_telegram_sim::{Options, Sim, User};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    runtime::{Handle, Id},
    sync::oneshot,
    task::JoinHandle,
};

use crate::{
    agent,
    database::{self, Engine, Table},
    ending::{self, Excused},
    errors,
    process::{self, Ended, Process},
    talk::Taken,
    until::{until, until_within},
};

/// 2027-01-15 08:00:00 UTC, where the stories' clocks start.
pub const START: i64 = 1_800_000_000_000;
/// How long a story waits for what must happen.
pub const SOON: Duration = Duration::from_secs(20);

pub const ANNA: i64 = 1001;
pub const BORIS: i64 = 1002;

pub struct World {
    pub sim: Sim,
    pub clock: Clock,
    pub core: Arc<Core>,
    pub api: String,
    pub anna: User,
    pub boris: User,
    /// What the backend announced at its start: the claim link.
    pub announced: Arc<Mutex<Option<String>>>,
    settings: HashMap<&'static str, String>,
    pub(crate) taken: Taken,
    excused: Excused,
    /// The runtime of the story, which tells its errors from those of others.
    runtime: Id,
    running: Option<Running>,
    /// Holds the state directory, and SQLite's file.
    dir: TempDir,
}

struct Running {
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<()>>,
}

/// Another backend on the world's database, with the same keys, as behind one balancer: it answers for the same public URL.
pub struct Instance {
    pub core: Arc<Core>,
    /// Where it listens.
    pub api: String,
    running: Running,
    /// Holds its state directory: each process has one of its own.
    _dir: TempDir,
}

impl Instance {
    pub async fn stop(self) -> Result<()> {
        let _ = self.running.stop.send(());
        self.running.served.await?
    }

    /// Ends it without a chance to give anything up.
    pub async fn crash(self) {
        self.running.served.abort();
        let _ = self.running.served.await;
    }
}

impl World {
    /// Anna may use the bot, and it is reached by webhook.
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, Options::default(), &[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "webhook")]).await
    }

    /// Like [`World::new`], by the system's clock: for agents that have no other.
    ///
    /// # Panics
    /// When the world cannot be made.
    pub async fn on_system_clock(engine: Engine, more: &[(&'static str, &str)]) -> Self {
        let settings = [&[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "webhook")], more].concat();
        Self::try_with(engine, Options::default(), &settings, Clock::system()).await.expect("a world")
    }

    /// # Panics
    /// When the world cannot be made: there is no story then.
    pub async fn with(engine: Engine, options: Options, settings: &[(&'static str, &str)]) -> Self {
        Self::try_with(engine, options, settings, Clock::manual(START)).await.expect("a world")
    }

    async fn try_with(engine: Engine, options: Options, settings: &[(&'static str, &str)], clock: Clock) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        errors::note();
        let dir = tempfile::tempdir()?;
        let sim = Sim::start(options).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut all: HashMap<&'static str, String> = settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        all.insert("OSM_LISTEN", address.to_string());
        all.insert("OSM_STATE_DIR", dir.path().display().to_string());
        all.insert("OSM_DATABASE_URL", database::fresh(engine, dir.path()).await?);
        all.insert("OSM_TELEGRAM_TOKEN", sim.token().to_owned());
        all.insert("OSM_TELEGRAM_API_URL", sim.api_url());
        let announced = Arc::default();
        let (core, running) = start(&all, clock.clone(), listener, &announced).await?;
        let (anna, boris) = (sim.user(ANNA, "Anna"), sim.user(BORIS, "Boris"));
        let world = Self {
            sim,
            clock,
            core,
            api: format!("http://{address}"),
            anna,
            boris,
            announced,
            settings: all,
            taken: Taken::default(),
            excused: Excused::default(),
            runtime: Handle::current().id(),
            running: Some(running),
            dir,
        };
        world.ready().await?;
        Ok(world)
    }

    /// Waits until the bot is set up.
    async fn ready(&self) -> Result<()> {
        if self.settings.get("OSM_TELEGRAM_MODE").is_some_and(|mode| mode == "webhook") {
            self.sim.wait_webhook(SOON).await?;
        }
        until("a bot that is set up", async || self.core.readiness.lack().is_none()).await;
        Ok(())
    }

    /// The story ends while updates or messages wait, for this reason.
    pub fn leaves_messages(&self, _why: &str) {
        self.excused.messages();
    }

    /// In this story Telegram refuses calls as wrong, for this reason.
    pub fn expects_refusals(&self, _why: &str) {
        self.excused.refusals();
    }

    /// In this story the backend logs errors, for this reason.
    pub fn expects_errors(&self, _why: &str) {
        self.excused.errors();
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub fn database_url(&self) -> String {
        self.settings["OSM_DATABASE_URL"].clone()
    }

    pub async fn stop(&mut self) -> Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let _ = running.stop.send(());
        running.served.await?
    }

    /// Starts the backend again, on the same address and database.
    pub async fn start(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.api.trim_start_matches("http://")).await?;
        let (core, running) = start(&self.settings, self.clock.clone(), listener, &self.announced).await?;
        self.core = core;
        self.running = Some(running);
        Ok(())
    }

    /// Starts another backend beside this one.
    pub async fn another(&self) -> Result<Instance> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let api = format!("http://{address}");
        let dir = tempfile::tempdir()?;
        copy_keys(self.dir.path(), dir.path())?;
        let mut settings = self.settings.clone();
        settings.insert("OSM_STATE_DIR", dir.path().display().to_string());
        settings.insert("OSM_LISTEN", address);
        settings.insert("OSM_PUBLIC_URL", self.api.clone());
        let (core, running) = start(&settings, self.clock.clone(), listener, &self.announced).await?;
        // It takes updates once Telegram has told it who it is.
        let secret = self.core.keys.webhook_secret.expose();
        until("the other backend takes updates", async || {
            let request = agent::client().post(format!("{api}/telegram/webhook")).body(r#"{"update_id":1}"#);
            let answer = request.header("X-Telegram-Bot-Api-Secret-Token", secret).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Ok(Instance { core, api, running, _dir: dir })
    }

    /// Runs a command of the operator beside the backend, with its configuration but for what is Telegram's.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn operate(&self, arguments: &[&str]) -> Ended {
        let mut command = process::command(&process::program("osm-api"));
        for (key, value) in self.settings.iter().filter(|(key, _)| !key.starts_with("OSM_TELEGRAM")) {
            command.env(key, value);
        }
        let logs = tempfile::tempdir().expect("a folder");
        let running = Process::start(command.args(arguments), logs.path(), "operator").expect("osm-api");
        running.end(SOON).expect("an end")
    }

    /// Starts the backend with another setting from now on.
    pub fn set(&mut self, key: &'static str, value: &str) {
        self.settings.insert(key, value.to_owned());
    }

    /// The claim link, once the backend has announced it.
    pub async fn claim_link(&self) -> String {
        let announced = async {
            loop {
                if let Some(link) = self.announced.lock().expect("one writer").clone() {
                    return link;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, announced).await.expect("a claim link")
    }

    /// Changes the database behind the backend's back.
    pub async fn sql(&self, statements: &str) {
        database::execute(&self.database_url(), statements).await.unwrap();
    }

    /// What a query finds: rows of whole numbers.
    pub async fn rows(&self, query: &str) -> Vec<Vec<i64>> {
        database::rows(&self.database_url(), query).await.unwrap()
    }

    /// Waits until every update is handled and everything is told.
    pub async fn settled(&self, limit: Duration) {
        // What is held until later is not to be told yet.
        let waiting = |now: i64| {
            format!(
                "SELECT (SELECT COUNT(*) FROM updates WHERE state = 'open')
                    + (SELECT COUNT(*) FROM outbox WHERE COALESCE(hold_until, 0) <= {now})"
            )
        };
        let is_done = async || self.rows(&waiting(self.clock.now())).await == [[0]];
        until_within(limit, "all is handled and told", is_done).await;
    }

    /// Waits until a poll of this server's agent stands at one of the backends.
    pub async fn poll_stands(core: &Core, server_id: ServerId) {
        until("a poll that waits", async || polls(core, server_id) > 0).await;
    }

    /// Waits until none does.
    pub async fn no_poll_stands(core: &Core, server_id: ServerId) {
        until("the end of the poll", async || polls(core, server_id) == 0).await;
    }

    /// All tables of the database with all their rows.
    pub async fn tables(&self) -> Vec<Table> {
        database::tables(&self.database_url()).await.unwrap()
    }

    /// Waits until all that may be told by now is told: however fast the clock is moved, Telegram takes a message a second.
    pub async fn all_is_told(&self) {
        let is_told = async || {
            let mut tx = self.core.store.read().await.expect("a transaction");
            outbox::due(&mut tx, self.clock.now(), 1).await.expect("the outbox").is_empty()
        };
        until_within(6 * SOON, "all that may be told is told", is_told).await;
    }
}

impl Drop for World {
    /// Nothing is left over at the end of a story, unless it says so.
    fn drop(&mut self) {
        let errors = errors::take(self.runtime);
        if std::thread::panicking() {
            return;
        }
        let mut left = self.excused.of_errors(errors);
        if self.running.is_some() {
            left.extend(ending::left_over(&self.database_url(), self.clock.now(), &self.sim, &self.excused));
        }
        assert!(left.is_empty(), "the story leaves behind:\n{}", left.join("\n"));
    }
}

/// How many polls of this server wait, besides this look.
fn polls(core: &Core, server_id: ServerId) -> usize {
    core.store.hub.poll(server_id).waiting() - 1
}

/// Gives another state directory the same keys.
fn copy_keys(from: &Path, to: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to.join("keys"))?;
    for file in ["keyset.json", "keys/root.pem", "keys/command.pem", "keys/pairing.key", "keys/webhook.secret"] {
        fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}

async fn start(
    settings: &HashMap<&'static str, String>,
    clock: Clock,
    listener: TcpListener,
    announced: &Arc<Mutex<Option<String>>>,
) -> Result<(Arc<Core>, Running)> {
    let announced = announced.clone();
    let config = Config::load(None, |key| settings.get(key).cloned())?;
    let app = App::open(config, clock).await.context("the backend does not open")?;
    let core = app.core.clone();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(app.serve(
        listener,
        async {
            let _ = stopped.await;
        },
        move |link| *announced.lock().expect("one writer") = Some(link.to_owned()),
    ));
    Ok((core, Running { stop, served }))
}
