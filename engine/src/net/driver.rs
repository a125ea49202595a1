//! The one place that talks to mio: which descriptors are watched, and the waiting for them.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// Watches descriptors. Each change of one is told once: edges, not levels.
pub(super) struct Driver {
    registry: Registry,
    waker: Waker,
}

/// One wait after the other, and what the last one has brought.
pub(super) struct Round {
    poll: Poll,
    events: Events,
    /// For what is not read to its place.
    pub(super) scratch: Box<[u8]>,
}

/// What happened to a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) id: i32,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// No more will come: there will be no other edge.
    pub(super) ended: bool,
    /// It has an error, such as a reset.
    pub(super) failed: bool,
}

impl Driver {
    pub(super) fn new() -> io::Result<(Driver, Round)> {
        let poll = Poll::new()?;
        let driver = Driver {
            registry: poll.registry().try_clone()?,
            waker: Waker::new(poll.registry(), WAKE)?,
        };
        let round = Round {
            poll,
            events: Events::with_capacity(EVENTS),
            scratch: vec![0; SCRATCH_BYTES].into(),
        };
        Ok((driver, round))
    }

    /// Watches a descriptor, `again` when it is watched already. What is there now is told too.
    pub(super) fn watch(
        &self,
        fd: BorrowedFd<'_>,
        id: i32,
        reads: bool,
        writes: bool,
        again: bool,
    ) -> io::Result<()> {
        let interest = match (reads, writes) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, _) => Interest::WRITABLE,
        };
        let token = Token(id.unsigned_abs() as usize);
        let mut source = SourceFd(&fd.as_raw_fd());
        match again {
            true => self.registry.reregister(&mut source, token, interest),
            false => self.registry.register(&mut source, token, interest),
        }
    }

    pub(super) fn unwatch(&self, fd: BorrowedFd<'_>) {
        // Closing would do, were it not that a foreign descriptor is open elsewhere too.
        let _ = self.registry.deregister(&mut SourceFd(&fd.as_raw_fd()));
    }

    /// Ends the wait at hand, or else the next one.
    pub(super) fn wake(&self) {
        // Fails only without a poll, and ours lives as long as we do.
        let _ = self.waker.wake();
    }
}

impl Round {
    /// Waits for the system, at most for `limit`. A signal or a wake-up ends it too.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, limit) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            waited => waited,
        }
    }

    pub(super) fn has_brought(&self) -> bool {
        !self.events.is_empty()
    }

    /// What the last wait brought, and the scratch space.
    pub(super) fn brought(&mut self) -> (impl Iterator<Item = Ready>, &mut [u8]) {
        let ready = self.events.iter().filter_map(|event| {
            Some(Ready {
                id: i32::try_from(event.token().0).ok()?,
                readable: event.is_readable(),
                writable: event.is_writable(),
                ended: event.is_read_closed() || event.is_error(),
                failed: event.is_error(),
            })
        });
        (ready, &mut self.scratch)
    }
}

const WAKE: Token = Token(usize::MAX);
const EVENTS: usize = 256;
/// The longest datagram.
const SCRATCH_BYTES: usize = 65536;
