//! Silence: of the backend, of its database, of a thousand servers, of one for a day.

use futures_util::{StreamExt as _, stream};
use osm_api::domain::{HOUR, MINUTE, SECOND};
use osm_protocol::messages::Report;
use osm_telegram_sim::{BotMessage, Failure, FailureKind, Options, User};
use osm_tests::{
    agent::{Agent, service},
    database::{self, Engine},
    story,
    world::{SOON, World},
};

use crate::tally::Ear;

/// How often the backend looks for silent servers.
const LOOK: i64 = 5 * SECOND;
/// Looks in the half minute in which every agent reports once.
const LOOKS: usize = 6;

/// Time passes, and each agent reports once in every half minute.
async fn all_report(world: &World, agents: &[Agent], span: i64) {
    for look in 0..usize::try_from(span / LOOK).expect("some looks") {
        world.clock.pass(LOOK).await;
        let due = agents.iter().skip(look % LOOKS).step_by(LOOKS);
        stream::iter(due)
            .for_each_concurrent(32, async |agent| {
                agent.send_report(&agent.report()).await.expect("taken");
            })
            .await;
    }
}

/// Time passes, and nobody reports.
async fn nobody_reports(world: &World, span: i64) {
    for _ in 0..span / LOOK {
        world.clock.pass(LOOK).await;
    }
}

/// Anna's chat with some servers that report.
async fn at_work(engine: Engine, servers: usize) -> (World, Vec<Agent>) {
    let world = World::new(engine).await;
    world.ask(&world.anna, "/start", "").await;
    let agents = world.enlist(&world.anna, servers).await;
    all_report(&world, &agents, MINUTE).await;
    (world, agents)
}

story!(after_ten_minutes_without_a_backend_nobody_is_called_offline, |engine| {
    let (mut world, agents) = at_work(engine, 40).await;
    let ear = Ear::new(&world, &world.anna).await;
    world.stop().await.expect("a clean end");
    world.clock.advance(10 * MINUTE);
    world.start().await.expect("a start");
    // Agents try again after a minute at the most.
    nobody_reports(&world, MINUTE).await;
    all_report(&world, &agents, 3 * MINUTE).await;
    let heard = ear.heard(&world).await.len();
    println!("backend down for 10 min: 40 servers, {heard} messages");
    assert_eq!(heard, 0, "{}", world.sim.transcript(world.anna.id));
    // And it listens again.
    nobody_reports(&world, 2 * MINUTE).await;
    world.see(&world.anna, "40 of 40 servers stopped reporting").await;
});

/// SQLite is away only when its disk is: `tests/crash` fills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_minutes_without_the_database_nobody_is_called_offline() {
    let (world, agents) = at_work(Engine::Postgres, 40).await;
    world.expects_errors("the database is away for a while");
    let ear = Ear::new(&world, &world.anna).await;
    let url = world.database_url();
    let (server, name) = url.rsplit_once('/').expect("a database's URL");
    let another = format!("{server}/postgres");
    let lock_out = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    database::execute(&another, &lock_out).await.expect("nobody is let in");
    let agent = &agents[0];
    assert!(agent.send_report(&agent.report()).await.is_err(), "the database is away");
    nobody_reports(&world, 10 * MINUTE).await;
    database::execute(&another, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.expect("all are let in");
    nobody_reports(&world, MINUTE).await;
    all_report(&world, &agents, 3 * MINUTE).await;
    let heard = ear.heard(&world).await.len();
    println!("database away for 10 min: 40 servers, {heard} messages");
    assert_eq!(heard, 0, "{}", world.sim.transcript(world.anna.id));
    nobody_reports(&world, 2 * MINUTE).await;
    world.see(&world.anna, "40 of 40 servers stopped reporting").await;
}

story!(a_thousand_servers_that_vanish_are_a_message_in_each_chat_and_one_when_they_are_back, |engine| {
    const CHATS: usize = 5;
    const SERVERS: usize = 200;
    let settings = [("OSM_ALLOWED_USERS", "*"), ("OSM_TELEGRAM_MODE", "webhook")];
    let world = World::with(engine, Options { enforce_budgets: true, ..Options::default() }, &settings).await;
    let mut people: Vec<User> = Vec::new();
    let mut agents = Vec::new();
    for id in (2001..).take(CHATS) {
        let person = world.sim.user(id, "Somebody");
        world.ask(&person, "/start", "").await;
        agents.extend(world.enlist(&person, SERVERS).await);
        people.push(person);
    }
    all_report(&world, &agents, MINUTE).await;
    let mut ears = Vec::new();
    for person in &people {
        ears.push(Ear::new(&world, person).await);
    }
    nobody_reports(&world, 4 * MINUTE).await;
    let mut rings = 0;
    for ear in &ears {
        let heard = ear.heard(&world).await;
        assert_eq!(heard.len(), 1, "{heard:#?}");
        assert!(heard[0].plain.contains("200 of 200 servers stopped reporting"), "{}", heard[0].plain);
        rings += heard.len();
    }
    println!("1,000 servers of 5 chats vanish: {rings} messages");
    all_report(&world, &agents, 2 * MINUTE).await;
    for ear in &ears {
        let heard = ear.heard(&world).await;
        assert_eq!(heard.len(), 2, "{heard:#?}");
        assert!(heard[1].plain.contains("All 200 servers are back"), "{}", heard[1].plain);
    }
    assert_eq!(crate::tally::too_many(&world), 0);
});

story!(a_day_of_history_raises_nothing_and_clears_nothing, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let bad = |at: i64| Report {
        at,
        cpu: Some(99.0),
        services: vec![service("nginx.service", "failed", "failed")],
        boot: "1".repeat(64),
        ..agent.report()
    };
    // As an agent does: in each interval a live one, then a batch of the backlog, the newest first.
    let replay = async |live: &dyn Fn() -> Report, old: &dyn Fn(i64) -> Report| {
        let times: Vec<i64> = (1..=2880).map(|back| world.clock.now() - back * 30 * SECOND).collect();
        for times in times.chunks(128) {
            for _ in 0..LOOKS {
                world.clock.pass(LOOK).await;
            }
            agent.send_report(&live()).await.expect("taken");
            let reply = agent.send_reports(times.iter().map(|at| old(*at)).collect()).await.expect("an answer");
            assert_eq!(reply.status, 200);
        }
    };
    let ear = Ear::new(&world, &world.anna).await;
    replay(&|| agent.report(), &bad).await;
    let raised = ear.heard(&world).await.len();

    let failed = || Report { services: vec![service("nginx.service", "failed", "failed")], ..agent.report() };
    replay(&failed, &|at| Report { at, ..agent.report() }).await;
    let heard = ear.heard(&world).await;
    println!("24 h of spooled reports: 2,880 bad ones raised {raised} alerts, 2,880 good ones ended none");
    assert_eq!((raised, heard.len()), (0, 1), "{}", world.sim.transcript(world.anna.id));
    assert!(heard[0].plain.contains("nginx.service failed"), "{}", heard[0].plain);
    assert_eq!(world.rows("SELECT COUNT(*) FROM incidents WHERE resolved_at IS NULL").await, [[1]]);
    assert!(world.rows("SELECT COUNT(*) FROM reports").await[0][0] > 2880, "history is kept");
});

story!(a_backend_whose_clock_is_set_back_goes_on_listening_and_judging, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let report = async |report: Report| {
        world.clock.pass(30 * SECOND).await;
        agent.send_report(&report).await.expect("taken");
    };
    let ear = Ear::new(&world, &world.anna).await;
    // It started an hour ahead, and was then put right.
    world.clock.jump(-HOUR);
    for _ in 0..10 {
        for _ in 0..5 {
            world.clock.pass(LOOK).await;
        }
        report(agent.report()).await;
    }
    assert_eq!(ear.heard(&world).await.len(), 0, "{}", world.sim.transcript(world.anna.id));
    for _ in 0..22 {
        report(Report { cpu: Some(98.0), ..agent.report() }).await;
    }
    world.see(&world.anna, "CPU at 98 %").await;
    world.settled(SOON).await;
});

story!(after_three_hours_of_refusals_nothing_is_lost_or_told_twice, |engine| {
    let world = World::new(engine).await;
    world.expects_refusals("Telegram refuses messages for three hours");
    let agent = world.paired("web-1").await;
    let failed = |units: &[&str]| Report {
        services: units.iter().map(|unit| service(unit, "failed", "failed")).collect(),
        ..agent.report()
    };
    let ear = Ear::new(&world, &world.anna).await;
    let report = async |units: &[&str], span: i64| {
        for _ in 0..span / MINUTE {
            world.clock.pass(MINUTE).await;
            agent.send_report(&failed(units)).await.expect("taken");
            world.all_is_told().await;
        }
    };
    // Heard of before, and over meanwhile.
    report(&["before.service"], 2 * MINUTE).await;
    assert_eq!(ear.heard(&world).await.len(), 1);
    let description = "Bad Request: not enough rights to send text messages to the chat";
    for method in ["sendMessage", "editMessageText"] {
        world.sim.fail(Failure::new(FailureKind::Refused { code: 400, description }).on(method).times(u32::MAX));
    }
    report(&["before.service"], 10 * MINUTE).await;
    report(&["stays.service"], 60 * MINUTE).await;
    report(&["stays.service", "passes.service"], 30 * MINUTE).await;
    report(&["stays.service"], 80 * MINUTE).await;
    assert_eq!(ear.heard(&world).await.len(), 1);
    world.sim.heal();
    report(&["stays.service"], HOUR).await;
    // Reminders of what is open follow once it was heard of.
    let is_reminder = |message: &BotMessage| message.plain.contains("Nobody has seen to");
    let heard = ear.heard(&world).await.split_off(1);
    let news: Vec<&str> = heard.iter().filter(|message| !is_reminder(message)).map(|message| message.plain.as_str()).collect();
    println!("Telegram refuses for 3 h: {} messages when it is over", news.len());
    let transcript = world.sim.transcript(world.anna.id);
    assert_eq!(news.len(), 2, "{transcript}");
    assert!(news[0].contains("stays.service failed") && news[0].contains("passes.service failed"), "{transcript}");
    assert!(news[1].contains("Over: web-1 · before.service failed"), "{transcript}");
    assert!(heard.iter().all(|message| !message.plain.contains("passes.service failed; it lasted")), "{transcript}");
    report(&[], 2 * MINUTE).await;
    let heard = ear.heard(&world).await;
    let last = heard.last().expect("a message");
    assert!(last.plain.contains("Over: web-1 · stays.service failed"), "{}", last.plain);
});
