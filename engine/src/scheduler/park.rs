//! Parking: how a thread with nothing to do waits for its name to be called.
//!
//! A token is set by [`Parker::unpark`] and consumed by [`Parker::park`]. The flag carries the token; the thread's own park
//! state only carries the sleep, so that service code which parks threads itself can neither steal a token nor leave one.

use std::time::Duration;

use fulmar_arena::sync::atomic::{AtomicBool, Ordering};
use fulmar_arena::sync::{Mutex, thread};

pub(crate) struct Parker {
    token: AtomicBool,
    /// The thread that parks here, once it runs.
    thread: Mutex<Option<thread::Thread>>,
}

impl Parker {
    pub(crate) fn new() -> Parker {
        Parker {
            token: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    /// Makes the calling thread the one that parks here. Before its first `park`.
    pub(crate) fn adopt(&self) {
        *lock(&self.thread) = Some(thread::current());
    }

    /// Waits for a token and takes it.
    pub(crate) fn park(&self) {
        while !self.take() {
            thread::park();
        }
    }

    /// Waits for a token for about `limit`; says whether it got one.
    #[cfg(not(loom))]
    pub(crate) fn park_timeout(&self, limit: Duration) -> bool {
        self.take() || {
            thread::park_timeout(limit);
            self.take()
        }
    }

    /// Leaves a token, and wakes the thread if it waits for one.
    ///
    /// No wake-up is lost. If the flag is set before `take` looks, `take` finds it. If `take` looks first, the thread goes on to
    /// park, and our unpark comes after: a park that comes later still returns at once.
    pub(crate) fn unpark(&self) {
        // Release: what the token stands for happens before the wake-up; pairs with the Acquire in `take`.
        self.token.store(true, TOKEN);
        if let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }

    fn take(&self) -> bool {
        // Acquire: pairs with the Release in `unpark`.
        self.token.swap(false, Ordering::Acquire)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> fulmar_arena::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

const TOKEN: Ordering = if cfg!(fulmar_mutation = "park_token_relaxed") {
    Ordering::Relaxed
} else {
    Ordering::Release
};
