//! The sockets of an engine and the thread that waits for them: the one place that talks to mio and the system.
//!
//! # Invariants
//! 1. A socket's lock is taken before the table's, never while the table's is held.
//! 2. Events of a socket are sent under its lock, so they keep their order.
//! 3. A registered descriptor is closed only by [`Shared::remove`], which takes its entry out of the table.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use fulmar_arena::sync::atomic::{AtomicBool, Ordering};
use fulmar_arena::{Arena, Buf, BufMut};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockRef, Socket as OsSocket, Type};

use super::address::{self, Place};
use super::conn::{Outbox, ReadSize};
use super::event::{self, EVENT_BYTES, EventKind};
use crate::clock::Clock;
use crate::handle::Handle;

/// The sockets of one engine. Cheap while there are none: the thread starts with the first.
///
/// Nothing here blocks, except for names where a result is due at once (`listen`, the UDP calls and `resolve`). What happens comes to
/// the owner as messages of type `SOCKET`: see [`Event`](crate::Event). Ids are node-wide, positive, and used again only after 2^31
/// others; a stale or invented one is refused.
///
/// ```
/// # use fulmar_engine::{Engine, Handle};
/// let engine = Engine::builder().threads(1).build()?;
/// let id = engine.sockets().listen(Handle::SYSTEM, "127.0.0.1", 0, 32)?;
/// assert!(engine.sockets().info().iter().any(|socket| socket.id == id));
/// engine.sockets().close(Handle::SYSTEM, id);
/// assert!(engine.sockets().info().is_empty());
/// # engine.shutdown(std::time::Duration::from_secs(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sockets(Arc<Shared>);

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
    /// Closed by its owner; the rest of what it was given is being sent.
    Closing,
}

/// What is known of a socket.
#[derive(Debug, Clone)]
pub struct SocketInfo {
    /// Its id.
    pub id: i32,
    /// What it is.
    pub kind: SocketKind,
    /// Who gets its events.
    pub owner: Handle,
    /// Bytes received; for a listener the number of connections.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// When something was received last, in centiseconds of engine time.
    pub received_cs: u64,
    /// When something was sent last, in centiseconds of engine time.
    pub sent_cs: u64,
    /// Bytes that wait to be sent.
    pub waiting_bytes: usize,
    /// Whether it is being read.
    pub reading: bool,
    /// Whether something waits to be sent.
    pub writing: bool,
    /// `ip:port`: a listener's own, otherwise the peer's. Empty when there is none.
    pub name: String,
}

type Tell = Arc<dyn Fn(Handle, BufMut) + Send + Sync>;
type Log = Arc<dyn Fn(&str) + Send + Sync>;

struct Shared {
    arena: Arena,
    clock: Clock,
    allowed: bool,
    tell: Tell,
    log: Log,
    table: RwLock<Table>,
    reactor: Mutex<Option<Reactor>>,
    stopping: AtomicBool,
    /// Given up for a moment when no descriptor is left, so that a connection can be accepted and dropped.
    reserve: Mutex<Option<File>>,
}

#[derive(Default)]
struct Table {
    sockets: HashMap<i32, Arc<Socket>>,
    last: i32,
}

impl Table {
    fn insert(
        &mut self,
        kind: SocketKind,
        owner: Handle,
        phase: Phase,
        io: Option<Io>,
        registry: Arc<Registry>,
    ) -> io::Result<Arc<Socket>> {
        if self.sockets.len() >= MOST_SOCKETS {
            return Err(io::Error::other("too many sockets"));
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.sockets.contains_key(&self.last) {
                break;
            }
        }
        let socket = Arc::new(Socket {
            id: self.last,
            kind,
            registry,
            state: Mutex::new(State {
                owner,
                phase,
                io,
                registered: false,
                reading: false,
                read_closed: false,
                write_closed: false,
                close_reported: false,
                outbox: Outbox::default(),
                read_size: ReadSize::new(),
                rest: VecDeque::new(),
                destination: None,
                received: 0,
                sent: 0,
                received_cs: 0,
                sent_cs: 0,
                name: String::new(),
            }),
        });
        self.sockets.insert(socket.id, Arc::clone(&socket));
        Ok(socket)
    }
}

struct Reactor {
    registry: Arc<Registry>,
    waker: Arc<Waker>,
    thread: JoinHandle<()>,
    names: Sender<(Arc<Socket>, String, u16)>,
}

struct Socket {
    id: i32,
    kind: SocketKind,
    registry: Arc<Registry>,
    state: Mutex<State>,
}

struct State {
    owner: Handle,
    phase: Phase,
    io: Option<Io>,
    registered: bool,
    reading: bool,
    read_closed: bool,
    write_closed: bool,
    close_reported: bool,
    outbox: Outbox,
    read_size: ReadSize,
    /// Where a connect may be tried next.
    rest: VecDeque<SockAddr>,
    /// Where datagrams go that name no place.
    destination: Option<SocketAddr>,
    received: u64,
    sent: u64,
    received_cs: u64,
    sent_cs: u64,
    name: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// Listening or accepted, and not started.
    Fresh,
    Open,
    Closing,
    Gone,
}

enum Io {
    Fd(OwnedFd),
    Udp(UdpSocket),
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Io::Fd(fd) => fd.as_fd(),
            Io::Udp(udp) => udp.as_fd(),
        }
    }
}

impl Sockets {
    pub(crate) fn new(arena: Arena, clock: Clock, allowed: bool, tell: Tell, log: Log) -> Sockets {
        Sockets(Arc::new(Shared {
            arena,
            clock,
            allowed,
            tell,
            log,
            table: RwLock::default(),
            reactor: Mutex::default(),
            stopping: AtomicBool::new(false),
            reserve: Mutex::default(),
        }))
    }

    /// Listens; accepts nothing before [`Sockets::start`]. A CONNECT event tells address and port. An empty host is `0.0.0.0`;
    /// `unix:PATH` is a Unix domain socket.
    ///
    /// # Errors
    /// What the system or the resolver says, and [`ErrorKind::Unsupported`] in a deterministic engine.
    pub fn listen(&self, owner: Handle, host: &str, port: u16, backlog: i32) -> io::Result<i32> {
        let at = first(host, port)?;
        let os = OsSocket::new(at.domain(), Type::STREAM, None)?;
        os.set_reuse_address(true)?;
        os.set_nonblocking(true)?;
        os.bind(&at)?;
        os.listen(backlog)?;
        let local = os.local_addr()?;
        let socket = self
            .0
            .insert(SocketKind::Listen, owner, Phase::Fresh, Some(Io::Fd(os.into())))?;
        let mut state = socket.lock();
        state.name = address::name(&local);
        let port = local.as_socket().map_or(0, |local| local.port());
        self.0.emit(
            &state,
            &socket,
            EventKind::Connect,
            port.into(),
            &address::ip(&local),
        );
        Ok(socket.id)
    }

    /// Connects to the first address of `host` that answers: CONNECT or ERROR follows. Names are resolved on a thread of their own.
    ///
    /// # Errors
    /// No id, or no thread for the sockets; [`ErrorKind::Unsupported`] in a deterministic engine.
    pub fn connect(&self, owner: Handle, host: &str, port: u16) -> io::Result<i32> {
        let socket = self.0.insert(SocketKind::Tcp, owner, Phase::Connecting, None)?;
        match address::place(host, port) {
            Ok(Place::Known(address)) => self.0.handle_resolved(&socket, Ok(vec![address])),
            Ok(Place::Name) => {
                let reactor = lock(&self.0.reactor);
                let names = reactor.as_ref().map(|reactor| reactor.names.clone());
                drop(reactor);
                let asked = names
                    .is_some_and(|names| names.send((Arc::clone(&socket), host.to_owned(), port)).is_ok());
                if !asked {
                    self.0
                        .handle_resolved(&socket, Err(io::Error::from(ErrorKind::Interrupted)));
                }
            }
            Err(error) => self.0.handle_resolved(&socket, Err(error)),
        }
        Ok(socket.id)
    }

    /// Adopts a descriptor, which stays the caller's to close: CONNECT or ERROR follows. It becomes non-blocking.
    ///
    /// # Errors
    /// As [`Sockets::connect`].
    pub fn bind(&self, owner: Handle, fd: RawFd) -> io::Result<i32> {
        let socket = self.0.insert(SocketKind::Bind, owner, Phase::Open, None)?;
        let mut state = socket.lock();
        let adopted = duplicate(fd).and_then(|fd| {
            rustix::io::ioctl_fionbio(&fd, true)?;
            state.io = Some(Io::Fd(fd));
            state.reading = true;
            socket.register(&mut state)
        });
        match adopted {
            Ok(()) => self.0.emit(&state, &socket, EventKind::Connect, 0, "binding"),
            Err(error) => {
                self.0
                    .emit(&state, &socket, EventKind::Error, 0, &address::text(&error));
                self.0.remove(&socket, &mut state);
            }
        }
        Ok(socket.id)
    }

    /// Begins or resumes reading, and makes `owner` the owner: CONNECT (`start`, `transfer`) or ERROR follows.
    pub fn start(&self, owner: Handle, id: i32) {
        let Some(socket) = self.0.find(id) else {
            return self.0.emit_to(owner, id, EventKind::Error, 0, "invalid socket");
        };
        let mut state = socket.lock();
        let text = match state.phase {
            Phase::Fresh => "start",
            Phase::Open if !state.read_closed => "transfer",
            Phase::Gone => return self.0.emit_to(owner, id, EventKind::Error, 0, "invalid socket"),
            _ => return self.0.emit_to(owner, id, EventKind::Error, 0, "socket closed"),
        };
        state.owner = owner;
        state.phase = Phase::Open;
        state.reading = true;
        self.0.emit(&state, &socket, EventKind::Connect, 0, text);
        if let Err(error) = socket.register(&mut state) {
            self.0.fail(&socket, &mut state, &error);
        }
    }

    /// Stops reading until [`Sockets::start`]. What arrives waits in the system.
    pub fn pause(&self, id: i32) {
        let Some(socket) = self.0.find(id) else { return };
        let mut state = socket.lock();
        if state.phase == Phase::Open && state.reading {
            state.reading = false;
            // A registration that cannot be changed only costs a wake-up.
            let _ = socket.register(&mut state);
        }
    }

    /// Closes: CLOSE follows at once, what waits is still sent, then the descriptor goes.
    pub fn close(&self, caller: Handle, id: i32) {
        self.0.close(caller, id, true);
    }

    /// Closes now: what waits is dropped. CLOSE follows unless it came before.
    pub fn shutdown(&self, caller: Handle, id: i32) {
        self.0.close(caller, id, false);
    }

    /// Sends small packets at once.
    pub fn nodelay(&self, id: i32) {
        let Some(socket) = self.0.find(id) else { return };
        let state = socket.lock();
        if let Some(io) = &state.io {
            // Not every socket knows it.
            let _ = SockRef::from(io).set_tcp_nodelay(true);
        }
    }

    /// Sends a buffer, by reference; `low` is written only when nothing else waits. Written at once on this thread when nothing waits.
    /// A datagram goes to the default destination. False when the id is gone or closed for writing.
    pub fn send(&self, id: i32, buf: Buf, low: bool) -> bool {
        let Some(socket) = self.0.find(id) else {
            return false;
        };
        let mut state = socket.lock();
        if matches!(state.phase, Phase::Gone | Phase::Closing) || state.write_closed {
            return false;
        }
        match socket.kind {
            SocketKind::Listen => {
                (self.0.log)(&format!("socket-server error: write to listen fd {id}."));
                false
            }
            SocketKind::Udp => match state.destination {
                Some(to) => self.0.send_datagram(&socket, &mut state, to, &buf),
                None => false,
            },
            _ => {
                self.0.write(&socket, &mut state, buf, low);
                true
            }
        }
    }

    /// Sends one buffer to many connections, whoever owns them: one copy in memory. The number that took it.
    pub fn broadcast(&self, ids: &[i32], buf: &Buf) -> usize {
        ids.iter()
            .filter(|id| self.send(**id, buf.clone(), false))
            .count()
    }

    /// A datagram socket, bound when there is a host or a port, otherwise IPv4. Needs no start.
    ///
    /// # Errors
    /// As [`Sockets::listen`].
    pub fn udp(&self, owner: Handle, host: &str, port: u16) -> io::Result<i32> {
        let bound = (!host.is_empty() || port != 0)
            .then(|| first(host, port))
            .transpose()?;
        let domain = bound.as_ref().map_or(Domain::IPV4, SockAddr::domain);
        self.open_udp(owner, domain, bound, None)
    }

    /// A bound datagram socket.
    ///
    /// # Errors
    /// As [`Sockets::listen`], and [`ErrorKind::InvalidInput`] for port 0.
    pub fn udp_listen(&self, owner: Handle, host: &str, port: u16) -> io::Result<i32> {
        if port == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let at = first(host, port)?;
        self.open_udp(owner, at.domain(), Some(at), None)
    }

    /// A datagram socket with a default destination.
    ///
    /// # Errors
    /// As [`Sockets::listen`].
    pub fn udp_dial(&self, owner: Handle, host: &str, port: u16) -> io::Result<i32> {
        let to = first(host, port)?;
        self.open_udp(owner, to.domain(), None, to.as_socket())
    }

    /// Sets the default destination. False when there is no such socket or place.
    pub fn udp_connect(&self, id: i32, host: &str, port: u16) -> bool {
        let Ok(Some(to)) = first(host, port).map(|to| to.as_socket()) else {
            return false;
        };
        let Some(socket) = self.0.find(id).filter(|socket| socket.kind == SocketKind::Udp) else {
            return false;
        };
        let mut state = socket.lock();
        state.name = to.to_string();
        state.destination = Some(to);
        true
    }

    /// Sends a datagram. False when there is no such socket or the system does not take it.
    pub fn udp_send(&self, id: i32, to: SocketAddr, bytes: &[u8]) -> bool {
        let Some(socket) = self.0.find(id).filter(|socket| socket.kind == SocketKind::Udp) else {
            return false;
        };
        let mut state = socket.lock();
        self.0.send_datagram(&socket, &mut state, to, bytes)
    }

    /// Addresses of a name. Blocks.
    ///
    /// # Errors
    /// The resolver's text.
    pub fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = address::resolve(host, 0).map_err(|error| address::text(&error))?;
        Ok(found
            .iter()
            .filter_map(SockAddr::as_socket)
            .map(|address| address.ip())
            .collect())
    }

    /// What is known of all sockets, by id.
    pub fn info(&self) -> Vec<SocketInfo> {
        let sockets = self.0.all();
        let mut infos: Vec<SocketInfo> = sockets
            .iter()
            .filter_map(|socket| {
                let state = socket.lock();
                (state.phase != Phase::Gone).then(|| SocketInfo {
                    id: socket.id,
                    kind: if state.phase == Phase::Closing {
                        SocketKind::Closing
                    } else {
                        socket.kind
                    },
                    owner: state.owner,
                    received: state.received,
                    sent: state.sent,
                    received_cs: state.received_cs,
                    sent_cs: state.sent_cs,
                    waiting_bytes: state.outbox.len(),
                    reading: state.reading,
                    writing: !state.outbox.is_empty(),
                    name: state.name.clone(),
                })
            })
            .collect();
        infos.sort_unstable_by_key(|info| info.id);
        infos
    }

    /// Closes everything and ends the thread.
    pub(crate) fn stop(&self) {
        // SeqCst: rare; `insert` looks at it under the lock of the reactor, which is taken below.
        self.0.stopping.store(true, Ordering::SeqCst);
        let reactor = lock(&self.0.reactor).take();
        if let Some(Reactor {
            waker, thread, names, ..
        }) = reactor
        {
            drop(names); // ends the resolvers
            // The poll is alive until the thread ends.
            let _ = waker.wake();
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
        for socket in self.0.all() {
            self.0.remove(&socket, &mut socket.lock());
        }
        lock(&self.0.reserve).take();
    }

    fn open_udp(
        &self,
        owner: Handle,
        domain: Domain,
        bound: Option<SockAddr>,
        to: Option<SocketAddr>,
    ) -> io::Result<i32> {
        let os = OsSocket::new(domain, Type::DGRAM, None)?;
        os.set_nonblocking(true)?;
        if let Some(bound) = &bound {
            os.set_reuse_address(true)?;
            os.bind(bound)?;
        }
        let socket = self
            .0
            .insert(SocketKind::Udp, owner, Phase::Open, Some(Io::Udp(os.into())))?;
        let mut state = socket.lock();
        state.destination = to;
        state.name = to.map(|to| to.to_string()).unwrap_or_default();
        state.reading = true;
        if let Err(error) = socket.register(&mut state) {
            self.0.remove(&socket, &mut state);
            return Err(error);
        }
        Ok(socket.id)
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").finish_non_exhaustive()
    }
}

impl Socket {
    // Nothing panics under this lock short of a broken invariant.
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes the registration what the state asks for. Edges are armed anew, so what is there already is told again.
    fn register(&self, state: &mut State) -> io::Result<()> {
        let Some(io) = &state.io else { return Ok(()) };
        let interest = match (self.kind, state.reading) {
            (SocketKind::Listen, _) => Interest::READABLE,
            (_, true) => Interest::READABLE | Interest::WRITABLE,
            (_, false) => Interest::WRITABLE,
        };
        let fd = io.as_fd().as_raw_fd();
        let token = Token(self.id.unsigned_abs() as usize);
        if state.registered {
            return self.registry.reregister(&mut SourceFd(&fd), token, interest);
        }
        self.registry.register(&mut SourceFd(&fd), token, interest)?;
        state.registered = true;
        Ok(())
    }

    /// Closes the descriptor.
    fn drop_io(&self, state: &mut State) {
        if let Some(io) = state.io.take()
            && std::mem::take(&mut state.registered)
        {
            // Closing would do, were it not that a foreign descriptor is open elsewhere too.
            let _ = self.registry.deregister(&mut SourceFd(&io.as_fd().as_raw_fd()));
        }
    }
}

impl Shared {
    fn find(&self, id: i32) -> Option<Arc<Socket>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.sockets.get(&id).map(Arc::clone)
    }

    fn all(&self) -> Vec<Arc<Socket>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.sockets.values().map(Arc::clone).collect()
    }

    /// Gives a socket an id; starts the thread with the first.
    fn insert(
        self: &Arc<Self>,
        kind: SocketKind,
        owner: Handle,
        phase: Phase,
        io: Option<Io>,
    ) -> io::Result<Arc<Socket>> {
        if !self.allowed {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "a deterministic engine has no sockets",
            ));
        }
        let registry = self.registry()?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(kind, owner, phase, io, registry)
    }

    fn registry(self: &Arc<Self>) -> io::Result<Arc<Registry>> {
        let mut reactor = lock(&self.reactor);
        if let Some(reactor) = &*reactor {
            return Ok(Arc::clone(&reactor.registry));
        }
        // SeqCst: see `stop`.
        if self.stopping.load(Ordering::SeqCst) {
            return Err(io::Error::other("the engine is ending"));
        }
        let poll = Poll::new()?;
        let registry = Arc::new(poll.registry().try_clone()?);
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let shared = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("sockets".to_owned())
            .spawn(move || shared.run(poll))?;
        let (names, asked) = mpsc::channel();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..RESOLVERS {
            let (shared, asked) = (Arc::clone(self), Arc::clone(&asked));
            thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(move || shared.run_resolver(&asked))?;
        }
        *lock(&self.reserve) = File::open("/dev/null").ok();
        *reactor = Some(Reactor {
            registry: Arc::clone(&registry),
            waker,
            thread,
            names,
        });
        Ok(registry)
    }

    fn run(&self, mut poll: Poll) {
        let mut events = Events::with_capacity(EVENTS);
        let mut scratch = vec![0; DATAGRAM_BYTES];
        // SeqCst: see `stop`.
        while !self.stopping.load(Ordering::SeqCst) {
            match poll.poll(&mut events, None) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return (self.log)(&format!("socket-server error: {}", address::text(&error))),
            }
            for event in &events {
                let Some(socket) = i32::try_from(event.token().0).ok().and_then(|id| self.find(id)) else {
                    continue;
                };
                self.handle_event(&socket, event, &mut scratch);
            }
        }
    }

    fn run_resolver(&self, asked: &Mutex<Receiver<(Arc<Socket>, String, u16)>>) {
        loop {
            let next = lock(asked).recv();
            let Ok((socket, host, port)) = next else { return };
            self.handle_resolved(&socket, address::resolve(&host, port));
        }
    }

    fn handle_event(&self, socket: &Arc<Socket>, event: &mio::event::Event, scratch: &mut [u8]) {
        let mut state = socket.lock();
        let state = &mut *state;
        if state.phase == Phase::Connecting {
            if !self.handle_connected(socket, state) {
                return;
            }
        } else if event.is_writable() && !state.outbox.is_empty() {
            self.flush(socket, state);
        }
        if !state.reading || !(event.is_readable() || event.is_read_closed() || event.is_error()) {
            return;
        }
        match socket.kind {
            SocketKind::Listen => self.accept(socket, state),
            SocketKind::Udp => self.read_datagrams(socket, state, scratch),
            _ => self.read(socket, state, event.is_read_closed() || event.is_error()),
        }
    }

    /// The addresses of a socket that is to connect are known, or will not be.
    fn handle_resolved(&self, socket: &Arc<Socket>, found: io::Result<Vec<SockAddr>>) {
        let mut state = socket.lock();
        if state.phase != Phase::Connecting {
            return; // closed meanwhile
        }
        match found {
            Ok(found) => {
                state.rest = found.into();
                self.connect_next(socket, &mut state, io::Error::other("no address"));
            }
            Err(error) => self.refuse(socket, &mut state, &error),
        }
    }

    /// Begins to connect to the next address; `error` is what the last one said.
    fn connect_next(&self, socket: &Arc<Socket>, state: &mut State, mut error: io::Error) {
        socket.drop_io(state);
        while let Some(to) = state.rest.pop_front() {
            match begin_connect(&to) {
                Ok(os) => {
                    state.io = Some(Io::Fd(os));
                    state.reading = true;
                    state.name = address::name(&to);
                    // The registration tells of a connection that is there already.
                    match socket.register(state) {
                        Ok(()) => return,
                        Err(refused) => error = refused,
                    }
                    socket.drop_io(state);
                }
                Err(refused) => error = refused,
            }
        }
        self.refuse(socket, state, &error);
    }

    /// A connect has failed for good: the id is free.
    fn refuse(&self, socket: &Arc<Socket>, state: &mut State, error: &io::Error) {
        self.emit(state, socket, EventKind::Error, 0, &address::text(error));
        self.remove(socket, state);
    }

    /// Whether the connection is there now.
    fn handle_connected(&self, socket: &Arc<Socket>, state: &mut State) -> bool {
        let Some(io) = &state.io else { return false };
        let os = SockRef::from(io);
        match os.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => {
                self.connect_next(socket, state, error);
                return false;
            }
        }
        let Ok(peer) = os.peer_addr() else { return false };
        state.phase = Phase::Open;
        self.emit(state, socket, EventKind::Connect, 0, &address::ip(&peer));
        if !state.outbox.is_empty() {
            self.flush(socket, state);
        }
        state.phase == Phase::Open
    }

    fn accept(&self, listener: &Arc<Socket>, state: &mut State) {
        for _ in 0..ACCEPTS {
            let Some(io) = &state.io else { return };
            let error = match SockRef::from(io).accept() {
                Ok((os, peer)) => match self.welcome(listener, state, os, &peer) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) =>
                {
                    continue;
                }
                Err(error) => {
                    if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                        // Drops the connection, which would otherwise stay pending and wake us for ever.
                        let mut reserve = lock(&self.reserve);
                        drop(reserve.take());
                        drop(SockRef::from(io).accept());
                        *reserve = File::open("/dev/null").ok();
                    }
                    error
                }
            };
            self.emit(state, listener, EventKind::Error, 0, &address::text(&error));
        }
        // Others have their turn; the rest is told again.
        let _ = listener.register(state);
    }

    fn welcome(&self, listener: &Socket, state: &mut State, os: OsSocket, peer: &SockAddr) -> io::Result<()> {
        os.set_nonblocking(true)?;
        if peer.is_ipv4() || peer.is_ipv6() {
            os.set_keepalive(true)?;
        }
        let name = address::name(peer);
        let socket = self.insert_accepted(listener, state.owner, os)?;
        socket.lock().name.clone_from(&name);
        state.received += 1;
        state.received_cs = self.clock.now_cs();
        self.emit(state, listener, EventKind::Accept, socket.id, &name);
        Ok(())
    }

    fn insert_accepted(&self, listener: &Socket, owner: Handle, os: OsSocket) -> io::Result<Arc<Socket>> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(
            SocketKind::Tcp,
            owner,
            Phase::Fresh,
            Some(Io::Fd(os.into())),
            Arc::clone(&listener.registry),
        )
    }

    fn read(&self, socket: &Arc<Socket>, state: &mut State, to_the_end: bool) {
        for _ in 0..READS {
            if !state.reading {
                return;
            }
            let Some(io) = &state.io else { return };
            let mut block = match event::loan(self.arena, state.owner, state.read_size.bytes()) {
                Ok(block) => block,
                Err(error) => return self.fail(socket, state, &io::Error::other(error)),
            };
            match rustix::io::read(io, &mut block[EVENT_BYTES..]) {
                Ok(0) => return self.handle_peer_closed(socket, state),
                Ok(read) => {
                    block.set_len(EVENT_BYTES + read);
                    event::seal(&mut block, EventKind::Data, socket.id, read as i32);
                    state.received += read as u64;
                    state.received_cs = self.clock.now_cs();
                    (self.tell)(state.owner, block);
                    if !state.read_size.handle_read(read) && !to_the_end {
                        return; // the next byte is a new edge
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(error) => return self.fail(socket, state, &error.into()),
            }
        }
        // Others have their turn; the rest is told again.
        let _ = socket.register(state);
    }

    fn read_datagrams(&self, socket: &Arc<Socket>, state: &mut State, scratch: &mut [u8]) {
        for _ in 0..READS {
            let Some(Io::Udp(udp)) = &state.io else { return };
            match udp.recv_from(scratch) {
                Ok((read, from)) => {
                    let from = address::pack(from);
                    state.received += read as u64;
                    state.received_cs = self.clock.now_cs();
                    // Datagrams may be lost: also for want of memory.
                    let Ok(mut block) = event::loan(self.arena, state.owner, read + from.len()) else {
                        continue;
                    };
                    block[EVENT_BYTES..][..read].copy_from_slice(&scratch[..read]);
                    block[EVENT_BYTES + read..].copy_from_slice(&from);
                    event::seal(&mut block, EventKind::Udp, socket.id, read as i32);
                    (self.tell)(state.owner, block);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.emit(state, socket, EventKind::Error, 0, &address::text(&error));
                    return self.remove(socket, state);
                }
            }
        }
        // Others have their turn; the rest is told again.
        let _ = socket.register(state);
    }

    fn handle_peer_closed(&self, socket: &Arc<Socket>, state: &mut State) {
        state.reading = false;
        state.read_closed = true;
        self.report_close(socket, state);
        // The write side stays; a registration that cannot be changed only costs a wake-up.
        let _ = socket.register(state);
    }

    /// An established socket has failed: it can only be closed now.
    fn fail(&self, socket: &Arc<Socket>, state: &mut State, error: &io::Error) {
        if state.phase == Phase::Closing {
            return self.remove(socket, state);
        }
        if !std::mem::replace(&mut state.write_closed, true) {
            self.emit(state, socket, EventKind::Error, 0, &address::text(error));
        }
        state.outbox.clear();
    }

    fn write(&self, socket: &Arc<Socket>, state: &mut State, buf: Buf, low: bool) {
        if buf.is_empty() {
            return;
        }
        let direct = state.outbox.is_empty() && state.phase != Phase::Connecting;
        let warning = match &state.io {
            Some(io) if direct => match rustix::io::write(io, &buf) {
                Ok(sent) => {
                    state.sent += sent as u64;
                    state.sent_cs = self.clock.now_cs();
                    if sent == buf.len() {
                        return;
                    }
                    match sent {
                        0 => state.outbox.push(buf, low),
                        _ => state.outbox.push_begun(buf.slice(sent..)),
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => state.outbox.push(buf, low),
                Err(error) => return self.fail(socket, state, &error.into()),
            },
            _ => state.outbox.push(buf, low),
        };
        if let Some(kib) = warning {
            self.emit(state, socket, EventKind::Warning, kib, "");
        }
        // Arms the edge, which may have passed while nothing waited.
        if direct && let Err(error) = socket.register(state) {
            self.fail(socket, state, &error);
        }
    }

    fn flush(&self, socket: &Arc<Socket>, state: &mut State) {
        while !state.outbox.is_empty() {
            let Some(io) = &state.io else { return };
            let slices: Vec<IoSlice<'_>> = state.outbox.next().map(|buf| IoSlice::new(buf)).collect();
            match rustix::io::writev(io, &slices) {
                Ok(sent) => {
                    state.sent += sent as u64;
                    state.sent_cs = self.clock.now_cs();
                    state.outbox.handle_sent(sent);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(error) => return self.fail(socket, state, &error.into()),
            }
        }
        if state.phase == Phase::Closing {
            return self.remove(socket, state);
        }
        if state.outbox.poll_drained() {
            self.emit(state, socket, EventKind::Warning, 0, "");
        }
    }

    fn send_datagram(&self, socket: &Socket, state: &mut State, to: SocketAddr, bytes: &[u8]) -> bool {
        let Some(Io::Udp(udp)) = &state.io else {
            return false;
        };
        match udp.send_to(bytes, to) {
            Ok(sent) => {
                state.sent += sent as u64;
                state.sent_cs = self.clock.now_cs();
                true
            }
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                self.emit(state, socket, EventKind::Error, 0, "protocol mismatch");
                true
            }
            // Datagrams may be lost: also in a full queue.
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    fn close(&self, caller: Handle, id: i32, in_order: bool) {
        let Some(socket) = self.find(id) else { return };
        let mut state = socket.lock();
        match state.phase {
            Phase::Gone => return,
            Phase::Closing if in_order => return,
            _ => {}
        }
        if caller != state.owner && !state.close_reported {
            self.emit_to(caller, id, EventKind::Close, 0, "");
        }
        self.report_close(&socket, &mut state);
        if !in_order || state.outbox.is_empty() || state.phase == Phase::Connecting {
            return self.remove(&socket, &mut state);
        }
        state.phase = Phase::Closing;
        state.reading = false;
        if socket.register(&mut state).is_err() {
            self.remove(&socket, &mut state);
        }
    }

    fn report_close(&self, socket: &Socket, state: &mut State) {
        if !std::mem::replace(&mut state.close_reported, true) {
            self.emit(state, socket, EventKind::Close, 0, "");
        }
    }

    /// Closes the descriptor and frees the id.
    fn remove(&self, socket: &Socket, state: &mut State) {
        state.phase = Phase::Gone;
        state.reading = false;
        state.outbox.clear();
        socket.drop_io(state);
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.sockets.remove(&socket.id);
    }

    fn emit(&self, state: &State, socket: &Socket, kind: EventKind, ud: i32, text: &str) {
        self.emit_to(state.owner, socket.id, kind, ud, text);
    }

    fn emit_to(&self, owner: Handle, id: i32, kind: EventKind, ud: i32, text: &str) {
        let text = &text.as_bytes()[..text.len().min(TEXT_BYTES)];
        match event::loan(self.arena, owner, text.len()) {
            Ok(mut block) => {
                block[EVENT_BYTES..].copy_from_slice(text);
                event::seal(&mut block, kind, id, ud);
                (self.tell)(owner, block);
            }
            Err(error) => (self.log)(&format!(
                "socket-server error: event of socket {id} lost: {error}"
            )),
        }
    }
}

/// The first address of a host. Blocks when it is a name.
fn first(host: &str, port: u16) -> io::Result<SockAddr> {
    match address::place(host, port)? {
        Place::Known(address) => Ok(address),
        Place::Name => {
            let found = address::resolve(host, port)?.into_iter().next();
            found.ok_or_else(|| ErrorKind::AddrNotAvailable.into())
        }
    }
}

fn begin_connect(to: &SockAddr) -> io::Result<OwnedFd> {
    let os = OsSocket::new(to.domain(), Type::STREAM, None)?;
    os.set_nonblocking(true)?;
    if to.is_ipv4() || to.is_ipv6() {
        os.set_keepalive(true)?;
    }
    match os.connect(to) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(os.into()),
    }
}

/// A descriptor of our own for what a foreign one stands for.
fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC touches no memory, and says EBADF when there is no such descriptor.
    let own = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if own < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: made by the call above, so nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(own) })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const MOST_SOCKETS: usize = 65536;
const WAKE: Token = Token(usize::MAX);
const EVENTS: usize = 256;
const ACCEPTS: usize = 64;
const READS: usize = 16;
const RESOLVERS: usize = 2;
const DATAGRAM_BYTES: usize = 65536;
/// The longest text of an event.
const TEXT_BYTES: usize = 128;
