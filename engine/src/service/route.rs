//! A sender's memory of where it sent to last.

use fulmar_arena::sync::Arc;
use fulmar_arena::sync::atomic::Ordering;

use super::cell::ServiceCell;
use crate::engine::Engine;
use crate::handle::Handle;
use crate::post::counted;

/// The way to a service that one sender keeps sending to: spares each send the look-up of the handle, and the pin that it takes.
///
/// It is found when some sends in a row went to the same service, so that who sends to many in turn pays nothing for it. Until it finds
/// another it keeps the service's shell, and with it the engine. See [`Context::send_along`](super::Context::send_along).
#[derive(Default)]
pub struct Route {
    /// Whom the last send was for; nobody at first.
    last: Handle,
    /// How many before it were for the same, without the route.
    in_a_row: u32,
    cell: Option<Arc<ServiceCell>>,
}

impl Route {
    /// The service, if this leads to it. Not to one that is retired: whose handle is gone must not be found by it.
    #[inline]
    pub(crate) fn to(&mut self, engine: &Engine, to: Handle) -> Option<&ServiceCell> {
        let cell = self.cell.as_deref()?;
        // Relaxed: who has been told by the retiring thread sees it; who finds out by the table may be a moment ahead, and sends what the
        // closing turn answers. The state word says it too, but a look at it would take its line away from those who write to it with each
        // message.
        if cell.handle != to || !cell.engine.is_same(engine) || cell.retired.load(Ordering::Relaxed) {
            return None;
        }
        self.last = to;
        Some(cell)
    }

    /// Takes note of a service that was found for `to`, while its finder is pinned. Hands out what it kept, to be dropped behind the pin.
    pub(crate) fn note(&mut self, to: Handle, cell: &ServiceCell) -> Option<Arc<ServiceCell>> {
        if self.last != to {
            (self.last, self.in_a_row) = (to, 0);
            return None;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row < SENDS_IN_A_ROW {
            return None;
        }
        self.cell.replace(counted(cell))
    }
}

/// Sends after which a route pays. Two in a row are common among many: an answer lets its receiver run next, who asks the same service
/// again.
const SENDS_IN_A_ROW: u32 = 4;
