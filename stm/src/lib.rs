//! One value, published again and again by its writers, read in place by any number of readers.
//!
//! A [`Writer`] owns a *box*. [`commit`](Writer::commit) publishes a new immutable version; [`copy`](Writer::copy) gives a
//! [`Reader`], which moves to the newest version when it likes and keeps it, unchanged, until then. Readers never wait for writers
//! or for each other, and asking whether there is something new is one atomic load. A version is freed when the last reader has
//! moved on.
//!
//! The value is anything: a [`Buf`](fulmar_arena::Buf) of bytes in the arena (the default), or a Rust type.
//!
//! ```
//! use fulmar_stm::Writer;
//!
//! let prices = Writer::new(vec![10, 20, 30]);
//! let mut reader = prices.copy();
//! assert_eq!(reader.latest()[1], 20);
//! assert!(reader.update().is_none(), "nothing new");
//!
//! prices.commit(vec![10, 21, 30]);
//! let snapshot = reader.update().expect("a new version");
//! assert_eq!(snapshot[1], 21);
//! ```
//!
//! # Several writers
//!
//! A `Writer` can be cloned. Each commit is whole, and the last one stands. Who computes a new version from an old one says
//! which, and tries again when another was faster:
//!
//! ```
//! use fulmar_stm::Writer;
//!
//! let counter = Writer::new(0u64);
//! std::thread::scope(|scope| {
//!     for _ in 0..4 {
//!         let counter = counter.clone();
//!         scope.spawn(move || {
//!             for _ in 0..100 {
//!                 loop {
//!                     let seen = counter.snapshot();
//!                     if counter.commit_if(seen.version(), *seen + 1).is_ok() {
//!                         break;
//!                     }
//!                 }
//!             }
//!         });
//!     }
//! });
//! assert_eq!(*counter.snapshot(), 400);
//! ```
//!
//! # Waiting
//!
//! [`Reader::wait`] blocks until there is a version that this reader has not taken, [`Reader::wait_timeout`] not for longer than
//! it is told. [`Reader::poll_update`] is the same without blocking: it leaves a [`Waker`](std::task::Waker), which is woken once by the next
//! commit. A waker is whatever should happen then: a thread is unparked, a future is polled, a service gets a message.
//!
//! # When the writers are gone
//!
//! When the last `Writer` of a box is dropped, or ends with its panicking thread, the box is *closed*. Readers keep their
//! snapshots; one that has not taken the last version can still do so. Waiting for another one ends with [`Closed`], at
//! once for those who wait already. A commit is all or nothing, so a writer that dies half-way through making a value has published
//! nothing.
//!
//! # Cost
//!
//! A commit makes one allocation and takes a lock that only the writers of its box share. A reader that moves on loads a pointer and counts
//! it, in a bounded number of steps whatever the writers do. A reader that has nothing new is two pointers and two words of
//! memory, and a version is kept once, however many hold it.

#![forbid(unsafe_code)]

mod reader;
mod slot;
mod stm_box;
mod waiters;
mod writer;

#[cfg(test)]
mod tests;

pub use reader::{Closed, Reader, WaitError};
pub use stm_box::{Snapshot, Version};
pub use writer::{Conflict, WeakWriter, Writer};
