//! A bot's side of the wire, as thin as possible: calls by plain HTTP, and a webhook that answers as told.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use osm_telegram_sim::{Options, Sim};
use poem::{Endpoint, Request, Response, Server, http::StatusCode, listener::TcpAcceptor};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Duration};

/// Long enough for a busy machine; tests wait for events and never this long.
pub const SOON: Duration = Duration::from_secs(10);

pub struct Bot {
    pub sim: Sim,
    http: reqwest::Client,
}

pub async fn bot() -> Bot {
    bot_with(Options::default()).await
}

pub async fn bot_with(options: Options) -> Bot {
    let sim = Sim::start(options).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Bot { sim, http }
}

impl Bot {
    pub fn url(&self, method: &str) -> String {
        format!("{}/bot{}/{method}", self.sim.api_url(), self.sim.token())
    }

    pub fn request(&self, method: &str, params: &Value) -> reqwest::RequestBuilder {
        self.http.post(self.url(method)).json(params)
    }

    /// The whole answer.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        self.request(method, &params).send().await.unwrap().json().await.unwrap()
    }

    /// The result of a call that must succeed.
    pub async fn ok(&self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await;
        assert_eq!(answer["ok"], true, "{answer}");
        answer["result"].clone()
    }

    /// Code and words of a refusal.
    pub async fn refused(&self, method: &str, params: Value) -> (u64, String) {
        let response = self.request(method, &params).send().await.unwrap();
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["ok"], false, "{answer}");
        assert_eq!(answer["error_code"], status, "the body repeats the HTTP status");
        (answer["error_code"].as_u64().unwrap(), answer["description"].as_str().unwrap().to_owned())
    }

    pub async fn bad(&self, method: &str, params: Value) -> String {
        let (code, description) = self.refused(method, params).await;
        assert_eq!(code, 400, "{description}");
        description.strip_prefix("Bad Request: ").unwrap_or_else(|| panic!("{description}")).to_owned()
    }

    /// Sends a text and returns its message id.
    pub async fn send(&self, chat: i64, text: &str) -> i32 {
        let message = self.ok("sendMessage", json!({"chat_id": chat, "text": text})).await;
        i32::try_from(message["message_id"].as_i64().unwrap()).unwrap()
    }
}

/// An update and the secret it came with.
pub type Got = (Value, Option<String>);

/// A webhook that records what it gets and answers 200, or the next of the given statuses.
#[derive(Clone, Default)]
pub struct Webhook {
    pub got: Arc<Mutex<Vec<Got>>>,
    pub statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Webhook {
    /// Starts it and returns its address.
    pub async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(self.clone()));
        format!("http://{address}/hook")
    }

    pub fn answer_with(&self, statuses: &[u16]) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    pub fn ids(&self) -> Vec<i64> {
        self.got.lock().unwrap().iter().map(|(update, _)| update["update_id"].as_i64().unwrap()).collect()
    }

    pub fn texts(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        got.iter().map(|(update, _)| update["message"]["text"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Endpoint for Webhook {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let secret = request.header("X-Telegram-Bot-Api-Secret-Token").map(str::to_owned);
        let update: Value = serde_json::from_slice(&request.take_body().into_vec().await?).unwrap();
        self.got.lock().unwrap().push((update, secret));
        let status = self.statuses.lock().unwrap().pop_front().unwrap_or(200);
        Ok(Response::builder().status(StatusCode::from_u16(status).unwrap()).finish())
    }
}
