//! Telegram, both ways: updates come in by webhook or polling and wait in the inbox; notices go out of the outbox, put in words when
//! they are sent.
//!
//! | module | what |
//! |---|---|
//! | [`bot`] | the few calls of the Bot API, with errors sorted by what to do about them |
//! | [`setup`] | at start: who is this bot, its commands, webhook or polling |
//! | [`webhook`], [`polling`] | updates in |
//! | [`update`] | an update becomes a parsed request, pure |
//! | [`inbox`] | applies requests, a chat's oldest first |
//! | [`outbox`] | sends, within Telegram's budgets |
//! | [`cards`], [`keyboards`], [`text`] | puts it in words and buttons |

pub mod bot;
mod budget;
pub mod cards;
pub mod inbox;
pub mod keyboards;
pub mod outbox;
pub mod polling;
pub mod setup;
pub mod text;
pub mod update;
pub mod webhook;
