//! Messages that do not end: who is in one is reported, and interrupted when nobody else could.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};

use fulmar_arena::sync::atomic::Ordering;

use super::Engine;
use crate::handle::Handle;
use crate::post::counted;
use crate::service::{Context, ServiceCell};

/// A service that is retired and has not ended.
pub(super) struct Retired {
    cell: Arc<ServiceCell>,
    /// The monitor has reported it since.
    is_reported: bool,
}

impl Engine {
    /// Reports a message that does not end, with the name of the service that is in it.
    ///
    /// One that is retired has no handle by which somebody could signal it, while its callers, and whoever waits for the end of the engine,
    /// wait for it. It may still finish its message until the next report; then, and with each one after that, it gets signal 0.
    pub(crate) fn report_endless(&self, source: Handle, destination: Handle, version: u64) {
        let live = self.cell(destination);
        if let Some(cell) = &live {
            cell.holder.counters.endless.store(true, Ordering::Relaxed); // Relaxed: a flag for people
        }
        let (cell, is_due) = match live {
            Some(cell) => (Some(cell), false),
            None => self.retired_cell(destination),
        };
        let target = cell.as_ref().and_then(|cell| cell.signal_target());
        // A target is somebody else's code.
        let name = catch_unwind(AssertUnwindSafe(|| {
            target.as_ref().and_then(|target| target.name())
        }));
        let name = name.ok().flatten();
        let name = name.map(|name| format!(" : {name}")).unwrap_or_default();
        self.log(
            Handle::SYSTEM,
            format!("error: A message from [ {source} ] to [ {destination} ] maybe in an endless loop (version = {version}){name}"),
        );
        if let (true, Some(cell), Some(target)) = (is_due, cell, target) {
            let signal = AssertUnwindSafe(|| target.signal(&Context::new(cell), 0));
            if catch_unwind(signal).is_err() {
                self.log(destination, "error: panic: in its signal target");
            }
        }
    }

    /// Keeps the shell of a service that is being retired until it has ended, when the table no longer leads to it. Before its close unit
    /// is added, while the table's count is still the caller's.
    pub(super) fn keep_retired(&self, cell: &ServiceCell) {
        let retired = Retired {
            cell: counted(cell),
            is_reported: false,
        };
        self.retired().insert(cell.handle, retired);
    }

    /// A retired service has ended.
    pub(super) fn forget_retired(&self, handle: Handle) {
        let retired = self.retired().remove(&handle);
        drop(retired); // outside the lock
    }

    /// The shell of a retired service, and whether this is not the first report of it.
    fn retired_cell(&self, handle: Handle) -> (Option<Arc<ServiceCell>>, bool) {
        match self.retired().get_mut(&handle) {
            Some(retired) => {
                let is_due = std::mem::replace(&mut retired.is_reported, true);
                (Some(Arc::clone(&retired.cell)), is_due)
            }
            None => (None, false),
        }
    }

    fn retired(&self) -> MutexGuard<'_, HashMap<Handle, Retired>> {
        self.0.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
