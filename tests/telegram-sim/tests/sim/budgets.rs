//! Telegram's sending budgets, when they are on.

use osm_telegram_sim::Options;
use serde_json::{Value, json};

use crate::common::{bot, bot_with};

#[tokio::test]
async fn a_flood_into_one_chat_is_refused_with_retry_after() {
    let bot = bot_with(Options { enforce_budgets: true, ..Options::default() }).await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    let mut answers: Vec<Value> = vec![];
    for i in 0..6 {
        answers.push(bot.call("sendMessage", json!({"chat_id": 1001, "text": i.to_string()})).await);
    }
    assert!(answers[..3].iter().all(|answer| answer["ok"] == true), "a short burst passes");
    let refused = answers.iter().find(|answer| answer["ok"] == false).expect("six at once are too many");
    assert_eq!((&refused["error_code"], &refused["parameters"]["retry_after"]), (&json!(429), &json!(1)));
    bot.ok("getMe", json!({})).await;
}

#[tokio::test]
async fn tests_are_spared_by_default() {
    let bot = bot().await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    for i in 0..60 {
        bot.send(1001, &i.to_string()).await;
    }
    assert_eq!(bot.sim.messages(&anna).len(), 60);
}
