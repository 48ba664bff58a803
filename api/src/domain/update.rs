//! The states of an update in the inbox.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be handled.
    Open,
    Done,
    /// It was begun three times and never finished, or cannot be read.
    SetAside,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Open, Self::Done, Self::SetAside];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::SetAside => "set-aside",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
