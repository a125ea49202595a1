//! Services: what an application is made of.
//!
//! A service owns its state, has a handle and a mailbox, and handles one message at a time. The engine calls it:
//!
//! ```text
//!   Module::create or a value ──► start (creator's thread) ──► receive, receive, ... (a worker) ──► stop (a worker) ──► drop
//!                                    │ refuses or panics                 │ panics
//!                                    └──► drop, LaunchError              └──► closed like a killed one
//! ```
//!
//! * It is never run by two threads at once, and may run on a different one each time.
//! * It acts on the world through its [`Context`]: it sends, arms timers, logs, retires itself or others.
//! * It ends when it or somebody else retires its handle. Sends to it fail from then on; the message in hand is finished, `stop`
//!   runs, the value is dropped, and whatever is still in the mailbox is answered with an error.
//! * A panic ends the service, not the engine: it is logged, and whoever waits for the message in hand gets an error.
//! * A request that is not answered at once is [taken on](Context::request): then its requester gets an answer or an error, come what may.

mod cell;
mod context;
mod lifecycle;
mod notice;
mod request;
mod route;

use std::sync::Arc;

pub(crate) use cell::{Counters, Lane, ServiceCell, Task};
pub use context::{Context, ServiceStats};
pub(crate) use lifecycle::TurnEnd;
pub use notice::Notice;
pub use request::Request;
pub use route::Route;

use crate::error::StartError;
use crate::mailbox::MailboxLimit;
use crate::message::Message;

/// A service written in Rust: `start` once, `receive` for each message, `stop` at the end.
///
/// ```
/// use fulmar_engine::{Context, Engine, Handle, Message, MessageType, Service, ServiceOptions, StartError};
///
/// /// Answers every request with its own bytes.
/// struct Echo;
///
/// impl Service for Echo {
///     fn receive(&mut self, cx: &Context, message: Message) {
///         let (source, session) = (message.source(), message.session());
///         if session != 0 {
///             // A requester that has gone in the meantime needs no answer.
///             let _ = cx.send(source, MessageType::RESPONSE, session, message.into_body());
///         }
///     }
/// }
///
/// /// Asks once, and ends the engine's work when the answer is there.
/// struct Asker(Handle);
///
/// impl Service for Asker {
///     fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
///         cx.send(self.0, MessageType(20), cx.new_session(), cx.bytes(b"ping")?)?;
///         Ok(())
///     }
///     fn receive(&mut self, cx: &Context, message: Message) {
///         assert_eq!(message.message_type(), MessageType::RESPONSE);
///         assert_eq!(message.bytes(), b"ping");
///         cx.engine().abort();
///     }
/// }
///
/// let engine = Engine::builder().threads(1).build()?;
/// let echo = engine.spawn(Echo, ServiceOptions::default())?;
/// engine.spawn(Asker(echo), ServiceOptions::default())?;
/// engine.start();
/// engine.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Service: Send {
    /// Prepares the service, on its creator's thread and before any message. It has its handle already and may send.
    ///
    /// # Errors
    /// Any reason not to start: the handle is retired and the creator gets [`LaunchError::Refused`](crate::LaunchError::Refused).
    fn start(&mut self, cx: &Context, args: &str) -> Result<(), StartError> {
        let _ = (cx, args);
        Ok(())
    }

    /// Handles one message.
    fn receive(&mut self, cx: &Context, message: Message);

    /// Says goodbye, after the handle was retired and before the value is dropped. Sends work and carry the old handle.
    /// Not called when `start` failed or the service panicked.
    fn stop(&mut self, cx: &Context) {
        let _ = cx;
    }

    /// What receives signals for this service. Asked for once, before `start`.
    fn signal_target(&self) -> Option<Arc<dyn SignalTarget>> {
        None
    }
}

/// The part of a service that can be reached from any thread and while the service runs: by signals, and by who asks what it is called
/// and what it holds.
pub trait SignalTarget: Send + Sync {
    /// Takes signal `number`. `cx` is the context of the service that is signalled.
    fn signal(&self, cx: &Context, number: i32);

    /// What people call the service, for the report of an endless loop.
    fn name(&self) -> Option<String> {
        None
    }

    /// Bytes that the service holds beside blocks of the arena, as far as it knows.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// Makes services by name: what [`Engine::launch`](crate::Engine::launch) and the LAUNCH command start.
pub trait Module: Send + Sync {
    /// Makes a service that is about to be started.
    fn create(&self) -> Box<dyn Service>;

    /// How services of this module want to be run. Name and arguments are filled in by the launch.
    fn options(&self) -> ServiceOptions {
        ServiceOptions::default()
    }
}

/// Where a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// On whichever worker has time.
    #[default]
    Any,
    /// On the worker of this number, counted from 0, and on no other.
    Worker(usize),
    /// On a thread of its own, so that it may block.
    OwnThread,
}

/// How a service is started and run.
///
/// ```
/// use fulmar_engine::{MailboxLimit, Placement, Policy, ServiceOptions};
/// let options = ServiceOptions::named("store")
///     .args("data.db")
///     .placement(Placement::OwnThread)
///     .mailbox(MailboxLimit { capacity: 1000, policy: Policy::DropOldest });
/// assert_eq!(options.name, "store");
/// ```
#[derive(Debug, Clone, Default)]
pub struct ServiceOptions {
    /// Stands in the log lines of the launch; empty for none.
    pub name: String,
    /// Handed to [`Service::start`].
    pub args: String,
    /// Where it runs.
    pub placement: Placement,
    /// The limit of its mailbox; `None` for no limit.
    pub mailbox: Option<MailboxLimit>,
}

impl ServiceOptions {
    /// The defaults, with a name for the log.
    pub fn named(name: impl Into<String>) -> ServiceOptions {
        ServiceOptions {
            name: name.into(),
            ..ServiceOptions::default()
        }
    }

    /// Sets the arguments.
    pub fn args(self, args: impl Into<String>) -> ServiceOptions {
        ServiceOptions {
            args: args.into(),
            ..self
        }
    }

    /// Sets the placement.
    pub fn placement(self, placement: Placement) -> ServiceOptions {
        ServiceOptions { placement, ..self }
    }

    /// Limits the mailbox.
    pub fn mailbox(self, limit: MailboxLimit) -> ServiceOptions {
        ServiceOptions {
            mailbox: Some(limit),
            ..self
        }
    }
}
