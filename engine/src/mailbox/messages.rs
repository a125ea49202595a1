//! A mailbox: a queue of messages, bounded or not, and the state word. The rules are in [`super`].

use super::bounded::{Bounded, Offered};
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

/// A mailbox: the state word, and the queue. Whoever has its head empties it before it is dropped.
///
/// Senders write to it with each message, so what all only look at lies apart: each call is handed the queue that takes the place of
/// this one where there is a limit, or `None`.
pub(crate) struct Mailbox {
    pub(crate) state: State,
    queue: MessageQueue,
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
    pub(crate) fn new() -> Mailbox {
        Mailbox {
            state: State::starting(),
            queue: MessageQueue::new(),
        }
    }

    /// Offers a message.
    pub(crate) fn push(&self, bounded: Option<&Bounded>, message: Message) -> Pushed {
        let Some(bounded) = bounded else {
            self.queue.push(message);
            return Pushed::In(self.state.add());
        };
        match bounded.offer(message) {
            Offered::Added => Pushed::In(self.state.add()),
            // The unit of the message that went out now stands for the one that came in.
            Offered::Replaced(message) | Offered::Dropped(message) => Pushed::Dropped(message),
            Offered::Full(message) => Pushed::Full(message),
        }
    }

    /// Takes the oldest message.
    ///
    /// # Safety
    /// The caller holds the service's turn, and the head that came with the mailbox.
    pub(crate) unsafe fn pop(&self, bounded: Option<&Bounded>, head: &mut MessageHead) -> Popped<Message> {
        match bounded {
            // SAFETY: turns do not overlap, and one happens before the next (rule 2).
            None => unsafe { self.queue.pop(head) },
            Some(bounded) => bounded.pop().map_or(Popped::Empty, Popped::Node),
        }
    }
}
