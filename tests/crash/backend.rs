//! The backend dies: between an update and its answer, a token and its pairing, a tap and its command, a call and its receipt.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, anyhow, bail, ensure};
use osm_api::clock::Clock;
use osm_protocol::{action::OutcomeKind, command::Command};
use osm_telegram_sim::{BotMessage, Options, Press, Sim, User};
use osm_tests::{
    agent::{Agent, client},
    database::{self, Engine},
    process::{command, program},
    world::{ANNA, token_in},
};
use tempfile::TempDir;

use crate::{SOON, named_in_sources, persistently, supervised::Supervised};

/// Stories at a time: most of each is waiting for the pace that Telegram asks for.
const AT_ONCE: usize = 16;

/// A backend as a process, on a database of its own, with the Bot API stand-in and Anna.
struct Life {
    sim: Sim,
    anna: User,
    api: String,
    database: String,
    backend: Supervised,
    dir: TempDir,
    settings: Vec<(&'static str, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Story {
    /// The main job, from the claim link to the end of the pairing.
    Main,
    /// A question that nobody confirms.
    Unconfirmed,
    /// Updates by polling.
    Polling,
}

/// What is left when a story is over.
#[derive(Debug, PartialEq, Eq)]
struct Ending {
    /// The bot's messages as they stand, each by what it is.
    messages: Vec<&'static str>,
    passed: Vec<String>,
    crashes: u32,
}

impl Life {
    async fn begin(engine: Engine, story: Story, crash_at: Option<&str>) -> Result<Self> {
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
    async fn see(&self, wanted: impl Fn(&BotMessage) -> bool) -> Result<BotMessage> {
        self.alive()?;
        self.sim.wait(&self.anna, SOON, wanted).await
    }

    async fn ask(&self, text: &str, expected: &str) -> Result<BotMessage> {
        self.settled().await?;
        let said = self.sim.say(&self.anna, &self.anna, text);
        self.see(|message| message.message_id > said.message_id && message.plain.contains(expected)).await
    }

    async fn tap(&self, message: &BotMessage, button: &str) -> Result<Press> {
        self.settled().await?;
        self.sim.press(&self.anna, &self.anna, message.message_id, button)
    }

    fn alive(&self) -> Result<()> {
        self.backend.failure().map_or(Ok(()), |failure| bail!(failure))
    }

    async fn count(&self, query: &str) -> Result<i64> {
        Ok(database::rows(&self.database, query).await?[0][0])
    }

    /// Waits until the backend has written down that all it told was taken: a message is in the chat a moment sooner, and is
    /// told again when the backend dies in that moment.
    async fn settled(&self) -> Result<()> {
        self.until_none("SELECT CAST(COUNT(*) AS BIGINT) FROM outbox").await
    }

    /// Waits until everything that was asked for is done and told.
    async fn rest(&self) -> Result<()> {
        self.sim.wait_delivered(SOON).await?;
        self.until_none("SELECT CAST(COUNT(*) AS BIGINT) FROM updates WHERE state = 'open'").await?;
        self.settled().await
    }

    async fn until_none(&self, query: &str) -> Result<()> {
        persistently(query, async || Ok((self.count(query).await? == 0).then_some(()))).await?;
        self.alive()
    }

    /// Ends the backend, perhaps at a crash point of its end, and gives what is left.
    async fn end(mut self) -> Result<Ending> {
        let mut crashes = self.backend.crashes();
        let mut ended = self.backend.stop();
        // A dead one's roles run out by themselves.
        let mut held = "SELECT CAST(COUNT(*) AS BIGINT) FROM leases WHERE role <> 'housekeeper'";
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
        "Not confirmed within 60 s",
        "The host says: done",
        "unpaired",
        "Restart a service",
        "Figures of",
        "Online Server Monitor",
    ];
    kinds.into_iter().find(|kind| message.plain.contains(kind)).unwrap_or("something else")
}

async fn tell(engine: Engine, story: Story, crash_at: Option<&str>) -> Result<Ending> {
    let life = Life::begin(engine, story, crash_at).await?;
    let told = async {
        match story {
            Story::Main => main_job(&life).await?,
            Story::Unconfirmed => unconfirmed(&life).await?,
            Story::Polling => drop(life.ask("/start", "Online Server Monitor").await?),
        }
        life.rest().await
    };
    if let Err(error) = told.await {
        let said = life.backend.stderr();
        let last: Vec<&str> = said.lines().rev().take(15).collect();
        return Err(error.context(format!("the backend said, last first:\n{}", last.join("\n"))));
    }
    life.end().await
}

async fn main_job(life: &Life) -> Result<()> {
    claim(life).await?;
    let mut agent = paired(life).await?;
    let question = restart_question(life).await?;
    life.tap(&question, "Restart").await?;
    let command = delivered(life, &mut agent).await?;
    persistently("the outcome taken", async || {
        let reply = agent.finish(&command.jti, OutcomeKind::Succeeded, "done").await?;
        Ok((reply.status == 204).then_some(()))
    })
    .await?;
    let done = life.see(|message| message.plain.contains("The host says: done")).await?;
    ensure!(done.message_id >= question.message_id);
    life.ask("/status", "Figures of").await?;
    life.rest().await?;
    for (query, expected) in [
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM servers", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM pairings WHERE server_id IS NOT NULL AND NOT message_open", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM reports", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM confirmations WHERE state = 'confirmed'", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM commands WHERE state = 'succeeded'", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM commands", 1),
    ] {
        let found = life.count(query).await?;
        ensure!(found == expected, "{query}: {found}");
    }
    persistently("the end of the pairing", async || {
        let reply = agent.request("POST", "/agent/v1/unpair", None, b"").await?;
        // 410: it was done, and the answer was lost.
        Ok(matches!(reply.status, 204 | 410).then_some(()))
    })
    .await?;
    life.see(|message| message.plain.contains("unpaired")).await?;
    ensure!(life.count("SELECT CAST(COUNT(*) AS BIGINT) FROM servers").await? == 0);
    Ok(())
}

/// Anna becomes the owner by the link that the backend prints; a link of a backend that died may be dead with it.
async fn claim(life: &Life) -> Result<()> {
    for _ in 0..3 {
        let code = persistently("a claim link", async || {
            life.alive()?;
            let said = life.backend.stdout();
            Ok(said.rsplit_once("?start=").and_then(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned))
        })
        .await?;
        let answer = life.ask(&format!("/start {code}"), "").await?;
        if answer.plain.contains("You are now the owner") {
            return Ok(());
        }
        ensure!(life.backend.crashes() > 0 && answer.plain.contains("private bot"), "{}", answer.plain);
    }
    bail!("no link made Anna the owner")
}

async fn paired(life: &Life) -> Result<Agent> {
    let message = life.ask("/add_server web-1", "osm-agent pair").await?;
    let Some(token) = token_in(&message) else { bail!("no token in {}", message.plain) };
    let mut agent = Agent::at(&life.api, Clock::system());
    persistently("the pairing", async || agent.pair(&token).await.map(Some)).await?;
    life.see(|message| message.plain.contains("Key fingerprint")).await?;
    life.see(|message| message.plain.contains("Used")).await?;
    life.settled().await?;
    let report = agent.report();
    persistently("the report taken", async || agent.send_report(&report).await.map(Some)).await?;
    life.see(|message| message.plain.contains("Figures of")).await?;
    Ok(agent)
}

async fn restart_question(life: &Life) -> Result<BotMessage> {
    let card = life.see(|message| message.button("Restart").is_some()).await?;
    let press = life.tap(&card, "Restart").await?;
    let services =
        life.see(|message| message.message_id == card.message_id && message.plain.contains("Restart a service")).await?;
    life.sim.wait_toast(&press, SOON).await?;
    let press = life.tap(&services, "nginx").await?;
    let question =
        life.see(|message| message.plain.contains("Restart nginx.service") && message.button("Restart").is_some()).await?;
    life.sim.wait_toast(&press, SOON).await?;
    Ok(question)
}

/// The one command, however often it is handed out.
async fn delivered(life: &Life, agent: &mut Agent) -> Result<Command> {
    let envelope = persistently("the command", async || {
        life.alive()?;
        Ok(agent.envelopes(5).await?.into_iter().next())
    })
    .await?;
    // Its answer might have been lost: it is handed out again, the same.
    let again = persistently("the command again", async || Ok(Some(agent.envelopes(0).await?))).await?;
    ensure!(again == [envelope], "{again:?}");
    let command = agent.command().await?;
    let more = persistently("an empty poll", async || Ok(Some(agent.envelopes(0).await?))).await?;
    ensure!(more.is_empty(), "{more:?}");
    Ok(command)
}

async fn unconfirmed(life: &Life) -> Result<()> {
    paired(life).await?;
    restart_question(life).await?;
    // A minute, and what a backend that died on the way takes to come back.
    life.sim.wait(&life.anna, Duration::from_mins(2), |message| message.plain.contains("Not confirmed within 60 s")).await?;
    Ok(())
}

/// Commits that no story brings about, and why.
const ELSEWHERE: &[(&str, &str)] = &[];

/// Where to crash: every name, and each passing of those whose passings are different steps.
fn points(story: Story, passed: &[String]) -> Vec<String> {
    let mut count = BTreeMap::<&str, usize>::new();
    for name in passed {
        *count.entry(name).or_default() += 1;
    }
    let wanted = |name: &str| match story {
        Story::Main => !name.starts_with("sweep."),
        Story::Unconfirmed => name.starts_with("sweep."),
        Story::Polling => name.starts_with("poll"),
    };
    let each = |name: &str| name.starts_with("apply-update.") || name == "outbox.called";
    let last_too = |name: &str| {
        name.starts_with("outbox-settle.") || name.starts_with("claim-update.") || name.starts_with("receive-update.")
    };
    count
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .flat_map(|(name, times)| {
            let passings: BTreeSet<usize> = if each(name) {
                (1..=times).collect()
            } else if last_too(name) {
                [1, times.saturating_sub(1).max(1)].into()
            } else {
                [1].into()
            };
            passings.into_iter().map(move |passing| format!("{name}#{passing}"))
        })
        .collect()
}

/// A story, and where the backend dies in it.
type Run = (Story, Option<String>);

/// Tells the stories, each in a world of its own, some at a time; in whatever order they end.
fn tell_all(engine: Engine, runs: Vec<Run>) -> Vec<(Run, Result<Ending>)> {
    let (waiting, done) = (Mutex::new(runs.into_iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(run) = next() {
                    let runtime =
                        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
                    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        runtime.block_on(tell(engine, run.0, run.1.as_deref()))
                    }));
                    let ending = told.unwrap_or_else(|panicked| Err(anyhow!(said(&*panicked))));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((run, ending));
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn said(panicked: &(dyn std::any::Any + Send)) -> String {
    let text = panicked.downcast_ref::<String>().cloned();
    text.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Tells each story once to see where it could crash, and once for each such point.
fn told(engine: Engine) {
    let mut passed_at_all = BTreeSet::new();
    let mut runs = Vec::new();
    let stories = [Story::Unconfirmed, Story::Main, Story::Polling];
    for ((story, _), ending) in tell_all(engine, stories.map(|story| (story, None)).to_vec()) {
        let ending = ending.unwrap_or_else(|error| panic!("{story:?} without a crash: {error:#}"));
        assert_eq!(ending.crashes, 0);
        assert!(!ending.passed.is_empty(), "osm-api was built without crash points: run `make test`");
        passed_at_all.extend(ending.passed.iter().cloned());
        runs.extend(points(story, &ending.passed).into_iter().map(|point| (story, Some(point))));
        expect_messages(story, "", &ending);
    }
    every_commit_was_passed(engine, &passed_at_all);

    // The story that takes a minute first.
    runs.sort_by_key(|(story, _)| *story != Story::Unconfirmed);
    let (mut failures, mut missed, mut crashed) = (Vec::new(), Vec::new(), 0);
    for ((story, point), ending) in tell_all(engine, runs) {
        let point = point.unwrap_or_default();
        match ending {
            Err(error) => failures.push(format!("{story:?} at {point}: {error:#}")),
            Ok(ending) if ending.crashes == 0 => missed.push(point),
            Ok(ending) if ending.crashes > 1 => failures.push(format!("{story:?} at {point}: it died {} times", ending.crashes)),
            Ok(ending) => {
                crashed += 1;
                if let Err(panicked) = std::panic::catch_unwind(|| expect_messages(story, &point, &ending)) {
                    failures.push(format!("{story:?} at {point}: {}", said(&*panicked)));
                }
            }
        }
    }
    println!("{engine:?}: {crashed} crashes survived; not passed a second time: {missed:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // How often a message is edited depends on what could be said in one edit.
    assert!(missed.iter().all(|point| !point.ends_with("#1")) && missed.len() * 5 <= crashed, "never passed: {missed:?}");
}

/// The chat looks the same whatever crashed, but for one message more where nobody saw that Telegram had taken it.
fn expect_messages(story: Story, point: &str, ending: &Ending) {
    let mut expected = match story {
        Story::Main => vec![
            "You are now the owner",
            "Used",
            "Key fingerprint",
            "Restart a service",
            "The host says: done",
            "Figures of",
            "unpaired",
        ],
        Story::Unconfirmed => vec!["Used", "Key fingerprint", "Restart a service", "Not confirmed within 60 s"],
        Story::Polling => vec!["Online Server Monitor"],
    };
    let unseen = point.starts_with("outbox.called#") || point.starts_with("outbox-settle.before-commit#");
    let mut extra = Vec::new();
    for message in &ending.messages {
        if let Some(at) = expected.iter().position(|kind| kind == message) {
            expected.remove(at);
        } else if *message != "private bot" {
            extra.push(*message);
        }
    }
    assert!(expected.is_empty(), "missing: {expected:?}; there are {:?}", ending.messages);
    assert!(extra.len() <= usize::from(unseen), "doubled: {extra:?}; there are {:?}", ending.messages);
}

/// A use case whose commit no story passes fails here.
fn every_commit_was_passed(engine: Engine, passed: &BTreeSet<String>) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src");
    let commits = named_in_sources(&sources, ".commit(\"");
    assert!(commits.len() > 10, "{commits:?}");
    for commit in commits {
        if ELSEWHERE.iter().any(|(name, _)| *name == commit) || (commit == "release" && engine == Engine::Postgres) {
            continue;
        }
        for side in ["before-commit", "after-commit"] {
            assert!(passed.contains(&format!("{commit}.{side}")), "no story passes {commit}.{side}: add it to one here");
        }
    }
    for point in named_in_sources(&sources, "crash::point(\"") {
        assert!(passed.contains(&point), "no story passes {point}");
    }
}

#[test]
fn the_backend_dies_anywhere_and_nothing_is_lost_or_doubled_on_sqlite() {
    told(Engine::Sqlite);
}

#[test]
fn the_backend_dies_anywhere_and_nothing_is_lost_or_doubled_on_postgres() {
    told(Engine::Postgres);
}
