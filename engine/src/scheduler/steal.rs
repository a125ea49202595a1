//! Stealing: how a worker without work takes some from the others.
//!
//! A stolen service brings its state along, kilobytes in another core's caches, and so do those that it talks to. For turns of less
//! than a microsecond that costs more than it saves, and services with a common partner are pulled back and forth for good. So a
//! thief first looks how fast its victim gets on. When messages are slow, or much waits, it takes half. When they are short it takes a few
//! now and then: services that have nothing to do with those left behind stay with it.

use std::time::{Duration, Instant};

use super::worker::{Worker, retry};
use crate::service::Task;

/// What a thief saw of a victim that had work.
#[derive(Clone, Copy)]
pub(super) struct Look {
    at: Instant,
    /// Of the victim's slot: how many messages it has begun.
    version: u64,
}

impl Worker<'_> {
    /// Takes some of another worker's deque, and runs the first of it.
    ///
    /// Run-next slots are left alone: their owner empties them in a moment, and if it does not, the watch does. Services pinned to
    /// a worker are in its inbox, where nobody else looks.
    pub(super) fn steal(&self) -> Option<Task> {
        let workers = &self.scheduler.workers;
        // From the neighbour on, so that thieves do not all start at the same victim.
        (1..workers.len())
            .map(|distance| (self.index + distance) % workers.len())
            .find_map(|victim| {
                let most = self.worth_taking(victim)?;
                retry(|| {
                    workers[victim]
                        .stealer
                        .steal_batch_with_limit_and_pop(&self.deque, most)
                })
            })
    }

    /// How much to take from a victim at most. Its memory is only looked at every now and then, for the victim writes to it.
    fn worth_taking(&self, victim: usize) -> Option<usize> {
        let look = &self.looks[victim];
        let victim = &self.scheduler.workers[victim];
        let before = look.get();
        let spent = before.map(|before| before.at.elapsed());
        if spent.is_some_and(|spent| spent < BETWEEN_LOOKS) {
            return None;
        }
        let (waiting, version) = (victim.stealer.len() as u32, victim.slot.version());
        if waiting == 0 {
            look.set(None);
            return None;
        }
        let now = Instant::now();
        look.set(Some(Look { at: now, version }));
        let spent = spent?;
        let messages = (version - before?.version) as u32 / STEPS_PER_MESSAGE;
        if spent >= SLOW_MESSAGE * messages || spent * waiting >= LONG_WAIT * messages {
            return Some(MANY);
        }
        let rested = now - self.took_few.get() >= BETWEEN_FEW;
        rested.then(|| {
            self.took_few.set(now);
            FEW
        })
    }

    /// Whether a victim has work that was not worth taking at the last look.
    pub(super) fn watches(&self) -> bool {
        self.looks.iter().any(|look| look.get().is_some())
    }
}

/// Between two looks at a victim.
const BETWEEN_LOOKS: Duration = Duration::from_micros(25);
/// The slot's version goes up when a message begins and when a turn ends; most turns are one message long.
const STEPS_PER_MESSAGE: u32 = 2;
/// A message that is worth more than moving its service.
const SLOW_MESSAGE: Duration = Duration::from_micros(5);
/// If every service that waits had one message.
const LONG_WAIT: Duration = Duration::from_micros(500);
const MANY: usize = 32;
const FEW: usize = 8;
const BETWEEN_FEW: Duration = Duration::from_millis(10);
