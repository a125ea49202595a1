//! The buffers of a service that natives write into before the result becomes a string. Writing may run Lua code (metamethods,
//! finalizers), which may write in turn, and which may end in an error that skips the rest of a native: so each running native
//! has a buffer of its own, known by its frame on the machine's stack.

use mlua::ffi::lua_State;

use crate::stack::{self, Failure, Outcome};
use crate::vm::{Vm, frame};

#[derive(Default)]
pub(crate) struct Buffers {
    /// Boxed, so that a buffer in use stays where it is when another is added.
    #[expect(clippy::vec_box, reason = "addresses of buffers in use must not change")]
    buffers: Vec<Box<Vec<u8>>>,
    /// The frames of the natives that use the first so many buffers, outermost first.
    users: Vec<usize>,
}

impl Buffers {
    /// An empty buffer for the running native, until [`Buffers::leave`]. It stays valid and in place until then.
    pub(crate) fn enter(&mut self) -> *mut Vec<u8> {
        let here = frame();
        // The stack grows downwards: a deeper frame that is still here was cut short by an error.
        while self.users.pop_if(|user| *user <= here).is_some() {}
        let place = self.users.len();
        self.users.push(here);
        if place == self.buffers.len() {
            self.buffers.push(Box::default());
        }
        let buffer = &mut *self.buffers[place];
        buffer.clear();
        buffer.shrink_to(KEPT_BYTES);
        buffer
    }

    pub(crate) fn leave(&mut self) {
        self.users.pop();
    }
}

/// The result of a native that is one string: what `write` puts into an empty buffer.
///
/// # Safety
/// There is a free stack slot; `write` runs no Lua code and does not raise.
pub(crate) unsafe fn push_written(
    state: *mut lua_State,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Failure>,
) -> Outcome {
    // SAFETY: the buffer is this native's own while Lua copies it, even when a finalizer runs natives meanwhile, and stays the
    // service's when Lua raises. Stack: one string more on success.
    unsafe {
        let vm = Vm::of(state);
        let buffer = (*vm).buffers.enter();
        let written = write(&mut *buffer);
        if written.is_ok() {
            stack::push_bytes(state, &*buffer);
        }
        (*vm).buffers.leave();
        written.map(|()| 1)
    }
}

/// What a buffer may keep from one result to the next.
const KEPT_BYTES: usize = 64 << 10;
