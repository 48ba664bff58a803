//! A Telegram Bot API server to test against, and to try the product without a Telegram account.
//!
//! It keeps users, chats and messages in memory, answers the methods the product uses with Telegram's shapes, limits
//! and error texts, delivers updates by webhook or `getUpdates`, and can be told to fail. It never counts as
//! Telegram: what only it has seen must be called so. Its types are its own on purpose; the product's client
//! library would share the product's misunderstandings.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use osm_telegram_sim::{Failure, FailureKind, Options, Sim};
//!
//! let sim = Sim::start(Options::default()).await?;
//! let anna = sim.user(1001, "Anna");
//! // … start the product with OSM_TELEGRAM_API_URL = sim.api_url() …
//! sim.fail(Failure::new(FailureKind::DropAfter).on("sendMessage"));
//! let said = sim.say(&anna, &anna, "/start");
//! let card = sim.wait(&anna, Duration::from_secs(5), |m| m.message_id > said.message_id).await?;
//! let tap = sim.press(&anna, &anna, card.message_id, "Add a server")?;
//! println!("{:?}\n{}", sim.wait_toast(&tap, Duration::from_secs(5)).await?, sim.transcript(&anna));
//! # Ok(()) }
//! ```
//!
//! Layout: `sim` the handle and its life, `people` what users do, `view` what tests look at, `api` the methods,
//! `state`/`model` the memory, `queue`/`delivery` updates, `server`/`net` HTTP, `web` the page.
#![forbid(unsafe_code)]

mod api;
mod budget;
mod delivery;
mod failure;
mod html;
mod model;
mod net;
mod options;
mod people;
mod queue;
mod server;
mod sim;
mod state;
mod view;
mod web;

pub use crate::{
    failure::{Failure, FailureKind},
    model::{GENERAL, Group, Role, Topic, User},
    options::Options,
    people::{Press, Said},
    sim::Sim,
    view::{BotMessage, Button, ButtonKind, Call, Delivery, Toast},
};
