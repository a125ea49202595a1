//! One socket: what is known of it, under its lock, and its descriptor.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fulmar_arena::BufMut;
use rustix::net::{RecvFlags, SendFlags};
use socket2::SockAddr;

use super::driver::Driver;
use super::frame::FrameReader;
use super::options::SocketOptions;
use super::outbox::Outbox;
use super::read_size::ReadSize;
use crate::handle::Handle;

/// What a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    /// Accepts connections.
    Listen,
    /// A connection.
    Tcp,
    /// Datagrams.
    Udp,
    /// A foreign descriptor.
    Bind,
    /// Closed by its peer, or by its owner, while the rest of what it was given is being sent.
    Closing,
}

pub(super) struct Socket {
    pub(super) id: i32,
    pub(super) kind: SocketKind,
    driver: Arc<Driver>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) owner: Handle,
    pub(super) phase: Phase,
    pub(super) io: Option<Io>,
    watched: bool,
    /// Its owner wants what arrives.
    pub(super) reading: bool,
    /// Listed to be read soon.
    pub(super) held: bool,
    /// Why a write has failed, until the owner is told.
    pub(super) write_error: Option<String>,
    /// The peer has sent all it will.
    pub(super) read_closed: bool,
    pub(super) close_reported: bool,
    /// For a listener, those of what it accepts.
    pub(super) options: SocketOptions,
    pub(super) input: Input,
    pub(super) outbox: Outbox,
    /// The system takes no more for now, and will say when it does.
    pub(super) blocked: bool,
    /// Listed to be flushed.
    pub(super) due: bool,
    /// Where a connect may be tried next.
    pub(super) rest: VecDeque<SockAddr>,
    /// Where datagrams go that name no place.
    pub(super) destination: Option<SocketAddr>,
    /// When it is looked at next: its entry in the deadlines.
    pub(super) deadline_cs: Option<u64>,
    /// Since when nothing has arrived; of a closed one, since when it has been closed.
    pub(super) silent_since_cs: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) received_cs: u64,
    pub(super) sent_cs: u64,
    pub(super) name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    /// Listening or accepted, and not started.
    Fresh,
    Open,
    Closing,
    Gone,
}

pub(super) enum Io {
    /// A socket of streams: a connection or a listener.
    Stream(OwnedFd),
    Udp(UdpSocket),
    /// Anything.
    Foreign(OwnedFd),
}

/// How what arrives is read.
pub(super) enum Input {
    Bytes(ReadSize),
    Frames(FrameReader<BufMut>),
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Io::Stream(fd) | Io::Foreign(fd) => fd.as_fd(),
            Io::Udp(udp) => udp.as_fd(),
        }
    }
}

impl Io {
    pub(super) fn read(&self, bytes: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Io::Foreign(fd) => rustix::io::read(fd, bytes),
            // Shorter than `read`, which has to find out what it reads.
            _ => rustix::net::recv(self, bytes, RecvFlags::empty()).map(|(read, _)| read),
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        match self {
            Io::Foreign(fd) => rustix::io::write(fd, bytes),
            // As above.
            _ => rustix::net::send(self, bytes, SendFlags::NOSIGNAL),
        }
    }
}

impl State {
    /// For how long nothing may arrive, or once it is closed be taken by the peer; none when that is not limited.
    pub(super) fn patience_cs(&self) -> Option<u64> {
        let limit = |cs: u32| (cs > 0).then_some(u64::from(cs));
        let idle_cs = limit(self.options.idle_cs);
        match self.phase {
            Phase::Open if !self.read_closed => idle_cs,
            Phase::Closing => idle_cs.into_iter().chain(limit(self.options.linger_cs)).min(),
            _ => None,
        }
    }
}

impl Input {
    fn new(options: &SocketOptions) -> Input {
        match options.framing {
            Some(framing) => Input::Frames(FrameReader::new(framing)),
            None => Input::Bytes(ReadSize::new()),
        }
    }

    /// Cuts the stream as `options` say. False in the middle of a frame.
    pub(super) fn change_to(&mut self, options: &SocketOptions) -> bool {
        let (framing, movable) = match self {
            Input::Bytes(_) => (None, true),
            Input::Frames(frames) => (Some(frames.framing()), frames.is_between_frames()),
        };
        if framing == options.framing {
            return true;
        }
        if movable {
            *self = Input::new(options);
        }
        movable
    }
}

impl Socket {
    pub(super) fn new(
        id: i32,
        kind: SocketKind,
        owner: Handle,
        phase: Phase,
        io: Option<Io>,
        options: SocketOptions,
        driver: Arc<Driver>,
    ) -> Socket {
        Socket {
            id,
            kind,
            driver,
            state: Mutex::new(State {
                owner,
                phase,
                io,
                watched: false,
                reading: false,
                held: false,
                write_error: None,
                read_closed: false,
                close_reported: false,
                options,
                input: Input::new(&options),
                outbox: Outbox::default(),
                blocked: phase == Phase::Connecting,
                due: false,
                rest: VecDeque::new(),
                destination: None,
                deadline_cs: None,
                silent_since_cs: 0,
                received: 0,
                sent: 0,
                received_cs: 0,
                sent_cs: 0,
                name: String::new(),
            }),
        }
    }

    /// Another socket of the same engine.
    pub(super) fn sibling(
        &self,
        id: i32,
        kind: SocketKind,
        owner: Handle,
        phase: Phase,
        io: Option<Io>,
        options: SocketOptions,
    ) -> Socket {
        Socket::new(id, kind, owner, phase, io, options, Arc::clone(&self.driver))
    }

    // Nothing panics under this lock short of a broken invariant.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the descriptor for what the state asks for. Edges are armed anew, so what is there already is told again.
    pub(super) fn watch(&self, state: &mut State) -> io::Result<()> {
        let Some(io) = &state.io else { return Ok(()) };
        let (reads, writes) = match self.kind {
            SocketKind::Listen => (true, false),
            _ => (state.reading, true),
        };
        self.driver
            .watch(io.as_fd(), self.id, reads, writes, state.watched)?;
        state.watched = true;
        Ok(())
    }

    /// Watches the descriptor if nobody has asked for it yet.
    pub(super) fn keep_watched(&self, state: &mut State) -> io::Result<()> {
        if state.watched { Ok(()) } else { self.watch(state) }
    }

    /// Has the thread that waits look at its lists again.
    pub(super) fn wake_driver(&self) {
        self.driver.wake();
    }

    /// Closes the descriptor.
    pub(super) fn drop_io(&self, state: &mut State) {
        if let Some(io) = state.io.take()
            && std::mem::take(&mut state.watched)
        {
            self.driver.unwatch(io.as_fd());
        }
    }
}
