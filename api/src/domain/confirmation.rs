//! A question that waits for the asker's second tap.

use osm_protocol::action::{Action, Chore};
use serde::{Deserialize, Serialize};

use crate::domain::{
    MINUTE, Millis,
    ids::{ChatId, ConfirmationId, MessageId, ServerId, UserId},
};

/// For how long a question can be answered.
pub const WITHIN: Millis = MINUTE;

/// What is to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Asks {
    Restart { unit: String },
    Chore { chore: Chore },
    Remove {},
}

impl Asks {
    /// Gives the action that the server is to be asked for; a removal is the backend's own affair.
    pub fn action(&self) -> Option<Action> {
        match self {
            Self::Restart { unit } => Some(Action::RestartService { unit: unit.clone() }),
            Self::Chore { chore } => Some(chore.action()),
            Self::Remove {} => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Confirmed,
    Declined,
    /// Nobody answered in time, or what it was about is no longer so.
    Expired,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Open, Self::Confirmed, Self::Declined, Self::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::Expired => "expired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    pub id: ConfirmationId,
    pub chat_id: ChatId,
    /// Who asked, and who alone may answer.
    pub user_id: UserId,
    pub actor_name: String,
    pub server_id: ServerId,
    pub asks: Asks,
    pub expires_at: Millis,
    pub state: State,
    /// The message that asks.
    pub message_id: MessageId,
}

/// Why a question cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswerable {
    NotYours,
    AlreadyAnswered,
    Expired,
}

impl Confirmation {
    /// Judges whether this person may answer it at `now`.
    pub fn answerable(&self, user_id: UserId, now: Millis) -> Result<(), Unanswerable> {
        match self.state {
            _ if self.user_id != user_id => Err(Unanswerable::NotYours),
            State::Confirmed | State::Declined => Err(Unanswerable::AlreadyAnswered),
            State::Expired => Err(Unanswerable::Expired),
            State::Open if now >= self.expires_at => Err(Unanswerable::Expired),
            State::Open => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Confirmation {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        Confirmation {
            id: id.parse().unwrap(),
            chat_id: ChatId(1),
            user_id: UserId(1),
            actor_name: "Anna".to_owned(),
            server_id: id.parse().unwrap(),
            asks: Asks::Remove {},
            expires_at: WITHIN,
            state: State::Open,
            message_id: id.parse().unwrap(),
        }
    }

    #[test]
    fn only_whoever_asked_can_answer_once_and_in_time() {
        assert_eq!(asked().answerable(UserId(1), WITHIN - 1), Ok(()));
        assert_eq!(asked().answerable(UserId(2), 0), Err(Unanswerable::NotYours));
        assert_eq!(asked().answerable(UserId(1), WITHIN), Err(Unanswerable::Expired));
        for (state, why) in [
            (State::Confirmed, Unanswerable::AlreadyAnswered),
            (State::Declined, Unanswerable::AlreadyAnswered),
            (State::Expired, Unanswerable::Expired),
        ] {
            assert_eq!(Confirmation { state, ..asked() }.answerable(UserId(1), 0), Err(why));
        }
    }

    #[test]
    fn states_survive_their_names() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("done"), None);
    }
}
