//! People who are not admitted are told so, now and then. Nothing of them is stored: who was told lately is kept in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::domain::{HOUR, Millis, ids::ChatId};

/// Between two answers to a stranger: their messages must not become ours.
const APART: Millis = HOUR;
/// Chats that are remembered. With more strangers than this at once some of them hear nothing.
const KEPT: usize = 10_000;

/// When strangers were last told that this is a private bot, by the clock that never jumps.
#[derive(Default)]
pub struct Strangers(Mutex<HashMap<ChatId, Millis>>);

impl Strangers {
    /// Tells whether this chat is to be told now.
    pub fn may_tell(&self, chat_id: ChatId, now: Millis) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= KEPT {
            told.retain(|_, at| now - *at < APART);
        }
        let is_due = told.get(&chat_id).is_none_or(|at| now - *at >= APART);
        if is_due && told.len() < KEPT {
            told.insert(chat_id, now);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_told_once_an_hour_and_no_more_are_remembered_than_there_is_room_for() {
        let strangers = Strangers::default();
        assert!(strangers.may_tell(ChatId(1), 0) && !strangers.may_tell(ChatId(1), HOUR - 1));
        assert!(strangers.may_tell(ChatId(1), HOUR));
        for id in 0..20_000 {
            strangers.may_tell(ChatId(id), HOUR);
        }
        assert_eq!(strangers.0.lock().unwrap().len(), KEPT);
        assert!(strangers.may_tell(ChatId(30_000), 2 * HOUR), "there is room again");
    }
}
