//! What goes out, in which order and how fast; and how somebody learns that nothing does.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use osm_api::domain::{DAY, MINUTE, SECOND};
use osm_protocol::messages::Report;
use osm_telegram_sim::{BotMessage, Call, Failure, FailureKind, Options, Press};
use osm_tests::{
    agent::{Agent, service},
    database::Engine,
    story,
    until::until,
    world::{ANNA, BORIS, SOON, World},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};
use tracing_subscriber::{fmt::MakeWriter, util::SubscriberInitExt as _};

const SETTINGS: [(&str, &str); 2] = [("OSM_ALLOWED_USERS", "1001,1002"), ("OSM_TELEGRAM_MODE", "webhook")];

/// A backend before a Telegram that refuses what is over its limits.
async fn strict(engine: Engine) -> World {
    World::with(engine, Options { enforce_budgets: true, ..Options::default() }, &SETTINGS).await
}

/// What Telegram refused. That nothing is changed by an edit is no refusal: a button may be tapped twice.
fn refused(world: &World) -> Vec<Call> {
    let is_refusal = |error: &String| !error.contains("message is not modified");
    world.sim.calls().into_iter().filter(|call| call.error.as_ref().is_some_and(is_refusal)).collect()
}

async fn nginx_fails(world: &World, agent: &Agent) {
    world.clock.pass(30 * SECOND).await;
    let services = vec![service("nginx.service", "failed", "failed")];
    agent.send_report(&Report { services, ..agent.report() }).await.unwrap();
}

story!(a_tap_that_telegram_does_not_take_holds_no_alert_back, |engine| {
    let world = World::new(engine).await;
    world.leaves_messages("Telegram takes no answer to a tap");
    let (agent, card) = world.paired_with_card("web-1").await;
    world.settled(SOON).await;
    world.sim.fail(Failure::new(FailureKind::TimeoutBefore).on("answerCallbackQuery").times(u32::MAX));
    for _ in 0..5 {
        world.sim.press_data(ANNA, &world.anna, card.message_id, "v0:old");
    }
    world.sim.wait_call("answerCallbackQuery", SOON).await.unwrap();
    nginx_fails(&world, &agent).await;
    world.see(&world.anna, "nginx.service failed").await;
    assert!(world.sim.toasts(ANNA).is_empty());
});

story!(taps_in_a_group_are_answered_at_once_and_cost_it_no_message, |engine| {
    let world = strict(engine).await;
    let group = world.sim.group(-1_000_000_000_555, "Ops", &[world.anna.admin()]);
    world.sim.say(&group, &world.anna, "/help");
    let help = world.see(&group, "/remove_server").await;
    let presses: Vec<Press> = (0..30).map(|_| world.sim.press_data(&group, &world.anna, help.message_id, "v0:old")).collect();
    let answered = async {
        for press in &presses {
            world.sim.wait_toast(press, SOON).await.unwrap();
        }
    };
    timeout(SOON, answered).await.expect("an answer to every tap");
    world.sim.say(&group, &world.anna, "/servers@osm_demo_bot");
    world.see(&group, "Nothing is paired").await;
    assert!(refused(&world).is_empty(), "{:?}", refused(&world));
});

/// An id that no backend made.
fn made(number: u32) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

story!(taps_that_nobody_waits_for_any_more_cost_nothing, |engine| {
    let mut world = World::new(engine).await;
    world.stop().await.unwrap();
    let old = world.clock.now() - 2 * MINUTE;
    let rows: Vec<String> =
        (0..60).map(|n| format!("('{}', {ANNA}, 'query-{n}', '{{\"toast\":\"done\"}}', 0, 0, 0, {old})", made(n))).collect();
    let columns = "id, chat_id, callback_id, content, urgency, version, attempts, created_at";
    world.sql(&format!("INSERT INTO outbox ({columns}) VALUES {}", rows.join(", "))).await;
    world.start().await.unwrap();
    world.ask(&world.anna, "/help", "/servers").await;
    world.settled(SOON).await;
    assert!(!world.sim.calls().iter().any(|call| call.method == "answerCallbackQuery"));
});

story!(a_call_that_hangs_holds_no_other_chat_back, |engine| {
    let world = World::with(engine, Options::default(), &SETTINGS).await;
    world.sim.fail(Failure::new(FailureKind::TimeoutBefore).on("sendMessage").in_chat(ANNA));
    world.sim.say(&world.anna, &world.anna, "/help");
    world.sim.wait_call("sendMessage", SOON).await.unwrap();
    world.sim.say(&world.boris, &world.boris, "/help");
    // The backend gives a call up after 17 s.
    let is_help = |message: &BotMessage| message.plain.contains("/servers");
    world.sim.wait(BORIS, Duration::from_secs(10), is_help).await.unwrap();
    assert!(world.sim.messages(ANNA).is_empty());
    world.sim.wait(ANNA, Duration::from_mins(1), is_help).await.unwrap();
});

/// Three messages at once, which is all that Telegram takes of a chat in that moment.
async fn three_answers(world: &World) {
    for _ in 0..3 {
        world.sim.say(&world.anna, &world.anna, "/help");
    }
    world.sim.wait_delivered(SOON).await.unwrap();
    world.settled(SOON).await;
}

story!(a_backend_that_starts_does_not_spend_again_what_was_spent_before, |engine| {
    let mut world = strict(engine).await;
    three_answers(&world).await;
    world.stop().await.unwrap();
    world.start().await.unwrap();
    three_answers(&world).await;
    assert_eq!(world.sim.messages(ANNA).len(), 6);
    assert!(refused(&world).is_empty(), "{:?}", refused(&world));
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_takes_over_does_not_spend_again_what_the_other_spent() {
    let mut world = strict(Engine::Postgres).await;
    let other = world.another().await.unwrap();
    three_answers(&world).await;
    let now = world.clock.now();
    let waiting = (0..3).map(|n| {
        let message = made(10 + n);
        format!(
            "INSERT INTO messages (id, chat_id, created_at) VALUES ('{message}', {ANNA}, {now});
             INSERT INTO outbox (id, chat_id, message_id, content, urgency, version, attempts, created_at)
             VALUES ('{}', {ANNA}, '{message}', '{{\"notice\":{{\"type\":\"help\"}}}}', 2, 0, 0, {now});",
            made(n)
        )
    });
    let waiting = waiting.collect::<String>();
    world.stop().await.unwrap();
    world.sql(&waiting).await;
    world.settled(SOON).await;
    assert_eq!(world.sim.messages(ANNA).len(), 6);
    assert!(refused(&world).is_empty(), "{:?}", refused(&world));
    other.stop().await.unwrap();
}

story!(the_message_of_an_open_alert_is_edited_however_old_it_is, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    nginx_fails(&world, &agent).await;
    let alert = world.see(&world.anna, "nginx.service failed").await;
    world.settled(SOON).await;
    world.clock.pass(31 * DAY).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.see(&world.anna, "Over: web-1 · nginx.service failed").await;
    world.becomes(&alert, "Over after").await;
});

story!(news_that_waited_say_of_when_they_are, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let list = world.ask(&world.anna, "/alerts", "Nothing is open").await;
    world.settled(SOON).await;
    let hold_back = || world.sim.fail(Failure::new(FailureKind::TooManyRequests { retry_after: 2 }).on("sendMessage"));
    let was_held_back = async |times: usize| until("a 429", async || refused(&world).len() == times).await;
    hold_back();
    world.tap(&world.anna, &list, "Test alert").await;
    was_held_back(1).await;
    world.clock.pass(2 * MINUTE).await;
    let test = world.see(&world.anna, "This is a test").await;
    assert!(test.plain.contains("Delayed: this is of 2027-01-15 08:00 UTC"), "{}", test.plain);
    world.settled(SOON).await;

    hold_back();
    agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap();
    was_held_back(2).await;
    world.clock.pass(2 * MINUTE).await;
    let unpaired = world.see(&world.anna, "was unpaired on its host").await;
    assert!(unpaired.plain.contains("Delayed: this is of 2027-01-15 08:02 UTC"), "{}", unpaired.plain);
});

/// Who watches the watcher: counts the calls that reach it.
struct Watcher {
    url: String,
    calls: Arc<Mutex<Vec<String>>>,
}

/// What nobody but the watcher and the backend may know.
const SECRET: &str = "2f1c9d7e-secret";

impl Watcher {
    async fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:{SECRET}@{}/{SECRET}?key={SECRET}", listener.local_addr().unwrap());
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = calls.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                heard.lock().unwrap().push(String::from_utf8(request).unwrap());
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, calls }
    }

    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    async fn world(&self, engine: Engine) -> World {
        let settings = [&SETTINGS[..], &[("OSM_HEARTBEAT_URL", self.url.as_str())]].concat();
        let world = World::with(engine, Options::default(), &settings).await;
        until("a first call", async || self.calls() == 1).await;
        // And the job rests until its next.
        world.clock.pass(0).await;
        world
    }

    /// How many calls came while this passed.
    async fn calls_in(&self, world: &World, span: i64) -> usize {
        let before = self.calls();
        world.clock.pass(span).await;
        self.calls() - before
    }
}

story!(the_heartbeat_stops_while_messages_wait_for_ten_minutes_or_the_database_is_broken, |engine| {
    let watcher = Watcher::answering("200 OK").await;
    let world = watcher.world(engine).await;
    world.expects_errors("the database is broken for a while");
    for _ in 0..3 {
        assert_eq!(watcher.calls_in(&world, MINUTE).await, 1);
    }
    assert!(watcher.calls.lock().unwrap()[0].starts_with(&format!("GET /{SECRET}?key={SECRET} HTTP/1.1")));

    // Another backend is the sender, and does not send.
    world
        .sql(&format!(
            "INSERT INTO leases (role, holder, expires_at) VALUES ('sender', '{}', {})
        ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at",
            made(1),
            i64::MAX
        ))
        .await;
    world.sim.say(&world.anna, &world.anna, "/help");
    until("a message that waits", async || world.rows("SELECT COUNT(*) FROM outbox").await == [[1]]).await;
    assert_eq!(watcher.calls_in(&world, 9 * MINUTE).await, 1, "nine minutes are not ten");
    assert_eq!(watcher.calls_in(&world, MINUTE).await, 0);
    assert_eq!(watcher.calls_in(&world, MINUTE).await, 0);
    world.sql("DELETE FROM leases WHERE role = 'sender'").await;
    world.see(ANNA, "/servers").await;
    world.settled(SOON).await;
    assert_eq!(watcher.calls_in(&world, MINUTE).await, 1);

    world.sql("ALTER TABLE outbox RENAME TO elsewhere").await;
    assert_eq!(watcher.calls_in(&world, MINUTE).await, 0);
    world.sql("ALTER TABLE elsewhere RENAME TO outbox").await;
    assert_eq!(watcher.calls_in(&world, MINUTE).await, 1);
});

story!(a_chat_that_cannot_be_reached_does_not_stop_the_heartbeat, |engine| {
    let watcher = Watcher::answering("200 OK").await;
    let world = watcher.world(engine).await;
    let agent = world.paired("web-1").await;
    world.settled(SOON).await;
    world.sim.block(&world.anna);
    agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap();
    let waits = "SELECT (SELECT COUNT(*) FROM outbox), (SELECT COUNT(*) FROM chats WHERE NOT reachable)";
    until("a message that nobody gets", async || world.rows(waits).await == [[1, 1]]).await;
    assert_eq!(watcher.calls_in(&world, 11 * MINUTE).await, 1);
    assert_eq!(watcher.calls_in(&world, MINUTE).await, 1);
    assert_eq!(world.rows(waits).await, [[1, 1]], "it still waits");
});

/// Everything that is logged, on every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// On one thread, whose log it reads.
#[tokio::test]
async fn the_heartbeats_address_is_in_no_log() {
    let log = Log::default();
    let _logging = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone())
        .set_default();
    let text = || String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    let watcher = Watcher::answering("500 Internal Server Error").await;
    let world = watcher.world(Engine::Sqlite).await;
    assert!(text().contains("the heartbeat was not taken"), "{}", text());
    let settings = [&SETTINGS[..], &[("OSM_HEARTBEAT_URL", "http://127.0.0.1:9/2f1c9d7e-secret")]].concat();
    let deaf = World::with(Engine::Sqlite, Options::default(), &settings).await;
    // The first beat is over before time passes.
    deaf.clock.pass(0).await;
    deaf.clock.pass(MINUTE).await;
    assert_eq!(text().matches("the heartbeat was not taken").count(), 3, "{}", text());
    world.clock.pass(MINUTE).await;
    let told: Vec<String> = text().lines().filter(|line| line.contains(SECRET)).map(str::to_owned).collect();
    assert!(told.is_empty(), "{told:#?}");
}
