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
    /// To services of this node: what they wait for makes room.
    local: VecDeque<Owed>,
    /// To the harbor, which takes more than a block.
    remote: VecDeque<Owed>,
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
                local: VecDeque::new(),
                remote: VecDeque::new(),
                settling: false,
            }),
        }
    }

    /// When nobody is left to be told.
    pub(crate) fn clear(&self) {
        let mut ledger = self.ledger();
        ledger.kept.clear();
        ledger.local.clear();
        ledger.remote.clear();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// What is to be paid next.
    fn first(&self) -> Option<Owed> {
        self.local.front().or(self.remote.front()).copied()
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
        {
            let mut ledger = debts.ledger();
            self.queue(&mut ledger, owed).push_back(owed);
            debts.any.store(true, Ordering::Relaxed); // as above
        }
        self.settle_owed();
    }

    /// Sends what is owed, as far as there is room and blocks are kept, and then puts blocks aside again. Says whether anything has left.
    pub(crate) fn settle_owed(&self) -> bool {
        let debts = self.debts();
        if std::mem::replace(&mut debts.ledger().settling, true) {
            return false;
        }
        let mut settled = false;
        loop {
            let first = debts.ledger().first();
            if let Some(owed) = first {
                if !self.has_sent(owed) && !self.has_sent_kept(owed) {
                    break;
                }
                settled = true;
                self.queue(&mut debts.ledger(), owed).pop_front();
                continue;
            }
            let missing = KEPT - debts.ledger().kept.len();
            let mut blocks = blocks(self.arena(), missing);
            let mut ledger = debts.ledger();
            ledger.kept.append(&mut blocks);
            // Whoever came meanwhile has left it to us.
            if ledger.first().is_none() {
                debts.any.store(false, Ordering::Relaxed); // see `send_surely`
                break;
            }
        }
        debts.ledger().settling = false;
        settled
    }

    fn queue<'a>(&self, ledger: &'a mut Ledger, owed: Owed) -> &'a mut VecDeque<Owed> {
        if self.is_remote(owed.to) {
            &mut ledger.remote
        } else {
            &mut ledger.local
        }
    }

    /// Sends in a block that was kept. False when there is none, and for other nodes.
    fn has_sent_kept(&self, owed: Owed) -> bool {
        if self.is_remote(owed.to) {
            return false;
        }
        let Some(block) = self.debts().ledger().kept.pop() else {
            return false;
        };
        let message = Message::in_block(block, owed.from, owed.session, owed.message_type);
        let _ = self.deliver(owed.to, message); // nobody there: nobody waits
        true
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
