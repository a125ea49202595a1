//! Listeners, and the connections they accept.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use socket2::{SockAddr, SockRef, Socket as OsSocket, Type};

use super::address;
use super::connect::set_options;
use super::event::EventKind;
use super::options::ListenOptions;
use super::shared::{Shared, lock, open_reserve};
use super::socket::{Io, Phase, Socket, SocketKind, State};
use crate::handle::Handle;

impl Shared {
    pub(super) fn listen(
        self: &Arc<Self>,
        owner: Handle,
        host: &str,
        port: u16,
        options: &ListenOptions,
    ) -> io::Result<i32> {
        let at = address::first(host, port)?;
        let os = OsSocket::new(at.domain(), Type::STREAM, None)?;
        os.set_reuse_address(true)?;
        if options.reuse_port {
            os.set_reuse_port(true)?;
        }
        os.set_nonblocking(true)?;
        os.bind(&at)?;
        os.listen(options.backlog)?;
        let local = os.local_addr()?;
        let socket = self.insert(
            SocketKind::Listen,
            owner,
            Phase::Fresh,
            Some(Io::Stream(os.into())),
            options.accepted,
        )?;
        let mut state = socket.lock();
        state.name = address::name(&local);
        let port = local.as_socket().map_or(0, |local| local.port());
        self.emit(
            &state,
            &socket,
            EventKind::Connect,
            port.into(),
            &address::ip(&local),
        );
        Ok(socket.id)
    }

    /// Accepts what is pending. False when there may be more.
    pub(super) fn accept(&self, listener: &Arc<Socket>, state: &mut State) -> bool {
        for _ in 0..ACCEPTS {
            if self.hold(listener, state) {
                return true;
            }
            let Some(io) = &state.io else { return true };
            let error = match SockRef::from(io).accept() {
                Ok((os, peer)) => match self.welcome(listener, state, os, &peer) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    match self.turn_away(io) {
                        Ok(()) => error,
                        Err(nobody) if nobody.kind() == ErrorKind::WouldBlock => return true,
                        Err(_) => {
                            self.set_deadline(listener, state, ACCEPT_AGAIN_CS);
                            return true;
                        }
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return true,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => continue,
                    _ => error,
                },
            };
            self.emit(state, listener, EventKind::Error, 0, &address::text(&error));
        }
        false
    }

    /// No descriptor is left, which the system says whether or not a connection is pending: takes one and drops it, with the descriptor
    /// that is kept for this. A pending one would wake us for ever.
    fn turn_away(&self, io: &Io) -> io::Result<()> {
        let mut reserve = lock(&self.reserve);
        drop(reserve.take());
        let turned_away = SockRef::from(io).accept().map(drop);
        *reserve = open_reserve();
        turned_away
    }

    fn welcome(&self, listener: &Socket, state: &mut State, os: OsSocket, peer: &SockAddr) -> io::Result<()> {
        os.set_nonblocking(true)?;
        set_options(&os, &state.options);
        let name = address::name(peer);
        let io = Some(Io::Stream(os.into()));
        let socket = self.table.insert(|id| {
            listener.sibling(id, SocketKind::Tcp, state.owner, Phase::Fresh, io, state.options)
        })?;
        let mut accepted = socket.lock();
        accepted.name.clone_from(&name);
        // Not read yet, but a reset is told.
        if let Err(error) = socket.watch(&mut accepted) {
            self.remove(&socket, &mut accepted);
            return Err(error);
        }
        drop(accepted);
        state.received += 1;
        state.received_cs = self.clock.now_cs();
        self.emit(state, listener, EventKind::Accept, socket.id, &name);
        Ok(())
    }
}

const ACCEPTS: usize = 64;
/// When a listener tries again that has found no descriptor at all.
const ACCEPT_AGAIN_CS: u64 = 10;
