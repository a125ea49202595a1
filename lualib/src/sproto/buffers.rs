//! The buffers of a service that messages are written into. Encoding may run Lua code (metamethods), which may encode in turn,
//! and which may end in an error that skips the rest of a native: so each running native has a buffer of its own, known by
//! its frame on the machine's stack.

use crate::vm::frame;

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
    pub(super) fn enter(&mut self) -> *mut Vec<u8> {
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

    pub(super) fn leave(&mut self) {
        self.users.pop();
    }
}

/// What a buffer may keep from one message to the next.
const KEPT_BYTES: usize = 64 << 10;
