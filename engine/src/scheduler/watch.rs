//! The watch's clock: ticks while workers are awake, and sleeps with them.
//!
//! A task in a run-next slot waits for its worker to finish the message in hand. Nobody else is told, because nearly always that is
//! sooner than anybody could be. The monitor's thread looks after the rare case, every tick, but only while it is *armed*.
//!
//! A worker that wakes up arms it before it leaves its first task in the slot. The monitor disarms only when all workers sleep, whose
//! slots are empty. No worker is missed: waking up takes the worker off the count of sleepers before it reads `armed` behind a fence; the
//! monitor clears `armed` and then reads the count behind a fence. If the monitor's fence is first, the worker sees the clear and arms;
//! if the worker's is first, the monitor sees it awake and arms itself again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fulmar_arena::sync::atomic::{AtomicBool, Ordering, fence};

pub(crate) struct Watch {
    /// Whether there is somebody who could take over.
    useful: bool,
    armed: AtomicBool,
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Watch {
    pub(super) fn new(useful: bool) -> Watch {
        Watch {
            useful,
            armed: AtomicBool::new(false),
            stopped: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// By a worker that was asleep, before it uses its run-next slot.
    pub(super) fn arm(&self) {
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence; pairs with the one in `disarm_if`.
        if self.useful && !self.armed.load(Ordering::Relaxed) {
            let _stopped = self.lock();
            // Relaxed: the lock orders it with the monitor's wait.
            self.armed.store(true, Ordering::Relaxed);
            self.changed.notify_all();
        }
    }

    /// By the monitor: disarms when `all_asleep` says so. Whether it is armed afterwards.
    pub(crate) fn disarm_if(&self, all_asleep: impl Fn() -> bool) -> bool {
        if self.is_armed() && all_asleep() {
            // Relaxed: ordered by the fence; pairs with the one in `arm`.
            self.armed.store(false, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if !all_asleep() {
                self.armed.store(true, Ordering::Relaxed); // as above
            }
        }
        self.is_armed()
    }

    /// By the monitor: waits for `limit`, at most for a tick while armed. False when the engine has stopped.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let stopped = self.lock();
        let limit = if self.is_armed() { limit.min(TICK) } else { limit };
        if *stopped {
            return false;
        }
        let (stopped, _) = self
            .changed
            .wait_timeout(stopped, limit)
            .unwrap_or_else(PoisonError::into_inner);
        !*stopped
    }

    pub(super) fn stop(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed) // Relaxed: see those who decide on it
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const TICK: Duration = Duration::from_millis(2);
