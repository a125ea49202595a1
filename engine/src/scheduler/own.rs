//! A thread for one service, which may block as it likes.

use std::sync::Arc;

use fulmar_arena::sync::atomic::{AtomicBool, Ordering};

use super::park::Parker;
use super::queues::IDLE_AFTER;
use super::{Meter, inject};
use crate::engine::Engine;
use crate::monitor::Slot;
use crate::service::{ServiceCell, TurnEnd};

/// What the rest of the engine sees of such a thread.
pub(crate) struct OwnThread {
    parker: Parker,
    slot: Arc<Slot>,
    ended: AtomicBool,
}

impl OwnThread {
    pub(crate) fn new() -> OwnThread {
        OwnThread {
            parker: Parker::new(),
            slot: Arc::new(Slot::new()),
            ended: AtomicBool::new(false),
        }
    }

    /// What it shows to the monitor.
    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Hands the service's turn over. Each call stands for one turn: nobody calls again before it has ended.
    pub(super) fn wake(&self) {
        self.parker.unpark();
    }

    /// The service has ended, perhaps on another thread.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed); // Relaxed: the parker orders it
        self.parker.unpark();
    }

    /// Is the thread of `cell`, until the service is closed.
    pub(crate) fn run(&self, engine: &Engine, cell: &ServiceCell) {
        inject::mark_service_thread();
        let meter = Meter::new(engine.clock().clone(), engine.profile());
        loop {
            if !self.parker.park_timeout(IDLE_AFTER) {
                engine.arena().flush_thread();
                self.parker.park();
            }
            // Relaxed: ordered by the parker.
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            meter.resume();
            let end = loop {
                // SAFETY: a token is the turn; it is ours until one ends differently from `Again`.
                match unsafe { cell.turn(&self.slot, &meter, u64::MAX) } {
                    TurnEnd::Again => {}
                    end => break end,
                }
            };
            meter.settle();
            if end == TurnEnd::Closed {
                return;
            }
        }
    }
}
