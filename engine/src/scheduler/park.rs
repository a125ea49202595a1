//! Parking: how a thread with nothing to do waits for its name to be called.
//!
//! A token is left by [`Parker::unpark`] and taken by [`Parker::park`]; at most one is kept. Both happen under a lock, so none is
//! lost: a token that is there before `park` looks is found, one that comes later finds the thread waiting. The system's own
//! parking is not used, because service code on the same thread may use it too.

#[cfg(not(loom))]
use std::time::Duration;

use fulmar_arena::sync::{Condvar, Mutex, MutexGuard};

pub(crate) struct Parker {
    token: Mutex<bool>,
    left: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Parker {
        Parker {
            token: Mutex::new(false),
            left: Condvar::new(),
        }
    }

    /// Waits for a token and takes it. By one thread.
    pub(crate) fn park(&self) {
        let mut token = self.lock();
        while !*token {
            token = self
                .left
                .wait(token)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *token = false;
    }

    /// Waits for a token for about `limit`; says whether it got one.
    #[cfg(not(loom))]
    pub(crate) fn park_timeout(&self, limit: Duration) -> bool {
        let waited = self.left.wait_timeout_while(self.lock(), limit, |token| !*token);
        let (mut token, _) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::take(&mut *token)
    }

    /// Leaves a token, and wakes the thread if it waits for one.
    pub(crate) fn unpark(&self) {
        *self.lock() = true;
        self.left.notify_one();
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.token.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
