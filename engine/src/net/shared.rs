//! What every part of the sockets works on: the table, rounds of events, the events to the owners.
//!
//! # Invariants
//! 1. A socket's lock is taken before any other, never while another is held but that of the round, or of the listener that has just
//!    accepted it.
//! 2. Events of a socket are sent under its lock, so they keep their order.
//! 3. A watched descriptor is closed only by [`Shared::remove`], which takes its entry out of the table, or by the next connect.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fulmar_arena::sync::atomic::AtomicBool;
use fulmar_arena::{Arena, BufMut};
use socket2::SockRef;

use super::address;
use super::deadlines::Deadlines;
use super::driver::{Ready, Round};
use super::event::{self, EventKind};
use super::options::SocketOptions;
use super::reactor::{Reactor, Seat};
use super::socket::{Io, Phase, Socket, SocketKind, State};
use super::table::Table;
use super::write::Due;
use crate::clock::Clock;
use crate::handle::Handle;

/// The services that own sockets, as the sockets see them.
pub(crate) trait Owners: Send + Sync {
    /// Puts an event into the owner's mailbox, without waiting.
    fn tell(&self, owner: Handle, event: BufMut);

    /// Whether so much waits in the owner's mailbox that nothing more is to be read for it.
    fn is_backed_up(&self, owner: Handle) -> bool;

    /// Whether a worker is awake, and so looks for errands before it sleeps.
    fn are_awake(&self) -> bool;

    /// A line for the log.
    fn log(&self, line: &str);
}

pub(super) struct Shared {
    pub(super) arena: Arena,
    pub(super) clock: Clock,
    pub(super) owners: Box<dyn Owners>,
    pub(super) table: Table,
    pub(super) allowed: bool,
    pub(super) reactor: Mutex<Option<Reactor>>,
    pub(super) seat: Seat,
    pub(super) stopping: AtomicBool,
    pub(super) deadlines: Mutex<Deadlines>,
    /// Sockets that are read whatever the system tells: when their owner's mailbox has room, or since they cannot be written.
    pub(super) held: Mutex<Vec<Arc<Socket>>>,
    pub(super) due: Mutex<Due>,
    /// Given up for a moment when no descriptor is left, so that a connection can be accepted and dropped.
    pub(super) reserve: Mutex<Option<File>>,
}

impl Shared {
    pub(super) fn new(arena: Arena, clock: Clock, allowed: bool, owners: Box<dyn Owners>) -> Shared {
        Shared {
            arena,
            clock,
            owners,
            table: Table::default(),
            allowed,
            reactor: Mutex::default(),
            seat: Seat::new(),
            stopping: AtomicBool::new(false),
            deadlines: Mutex::default(),
            held: Mutex::default(),
            due: Mutex::default(),
            reserve: Mutex::default(),
        }
    }

    /// Gives a socket an id; starts the thread with the first.
    pub(super) fn insert(
        self: &Arc<Self>,
        kind: SocketKind,
        owner: Handle,
        phase: Phase,
        io: Option<Io>,
        options: SocketOptions,
    ) -> io::Result<Arc<Socket>> {
        let driver = self.with_reactor(|reactor| Arc::clone(&reactor.driver))?;
        self.table
            .insert(|id| Socket::new(id, kind, owner, phase, io, options, driver))
    }

    /// Handles what a wait has brought, and what is due. Whether it brought anything.
    pub(super) fn handle_round(&self, round: &mut Round) -> bool {
        let (brought, scratch) = round.brought();
        let mut any = false;
        for ready in brought {
            any = true;
            if let Some(socket) = self.table.find(ready.id) {
                self.handle_ready(&socket, ready, scratch);
            }
        }
        let held = std::mem::take(&mut *lock(&self.held));
        for socket in held {
            let mut state = socket.lock();
            state.held = false;
            self.handle_readable(&socket, &mut state, true, scratch);
        }
        let now_cs = self.clock.now_cs();
        loop {
            let due = lock(&self.deadlines).poll(now_cs);
            let Some((at_cs, id)) = due else { return any };
            if let Some(socket) = self.table.find(id) {
                self.handle_deadline(&socket, at_cs, now_cs);
            }
        }
    }

    fn handle_ready(&self, socket: &Arc<Socket>, ready: Ready, scratch: &mut [u8]) {
        let mut state = socket.lock();
        let state = &mut *state;
        if state.phase == Phase::Connecting {
            if !self.handle_connected(socket, state) {
                return;
            }
        } else if ready.writable {
            state.blocked = false;
            self.flush(socket, state);
        }
        if ready.failed && !state.reading {
            self.handle_failure(socket, state);
        } else if ready.readable || ready.ended {
            self.handle_readable(socket, state, ready.ended, scratch);
        }
    }

    /// A connection has an error, such as a reset, that no read will find.
    fn handle_failure(&self, socket: &Socket, state: &mut State) {
        let Some(io) = &state.io else { return };
        // A pipe does not say; a write may have found it before.
        let reason = match SockRef::from(io).take_error() {
            Ok(Some(error)) => address::text(&error),
            _ => match state.write_error.take() {
                Some(reason) => reason,
                None => return,
            },
        };
        self.end(socket, state, &reason);
    }

    fn handle_readable(&self, socket: &Arc<Socket>, state: &mut State, to_the_end: bool, scratch: &mut [u8]) {
        if !state.reading {
            return;
        }
        let done = match socket.kind {
            SocketKind::Listen => self.accept(socket, state),
            SocketKind::Udp => self.read_datagrams(socket, state, scratch),
            // A named pipe that was opened behind its writers never tells of their end.
            SocketKind::Bind => self.read(socket, state, true, scratch),
            _ => self.read(socket, state, to_the_end, scratch),
        };
        if !done && state.write_error.is_some() {
            self.look_again(socket, state);
        } else if !done {
            // Others have their turn; what is left is told again. A socket that cannot be watched has gone.
            let _ = socket.watch(state);
        }
    }

    /// Whether a socket must not be read for now, because its owner does not keep up. It is looked at again soon.
    pub(super) fn hold(&self, socket: &Arc<Socket>, state: &mut State) -> bool {
        let holds = self.owners.is_backed_up(state.owner);
        if holds {
            self.look_again(socket, state);
        }
        holds
    }

    /// Has a socket read soon, whatever the system tells of it.
    fn look_again(&self, socket: &Arc<Socket>, state: &mut State) {
        if !std::mem::replace(&mut state.held, true) {
            lock(&self.held).push(Arc::clone(socket));
        }
    }

    /// Has a socket looked at in `delay_cs`, or before.
    pub(super) fn set_deadline(&self, socket: &Socket, state: &mut State, delay_cs: u64) {
        let at_cs = self.clock.now_cs() + delay_cs;
        if state.deadline_cs.is_some_and(|earlier_cs| earlier_cs <= at_cs) {
            return;
        }
        self.forget_deadline(socket, state);
        state.deadline_cs = Some(at_cs);
        if lock(&self.deadlines).insert(at_cs, socket.id) {
            socket.wake_driver();
        }
    }

    fn forget_deadline(&self, socket: &Socket, state: &mut State) {
        if let Some(at_cs) = state.deadline_cs.take() {
            lock(&self.deadlines).remove(at_cs, socket.id);
        }
    }

    fn handle_deadline(&self, socket: &Socket, at_cs: u64, now_cs: u64) {
        let mut state = socket.lock();
        let state = &mut *state;
        if state.deadline_cs != Some(at_cs) {
            return;
        }
        state.deadline_cs = None;
        if socket.kind == SocketKind::Listen {
            // Descriptors may be there again. A listener that cannot be watched has gone.
            let _ = socket.watch(state);
            return;
        }
        let Some(patience_cs) = state.patience_cs() else {
            return;
        };
        if state.phase == Phase::Closing {
            state.silent_since_cs = state.silent_since_cs.max(state.sent_cs);
        } else if !state.reading || state.held {
            state.silent_since_cs = now_cs; // nobody listens
        }
        let silent_cs = now_cs.saturating_sub(state.silent_since_cs);
        match patience_cs.checked_sub(silent_cs) {
            None | Some(0) => self.end(socket, state, "nothing received for too long"),
            Some(left_cs) => self.set_deadline(socket, state, left_cs),
        }
    }

    /// Begins to count silence, if the connection has a limit for it.
    pub(super) fn begin_silence(&self, socket: &Socket, state: &mut State) {
        state.silent_since_cs = self.clock.now_cs();
        if socket.kind != SocketKind::Listen
            && let Some(patience_cs) = state.patience_cs()
        {
            self.set_deadline(socket, state, patience_cs);
        }
    }

    /// Nothing more can be written. Whoever reads a connection gets what has arrived before, and then the error and the end. The
    /// system may not tell: the peer of a Unix domain socket can refuse to read and go on.
    pub(super) fn fail_to_write(&self, socket: &Arc<Socket>, state: &mut State, error: &io::Error) {
        let reason = address::text(error);
        if !state.reading || socket.kind != SocketKind::Tcp {
            return self.end(socket, state, &reason);
        }
        state.outbox.clear();
        state.write_error = Some(reason);
        self.look_again(socket, state);
        socket.wake_driver();
    }

    /// Ends a connection that has failed or breaks its limits: ERROR, CLOSE unless it was told, and everything it held is given back.
    /// Nothing is told once the owner has closed it.
    pub(super) fn end(&self, socket: &Socket, state: &mut State, reason: &str) {
        if state.phase != Phase::Closing {
            let earlier = state.write_error.take();
            self.emit(
                state,
                socket,
                EventKind::Error,
                0,
                earlier.as_deref().unwrap_or(reason),
            );
            self.report_close(socket, state);
        }
        self.remove(socket, state);
    }

    pub(super) fn report_close(&self, socket: &Socket, state: &mut State) {
        if !std::mem::replace(&mut state.close_reported, true) {
            self.emit(state, socket, EventKind::Close, 0, "");
        }
    }

    /// Closes the descriptor and frees the id.
    pub(super) fn remove(&self, socket: &Socket, state: &mut State) {
        state.phase = Phase::Gone;
        state.reading = false;
        state.outbox.clear();
        self.forget_deadline(socket, state);
        socket.drop_io(state);
        self.table.remove(socket.id);
    }

    pub(super) fn emit(&self, state: &State, socket: &Socket, kind: EventKind, ud: i32, text: &str) {
        self.emit_to(state.owner, socket.id, kind, ud, text);
    }

    pub(super) fn emit_to(&self, owner: Handle, id: i32, kind: EventKind, ud: i32, text: &str) {
        let text = &text.as_bytes()[..text.len().min(TEXT_BYTES)];
        match event::loan(self.arena, owner, text.len()) {
            Ok(mut block) => {
                block[..text.len()].copy_from_slice(text);
                event::seal(&mut block, text.len(), kind, id, ud);
                self.owners.tell(owner, block);
            }
            Err(error) => self.owners.log(&format!(
                "socket-server error: event of socket {id} lost: {error}"
            )),
        }
    }
}

/// A descriptor that can be given up.
pub(super) fn open_reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest text of an event.
const TEXT_BYTES: usize = 128;
