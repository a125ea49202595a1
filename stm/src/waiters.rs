//! Who waits for the next version of a box.
//!
//! # No wake-up is lost
//! A reader enters its waker, passes a sequentially consistent fence, and looks at the state word again before it rests. A writer
//! writes the word, passes such a fence, and then reads how many wait. The two fences have an order:
//!
//! - *The reader's is first.* Then the writer, behind its own, sees the count with that reader in it, and wakes it.
//! - *The writer's is first.* Then the reader, behind its own, sees the new state, and does not rest.
//!
//! A commit that nobody waits for costs the fence and one load.

use std::task::Waker;

use fulmar_arena::sync::atomic::{AtomicUsize, Ordering, fence};
use fulmar_arena::sync::{Mutex, MutexGuard};

/// Names a waker that was entered, until it is woken or withdrawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(u64);

pub(crate) struct Waiters {
    /// The length of the list, for a look without the lock.
    count: AtomicUsize,
    list: Mutex<List>,
}

struct List {
    wakers: Vec<(Ticket, Waker)>,
    next: u64,
}

impl Waiters {
    pub(crate) fn new() -> Waiters {
        Waiters {
            count: AtomicUsize::new(0),
            list: Mutex::new(List {
                wakers: Vec::new(),
                next: 0,
            }),
        }
    }

    /// Enters a waker. The caller must look at the state word once more before it rests.
    pub(crate) fn enter(&self, waker: Waker) -> Ticket {
        let ticket = {
            let mut list = self.lock();
            list.next += 1;
            let ticket = Ticket(list.next);
            list.wakers.push((ticket, waker));
            // Relaxed: ordered by the fence below; pairs with the load in `wake_all`.
            self.count.store(list.wakers.len(), Ordering::Relaxed);
            ticket
        };
        if !cfg!(fulmar_mutation = "stm_no_wait_fence") {
            // SeqCst: entered before the caller's second look; pairs with the fence in `wake_all`.
            fence(Ordering::SeqCst);
        }
        ticket
    }

    /// Takes a waker out again. None when it has been woken, or is about to be.
    pub(crate) fn withdraw(&self, ticket: Ticket) -> Option<Waker> {
        let mut list = self.lock();
        // Tickets grow, so the list is in their order.
        let place = list
            .wakers
            .binary_search_by_key(&ticket.0, |(entered, _)| entered.0)
            .ok()?;
        let (_, waker) = list.wakers.remove(place);
        // Relaxed: a writer that still reads the old count finds the list shorter.
        self.count.store(list.wakers.len(), Ordering::Relaxed);
        Some(waker)
    }

    /// The state word has changed: wakes everybody.
    pub(crate) fn wake_all(&self) {
        if !cfg!(fulmar_mutation = "stm_no_commit_fence") {
            // SeqCst: the new state is before the look at the count; pairs with the fence in `enter`.
            fence(Ordering::SeqCst);
        }
        // Relaxed: ordered by the fence.
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let wakers = {
            let mut list = self.lock();
            // Relaxed: as in `withdraw`.
            self.count.store(0, Ordering::Relaxed);
            std::mem::take(&mut list.wakers)
        };
        for (_, waker) in wakers {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing that can panic runs under the lock.
        self.list.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
