//! Telegram says more than anybody here knows: new kinds of entities, buttons, messages, chats and answers change nothing
//! else.

use osm_telegram_sim::{Failure, FailureKind, Options};
use osm_tests::{
    story,
    until::until,
    world::{ANNA, SOON, World},
};
use serde_json::{Value, json};

/// A command of Anna's with further fields.
fn command(text: &str, more: &Value) -> Value {
    let mut message = json!({
        "message_id": 10, "date": 1_800_000_000, "text": text,
        "chat": { "id": ANNA, "type": "private", "first_name": "Anna" },
        "from": { "id": ANNA, "is_bot": false, "first_name": "Anna" },
    });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "message": message })
}

/// What a message may have that no library knows yet, or knows otherwise.
fn unknown() -> Vec<Value> {
    let date_time = json!({ "type": "date_time", "offset": 6, "length": 1, "unix_time": 1 });
    let quote = json!({ "text": "x", "position": 0, "entities": [date_time.clone()] });
    let link = json!({ "type": "text_link", "offset": 0, "length": 5, "url": "http://[not a url" });
    let button = json!({ "inline_keyboard": [[{ "text": "x", "brand_new": {} }]] });
    vec![
        json!({ "entities": [date_time] }),
        json!({ "quote": quote }),
        json!({ "entities": [link] }),
        json!({ "reply_markup": button }),
        json!({ "reply_to_message": { "message_id": 9, "date": 1, "brand_new": [], "chat": { "id": 1, "type": "brand_new" } } }),
        json!({ "chat": { "id": ANNA, "type": "brand_new", "accent": { "x": 1 } } }),
        json!({ "from": { "id": ANNA, "is_bot": false, "first_name": 7, "language_code": { "new": 1 } } }),
        json!({ "from": { "id": ANNA, "language_code": "x-klingon-9" } }),
        json!({ "message_id": 5_000_000_000_i64, "date": "tomorrow" }),
        json!({ "link_preview_options": 7, "effect_id": [], "brand_new": { "deep": [null] } }),
    ]
}

story!(what_nobody_here_knows_in_a_message_changes_nothing, |engine| {
    for mode in ["webhook", "polling"] {
        let world = World::with(engine, Options::default(), &[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", mode)]).await;
        world.ask(&world.anna, "/start", "Online Server Monitor").await;
        for more in unknown() {
            world.sim.push_raw(command("/servers", &more));
            println!("{mode}: {more}");
            world.see(ANNA, "Nothing is paired").await;
        }
        world.hears_nothing(ANNA).await;
    }
});

story!(a_tap_under_a_message_of_a_new_form_is_answered, |engine| {
    let world = World::new(engine).await;
    world.expects_refusals("the stand-in knows nothing of the taps that the story makes up");
    let help = world.ask(&world.anna, "/help", "/servers").await;
    for more in unknown() {
        let mut message = command("x", &more)["message"].clone();
        message["message_id"] = help.message_id.into();
        message["chat"]["id"] = ANNA.into();
        let tap =
            json!({ "id": "77", "from": { "id": ANNA, "brand_new": 1 }, "message": message, "data": "l:0", "brand_new": {} });
        world.sim.push_raw(json!({ "callback_query": tap }));
        world.becomes(&help, "Nothing is paired").await;
        let back = json!({ "id": "78", "from": { "id": ANNA }, "data": "h",
            "message": { "message_id": help.message_id, "date": 0, "chat": { "id": ANNA } } });
        world.sim.push_raw(json!({ "callback_query": back }));
        world.becomes(&help, "/servers").await;
    }
    world.settled(SOON).await;
});

story!(what_cannot_be_used_holds_up_nothing, |engine| {
    for mode in ["webhook", "polling"] {
        let world = World::with(engine, Options::default(), &[("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", mode)]).await;
        for unusable in [
            json!({ "brand_new_kind": { "x": 1 } }),
            json!({ "message": 7 }),
            json!({ "message": { "chat": { "id": "x" } } }),
            json!({ "callback_query": [] }),
            json!({ "my_chat_member": { "chat": { "id": ANNA }, "from": { "id": ANNA },
                "new_chat_member": { "status": "brand_new" } } }),
        ] {
            world.sim.push_raw(unusable);
        }
        world.ask(&world.anna, "/help", "/servers").await;
    }
});

story!(a_message_that_telegram_took_is_never_sent_again_whatever_it_answers, |engine| {
    const FORMS: [&str; 5] = [
        r#"{"ok":true,"result":{"message_id":"brand new","chat":7}}"#,
        r#"{"ok":true,"result":true}"#,
        r#"{"ok":true}"#,
        r#"{"ok":true,"result":null,"parameters":{"new":1},"description":7}"#,
        r#"{"ok":true,"result":{"message_id":99999999999}}"#,
    ];
    let world = World::new(engine).await;
    for form in FORMS {
        world.sim.fail(Failure::new(FailureKind::AnsweredWith(form)).on("sendMessage"));
        world.ask(&world.anna, "/help", "/servers").await;
        world.hears_nothing(ANNA).await;
    }
    let list = world.ask(&world.anna, "/alerts", "Nothing is open").await;
    world.settled(SOON).await;
    for form in FORMS {
        world.sim.fail(Failure::new(FailureKind::AnsweredWith(form)).on("editMessageText"));
        world.sim.fail(Failure::new(FailureKind::AnsweredWith(form)).on("answerCallbackQuery"));
        for (data, shows) in [("h", "/add_server"), ("A:0", "Nothing is open")] {
            world.tap_data(&world.anna, &list, data).await;
            world.becomes(&list, shows).await;
        }
        world.settled(SOON).await;
        world.sim.heal();
    }
    world.hears_nothing(ANNA).await;
});

/// What a set-up may be answered with.
const SAID: &str = r#"{"ok":true,"result":{"brand_new":[1]},"description":{"x":1}}"#;
const ME: &str = r#"{"ok":true,"result":{"username":"osm_demo_bot","id":"x","brand_new":{}}}"#;

story!(the_set_up_is_done_when_telegram_says_so_whatever_else_it_says, |engine| {
    let mut world = World::new(engine).await;
    world.stop().await.unwrap();
    let before = world.sim.calls().len();
    world.sim.fail(Failure::new(FailureKind::AnsweredWith(ME)).on("getMe"));
    for method in ["setWebhook", "setMyCommands"] {
        world.sim.fail(Failure::new(FailureKind::AnsweredWith(SAID)).on(method).times(u32::MAX));
    }
    world.start().await.unwrap();
    world.ask(&world.anna, "/help@osm_demo_bot", "/servers").await;
    let count = |method: &str| world.sim.calls().split_off(before).iter().filter(|call| call.method == method).count();
    until("the commands of three kinds of chats", async || count("setMyCommands") == 3).await;
    world.settled(SOON).await;
    assert_eq!((count("getMe"), count("setWebhook"), count("setMyCommands")), (1, 1, 3));
});
