//! What goes out on a connection: at once on the caller's thread, or from the outbox when the system has room again.

use std::io::IoSlice;

use fulmar_arena::Buf;
use rustix::io::Errno;

use super::event::EventKind;
use super::frame::PrefixBytes;
use super::outbox::Packet;
use super::shared::Shared;
use super::socket::{Io, Phase, Socket, SocketKind, State};
use crate::handle::Handle;

impl Shared {
    pub(super) fn send(&self, id: i32, buf: Buf, low: bool) -> bool {
        let Some(socket) = self.table.find(id) else {
            return false;
        };
        let mut state = socket.lock();
        let state = &mut *state;
        if matches!(state.phase, Phase::Gone | Phase::Closing) || state.write_closed {
            return false;
        }
        match socket.kind {
            SocketKind::Listen => {
                self.owners
                    .log(&format!("socket-server error: write to listen fd {id}."));
                false
            }
            SocketKind::Udp => match state.destination {
                Some(to) => self.send_datagram(&socket, state, to, &buf),
                None => false,
            },
            _ => {
                let prefix = match state.options.framing {
                    Some(framing) => match framing.encode(buf.len()) {
                        Ok(prefix) => prefix,
                        Err(_) => return false,
                    },
                    None => PrefixBytes::default(),
                };
                self.write(&socket, state, Packet::new(prefix, buf), low);
                true
            }
        }
    }

    fn write(&self, socket: &Socket, state: &mut State, mut packet: Packet, low: bool) {
        if packet.len() == 0 {
            return;
        }
        let direct = state.outbox.is_empty() && state.phase != Phase::Connecting;
        if direct && let Some(io) = &state.io {
            match write_parts(io, packet.parts().into_iter()) {
                Ok(sent) => {
                    self.count_sent(state, sent);
                    packet.handle_sent(sent);
                    if packet.len() == 0 {
                        return;
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return self.fail(socket, state, &error.into()),
            }
        }
        let waiting = state.outbox.len().saturating_add(packet.len());
        if waiting > state.options.queued_bytes {
            return self.end(socket, state, "too much waits to be sent");
        }
        if let Some(kib) = state.outbox.push(packet, low) {
            self.emit(state, socket, EventKind::Warning, kib, "");
        }
        // Arms the edge, which may have passed while nothing waited.
        if direct && let Err(error) = socket.watch(state) {
            self.fail(socket, state, &error);
        }
    }

    pub(super) fn flush(&self, socket: &Socket, state: &mut State) {
        while !state.outbox.is_empty() {
            let Some(io) = &state.io else { return };
            match write_parts(io, state.outbox.parts()) {
                Ok(sent) => {
                    self.count_sent(state, sent);
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

    pub(super) fn count_sent(&self, state: &mut State, sent: usize) {
        state.sent += sent as u64;
        state.sent_cs = self.clock.now_cs();
    }

    pub(super) fn close(&self, caller: Handle, id: i32, in_order: bool) {
        let Some(socket) = self.table.find(id) else { return };
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
        if socket.watch(&mut state).is_err() {
            self.remove(&socket, &mut state);
        }
    }
}

/// Writes as many of the parts as one call takes.
fn write_parts<'a>(io: &Io, parts: impl Iterator<Item = &'a [u8]>) -> Result<usize, Errno> {
    let mut slices = [IoSlice::new(&[]); VECTORED];
    let mut count = 0;
    for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
        *slice = IoSlice::new(part);
        count += 1;
    }
    match &slices[..count] {
        [one] => rustix::io::write(io, one),
        slices => rustix::io::writev(io, slices),
    }
}

const VECTORED: usize = 32;
