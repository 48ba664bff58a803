//! Who is connected. A stranger has shown nothing yet; when too many of those are here, the one who has been it for longest makes
//! room: an honest caller shows a signature with their first request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{clock::Clock, http::connection::Line};

/// Connections at once: an agent has one or two, a proxy as many as it needs for all. Below the unit's `LimitNOFILE`.
const CONNECTIONS: usize = 32_768;
/// Of these: strangers. Each costs about 40 KiB at most.
const STRANGERS: usize = 1024;

#[derive(Default)]
pub struct Crowd(Mutex<Here>);

#[derive(Default)]
struct Here {
    count: usize,
    last: u64,
    strangers: BTreeMap<u64, Arc<Line>>,
}

/// A connection's place, until this is dropped.
pub struct Guest {
    crowd: Arc<Crowd>,
    number: u64,
    pub line: Arc<Line>,
}

impl Crowd {
    /// Lets one more in, if there is room.
    pub fn enter(self: &Arc<Self>, clock: &Clock) -> Option<Arc<Guest>> {
        let line = Line::new(clock.clone());
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if here.count >= CONNECTIONS {
            return None;
        }
        here.count += 1;
        here.last += 1;
        let number = here.last;
        if here.strangers.len() >= STRANGERS
            && let Some((_, oldest)) = here.strangers.pop_first()
        {
            oldest.make_room();
        }
        here.strangers.insert(number, line.clone());
        Some(Arc::new(Guest { crowd: self.clone(), number, line }))
    }
}

impl Guest {
    /// They have shown who they are.
    pub fn is_known(&self) {
        self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner).strangers.remove(&self.number);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut here = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        here.count -= 1;
        here.strangers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::connection::Over;

    /// Finding 11.
    #[tokio::test]
    async fn the_oldest_stranger_makes_room_and_who_is_known_stays() {
        let (crowd, clock) = (Arc::new(Crowd::default()), Clock::system());
        let known = crowd.enter(&clock).unwrap();
        known.is_known();
        let strangers: Vec<_> = (0..=STRANGERS).map(|_| crowd.enter(&clock).unwrap()).collect();
        assert_eq!(strangers[0].line.over().await, Over::MakesRoom);
        let stays = |guest: &Arc<Guest>| {
            let line = guest.line.clone();
            async move { tokio::time::timeout(std::time::Duration::ZERO, line.over()).await.is_err() }
        };
        assert!(stays(&known).await && stays(&strangers[1]).await);
        drop(strangers);
        let here = crowd.0.lock().unwrap();
        assert_eq!((here.count, here.strangers.len()), (1, 0));
    }
}
