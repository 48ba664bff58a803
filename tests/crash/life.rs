//! A backend under a story: as a process that dies and is started again, with a chat and a database that outlive it.

use std::{
    path::Path,
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Result, bail, ensure};
use osm_telegram_sim::{BotMessage, Options, Press, Sim, User};
use osm_tests::{
    agent::client,
    database::{self, Engine},
    process::{command, program},
    world::ANNA,
};
use tempfile::TempDir;

use crate::{SOON, persistently, stories::Story, supervised::Supervised};

/// A backend as a process, on a database of its own, with the Bot API stand-in and Anna.
pub struct Life {
    pub sim: Sim,
    pub anna: User,
    pub api: String,
    database: String,
    pub backend: Supervised,
    dir: TempDir,
    settings: Vec<(&'static str, String)>,
}

/// What is left when a story is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Ending {
    /// The bot's messages as they stand, each by what it is.
    pub messages: Vec<&'static str>,
    pub passed: Vec<String>,
    pub crashes: u32,
}

impl Life {
    pub async fn begin(engine: Engine, story: Story, crash_at: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        // A tap is still spinning when a backend that died has come back.
        let sim = Sim::start(Options { callback_lifetime: SOON, ..Options::default() }).await?;
        let anna = sim.user(ANNA, "Anna");
        let address = format!("127.0.0.1:{}", free_port());
        let database = database::fresh(engine, dir.path()).await?;
        let mut settings = vec![
            ("OSM_LISTEN", address.clone()),
            ("OSM_STATE_DIR", dir.path().display().to_string()),
            ("OSM_DATABASE_URL", database.clone()),
            ("OSM_TELEGRAM_TOKEN", sim.token().to_owned()),
            ("OSM_TELEGRAM_API_URL", sim.api_url()),
            ("OSM_TELEGRAM_MODE", if story == Story::Polling { "polling" } else { "webhook" }.to_owned()),
            ("OSM_CRASH_LOG", dir.path().join("points").display().to_string()),
        ];
        if story != Story::Main {
            settings.push(("OSM_ALLOWED_USERS", ANNA.to_string()));
        }
        let backend = serve(&settings, crash_at, dir.path());
        Ok(Self { sim, anna, api: format!("http://{address}"), database, backend, dir, settings })
    }

    /// Waits for the newest message that is as wanted.
    pub async fn see(&self, wanted: impl Fn(&BotMessage) -> bool) -> Result<BotMessage> {
        self.alive()?;
        self.sim.wait(&self.anna, SOON, wanted).await
    }

    pub async fn ask(&self, text: &str, expected: &str) -> Result<BotMessage> {
        self.settled().await?;
        let said = self.sim.say(&self.anna, &self.anna, text);
        self.see(|message| message.message_id > said.message_id && message.plain.contains(expected)).await
    }

    pub async fn tap(&self, message: &BotMessage, button: &str) -> Result<Press> {
        self.settled().await?;
        self.sim.press(&self.anna, &self.anna, message.message_id, button)
    }

    pub fn alive(&self) -> Result<()> {
        self.backend.failure().map_or(Ok(()), |failure| bail!(failure))
    }

    pub async fn count(&self, query: &str) -> Result<i64> {
        Ok(database::rows(&self.database, query).await?[0][0])
    }

    /// Waits until the backend has written down that all it told was taken: a message is in the chat a moment sooner, and is
    /// told again when the backend dies in that moment.
    pub async fn settled(&self) -> Result<()> {
        self.until_none("SELECT CAST(COUNT(*) AS BIGINT) FROM outbox").await
    }

    /// Waits until everything that was asked for is done and told.
    pub async fn rest(&self) -> Result<()> {
        self.sim.wait_delivered(SOON).await?;
        self.until_none("SELECT CAST(COUNT(*) AS BIGINT) FROM updates WHERE state = 'open'").await?;
        self.settled().await
    }

    async fn until_none(&self, query: &str) -> Result<()> {
        persistently(query, async || Ok((self.count(query).await? == 0).then_some(()))).await?;
        self.alive()
    }

    /// Ends the backend, perhaps at a crash point of its end, and gives what is left.
    pub async fn end(mut self) -> Result<Ending> {
        let mut crashes = self.backend.crashes();
        let mut ended = self.backend.stop();
        // A dead one's roles run out by themselves, some of them later than the story ends.
        let mut held = match crashes {
            0 => "SELECT CAST(COUNT(*) AS BIGINT) FROM leases",
            _ => "SELECT CAST(COUNT(*) AS BIGINT) FROM leases WHERE role NOT IN ('housekeeper', 'offline-judge', 'numberer')",
        };
        if ended.crashed() {
            crashes += 1;
            held = "SELECT CAST(0 AS BIGINT)";
            self.backend = serve(&self.settings, None, self.dir.path());
            let health = format!("{}/healthz", self.api);
            persistently("a backend", async || Ok(Some(client().get(&health).send().await?.error_for_status()?))).await?;
            ended = self.backend.stop();
        }
        ensure!(ended.status.success(), "{ended:?}");
        // What was handled is erased, at once.
        for (query, expected) in [
            ("SELECT CAST(COUNT(*) AS BIGINT) FROM outbox", 0),
            ("SELECT CAST(COUNT(*) AS BIGINT) FROM updates WHERE state <> 'done' OR request IS NOT NULL", 0),
            (held, 0),
        ] {
            let found = database::rows(&self.database, query).await?[0][0];
            ensure!(found == expected, "{query}: {found}");
        }
        let refused: Vec<_> =
            self.sim.calls().into_iter().filter(|call| call.error.is_some()).filter(|call| !expected_refusal(call)).collect();
        ensure!(refused.is_empty(), "{refused:?}");
        let messages = self.sim.messages(&self.anna).iter().map(kind).collect();
        let passed = std::fs::read_to_string(self.dir.path().join("points"))?.lines().map(str::to_owned).collect();
        Ok(Ending { messages, passed, crashes })
    }
}

/// A call whose acceptance was not seen is made again, and answered so.
fn expected_refusal(call: &osm_telegram_sim::Call) -> bool {
    let said = call.error.as_deref().unwrap_or_default();
    said.contains("message is not modified") || said.contains("query is too old")
}

fn serve(settings: &[(&'static str, String)], crash_at: Option<&str>, dir: &Path) -> Supervised {
    let settings = settings.to_vec();
    let make = move || {
        let mut backend = command(&program("osm-api"));
        backend.arg("serve").envs(settings.iter().cloned());
        backend
    };
    Supervised::start(make, crash_at, dir, "backend")
}

/// A port below those that the system gives to connections: nobody takes it while the backend is dead.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 20_000).expect("below 20,000");
    loop {
        let port = 11_000 + (start + NEXT.fetch_add(1, Ordering::SeqCst)) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// What a message is, whatever stands in it.
fn kind(message: &BotMessage) -> &'static str {
    let kinds = [
        "You are now the owner",
        "private bot",
        "osm-agent pair",
        "Used",
        "Key fingerprint",
        "Another machine tried",
        "Not confirmed within 60 s",
        "The host says: done",
        "unpaired",
        "Restart a service",
        "Figures of",
        "may be heard",
        "CPU, busy",
        "Nothing is open",
        "This is a test",
        "Nothing else is open",
        "nginx.service failed",
        "offline, last heard",
        "Online Server Monitor",
    ];
    kinds.into_iter().find(|kind| message.plain.contains(kind)).unwrap_or("something else")
}
