//! The run queues, and the workers they belong to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_deque::{Injector, Stealer, Worker as Deque};
use fulmar_arena::sync::atomic::{AtomicBool, Ordering};

use super::seeded::Seeded;
use super::watch::Watch;
use super::worker::{self, RunNext, Worker};
use super::{Idle, Meter, Parker, inject};
use crate::engine::Engine;
use crate::monitor::Slot;
use crate::service::Task;

/// The scheduler of one engine.
pub(crate) struct Scheduler {
    pub(super) mode: Mode,
    pub(super) injector: Injector<Task>,
    pub(super) workers: Box<[WorkerShared]>,
    pub(super) idle: Idle,
    pub(crate) watch: Watch,
    pub(super) stopped: AtomicBool,
    /// The deques, until their workers start.
    deques: Mutex<Vec<Option<Deque<Task>>>>,
}

pub(super) enum Mode {
    Threads,
    Seeded(Seeded),
}

/// The half of a worker that others see.
pub(super) struct WorkerShared {
    pub(super) stealer: Stealer<Task>,
    pub(super) inbox: Injector<Task>,
    pub(super) run_next: RunNext,
    pub(super) parker: Parker,
    pub(super) slot: Arc<Slot>,
    /// Whether a service was ever pinned to this worker. Relaxed: it decides only on how the worker waits.
    pub(super) pinned: AtomicBool,
}

impl Scheduler {
    /// A scheduler for that many workers, which run once somebody calls [`Scheduler::work`] for each.
    pub(crate) fn with_workers(workers: usize) -> Scheduler {
        Scheduler::new(Mode::Threads, workers)
    }

    /// A scheduler without threads, which picks by a seeded generator.
    pub(crate) fn seeded(seed: u64) -> Scheduler {
        Scheduler::new(Mode::Seeded(Seeded::new(seed)), 0)
    }

    fn new(mode: Mode, workers: usize) -> Scheduler {
        let deques: Vec<_> = (0..workers).map(|_| Deque::new_fifo()).collect();
        let shared = |deque: &Deque<Task>| WorkerShared {
            stealer: deque.stealer(),
            inbox: Injector::new(),
            run_next: RunNext::new(),
            parker: Parker::new(),
            slot: Arc::new(Slot::new()),
            pinned: AtomicBool::new(false),
        };
        Scheduler {
            mode,
            injector: Injector::new(),
            workers: deques.iter().map(shared).collect(),
            idle: Idle::new(workers),
            watch: Watch::new(workers > 1),
            stopped: AtomicBool::new(false),
            deques: Mutex::new(deques.into_iter().map(Some).collect()),
        }
    }

    /// The number of workers.
    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// What worker `index` shows to the monitor.
    pub(crate) fn slot(&self, index: usize) -> &Arc<Slot> {
        &self.workers[index].slot
    }

    /// A service has been pinned to worker `index`.
    pub(crate) fn pin(&self, index: usize) {
        self.workers[index].pinned.store(true, Ordering::Relaxed); // Relaxed: see the field
    }

    /// The single-threaded mode, if this is it.
    pub(crate) fn as_seeded(&self) -> Option<&Seeded> {
        match &self.mode {
            Mode::Threads => None,
            Mode::Seeded(seeded) => Some(seeded),
        }
    }

    /// Is worker `index`, until the scheduler stops. Once for each worker, on a thread of its own.
    pub(crate) fn work(&self, engine: &Engine, index: usize) {
        let deque = self.deques.lock().unwrap_or_else(PoisonError::into_inner)[index].take();
        let deque = deque.expect("each worker is started once");
        let worker = Worker::new(engine, index, deque);
        inject::mark_service_thread();
        inject::with_current(&worker, || worker.run());
    }

    /// Ends the workers: each finishes the turn in hand.
    pub(crate) fn stop(&self) {
        // SeqCst: before the wake-ups below in everybody's order; a worker that misses the one sees the other.
        self.stopped.store(true, Ordering::SeqCst);
        for (index, worker) in self.workers.iter().enumerate() {
            if self.idle.notify(index) {
                worker.parker.unpark();
            }
        }
        self.watch.stop();
    }

    /// Runs what is scheduled in the calling thread, for an engine whose workers were never started.
    pub(crate) fn run_here(&self, engine: &Engine) {
        let meter = Meter::new(engine.clock().clone(), false);
        let slot = Slot::new();
        let next = || {
            let inboxes = self.workers.iter().map(|worker| &worker.inbox);
            std::iter::once(&self.injector)
                .chain(inboxes)
                .find_map(|queue| worker::retry(|| queue.steal()))
        };
        while let Some(task) = next() {
            if let Some(task) = task.run(&slot, &meter, u64::MAX) {
                self.schedule(task);
            }
        }
    }

    /// Looks after workers that are stuck with a task in their run-next slot: moves it where others find it.
    pub(crate) fn rescue(&self, seen: &mut Vec<u64>) {
        seen.resize(self.workers.len(), 0);
        for (worker, seen) in self.workers.iter().zip(seen) {
            let version = worker.slot.version();
            if std::mem::replace(seen, version) == version
                && let Some(task) = worker.run_next.take()
            {
                self.inject(task);
            }
        }
    }

    /// Whether nothing runs, so that nobody needs the watch.
    pub(crate) fn all_asleep(&self) -> bool {
        self.idle.all_asleep()
    }

    /// Whether a shared queue holds something, or it is time to stop.
    pub(super) fn sees_work(&self) -> bool {
        // SeqCst: one of the looks that the fences of `idle` order.
        self.stopped.load(Ordering::SeqCst)
            || !self.injector.is_empty()
            || self.workers.iter().any(|worker| !worker.stealer.is_empty())
    }

    /// The same for one worker that is about to sleep. Its inbox is nobody else's business; the shared queues are not its own while
    /// another is searching.
    pub(super) fn sees_work_for(&self, index: usize) -> bool {
        // SeqCst: as above.
        self.stopped.load(Ordering::SeqCst)
            || !self.workers[index].inbox.is_empty()
            || self.sees_work() && !self.idle.has_searcher()
    }
}

/// How long a thread rests before it gives up the memory that it keeps for speed.
pub(super) const IDLE_AFTER: Duration = Duration::from_millis(100);
