//! What goes out on a connection: at once on the caller's thread, or from the outbox when the system has room again.
//!
//! What goes to many goes *later*: it is put into their outboxes, and these are listed as due and flushed one after the other. Who
//! comes again meanwhile finds some that still wait, to which both packets go in one call: the more there is to do, the fewer
//! calls it takes. An outbox in which much waits is flushed by the caller, who so never gets far ahead of the system.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use fulmar_arena::Buf;
use rustix::io::Errno;

use super::event::EventKind;
use super::frame::PrefixBytes;
use super::outbox::Packet;
use super::shared::{Shared, lock};
use super::socket::{Io, Phase, Socket, SocketKind, State};
use crate::handle::Handle;

/// Sockets that have something to write and wait for nothing else.
#[derive(Default)]
pub(super) struct Due {
    sockets: VecDeque<Arc<Socket>>,
    /// The last broadcast found others still waiting: the longer they do, the more goes in one call.
    overlap: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Now,
    /// Now, unless anything else waits.
    Low,
    /// When the due sockets are flushed.
    Later,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.sockets.clear();
    }
}

impl Shared {
    pub(super) fn send(&self, id: i32, buf: Buf, low: bool) -> bool {
        let urgency = if low { Urgency::Low } else { Urgency::Now };
        self.table
            .find(id)
            .is_some_and(|socket| self.send_to(&socket, &mut socket.lock(), buf, urgency))
    }

    pub(super) fn broadcast(&self, ids: impl Iterator<Item = i32>, buf: &Buf) -> usize {
        let (mut taken, mut already) = (0, false);
        let mut new = self.table.find_all(ids);
        new.retain(|socket| {
            let state = &mut *socket.lock();
            taken += usize::from(self.send_to(socket, state, buf.clone(), Urgency::Later));
            let waits = !state.outbox.is_empty() && !state.blocked;
            already |= waits && state.due;
            waits && !std::mem::replace(&mut state.due, true)
        });
        let first = new.first().map(Arc::clone);
        let none_before = {
            let mut due = lock(&self.due);
            let none = due.sockets.is_empty();
            due.sockets.extend(new);
            due.overlap = already;
            none
        };
        if let Some(first) = first
            && none_before
            && !self.seat.call_back()
        {
            first.wake_driver();
        }
        taken
    }

    /// Some of the sockets that are due. Who takes them flushes them; a helper gets none while broadcasts overlap.
    pub(super) fn take_due(&self, helper: bool) -> Option<Vec<Arc<Socket>>> {
        let mut due = lock(&self.due);
        let count = due.sockets.len().min(FLUSHES);
        (count > 0 && !(helper && due.overlap)).then(|| due.sockets.drain(..count).collect())
    }

    pub(super) fn flush_all(&self, due: Vec<Arc<Socket>>) {
        for socket in due {
            let state = &mut *socket.lock();
            state.due = false;
            self.flush(&socket, state);
        }
    }

    /// Flushes some of the sockets that are due. Whether there were any.
    pub(super) fn flush_due(&self) -> bool {
        self.take_due(false).map(|due| self.flush_all(due)).is_some()
    }

    fn send_to(&self, socket: &Arc<Socket>, state: &mut State, buf: Buf, urgency: Urgency) -> bool {
        if matches!(state.phase, Phase::Gone | Phase::Closing) || state.write_error.is_some() {
            return false;
        }
        match socket.kind {
            SocketKind::Listen => {
                self.owners
                    .log(&format!("socket-server error: write to listen fd {}.", socket.id));
                false
            }
            SocketKind::Udp => match state.destination {
                Some(to) => self.send_datagram(socket, state, to, &buf),
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
                self.write(socket, state, Packet::new(prefix, buf), urgency);
                true
            }
        }
    }

    fn write(&self, socket: &Arc<Socket>, state: &mut State, packet: Packet, urgency: Urgency) {
        if packet.len() == 0 {
            return;
        }
        state.outbox.push(packet, urgency == Urgency::Low);
        if urgency != Urgency::Later || state.outbox.len() > LATER_BYTES.min(state.options.queued_bytes) {
            self.flush(socket, state);
        }
        if state.outbox.len() > state.options.queued_bytes {
            self.end(socket, state, "too much waits to be sent");
        } else if let Some(kib) = state.outbox.poll_warning() {
            self.emit(state, socket, EventKind::Warning, kib, "");
        }
    }

    /// Writes what waits, as far as the system takes it.
    pub(super) fn flush(&self, socket: &Arc<Socket>, state: &mut State) {
        if state.outbox.is_empty() {
            return;
        }
        while !state.outbox.is_empty() {
            if state.blocked {
                return self.await_room(socket, state);
            }
            let Some(io) = &state.io else { return };
            match write_parts(io, state.outbox.parts()) {
                Ok((sent, offered)) => {
                    self.count_sent(state, sent);
                    state.outbox.handle_sent(sent);
                    state.blocked = sent < offered;
                }
                Err(Errno::AGAIN) => state.blocked = true,
                Err(Errno::INTR) => {}
                Err(error) => return self.fail_to_write(socket, state, &error.into()),
            }
        }
        if state.phase == Phase::Closing {
            return self.remove(socket, state);
        }
        if state.outbox.poll_drained() {
            self.emit(state, socket, EventKind::Warning, 0, "");
        }
    }

    /// The system tells when it has room again; of a socket that nobody has started too.
    fn await_room(&self, socket: &Arc<Socket>, state: &mut State) {
        if let Err(error) = socket.keep_watched(state) {
            self.fail_to_write(socket, state, &error);
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
        if !in_order {
            self.flush(&socket, &mut state); // what was sent by now has gone, as far as there was room
            if state.phase == Phase::Gone {
                return;
            }
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
        self.begin_silence(&socket, &mut state);
        if socket.watch(&mut state).is_err() {
            self.remove(&socket, &mut state);
        }
    }
}

/// Writes as many of the parts as one call takes. Bytes that have gone, and bytes that were offered.
fn write_parts<'a>(io: &Io, parts: impl Iterator<Item = &'a [u8]>) -> Result<(usize, usize), Errno> {
    let mut slices = [IoSlice::new(&[]); VECTORED];
    let (mut count, mut offered) = (0, 0);
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
        count += 1;
        offered += part.len();
    }
    let sent = match &slices[..count] {
        [one] => io.write(one),
        slices => rustix::io::writev(io, slices),
    }?;
    Ok((sent, offered))
}

const VECTORED: usize = 64;
/// What may wait for a flush that comes later.
const LATER_BYTES: usize = 64 << 10;
/// Sockets that are flushed before others have their turn.
const FLUSHES: usize = 16;
