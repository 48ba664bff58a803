//! Who may be written to, who is what in a group, and what the bot hears.

use osm_telegram_sim::{ButtonKind, Role};
use serde_json::{Value, json};

use crate::common::{SOON, bot};

#[tokio::test]
async fn a_bot_cannot_write_first_nor_to_the_unknown() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    let send = json!({"chat_id": 1001, "text": "hello"});
    let initiate = (403, "Forbidden: bot can't initiate conversation with a user".to_owned());
    assert_eq!(bot.refused("sendMessage", send.clone()).await, initiate);
    assert_eq!(bot.bad("sendMessage", json!({"chat_id": 77, "text": "x"})).await, "chat not found");
    assert_eq!(bot.bad("sendMessage", json!({"text": "x"})).await, "chat_id is empty");
    bot.sim.say(&anna, &anna, "/start");
    let message = bot.ok("sendMessage", send).await;
    assert_eq!((&message["chat"]["type"], &message["from"]["is_bot"]), (&json!("private"), &json!(true)));
}

#[tokio::test]
async fn a_blocked_bot_is_told_and_writing_again_unblocks_it() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    bot.sim.block(&anna);
    let send = json!({"chat_id": 1001, "text": "hello"});
    assert_eq!(bot.refused("sendMessage", send.clone()).await, (403, "Forbidden: bot was blocked by the user".into()));
    bot.sim.say(&anna, &anna, "/start");
    bot.ok("sendMessage", send).await;
    let updates = bot.ok("getUpdates", json!({})).await;
    let states = |i: usize| {
        let change = &updates[i]["my_chat_member"];
        (change["old_chat_member"]["status"].clone(), change["new_chat_member"]["status"].clone())
    };
    assert_eq!(states(1), (json!("member"), json!("kicked")));
    assert_eq!(states(2), (json!("kicked"), json!("member")));
    assert_eq!(updates[3]["message"]["text"], "/start");
}

#[tokio::test]
async fn groups_kick_and_migrate() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    let ops = bot.sim.group(-500, "Ops", &[anna.owner()]);
    bot.send(-500, "hello").await;
    let moved = bot.sim.migrate(&ops, -1_000_000_000_777);
    let answer = bot.call("sendMessage", json!({"chat_id": -500, "text": "x"})).await;
    assert_eq!(
        answer,
        json!({
            "ok": false, "error_code": 400, "parameters": {"migrate_to_chat_id": -1_000_000_000_777_i64},
            "description": "Bad Request: group chat was upgraded to a supergroup chat",
        })
    );
    assert_eq!(bot.send(moved.id, "here").await, 2, "a supergroup counts its own messages");
    let updates = bot.ok("getUpdates", json!({})).await;
    assert_eq!(updates[0]["message"]["migrate_to_chat_id"], moved.id);
    assert_eq!(
        (&updates[1]["message"]["migrate_from_chat_id"], &updates[1]["message"]["chat"]["id"]),
        (&json!(-500), &json!(moved.id))
    );
    bot.sim.kick(&moved, &anna);
    let kicked = (403, "Forbidden: bot was kicked from the supergroup chat".to_owned());
    assert_eq!(bot.refused("sendMessage", json!({"chat_id": moved.id, "text": "x"})).await, kicked);
    let basic = bot.sim.group(-501, "Old", &[anna.owner()]);
    bot.sim.kick(&basic, &anna);
    let kicked = (403, "Forbidden: bot was kicked from the group chat".to_owned());
    assert_eq!(bot.refused("getChat", json!({"chat_id": -501})).await, kicked);
}

#[tokio::test]
async fn members_and_administrators_are_told_apart() {
    let bot = bot().await;
    let (anna, bob, eve) = (bot.sim.user(1001, "Anna"), bot.sim.user(1002, "Bob"), bot.sim.user(1003, "Eve"));
    let ops = bot.sim.group(-500, "Ops", &[anna.owner(), bob.member()]);
    let status = async |user: i64| bot.ok("getChatMember", json!({"chat_id": -500, "user_id": user})).await["status"].clone();
    assert_eq!((status(1001).await, status(1002).await), (json!("creator"), json!("member")));
    assert_eq!((status(eve.id).await, status(110_201_543).await), (json!("left"), json!("member")));
    let admins = async || {
        let admins = bot.ok("getChatAdministrators", json!({"chat_id": -500})).await;
        admins.as_array().unwrap().iter().map(|a| a["user"]["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(admins().await, [1001]);
    bot.sim.set_role(&ops, &bob, Role::Administrator);
    assert_eq!(admins().await, [1001, 1002]);
    bot.sim.set_role(&ops, &bob, Role::Kicked);
    assert_eq!(status(1002).await, "kicked");
    assert_eq!(
        bot.bad("getChatAdministrators", json!({"chat_id": 1001})).await,
        "there are no administrators in the private chat"
    );
    let chat = bot.ok("getChat", json!({"chat_id": -500})).await;
    assert_eq!((&chat["title"], &chat["type"]), (&json!("Ops"), &json!("group")));
    assert!(chat["max_reaction_count"].is_u64() && chat["accepted_gift_types"]["unique_gifts"].is_boolean());
}

#[tokio::test]
async fn in_a_group_the_bot_hears_commands_and_replies_only() {
    let bot = bot().await;
    let (anna, bob) = (bot.sim.user(1001, "Anna"), bot.sim.user(1002, "Bob"));
    let ops = bot.sim.group(-500, "Ops", &[anna.admin(), bob.member()]);
    let id = bot.send(-500, "card").await;
    assert!(bot.sim.say(&ops, &bob, "just talking").update_id.is_none());
    assert!(bot.sim.say(&ops, &bob, "/status@other_bot").update_id.is_none());
    assert!(bot.sim.say(&ops, &bob, "/status@OSM_demo_bot web-1").update_id.is_some());
    assert!(bot.sim.reply(&ops, &bob, id, "on it").update_id.is_some());
    assert!(bot.sim.say_anonymously(&ops, "/status").update_id.is_some());
    bot.sim.set_bot_role(&ops, &anna, Role::Administrator);
    assert!(bot.sim.say(&ops, &bob, "just talking").update_id.is_some(), "an administrator hears all");
    let updates = bot.ok("getUpdates", json!({})).await;
    assert_eq!(updates[0]["message"]["entities"], json!([{"type": "bot_command", "offset": 0, "length": 20}]));
    assert_eq!(updates[1]["message"]["reply_to_message"]["text"], "card");
    let anonymous = &updates[2]["message"];
    assert_eq!((&anonymous["from"]["id"], &anonymous["sender_chat"]["id"]), (&json!(1_087_968_824), &json!(-500)));
}

#[tokio::test]
async fn presses_find_buttons_by_label_and_say_what_is_wrong() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    let markup = json!({"inline_keyboard": [
        [{"text": "✅ Ack", "callback_data": "ack:17"}, {"text": "Snooze 1 h", "callback_data": "snooze:1"}, {"text": "Snooze 8 h", "callback_data": "snooze:8"}],
        [{"text": "Copy", "copy_text": {"text": "sudo sh"}}, {"text": "Docs", "url": "https://example.org"}],
    ]});
    let sent = bot.ok("sendMessage", json!({"chat_id": 1001, "text": "disk <full>", "reply_markup": markup})).await;
    let id = i32::try_from(sent["message_id"].as_i64().unwrap()).unwrap();
    for button in ["✅ Ack", "Ack", "ack:", "ack:17"] {
        let tap = bot.sim.press(&anna, &anna, id, button).unwrap();
        let updates = bot.ok("getUpdates", json!({"offset": tap.update_id})).await;
        let query = &updates[0]["callback_query"];
        assert_eq!((&query["data"], &query["id"]), (&json!("ack:17"), &json!(tap.query_id)), "{button}");
        assert_eq!((&query["from"]["id"], &query["message"]["message_id"]), (&json!(1001), &json!(id)));
    }
    let error = |button: &str| format!("{:#}", bot.sim.press(&anna, &anna, id, button).unwrap_err());
    assert!(error("Snooze").contains("several buttons"));
    assert!(error("Copy").contains("does not call back"));
    assert!(error("Reboot").contains("no such button") && error("Reboot").contains("[ ✅ Ack ] [ Snooze 1 h ]"));
    let message = bot.sim.wait(&anna, SOON, |m| m.plain.contains("disk <full>")).await.unwrap();
    assert_eq!(message.button("Copy").unwrap().kind, ButtonKind::CopyText("sudo sh".into()));
    assert_eq!(message.button("Docs").unwrap().kind, ButtonKind::Url("https://example.org".into()));

    bot.ok("deleteMessage", json!({"chat_id": 1001, "message_id": id})).await;
    let tap = bot.sim.press_data(&anna, &anna, id, "ack:17");
    let updates = bot.ok("getUpdates", json!({"offset": tap.update_id})).await;
    let message: &Value = &updates[0]["callback_query"]["message"];
    assert_eq!((&message["date"], &message["text"]), (&json!(0), &Value::Null), "a deleted message is inaccessible");
}

#[tokio::test]
async fn a_failed_wait_shows_the_chat() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start please");
    bot.send(1001, "welcome").await;
    let error = bot.sim.wait(&anna, std::time::Duration::from_millis(20), |m| m.plain == "goodbye").await.unwrap_err();
    let shown = format!("{error:#}");
    assert!(shown.contains("/start please") && shown.contains("@osm_demo_bot") && shown.contains("welcome"), "{shown}");
}
