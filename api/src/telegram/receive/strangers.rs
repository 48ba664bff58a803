//! Who is nobody here, and is told so at most once an hour. Kept in memory: a stranger must not cost a write.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    domain::{
        HOUR, Millis,
        ids::ChatId,
        intent::{ChatKind, Request},
    },
    telegram::send::asides::{Aside, Asides},
};

/// Chats that are remembered as told. While there are so many, others are not told at all.
const TOLD_MAX: usize = 10_000;

pub struct Strangers {
    asides: Asides,
    /// When a chat was told, by the clock that never jumps.
    told: Mutex<HashMap<ChatId, Millis>>,
}

impl Strangers {
    pub fn new(asides: Asides) -> Self {
        Self { asides, told: Mutex::default() }
    }

    /// Says in a private chat that this is a private bot. In a group a command may be meant for any bot: only a tap, which spins
    /// until it is answered, is answered there.
    pub fn refuse(&self, request: &Request, now: Millis) {
        let language = request.actor.language.clone();
        if let Some(tap) = &request.tap {
            self.asides.say(Aside::NotAllowed { callback_id: tap.callback_id.clone(), language });
        } else if request.chat.kind == ChatKind::Private && self.may_tell(request.chat.id, now) {
            self.asides.say(Aside::PrivateBot { chat_id: request.chat.id, language });
        }
    }

    fn may_tell(&self, chat_id: ChatId, now: Millis) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.retain(|_, at| now - *at < HOUR);
        }
        let recently = told.get(&chat_id).is_some_and(|at| now - *at < HOUR);
        if recently || told.len() >= TOLD_MAX {
            return false;
        }
        told.insert(chat_id, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telegram::send::asides;

    #[test]
    fn a_chat_is_told_once_an_hour_and_so_many_at_most_are_remembered() {
        let (asides, _queue) = asides::queue();
        let strangers = Strangers::new(asides);
        assert!(strangers.may_tell(ChatId(1), 0));
        assert!(!strangers.may_tell(ChatId(1), HOUR - 1));
        assert!(strangers.may_tell(ChatId(1), HOUR));
        for id in 2..=10_000 {
            assert!(strangers.may_tell(ChatId(id), HOUR));
        }
        assert!(!strangers.may_tell(ChatId(10_001), HOUR), "there is no room");
        assert!(strangers.may_tell(ChatId(10_001), 2 * HOUR), "the others are forgotten");
    }
}
