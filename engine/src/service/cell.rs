//! The shell of a service: what its handle leads to.
//!
//! Held by the handle table, by [`Context`](super::Context)s, and borrowed by run queues under the rules of
//! [`mailbox`](crate::mailbox). The service itself sits inside until its closing turn; what remains is this shell.
//!
//! # Invariants
//! 1. `run` is touched only by the holder of the turn, and its head is the one of the mailbox.
//! 2. A scheduled or running cell is kept alive by the table's count, which the close unit takes over.

use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crossbeam_utils::CachePadded;
use fulmar_arena::sync::Arc;
use fulmar_arena::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use fulmar_arena::sync::cell::UnsafeCell;

use super::{Service, ServiceStats, SignalTarget, TurnEnd};
use crate::engine::Engine;
use crate::handle::{Entry, Handle};
use crate::mailbox::{Bounded, Mailbox, MailboxLimit, MessageHead, Overload, Popped};
use crate::message_log::MessageLogSlot;
use crate::monitor::Slot;
use crate::scheduler::{Meter, OwnThread};
use crate::session::Sessions;

/// In cache lines of its own, for its neighbour in memory may be a service that runs on another worker. Inside, what senders write with
/// each message, what the holder of the turn writes with each, and what both do little but read are apart.
pub(crate) struct ServiceCell {
    pub(crate) mailbox: CachePadded<Mailbox>,
    /// Of the mailbox, if it has a limit.
    pub(crate) bounded: Option<Box<Bounded>>,
    pub(crate) handle: Handle,
    /// No longer in the table. For senders that do not look there.
    pub(crate) retired: AtomicBool,
    pub(crate) lane: Lane,
    pub(crate) engine: Engine,
    pub(crate) message_log: MessageLogSlot,
    /// Taken when the service is closed.
    signal_target: Mutex<Option<Arc<dyn SignalTarget>>>,
    pub(crate) holder: CachePadded<Holder>,
}

/// What the holder of the turn writes, and hardly anybody else.
pub(crate) struct Holder {
    pub(super) run: UnsafeCell<Run>,
    pub(crate) counters: Counters,
    pub(crate) sessions: Sessions,
}

/// Which run queue a cell goes to.
pub(crate) enum Lane {
    Any,
    Worker(usize),
    Own(Arc<OwnThread>),
}

/// What the holder of the turn works on.
pub(super) struct Run {
    /// Of the mailbox.
    pub(super) head: MessageHead,
    /// Gone after the closing turn.
    pub(super) service: Option<Box<dyn Service>>,
    pub(super) overload: Overload,
    /// Whether `start` succeeded, so that `stop` is due.
    pub(super) started: bool,
}

/// What the holder of the turn writes and everybody may read. Single writer, so plain stores do.
pub(crate) struct Counters {
    /// Retirement has begun. A hint for the runner, to end the batch early; the state word decides.
    pub(crate) closing: AtomicBool,
    /// Retired, but what it was sent before is still handled: the logger.
    pub(crate) drains: AtomicBool,
    /// The monitor saw it stay in one message for too long.
    pub(crate) endless: AtomicBool,
    /// Messages of the running batch that have been popped.
    pub(crate) taken: AtomicU32,
    pub(crate) messages: AtomicU64,
    pub(crate) cpu_ns: AtomicU64,
    /// When the running turn began, by the engine's clock; 0 between turns.
    pub(crate) turn_began_ns: AtomicU64,
    /// Not counted for the end of the engine: the harbor service.
    pub(crate) uncounted: AtomicBool,
    /// Source and session of the message in hand once a [`Request`](super::Request) is made of it, which answers for itself.
    taken_on: AtomicU64,
}

impl Drop for ServiceCell {
    /// A close leaves no message; a cell that was not closed may have some.
    fn drop(&mut self) {
        self.holder.run.with_mut(|run| {
            // SAFETY: nobody else has the cell any more.
            let head = unsafe { &mut (*run).head };
            // SAFETY: as above, and invariant 1.
            while let Popped::Node(message) = unsafe { self.mailbox.pop(self.bounded.as_deref(), head) } {
                drop(message);
            }
        });
    }
}

impl ServiceCell {
    pub(crate) fn new(
        engine: Engine,
        handle: Handle,
        service: Box<dyn Service>,
        signal_target: Option<Arc<dyn SignalTarget>>,
        lane: Lane,
        limit: Option<MailboxLimit>,
    ) -> ServiceCell {
        ServiceCell {
            mailbox: CachePadded::new(Mailbox::new()),
            bounded: limit.map(|limit| Box::new(Bounded::new(limit))),
            holder: CachePadded::new(Holder {
                run: UnsafeCell::new(Run {
                    head: MessageHead::new(),
                    service: Some(service),
                    overload: Overload::new(),
                    started: false,
                }),
                counters: Counters::new(),
                sessions: Sessions::new(),
            }),
            handle,
            retired: AtomicBool::new(false),
            lane,
            engine,
            signal_target: Mutex::new(signal_target),
            message_log: MessageLogSlot::default(),
        }
    }

    pub(crate) fn signal_target(&self) -> Option<Arc<dyn SignalTarget>> {
        self.signal_target
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn stats(&self) -> ServiceStats {
        // Relaxed: figures for people; they need not agree with each other.
        let counters = &self.holder.counters;
        let began_ns = counters.turn_began_ns.load(Ordering::Relaxed);
        let turn_ns = if began_ns == 0 {
            0
        } else {
            self.engine.clock().now_ns().saturating_sub(began_ns)
        };
        ServiceStats {
            cpu_ns: counters.cpu_ns.load(Ordering::Relaxed),
            turn_ns,
            messages: counters.messages.load(Ordering::Relaxed)
                + u64::from(counters.taken.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn forget_signal_target(&self) {
        let target = self
            .signal_target
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(target); // outside the lock: it is somebody else's code
    }

    /// Messages that wait behind the one in hand.
    pub(crate) fn waiting(&self) -> u64 {
        // Relaxed: a figure for people; the two reads need not agree.
        let taken = u64::from(self.holder.counters.taken.load(Ordering::Relaxed));
        self.mailbox.state.snapshot().units.saturating_sub(taken)
    }
}

impl Entry for ServiceCell {
    fn handle(&self) -> Handle {
        self.handle
    }
}

// SAFETY: `run` is reached by one thread at a time, turns hand it on through the state word (1); `Service: Send` makes
// that sound. Everything else is `Sync` by itself, a `Message` in the mailbox is `Send` and never shared.
unsafe impl Sync for ServiceCell {}
// SAFETY: as above; nothing in it is tied to a thread.
unsafe impl Send for ServiceCell {}

/// A request among those of all services; never 0, for its session is not.
fn name_of(source: Handle, session: i32) -> u64 {
    u64::from(source.bits()) << 32 | u64::from(session.cast_unsigned())
}

impl Counters {
    /// A request answers for itself from now on.
    pub(super) fn take_on(&self, source: Handle, session: i32) {
        // Relaxed: read in the turn that the message is handled in.
        self.taken_on.store(name_of(source, session), Ordering::Relaxed);
    }

    /// Another message is in hand.
    #[inline]
    pub(super) fn take_on_nothing(&self) {
        // Relaxed: as above.
        self.taken_on.store(0, Ordering::Relaxed);
    }

    /// Whether the message in hand does.
    pub(super) fn has_taken_on(&self, source: Handle, session: i32) -> bool {
        // Relaxed: as above.
        self.taken_on.load(Ordering::Relaxed) == name_of(source, session)
    }

    fn new() -> Counters {
        Counters {
            closing: AtomicBool::new(false),
            drains: AtomicBool::new(false),
            endless: AtomicBool::new(false),
            taken: AtomicU32::new(0),
            messages: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
            turn_began_ns: AtomicU64::new(0),
            uncounted: AtomicBool::new(false),
            taken_on: AtomicU64::new(0),
        }
    }
}

/// The right to run a service, on its way through a run queue: the turn of rule 2 in [`mailbox`](crate::mailbox).
///
/// Not `Clone`: there is one per service. Dropping it would strand the service, so nobody does.
#[must_use]
#[derive(Debug)]
pub(crate) struct Task(NonNull<ServiceCell>);

// SAFETY: a turn is made to be taken by another thread; `ServiceCell` is `Send` and `Sync`.
unsafe impl Send for Task {}

impl Task {
    /// The turn of `cell`.
    ///
    /// # Safety
    /// The caller holds the turn and gives it up with this call.
    pub(crate) unsafe fn new(cell: &ServiceCell) -> Task {
        Task(NonNull::from(cell))
    }

    pub(crate) fn cell(&self) -> &ServiceCell {
        // SAFETY: alive while it is scheduled or running (invariant 2 of `ServiceCell`).
        unsafe { self.0.as_ref() }
    }

    /// Gives the service its turn of up to `budget` messages. The task comes back when there is more to do.
    #[inline(always)]
    pub(crate) fn run(self, slot: &Slot, meter: &Meter, budget: u64) -> Option<Task> {
        // SAFETY: a task is the turn, and it is gone unless the turn is handed back.
        match unsafe { self.cell().turn(slot, meter, budget) } {
            TurnEnd::Again => Some(self),
            TurnEnd::Idle | TurnEnd::Closed => None,
        }
    }

    /// The turn is handed on in another form.
    pub(crate) fn spent(self) {}

    pub(crate) fn into_raw(self) -> *mut ServiceCell {
        self.0.as_ptr()
    }

    /// # Safety
    /// `raw` came from `into_raw`, and is turned back once.
    pub(crate) unsafe fn from_raw(raw: NonNull<ServiceCell>) -> Task {
        Task(raw)
    }
}
