//! The chat page's own endpoints.

use serde_json::{Value, json};

use crate::common::bot;

#[tokio::test]
async fn the_page_stands_alone_and_talks_only_to_its_server() {
    let bot = bot().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = http.get(bot.sim.api_url()).send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    let page = response.text().await.unwrap();
    for outside in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn people_write_and_tap_on_the_page() {
    let bot = bot().await;
    bot.sim.user(1001, "Anna");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let at = |path: &str| format!("{}/sim/{path}", bot.sim.api_url());
    let post = async |path: &str, body: Value| http.post(at(path)).json(&body).send().await.unwrap();
    let said = post("say", json!({"chat": 1001, "user": 1001, "text": "/start"})).await;
    assert_eq!(said.status(), 200);
    let keys = json!({"inline_keyboard": [[{"text": "Go", "callback_data": "g"}]]});
    let text = "<b>&lt;img onerror=x&gt;</b>";
    let sent = bot.ok("sendMessage", json!({"chat_id": 1001, "text": text, "parse_mode": "HTML", "reply_markup": keys})).await;
    let tap: Value = post("press", json!({"chat": 1001, "user": 1001, "message_id": sent["message_id"], "text": "g"}))
        .await
        .json()
        .await
        .unwrap();
    bot.ok("answerCallbackQuery", json!({"callback_query_id": tap["id"], "text": "Done"})).await;
    let shown: Value = http.get(at("state?user=1001&chat=1001")).send().await.unwrap().json().await.unwrap();
    let messages = &shown["chat"]["messages"];
    assert_eq!((&messages[0]["own"], &messages[1]["html"]), (&json!(true), &json!(text)));
    assert_eq!(messages[1]["keyboard"], keys["inline_keyboard"]);
    assert_eq!(shown["chat"]["toasts"][0]["text"], "Done");

    assert_eq!(post("say", json!({"chat": 5, "user": 1001, "text": "x"})).await.status(), 400, "not in that chat");
    let forged = http.post(at("say")).header("content-type", "text/plain").body("{\"chat\":1001,\"user\":1001,\"text\":\"x\"}");
    assert_eq!(forged.send().await.unwrap().status(), 400, "another site's page must not write here");
}
