//! The message queue of a mailbox: intrusive, any number of producers, one consumer at a time.
//!
//! After Vyukov's non-intrusive-node MPSC queue (2010), with the stub reduced to a null pointer so that the queue has no
//! address of its own to remember. See the ownership page in [`super`].
//!
//! ```text
//!   first ──► (used while `head` is null)
//!   head  ──► oldest ──► next ──► ... ──► newest ◄── tail
//! ```
//!
//! A producer swaps itself into `tail` and then links its predecessor to itself. Between the two steps the chain is broken
//! there: a consumer that arrives at the gap gets [`Popped::Busy`] and comes back.
//!
//! # Invariants
//! 1. A node belongs to the queue from the swap in `push` until `pop` returns it.
//! 2. Null in `tail` means that the newest node is the stub, whose link is `first`.
//! 3. The consumer brings its [`Head`]; null in it means the stub.

use std::ptr::{self, NonNull};

use fulmar_arena::prefetch;
use fulmar_arena::sync::atomic::{AtomicPtr, Ordering};

/// The part of a node that the queue writes: a link to the node behind it.
pub(crate) trait Link: Sized {
    fn next(&self, order: Ordering) -> *mut Self;
    fn set_next(&self, next: *mut Self, order: Ordering);

    /// Asks for the memory of a node that will be popped soon.
    fn ask_for(node: *const Self) {
        prefetch(node);
    }
}

pub(crate) struct Queue<L> {
    tail: AtomicPtr<L>,
    first: AtomicPtr<L>,
}

/// Where the consumer of a queue is. It lies with the consumer and not in the queue, or each `pop` would take a cache line away from
/// the producers.
pub(crate) struct Head<L>(*mut L);

// SAFETY: as for `Queue`: what it points to belongs to the queue that it is the head of.
unsafe impl<L: Send> Send for Head<L> {}

impl<L> Head<L> {
    /// The head of a new queue.
    pub(crate) fn new() -> Head<L> {
        Head(ptr::null_mut())
    }
}

/// What a consumer found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Popped<N> {
    Node(N),
    Empty,
    /// A producer is between its two steps.
    Busy,
}

// SAFETY: nodes are handed from producers to the consumer, never shared.
unsafe impl<L: Send> Send for Queue<L> {}
// SAFETY: as above.
unsafe impl<L: Send> Sync for Queue<L> {}

impl<L: Link> Queue<L> {
    pub(crate) fn new() -> Queue<L> {
        Queue {
            tail: AtomicPtr::new(ptr::null_mut()),
            first: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Appends a node.
    ///
    /// # Safety
    /// The caller owns `node`, which stays valid until `pop` returns it.
    pub(crate) unsafe fn push(&self, node: NonNull<L>) {
        // SAFETY: ours until the swap.
        // Relaxed: published by the swap.
        unsafe { node.as_ref() }.set_next(ptr::null_mut(), Ordering::Relaxed);
        // AcqRel: releases our null link to the producer that comes next and will overwrite it; acquires our predecessor's, and
        // the consumer's reset of `first`, which we are about to overwrite. Pairs with itself and with the exchange in `pop`.
        let previous = self.tail.swap(node.as_ptr(), Ordering::AcqRel);
        // Release: the node's content happens before its pop; pairs with the Acquire loads in `pop`.
        match NonNull::new(previous) {
            None => self.first.store(node.as_ptr(), LINK),
            // SAFETY: the consumer does not give out the newest node before it is linked, and only we link it (1).
            Some(previous) => unsafe { previous.as_ref() }.set_next(node.as_ptr(), LINK),
        }
    }

    /// Takes the oldest node.
    ///
    /// # Safety
    /// No other `pop` runs, and the previous one happened before. All are given the same head, which was new for the first.
    pub(crate) unsafe fn pop(&self, Head(head): &mut Head<L>) -> Popped<NonNull<L>> {
        if head.is_null() {
            // Acquire: the node's content; pairs with the link in `push`.
            *head = self.first.load(Ordering::Acquire);
        }
        let Some(oldest) = NonNull::new(*head) else {
            // Relaxed: only tells the two cases apart; a producer that is missed announces itself through the state word.
            return if self.tail.load(Ordering::Relaxed).is_null() {
                Popped::Empty
            } else {
                Popped::Busy
            };
        };
        // SAFETY: in the queue until we return it (1), and we are the only consumer.
        let link = unsafe { oldest.as_ref() };
        // Acquire: the next node's content; pairs with the link in `push`.
        let next = link.next(Ordering::Acquire);
        if !next.is_null() {
            *head = next;
            L::ask_for(next); // it is wanted once this one has been dealt with
            return Popped::Node(oldest);
        }
        // It looks like the newest: put the stub in its place.
        // Relaxed: released by the exchange.
        self.first.store(ptr::null_mut(), Ordering::Relaxed);
        // AcqRel: releases `first` to the producer that finds the stub; acquires what producers released before.
        let swapped = self.tail.compare_exchange(
            oldest.as_ptr(),
            ptr::null_mut(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if swapped.is_err() {
            return Popped::Busy;
        }
        *head = ptr::null_mut();
        Popped::Node(oldest)
    }
}

const LINK: Ordering = if cfg!(fulmar_mutation = "queue_link_relaxed") {
    Ordering::Relaxed
} else {
    Ordering::Release
};
