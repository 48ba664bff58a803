//! Updates that wait for the bot, and which of them may go out now.
//!
//! The rules are Telegram's: a chat's updates go out one after the other, one that fails holds back the later ones
//! of its chat, other chats go on. Time is an argument; sending is `delivery.rs`.

use std::{collections::HashSet, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

/// While reordering, an update waits this long for a later one that overtakes it.
const REORDER_WINDOW: Duration = Duration::from_millis(60);

#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub seq: u64,
    pub update_id: i64,
    /// The chat the update belongs to.
    pub lane: i64,
    pub body: Value,
    pub attempts: u32,
    not_before: Instant,
    in_flight: bool,
    copies: u8,
}

/// The waiting updates, oldest first, and the two ways in which Telegram's delivery is allowed to be untidy.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Vec<Queued>,
    next_seq: u64,
    pub duplicate: bool,
    pub reorder: bool,
}

impl Queue {
    pub(crate) fn push(&mut self, update_id: i64, lane: i64, body: Value, now: Instant) {
        self.next_seq += 1;
        self.waiting.push(Queued {
            seq: self.next_seq,
            update_id,
            lane,
            body,
            attempts: 0,
            not_before: if self.reorder { now + REORDER_WINDOW } else { now },
            in_flight: false,
            copies: if self.duplicate { 2 } else { 1 },
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn holds(&self, update_id: i64) -> bool {
        self.waiting.iter().any(|queued| queued.update_id == update_id)
    }

    /// Takes what a webhook may get now, at most `limit` at a time, and says when to look again.
    pub(crate) fn deliverable(&mut self, limit: usize, now: Instant) -> (Vec<Queued>, Option<Instant>) {
        let mut busy: HashSet<i64> = self.waiting.iter().filter(|q| q.in_flight).map(|q| q.lane).collect();
        let mut free = limit.saturating_sub(busy.len());
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        if self.reorder {
            order.reverse();
        }
        let (mut batch, mut wake) = (vec![], None::<Instant>);
        for index in order {
            let queued = &mut self.waiting[index];
            if busy.contains(&queued.lane) {
                continue;
            }
            if queued.not_before > now {
                wake = Some(wake.map_or(queued.not_before, |at| at.min(queued.not_before)));
                // Holding the lane is the point: a failed update keeps its successors waiting.
                busy.insert(queued.lane);
                continue;
            }
            if free == 0 {
                break;
            }
            free -= 1;
            busy.insert(queued.lane);
            queued.in_flight = true;
            queued.attempts += 1;
            batch.push(queued.clone());
        }
        (batch, wake)
    }

    /// The webhook answered 2xx.
    pub(crate) fn delivered(&mut self, seq: u64) {
        if let Some(index) = self.waiting.iter().position(|q| q.seq == seq) {
            let queued = &mut self.waiting[index];
            queued.in_flight = false;
            queued.copies -= 1;
            if queued.copies == 0 {
                self.waiting.remove(index);
            }
        }
    }

    /// The webhook answered something else, or nothing.
    pub(crate) fn failed(&mut self, seq: u64, retry_at: Instant) {
        if let Some(queued) = self.waiting.iter_mut().find(|q| q.seq == seq) {
            queued.in_flight = false;
            queued.not_before = retry_at;
        }
    }

    /// `getUpdates`: confirms everything before `offset` and lists the rest; a negative offset counts from the end
    /// and forgets what lies before.
    pub(crate) fn poll(&mut self, offset: i64, limit: usize) -> Vec<Value> {
        if offset < 0 {
            let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            self.waiting.drain(..self.waiting.len().saturating_sub(keep));
        } else {
            self.waiting.retain(|queued| queued.update_id >= offset);
        }
        let twice = if self.duplicate { 2 } else { 1 };
        self.waiting.iter().flat_map(|q| std::iter::repeat_n(&q.body, twice)).take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(batch: &[Queued]) -> Vec<i64> {
        batch.iter().map(|q| q.update_id).collect()
    }

    fn queue(now: Instant, items: &[(i64, i64)]) -> Queue {
        let mut queue = Queue::default();
        for (id, lane) in items {
            queue.push(*id, *lane, json!({"update_id": id}), now);
        }
        queue
    }

    #[test]
    fn a_failed_update_holds_back_its_own_chat_only() {
        let now = Instant::now();
        let mut queue = queue(now, &[(1, 7), (2, 7), (3, 8)]);
        let (batch, _) = queue.deliverable(40, now);
        assert_eq!(ids(&batch), [1, 3], "the first of each chat");
        assert!(queue.deliverable(40, now).0.is_empty(), "nothing more while they are on their way");
        queue.failed(batch[0].seq, now + Duration::from_secs(1));
        queue.delivered(batch[1].seq);
        let (batch, wake) = queue.deliverable(40, now);
        assert_eq!((ids(&batch), wake), (vec![], Some(now + Duration::from_secs(1))));
        assert_eq!(ids(&queue.deliverable(40, now + Duration::from_secs(1)).0), [1]);
    }

    #[test]
    fn connections_are_limited() {
        let now = Instant::now();
        let mut queue = queue(now, &[(1, 1), (2, 2), (3, 3)]);
        assert_eq!(ids(&queue.deliverable(2, now).0), [1, 2]);
        assert!(queue.deliverable(2, now).0.is_empty());
    }

    #[test]
    fn reordering_swaps_what_came_close_together() {
        let now = Instant::now();
        let mut queue = Queue { reorder: true, ..Queue::default() };
        queue.push(1, 7, json!({}), now);
        queue.push(2, 7, json!({}), now);
        assert!(queue.deliverable(40, now).0.is_empty(), "it waits for a successor");
        let later = now + REORDER_WINDOW;
        let (batch, _) = queue.deliverable(40, later);
        assert_eq!(ids(&batch), [2]);
        queue.delivered(batch[0].seq);
        assert_eq!(ids(&queue.deliverable(40, later).0), [1]);
    }

    #[test]
    fn polling_confirms_by_offset_and_counts_from_the_end() {
        let now = Instant::now();
        let mut queue = queue(now, &[(10, 1), (11, 1), (12, 2), (13, 2)]);
        assert_eq!(queue.poll(0, 2).len(), 2);
        assert_eq!(queue.poll(0, 100).len(), 4, "unconfirmed updates come again");
        assert_eq!(queue.poll(11, 100)[0]["update_id"], 11);
        assert_eq!(queue.poll(-1, 100), [json!({"update_id": 13})]);
        assert_eq!(queue.poll(0, 100).len(), 1, "what lay before is forgotten");
    }
}
