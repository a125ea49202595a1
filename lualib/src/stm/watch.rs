//! A service that waits for the next version of a box: a reader that has left a waker, which sends the service a notice.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use fulmar_arena::sync::Mutex;
use fulmar_engine::Notice;
use fulmar_stm::Reader;

use crate::tasks;
use crate::vm::Vm;

/// Waits until it is dropped, or the notice has arrived.
pub(super) struct Watch {
    vm: *mut Vm,
    session: i32,
    bell: Arc<Bell>,
    /// Has left the waker: takes it back when dropped.
    _reader: Reader,
}

impl Watch {
    /// Leaves `notice`, which has the `session`, at the box of `reader`. None when there is nothing to wait for: a version is there, or
    /// there will be none.
    ///
    /// # Safety
    /// `vm` is a live host and outlives this: the userdata that holds it belongs to the host's state.
    pub(super) unsafe fn begin(
        vm: *mut Vm,
        mut reader: Reader,
        session: i32,
        notice: Notice,
    ) -> Option<Watch> {
        let bell = Arc::new(Bell(Mutex::new(Some(notice))));
        let waker = Waker::from(Arc::clone(&bell));
        let is_pending = reader.poll_update(&mut Context::from_waker(&waker)).is_pending();
        let watch = Watch {
            vm,
            session,
            bell,
            _reader: reader,
        };
        is_pending.then_some(watch)
    }
}

impl Drop for Watch {
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
