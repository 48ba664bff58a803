//! How updates reach the bot, on good days and bad.

use osm_telegram_sim::{Options, Sim};
use serde_json::json;
use tokio::time::{Duration, Instant};

use crate::common::{SOON, Webhook, bot, bot_with};

#[tokio::test]
async fn the_webhook_gets_updates_in_order_with_the_secret() {
    let (bot, hook) = (bot().await, Webhook::default());
    let anna = bot.sim.user(1001, "Anna");
    let first = bot.sim.say(&anna, &anna, "before the webhook was set");
    bot.ok("setWebhook", json!({"url": hook.start().await, "secret_token": "s3cr_et-"})).await;
    let rest: Vec<_> = (0..20).map(|i| bot.sim.say(&anna, &anna, &i.to_string()).update_id.unwrap()).collect();
    bot.sim.wait_delivered(SOON).await.unwrap();
    let mut expected = vec![first.update_id.unwrap()];
    expected.extend(rest);
    assert_eq!(hook.ids(), expected);
    assert!(hook.got.lock().unwrap().iter().all(|(_, secret)| secret.as_deref() == Some("s3cr_et-")));
}

#[tokio::test]
async fn a_failing_update_is_sent_again_and_holds_back_its_own_chat_only() {
    let slow = Options { webhook_backoff: (Duration::from_millis(400), Duration::from_millis(400)), ..Options::default() };
    let (bot, hook) = (bot_with(slow).await, Webhook::default());
    let (anna, bob) = (bot.sim.user(1001, "Anna"), bot.sim.user(1002, "Bob"));
    bot.ok("setWebhook", json!({"url": hook.start().await})).await;
    hook.answer_with(&[500, 302, 503]);
    bot.sim.say(&anna, &anna, "a1");
    while hook.texts().is_empty() {
        tokio::task::yield_now().await;
    }
    // a1 has failed once; what follows in Anna's chat waits for it.
    bot.sim.say(&anna, &anna, "a2");
    bot.sim.wait_delivered(SOON).await.unwrap();
    assert_eq!(hook.texts(), ["a1", "a1", "a1", "a1", "a2"]);
    let statuses: Vec<_> = bot.sim.deliveries().iter().map(|d| d.status).collect();
    assert_eq!(statuses, [Some(500), Some(302), Some(503), Some(200), Some(200)]);

    hook.answer_with(&[500]);
    bot.sim.say(&anna, &anna, "a3");
    while bot.sim.deliveries().len() < 6 {
        tokio::task::yield_now().await;
    }
    bot.sim.say(&anna, &anna, "a4");
    bot.sim.say(&bob, &bob, "b1");
    bot.sim.wait_delivered(SOON).await.unwrap();
    assert_eq!(hook.texts()[5..], ["a3", "b1", "a3", "a4"]);
    let info = bot.ok("getWebhookInfo", json!({})).await;
    assert_eq!(info["last_error_message"], "Wrong response from the webhook: 500 Internal Server Error");
}

#[tokio::test]
async fn updates_survive_a_bot_that_is_away() {
    let (bot, hook) = (bot().await, Webhook::default());
    let anna = bot.sim.user(1001, "Anna");
    bot.ok("setWebhook", json!({"url": "http://127.0.0.1:9/"})).await;
    let said = bot.sim.say(&anna, &anna, "hello?");
    let error = bot.sim.wait_delivered(Duration::from_millis(100)).await.unwrap_err();
    assert!(error.to_string().contains("has not taken all updates"), "{error}");
    assert!(bot.sim.is_pending(said.update_id.unwrap()));
    bot.ok("setWebhook", json!({"url": hook.start().await})).await;
    bot.sim.wait_delivered(SOON).await.unwrap();
    assert_eq!(hook.texts(), ["hello?"]);
}

#[tokio::test]
async fn allowed_updates_filter_what_comes_after() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    let ops = bot.sim.group(-500, "Ops", &[anna.owner()]);
    bot.ok("getUpdates", json!({"allowed_updates": ["callback_query"]})).await;
    assert!(bot.sim.say(&anna, &anna, "/start").update_id.is_none());
    let id = bot.send(1001, "x").await;
    assert!(bot.sim.press_data(&anna, &anna, id, "x").update_id.is_some());
    bot.ok("getUpdates", json!({"allowed_updates": []})).await;
    bot.sim.set_role(&ops, &anna, osm_telegram_sim::Role::Member);
    let kinds = bot.ok("getUpdates", json!({})).await;
    assert_eq!(kinds.as_array().unwrap().len(), 1, "chat_member is off by default: {kinds}");
    assert!(bot.sim.say(&anna, &anna, "/start").update_id.is_some());
}

#[tokio::test]
async fn duplicates_and_disorder_can_be_ordered() {
    let (bot, hook) = (bot().await, Webhook::default());
    let anna = bot.sim.user(1001, "Anna");
    bot.ok("setWebhook", json!({"url": hook.start().await})).await;
    bot.sim.duplicate_updates(true);
    bot.sim.say(&anna, &anna, "one");
    bot.sim.wait_delivered(SOON).await.unwrap();
    assert_eq!(hook.texts(), ["one", "one"]);
    assert_eq!(hook.ids()[0], hook.ids()[1]);

    bot.sim.heal();
    bot.sim.reorder_updates(true);
    bot.sim.say(&anna, &anna, "two");
    bot.sim.say(&anna, &anna, "three");
    bot.sim.wait_delivered(SOON).await.unwrap();
    assert_eq!(hook.texts()[2..], ["three", "two"]);

    bot.sim.heal();
    let id = hook.ids()[0];
    assert_eq!(bot.sim.push_raw(json!({"update_id": id, "message": {"text": "old news", "chat": {"id": 1001}}})), id);
    bot.sim.push_raw(json!({"poll": {"what": ["ever"]}}));
    bot.sim.wait_delivered(SOON).await.unwrap();
    let got = hook.got.lock().unwrap();
    assert_eq!(got[4].0["message"]["text"], "old news");
    assert!(got[5].0["update_id"].as_i64() > Some(id) && got[5].0["poll"].is_object());
}

#[tokio::test]
async fn get_updates_confirms_by_offset() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    let ids: Vec<i64> = ["a", "b", "c"].iter().map(|t| bot.sim.say(&anna, &anna, t).update_id.unwrap()).collect();
    let poll = async |params| {
        let updates = bot.ok("getUpdates", params).await;
        updates.as_array().unwrap().iter().map(|u| u["update_id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(poll(json!({})).await, ids);
    assert_eq!(poll(json!({})).await, ids, "unconfirmed updates come again");
    assert_eq!(poll(json!({"limit": 2})).await, ids[..2]);
    assert_eq!(poll(json!({"offset": ids[1]})).await, ids[1..]);
    assert_eq!(poll(json!({"offset": 0})).await, ids[1..], "confirmed ones do not");
    assert_eq!(poll(json!({"offset": -1})).await, ids[2..]);
    assert_eq!(poll(json!({"offset": ids[2] + 1})).await, Vec::<i64>::new());
    bot.sim.wait_delivered(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_long_poll_ends_with_news_with_time_or_with_a_rival() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    let start = Instant::now();
    assert_eq!(bot.ok("getUpdates", json!({"timeout": 1})).await, json!([]));
    assert!(start.elapsed() >= Duration::from_secs(1));

    let request = bot.request("getUpdates", &json!({"timeout": 30}));
    let waiting = tokio::spawn(async move { request.send().await.unwrap().json::<serde_json::Value>().await.unwrap() });
    tokio::time::sleep(Duration::from_millis(50)).await;
    bot.sim.say(&anna, &anna, "news");
    assert_eq!(waiting.await.unwrap()["result"][0]["message"]["text"], "news");

    let offset = json!({"timeout": 30, "offset": 200_000_000});
    let request = bot.request("getUpdates", &offset);
    let waiting = tokio::spawn(async move { request.send().await.unwrap().json::<serde_json::Value>().await.unwrap() });
    tokio::time::sleep(Duration::from_millis(50)).await;
    bot.ok("getUpdates", json!({"timeout": 0})).await;
    let ended = waiting.await.unwrap();
    assert_eq!(ended["error_code"], 409);
    assert!(ended["description"].as_str().unwrap().starts_with("Conflict: terminated by other getUpdates request"));
}

#[tokio::test]
async fn dropping_pending_updates_and_stopping() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "forgotten");
    bot.ok("deleteWebhook", json!({"drop_pending_updates": true})).await;
    assert_eq!(bot.ok("getUpdates", json!({})).await, json!([]));
    bot.sim.shutdown().await;
    let address = bot.sim.api_url().trim_start_matches("http://").parse().unwrap();
    let again = Sim::start(Options { listen: address, ..Options::default() }).await;
    assert!(again.is_ok(), "the address is free after shutdown");
    assert!(bot.sim.transcript(&anna).contains("forgotten"), "what was said is still there to look at");
}
