//! The page with the chats, and the few JSON endpoints under `/sim/` it lives on. For people, not for tests: tests
//! use the methods of [`Sim`].

use std::sync::Arc;

use poem::{
    Request, Response,
    http::{Method, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::{
    Sim,
    model::{Author, Chat, ChatKind, Post},
    server::json_response,
    sim::Inner,
    state::State,
};

const PAGE: &str = include_str!("page.html");

/// The page shows what bots send; should the escaping ever fail, it still can reach nothing but this server.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How long the page's request for news is held.
const LONG_POLL: Duration = Duration::from_secs(25);

pub(crate) async fn answer(sim: &Arc<Inner>, path: &str, request: Request) -> Response {
    match (request.method().clone(), path) {
        (Method::GET, "/") => Response::builder()
            .content_type("text/html; charset=utf-8")
            .header("Content-Security-Policy", POLICY)
            .header("Referrer-Policy", "no-referrer")
            .body(PAGE),
        (Method::GET, "/sim/state") => match request.params::<View>() {
            Ok(view) => state(sim, view).await,
            Err(_) => refuse("chat, user and since are numbers"),
        },
        (Method::POST, "/sim/say" | "/sim/press" | "/sim/user") => act(sim, path, request).await,
        _ => Response::builder().status(StatusCode::NOT_FOUND).body("Not Found"),
    }
}

/// What the page shows, and what it has already.
#[derive(Debug, Deserialize)]
struct View {
    #[serde(default)]
    chat: i64,
    #[serde(default)]
    user: i64,
    #[serde(default)]
    since: u64,
}

async fn state(sim: &Arc<Inner>, view: View) -> Response {
    let mut changed = sim.changed.subscribe();
    // A page that has the newest state waits for the next one.
    let _ = timeout(LONG_POLL, changed.wait_for(|revision| *revision != view.since)).await;
    let revision = *sim.changed.borrow();
    let mut body = sim.quiet(|state| snapshot(state, &view));
    body["rev"] = revision.into();
    json_response(200, &body)
}

fn snapshot(state: &State, view: &View) -> Value {
    let mut chats: Vec<Value> = state.chats.values().filter(|chat| reads(chat, view.user)).map(|c| summary(state, c)).collect();
    chats.sort_by_key(|chat| std::cmp::Reverse(chat["date"].as_i64()));
    let users: Vec<Value> = state.users.values().map(|u| json!({"id": u.id, "name": u.name, "username": u.username})).collect();
    let shown = state.chats.get(&view.chat).filter(|chat| reads(chat, view.user));
    json!({
        "bot": state.bot,
        // A bot that neither set a webhook nor polled has not been started yet.
        "connected": state.webhook.is_some() || state.poll > 0,
        "users": users,
        "chats": chats,
        "chat": shown.map(|chat| json!({
            "id": chat.id, "title": chat.title, "started": chat.started, "group": chat.is_group(),
            "members": chat.members.values().filter(|role| role.is_present()).count() + 1,
            "messages": chat.posts.iter().filter(|p| !p.deleted).map(|p| message(state, chat, p, view.user)).collect::<Vec<_>>(),
            "toasts": state.toasts.iter().filter(|t| t.chat_id == chat.id && t.user_id == view.user)
                .map(|t| json!({"id": t.query_id, "text": t.text, "alert": t.show_alert, "url": t.url})).collect::<Vec<_>>(),
            "commands": state.commands_for(chat.id, view.user),
        })),
    })
}

fn reads(chat: &Chat, user: i64) -> bool {
    chat.migrated_to.is_none() && chat.members.get(&user).is_some_and(|role| role.is_present())
}

fn summary(state: &State, chat: &Chat) -> Value {
    let last = chat.posts.iter().rfind(|post| !post.deleted);
    let private = chat.kind == ChatKind::Private;
    json!({
        "id": chat.id,
        "title": if private { state.bot["first_name"].clone() } else { chat.title.as_str().into() },
        "group": !private,
        "date": last.map(|post| post.date),
        "last": last.map(|post| post.text.plain.chars().take(80).collect::<String>()),
    })
}

fn message(state: &State, chat: &Chat, post: &Post, viewer: i64) -> Value {
    let name = match post.author {
        Author::Bot => state.bot["first_name"].as_str().unwrap_or_default().to_owned(),
        Author::User(id) => state.users.get(&id).map(|user| user.name.clone()).unwrap_or_default(),
        Author::Anonymous | Author::Service => chat.title.clone(),
    };
    json!({
        "id": post.message_id,
        "who": match post.author { Author::Bot => "bot", Author::Service => "service", _ => "user" },
        "from": match post.author { Author::User(id) => id, _ => 0 },
        "own": post.author == Author::User(viewer),
        "name": name,
        "date": post.date,
        "html": post.text.safe_html,
        "edited": post.edited.is_some(),
        "silent": post.silent,
        "keyboard": post.markup.as_ref().map(|markup| markup["inline_keyboard"].clone()),
        "reply": post.reply_to.and_then(|id| chat.post(id)).map(|p| p.text.plain.chars().take(80).collect::<String>()),
    })
}

/// Something a person does on the page.
#[derive(Debug, Deserialize)]
struct Act {
    #[serde(default)]
    chat: i64,
    #[serde(default)]
    user: i64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    message_id: i32,
}

async fn act(inner: &Arc<Inner>, path: &str, mut request: Request) -> Response {
    // Another site's page cannot send this type without being asked for permission first, which is never given.
    if !request.content_type().is_some_and(|kind| kind.starts_with("application/json")) {
        return refuse("application/json expected");
    }
    let body = request.take_body().into_vec().await.unwrap_or_default();
    let Ok(act) = serde_json::from_slice::<Act>(&body) else { return refuse("chat, user, text, message_id expected") };
    let sim = Sim { inner: inner.clone() };
    if path == "/sim/user" {
        let name = act.text.trim();
        if name.is_empty() || name.chars().count() > 64 {
            return refuse("a name has 1 to 64 characters");
        }
        let next = inner.quiet(|state| state.users.keys().next_back().map_or(1001, |last| last + 1));
        return json_response(200, &json!({"id": sim.user(next, name).id}));
    }
    let user = inner.quiet(|state| {
        let present = state.chats.get(&act.chat).is_some_and(|chat| reads(chat, act.user));
        state.users.get(&act.user).filter(|_| present).cloned()
    });
    let Some(user) = user else { return refuse("this person is not in this chat") };
    if path == "/sim/press" {
        let press = sim.press_data(act.chat, &user, act.message_id, &act.text);
        return json_response(200, &json!({"id": press.query_id}));
    }
    if act.text.trim().is_empty() || act.text.chars().count() > 4096 {
        return refuse("a message has 1 to 4096 characters");
    }
    json_response(200, &json!({"message_id": sim.say(act.chat, &user, act.text.trim()).message_id}))
}

fn refuse(why: &str) -> Response {
    json_response(400, &json!({"error": why}))
}
