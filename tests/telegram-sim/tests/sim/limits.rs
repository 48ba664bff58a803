//! Telegram's limits, and the words in which it says no.

use osm_telegram_sim::Options;
use serde_json::{Value, json};
use tokio::time::Duration;

use crate::common::{bot, bot_with};

fn keyboard(button: &Value) -> Value {
    json!({"inline_keyboard": [[button]]})
}

#[tokio::test]
async fn a_wrong_token_an_unknown_method_and_odd_spelling() {
    let bot = bot().await;
    let wrong = bot.url("getMe").replace("110201543", "110201544");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer: Value = http.get(wrong).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({"ok": false, "error_code": 401, "description": "Unauthorized"}));
    assert_eq!(bot.refused("sendPigeon", json!({})).await, (404, "Not Found".into()));
    let me = bot.ok("GETME", json!({})).await;
    assert_eq!((me["id"].as_i64(), me["username"].as_str()), (Some(110_201_543), Some("osm_demo_bot")));
    for field in ["can_join_groups", "can_read_all_group_messages", "supports_inline_queries", "has_main_web_app"] {
        assert!(me[field].is_boolean(), "{field}");
    }
}

#[tokio::test]
async fn parameters_come_as_query_form_multipart_or_json() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let markup = "%7B%22inline_keyboard%22%3A%5B%5B%7B%22text%22%3A%22Go%22%2C%22callback_data%22%3A%22g%22%7D%5D%5D%7D";
    http.get(format!("{}?chat_id=1001&text=query", bot.url("sendMessage"))).send().await.unwrap();
    let form = format!("chat_id=1001&text=form+%26+more&disable_notification=true&reply_markup={markup}");
    let request = http.post(bot.url("sendMessage")).header("content-type", "application/x-www-form-urlencoded").body(form);
    request.send().await.unwrap();
    let part = |name: &str, value: &str| format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let parts = part("chat_id", "1001") + &part("text", "multipart") + "--x--\r\n";
    let request = http.post(bot.url("sendMessage")).header("content-type", "multipart/form-data; boundary=x").body(parts);
    request.send().await.unwrap();
    let sent = bot.sim.messages(&anna);
    let texts: Vec<&str> = sent.iter().map(|m| m.plain.as_str()).collect();
    assert_eq!(texts, ["query", "form & more", "multipart"]);
    assert!(sent[1].silent && sent[1].button("Go").is_some() && !sent[0].silent);
}

#[tokio::test]
async fn texts_are_counted_after_parsing_in_utf16() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    let send = |text: String, mode: &str| json!({"chat_id": 1001, "text": text, "parse_mode": mode});
    bot.ok("sendMessage", send(format!("<b>{}</b>", "x".repeat(4096)), "HTML")).await;
    bot.ok("sendMessage", send("&amp;".repeat(4096), "HTML")).await;
    bot.ok("sendMessage", send("😀".repeat(2048), "")).await;
    assert_eq!(bot.bad("sendMessage", send("x".repeat(4097), "")).await, "message is too long");
    assert_eq!(bot.bad("sendMessage", send("😀".repeat(2049), "")).await, "message is too long");
    for empty in ["", "  \n ", "<b></b>"] {
        assert_eq!(bot.bad("sendMessage", send(empty.into(), "HTML")).await, "message text is empty");
    }
    let unescaped = bot.bad("sendMessage", send("load < 5".into(), "HTML")).await;
    assert_eq!(unescaped, "can't parse entities: Unsupported start tag \"\" at byte offset 5");
    assert_eq!(bot.bad("sendMessage", send("x".into(), "Markdown")).await, "unsupported parse_mode");
    let edit = json!({"chat_id": 1001, "message_id": bot.send(1001, "x").await, "text": "x".repeat(4097)});
    assert_eq!(bot.bad("editMessageText", edit).await, "MESSAGE_TOO_LONG");
}

#[tokio::test]
async fn keyboards_are_checked_button_by_button() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    let send = |markup: Value| json!({"chat_id": 1001, "text": "x", "reply_markup": markup});
    let data = |data: &str| keyboard(&json!({"text": "b", "callback_data": data}));
    bot.ok("sendMessage", send(data(&"x".repeat(64)))).await;
    for wrong in ["x".repeat(65), "ж".repeat(33), String::new()] {
        assert_eq!(bot.bad("sendMessage", send(data(&wrong))).await, "BUTTON_DATA_INVALID", "{wrong}");
    }
    bot.ok("sendMessage", send(keyboard(&json!({"text": "b", "copy_text": {"text": "ж".repeat(256)}})))).await;
    for wrong in ["x".repeat(257), String::new()] {
        let copy = keyboard(&json!({"text": "b", "copy_text": {"text": wrong}}));
        assert!(bot.bad("sendMessage", send(copy)).await.contains("COPY_TEXT"));
    }
    let nothing = bot.bad("sendMessage", send(keyboard(&json!({"text": "b"})))).await;
    assert!(nothing.contains("Text buttons are unallowed"), "{nothing}");
    let unnamed = bot.bad("sendMessage", send(keyboard(&json!({"text": "", "callback_data": "x"})))).await;
    assert!(unnamed.contains("text must be non-empty"), "{unnamed}");
    let address = bot.bad("sendMessage", send(keyboard(&json!({"text": "b", "url": "not an address"})))).await;
    assert!(address.contains("is invalid"), "{address}");
    let rows = |rows: usize, wide: usize| {
        let row = vec![json!({"text": "b", "callback_data": "x"}); wide];
        json!({"inline_keyboard": vec![row; rows]})
    };
    bot.ok("sendMessage", send(rows(12, 8))).await;
    bot.ok("sendMessage", send(rows(100, 1))).await;
    assert_eq!(bot.bad("sendMessage", send(rows(101, 1))).await, "reply markup is too long");
    assert_eq!(bot.bad("sendMessage", send(rows(1, 9))).await, "reply markup is too long");
}

#[tokio::test]
async fn editing_and_deleting_know_what_is_there() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    let said = bot.sim.say(&anna, &anna, "/start");
    let id = bot.send(1001, "one").await;
    let edit = |id: i32, text: &str| json!({"chat_id": 1001, "message_id": id, "text": text});
    assert!(bot.bad("editMessageText", edit(id, "one")).await.starts_with("message is not modified: specified new"));
    // Other tags around the same words are no news either if they mean the same.
    let bold = |text: &str| json!({"chat_id": 1001, "message_id": id, "text": text, "parse_mode": "HTML"});
    bot.ok("editMessageText", bold("<b>one</b>")).await;
    assert!(bot.bad("editMessageText", bold("<strong>one</strong>")).await.starts_with("message is not modified"));
    assert_eq!(bot.bad("editMessageText", edit(999, "x")).await, "message to edit not found");
    assert_eq!(bot.bad("editMessageText", edit(said.message_id, "x")).await, "message can't be edited");

    let keys = keyboard(&json!({"text": "Go", "callback_data": "g"}));
    let markup = json!({"chat_id": 1001, "message_id": id, "reply_markup": keys});
    let edited = bot.ok("editMessageReplyMarkup", markup.clone()).await;
    assert_eq!((&edited["text"], &edited["reply_markup"]), (&json!("one"), &keys));
    assert!(edited["edit_date"].is_i64());
    assert!(bot.bad("editMessageReplyMarkup", markup).await.starts_with("message is not modified"));
    bot.ok("editMessageText", edit(id, "two")).await;
    let message = bot.sim.message(&anna, id).unwrap();
    assert!(message.buttons.is_empty(), "a text edited without a keyboard loses its keyboard");
    assert_eq!((message.plain.as_str(), message.edits), ("two", 3));

    bot.ok("deleteMessage", json!({"chat_id": 1001, "message_id": id})).await;
    assert_eq!(bot.bad("deleteMessage", json!({"chat_id": 1001, "message_id": id})).await, "message to delete not found");
    assert_eq!(bot.bad("editMessageText", edit(id, "x")).await, "message to edit not found");
    assert!(bot.sim.message(&anna, id).unwrap().deleted);
}

#[tokio::test]
async fn taps_are_answered_once_in_time_and_briefly() {
    let bot = bot_with(Options { callback_lifetime: Duration::from_secs(1), ..Options::default() }).await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    let id = bot.send(1001, "x").await;
    let answer = |id: &str, text: &str| json!({"callback_query_id": id, "text": text, "show_alert": true});
    let too_old = "query is too old and response timeout expired or query ID is invalid";
    assert_eq!(bot.bad("answerCallbackQuery", answer("12", "")).await, too_old);

    let tap = bot.sim.press_data(&anna, &anna, id, "x");
    assert_eq!(bot.bad("answerCallbackQuery", answer(&tap.query_id, &"ж".repeat(201))).await, "MESSAGE_TOO_LONG");
    bot.ok("answerCallbackQuery", answer(&tap.query_id, &"ж".repeat(200))).await;
    let toast = bot.sim.wait_toast(&tap, Duration::from_secs(1)).await.unwrap();
    assert!(toast.show_alert && toast.user_id == 1001 && toast.text.unwrap().chars().count() == 200);
    assert_eq!(bot.bad("answerCallbackQuery", answer(&tap.query_id, "again")).await, too_old);

    let late = bot.sim.press_data(&anna, &anna, id, "x");
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(bot.bad("answerCallbackQuery", answer(&late.query_id, "late")).await, too_old);
    assert_eq!(bot.sim.toasts(&anna).len(), 1);
}

#[tokio::test]
async fn commands_have_rules_and_scopes() {
    let bot = bot().await;
    let (anna, bob) = (bot.sim.user_speaking(1001, "Anna", "de-AT"), bot.sim.user(1002, "Bob"));
    let ops = bot.sim.group(-500, "Ops", &[anna.admin(), bob.member()]);
    let commands = |name: &str| json!([{"command": name, "description": format!("does {name}")}]);
    let set =
        |name: &str, scope: Value, language: &str| json!({"commands": commands(name), "scope": scope, "language_code": language});
    bot.ok("setMyCommands", json!({"commands": commands("plain")})).await;
    bot.ok("setMyCommands", set("privat", json!({"type": "all_private_chats"}), "de")).await;
    bot.ok("setMyCommands", set("group", json!({"type": "all_group_chats"}), "")).await;
    bot.ok("setMyCommands", set("manage", json!({"type": "all_chat_administrators"}), "")).await;
    let offered = |chat: i64, user: i64| bot.sim.commands(chat, user)[0].0.clone();
    assert_eq!(offered(1001, 1001), "privat", "the language's own list");
    assert_eq!(offered(1002, 1002), "plain", "English has no list for private chats");
    assert_eq!((offered(-500, 1001), offered(-500, 1002)), ("manage".into(), "group".into()));
    bot.ok("setMyCommands", set("here", json!({"type": "chat", "chat_id": ops.id}), "")).await;
    assert_eq!(offered(-500, 1001), "here", "a chat's own list comes before the administrators'");
    let got = bot.ok("getMyCommands", json!({"scope": {"type": "all_private_chats"}, "language_code": "de"})).await;
    assert_eq!(got, commands("privat"));

    for wrong in ["", "Up", "two words", "dash-ed", &"x".repeat(33)] {
        assert_eq!(bot.bad("setMyCommands", json!({"commands": commands(wrong)})).await, "BOT_COMMAND_INVALID", "{wrong}");
    }
    let described = |text: &str| json!({"commands": [{"command": "x", "description": text}]});
    bot.ok("setMyCommands", described(&"ж".repeat(256))).await;
    for wrong in [String::new(), "x".repeat(257)] {
        assert_eq!(bot.bad("setMyCommands", described(&wrong)).await, "BOT_COMMAND_DESCRIPTION_INVALID");
    }
    let many = |n: usize| json!({"commands": (0..n).map(|i| json!({"command": format!("c{i}"), "description": "x"})).collect::<Vec<_>>()});
    bot.ok("setMyCommands", many(100)).await;
    assert_eq!(bot.bad("setMyCommands", many(101)).await, "BOT_COMMANDS_TOO_MUCH");
}

#[tokio::test]
async fn webhook_settings_are_checked_and_reported() {
    let bot = bot().await;
    let set = |url: &str, secret: &str| json!({"url": url, "secret_token": secret, "max_connections": 7, "allowed_updates": ["message"]});
    for secret in ["with space", "a+b", "ключ"] {
        assert_eq!(bot.bad("setWebhook", set("https://e.org/", secret)).await, "secret token contains unallowed characters");
    }
    assert_eq!(bot.bad("setWebhook", set("https://e.org/", &"x".repeat(257))).await, "secret token is too long");
    assert!(bot.bad("setWebhook", set("http://example.org/", "s")).await.contains("HTTPS"));
    assert!(bot.bad("setWebhook", set("https://example.org:8080/", "s")).await.contains("ports 80, 88, 443 or 8443"));
    assert_eq!(bot.ok("getWebhookInfo", json!({})).await["url"], "");
    let answer = bot.call("setWebhook", set("https://example.org:8443/hook", &"x".repeat(256))).await;
    assert_eq!(answer, json!({"ok": true, "result": true, "description": "Webhook was set"}));
    let info = bot.ok("getWebhookInfo", json!({})).await;
    assert_eq!(info["url"], "https://example.org:8443/hook");
    assert_eq!((&info["max_connections"], &info["allowed_updates"]), (&json!(7), &json!(["message"])));
    assert_eq!((&info["pending_update_count"], &info["has_custom_certificate"]), (&json!(0), &json!(false)));
    let conflict = bot.refused("getUpdates", json!({})).await;
    assert!(conflict.0 == 409 && conflict.1.starts_with("Conflict: can't use getUpdates method while webhook is active"));
    let answer = bot.call("deleteWebhook", json!({})).await;
    assert_eq!(answer["description"], "Webhook was deleted");
    assert_eq!(bot.ok("getUpdates", json!({})).await, json!([]));
}
