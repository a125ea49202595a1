//! How an engine runs: on threads, or by hand on virtual time.

use std::sync::Arc;

use fulmar_arena::sync::atomic::Ordering;

use super::{BUILT, Engine, RUNNING, Running, spawn};
use crate::monitor::{self, Slot};
use crate::scheduler::Meter;

impl Engine {
    /// Starts the threads: from now on messages are handled. Does nothing the second time, or for a deterministic engine.
    ///
    /// # Panics
    /// When the system has no threads for us.
    pub fn start(&self) {
        if self.0.scheduler.as_seeded().is_some()
            // AcqRel: what was set up before happens before what threads of services do; pairs with the Acquire in `phase`.
            || self.0.phase.compare_exchange(BUILT, RUNNING, Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            return;
        }
        self.0
            .timer
            .start()
            .expect("the system has a thread for the timer");
        let mut threads = self.threads();
        for index in 0..self.0.scheduler.workers() {
            let engine = self.clone();
            let join = spawn(format!("worker-{index}"), move || {
                engine.0.scheduler.work(&engine, index)
            });
            let slot = Some(Arc::clone(self.0.scheduler.slot(index)));
            threads.fixed.push(Running {
                slot,
                join: join.expect("the system has a thread for each worker"),
            });
        }
        let engine = self.clone();
        let join = spawn("monitor".to_owned(), move || {
            monitor::run(&engine, engine.0.endless_after)
        });
        threads.fixed.push(Running {
            slot: None,
            join: join.expect("the system has a thread for the monitor"),
        });
        for own in &threads.own {
            own.join.thread().unpark(); // they wait for the phase
        }
    }

    /// Runs a deterministic engine: services in an order drawn from the seed, and when none is ready the clock goes to the next timer.
    /// Returns when neither is left.
    ///
    /// # Panics
    /// On an engine with threads.
    pub fn run_until_idle(&self) {
        self.run_until_ns(u64::MAX);
    }

    /// [`Engine::run_until_idle`], but not past engine time `until_ns`, at which the clock stands afterwards if work was left.
    ///
    /// # Panics
    /// On an engine with threads.
    pub fn run_until_ns(&self, until_ns: u64) {
        let seeded = self
            .0
            .scheduler
            .as_seeded()
            .expect("only a deterministic engine is run by hand");
        let slot = Slot::new();
        let meter = Meter::new(self.0.clock.clone(), self.0.profile);
        loop {
            while seeded.step(&slot, &meter) || self.settle_owed() {}
            match self.0.timer.next_event_ns() {
                Some(at_ns) if at_ns <= until_ns => self.0.clock.advance_to_ns(at_ns),
                Some(_) => return self.0.clock.advance_to_ns(until_ns),
                None => return,
            }
            self.0.timer.poll();
        }
    }
}
