//! Stealing: how a worker without work takes some from the others.

use super::worker::{Worker, retry};
use crate::service::Task;

impl Worker<'_> {
    /// Takes about half of another worker's deque, and runs the first of it.
    ///
    /// Run-next slots are left alone: their owner empties them in a moment, and if it does not, the watch does. Services pinned to
    /// a worker are in its inbox, where nobody else looks.
    pub(super) fn steal(&self) -> Option<Task> {
        let workers = &self.scheduler.workers;
        // From the neighbour on, so that thieves do not all start at the same victim.
        (1..workers.len())
            .map(|distance| &workers[(self.index + distance) % workers.len()])
            .find_map(|victim| retry(|| victim.stealer.steal_batch_and_pop(&self.deque)))
    }
}
