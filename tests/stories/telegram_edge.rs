//! What comes wrongly from Telegram, or is refused by it: a clear answer, nothing lost, nothing done twice.

use osm_telegram_sim::{Failure, FailureKind, Options};
use osm_tests::{
    agent::client,
    database::Table,
    story,
    talk::token_in,
    until::until,
    world::{ANNA, BORIS, SOON, World},
};
use serde_json::json;

/// A raw POST to the webhook.
async fn post(world: &World, secret: Option<&str>, body: &str) -> u16 {
    let mut request = client().post(format!("{}/telegram/webhook", world.api)).body(body.to_owned());
    if let Some(secret) = secret {
        request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
    }
    request.send().await.unwrap().status().as_u16()
}

fn command(update_id: i64, user_id: i64, text: &str) -> String {
    let from = json!({ "id": user_id, "is_bot": false, "first_name": "Anna" });
    json!({
        "update_id": update_id,
        "message": {
            "message_id": 5, "date": 1_800_000_000, "text": text, "from": from,
            "chat": { "id": user_id, "type": "private", "first_name": "Anna" },
            "entities": [{ "type": "bot_command", "offset": 0, "length": text.split(' ').next().unwrap().len() }]
        }
    })
    .to_string()
}

story!(only_the_secret_opens_the_webhook, |engine| {
    let world = World::new(engine).await;
    let secret = world.core.keys.webhook_secret.expose().to_owned();
    let body = command(1, ANNA, "/help");
    for wrong in [None, Some(""), Some("wrong"), Some(&secret[1..]), Some(&format!("{secret}x"))] {
        assert_eq!(post(&world, wrong, &body).await, 403, "{wrong:?}");
    }
    let stored = async || world.rows("SELECT COUNT(*) FROM updates").await;
    assert_eq!(stored().await, [[0]], "nothing of it is stored");
    assert_eq!(post(&world, Some(&secret), &"x".repeat(1024 * 1024 + 1)).await, 413);
    for malformed in ["", "{", "[]", "null", "{\"update_id\":\"x\"}", "\u{0}"] {
        assert_eq!(post(&world, Some(&secret), malformed).await, 400, "{malformed:?}");
    }
    assert_eq!(stored().await, [[0]]);
    // The right one does.
    assert_eq!(post(&world, Some(&secret), &body).await, 200);
    assert_eq!(stored().await, [[1]]);
});

story!(unknown_kinds_and_plain_talk_are_acknowledged_and_dropped, |engine| {
    let world = World::new(engine).await;
    let secret = world.core.keys.webhook_secret.expose().to_owned();
    for (number, update) in [
        json!({ "update_id": 10, "brand_new_kind": { "x": 1 } }),
        json!({ "update_id": 11, "edited_message": { "message_id": 1 } }),
        json!({ "update_id": 12 }),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(post(&world, Some(&secret), &update.to_string()).await, 200, "{number}");
    }
    // Before she is known, and after.
    for _ in 0..2 {
        world.sim.say(&world.anna, &world.anna, "my password is hunter2");
        world.sim.wait_delivered(SOON).await.unwrap();
        world.settled(SOON).await;
        assert_stored_nowhere(&world, "hunter2").await;
        world.ask(&world.anna, "/help", "/add_server").await;
    }
    assert_stored_nowhere(&world, "hunter2").await;
    let known = |table: &Table| table.naming("private").next().is_some();
    assert!(world.tables().await.iter().any(known), "the look finds what there is");
});

/// No column of any table has this text, nor had it: SQLite's files do not forget at once what is deleted.
async fn assert_stored_nowhere(world: &World, text: &str) {
    for table in world.tables().await {
        let told: Vec<_> = table.naming(text).collect();
        assert!(told.is_empty(), "{}: {told:?}", table.name);
    }
    for file in ["osm.db", "osm.db-wal"] {
        if let Ok(bytes) = std::fs::read(world.state_dir().join(file)) {
            assert!(!bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes()), "{file}");
        }
    }
}

story!(the_same_update_again_is_done_once, |engine| {
    let world = World::new(engine).await;
    let secret = world.core.keys.webhook_secret.expose().to_owned();
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    let body = command(10_000_077, ANNA, "/add_server twice");
    for _ in 0..5 {
        assert_eq!(post(&world, Some(&secret), &body).await, 200);
    }
    world.see(ANNA, "osm-agent pair").await;
    world.hears_nothing(ANNA).await;
});

story!(duplicated_and_reordered_updates_are_each_done_once, |engine| {
    let world = World::new(engine).await;
    world.sim.duplicate_updates(true);
    world.sim.reorder_updates(true);
    for name in ["a", "b", "c"] {
        world.sim.say(&world.anna, &world.anna, &format!("/add_server {name}"));
    }
    world.see_all(ANNA, &["Add a server: a", "Add a server: b", "Add a server: c"]).await;
    world.sim.wait_delivered(SOON).await.unwrap();
    world.hears_nothing(ANNA).await;
});

story!(a_stranger_is_told_once_that_this_is_a_private_bot_and_gets_nothing, |engine| {
    let world = World::new(engine).await;
    world.paired("web-1").await;
    world.ask(&world.boris, "/start", "private bot").await;
    for text in ["/add_server evil", "/servers", "/status web-1", "/start AAAA", "/remove_server web-1"] {
        world.sim.say(&world.boris, &world.boris, text);
    }
    world.sim.wait_delivered(SOON).await.unwrap();
    world.hears_nothing(BORIS).await;
});

story!(a_stranger_who_taps_in_a_group_changes_nothing, |engine| {
    let world = World::new(engine).await;
    let group = world.sim.group(-1_000_000_000_123, "Ops", &[world.anna.admin(), world.boris.member()]);
    // The token goes to the asker's private chat, never into the group; and there the person has to write first.
    world.sim.say(&group, &world.anna, "/add_server@osm_demo_bot web-1");
    world.see(&group, "Open our chat").await;
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    world.sim.say(&group, &world.anna, "/add_server@osm_demo_bot web-1");
    let private = world.see(&world.anna, "osm-agent pair").await;
    world.see(&group, "private chat").await;
    let token = token_in(&private).unwrap();
    assert!(!world.sim.transcript(&group).contains(&token));
    let mut agent = world.pair(&group, &token).await;
    agent.send_report(&agent.report()).await.unwrap();
    let card = world.see(&group, "online").await;

    // Boris sees the card, and may do nothing.
    let toast = world.tap(&world.boris, &card, "Restart").await;
    assert!(toast.text.unwrap_or_default().contains("You may look"));
    world.tap(&world.boris, &card, "Refresh").await;
    // Anna asks; Boris cannot confirm for her.
    world.tap(&world.anna, &card, "Restart").await;
    let services = world.becomes(&card, "Restart a service on").await;
    world.tap(&world.anna, &services, "nginx").await;
    let question = world.see(&group, "can confirm, within 60 s").await;
    let toast = world.tap(&world.boris, &question, "Restart").await;
    assert!(toast.text.unwrap_or_default().contains("You may look"));
    assert!(agent.envelopes(0).await.unwrap().is_empty());
    world.tap(&world.anna, &question, "Restart").await;
    assert!(agent.command().await.is_ok());
});

story!(a_group_that_becomes_a_supergroup_keeps_its_servers, |engine| {
    let world = World::new(engine).await;
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    let group = world.sim.group(-4242, "Ops", &[world.anna.admin()]);
    world.sim.say(&group, &world.anna, "/add_server web-1");
    let token = token_in(&world.see(&world.anna, "osm-agent pair").await).unwrap();
    world.see(&group, "private chat").await;
    let agent = world.pair(&group, &token).await;
    let supergroup = world.sim.migrate(&group, -1_000_000_004_242);
    // What is sent next goes to the new id, whoever learns of it first.
    agent.send_report(&agent.report()).await.unwrap();
    world.see(&supergroup, "online").await;
    world.sim.say(&supergroup, &world.anna, "/servers@osm_demo_bot");
    world.see(&supergroup, "Servers").await;
});

story!(a_stale_or_forged_button_says_that_it_is_no_longer_so_and_shows_what_there_is, |engine| {
    let world = World::new(engine).await;
    let (_, card) = world.paired_with_card("web-1").await;
    let long = "z".repeat(64);
    for data in ["v0:old", "", "r:not-a-server:0", "c:00000000-0000-0000-0000-000000000000", long.as_str()] {
        let toast = world.tap_data(&world.anna, &card, data).await;
        assert_eq!(toast.text.as_deref(), Some("That is no longer so. Ask again with /servers."), "{data}");
    }
    // In its place stands what there is.
    world.becomes(&card, "Servers\n").await;
    world.hears_nothing(ANNA).await;
});

story!(too_many_requests_lost_connections_and_faults_of_telegram_lose_no_message, |engine| {
    let world = World::new(engine).await;
    // The library waits 10 s after a 5xx before it gives the answer.
    for kind in [FailureKind::TooManyRequests { retry_after: 1 }, FailureKind::DropBefore, FailureKind::BadGateway] {
        world.sim.fail(Failure::new(kind).on("sendMessage").times(1));
        world.ask(&world.anna, "/help", "/servers").await;
    }
    // Accepted, but the answer was lost: it may come twice, and comes at least once.
    world.sim.fail(Failure::new(FailureKind::DropAfter).on("sendMessage").times(1));
    world.ask(&world.anna, "/servers", "Nothing is paired").await;
    world.settled(SOON).await;
});

story!(who_blocks_the_bot_is_left_alone_until_they_write_again, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.sim.block(&world.anna);
    agent.request("POST", "/agent/v1/unpair", None, b"").await.unwrap();
    let unreachable = async || {
        let ready = client().get(format!("{}/readyz", world.api)).send().await.unwrap();
        ready.json::<serde_json::Value>().await.unwrap()["chats_unreachable"] == 1
    };
    until("a chat that cannot be reached", unreachable).await;
    let before = world.sim.calls().len();
    // The sender looks again whenever it is woken, as by another chat's message.
    world.ask(&world.boris, "/start", "private bot").await;
    let since = world.sim.calls().split_off(before);
    assert!(since.iter().all(|call| call.chat_id != Some(ANNA)), "no call goes to a chat that cannot be reached: {since:?}");
    world.sim.unblock(&world.anna);
    world.sim.say(&world.anna, &world.anna, "/start");
    world.see_all(&world.anna, &["Online Server Monitor", "was unpaired on its host"]).await;
});

story!(the_claim_link_makes_the_first_who_uses_it_the_owner, |engine| {
    let world = World::with(engine, Options::default(), &[("OSM_TELEGRAM_MODE", "webhook")]).await;
    let link = world.claim_link().await;
    let code = link.strip_prefix("https://t.me/osm_demo_bot?start=").expect("a link to this bot");
    world.ask(&world.boris, "/start WRONG", "private bot").await;
    world.ask(&world.anna, &format!("/start {code}"), "You are now the owner").await;
    assert_eq!(osm_api::usecase::access::claim::offer_claim(&world.core).await.unwrap(), None);
    world.clock.advance(3_600_000);
    world.ask(&world.boris, &format!("/start {code}"), "private bot").await;
    world.token(&world.anna, "web-1").await;
});

story!(updates_come_by_polling_too_and_survive_a_restart, |engine| {
    let mut world =
        World::with(engine, Options::default(), &[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "polling")]).await;
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    world.stop().await.unwrap();
    world.sim.say(&world.anna, &world.anna, "/help");
    world.start().await.unwrap();
    world.see(ANNA, "/servers").await;
    // What was handled before the restart is not handled again.
    world.hears_nothing(ANNA).await;
});

story!(the_bot_sets_itself_up, |engine| {
    let world = World::new(engine).await;
    let offered = |chat: i64, user: i64| world.sim.commands(chat, user).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let administrators = [
        "add_server",
        "servers",
        "status",
        "server_status",
        "alerts",
        "mute",
        "unmute",
        "thresholds",
        "timezone",
        "remove_server",
        "help",
    ];
    let group = world.sim.group(-1_000_000_000_777, "Ops", &[world.anna.admin(), world.boris.member()]);
    // Offered beside the rest of the set-up, to administrators last.
    until("the commands", async || offered(group.id, ANNA) == administrators).await;
    assert_eq!(offered(ANNA, ANNA), [&["start"], &administrators[..]].concat());
    assert_eq!(offered(group.id, ANNA), administrators);
    assert_eq!(offered(group.id, BORIS), ["servers", "status", "server_status", "alerts", "thresholds", "help"]);

    let call = world.sim.wait_call("setWebhook", SOON).await.unwrap();
    let text = |name: &str| call.params[name].as_str().map(str::to_owned);
    // A form's field holds a list as JSON.
    let allowed = match &call.params["allowed_updates"] {
        serde_json::Value::String(text) => serde_json::from_str(text).unwrap(),
        list => list.clone(),
    };
    assert_eq!(allowed, json!(["message", "callback_query", "my_chat_member"]));
    assert_eq!(text("url"), Some(format!("{}/telegram/webhook", world.api)));
    assert_eq!(text("secret_token").as_deref(), Some(world.core.keys.webhook_secret.expose()), "the one that is kept");
});
