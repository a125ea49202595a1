//! Bounded mailboxes: a queue under a lock, for services that ask for a limit.
//!
//! Dropping the oldest message and waking a blocked sender both reach into the middle of the exchange, so a mutex is the plain
//! way; services without a limit (the default) never come here.
//!
//! Answers (RESPONSE, ERROR) always get in and are never dropped: their number is bounded by what the service itself asked for,
//! and a lost one would leave it waiting for ever. So do the events of its sockets: a lost one would tear a hole into a stream, and a
//! full mailbox keeps the sockets from being read ([`net`](crate::net)).

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::message::{Message, MessageType};

/// What happens to a message that finds a bounded mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The sending thread waits for room. Only threads that run no service can: on a worker the send is refused as with
    /// [`Policy::Reject`], because the receiver may be waiting for that very worker.
    Block,
    /// The send fails and hands the body back.
    Reject,
    /// The oldest request gives way; its sender gets an error.
    DropOldest,
    /// The new request is dropped; its sender gets an error.
    DropNewest,
}

/// A mailbox that holds no more than `capacity` requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimit {
    /// The number of waiting messages from which on the policy applies; at least 1.
    pub capacity: usize,
    /// What happens then.
    pub policy: Policy,
}

pub(crate) struct Bounded {
    limit: MailboxLimit,
    queue: Mutex<Waiting>,
    room: Condvar,
}

struct Waiting {
    messages: VecDeque<Message>,
    closed: bool,
}

/// Where an offered message went.
#[must_use]
pub(crate) enum Offered {
    /// In; one more unit.
    Added,
    /// In, in place of an older one.
    Replaced(Message),
    /// Dropped.
    Dropped(Message),
    /// Refused.
    Full(Message),
}

impl Bounded {
    pub(crate) fn new(limit: MailboxLimit) -> Bounded {
        let queue = Mutex::new(Waiting {
            messages: VecDeque::new(),
            closed: false,
        });
        Bounded {
            limit: MailboxLimit {
                capacity: limit.capacity.max(1),
                ..limit
            },
            queue,
            room: Condvar::new(),
        }
    }

    /// Offers a message. Returns `Full` at once under [`Policy::Block`] too: waiting is [`Bounded::wait_for_room`].
    pub(crate) fn offer(&self, message: Message) -> Offered {
        let mut waiting = self.lock();
        let full = waiting.messages.len() >= self.limit.capacity && !waiting.closed;
        if !full || always_gets_in(&message) {
            waiting.messages.push_back(message);
            return Offered::Added;
        }
        match self.limit.policy {
            Policy::Block | Policy::Reject => Offered::Full(message),
            Policy::DropNewest => Offered::Dropped(message),
            Policy::DropOldest => {
                let oldest = waiting.messages.iter().position(|old| !always_gets_in(old));
                match oldest.and_then(|index| waiting.messages.remove(index)) {
                    Some(oldest) => {
                        waiting.messages.push_back(message);
                        Offered::Replaced(oldest)
                    }
                    None => Offered::Dropped(message), // nothing but what stays
                }
            }
        }
    }

    pub(crate) fn pop(&self) -> Option<Message> {
        let message = self.lock().messages.pop_front();
        if self.limit.policy == Policy::Block && message.is_some() {
            self.room.notify_one();
        }
        message
    }

    /// The number of waiting messages from which on the policy applies.
    pub(crate) fn capacity(&self) -> usize {
        self.limit.capacity
    }

    pub(crate) fn policy(&self) -> Policy {
        self.limit.policy
    }

    pub(crate) fn blocks(&self) -> bool {
        self.limit.policy == Policy::Block
    }

    /// Waits until there is room, or no reason to wait.
    pub(crate) fn wait_for_room(&self) {
        let mut waiting = self.lock();
        while waiting.messages.len() >= self.limit.capacity && !waiting.closed {
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The service ends: everybody gets in, to be answered by the drain.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
    }

    // Nothing panics while it holds the lock, so a poisoned queue is still whole.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a message is never refused or dropped.
fn always_gets_in(message: &Message) -> bool {
    let is_event = message.message_type() == MessageType::SOCKET && message.source().is_system();
    message.message_type().is_reply() || is_event
}
