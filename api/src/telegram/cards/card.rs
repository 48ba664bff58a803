//! A message in the making, and made.

use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

use super::{figures::Words, markup};
use crate::{domain::Millis, telegram::keyboards::keyboard};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub html: String,
    pub keyboard: InlineKeyboardMarkup,
}

impl Rendered {
    /// Gives what it says without markup.
    pub fn plain(&self) -> String {
        markup::plain(&self.html)
    }
}

/// A message in the making. A line is well-formed HTML by itself, and may hold line breaks.
pub(super) struct Card {
    pub(super) lines: Vec<String>,
    pub(super) rows: Vec<Vec<InlineKeyboardButton>>,
}

impl Card {
    pub(super) fn line(line: String) -> Self {
        Self { lines: vec![line], rows: Vec::new() }
    }

    pub(super) fn render(mut self, words: &Words<'_>, delayed_since: Option<Millis>) -> Rendered {
        if let Some(since) = delayed_since {
            self.lines.push(words.with("delayed-since", &[("moment", words.moment(since).into())]));
        }
        Rendered { html: markup::fit(words, &self.lines), keyboard: keyboard(self.rows) }
    }
}
