//! What the backend lacks of being ready, for those who watch it.

use std::sync::{Mutex, PoisonError};

/// Whether updates can come.
pub struct Readiness(Mutex<Option<&'static str>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Mutex::new(Some("Telegram has not answered yet")))
    }
}

impl Readiness {
    pub fn lacks(&self, what: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub fn complete(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Gives what is missing.
    pub fn lack(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
