//! What can go wrong, one type per operation.

use std::fmt;
use std::io;

use fulmar_arena::LoanError;

use crate::handle::Handle;
use crate::mailbox::Policy;
use crate::message::Body;

/// A send that did not happen, with what was to be sent.
#[derive(Debug)]
pub struct SendError {
    /// Why.
    pub reason: SendFailure,
    /// The body, as the sender handed it over.
    pub body: Body,
}

/// Why a send did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendFailure {
    /// No service has this handle, or it is retired.
    #[error("no service at {0}")]
    Dead(Handle),
    /// The destination is the zero handle.
    #[error("destination address can't be 0")]
    Zero,
    /// No service has this name, or the text is no address.
    #[error("no service of this name")]
    UnknownName,
    /// The receiver's mailbox is full and its policy says so.
    #[error("the mailbox of {0} is full ({1:?})")]
    Full(Handle, Policy),
    /// The destination is on another node, or a global name, and no harbor service is registered.
    #[error("there is no harbor service to reach another node")]
    NoHarbor,
    /// SYSTEM and HARBOR messages do not leave the node.
    #[error("messages of this type do not leave the node")]
    LocalType,
    /// The arena has no block for the envelope.
    #[error("the arena is exhausted")]
    Exhausted,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)
    }
}

impl std::error::Error for SendError {}

/// A service's reason not to start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(Box<dyn std::error::Error + Send + Sync>);

impl StartError {
    /// Wraps a reason: text or another error.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StartError {
        StartError(reason.into())
    }
}

impl From<SendError> for StartError {
    fn from(error: SendError) -> StartError {
        StartError::new(error.reason)
    }
}

impl From<LoanError> for StartError {
    fn from(error: LoanError) -> StartError {
        StartError::new(error)
    }
}

/// A service that was not launched. Its handle, if it had one, is retired and what was sent to it has been answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// No module has this name.
    #[error("no module `{0}`")]
    UnknownModule(String),
    /// All 16,777,215 handles are in use.
    #[error("no free handle")]
    NoHandle,
    /// It asked for a worker that the engine does not have.
    #[error("asked for worker {asked}, but there are {workers}")]
    NoWorker {
        /// The worker asked for.
        asked: usize,
        /// How many there are, counted from 0.
        workers: usize,
    },
    /// The thread of its own could not be started.
    #[error("no thread for the service")]
    Thread(#[source] io::Error),
    /// `start` refused.
    #[error("the service refused to start")]
    Refused(#[source] StartError),
    /// `start` panicked; the panic is in the log.
    #[error("the service panicked while it started")]
    Panicked,
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

/// An engine that was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of workers is out of range.
    #[error("{asked} worker threads asked for, 1 to {} are possible", MAX_WORKERS)]
    Threads {
        /// The number asked for.
        asked: usize,
    },
}

/// The most workers an engine can have.
pub const MAX_WORKERS: usize = 1024;
