//! What chats hear over long times and of many servers at once: the real backend by a clock that is set by hand, and a stand-in
//! for Telegram that counts. Each story prints a line of figures; `make simulation` shows them.

mod long;
mod noise;
mod outages;
mod storms;
mod tally;
