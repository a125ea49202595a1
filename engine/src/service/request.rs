//! A request that a service answers later, or not at all: then whoever waits for the answer is told.

use std::fmt;

use crate::engine::Engine;
use crate::error::SendError;
use crate::handle::Handle;
use crate::message::{Body, Message, MessageType};

/// The answer that a service owes, by [`Context::request`](super::Context::request).
///
/// Dropped without an answer, it sends an error: also when the service ends or panics, as whatever it keeps is dropped then. May
/// be answered from any thread.
///
/// Shape: a count of the engine and three numbers.
#[must_use = "dropped, it answers with an error"]
pub struct Request {
    engine: Engine,
    /// The service that was asked.
    asked: Handle,
    source: Handle,
    session: i32,
    answered: bool,
}

impl Request {
    /// `None` for what wants no answer.
    pub(super) fn of(engine: &Engine, asked: Handle, message: &Message) -> Option<Request> {
        if message.session() == 0 || message.message_type().is_reply() {
            return None;
        }
        Some(Request {
            engine: engine.clone(),
            asked,
            source: message.source(),
            session: message.session(),
            answered: false,
        })
    }

    /// Who asks.
    pub fn source(&self) -> Handle {
        self.source
    }

    /// The number that the answer carries.
    pub fn session(&self) -> i32 {
        self.session
    }

    /// Sends the answer. Never blocks: responses find room in a full mailbox.
    ///
    /// # Errors
    /// When it cannot be sent, with the body: the requester is gone, or the arena is exhausted. It gets an error in place of the answer
    /// then, if it is there.
    pub fn answer(mut self, body: Body) -> Result<(), SendError> {
        let (from, to, session) = (self.asked, self.source, self.session);
        self.engine.send(from, to, MessageType::RESPONSE, session, body)?;
        self.answered = true;
        Ok(())
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            self.engine.answer_error(self.asked, self.source, self.session);
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("source", &self.source)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
