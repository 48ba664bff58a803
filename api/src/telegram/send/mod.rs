//! Messages out.
//!
//! | module | what |
//! |---|---|
//! | [`outbox`] | the one sender |
//! | [`asides`] | what strangers are told, without the outbox |
//! | [`budget`] | what Telegram takes of a chat, and of all |
//! | [`bot`] | the few calls of the Bot API, with errors sorted by what to do about them |

pub mod asides;
pub mod bot;
mod budget;
pub mod outbox;
