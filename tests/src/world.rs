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
use osm_telegram_sim::{BotMessage, ButtonKind, Options, Press, Sim, Toast, User};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    agent::{self, Agent},
    database::{self, Engine},
    ending::{self, Excused},
    process::{self, Ended, Process},
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
    excused: Excused,
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
        // OSM_LOG=debug shows what the backend says.
        if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("OSM_LOG") {
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        }
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
            excused: Excused::default(),
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
        let set_up = async {
            loop {
                let request = agent::client().post(format!("{api}/telegram/webhook")).body(r#"{"update_id":1}"#);
                if request.header("X-Telegram-Bot-Api-Secret-Token", secret).send().await?.status().is_success() {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, set_up).await.context("the other backend does not come up")??;
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
        let done = async {
            while self.rows(&waiting(self.clock.now())).await != [[0]] {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(limit, done).await.expect("an end of what is to be handled and told");
    }

    /// Waits until all that may be told by now is told: however fast the clock is moved, Telegram takes a message a second.
    pub async fn all_is_told(&self) {
        let told = async {
            loop {
                let mut tx = self.core.store.read().await.expect("a transaction");
                if outbox::due(&mut tx, self.clock.now(), 1).await.expect("the outbox").is_empty() {
                    return;
                }
                drop(tx);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(6 * SOON, told).await.expect("an end of what is to be told");
    }

    /// Somebody writes in their private chat and gets a new message that holds `expected`.
    pub async fn ask(&self, user: &User, text: &str, expected: &str) -> BotMessage {
        let said = self.sim.say(user, user, text);
        self.sim
            .wait(user, SOON, |message| message.message_id > said.message_id && message.plain.contains(expected))
            .await
            .unwrap()
    }

    /// The newest message of a chat that holds `expected`, also by an edit.
    pub async fn see(&self, chat: impl Into<i64>, expected: &str) -> BotMessage {
        self.sim.wait(chat, SOON, |message| message.plain.contains(expected)).await.unwrap()
    }

    /// Somebody taps a button; returns what popped up.
    pub async fn tap(&self, user: &User, message: &BotMessage, button: &str) -> Toast {
        let press: Press = self.sim.press(message.chat_id, user, message.message_id, button).unwrap();
        self.sim.wait_toast(&press, SOON).await.unwrap()
    }

    /// A pairing token, from the bot's message.
    pub async fn token(&self, user: &User, name: &str) -> (String, BotMessage) {
        let message = self.ask(user, &format!("/add_server {name}"), "osm-agent pair").await;
        let token = token_in(&message).expect("a token in the message");
        (token, message)
    }

    /// Anna asks for a restart on her newest card, up to the question.
    pub async fn restart_question(&self, unit: &str) -> BotMessage {
        let card = self.ask(&self.anna, "/status", "online").await;
        self.tap(&self.anna, &card, "Restart").await;
        let picking = |message: &BotMessage| message.message_id == card.message_id && message.edits > 0;
        let services = self.sim.wait(&self.anna, SOON, picking).await.unwrap();
        self.tap(&self.anna, &services, unit).await;
        self.sim
            .wait(&self.anna, SOON, |message| message.message_id > card.message_id && message.plain.contains(unit))
            .await
            .unwrap()
    }

    /// Anna asks for a chore on her newest card, up to the question.
    pub async fn chore_question(&self, button: &str) -> BotMessage {
        let card = self.ask(&self.anna, "/status", "online").await;
        self.tap(&self.anna, &card, button).await;
        self.sim
            .wait(&self.anna, SOON, |message| message.message_id > card.message_id && message.plain.contains("can confirm"))
            .await
            .unwrap()
    }

    /// A server of Anna's, paired and with its first report.
    pub async fn paired(&self, name: &str) -> Agent {
        let (token, _) = self.token(&self.anna, name).await;
        let mut agent = Agent::new(self);
        agent.pair(&token).await.expect("pairing");
        agent.send_report(&agent.report()).await.expect("a report");
        let card = |message: &BotMessage| message.plain.contains("online") && message.plain.contains(name);
        self.sim.wait(&self.anna, SOON, card).await.expect("the first card");
        agent
    }
}

impl Drop for World {
    /// Nothing is left over at the end of a story, unless it says so.
    fn drop(&mut self) {
        if self.running.is_none() || std::thread::panicking() {
            return;
        }
        let left = ending::left_over(&self.database_url(), self.clock.now(), &self.sim, &self.excused);
        assert!(left.is_empty(), "the story leaves behind:\n{}", left.join("\n"));
    }
}

/// Gives another state directory the same keys.
fn copy_keys(from: &Path, to: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to.join("keys"))?;
    for file in ["keyset.json", "keys/root.pem", "keys/command.pem", "keys/pairing.key", "keys/webhook.secret"] {
        fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}

/// The token of a pairing message: in the line to copy.
pub fn token_in(message: &BotMessage) -> Option<String> {
    let start = message.plain.find("OSM1-")?;
    Some(message.plain[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
}

/// What a Copy button copies.
pub fn copied(message: &BotMessage) -> Option<String> {
    message.buttons.iter().flatten().find_map(|button| match &button.kind {
        ButtonKind::CopyText(text) => Some(text.clone()),
        _ => None,
    })
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
