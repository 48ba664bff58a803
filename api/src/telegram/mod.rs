//! Telegram, both ways: updates come in by webhook or polling and wait in the inbox; notices go out of the outbox, put in words when
//! they are sent.
//!
//! | module | what |
//! |---|---|
//! | [`receive`] | updates in: webhook or polling, parsed, stored, applied |
//! | [`send`] | messages out, within Telegram's budgets |
//! | [`setup`] | at start: who is this bot, its commands, webhook or polling |
//! | [`cards`], [`keyboards`], [`text`] | puts it in words and buttons |

pub mod cards;
pub mod keyboards;
pub mod receive;
pub mod send;
pub mod setup;
pub mod text;
