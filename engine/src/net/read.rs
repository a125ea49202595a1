//! What arrives on a connection, from the system into the events of its owner.

use std::io::IoSliceMut;
use std::sync::Arc;

use fulmar_arena::{BufMut, LoanError};
use rustix::io::Errno;

use super::address;
use super::event::{self, EventKind};
use super::frame::{FrameError, FrameTooLong};
use super::shared::Shared;
use super::socket::{Input, Socket, State};

/// What became of a read.
enum Step {
    /// There may be more.
    More,
    /// All that there was.
    Drained,
    /// The peer sends no more.
    Ended,
}

enum ReadError {
    System(Errno),
    /// The connection cannot go on.
    Broken(String),
}

impl Shared {
    /// Reads what is there, `to_the_end` when no more edges will come. False when there may be more.
    pub(super) fn read(
        &self,
        socket: &Arc<Socket>,
        state: &mut State,
        to_the_end: bool,
        scratch: &mut [u8],
    ) -> bool {
        for _ in 0..READS {
            if self.hold(socket, state) {
                return true;
            }
            // Nobody would tell of the rest.
            let to_the_end = to_the_end || state.write_error.is_some();
            let step = match state.input {
                Input::Bytes(_) => self.read_bytes(socket, state),
                Input::Frames(_) => self.read_frames(socket, state, scratch),
            };
            match step {
                Ok(Step::More) | Err(ReadError::System(Errno::INTR)) => {}
                Ok(Step::Drained) if to_the_end => {}
                Ok(Step::Drained) | Err(ReadError::System(Errno::AGAIN)) => {
                    if let Some(reason) = state.write_error.take() {
                        self.end(socket, state, &reason);
                    }
                    return true;
                }
                Ok(Step::Ended) => {
                    self.handle_peer_closed(socket, state);
                    return true;
                }
                Err(ReadError::System(error)) => {
                    self.end(socket, state, &address::text(&error.into()));
                    return true;
                }
                Err(ReadError::Broken(reason)) => {
                    self.end(socket, state, &reason);
                    return true;
                }
            }
        }
        false
    }

    fn read_bytes(&self, socket: &Socket, state: &mut State) -> Result<Step, ReadError> {
        let (Some(io), Input::Bytes(size)) = (&state.io, &mut state.input) else {
            return Ok(Step::Drained);
        };
        let mut block = event::loan(self.arena, state.owner, size.bytes())?;
        let room = size.bytes();
        let read = io.read(&mut block[..room])?;
        if read == 0 {
            return Ok(Step::Ended);
        }
        let filled = size.handle_read(read);
        self.count_read(state, read);
        state.silent_since_cs = state.received_cs;
        self.tell_data(socket, state, block, read);
        Ok(if filled { Step::More } else { Step::Drained })
    }

    /// Reads more of the frame at hand into its place, and what follows into `scratch`.
    fn read_frames(&self, socket: &Socket, state: &mut State, scratch: &mut [u8]) -> Result<Step, ReadError> {
        let (Some(io), Input::Frames(frames)) = (&state.io, &mut state.input) else {
            return Ok(Step::Drained);
        };
        let room = frames.room();
        let (direct, wanted) = (room.len(), room.len() + scratch.len());
        let read = rustix::io::readv(io, &mut [IoSliceMut::new(room), IoSliceMut::new(scratch)])?;
        if read == 0 {
            return Ok(Step::Ended);
        }
        let mut whole = frames.handle_room(read.min(direct));
        let mut rest = &scratch[..read.saturating_sub(direct)];
        self.count_read(state, read);
        loop {
            if let Some((block, len)) = whole {
                state.silent_since_cs = state.received_cs;
                self.tell_data(socket, state, block, len);
            }
            let Input::Frames(frames) = &mut state.input else {
                unreachable!("nobody else has the lock");
            };
            whole = frames.poll(&mut rest, |len| event::loan(self.arena, state.owner, len))?;
            if whole.is_none() {
                break;
            }
        }
        Ok(if read == wanted { Step::More } else { Step::Drained })
    }

    fn count_read(&self, state: &mut State, read: usize) {
        state.received += read as u64;
        state.received_cs = self.clock.now_cs();
    }

    fn tell_data(&self, socket: &Socket, state: &State, mut block: BufMut, len: usize) {
        // No block is longer than 2^31 bytes.
        event::seal(&mut block, len, EventKind::Data, socket.id, len as i32);
        self.owners.tell(state.owner, block);
    }

    fn handle_peer_closed(&self, socket: &Socket, state: &mut State) {
        if let Some(reason) = state.write_error.take() {
            return self.end(socket, state, &reason);
        }
        state.reading = false;
        state.read_closed = true;
        self.report_close(socket, state);
        // The write side stays; a watch that cannot be changed only costs a wake-up.
        let _ = socket.watch(state);
    }
}

impl From<Errno> for ReadError {
    fn from(error: Errno) -> ReadError {
        ReadError::System(error)
    }
}

impl From<LoanError> for ReadError {
    fn from(error: LoanError) -> ReadError {
        ReadError::Broken(error.to_string())
    }
}

impl From<FrameTooLong> for ReadError {
    fn from(error: FrameTooLong) -> ReadError {
        ReadError::Broken(error.to_string())
    }
}

impl From<FrameError<LoanError>> for ReadError {
    fn from(error: FrameError<LoanError>) -> ReadError {
        match error {
            FrameError::TooLong(error) => error.into(),
            FrameError::Loan(error) => error.into(),
        }
    }
}

/// Reads of one socket in a row.
const READS: usize = 16;
