//! Updates on their way to being applied: nobody waits for somebody else's chat, and a stranger costs nothing.

use osm_api::{
    domain::{
        ids::{ChatId, UpdateId, UserId},
        intent::{Actor, Chat, ChatKind, Intent, Request},
    },
    store::{Store, updates},
};
use osm_telegram_sim::{Failure, FailureKind, Options};
use osm_tests::{
    agent::{Agent, client},
    database,
    world::{ANNA, BORIS, SOON, START, World},
};
use serde_json::json;

use osm_tests::story;

const EVERYBODY: [(&str, &str); 2] = [("OSM_ALLOWED_USERS", "*"), ("OSM_TELEGRAM_MODE", "webhook")];

// Finding 6: `getChatMember` of one group hung, and every chat waited for it.
story!(a_look_up_that_hangs_holds_up_its_own_group_only, |engine| {
    let world = World::with(engine, Options::default(), &EVERYBODY).await;
    let group = world.sim.group(-1_000_000_000_123, "Ops", &[world.anna.admin(), world.boris.member()]);
    world.sim.fail(Failure::new(FailureKind::TimeoutBefore).on("getChatMember").times(u32::MAX));
    for number in 0..3 {
        world.sim.say(&group, &world.anna, &format!("/add_server@osm_demo_bot web-{number}"));
    }
    world.sim.wait_call("getChatMember", SOON).await.unwrap();
    world.ask(&world.boris, "/help", "/add_server").await;
    let waiting = format!("SELECT COUNT(*) FROM updates WHERE state = 'open' AND chat_id = {}", i64::from(&group));
    assert_eq!(world.rows(&waiting).await, [[3]], "Boris was answered while all of the group waited");
    world.sim.heal();
});

story!(whoever_floods_is_served_after_everybody_who_came_meanwhile, |engine| {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&database::fresh(engine, folder.path()).await.unwrap()).await.unwrap();
    let request = |chat: i64| Request {
        chat: Chat { id: ChatId(chat), kind: ChatKind::Private },
        actor: Actor { id: UserId(chat), name: "Anna".to_owned(), language: None },
        intent: Intent::Help,
        tap: None,
        topic: None,
    };
    // Anna sends four at once, Boris one a moment later.
    for (id, chat, at) in [(1, ANNA, 0), (2, ANNA, 0), (3, ANNA, 0), (4, ANNA, 0), (5, BORIS, 500)] {
        let mut tx = store.begin().await.unwrap();
        let before = updates::waiting(&mut tx, ChatId(chat)).await.unwrap().turn;
        updates::insert(&mut tx, UpdateId(id), &request(chat), before, START + at).await.unwrap();
        tx.commit("receive-update").await.unwrap();
    }
    let mut order = Vec::new();
    let mut tx = store.begin().await.unwrap();
    while let Some(claimed) = updates::claim(&mut tx, START + 1_000).await.unwrap() {
        updates::finish(&mut tx, &claimed, osm_api::domain::update::State::Done).await.unwrap();
        order.push(claimed.update_id.0);
    }
    assert_eq!(order, [1, 5, 2, 3, 4]);
});

// Finding 6: three durable commits for each command of a stranger, in the owner's queue. Finding 12: their names stayed for
// ever.
story!(a_stranger_costs_no_write_and_is_told_once_an_hour, |engine| {
    let world = World::new(engine).await;
    let group = world.sim.group(-1_000_000_000_124, "Strangers", &[world.boris.admin()]);
    world.ask(&world.boris, "/start", "private bot").await;
    for number in 0..20 {
        world.sim.say(&world.boris, &world.boris, &format!("/status {number}"));
        world.sim.say(&group, &world.boris, "/servers@osm_demo_bot");
    }
    world.sim.say(&world.boris, &world.boris, "/start AAAAAAAAAAAAAAAAAAAAAA");
    world.sim.wait_delivered(SOON).await.unwrap();
    world.ask(&world.anna, "/help", "/add_server").await;
    for table in ["updates", "outbox", "messages"] {
        let of_others = format!("SELECT COUNT(*) FROM {table} WHERE chat_id <> {ANNA}");
        assert_eq!(world.rows(&of_others).await, [[0]], "{table}");
    }
    assert_eq!(world.rows(&format!("SELECT COUNT(*) FROM chats WHERE id <> {ANNA}")).await, [[0]]);
    assert_eq!(world.sim.messages(BORIS).len(), 1, "{}", world.sim.transcript(BORIS));
    assert!(world.sim.messages(&group).is_empty(), "{}", world.sim.transcript(&group));

    // An hour later he may be told again; it is counted all the same.
    world.clock.pass(3_600_000).await;
    world.ask(&world.boris, "/start", "private bot").await;
    let told = database::texts(&world.database_url(), "SELECT data FROM events WHERE kind = 'refused'").await.unwrap();
    assert!(
        told[0][0].as_ref().is_some_and(|data| data.contains(r#""what":"stranger""#) && data.contains(r#""count":42"#)),
        "{told:?}"
    );
});

// Finding 19: such an update got 500, and Telegram repeats what gets that for ever.
story!(an_update_that_cannot_be_read_is_acknowledged_and_costs_no_neighbour, |engine| {
    for mode in ["webhook", "polling"] {
        let world = World::with(engine, Options::default(), &[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", mode)]).await;
        let raw = [
            json!({ "poll_answer": { "poll_id": "1", "option_ids": [0] } }),
            json!({ "message_reaction": { "chat": { "id": 1, "type": "private" }, "message_id": 1 } }),
            json!({ "message": { "message_id": 1 } }),
            json!({ "callback_query": [] }),
        ]
        .map(|update| world.sim.push_raw(update));
        world.ask(&world.anna, "/help", "/add_server").await;
        world.sim.wait_delivered(SOON).await.unwrap();
        assert!(raw.iter().all(|id| !world.sim.is_pending(*id)), "{mode}");
        assert!(
            world.sim.deliveries().iter().all(|delivery| delivery.status == Some(200)),
            "{mode}: {:?}",
            world.sim.deliveries()
        );
    }
});

// Finding 7: sixteen refused pairings and five wrong secrets left nothing that anybody saw.
story!(refusals_are_told_to_the_owner_hourly_and_a_tried_token_to_its_chat, |engine| {
    let world = World::with(engine, Options::default(), &[("OSM_TELEGRAM_MODE", "webhook")]).await;
    let link = world.claim_link().await;
    let (_, code) = link.split_once("?start=").unwrap();
    world.ask(&world.anna, &format!("/start {code}"), "You are now the owner").await;
    let (token, _) = world.token(&world.anna, "web-1").await;
    world.pair(ANNA, &token).await;
    for _ in 0..2 {
        let refused = Agent::new(&world).pair(&token).await.unwrap_err().to_string();
        assert!(refused.starts_with("403"), "{refused}");
    }
    let told = world.see(ANNA, "Another machine tried the pairing line of web-1").await;
    assert!(told.plain.contains("127.0.0.1"), "{}", told.plain);

    world.clock.pass(60_000).await;
    let owner = world.see(ANNA, "Refused 2 times in the last minute: a pairing token").await;
    assert!(owner.plain.contains("From 127.0.0.1"), "{}", owner.plain);
    // Worse things too: not within the hour.
    let wrong = async || {
        let request = client().post(format!("{}/telegram/webhook", world.api)).body("{}");
        assert_eq!(request.header("X-Telegram-Bot-Api-Secret-Token", "guess").send().await.unwrap().status(), 403);
    };
    wrong().await;
    world.clock.pass(59 * 60_000).await;
    wrong().await;
    world.clock.pass(60_000).await;
    world.see(ANNA, "Refused once in the last minute: a wrong secret of the webhook").await;
    world.hears_nothing(ANNA).await;
});
