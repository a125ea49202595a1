//! The cell that writers and readers share.
//!
//! | field | written by | read by |
//! |---|---|---|
//! | `slot` | the writer that holds `commits` | anyone |
//! | `state` | the writer that holds `commits` | anyone |
//! | `waiters` | readers that wait; whoever wakes them | who commits or closes |
//!
//! # The state word
//!
//! ```text
//!   63                       1   0
//!  | number of the version    | C |      C: the writers are gone
//! ```
//!
//! # Rules
//! 1. A commit stores the node in `slot` and then its number in `state`. Whoever sees a number in `state` therefore finds that version or
//!    a later one in `slot`; who looks between the two stores finds a version before its number is announced, and takes the number
//!    from the node.
//! 2. Numbers only grow, under the lock `commits`. A reader moves on only if `state` is above the number it holds: it never goes
//!    back, and gets no version twice.
//! 3. After writing `state`, and behind a fence, a writer looks for waiters; a reader enters itself as one and then, behind
//!    a fence, looks at `state` again. See `waiters`.
//! 4. Nothing foreign runs under a lock: old values are dropped and wakers called after it is released.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use fulmar_arena::sync::atomic::{AtomicU64, Ordering};
use fulmar_arena::sync::{Mutex, MutexGuard};

use crate::slot::{Slot, slot};
use crate::waiters::Waiters;

/// Which of the values of a box: they are numbered in the order of their commits, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(u64);

impl Version {
    /// Before the first: what a reader has that has taken none.
    pub(crate) const NONE: Version = Version(0);

    /// The number. The value that the box was made with has 1.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value with its version.
#[derive(Debug)]
pub(crate) struct Node<T> {
    version: Version,
    value: T,
}

/// One published version: immutable, and there for as long as somebody has it.
///
/// Shape: one pointer; cloning it adds a count.
pub struct Snapshot<T>(Arc<Node<T>>);

impl<T> Snapshot<T> {
    /// Which version this is.
    pub fn version(&self) -> Version {
        self.0.version
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Snapshot(Arc::clone(&self.0))
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version().number())
            .field("value", &**self)
            .finish()
    }
}

/// What the state word says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(u64);

const CLOSED: u64 = 1;

impl State {
    fn of(version: Version) -> State {
        State(version.0 << 1)
    }

    pub(crate) fn version(self) -> Version {
        Version(self.0 >> 1)
    }

    pub(crate) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }
}

pub(crate) struct StmBox<T> {
    state: AtomicU64,
    slot: Slot<Node<T>>,
    /// One commit at a time.
    commits: Mutex<()>,
    pub(crate) waiters: Waiters,
}

impl<T> StmBox<T> {
    pub(crate) fn new(value: T) -> StmBox<T> {
        let version = Version(1);
        StmBox {
            state: AtomicU64::new(State::of(version).0),
            slot: slot(Node { version, value }),
            commits: Mutex::new(()),
            waiters: Waiters::new(),
        }
    }

    /// One atomic load.
    #[inline]
    pub(crate) fn state(&self) -> State {
        // Acquire: the version was in the slot before its number was here (rule 1); pairs with `commit`.
        State(self.state.load(Ordering::Acquire))
    }

    pub(crate) fn newest(&self) -> Snapshot<T> {
        Snapshot(self.slot.load_full())
    }

    /// Publishes `value`, if the newest version is still the `expected` one.
    ///
    /// # Errors
    /// The value, and the version that is the newest.
    pub(crate) fn commit(&self, expected: Option<Version>, value: T) -> Result<Version, (T, Version)> {
        let (version, old) = {
            let _one_at_a_time = self.lock();
            // Relaxed: written under the lock that is held.
            let found = State(self.state.load(Ordering::Relaxed)).version();
            if expected.is_some_and(|expected| expected != found) {
                return Err((value, found));
            }
            let version = Version(found.0 + 1);
            let old = self.slot.swap(Arc::new(Node { version, value }));
            let announced = if cfg!(fulmar_mutation = "stm_announce_relaxed") {
                Ordering::Relaxed
            } else {
                // Release: the version is in the slot before its number is seen; pairs with `state`.
                Ordering::Release
            };
            self.state.store(State::of(version).0, announced);
            (version, old)
        };
        drop(old);
        self.waiters.wake_all();
        Ok(version)
    }

    /// The last writer is gone.
    pub(crate) fn close(&self) {
        {
            let _no_commit = self.lock();
            // Release: as in `commit`, for the version that stands beside the bit.
            self.state.fetch_or(CLOSED, Ordering::Release);
        }
        self.waiters.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // Nothing that can panic runs under the lock.
        self.commits
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
