//! Each failure switch, and that what is told to fail takes effect or not as promised.

use osm_telegram_sim::{Failure, FailureKind, Options};
use serde_json::json;
use tokio::time::Duration;

use crate::common::{Bot, bot_with};

async fn started() -> Bot {
    let bot = bot_with(Options { hang: Duration::from_secs(1), ..Options::default() }).await;
    let anna = bot.sim.user(1001, "Anna");
    bot.sim.say(&anna, &anna, "/start");
    bot
}

/// Sends under one failure; returns the answer's status and body if any came, and how many messages arrived.
async fn send_under(kind: FailureKind) -> (Option<(u16, String)>, usize) {
    let bot = started().await;
    bot.sim.fail(Failure::new(kind));
    let sent = bot.request("sendMessage", &json!({"chat_id": 1001, "text": "x"})).send().await;
    let answer = match sent {
        Ok(response) => Some((response.status().as_u16(), response.text().await.unwrap())),
        Err(error) => {
            assert!(!error.is_connect(), "it is the answer that is missing: {error}");
            None
        }
    };
    let arrived = bot.sim.messages(1001).len();
    let call = bot.sim.calls().last().unwrap().clone();
    assert_eq!((call.method.as_str(), call.accepted), ("sendMessage", arrived == 1));
    assert!(bot.ok("getMe", json!({})).await.is_object(), "one shot, then all is well");
    (answer, arrived)
}

#[tokio::test]
async fn refusals_do_nothing() {
    let (answer, arrived) = send_under(FailureKind::TooManyRequests { retry_after: 17 }).await;
    let (status, body) = answer.unwrap();
    assert_eq!((status, arrived), (429, 0));
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["description"], &body["parameters"]),
        (&json!("Too Many Requests: retry after 17"), &json!({"retry_after": 17}))
    );
    let (answer, arrived) = send_under(FailureKind::ServerError).await;
    assert_eq!((answer.unwrap().0, arrived), (500, 0));
    let (answer, arrived) = send_under(FailureKind::BadGateway).await;
    let (status, body) = answer.unwrap();
    assert!(status == 502 && arrived == 0 && body.starts_with("<html>"), "{body}");
}

#[tokio::test]
async fn silence_before_or_after_accepting() {
    for (kind, arrives) in [
        (FailureKind::TimeoutBefore, 0),
        (FailureKind::DropBefore, 0),
        (FailureKind::TimeoutAfter, 1),
        (FailureKind::DropAfter, 1),
    ] {
        let start = tokio::time::Instant::now();
        assert_eq!(send_under(kind).await, (None, arrives), "{kind:?}");
        let hangs = matches!(kind, FailureKind::TimeoutBefore | FailureKind::TimeoutAfter);
        assert_eq!(start.elapsed() >= Duration::from_secs(1), hangs, "{kind:?}");
    }
}

#[tokio::test]
async fn failures_can_be_aimed_and_counted() {
    let bot = started().await;
    let bob = bot.sim.user(1002, "Bob");
    bot.sim.say(&bob, &bob, "/start");
    bot.sim.fail(Failure::new(FailureKind::TooManyRequests { retry_after: 1 }).on("SENDMESSAGE").in_chat(&bob).times(2));
    bot.ok("sendMessage", json!({"chat_id": 1001, "text": "x"})).await;
    bot.ok("getChat", json!({"chat_id": 1002})).await;
    for _ in 0..2 {
        assert_eq!(bot.refused("sendMessage", json!({"chat_id": 1002, "text": "x"})).await.0, 429);
    }
    bot.ok("sendMessage", json!({"chat_id": 1002, "text": "x"})).await;
    bot.sim.fail(Failure::new(FailureKind::ServerError).times(u32::MAX));
    assert_eq!(bot.refused("getMe", json!({})).await.0, 500);
    bot.sim.heal();
    bot.ok("getMe", json!({})).await;
}
