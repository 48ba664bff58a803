//! Updates as Telegram sends them, and as nobody should.

use serde_json::{Value, json};

use super::*;

const BOT: &str = "osm_bot";

fn read(update: &Value) -> Parsed {
    match super::read(update.to_string().as_bytes()).update {
        Ok(update) => parse(&update, BOT),
        Err(kind) => panic!("not read: {kind}"),
    }
}

fn anna() -> Value {
    json!({"id": 218_485_655, "is_bot": false, "first_name": "Anna", "username": "anna", "language_code": "pt-br"})
}

fn private() -> Value {
    json!({"id": 218_485_655, "first_name": "Anna", "username": "anna", "type": "private"})
}

fn group() -> Value {
    json!({"id": -1_001_293_752_024_i64, "title": "Operations", "type": "supergroup"})
}

/// Gives a message in `chat`, with further fields over the usual ones.
fn message(chat: &Value, text: &str, more: &Value) -> Value {
    let mut message = json!({"message_id": 6557, "from": anna(), "chat": chat, "date": 1_795_356_127, "text": text});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        if value.is_null() {
            message.as_object_mut().unwrap().remove(&key);
        } else {
            message[key] = value;
        }
    }
    json!({"update_id": 892_252_934, "message": message})
}

fn request(update: &Value) -> Request {
    match read(update) {
        Parsed::Request(request) => request,
        Parsed::Ignored(kind) => panic!("ignored as {kind}"),
    }
}

fn intent(chat: &Value, text: &str) -> Intent {
    request(&message(chat, text, &json!({}))).intent
}

#[track_caller]
fn ignored(update: &Value, kind: &'static str) {
    assert_eq!(read(update), Parsed::Ignored(kind));
}

#[expect(clippy::unnecessary_wraps, reason = "what it is compared with is an Option")]
fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn a_private_command_is_understood_with_chat_and_person() {
    let request = request(&message(&private(), "/status web-1", &json!({})));
    assert_eq!(request.chat, Chat { id: ChatId(218_485_655), kind: ChatKind::Private });
    assert_eq!(request.actor, Actor { id: UserId(218_485_655), name: "Anna (@anna)".to_owned(), language: named("pt-br") });
    assert_eq!(request.intent, Intent::Status { name: named("web-1") });
    assert_eq!(request.tap, None);
}

#[test]
fn every_command_that_is_offered_is_understood() {
    for chat in [private(), group()] {
        for (name, _) in COMMANDS {
            assert_ne!(intent(&chat, &format!("/{name}")), Intent::UnknownCommand, "{name}");
            assert_ne!(intent(&chat, &format!("/{name}@OSM_bot x")), Intent::UnknownCommand, "{name}");
        }
    }
    let text = Text::new(None);
    for BotCommand { command, description } in commands(&BotCommandScope::AllPrivateChats, &text) {
        // setMyCommands: 1-32 of a-z, 0-9 and _; descriptions of 1-256 characters.
        assert!(command.len() <= 32 && command.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{command}");
        assert!((1..=256).contains(&description.chars().count()) && !description.contains(['<', '&']), "{description}");
    }
}

#[test]
fn arguments_become_names() {
    let private = &private();
    assert_eq!(intent(private, "/add_server"), Intent::AddServer { name: None });
    assert_eq!(intent(private, "/Add_Server   my  web\nserver "), Intent::AddServer { name: named("my web server") });
    assert_eq!(intent(private, "/add_server \0\u{202e}a\u{1b}b"), Intent::AddServer { name: named("ab") });
    assert_eq!(intent(private, "/add_server \u{202e}\0"), Intent::AddServer { name: None });
    let Intent::RemoveServer { name: Some(name) } = intent(private, &format!("/remove_server {}", "🦀".repeat(1024))) else {
        panic!("no name")
    };
    assert_eq!(name.chars().count(), 64);
    assert_eq!(intent(private, "/server_status db"), Intent::Status { name: named("db") });
    assert_eq!(intent(private, "/servers 7"), Intent::Servers { page: 0 });
}

#[test]
fn start_takes_only_codes_that_a_deep_link_can_carry() {
    let code = |text: &str| match intent(&private(), text) {
        Intent::Start { code } => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code("/start"), None);
    assert_eq!(code("/start Abc_1-2"), named("Abc_1-2"));
    assert_eq!(code("/start@osm_bot Abc"), named("Abc"));
    assert_eq!(code(&format!("/start {}", "x".repeat(64))), named(&"x".repeat(64)));
    for refused in [&*format!("/start {}", "x".repeat(65)), "/start a b", "/start ü", "/start '; --", "/start \0"] {
        assert_eq!(code(refused), None, "{refused:?}");
    }
}

#[test]
fn what_is_no_command_is_dropped() {
    for text in ["hello", "", "/", "//", "/etc/passwd", "/a-b", "/start\0", "/@osm_bot", "/start@", "/start@a@b", " /start", "🦀"]
    {
        ignored(&message(&private(), text, &json!({})), "text");
    }
    ignored(&message(&private(), &format!("/{}", "x".repeat(33)), &json!({})), "text");
    let photo = json!([{"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1}]);
    ignored(&message(&private(), "", &json!({"text": null, "photo": photo, "caption": "/start"})), "no_text");
}

#[test]
fn commands_of_others_are_not_ours() {
    ignored(&message(&group(), "/status@other_bot", &json!({})), "other_bot");
    ignored(&message(&private(), "/status@other_bot", &json!({})), "other_bot");
    ignored(&message(&group(), "/roll", &json!({})), "unknown_command");
    assert_eq!(intent(&group(), "/roll@osm_bot"), Intent::UnknownCommand);
    assert_eq!(intent(&private(), "/roll"), Intent::UnknownCommand);
}

#[test]
fn what_a_person_did_not_write_himself_is_no_command() {
    let channel = json!({"id": -1_001, "title": "News", "type": "channel"});
    let bot = json!({"id": 5, "is_bot": true, "first_name": "Other", "username": "other_bot"});
    let origin = json!({"type": "user", "date": 1, "sender_user": anna()});
    ignored(&message(&private(), "/start", &json!({"forward_origin": origin})), "forwarded");
    ignored(&message(&private(), "/start", &json!({"via_bot": bot})), "via_bot");
    ignored(&message(&group(), "/start", &json!({"from": bot})), "bot");
    ignored(&message(&group(), "/start", &json!({"sender_chat": channel})), "sent_as_channel");
    ignored(&message(&channel, "/start", &json!({})), "channel");
    for kind in ["edited_message", "channel_post", "edited_channel_post", "business_message", "edited_business_message"] {
        let inner = message(&private(), "/start", &json!({}))["message"].clone();
        assert_eq!(not_read(&json!({"update_id": 1, kind: inner})).1, kind);
    }
}

#[test]
fn an_anonymous_administrator_keeps_the_id_that_says_so() {
    let anonymous = json!({"id": Actor::ANONYMOUS_ADMIN, "is_bot": true, "first_name": "Group", "username": "GroupAnonymousBot"});
    let update = message(&group(), "/servers", &json!({"from": anonymous, "sender_chat": group()}));
    assert_eq!(request(&update).actor.id, Actor::ANONYMOUS_ADMIN);
    let nobody = request(&message(&group(), "/servers", &json!({"from": null})));
    assert_eq!(nobody.actor, Actor { id: UserId(nobody.chat.id.0), name: "Operations".to_owned(), language: None });
}

fn tap(message: &Value, data: &Value) -> Value {
    let query = json!({"id": "4382bfdwdsb323b2d9", "from": anna(), "message": message, "chat_instance": "1", "data": data});
    json!({"update_id": 1, "callback_query": query})
}

#[test]
fn a_tap_says_where_and_what() {
    let under = message(&group(), "card", &json!({}))["message"].clone();
    let request = request(&tap(&under, &json!("l:2")));
    assert_eq!(request.intent, Intent::Servers { page: 2 });
    assert_eq!(
        request.tap,
        Some(Tap { callback_id: CallbackId("4382bfdwdsb323b2d9".to_owned()), message_id: Some(TelegramMessageId(6557)) })
    );
    assert_eq!((request.chat.kind, request.actor.id), (ChatKind::Group, UserId(218_485_655)));
}

#[test]
fn a_tap_under_an_old_message_is_still_understood() {
    let inaccessible = json!({"chat": private(), "message_id": 4, "date": 0});
    let request = request(&tap(&inaccessible, &json!("h")));
    assert_eq!((request.intent, request.tap.unwrap().message_id), (Intent::Help, Some(TelegramMessageId(4))));
}

#[test]
fn taps_that_make_no_sense_are_stale_or_dropped() {
    let under = message(&private(), "card", &json!({}))["message"].clone();
    for data in [json!("nonsense"), json!(""), json!("x".repeat(4096)), json!("s:\u{0}"), Value::Null] {
        assert_eq!(request(&tap(&under, &data)).intent, Intent::StaleButton);
    }
    ignored(&tap(&Value::Null, &json!("h")), "inline_callback");
}

#[test]
fn the_bots_own_membership_says_whether_it_can_write() {
    let user = json!({"id": 5, "is_bot": true, "first_name": "OSM", "username": "osm_bot"});
    let can = json!({"status": "restricted", "user": user, "until_date": 0, "is_member": true});
    let restricted = |may_write: bool| {
        let mut member = can.clone();
        for right in [
            "can_send_messages",
            "can_send_audios",
            "can_send_documents",
            "can_send_photos",
            "can_send_videos",
            "can_send_video_notes",
            "can_send_voice_notes",
            "can_send_polls",
            "can_send_other_messages",
            "can_add_web_page_previews",
            "can_change_info",
            "can_invite_users",
            "can_pin_messages",
            "can_manage_topics",
        ] {
            member[right] = may_write.into();
        }
        member
    };
    for (new, reachable) in [
        (json!({"status": "member", "user": user}), true),
        (json!({"status": "left", "user": user}), false),
        (json!({"status": "kicked", "user": user, "until_date": 0}), false),
        (restricted(true), true),
        (restricted(false), false),
    ] {
        let old = json!({"status": "member", "user": user});
        let change = json!({"chat": private(), "from": anna(), "date": 1, "old_chat_member": old, "new_chat_member": new});
        let update = json!({"update_id": 1, "my_chat_member": change});
        assert_eq!(request(&update).intent, Intent::Reachable { reachable }, "{new}");
    }
}

#[test]
fn a_group_that_moves_is_named_by_its_old_id() {
    let old = json!({"id": -42, "title": "Operations", "type": "group"});
    let update = message(&old, "", &json!({"text": null, "migrate_to_chat_id": -1_001_293_752_024_i64}));
    let request = request(&update);
    assert_eq!((request.chat.id, request.intent), (ChatId(-42), Intent::Migrated { to: ChatId(-1_001_293_752_024) }));
    let echo = message(&group(), "", &json!({"text": null, "migrate_from_chat_id": -42}));
    ignored(&echo, "no_text");
}

fn not_read(update: &Value) -> (Option<UpdateId>, String) {
    let incoming = super::read(update.to_string().as_bytes());
    (incoming.id, incoming.update.expect_err("not read"))
}

#[test]
fn updates_that_are_broken_are_dropped_by_kind() {
    for (broken, kind) in [
        (json!({"update_id": 1, "message": {}}), "unreadable message"),
        (json!({"update_id": 1, "message": 7}), "unreadable message"),
        // Somebody who cannot be read is not nobody, for whom their chat would stand.
        (message(&group(), "/start", &json!({"from": {"id": "x"}})), "unreadable message"),
        (message(&group(), "/start", &json!({"from": {"id": u64::MAX}})), "unreadable message"),
        (message(&group(), "/start", &json!({"sender_chat": 7})), "unreadable message"),
        (json!({"update_id": 1, "callback_query": {"id": "1"}}), "unreadable callback_query"),
        (json!({"update_id": 1, "my_chat_member": []}), "unreadable my_chat_member"),
    ] {
        assert_eq!(not_read(&broken).1, kind, "{broken}");
    }
}

#[test]
fn what_is_not_known_changes_nothing() {
    let known = request(&message(&private(), "/status tomorrow", &json!({})));
    for more in [
        json!({"entities": [{"type": "date_time", "offset": 8, "length": 8, "unix_time": 1}]}),
        json!({"reply_markup": {"inline_keyboard": [[{"text": "x", "brand_new": 1}]]}}),
        json!({"date": "tomorrow", "message_id": [], "quote": 7, "migrate_to_chat_id": "x"}),
        json!({"chat": {"id": 218_485_655, "type": "brand_new"}}),
        json!({"chat": {"id": 218_485_655, "type": {"brand": "new"}, "title": 7}}),
    ] {
        assert_eq!(request(&message(&private(), "/status tomorrow", &more)), known, "{more}");
    }
    // Whatever its form, what is forwarded is no command.
    for origin in [json!({"type": "brand_new"}), json!(7)] {
        ignored(&message(&private(), "/start", &json!({"forward_origin": origin})), "forwarded");
    }
    ignored(&message(&private(), "/start", &json!({"forward_date": 1})), "forwarded");
    ignored(&message(&private(), "", &json!({"text": ["/start"]})), "no_text");
    let user = json!({"id": 5, "is_bot": true, "first_name": "OSM"});
    let change = json!({"chat": private(), "from": anna(), "new_chat_member": {"status": "brand_new", "user": user}});
    ignored(&json!({"update_id": 1, "my_chat_member": change}), "unknown_membership");
}

#[test]
fn updates_that_were_not_asked_for_are_not_read() {
    let id = Some(UpdateId(1));
    let answer = json!({"poll_id": "1", "option_ids": [0]});
    assert_eq!(not_read(&json!({"update_id": 1})), (id, "empty".to_owned()));
    assert_eq!(not_read(&json!({"update_id": 1, "brand_new": {"x": [1, {"y": null}]}})), (id, "brand_new".to_owned()));
    assert_eq!(not_read(&json!({"update_id": 1, "poll_answer": answer})), (id, "poll_answer".to_owned()));
    assert_eq!(not_read(&json!({"update_id": 1, "\u{1b}]52;\u{7}": 1})).1, "]52;");
    // Of two kinds the one that was asked for.
    let two =
        format!(r#"{{"update_id":1,"a_new_one":{answer},"message":{}}}"#, message(&private(), "/help", &json!({}))["message"]);
    assert!(super::read(two.as_bytes()).update.is_ok());
    assert_eq!(not_read(&json!({"message": 7})), (None, "no update".to_owned()));
    assert_eq!(super::read(b"\xff{").id, None);
    assert_eq!(super::read(b"[1]").id, None);
}

#[test]
fn hostile_names_are_cut_and_cleaned() {
    let name = format!("\0\u{202e}{}", "<b>🦀".repeat(1024));
    let from =
        json!({"id": 9_007_199_254_740_993_i64, "is_bot": false, "first_name": name, "username": name, "language_code": name});
    let chat = json!({"id": -7, "title": name, "type": "group"});
    let request = request(&message(&chat, "/servers", &json!({"from": from})));
    assert_eq!(request.actor.id, UserId(9_007_199_254_740_993));
    assert_eq!(request.actor.language, None);
    assert!(request.actor.name.chars().count() <= 64 + 32 + 4);
    assert!(!request.actor.name.contains(['\0', '\u{202e}']));
    let deleted = json!({"id": 9, "is_bot": false, "first_name": ""});
    assert_eq!(self::request(&message(&chat, "/servers", &json!({"from": deleted}))).actor.name, "9");
}
