//! A mailbox: a queue of messages, bounded or not, and the state word. The rules are in [`super`].

use super::bounded::{Bounded, MailboxLimit, Offered};
use super::{Added, Head, Popped, Queue, State};
use crate::message::{EnvelopeLink, Message};

/// Where the turn of a service is in the queue of its mailbox.
pub(crate) type MessageHead = Head<EnvelopeLink>;

/// A queue of messages, which its consumer empties before it is dropped.
pub(crate) struct MessageQueue(Queue<EnvelopeLink>);

impl MessageQueue {
    pub(crate) fn new() -> MessageQueue {
        MessageQueue(Queue::new())
    }

    /// Appends a message. One swap and one store.
    pub(crate) fn push(&self, message: Message) {
        // SAFETY: a link taken from a message is ours to give, and nobody frees it before it is popped.
        unsafe { self.0.push(message.into_link()) }
    }

    /// Takes the oldest message.
    ///
    /// # Safety
    /// As for [`Queue::pop`].
    pub(crate) unsafe fn pop(&self, head: &mut MessageHead) -> Popped<Message> {
        // SAFETY: the caller's promise.
        match unsafe { self.0.pop(head) } {
            // SAFETY: pushed by `push`, and returned by the queue once.
            Popped::Node(link) => Popped::Node(unsafe { Message::from_link(link) }),
            Popped::Empty => Popped::Empty,
            Popped::Busy => Popped::Busy,
        }
    }
}

/// A mailbox: the queue, bounded or not, and the state word. Whoever has its head empties it before it is dropped.
pub(crate) struct Mailbox {
    pub(crate) state: State,
    queue: Kind,
}

enum Kind {
    Open(MessageQueue),
    Bounded(Box<Bounded>),
}

/// What became of a message that was pushed.
#[must_use]
pub(crate) enum Pushed {
    /// It is in; do what the state word says.
    In(Added),
    /// It is out, or an older one in its place: answer that.
    Dropped(Message),
    /// It has to go back to its sender, or to wait.
    Full(Message),
}

impl Mailbox {
    pub(crate) fn new(limit: Option<MailboxLimit>) -> Mailbox {
        let queue = match limit {
            None => Kind::Open(MessageQueue::new()),
            Some(limit) => Kind::Bounded(Box::new(Bounded::new(limit))),
        };
        Mailbox {
            state: State::starting(),
            queue,
        }
    }

    /// Offers a message.
    pub(crate) fn push(&self, message: Message) -> Pushed {
        match &self.queue {
            Kind::Open(queue) => {
                queue.push(message);
                Pushed::In(self.state.add())
            }
            Kind::Bounded(queue) => match queue.offer(message) {
                Offered::Added => Pushed::In(self.state.add()),
                // The unit of the message that went out now stands for the one that came in.
                Offered::Replaced(message) | Offered::Dropped(message) => Pushed::Dropped(message),
                Offered::Full(message) => Pushed::Full(message),
            },
        }
    }

    /// Takes the oldest message.
    ///
    /// # Safety
    /// The caller holds the service's turn, and the head that came with the mailbox.
    pub(crate) unsafe fn pop(&self, head: &mut MessageHead) -> Popped<Message> {
        match &self.queue {
            // SAFETY: turns do not overlap, and one happens before the next (rule 2).
            Kind::Open(queue) => unsafe { queue.pop(head) },
            Kind::Bounded(queue) => queue.pop().map_or(Popped::Empty, Popped::Node),
        }
    }

    /// The queue with a limit, if it has one.
    pub(crate) fn bounded(&self) -> Option<&Bounded> {
        match &self.queue {
            Kind::Open(_) => None,
            Kind::Bounded(queue) => Some(queue),
        }
    }
}
