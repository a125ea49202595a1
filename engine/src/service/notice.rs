//! A message that a service has ready for itself, for something outside of it to send: the news that what it waits for is there.

use std::fmt;

use crate::engine::Engine;
use crate::handle::Handle;
use crate::message::Message;

/// An empty RESPONSE to a session of the service that made it, by [`Context::notice`](super::Context::notice).
///
/// Sending it needs no memory, so it does not fail while the service lives. Dropped unsent, it never arrives.
///
/// Shape: a block of the arena, and a count of the engine.
pub struct Notice {
    engine: Engine,
    to: Handle,
    message: Message,
}

impl Notice {
    pub(super) fn new(engine: Engine, to: Handle, message: Message) -> Notice {
        Notice { engine, to, message }
    }

    /// Puts it into the service's mailbox, from any thread. Never blocks: responses find room in a full mailbox.
    pub fn send(self) {
        // A service that has ended waits for nothing.
        let _ = self.engine.deliver(self.to, self.message);
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice")
            .field("to", &self.to)
            .field("session", &self.message.session())
            .finish_non_exhaustive()
    }
}
