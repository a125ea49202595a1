//! What `stm.copy` gives and `stm.newcopy` takes: numbers that stand for a place in line at a box.
//!
//! Lua code passes a ticket on as a light userdata. It is good once, for whoever has it, and only for boxes of this node. A ticket neither keeps
//! its box open nor a value alive. One that nobody takes (its message was lost, its receiver has ended) costs an entry here,
//! until so many others have been given out after it that it expires; the number of entries is bounded.

use std::collections::BTreeMap;

use fulmar_arena::sync::{Mutex, MutexGuard};
use fulmar_stm::WeakWriter;

/// The tickets of a node that nobody has taken.
pub(crate) struct Tickets(Mutex<Inner>);

struct Inner {
    /// Oldest first: their numbers grow.
    waiting: BTreeMap<usize, WeakWriter>,
    issued: u64,
    random: u64,
}

/// Tickets lie in the part of the address space that programs never get.
const FIRST: usize = 1 << 63;
/// The low bits cannot be guessed from earlier tickets.
const RANDOM_BITS: u32 = 24;
/// So many may wait at a time; one more, and the oldest expires.
const MAX_WAITING: usize = 1 << 18;

impl Tickets {
    pub(crate) fn new(seed: u64) -> Tickets {
        Tickets(Mutex::new(Inner {
            waiting: BTreeMap::new(),
            issued: 0,
            random: seed,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn add(&self, writer: WeakWriter) -> usize {
        let mut inner = self.lock();
        let ticket = inner.number();
        inner.waiting.insert(ticket, writer);
        if inner.waiting.len() > MAX_WAITING {
            inner.waiting.pop_first();
        }
        ticket
    }

    pub(super) fn take(&self, ticket: usize) -> Option<WeakWriter> {
        self.lock().waiting.remove(&ticket)
    }
}

impl Inner {
    fn number(&mut self) -> usize {
        self.issued += 1;
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let random = (mixed ^ (mixed >> 31)) >> (u64::BITS - RANDOM_BITS);
        FIRST | (self.issued << RANDOM_BITS) as usize | random as usize
    }
}

#[cfg(test)]
mod tests {
    use fulmar_arena::Arena;
    use fulmar_stm::Writer;

    use super::*;

    fn writer() -> Writer {
        Writer::new(Arena::process().loan(1, 0).expect("one byte").freeze())
    }

    #[test]
    fn a_ticket_is_good_once() {
        let tickets = Tickets::new(7);
        let writer = writer();
        let ticket = tickets.add(writer.downgrade());
        assert!(tickets.take(ticket ^ 1).is_none());
        assert!(tickets.take(ticket).is_some());
        assert!(tickets.take(ticket).is_none());
    }

    #[test]
    fn tickets_that_nobody_takes_are_bounded_and_the_oldest_expire() {
        let tickets = Tickets::new(7);
        let writer = writer();
        let first = tickets.add(writer.downgrade());
        let second = tickets.add(writer.downgrade());
        for _ in 1..MAX_WAITING {
            tickets.add(writer.downgrade());
        }
        assert!(tickets.take(first).is_none());
        assert!(tickets.take(second).is_some());
        assert!(tickets.lock().waiting.len() < MAX_WAITING);
    }

    #[test]
    fn a_ticket_keeps_no_value_alive() {
        let tickets = Tickets::new(7);
        let arena = Arena::process();
        let writer = writer();
        let ticket = tickets.add(writer.downgrade());
        let body = writer.snapshot().body_ptr().as_ptr();
        assert!(arena.inspect(body).is_some());
        drop(writer);
        assert!(tickets.take(ticket).expect("it is there").upgrade().is_none());
    }
}
