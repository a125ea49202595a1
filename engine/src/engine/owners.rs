//! The services of an engine as its sockets see them.

use std::sync::Weak;

use fulmar_arena::BufMut;

use super::{Engine, Inner};
use crate::handle::Handle;
use crate::message::{Body, MessageType};
use crate::net::Owners;

/// An engine that does not live for the sake of its sockets.
pub(super) struct WeakEngine(pub(super) Weak<Inner>);

impl Owners for WeakEngine {
    fn tell(&self, owner: Handle, event: BufMut) {
        if let Some(engine) = self.0.upgrade() {
            // A service that has gone does not wait for its sockets.
            let _ = Engine(engine).send(Handle::SYSTEM, owner, MessageType::SOCKET, 0, Body::Block(event));
        }
    }

    fn is_backed_up(&self, owner: Handle) -> bool {
        self.0
            .upgrade()
            .is_some_and(|engine| Engine(engine).is_backed_up(owner))
    }

    fn are_awake(&self) -> bool {
        self.0
            .upgrade()
            .is_some_and(|engine| !Engine(engine).scheduler().all_asleep())
    }

    fn log(&self, line: &str) {
        if let Some(engine) = self.0.upgrade() {
            Engine(engine).log(Handle::SYSTEM, line);
        }
    }
}
