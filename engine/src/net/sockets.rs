//! The face: what services ask of their sockets.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;

use fulmar_arena::{Arena, Buf};
use socket2::{Domain, SockAddr, SockRef};

use super::address;
use super::connect::set_options;
use super::event::EventKind;
use super::options::{ListenOptions, SocketOptions};
use super::reactor::Errand;
use super::shared::{Owners, Shared};
use super::socket::{Phase, Socket, SocketKind};
use crate::clock::Clock;
use crate::handle::Handle;

/// The sockets of one engine. Cheap while there are none: the thread starts with the first.
///
/// Nothing here blocks, except for names where a result is due at once (`listen`, the UDP calls and `resolve`). What happens comes to
/// the owner as messages of type `SOCKET`: see [`Event`](crate::Event). Ids are node-wide, positive, and used again only after 2^31
/// others; a stale or invented one is refused.
///
/// ```
/// # use fulmar_engine::{Engine, Handle, ListenOptions};
/// let engine = Engine::builder().threads(1).build()?;
/// let id = engine.sockets().listen(Handle::SYSTEM, "127.0.0.1", 0, &ListenOptions::default())?;
/// assert!(engine.sockets().info().iter().any(|socket| socket.id == id));
/// engine.sockets().close(Handle::SYSTEM, id);
/// assert!(engine.sockets().info().is_empty());
/// # engine.shutdown(std::time::Duration::from_secs(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sockets(Arc<Shared>);

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

impl Sockets {
    pub(crate) fn new(arena: Arena, clock: Clock, allowed: bool, owners: Box<dyn Owners>) -> Sockets {
        Sockets(Arc::new(Shared::new(arena, clock, allowed, owners)))
    }

    /// Listens; accepts nothing before [`Sockets::start`]. A CONNECT event tells address and port. An empty host is `0.0.0.0`;
    /// `unix:PATH` is a Unix domain socket.
    ///
    /// # Errors
    /// What the system or the resolver says, and [`ErrorKind::Unsupported`] in a deterministic engine.
    pub fn listen(&self, owner: Handle, host: &str, port: u16, options: &ListenOptions) -> io::Result<i32> {
        self.0.listen(owner, host, port, options)
    }

    /// Connects to the first address of `host` that answers: CONNECT or ERROR follows. Names are resolved on a thread of their own.
    ///
    /// # Errors
    /// No id, or no thread for the sockets; [`ErrorKind::Unsupported`] in a deterministic engine.
    pub fn connect(&self, owner: Handle, host: &str, port: u16, options: &SocketOptions) -> io::Result<i32> {
        self.0.connect(owner, host, port, options)
    }

    /// Adopts a descriptor, which stays the caller's to close: CONNECT or ERROR follows. It becomes non-blocking, unless it is a
    /// terminal or a pipe, which are opened anew.
    ///
    /// # Errors
    /// As [`Sockets::connect`].
    pub fn bind(&self, owner: Handle, fd: RawFd) -> io::Result<i32> {
        self.0.bind(owner, fd)
    }

    /// The options of a socket; of a listener, those of what it accepts.
    pub fn options(&self, id: i32) -> Option<SocketOptions> {
        let socket = self.0.table.find(id)?;
        let state = socket.lock();
        (state.phase != Phase::Gone).then_some(state.options)
    }

    /// Changes the options of a socket; of a listener, what it accepts from now on begins with. False when there is no such socket, or
    /// half a frame has arrived and the framing would change.
    pub fn configure(&self, id: i32, options: &SocketOptions) -> bool {
        let Some(socket) = self.0.table.find(id) else {
            return false;
        };
        let mut state = socket.lock();
        if state.phase == Phase::Gone || !state.input.change_to(options) {
            return false;
        }
        state.options = *options;
        if let Some(io) = &state.io
            && socket.kind == SocketKind::Tcp
        {
            set_options(&SockRef::from(io), options);
        }
        self.0.begin_silence(&socket, &mut state);
        true
    }

    /// Begins or resumes reading, and makes `owner` the owner: CONNECT (`start`, `transfer`) or ERROR follows.
    pub fn start(&self, owner: Handle, id: i32) {
        let Some(socket) = self.0.table.find(id) else {
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
        self.0.begin_silence(&socket, &mut state);
        self.0.emit(&state, &socket, EventKind::Connect, 0, text);
        if let Err(error) = socket.watch(&mut state) {
            self.0.end(&socket, &mut state, &address::text(&error));
        }
    }

    /// Stops reading until [`Sockets::start`]. What arrives waits in the system.
    pub fn pause(&self, id: i32) {
        let Some(socket) = self.0.table.find(id) else {
            return;
        };
        let mut state = socket.lock();
        if state.phase == Phase::Open && state.reading {
            if let Some(reason) = state.write_error.take() {
                return self.0.end(&socket, &mut state, &reason);
            }
            state.reading = false;
            // A watch that cannot be changed only costs a wake-up.
            let _ = socket.watch(&mut state);
        }
    }

    /// Closes: CLOSE follows at once, what waits is still sent, as long as the peer takes some of it now and then
    /// ([`SocketOptions::linger_cs`]), then the descriptor goes.
    pub fn close(&self, caller: Handle, id: i32) {
        self.0.close(caller, id, true);
    }

    /// Closes now: what waits is dropped. CLOSE follows unless it came before.
    pub fn shutdown(&self, caller: Handle, id: i32) {
        self.0.close(caller, id, false);
    }

    /// Sends small packets at once.
    pub fn nodelay(&self, id: i32) {
        let Some(socket) = self.0.table.find(id) else {
            return;
        };
        let state = socket.lock();
        if let Some(io) = &state.io {
            // Not every socket knows it.
            let _ = SockRef::from(io).set_tcp_nodelay(true);
        }
    }

    /// Sends a buffer, by reference; `low` is written only when nothing else waits. Written at once on this thread when nothing waits.
    /// On a socket with [framing](SocketOptions::framing) it is one frame. A datagram goes to the default destination.
    ///
    /// False when the id is gone or closed for writing, or the frame is too long. What waits is capped by
    /// [`SocketOptions::queued_bytes`], beyond which the connection ends.
    pub fn send(&self, id: i32, buf: Buf, low: bool) -> bool {
        self.0.send(id, buf, low)
    }

    /// Sends one buffer to many connections, whoever owns them: one copy in memory. The number that took it.
    ///
    /// It is written soon, by the threads that look after sockets, and in one call with what else comes for the same connection
    /// until then. Its place among what is sent otherwise is that of this call.
    pub fn broadcast(&self, ids: impl IntoIterator<Item = i32>, buf: &Buf) -> usize {
        self.0.broadcast(ids.into_iter(), buf)
    }

    /// A datagram socket, bound when there is a host or a port, otherwise IPv4. Needs no start.
    ///
    /// # Errors
    /// As [`Sockets::listen`].
    pub fn udp(&self, owner: Handle, host: &str, port: u16) -> io::Result<i32> {
        let bound = (!host.is_empty() || port != 0)
            .then(|| address::first(host, port))
            .transpose()?;
        let domain = bound.as_ref().map_or(Domain::IPV4, SockAddr::domain);
        self.0.open_udp(owner, domain, bound, None)
    }

    /// A bound datagram socket.
    ///
    /// # Errors
    /// As [`Sockets::listen`], and [`ErrorKind::InvalidInput`] for port 0.
    pub fn udp_listen(&self, owner: Handle, host: &str, port: u16) -> io::Result<i32> {
        if port == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let at = address::first(host, port)?;
        self.0.open_udp(owner, at.domain(), Some(at), None)
    }

    /// A datagram socket with a default destination.
    ///
    /// # Errors
    /// As [`Sockets::listen`].
    pub fn udp_dial(&self, owner: Handle, host: &str, port: u16) -> io::Result<i32> {
        let to = address::first(host, port)?;
        self.0.open_udp(owner, to.domain(), None, to.as_socket())
    }

    /// Sets the default destination. False when there is no such socket or place.
    pub fn udp_connect(&self, id: i32, host: &str, port: u16) -> bool {
        let Ok(Some(to)) = address::first(host, port).map(|to| to.as_socket()) else {
            return false;
        };
        let Some(socket) = self.udp_socket(id) else {
            return false;
        };
        let mut state = socket.lock();
        state.name = to.to_string();
        state.destination = Some(to);
        true
    }

    /// Sends a datagram. False when there is no such socket or the system does not take it.
    pub fn udp_send(&self, id: i32, to: SocketAddr, bytes: &[u8]) -> bool {
        let Some(socket) = self.udp_socket(id) else {
            return false;
        };
        let mut state = socket.lock();
        self.0.send_datagram(&socket, &mut state, to, bytes)
    }

    fn udp_socket(&self, id: i32) -> Option<Arc<Socket>> {
        self.0
            .table
            .find(id)
            .filter(|socket| socket.kind == SocketKind::Udp)
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
        let sockets = self.0.table.all();
        let mut infos: Vec<SocketInfo> = sockets
            .iter()
            .filter_map(|socket| {
                let state = socket.lock();
                (state.phase != Phase::Gone).then(|| SocketInfo {
                    id: socket.id,
                    kind: if state.phase == Phase::Closing || state.read_closed {
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

    /// A worker begins to look for errands, and may later say that it gives up.
    pub(crate) fn begin_search(&self) {
        self.0.seat.forget_lookers();
    }

    /// Something to do for a worker that has nothing to run. A glance as long as there is no socket; after that a few hundred nanoseconds
    /// when there is nothing, and a glance while the thread of the sockets waits for the system itself.
    pub(crate) fn errand(&self, worker: usize) -> Option<Errand<'_>> {
        self.0.errand(worker)
    }

    /// A worker goes to sleep after a search in vain.
    pub(crate) fn stop_looking(&self, worker: usize) {
        self.0.seat.forget_looker(worker);
    }

    /// That worker was the last that searched.
    pub(crate) fn give_up(&self, all_asleep: bool) {
        if all_asleep || !self.0.seat.has_lookers() {
            self.0.seat.call_back();
        }
    }

    /// Closes everything and ends the thread.
    pub(crate) fn stop(&self) {
        self.0.stop();
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::shared::lock;
    use super::*;
    use crate::engine::Engine;

    #[test]
    fn sockets_that_are_gone_leave_no_deadline() {
        let engine = Engine::builder().threads(1).build().unwrap();
        let sockets = engine.sockets();
        let accepted = SocketOptions::default().idle_cs(360_000);
        let listener = sockets
            .listen(
                Handle::SYSTEM,
                "127.0.0.1",
                0,
                &ListenOptions::default().accepted(accepted),
            )
            .unwrap();
        let port = sockets.info()[0]
            .name
            .rsplit_once(':')
            .unwrap()
            .1
            .parse()
            .unwrap();
        for _ in 0..10 {
            let id = sockets
                .connect(Handle::SYSTEM, "127.0.0.1", port, &accepted)
                .unwrap();
            let is_open = || {
                sockets
                    .0
                    .table
                    .find(id)
                    .is_some_and(|socket| socket.lock().phase == Phase::Open)
            };
            while !is_open() {
                std::thread::yield_now();
            }
            assert!(sockets.configure(id, &accepted.idle_cs(6_000))); // sooner than before
            let waiting = || lock(&sockets.0.deadlines).len();
            assert_eq!(waiting(), 1);
            sockets.shutdown(Handle::SYSTEM, id);
            assert_eq!(waiting(), 0);
        }
        sockets.close(Handle::SYSTEM, listener);
        engine.shutdown(std::time::Duration::from_secs(5));
    }
}
