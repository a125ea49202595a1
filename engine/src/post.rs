//! The post: how messages get from a sender into a mailbox, and errors back.
//!
//! Every send ends in [`Engine::deliver_by`]: pin the epoch, look the handle up, push, unpin, then do what the state word asks for; a
//! [`Route`] spares it the pin and the look-up. Nothing foreign runs while pinned: no service code, no destructor of a payload, no system
//! call.

use std::sync::Arc;

use crossbeam_epoch as epoch;

use crate::engine::Engine;
use crate::error::{SendError, SendFailure};
use crate::handle::Handle;
use crate::mailbox::{Added, Pushed};
use crate::message::{Body, Message, MessageType, RemoteMessage, RemoteName};
use crate::scheduler::on_service_thread;
use crate::service::{Route, ServiceCell, Task};

/// What is left to do after a push, outside of the pin.
enum Next {
    Nothing,
    Schedule(Task),
    Drain(Arc<ServiceCell>),
    /// A bounded mailbox let a message go.
    Answer(Message, Handle),
    /// A bounded mailbox is full.
    Full(Message, Arc<ServiceCell>),
}

impl Engine {
    /// Sends in the name of `source`, which nobody checks. See [`Context::send`](crate::Context::send).
    ///
    /// # Errors
    /// With the body, and the reason.
    pub fn send(
        &self,
        source: Handle,
        to: Handle,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        self.send_by(None, source, to, message_type, session, body)
    }

    /// The same, by a route if there is one.
    #[inline]
    pub(crate) fn send_by(
        &self,
        route: Option<&mut Route>,
        source: Handle,
        to: Handle,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        if to.is_system() {
            return Err(SendError {
                reason: SendFailure::Zero,
                body,
            });
        }
        if self.is_remote(to) {
            return self.send_remote(source, RemoteName::Handle(to), message_type, session, body);
        }
        match Message::new(self.arena(), source, session, message_type, body) {
            Ok(message) => self.deliver_by(route, to, message),
            Err((_, body)) => Err(SendError {
                reason: SendFailure::Exhausted,
                body,
            }),
        }
    }

    /// Hands a message for another node to the harbor service.
    pub(crate) fn send_remote(
        &self,
        source: Handle,
        destination: RemoteName,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        if matches!(message_type, MessageType::SYSTEM | MessageType::HARBOR) {
            return Err(SendError {
                reason: SendFailure::LocalType,
                body,
            });
        }
        let Some(harbor) = self.harbor_service() else {
            return Err(SendError {
                reason: SendFailure::NoHarbor,
                body,
            });
        };
        let message = match Message::new(self.arena(), source, session, message_type, body) {
            Ok(message) => message,
            Err((_, body)) => {
                return Err(SendError {
                    reason: SendFailure::Exhausted,
                    body,
                });
            }
        };
        let remote = Body::typed(RemoteMessage { destination, message });
        let sent = match Message::new(self.arena(), source, session, MessageType::SYSTEM, remote) {
            Ok(envelope) => self.deliver(harbor, envelope),
            Err((_, body)) => Err(SendError {
                reason: SendFailure::Exhausted,
                body,
            }),
        };
        sent.map_err(|error| SendError {
            reason: error.reason,
            body: unwrap_remote(error.body),
        })
    }

    /// Puts a message into the mailbox of a local handle.
    pub(crate) fn deliver(&self, to: Handle, message: Message) -> Result<(), SendError> {
        self.deliver_by(None, to, message)
    }

    #[inline]
    fn deliver_by(
        &self,
        mut route: Option<&mut Route>,
        to: Handle,
        mut message: Message,
    ) -> Result<(), SendError> {
        loop {
            match self.push(route.as_deref_mut(), to, message) {
                Err(message) => {
                    return Err(SendError {
                        reason: SendFailure::Dead(to),
                        body: message.into_body(),
                    });
                }
                Ok(Next::Nothing) => return Ok(()),
                Ok(Next::Schedule(task)) => {
                    self.schedule(task);
                    return Ok(());
                }
                Ok(next) => match self.finish_rare(next) {
                    Ok(None) => return Ok(()),
                    Ok(Some(again)) => message = again,
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// The part of a delivery that is pinned, unless a route leads there. The message comes back when nobody has the handle.
    #[inline]
    fn push(&self, mut route: Option<&mut Route>, to: Handle, message: Message) -> Result<Next, Message> {
        if let Some(cell) = route.as_mut().and_then(|route| route.to(self, to)) {
            return Ok(self.push_into(cell, to, message));
        }
        let _left; // before the guard, and so dropped behind it
        let guard = epoch::pin();
        let Some(cell) = self.table().lookup(to, &guard) else {
            return Err(message);
        };
        _left = route.and_then(|route| route.note(to, cell));
        Ok(self.push_into(cell, to, message))
    }

    #[inline]
    fn push_into(&self, cell: &ServiceCell, to: Handle, message: Message) -> Next {
        match cell.mailbox.push(cell.bounded.as_deref(), message) {
            Pushed::In(added) => self.next_of(cell, added),
            Pushed::Dropped(message) => Next::Answer(message, to),
            Pushed::Full(message) => Next::Full(message, counted(cell)),
        }
    }

    /// Whether a service has so much to do that its sockets had better wait: its bounded mailbox is full, or any mailbox very long.
    pub(crate) fn is_backed_up(&self, handle: Handle) -> bool {
        let guard = epoch::pin();
        self.table().lookup(handle, &guard).is_some_and(|cell| {
            let bounded = cell.bounded.as_deref();
            let most = bounded.map_or(BACKED_UP, |bounded| bounded.capacity());
            cell.waiting() >= most as u64
        })
    }

    #[inline]
    fn next_of(&self, cell: &ServiceCell, added: Added) -> Next {
        match added {
            Added::Pending => Next::Nothing,
            // SAFETY: raising the units from zero is what makes the turn ours.
            Added::Schedule => Next::Schedule(unsafe { Task::new(cell) }),
            Added::Drain => Next::Drain(counted(cell)),
        }
    }

    /// What only bounded and closed mailboxes ask for. A message comes back that is to be tried again.
    #[cold]
    fn finish_rare(&self, next: Next) -> Result<Option<Message>, SendError> {
        match next {
            Next::Nothing | Next::Schedule(_) => unreachable!("handled by the caller"),
            // SAFETY: raising the units of a closed cell from zero makes the turn ours; `cell` is our count.
            Next::Drain(cell) => unsafe { cell.drain_late() },
            // One-way messages are dropped in silence: an error without a session would mean that the receiver is gone.
            Next::Answer(message, receiver) if message.session() != 0 => {
                self.answer_dropped(receiver, message)
            }
            Next::Answer(..) => {}
            Next::Full(message, cell) => {
                let bounded = cell.bounded.as_deref();
                let bounded = bounded.expect("only a bounded mailbox is ever full");
                if !bounded.blocks() || on_service_thread() || !self.is_running() {
                    let reason = SendFailure::Full(cell.handle, bounded.policy());
                    return Err(SendError {
                        reason,
                        body: message.into_body(),
                    });
                }
                bounded.wait_for_room();
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Answers a message that nobody will handle with an error of the same session, whatever its type or session; errors excepted. The
    /// answer lies in the message's own block, so that it works when the arena is exhausted.
    pub(crate) fn answer_dropped(&self, from: Handle, message: Message) {
        let to = message.source();
        if message.message_type() == MessageType::ERROR || to.is_system() {
            return;
        }
        if self.is_remote(to) {
            return self.answer_error(from, to, message.session());
        }
        // Nobody there: nobody waits.
        let _ = self.deliver(to, message.into_empty(from, MessageType::ERROR));
    }

    /// Sends a line of text, in whatever encoding, to the service named `logger`, in the name of `source`. Lost when there is none.
    pub fn log(&self, source: Handle, text: impl AsRef<[u8]>) {
        self.log_bytes(source, text.as_ref());
    }

    fn log_bytes(&self, source: Handle, text: &[u8]) {
        let Some(logger) = self.names().query(LOGGER) else {
            return;
        };
        let Ok(mut line) = self.arena().loan(text.len(), source.bits()) else {
            return;
        };
        line.copy_from_slice(text);
        // A logger that is gone takes its lines with it.
        let _ = self.send(source, logger, MessageType::TEXT, 0, Body::Block(line));
    }

    /// See [`Context::timeout`](crate::Context::timeout).
    pub(crate) fn timeout(&self, to: Handle, delay_cs: i32, session: i32) -> Result<(), SendError> {
        match u32::try_from(delay_cs) {
            Ok(delay_cs) if delay_cs > 0 => {
                self.timer().arm(to, session, delay_cs);
                Ok(())
            }
            _ => self.send(Handle::SYSTEM, to, MessageType::RESPONSE, session, Body::Empty),
        }
    }
}

/// A count of its own for a cell that is pinned, or counted by whoever asks.
pub(crate) fn counted(cell: &ServiceCell) -> Arc<ServiceCell> {
    // SAFETY: every cell lives in an `Arc`, and the table's count is not given up while we are pinned; or the asker's is there.
    unsafe { Arc::increment_strong_count(cell) };
    // SAFETY: the count just made is the one we take.
    unsafe { Arc::from_raw(cell) }
}

/// The body that a sender meant for another node.
fn unwrap_remote(body: Body) -> Body {
    match body {
        Body::Typed(value) => match value.downcast::<RemoteMessage>() {
            Ok(remote) => remote.message.into_body(),
            Err(value) => Body::Typed(value),
        },
        other => other,
    }
}

/// The name under which log lines find their service.
pub(crate) const LOGGER: &str = "logger";
/// Messages in a mailbox without a limit from which on nothing is read for it.
const BACKED_UP: usize = 1024;
