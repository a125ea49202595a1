//! A service that waits for something outside of it: a reader that has left a waker, which sends the service a notice.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use fulmar_arena::sync::Mutex;
use fulmar_engine::Notice;

use crate::tasks;
use crate::vm::Vm;

/// Waits until it is dropped, or the notice has arrived.
pub(crate) struct Watch<R> {
    vm: *mut Vm,
    session: i32,
    bell: Arc<Bell>,
    /// Has left the waker: takes it back when dropped.
    _reader: R,
}

impl<R> Watch<R> {
    /// Leaves `notice`, which has the `session`, where `reader` waits: `poll` leaves the waker, or says that there is nothing to wait
    /// for. Then there is no watch.
    ///
    /// # Safety
    /// `vm` is a live host and outlives this: the userdata that holds it belongs to the host's state.
    pub(crate) unsafe fn begin(
        vm: *mut Vm,
        mut reader: R,
        session: i32,
        notice: Notice,
        poll: impl FnOnce(&mut R, &mut Context<'_>) -> bool,
    ) -> Option<Watch<R>> {
        let bell = Arc::new(Bell(Mutex::new(Some(notice))));
        let waker = Waker::from(Arc::clone(&bell));
        let is_pending = poll(&mut reader, &mut Context::from_waker(&waker));
        let watch = Watch {
            vm,
            session,
            bell,
            _reader: reader,
        };
        is_pending.then_some(watch)
    }
}

impl<R> Drop for Watch<R> {
    fn drop(&mut self) {
        let was_sent = self.bell.take().is_none();
        // SAFETY: the host lives, by the contract of `begin`.
        unsafe { tasks::ignore_notice(self.vm, self.session, was_sent) };
    }
}

/// Sends the notice, once.
struct Bell(Mutex<Option<Notice>>);

impl Bell {
    fn take(&self) -> Option<Notice> {
        // Nothing that can panic runs under the lock.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(notice) = self.take() {
            notice.send();
        }
    }
}
