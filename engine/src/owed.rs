//! Empty messages that must not be lost when the arena is exhausted: errors for requests that nobody will answer, and the responses of
//! timers. A few blocks are kept for them, since whoever could make room may be waiting for just such a message; beyond those they
//! are *owed*, and sent in order once there is room: when the next one comes up, or at the monitor's next look.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fulmar_arena::sync::atomic::{AtomicBool, Ordering};
use fulmar_arena::{Arena, BufMut};

use crate::Engine;
use crate::error::SendFailure;
use crate::handle::Handle;
use crate::message::{Body, Message, MessageType};

/// What an engine owes, and what it keeps to pay with.
pub(crate) struct Debts {
    /// Whether anything is owed, for a look without the lock.
    any: AtomicBool,
    ledger: Mutex<Ledger>,
}

struct Ledger {
    kept: Vec<BufMut>,
    owed: VecDeque<Owed>,
    /// Somebody pays: others would overtake.
    settling: bool,
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
        Debts {
            any: AtomicBool::new(false),
            ledger: Mutex::new(Ledger {
                kept: blocks(arena, KEPT),
                owed: VecDeque::new(),
                settling: false,
            }),
        }
    }

    /// When nobody is left to be told.
    pub(crate) fn clear(&self) {
        let mut ledger = self.ledger();
        ledger.kept.clear();
        ledger.owed.clear();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many empty blocks as there is room for, up to `count`. A panic of the arena, as in `has_sent`, is none.
fn blocks(arena: Arena, count: usize) -> Vec<BufMut> {
    let loan = || arena.loan(0, Handle::SYSTEM.bits());
    (0..count).map_while(|_| catch_unwind(loan).ok()?.ok()).collect()
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
        let debts = self.debts();
        // Relaxed: who has just owed something sees it; others have no order with it.
        if !debts.any.load(Ordering::Relaxed) && self.has_sent(owed) {
            return;
        }
        let mut ledger = debts.ledger();
        if ledger.owed.is_empty()
            && !self.is_remote(owed.to)
            && let Some(block) = ledger.kept.pop()
        {
            drop(ledger);
            let message = Message::in_block(block, owed.from, owed.session, owed.message_type);
            let _ = self.deliver(owed.to, message);
            return;
        }
        ledger.owed.push_back(owed);
        debts.any.store(true, Ordering::Relaxed); // as above
        drop(ledger);
        self.settle_owed();
    }

    /// Sends what is owed, as far as there is room, and then puts blocks aside again. Says whether anything has left.
    pub(crate) fn settle_owed(&self) -> bool {
        let debts = self.debts();
        if std::mem::replace(&mut debts.ledger().settling, true) {
            return false;
        }
        let mut settled = false;
        let missing = loop {
            let mut ledger = debts.ledger();
            let Some(&owed) = ledger.owed.front() else {
                debts.any.store(false, Ordering::Relaxed); // see `send_surely`
                break KEPT - ledger.kept.len();
            };
            drop(ledger);
            if !self.has_sent(owed) {
                break 0;
            }
            settled = true;
            ledger = debts.ledger();
            ledger.owed.pop_front();
        };
        let mut blocks = blocks(self.arena(), missing);
        let mut ledger = debts.ledger();
        ledger.kept.append(&mut blocks);
        ledger.settling = false;
        settled
    }

    /// False when the arena is exhausted, or panics because a program has written to what is free.
    fn has_sent(&self, owed: Owed) -> bool {
        let Owed {
            from,
            to,
            message_type,
            session,
        } = owed;
        let send = || self.send(from, to, message_type, session, Body::Empty);
        match catch_unwind(AssertUnwindSafe(send)) {
            Ok(Err(error)) => !matches!(error.reason, SendFailure::Exhausted),
            sent => sent.is_ok(),
        }
    }
}

/// Blocks of 128 bytes.
const KEPT: usize = 64;
