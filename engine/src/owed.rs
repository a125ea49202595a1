//! Empty messages that must not be lost when the arena is exhausted: errors for requests that nobody will answer, and the responses of
//! timers. A few blocks are kept for them, since whoever could make room may be waiting for just such a message; beyond those they
//! are *owed*, and sent when there is room.

use std::collections::VecDeque;

use fulmar_arena::{Arena, BufMut};

use crate::error::SendFailure;
use crate::handle::Handle;
use crate::message::{Body, Message, MessageType};
use crate::{Engine, SendError};

/// What an engine owes, and what it keeps to pay with.
pub(crate) struct Debts {
    kept: Vec<BufMut>,
    owed: VecDeque<Owed>,
}

#[derive(Clone, Copy)]
struct Owed {
    from: Handle,
    to: Handle,
    message_type: MessageType,
    session: i32,
}

impl Debts {
    pub(crate) fn new(arena: Arena) -> Debts {
        let mut debts = Debts {
            kept: Vec::with_capacity(KEPT),
            owed: VecDeque::new(),
        };
        debts.refill(arena);
        debts
    }

    /// When nobody is left to be told.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.owed.clear();
    }

    fn refill(&mut self, arena: Arena) {
        while self.kept.len() < KEPT
            && let Ok(block) = arena.loan(0, Handle::SYSTEM.bits())
        {
            self.kept.push(block);
        }
    }
}

impl Engine {
    /// Sends an error for a request that will not be answered otherwise.
    pub(crate) fn answer_error(&self, from: Handle, to: Handle, session: i32) {
        self.send_surely(Owed {
            from,
            to,
            message_type: MessageType::ERROR,
            session,
        });
    }

    /// Tells a service that its timer has expired.
    pub(crate) fn expire(&self, to: Handle, session: i32) {
        self.send_surely(Owed {
            from: Handle::SYSTEM,
            to,
            message_type: MessageType::RESPONSE,
            session,
        });
    }

    /// Sends now or later. Nobody there, or no harbor: nobody waits, or nobody can be told.
    fn send_surely(&self, owed: Owed) {
        if self.try_send(owed).is_ok() {
            return;
        }
        let mut debts = self.debts();
        match debts.kept.pop() {
            Some(block) if !self.is_remote(owed.to) => {
                drop(debts);
                let message = Message::in_block(block, owed.from, owed.session, owed.message_type);
                let _ = self.deliver(owed.to, message);
            }
            kept => {
                debts.kept.extend(kept);
                debts.owed.push_back(owed);
            }
        }
    }

    /// Sends what is owed, as far as there is room. Says whether anything has left.
    pub(crate) fn settle_owed(&self) -> bool {
        let mut settled = false;
        loop {
            let Some(owed) = self.debts().owed.pop_front() else {
                self.debts().refill(self.arena());
                return settled;
            };
            if self.try_send(owed).is_err() {
                self.debts().owed.push_front(owed);
                return settled;
            }
            settled = true;
        }
    }

    /// Fails when the arena is exhausted, and for no other reason.
    fn try_send(&self, owed: Owed) -> Result<(), SendError> {
        let Owed {
            from,
            to,
            message_type,
            session,
        } = owed;
        match self.send(from, to, message_type, session, Body::Empty) {
            Err(error) if matches!(error.reason, SendFailure::Exhausted) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Blocks of 64 bytes.
const KEPT: usize = 64;
