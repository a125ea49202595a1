//! Datagrams.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket as OsSocket, Type};

use super::address;
use super::event::{self, EventKind};
use super::options::SocketOptions;
use super::shared::Shared;
use super::socket::{Io, Phase, Socket, SocketKind, State};
use crate::handle::Handle;

impl Shared {
    pub(super) fn open_udp(
        self: &Arc<Self>,
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
        let io = Some(Io::Udp(os.into()));
        let socket = self.insert(SocketKind::Udp, owner, Phase::Open, io, SocketOptions::default())?;
        let mut state = socket.lock();
        state.destination = to;
        state.name = to.map(|to| to.to_string()).unwrap_or_default();
        state.reading = true;
        if let Err(error) = socket.watch(&mut state) {
            self.remove(&socket, &mut state);
            return Err(error);
        }
        Ok(socket.id)
    }

    /// Reads what is there. False when there may be more.
    pub(super) fn read_datagrams(&self, socket: &Arc<Socket>, state: &mut State, scratch: &mut [u8]) -> bool {
        for _ in 0..READS {
            if self.hold(socket, state) {
                return true;
            }
            let Some(Io::Udp(udp)) = &state.io else {
                return true;
            };
            match udp.recv_from(scratch) {
                Ok((read, from)) => {
                    let from = address::pack(from);
                    state.received += read as u64;
                    state.received_cs = self.clock.now_cs();
                    let len = read + from.len();
                    // Datagrams may be lost: also for want of memory.
                    let Ok(mut block) = event::loan(self.arena, state.owner, len) else {
                        continue;
                    };
                    block[..read].copy_from_slice(&scratch[..read]);
                    block[read..len].copy_from_slice(&from);
                    event::seal(&mut block, len, EventKind::Udp, socket.id, read as i32);
                    self.owners.tell(state.owner, block);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.emit(state, socket, EventKind::Error, 0, &address::text(&error));
                    self.remove(socket, state);
                    return true;
                }
            }
        }
        false
    }

    pub(super) fn send_datagram(
        &self,
        socket: &Socket,
        state: &mut State,
        to: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        let Some(Io::Udp(udp)) = &state.io else {
            return false;
        };
        match udp.send_to(bytes, to) {
            Ok(sent) => {
                self.count_sent(state, sent);
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
}

/// Datagrams of one socket in a row.
const READS: usize = 16;
