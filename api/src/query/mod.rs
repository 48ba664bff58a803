//! Reads that several outlets share: chats, cards, programs, the command line. They give plain data, and know no words.
//!
//! | module | what is read |
//! |---|---|
//! | [`access`] | who may use the bot, and what is left of those who no longer may |
//! | [`alerts`] | what is wrong, most urgent first, and what can be done about it |
//! | [`confirmations`] | a question and the server that it is about |
//! | [`mutes`] | whether a chat is to hear of a server |
//! | [`pairings`] | a pairing token and what became of it |
//! | [`servers`] | a chat's servers and their services, by pages |
//! | [`thresholds`] | the limits in force, and what others would have done |

pub mod access;
pub mod alerts;
pub mod confirmations;
pub mod mutes;
pub mod pairings;
pub mod servers;
pub mod thresholds;

/// A page of a list. Pages count from 0; one beyond the last is the last, since a list may have become shorter meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Which page it is.
    pub number: u32,
    pub pages: u32,
    /// On all pages.
    pub count: usize,
}

/// Which page of how long a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub page: u32,
    pub per_page: u32,
}

impl Wanted {
    /// Gives the page that exists, and how many there are.
    fn of(self, count: usize) -> (u32, u32) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let pages = count.div_ceil(self.per_page).max(1);
        (self.page.min(pages - 1), pages)
    }

    /// Cuts a page out of a whole list.
    pub fn cut<T>(self, all: Vec<T>) -> Page<T> {
        let count = all.len();
        let (number, pages) = self.of(count);
        let items = all.into_iter().skip((number * self.per_page) as usize).take(self.per_page as usize).collect();
        Page { items, number, pages, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_beyond_the_last_is_the_last() {
        let page = |page| Wanted { page, per_page: 2 }.cut(vec![1, 2, 3]);
        assert_eq!(page(0), Page { items: vec![1, 2], number: 0, pages: 2, count: 3 });
        assert_eq!(page(u32::MAX), Page { items: vec![3], number: 1, pages: 2, count: 3 });
        let none = Wanted { page: 7, per_page: 2 }.cut(Vec::<u8>::new());
        assert_eq!((none.number, none.pages, none.count), (0, 1, 0));
    }
}
