//! The state word of a mailbox: how much there is to do, and whether its service is still alive.
//!
//! ```text
//!   63                         2      1         0
//!  | units of work             | closing | closed |
//! ```
//!
//! A *unit* is a message that is linked in the queue, the start of the service, or its close. Whoever raises the count from
//! zero must schedule the service; whoever runs it takes units off in one subtraction per batch and lets go when that reaches
//! zero. So "scheduled or running" and "count above zero" are the same thing, and each step is one atomic addition.
//!
//! `closing` arrives together with the close unit. `closed` says that the service is gone and its shell is no longer kept by the
//! handle table: who raises the count from zero now has pinned the shell itself, and must drain what it pushed.

use fulmar_arena::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct State(AtomicU64);

/// The word at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The units that wait, those of the running batch included.
    pub(crate) units: u64,
    /// One of them is the close.
    pub(crate) closing: bool,
}

/// What whoever added a unit has to do next.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// Nothing: the service is scheduled or running.
    Pending,
    /// Schedule it: the turn is yours to give.
    Schedule,
    /// It has ended: take a count of the shell and drain it.
    Drain,
}

/// What whoever ran a batch has to do next.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Let go; the next unit schedules it again.
    Idle,
    /// So many units are left: run on, or schedule it again.
    More(u64),
}

impl State {
    /// The state of a service that is being started: one unit, held by its creator.
    pub(crate) fn starting() -> State {
        State(AtomicU64::new(UNIT))
    }

    /// Adds the unit of a message that has been linked.
    #[inline]
    pub(crate) fn add(&self) -> Added {
        self.add_bits(UNIT)
    }

    /// Adds the close unit. Once, by whoever took the handle out of the table.
    pub(crate) fn add_close(&self) -> Added {
        self.add_bits(UNIT | CLOSING)
    }

    #[inline]
    fn add_bits(&self, bits: u64) -> Added {
        // AcqRel: releases what the unit stands for to whoever runs it, pairs with the Acquire in `snapshot`; acquires the
        // previous turn's writes when we schedule the next one, pairs with the release in `done`.
        let before = self.0.fetch_add(bits, ADD);
        match (before / UNIT, before & CLOSED) {
            (0, 0) => Added::Schedule,
            (0, _) => Added::Drain,
            _ => Added::Pending,
        }
    }

    /// What there is to do.
    #[inline]
    pub(crate) fn snapshot(&self) -> Snapshot {
        // Acquire: all that the counted units stand for; pairs with `add`.
        let word = self.0.load(Ordering::Acquire);
        Snapshot {
            units: word / UNIT,
            closing: word & CLOSING != 0,
        }
    }

    /// Takes off the units of a batch.
    #[inline]
    pub(crate) fn done(&self, units: u64) -> Done {
        // AcqRel: releases the service's state to whoever runs it next; acquires what was added meanwhile.
        let before = self.0.fetch_sub(units * UNIT, DONE) / UNIT;
        debug_assert!(before >= units, "more units taken off than were added");
        match before - units {
            0 => Done::Idle,
            left => Done::More(left),
        }
    }

    /// Marks the service as gone. Its last runner does, which still has to take off its units.
    pub(crate) fn close(&self) {
        // Release: what the closing turn wrote; pairs with the acquire in the `add` that returns `Drain`.
        self.0.fetch_or(CLOSED, Ordering::Release);
    }
}

const CLOSED: u64 = 1 << 0;
const CLOSING: u64 = 1 << 1;
const UNIT: u64 = 1 << 2;

const ADD: Ordering = if cfg!(fulmar_mutation = "state_add_relaxed") {
    Ordering::Relaxed
} else {
    Ordering::AcqRel
};
const DONE: Ordering = if cfg!(fulmar_mutation = "state_done_relaxed") {
    Ordering::Relaxed
} else {
    Ordering::AcqRel
};
