//! Messages out.
//!
//! | module | what |
//! |---|---|
//! | [`outbox`] | the one sender |
//! | [`settle`] | what becomes of a row once its call has ended |
//! | [`asides`] | what strangers are told, without the outbox |
//! | [`budget`] | what Telegram takes of a chat, and of all |
//! | [`bot`] | the few calls of the Bot API |
//! | [`answer`] | what it answers, sorted by what to do about it |

pub mod answer;
pub mod asides;
pub mod bot;
mod budget;
pub mod outbox;
mod settle;
