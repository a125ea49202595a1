//! When the timer thread will wake by itself, and whether that is soon enough: the protocol that spares a worker the
//! system call of waking it.
//!
//! The timer thread *announces* the time until which it is about to sleep and then looks into its inbox once more. A worker
//! first puts its timer into the inbox and then *checks* the announcement; only if that is later than its deadline does it
//! wake the thread. Nothing is lost. Both sides write, pass a sequentially consistent fence, and read what the other
//! wrote, and the fences have an order:
//!
//! - *The worker's fence is first.* The thread's second look, after its own fence, finds the timer (and waits for
//!   whoever is in the middle of a push before it), and it does not sleep.
//! - *The thread's fence is first.* The worker reads the announcement or something newer. If it reads a time after its
//!   deadline it wakes the thread. If it reads an earlier time the thread wakes then, and empties its inbox before anything
//!   is due. If it reads `AWAKE` the thread has woken since, and will announce, fence and look again before it sleeps.
//!
//! Of several workers that find the announcement too late, one replaces it by `AWAKE` and wakes the thread. The exchange of
//! another one fails only if the word has changed since it was read; whoever changed it has woken the thread or is
//! the thread, so in either case a new announcement, and with it a second look, comes after the failed worker's fence.

use fulmar_arena::sync::atomic::{AtomicU64, Ordering, fence};

pub(crate) struct Alarm {
    wakes_at_ms: AtomicU64,
}

impl Alarm {
    pub(crate) fn new() -> Alarm {
        Alarm {
            wakes_at_ms: AtomicU64::new(AWAKE),
        }
    }

    /// The timer thread is about to sleep until `wakes_at_ms`, or for ever. It must look into its inbox after this.
    pub(crate) fn announce(&self, wakes_at_ms: Option<u64>) {
        // Relaxed: ordered by the fence.
        self.wakes_at_ms
            .store(wakes_at_ms.unwrap_or(NEVER), Ordering::Relaxed);
        // SeqCst: the announcement is before the second look; pairs with the fence in `must_wake`.
        fence(Ordering::SeqCst);
    }

    /// The timer thread is up; nobody needs to wake it.
    pub(crate) fn awake(&self) {
        // Relaxed: whoever still reads the announcement wakes the thread once for nothing.
        self.wakes_at_ms.store(AWAKE, Ordering::Relaxed);
    }

    /// A timer for `deadline_ms` is in the inbox. Says whether the caller has to wake the timer thread.
    #[must_use]
    pub(crate) fn must_wake(&self, deadline_ms: u64) -> bool {
        if !cfg!(fulmar_mutation = "alarm_no_fence") {
            // SeqCst: the timer is in the inbox before the check; pairs with the fence in `announce`.
            fence(Ordering::SeqCst);
        }
        // Relaxed: ordered by the fence.
        let wakes_at_ms = self.wakes_at_ms.load(Ordering::Relaxed);
        // Relaxed: only elects one of several wakers; unpark carries the order.
        deadline_ms < wakes_at_ms
            && self
                .wakes_at_ms
                .compare_exchange(wakes_at_ms, AWAKE, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Before every deadline.
const AWAKE: u64 = 0;
/// After every deadline that an engine lives to see.
const NEVER: u64 = u64::MAX;
