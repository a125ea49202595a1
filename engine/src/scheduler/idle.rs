//! Who sleeps and who searches: the protocol by which a push wakes one worker, and never none.
//!
//! A worker is *busy*, *searching* (awake, without work, looking into every queue) or *asleep* (listed here, parked or about to
//! be). One word counts the latter two:
//!
//! ```text
//!   31           16 15            0
//!  | asleep        | searching     |
//! ```
//!
//! # Liveness
//! Claim: a task in a shared queue is seen by an awake worker. A push appends its task and then, behind a SeqCst fence, reads
//! the word ([`Idle::notify_one`]). A worker that gives up writes the word, passes a SeqCst fence and then looks into the queues once
//! more ([`Idle::sleep`], and its caller). The two fences are ordered:
//!
//! * *The push is first.* Its task was appended before its fence, so the worker's last look, behind its own fence, sees it; the
//!   worker gets up again ([`Idle::rise`]).
//! * *The worker is first.* The push then sees what the worker wrote. If it counts no searcher and a sleeper, it wakes one. If it
//!   counts a searcher, that is another worker, to which the same two cases apply when it gives up; the last one to do so looks for
//!   all. If it counts no sleeper, all workers are busy and look again before they rest.
//!
//! A worker that gives up and sees a task need not get up while another is searching: either that one takes it, or it gives up in its turn
//! or stops searching, and the last to do so looks again.
//!
//! A searcher that finds a task stops searching, and pushes that relied on it may have put more: the last searcher to leave looks
//! again, behind a fence, and wakes another worker when it sees something ([`Idle::found`]). The two cases are the same.

use fulmar_arena::sync::Mutex;
use fulmar_arena::sync::atomic::{AtomicU32, Ordering, fence};

pub(crate) struct Idle {
    word: AtomicU32,
    /// The sleepers; the last one is woken first, its caches are the warmest.
    asleep: Mutex<Vec<usize>>,
    workers: u32,
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Idle {
        Idle {
            word: AtomicU32::new(0),
            asleep: Mutex::new(Vec::with_capacity(workers)),
            workers: workers as u32,
        }
    }

    /// After a push to a shared queue: the worker to unpark, if one has to be. It counts as searching already.
    #[inline]
    pub(crate) fn notify_one(&self) -> Option<usize> {
        push_fence();
        // Relaxed: ordered by the fence; pairs with the fence in `sleep` and the one in `found`.
        let word = self.word.load(Ordering::Relaxed);
        if searching(word) > 0 || sleeping(word) == 0 {
            return None;
        }
        self.wake(|asleep| asleep.pop())
    }

    /// After a push to the queue of one worker: whether it has to be unparked. It counts as searching already.
    #[inline]
    pub(crate) fn notify(&self, worker: usize) -> bool {
        push_fence();
        // Relaxed: as above.
        if sleeping(self.word.load(Ordering::Relaxed)) == 0 {
            return false;
        }
        self.wake(|asleep| {
            let place = asleep.iter().position(|sleeper| *sleeper == worker)?;
            Some(asleep.swap_remove(place))
        })
        .is_some()
    }

    fn wake(&self, choose: impl FnOnce(&mut Vec<usize>) -> Option<usize>) -> Option<usize> {
        let mut asleep = self.lock();
        let worker = choose(&mut asleep)?;
        // SeqCst: in the order of the pushes' reads; under the lock, so that list and word agree.
        self.word
            .fetch_add(ONE_SEARCHING.wrapping_sub(ONE_ASLEEP), Ordering::SeqCst);
        Some(worker)
    }

    /// A worker without work asks to search. Refused when half of the workers do, for more would find the same; unless it `must`,
    /// because some work comes to it alone.
    pub(crate) fn begin_search(&self, must: bool) -> bool {
        // Relaxed: a limit by taste; two workers that pass at once do no harm.
        if !must && searching(self.word.load(Ordering::Relaxed)) * 2 >= self.workers {
            return false;
        }
        // SeqCst: in the order of the pushes' reads.
        self.word.fetch_add(ONE_SEARCHING, Ordering::SeqCst);
        true
    }

    /// A searcher has found a task. True when it was the last one: it has to look again, and wake another if it sees more.
    pub(crate) fn found(&self) -> bool {
        // SeqCst: pairs with the fence of a push that counted us.
        let before = self.word.fetch_sub(ONE_SEARCHING, Ordering::SeqCst);
        let last = searching(before) == 1;
        if last {
            fence(Ordering::SeqCst);
        }
        last
    }

    /// Lists a worker as asleep. It has to look into the queues once more before it parks, and [`rise`](Self::rise) if it sees
    /// something.
    pub(crate) fn sleep(&self, worker: usize, was_searching: bool) {
        {
            let mut asleep = self.lock();
            asleep.push(worker);
            let change = if was_searching {
                ONE_ASLEEP.wrapping_sub(ONE_SEARCHING)
            } else {
                ONE_ASLEEP
            };
            // SeqCst: as in `wake`.
            self.word.fetch_add(change, Ordering::SeqCst);
        }
        // Pairs with the fence of a push: either it sees us asleep, or we see what it pushed.
        if !cfg!(fulmar_mutation = "idle_no_sleep_fence") {
            fence(Ordering::SeqCst);
        }
    }

    /// A worker that is listed gets up by itself, and counts as searching. False when a push has chosen it in the meantime: it counts as
    /// searching too, and a token is on its way to its parker.
    pub(crate) fn rise(&self, worker: usize) -> bool {
        self.wake(|asleep| {
            let place = asleep.iter().position(|sleeper| *sleeper == worker)?;
            Some(asleep.swap_remove(place))
        })
        .is_some()
    }

    /// Whether every worker is asleep.
    pub(crate) fn all_asleep(&self) -> bool {
        // SeqCst: read behind a fence by those who decide on it.
        sleeping(self.word.load(Ordering::SeqCst)) == self.workers
    }

    /// Whether somebody is searching.
    pub(crate) fn has_searcher(&self) -> bool {
        // SeqCst: read behind a fence by those who decide on it.
        searching(self.word.load(Ordering::SeqCst)) > 0
    }

    /// The same, and nobody else is.
    #[cfg(not(loom))]
    pub(crate) fn has_one_searcher(&self) -> bool {
        // Relaxed: a hint.
        searching(self.word.load(Ordering::Relaxed)) == 1
    }

    fn lock(&self) -> fulmar_arena::sync::MutexGuard<'_, Vec<usize>> {
        self.asleep
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The pushing side of the two cases.
#[inline]
fn push_fence() {
    if !cfg!(fulmar_mutation = "idle_no_push_fence") {
        fence(Ordering::SeqCst);
    }
}

fn searching(word: u32) -> u32 {
    word & 0xffff
}

fn sleeping(word: u32) -> u32 {
    word >> 16
}

const ONE_SEARCHING: u32 = 1;
const ONE_ASLEEP: u32 = 1 << 16;
