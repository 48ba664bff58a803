//! The operator's commands, each beside a busy `osm-api serve`, the programs as they are: what they change holds at once, and
//! their messages leave within a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use osm_api::clock::Clock;
use osm_telegram_sim::{BotMessage, Options, Sim, User};
use osm_tests::{
    agent::Agent,
    database::{self, Engine},
    process::{self, Ended, Process, program, terminate},
    story,
    talk::token_in,
    world::{ANNA, BORIS, SOON},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// From the end of a command until its message is in the chat: within a second on a machine that does nothing else.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A backend as a process, its Bot API stand-in, and people.
struct Site {
    sim: Sim,
    anna: User,
    boris: User,
    api: String,
    database: String,
    settings: Vec<(&'static str, String)>,
    backend: Option<Process>,
    dir: TempDir,
    /// Each run has files of its own for what it says.
    runs: AtomicUsize,
    busy: Arc<AtomicBool>,
}

impl Site {
    async fn open(engine: Engine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sim = Sim::start(Options::default()).await.unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let database = database::fresh(engine, dir.path()).await.unwrap();
        let settings = vec![
            ("OSM_LISTEN", free.to_string()),
            ("OSM_STATE_DIR", dir.path().display().to_string()),
            ("OSM_DATABASE_URL", database.clone()),
            ("OSM_ALLOWED_USERS", "1001,1002,3003".to_owned()),
            ("OSM_TELEGRAM_TOKEN", sim.token().to_owned()),
            ("OSM_TELEGRAM_API_URL", sim.api_url()),
            ("OSM_TELEGRAM_MODE", "webhook".to_owned()),
        ];
        let (anna, boris) = (sim.user(ANNA, "Anna"), sim.user(BORIS, "Boris"));
        let api = format!("http://{free}");
        let busy = Arc::new(AtomicBool::new(true));
        let mut site = Self { sim, anna, boris, api, database, settings, backend: None, dir, runs: AtomicUsize::new(0), busy };
        site.serve().await;
        site
    }

    async fn serve(&mut self) {
        self.backend = Some(self.run(&["serve"], |_| true));
        self.sim.wait_webhook(SOON).await.unwrap();
        let ready = format!("{}/readyz", self.api);
        let up = async {
            while !osm_tests::agent::client().get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, up).await.expect("a backend that is ready");
    }

    fn stop(&mut self) -> Ended {
        terminate(self.backend.take().expect("a backend"))
    }

    fn run(&self, arguments: &[&str], setting: impl Fn(&str) -> bool) -> Process {
        let mut command = process::command(&program("osm-api"));
        command.envs(self.settings.iter().filter(|(key, _)| setting(key)).map(|(key, value)| (key, value)));
        let name = format!("run-{}", self.runs.fetch_add(1, Ordering::Relaxed));
        Process::start(command.args(arguments), self.dir.path(), &name).unwrap()
    }

    /// Runs a command with what a user of the service can read: nothing of Telegram's.
    fn operate(&self, arguments: &[&str]) -> Ended {
        self.run(arguments, |key| !key.starts_with("OSM_TELEGRAM")).end(SOON).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.operate(&[arguments, &["--json"]].concat()).succeeded();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// A chat sees a message that holds `expected` within a second of a command's end.
    async fn at_once(&self, ended: Instant, chat: impl Into<i64>, expected: &str) -> BotMessage {
        let message = self.sim.wait(chat, SOON, |message| message.plain.contains(expected)).await.unwrap();
        assert!(ended.elapsed() < AT_ONCE, "{expected:?} came {:?} after the command", ended.elapsed());
        message
    }

    async fn ask(&self, user: &User, text: &str, expected: &str) -> BotMessage {
        let said = self.sim.say(user, user, text);
        self.sim
            .wait(user, SOON, |message| message.message_id > said.message_id && message.plain.contains(expected))
            .await
            .unwrap()
    }

    async fn paired(&self, user: &User, chat: i64, name: &str) -> Agent {
        let last = self.sim.messages(user).iter().map(|message| message.message_id).max().unwrap_or_default();
        self.sim.say(chat, user, &format!("/add_server@osm_demo_bot {name}"));
        let shown = |message: &BotMessage| message.message_id > last && message.plain.contains("osm-agent pair");
        let token = token_in(&self.sim.wait(user, SOON, shown).await.unwrap()).unwrap();
        let mut agent = Agent::at(&self.api, Clock::system());
        agent.pair(&token).await.unwrap();
        agent.send_report(&agent.report()).await.unwrap();
        let card = |message: &BotMessage| message.plain.contains("online") && message.plain.contains(name);
        self.sim.wait(chat, SOON, card).await.unwrap();
        agent
    }

    /// Agents report without a pause, and people write, until the site is dropped.
    fn keep_busy(&self, agents: &[Agent]) {
        for agent in agents {
            let (agent, busy) = (agent.clone(), self.busy.clone());
            tokio::spawn(async move {
                while busy.load(Ordering::Relaxed) {
                    let _ = agent.send_reports(vec![agent.report()]).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        let (sim, busy) = (self.sim.clone(), self.busy.clone());
        tokio::spawn(async move {
            let talkative = sim.user(3003, "Carla");
            while busy.load(Ordering::Relaxed) {
                sim.say(&talkative, &talkative, "/servers");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.busy.store(false, Ordering::Relaxed);
    }
}

fn says(said: &Ended, code: i32, expected: &str) {
    assert_eq!(said.status.code(), Some(code), "{said:?}");
    assert!(said.stderr.contains(expected), "{expected:?} is missing: {}", said.stderr);
}

story!(each_command_holds_at_once_beside_a_busy_backend, |engine| {
    let site = Site::open(engine).await;
    let group = site.sim.group(-1_000_000_000_900, "Ops", &[site.anna.admin()]);
    site.ask(&site.anna, "/start", "Online Server Monitor").await;
    site.ask(&site.boris, "/start", "Online Server Monitor").await;
    let dora = site.sim.user(3004, "Dora");
    site.ask(&dora, "/start", "your number is 3004").await;
    let of_anna = site.paired(&site.anna, ANNA, "web-1").await;
    let of_group = site.paired(&site.anna, group.id, "db-1").await;
    site.sim.say(&group, &site.anna, "/add_server@osm_demo_bot db-2");
    let token = token_in(&site.sim.wait(ANNA, SOON, |message| message.plain.contains("db-2")).await.unwrap()).unwrap();
    let busy: Vec<Agent> = vec![site.paired(&site.boris, BORIS, "load-1").await];
    site.keep_busy(&busy);

    // Who may use the bot.
    site.json(&["access", "set-owner", "1001"]);
    site.at_once(Instant::now(), ANNA, "You are the owner of this bot now").await;
    assert_eq!(site.json(&["access", "grant", "3004"]), json!({ "user_id": 3004, "changed": true }));
    site.at_once(Instant::now(), 3004, "You may use this bot now").await;
    let revoked = site.json(&["access", "revoke", "3004"]);
    assert_eq!(revoked["ended"]["tokens"], 0);
    site.at_once(Instant::now(), 3004, "You may no longer use this bot").await;
    let list = site.json(&["access", "list"]);
    let admissions: Vec<&str> =
        list["people"].as_array().unwrap().iter().map(|person| person["admission"].as_str().unwrap()).collect();
    assert_eq!(admissions, ["owner", "listed", "listed", "revoked"]);

    // Servers.
    let list = site.json(&["servers", "list"]);
    let mut names: Vec<(&str, i64)> = list["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|server| (server["name"].as_str().unwrap(), server["chat_id"].as_i64().unwrap()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, [("db-1", group.id), ("load-1", BORIS), ("web-1", ANNA)]);
    let id = of_anna.server_id.to_string();
    let moved = site.json(&["servers", "move", &id, "1002"]);
    assert_eq!(moved, json!({ "id": id, "chat_id": BORIS, "changed": true, "name": "web-1", "from": ANNA }));
    let ended = Instant::now();
    site.at_once(ended, ANNA, "web-1 was moved to another chat").await;
    site.at_once(ended, BORIS, "web-1 was moved here").await;
    of_anna.send_report(&of_anna.report()).await.unwrap();
    // A poll that waits learns at once that its server is gone.
    let poll = tokio::spawn({
        let agent = of_anna.clone();
        async move { (agent.envelopes(30).await, Instant::now()) }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(site.json(&["servers", "remove", &id]), json!({ "id": id, "name": "web-1", "chat_id": BORIS }));
    let ended = Instant::now();
    site.at_once(ended, BORIS, "web-1 was removed on the backend's machine").await;
    let (polled, at) = poll.await.unwrap();
    assert!(polled.unwrap_err().to_string().starts_with("410"));
    assert!(at < ended + AT_ONCE, "the poll learnt it {:?} later", at - ended);

    // Chats.
    let list = site.json(&["chats", "list"]);
    let of = |id: i64| list["chats"].as_array().unwrap().iter().find(|chat| chat["chat_id"] == id).cloned().unwrap_or_default();
    assert_eq!(of(group.id), json!({ "chat_id": group.id, "kind": "group", "reachable": true, "servers": 1, "open_tokens": 1 }));
    assert_eq!(of(ANNA)["admission"], "owner");
    let gone = site.json(&["chats", "revoke", &group.id.to_string()]);
    assert_eq!(gone, json!({ "chat_id": group.id, "servers": ["db-1"], "tokens": 1 }));
    // Telegram takes twenty messages a minute in a group; a sender that starts has none of them at first.
    site.sim.wait(&group, SOON, |message| message.plain.contains("had for this chat: one server")).await.unwrap();
    site.sim.wait_call("leaveChat", SOON).await.unwrap();
    assert_eq!(of_group.send_reports(vec![of_group.report()]).await.unwrap().status, 410);
    let refused = Agent::at(&site.api, Clock::system()).pair(&token).await.unwrap_err().to_string();
    assert!(refused.starts_with("403"), "{refused}");
    assert_eq!(site.json(&["chats", "revoke", "1002"]), json!({ "chat_id": BORIS, "servers": ["load-1"], "tokens": 0 }));
    site.at_once(Instant::now(), BORIS, "had for this chat: one server").await;
    assert_eq!(site.json(&["servers", "list"]), json!({ "servers": [] }));
});

story!(what_cannot_be_done_is_refused_with_the_fix_and_a_status_of_its_own, |engine| {
    let mut site = Site::open(engine).await;
    site.ask(&site.anna, "/start", "Online Server Monitor").await;
    let agent = site.paired(&site.anna, ANNA, "web-1").await;
    let id = agent.server_id.to_string();
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    says(&site.operate(&["servers", "remove", nobody]), 3, "`osm-api servers list` has all");
    says(&site.operate(&["servers", "move", &id, "-100777"]), 3, "the bot knows no chat -100777");
    says(&site.operate(&["servers", "move", nobody, "1001"]), 3, "there is no server");
    assert_eq!(site.json(&["servers", "move", &id, "1001"])["changed"], false);
    says(&site.operate(&["chats", "revoke", "1777"]), 3, "`osm-api chats list` has all");
    for wrong in ["anna", "0", "-7"] {
        says(&site.operate(&["access", "grant", wrong]), 2, "");
    }
    says(&site.operate(&["access", "grant", "anna"]), 2, "a person's number at Telegram, such as 110201543");
    site.json(&["access", "set-owner", "1001"]);
    says(&site.operate(&["access", "revoke", "1001"]), 3, "set-owner");
    // A private chat whose person is kept out gets no servers.
    site.ask(&site.boris, "/start", "Online Server Monitor").await;
    site.json(&["access", "revoke", "1002"]);
    says(&site.operate(&["servers", "move", &id, "1002"]), 3, "`osm-api access grant 1002` lets them in");

    // A command that dies before it is durable changed nothing; after that, all of it.
    for (at, changed) in [("operate.before-commit", true), ("operate.after-commit", false)] {
        let mut command = process::command(&program("osm-api"));
        command.envs(site.settings.iter().map(|(key, value)| (key, value))).env("OSM_CRASH_AT", at);
        let died = Process::start(command.args(["access", "grant", "1003"]), site.dir.path(), at).unwrap().end(SOON).unwrap();
        assert!(died.crashed(), "{died:?}");
        assert_eq!(site.json(&["access", "grant", "1003"])["changed"], changed, "{at}");
        site.json(&["access", "revoke", "1003"]);
    }

    // Without a backend they work as well.
    site.stop();
    assert_eq!(site.json(&["access", "grant", "1002"])["changed"], true);
    site.settings.retain(|(key, _)| *key != "OSM_STATE_DIR");
    site.settings.push(("OSM_STATE_DIR", "/nonexistent".to_owned()));
    says(&site.operate(&["access", "list"]), 1, "not the state directory of a backend that has run");
});

// Finding 18.
story!(a_second_backend_on_one_state_directory_is_refused_and_told_who_has_it, |engine| {
    let mut site = Site::open(engine).await;
    let first = site.backend.as_ref().unwrap().id();
    "127.0.0.1:0".clone_into(&mut site.settings[0].1);
    let second = site.run(&["serve"], |_| true).end(SOON).unwrap();
    says(&second, 1, "serves from this state directory already; stop it, or set another OSM_STATE_DIR");
    assert!(second.stderr.contains("the process "), "{}", second.stderr);
    let pid = std::fs::read_to_string(site.dir.path().join("serve.pid")).unwrap();
    assert!(second.stderr.contains(&format!("the process {} serves", pid.trim())), "{first}: {}", second.stderr);
    // The first goes on.
    site.ask(&site.anna, "/help", "/servers").await;
});

// Finding 3: what SECURITY.md says against the theft of the root key and of the command key.
story!(the_root_key_is_kept_elsewhere_and_a_rotation_leaves_a_stolen_key_out, |engine| {
    let mut site = Site::open(engine).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("root.pem");
    let file = file.to_str().unwrap();
    let stolen = site.operate(&["keys", "show"]).succeeded();
    let stolen = stolen.lines().find(|line| line.starts_with("command")).unwrap().to_owned();
    assert!(site.stop().stderr.contains("`osm-api keys detach FILE` moves it"));

    let said = site.operate(&["keys", "detach", file]).succeeded();
    assert!(said.contains("Take it to another machine"), "{said}");
    says(&site.operate(&["keys", "detach", file]), 1, "it was detached before");
    says(&site.operate(&["keys", "rotate", "--revoke"]), 1, "--root-key FILE");
    let rotated = site.operate(&["keys", "rotate", "--revoke", "--root-key", file]).succeeded();
    assert!(!rotated.contains(&stolen), "{rotated}");
    assert_eq!(rotated.lines().filter(|line| line.starts_with("command")).count(), 1);
    site.serve().await;
    site.ask(&site.anna, "/help", "/servers").await;
    assert!(!site.stop().stderr.contains("root.pem"), "it is not there to warn of");
    assert!(site.database.contains("osm"));
});
