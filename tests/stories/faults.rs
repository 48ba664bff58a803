//! The database refuses a row, Telegram does not answer, an update brings the backend down: the rest goes on, nothing is
//! lost.

use std::time::Duration;

use futures_util::future::join_all;
use osm_api::domain::{
    ids::{ChatId, UserId},
    intent::{Actor, Chat, ChatKind, Intent, Request},
};
use osm_protocol::{action::OutcomeKind, ids::ServerId, messages::Report};
use osm_telegram_sim::{BotMessage, Call, Failure, FailureKind, Options, User};
use osm_tests::{
    agent::{Agent, Reply, client},
    database::Engine,
    world::{ANNA, BORIS, SOON, World},
};

use osm_tests::story;

/// From now on the database takes no figures of this server.
async fn refuse_rows_of(world: &World, engine: Engine, server_id: ServerId) {
    let trigger = match engine {
        Engine::Sqlite => format!(
            "CREATE TRIGGER bad BEFORE INSERT ON reports WHEN NEW.server_id = '{server_id}'
             BEGIN SELECT RAISE(ABORT, 'a bad row'); END"
        ),
        Engine::Postgres => format!(
            "CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.server_id = '{server_id}' THEN RAISE EXCEPTION 'a bad row'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER bad BEFORE INSERT ON reports FOR EACH ROW EXECUTE FUNCTION bad()"
        ),
    };
    world.sql(&trigger).await;
}

story!(a_row_that_the_database_refuses_fails_alone, |engine| {
    const SERVERS: usize = 20;
    let settings = [("OSM_ALLOWED_USERS", "*"), ("OSM_TELEGRAM_MODE", "webhook")];
    let world = World::with(engine, Options::default(), &settings).await;
    world.expects_errors("the database refuses a row");
    // Each in a chat of its own: a chat takes one message a second.
    let users: Vec<User> = (2001..).take(SERVERS).map(|id| world.sim.user(id, "Somebody")).collect();
    let tokens = join_all(users.iter().map(|user| world.token(user, "web-1"))).await;
    let agents = join_all(tokens.iter().map(|(token, _)| async {
        let mut agent = Agent::new(&world);
        agent.pair(token).await.unwrap();
        agent
    }))
    .await;
    let (bad, good) = agents.split_first().unwrap();
    refuse_rows_of(&world, engine, bad.server_id).await;

    let refused = |reply: &Reply| {
        assert_eq!(reply.status, 503, "{}", String::from_utf8_lossy(&reply.body));
        assert!(reply.retry_after().is_some_and(|seconds| seconds > 0), "{:?}", reply.headers);
        assert!(!reply.problem().detail.contains("bad row"), "{}", reply.problem().detail);
    };
    // Several times: the first to come may be written before the others are there.
    for round in 1..=5 {
        let later = |agent: &Agent| Report { at: agent.report().at + round, ..agent.report() };
        let replies = join_all(agents.iter().map(|agent| agent.send_reports(vec![later(agent)]))).await;
        let replies: Vec<Reply> = replies.into_iter().map(Result::unwrap).collect();
        refused(&replies[0]);
        for reply in &replies[1..] {
            assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        }
        let stored = world.rows("SELECT COUNT(*), COUNT(DISTINCT server_id) FROM reports").await;
        let good = i64::try_from(good.len()).unwrap();
        assert_eq!(stored, [[good * round, good]], "what was accepted is stored");
    }
    refused(&bad.send_reports(vec![bad.report()]).await.unwrap());
    assert_eq!(world.rows("SELECT COUNT(*) FROM server_states").await, [[i64::try_from(good.len()).unwrap()]]);
});

/// An update of Anna's as the webhook stores it, begun `attempts` times and never finished.
async fn leave_open(world: &World, update_id: i64, attempts: i64, intent: Intent) {
    let request = Request {
        chat: Chat { id: ChatId(ANNA), kind: ChatKind::Private },
        actor: Actor { id: UserId(ANNA), name: "Anna".into(), language: Some("en".into()) },
        intent,
        tap: None,
        topic: None,
    };
    let request = serde_json::to_string(&request).unwrap();
    world
        .sql(&format!(
            "INSERT INTO updates (update_id, chat_id, request, state, attempts, claimed_until, turn, received_at)
             VALUES ({update_id}, {ANNA}, '{request}', 'open', {attempts}, 0, {now}, {now})",
            now = world.clock.now()
        ))
        .await;
}

story!(an_update_that_crashed_its_worker_three_times_is_set_aside_and_the_next_is_handled, |engine| {
    let mut world = World::new(engine).await;
    world.expects_errors("an update is set aside");
    world.ask(&world.anna, "/help", "/servers").await;
    world.stop().await.unwrap();
    leave_open(&world, 7, 3, Intent::AddServer { name: Some("poison".into()) }).await;
    leave_open(&world, 8, 2, Intent::AddServer { name: Some("third-time-lucky".into()) }).await;
    world.start().await.unwrap();

    world.see_all(ANNA, &["under update 7", "Add a server: third-time-lucky"]).await;
    world.hears_nothing(ANNA).await;
    assert!(!world.sim.transcript(ANNA).contains("poison"), "nothing was done");
    assert_eq!(world.rows("SELECT COUNT(*) FROM updates WHERE request IS NOT NULL").await, [[0]], "what it asked for is erased");
    assert_eq!(world.rows("SELECT update_id FROM updates WHERE state = 'set-aside'").await, [[7]]);
});

story!(a_call_that_telegram_never_answers_is_made_again_and_no_message_is_lost, |engine| {
    let settings = [("OSM_ALLOWED_USERS", "1001,1002"), ("OSM_TELEGRAM_MODE", "webhook")];
    let world = World::with(engine, Options::default(), &settings).await;
    // Anna's was accepted and only the answer is missing, Boris's never was.
    world.sim.fail(Failure::new(FailureKind::TimeoutAfter).on("sendMessage").in_chat(ANNA));
    world.sim.fail(Failure::new(FailureKind::TimeoutBefore).on("sendMessage").in_chat(BORIS));
    world.sim.say(&world.anna, &world.anna, "/help");
    world.sim.say(&world.boris, &world.boris, "/help");
    // The backend gives a call up after 17 s.
    world.sim.wait(BORIS, Duration::from_mins(1), |message| message.plain.contains("/servers")).await.unwrap();
    world.settled(Duration::from_mins(1)).await;
    let copies = world.untaken(ANNA).len();
    assert!((1..=2).contains(&copies), "{}", world.sim.transcript(ANNA));
    for _ in 0..copies {
        world.see(ANNA, "/servers").await;
    }
    world.see(BORIS, "/servers").await;
    world.hears_nothing(BORIS).await;
    world.ask(&world.anna, "/servers", "Nothing is paired").await;
});

/// The one 429, and whether nothing at all was called in the two seconds after it. Answers to taps name no chat, so that all
/// calls count: nobody but Anna is there. A message and the answer to a tap may go out side by side: the other was under way
/// by then.
fn waited_after_429(calls: &[Call], method: &str) {
    // An edit that changes nothing is refused too, and as good as done.
    let is_refused = |call: &&Call| call.error.as_ref().is_some_and(|error| !error.contains("message is not modified"));
    let refused: Vec<&Call> = calls.iter().filter(is_refused).collect();
    assert_eq!(refused.iter().map(|call| call.method.as_str()).collect::<Vec<_>>(), [method]);
    let at = refused[0].at;
    let (by_then, until) = (at + Duration::from_millis(300), at + Duration::from_secs(2));
    let early: Vec<&Call> = calls.iter().filter(|call| call.at > by_then && call.at < until).collect();
    assert!(early.is_empty(), "{early:?}");
    assert!(calls.iter().any(|call| call.accepted && call.method == method && call.at > at), "it was made again");
}

story!(a_429_on_an_edit_holds_the_chat_back_and_the_restart_ends_right, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.sim.fail(Failure::new(FailureKind::TooManyRequests { retry_after: 2 }).on("editMessageText"));
    world.tap(&world.anna, &question, "Restart").await;
    let command = agent.command().await.unwrap();
    world.sim.say(&world.anna, &world.anna, "/help");
    agent.finish(command.jti, OutcomeKind::Succeeded, "nginx.service is active (running)").await.unwrap();
    world.see(ANNA, "/servers").await;
    let done = world.becomes(&question, "The host says: nginx.service is active (running)").await;
    world.settled(SOON).await;
    waited_after_429(&world.sim.calls(), "editMessageText");
    assert_eq!(world.sim.message(ANNA, question.message_id).unwrap().plain, done.plain, "the result is what stays");
});

story!(a_429_on_the_answer_to_a_tap_holds_the_chat_back_and_the_restart_ends_right, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.restart_question("nginx.service").await;
    world.sim.fail(Failure::new(FailureKind::TooManyRequests { retry_after: 2 }).on("answerCallbackQuery"));
    let press = world.sim.press(ANNA, &world.anna, question.message_id, "Restart").unwrap();
    let command = agent.command().await.unwrap();
    agent.finish(command.jti, OutcomeKind::Succeeded, "nginx.service is active (running)").await.unwrap();
    world.sim.wait_toast(&press, SOON).await.unwrap();
    world.becomes(&question, "The host says: nginx.service is active (running)").await;
    world.settled(SOON).await;
    waited_after_429(&world.sim.calls(), "answerCallbackQuery");
});

story!(telegrams_budgets_are_kept_and_everybody_is_answered, |engine| {
    let options = Options { enforce_budgets: true, ..Options::default() };
    let world = World::with(engine, options, &[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "webhook")]).await;
    let group = world.sim.group(-1_000_000_000_555, "Ops", &[world.anna.admin()]);
    for _ in 0..8 {
        world.sim.say(&world.anna, &world.anna, "/help");
    }
    for _ in 0..15 {
        world.sim.say(&group, &world.anna, "/help");
    }
    world.sim.wait_delivered(SOON).await.unwrap();
    world.settled(Duration::from_mins(2)).await;
    let answers = |chat: i64| {
        let is_help = |message: &BotMessage| message.plain.contains("/remove_server");
        world.sim.messages(chat).into_iter().filter(is_help).count()
    };
    assert_eq!((answers(ANNA), answers(group.id)), (8, 15));
    let refused: Vec<Call> = world.sim.calls().into_iter().filter(|call| call.error.is_some()).collect();
    assert!(refused.is_empty(), "{refused:?}");
});

story!(what_is_no_path_parameter_or_method_of_ours_is_a_problem_document_too, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let is_problem = |status: u16, kind: Option<&str>, body: &[u8], expected: u16| {
        let body: osm_protocol::messages::Problem = serde_json::from_slice(body).expect("a problem document");
        assert_eq!((status, body.status, kind), (expected, expected, Some("application/problem+json")), "{body:?}");
    };
    for query in ["after=x", "wait=-1", "after=99999999999999999999"] {
        let reply = agent.request("GET", "/agent/v1/commands", Some(query), b"").await.unwrap();
        is_problem(reply.status, reply.header("Content-Type"), &reply.body, 400);
    }
    for (path, expected) in [("/nope", 404), ("/agent/v1/nope", 404), ("/telegram/webhook", 405), ("/agent/v1/reports", 405)] {
        let answer = client().get(format!("{}{path}", world.api)).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let kind = headers.get("Content-Type").and_then(|kind| kind.to_str().ok());
        is_problem(status, kind, &answer.bytes().await.unwrap(), expected);
    }
});
