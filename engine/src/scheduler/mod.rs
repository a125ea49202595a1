//! The scheduler: run queues of services, and the workers that empty them.
//!
//! It never looks into a message. What travels is a `Task`: the right to run one service, of which there is at most one at any
//! time (rule 2 of [`mailbox`](crate::mailbox)), so that nothing here has to keep two workers off the same service.
//!
//! # Who may touch what
//! | queue | filled by | emptied by |
//! |---|---|---|
//! | run-next slot, one per worker | its worker | its worker; the watch, when the worker is stuck in a message |
//! | deque, one per worker | its worker | its worker at the front, thieves at the front |
//! | inbox, one per worker | anybody | its worker: services pinned to it |
//! | injector | anybody | any worker, in batches |
//!
//! # Rules
//! 1. A worker takes its run-next slot first, but not more than a few times in a row; then inbox, deque, injector. Every now and then the
//!    injector comes first. So nothing waits behind an endless stream of something else.
//! 2. A service that used up its turn goes behind everything that waits on its worker.
//! 3. A push to a shared queue wakes at most one worker, and never none that was needed: [`idle`].
//! 4. A push to the run-next slot wakes nobody, because its worker comes to it within the message in hand. When that message does not
//!    end, the watch moves the task to the injector: within two of its ticks.
//! 5. Workers without work search briefly, also for what the sockets have brought, then park. The last one to park leaves the sockets
//!    to their thread, and lets the arena give memory back.
//! 6. What another worker will have run within microseconds is not stolen, because moving it costs more ([`steal`]). While it waits, one
//!    searcher watches.

mod idle;
#[cfg(not(loom))]
mod inject;
#[cfg(not(loom))]
mod own;
mod park;
#[cfg(not(loom))]
mod queues;
#[cfg(not(loom))]
mod seeded;
#[cfg(not(loom))]
mod stamp;
#[cfg(not(loom))]
mod stats;
#[cfg(not(loom))]
mod steal;
#[cfg(not(loom))]
mod watch;
#[cfg(not(loom))]
mod worker;

pub(crate) use idle::Idle;
pub(crate) use park::Parker;

#[cfg(not(loom))]
mod parts {
    pub(crate) use super::inject::on_service_thread;
    pub(crate) use super::own::OwnThread;
    pub(crate) use super::queues::Scheduler;
    pub(crate) use super::stats::Meter;
}
#[cfg(not(loom))]
pub(crate) use parts::*;
