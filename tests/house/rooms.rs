//! Who may import whom: the tables in ARCHITECTURE.md, and what breaks them.

use std::collections::BTreeSet;

use crate::{
    modules::{Arrow, Crate},
    tables::{self, names},
};

/// What a room may import of its own crate, besides itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum May {
    /// The room puts all others together.
    Everything,
    Only(BTreeSet<String>),
}

#[derive(Clone, Debug)]
struct Room {
    name: String,
    is_foundation: bool,
    may: May,
}

/// A table of rooms, from the inside out.
pub struct Rooms(Vec<Room>);

impl Rooms {
    /// The table that follows the line with `mark` in ARCHITECTURE.md.
    pub fn read(document: &str, mark: &str) -> Self {
        let rows = tables::after(document, mark);
        let foundation: Vec<String> =
            rows.iter().filter(|row| is_foundation(row)).flat_map(|row| names(&row[0]).map(room_name)).collect();
        let rooms = rows.iter().flat_map(|row| {
            let may = may(&row[2], &foundation);
            names(&row[0]).map(move |name| Room { name: room_name(name), is_foundation: is_foundation(row), may: may.clone() })
        });
        Self(rooms.collect())
    }

    /// What is wrong with the table itself, and with the crate by it.
    pub fn violations(&self, krate: &Crate, arrows: &[Arrow]) -> Vec<String> {
        let existing = krate.rooms();
        let missing = existing
            .iter()
            .filter(|room| self.room(room).is_none())
            .map(|room| format!("{room} is a new room: say in ARCHITECTURE.md what lives in it, and what it may import"));
        let stale = self
            .0
            .iter()
            .filter(|room| !krate.has(&room.name))
            .map(|room| format!("ARCHITECTURE.md has a room {}, and the crate has none of this name", room.name));
        let broken = arrows.iter().filter_map(|arrow| self.violation(arrow));
        missing.chain(stale).chain(self.arrows_outwards()).chain(broken).collect()
    }

    fn violation(&self, arrow: &Arrow) -> Option<String> {
        let Arrow { from, from_room, to_room, path, .. } = arrow;
        if from_room == to_room {
            return None;
        }
        let allowed = match &self.room(from_room)?.may {
            May::Everything => true,
            May::Only(rooms) => rooms.contains(to_room),
        };
        let leaves = path.starts_with("super::");
        match (allowed, leaves) {
            (false, _) => Some(format!("{}: {from_room} imports {to_room}, as {path}", from.display())),
            (true, true) => Some(format!("{}: {path} leaves the room {from_room}: begin it with crate::", from.display())),
            (true, false) => None,
        }
    }

    /// A room may import only what stands before it in the table: so no circle of rooms can be written down.
    fn arrows_outwards(&self) -> impl Iterator<Item = String> {
        self.0.iter().enumerate().flat_map(|(place, room)| {
            let known: BTreeSet<&str> = self.0[..place].iter().map(|room| room.name.as_str()).collect();
            let outwards = match &room.may {
                May::Everything => Vec::new(),
                May::Only(rooms) => rooms.iter().filter(|other| !known.contains(other.as_str())).collect(),
            };
            outwards.into_iter().map(|other| {
                format!("ARCHITECTURE.md lets {} import {other}, which does not stand above it in the table", room.name)
            })
        })
    }

    pub fn is_foundation(&self, room: &str) -> bool {
        self.room(room).is_some_and(|room| room.is_foundation)
    }

    fn room(&self, name: &str) -> Option<&Room> {
        self.0.iter().find(|room| room.name == name)
    }
}

fn is_foundation(row: &[String]) -> bool {
    row[1].starts_with("foundation")
}

fn room_name(name: &str) -> String {
    name.trim_end_matches('/').trim_end_matches(".rs").to_owned()
}

fn may(cell: &str, foundation: &[String]) -> May {
    if cell == "everything" {
        return May::Everything;
    }
    let mut rooms: BTreeSet<String> = names(cell).map(room_name).collect();
    let words: BTreeSet<&str> = cell.split('`').step_by(2).flat_map(|words| words.split([',', ' '])).collect();
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        match word {
            "foundation" => rooms.extend(foundation.iter().cloned()),
            "nothing" | "and" => {}
            other => {
                panic!("ARCHITECTURE.md: {other:?} in {cell:?} is none of: names in backticks, foundation, nothing, everything")
            }
        }
    }
    May::Only(rooms)
}
