//! Outgoing connections: names, addresses one after the other, and what came of them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use socket2::{SockAddr, SockRef, Socket as OsSocket, Type};

use super::address::{self, Place};
use super::event::EventKind;
use super::options::SocketOptions;
use super::shared::{Shared, lock};
use super::socket::{Io, Phase, Socket, SocketKind, State};
use crate::handle::Handle;

/// Threads that ask the system for names, for as long as this lives.
pub(super) struct Resolvers(Sender<Question>);

struct Question {
    socket: Arc<Socket>,
    host: String,
    port: u16,
}

impl Resolvers {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Resolvers> {
        let (asks, asked) = mpsc::channel();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..RESOLVERS {
            let (shared, asked) = (Arc::clone(shared), Arc::clone(&asked));
            thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(move || shared.resolve_names(&asked))?;
        }
        Ok(Resolvers(asks))
    }
}

impl Shared {
    pub(super) fn connect(
        self: &Arc<Self>,
        owner: Handle,
        host: &str,
        port: u16,
        options: &SocketOptions,
    ) -> io::Result<i32> {
        let socket = self.insert(SocketKind::Tcp, owner, Phase::Connecting, None, *options)?;
        match address::place(host, port) {
            Ok(Place::Known(address)) => self.handle_resolved(&socket, Ok(vec![address])),
            Ok(Place::Name) => {
                let question = Question {
                    socket: Arc::clone(&socket),
                    host: host.to_owned(),
                    port,
                };
                let asked = self.with_reactor(|reactor| reactor.resolvers.0.send(question).is_ok());
                if !asked.unwrap_or(false) {
                    self.handle_resolved(&socket, Err(io::Error::other("the engine is ending")));
                }
            }
            Err(error) => self.handle_resolved(&socket, Err(error)),
        }
        Ok(socket.id)
    }

    fn resolve_names(&self, asked: &Mutex<Receiver<Question>>) {
        loop {
            let next = lock(asked).recv();
            let Ok(Question { socket, host, port }) = next else {
                return;
            };
            self.handle_resolved(&socket, address::resolve(&host, port));
        }
    }

    /// The addresses of a socket that is to connect are known, or will not be.
    fn handle_resolved(&self, socket: &Socket, found: io::Result<Vec<SockAddr>>) {
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
    fn connect_next(&self, socket: &Socket, state: &mut State, mut error: io::Error) {
        socket.drop_io(state);
        while let Some(to) = state.rest.pop_front() {
            match begin(&to, &state.options) {
                Ok(os) => {
                    state.io = Some(Io::Stream(os));
                    state.reading = true;
                    state.name = address::name(&to);
                    // The watch tells of a connection that is there already.
                    match socket.watch(state) {
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
    fn refuse(&self, socket: &Socket, state: &mut State, error: &io::Error) {
        self.emit(state, socket, EventKind::Error, 0, &address::text(error));
        self.remove(socket, state);
    }

    /// Whether the connection is there now.
    pub(super) fn handle_connected(&self, socket: &Arc<Socket>, state: &mut State) -> bool {
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
        self.begin_silence(socket, state);
        state.blocked = false;
        self.flush(socket, state);
        state.phase == Phase::Open
    }
}

/// What the system is told of a connection. Not every socket knows all of it.
pub(super) fn set_options(os: &OsSocket, options: &SocketOptions) {
    let _ = os.set_keepalive(options.keepalive);
    let _ = os.set_tcp_nodelay(options.nodelay);
}

fn begin(to: &SockAddr, options: &SocketOptions) -> io::Result<OwnedFd> {
    let os = OsSocket::new(to.domain(), Type::STREAM, None)?;
    os.set_nonblocking(true)?;
    set_options(&os, options);
    match os.connect(to) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(os.into()),
    }
}

const RESOLVERS: usize = 2;
