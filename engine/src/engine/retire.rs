//! How services go: out of the table at once, closed on a last turn of their own, and counted out by it.

use std::sync::Arc;

use crossbeam_epoch as epoch;
use fulmar_arena::sync::atomic::Ordering;

use super::Engine;
use crate::handle::{Collector, Handle};
use crate::mailbox::Added;
use crate::message::{Body, MessageType};
use crate::post::LOGGER;
use crate::service::{Lane, ServiceCell, Task};

impl Engine {
    /// Retires a handle: nobody finds it from now on, its names are gone, and its service closes on its last turn. False when it was
    /// not live.
    pub fn retire(&self, handle: Handle) -> bool {
        let Some(cell) = self.0.table.remove(handle) else {
            return false;
        };
        // SAFETY: the table's count is ours until the close unit carries it on.
        let cell = unsafe { cell.as_ref() };
        // Relaxed: see `Route::to`.
        cell.retired.store(true, Ordering::Relaxed);
        let handle = cell.handle; // in full, where the caller may have left out the harbor
        self.keep_retired(cell);
        let is_logger = self.names().query(LOGGER) == Some(handle);
        self.0.names.forget(handle);
        let mark = if is_logger {
            &cell.holder.counters.drains
        } else {
            &cell.holder.counters.closing
        };
        // Relaxed: the close unit follows, and releases it.
        mark.store(true, Ordering::Relaxed);
        match cell.mailbox.state.add_close() {
            Added::Pending => {}
            // SAFETY: raising the units from zero is what makes the turn ours.
            Added::Schedule => self.schedule(unsafe { Task::new(cell) }),
            Added::Drain => unreachable!("a handle is taken out of the table once"),
        }
        true
    }

    /// [`Engine::retire`], with notice to the exit monitor.
    pub(crate) fn retire_with_notice(&self, handle: Handle) {
        if self.retire(handle)
            && let Some(monitor) = self.exit_monitor()
        {
            // A monitor that is gone, or is this very service, hears nothing.
            let _ = self.send(handle, monitor, MessageType::CLIENT, 0, Body::Empty);
        }
    }

    /// The last act of a closing turn: counts the service out, and retires the shell that the close unit kept.
    pub(crate) fn ended(&self, cell: &ServiceCell) {
        self.forget_retired(cell.handle);
        {
            let mut live = self.live();
            // SeqCst: rare; a later harbor service must not be wiped out.
            let _ = self.0.harbor_service.compare_exchange(
                cell.handle.bits(),
                0,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            // SeqCst: under the lock of the count.
            if cell.holder.counters.uncounted.load(Ordering::SeqCst) {
                live.uncounted -= 1;
            } else {
                live.counted -= 1;
            }
            if live.is_awaited() {
                self.0.ended.notify_all();
            }
        }
        self.retire_last();
        if let Lane::Own(thread) = &cell.lane {
            thread.end();
        }
        let shell = Shell(cell);
        let guard = epoch::pin();
        // SAFETY: nobody finds the shell any more, and senders that did are pinned. What is dropped is memory: the service is gone.
        unsafe { Collector::defer(&guard, move || shell.release()) };
        guard.flush();
    }
}

/// The table's count of a shell, on its way to the collector.
struct Shell(*const ServiceCell);

// SAFETY: a count of an `Arc<ServiceCell>`, which is `Send`.
unsafe impl Send for Shell {}

impl Shell {
    fn release(self) {
        // SAFETY: the count that the table made with `Arc::into_raw`; `ended` runs once per cell.
        drop(unsafe { Arc::from_raw(self.0) });
    }
}
