//! The single-threaded scheduler: every choice comes from a seeded generator, so a run can be replayed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::monitor::Slot;
use crate::random::Random;
use crate::scheduler::Meter;
use crate::service::Task;

pub(crate) struct Seeded {
    choice: Mutex<Choice>,
}

struct Choice {
    ready: Vec<Task>,
    random: Random,
}

impl Seeded {
    pub(super) fn new(seed: u64) -> Seeded {
        Seeded {
            choice: Mutex::new(Choice {
                ready: Vec::new(),
                random: Random::new(seed),
            }),
        }
    }

    pub(super) fn push(&self, task: Task) {
        self.lock().ready.push(task);
    }

    /// Gives one service that is ready, drawn by lot, a turn of a length drawn by lot. False when none is ready.
    pub(crate) fn step(&self, slot: &Slot, meter: &Meter) -> bool {
        let mut choice = self.lock();
        if choice.ready.is_empty() {
            return false;
        }
        let Choice { ready, random } = &mut *choice;
        let task = ready.swap_remove(random.below(ready.len()));
        let budget = 1 + random.below(MESSAGES_PER_TURN) as u64;
        drop(choice);
        if let Some(task) = task.run(slot, meter, budget) {
            self.push(task);
        }
        true
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Choice> {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Few, so that turns end in the middle of things.
const MESSAGES_PER_TURN: usize = 4;
