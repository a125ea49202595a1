//! A worker: a thread that takes services from the run queues and gives each a turn.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::time::Instant;

use crossbeam_deque::{Steal, Worker as Deque};
use fulmar_arena::sync::atomic::{AtomicPtr, Ordering};
use fulmar_arena::sync::{hint, thread};

use super::queues::{IDLE_AFTER, Scheduler, WorkerShared};
use super::stats::Meter;
use super::steal::Look;
use crate::engine::Engine;
use crate::net::Errand;
use crate::service::{Lane, ServiceCell, Task};

/// The thread-private half of a worker.
pub(super) struct Worker<'a> {
    pub(super) index: usize,
    pub(super) scheduler: &'a Scheduler,
    pub(super) deque: Deque<Task>,
    engine: &'a Engine,
    shared: &'a WorkerShared,
    meter: Meter,
    /// Uses of the run-next slot in a row.
    streak: Cell<u32>,
    turns: Cell<u32>,
    /// Whether the watch knows that this worker is awake.
    pub(super) watched: Cell<bool>,
    /// What a search has seen of the other workers.
    pub(super) looks: Box<[Cell<Option<Look>>]>,
    /// When a search last took a few services with short turns.
    pub(super) took_few: Cell<Instant>,
}

/// What a search ends with.
enum Found<'a> {
    Task(Task),
    /// Something to do for the sockets, which may well bring tasks.
    Errand(Errand<'a>),
}

/// The run-next slot: the service that this worker woke last, and runs next while it is warm in its caches.
///
/// Only its worker fills it; its worker and the watch empty it.
pub(super) struct RunNext(AtomicPtr<ServiceCell>);

impl RunNext {
    pub(super) fn new() -> RunNext {
        RunNext(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts a task in; hands out the one that it displaces. By the worker only.
    #[inline]
    pub(super) fn put(&self, task: Task) -> Option<Task> {
        let raw = task.into_raw();
        // Relaxed: only we store anything but null, so null stays.
        if self.0.load(Ordering::Relaxed).is_null() {
            // Release: the turn that is handed over; pairs with the Acquire in `take`.
            self.0.store(raw, Ordering::Release);
            return None;
        }
        // AcqRel: as the store, and as `take` for the one that comes out.
        let displaced = self.0.swap(raw, Ordering::AcqRel);
        // SAFETY: put here by `into_raw`, and taken out by this swap alone.
        NonNull::new(displaced).map(|raw| unsafe { Task::from_raw(raw) })
    }

    /// Takes the task out. By the worker, or by the watch when the worker is stuck.
    #[inline]
    pub(super) fn take(&self) -> Option<Task> {
        if self.is_empty() {
            return None;
        }
        // Acquire: pairs with the Release in `put`.
        let raw = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: put here by `into_raw`, and taken out by this swap alone.
        NonNull::new(raw).map(|raw| unsafe { Task::from_raw(raw) })
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a glance; whoever acts on it uses `take`.
        self.0.load(Ordering::Relaxed).is_null()
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(engine: &'a Engine, index: usize, deque: Deque<Task>) -> Worker<'a> {
        let scheduler = engine.scheduler();
        Worker {
            index,
            scheduler,
            deque,
            engine,
            shared: &scheduler.workers[index],
            meter: Meter::new(engine.clock().clone(), engine.profile()),
            streak: Cell::new(0),
            turns: Cell::new(0),
            watched: Cell::new(false),
            looks: scheduler.workers.iter().map(|_| Cell::new(None)).collect(),
            took_few: Cell::new(Instant::now()),
        }
    }

    /// Runs services until the scheduler stops.
    pub(super) fn run(&self) {
        // Relaxed: a stopped scheduler also wakes whoever parks.
        while !self.scheduler.stopped.load(Ordering::Relaxed) {
            let Some(task) = self.next().or_else(|| self.rest()) else {
                return;
            };
            self.turn(task);
        }
    }

    fn turn(&self, task: Task) {
        if let Some(task) = task.run(&self.shared.slot, &self.meter, MESSAGES_PER_TURN) {
            self.requeue(task);
        }
        if self.turns.get().is_multiple_of(INJECTOR_EVERY)
            && let Some(errand) = self.engine.sockets().errand(self.index)
        {
            errand.run();
            self.meter.lap(); // not on the account of the next service
        }
    }

    /// Puts a service that is not done behind everything else that waits here.
    fn requeue(&self, task: Task) {
        if let Lane::Worker(_) = task.cell().lane {
            self.shared.inbox.push(task);
            return;
        }
        self.deque.push(task);
        if !self.shared.run_next.is_empty() {
            self.scheduler.notify_one(); // it is not our next one, so somebody else may take it
        }
    }

    /// The next task of the queues that this worker reads first.
    fn next(&self) -> Option<Task> {
        let turns = self.turns.get().wrapping_add(1);
        self.turns.set(turns);
        if turns.is_multiple_of(INJECTOR_EVERY)
            && let Some(task) = self.take_from_injector()
        {
            return Some(task);
        }
        // A chatty pair may not starve the rest of the queue.
        if self.streak.get() < RUN_NEXT_IN_A_ROW
            && let Some(task) = self.shared.run_next.take()
        {
            self.streak.set(self.streak.get() + 1);
            return Some(task);
        }
        self.streak.set(0);
        // In turn, so that services which are pinned here and others do not starve each other.
        let first = if turns.is_multiple_of(2) {
            self.take_from_inbox()
        } else {
            self.deque.pop()
        };
        first
            .or_else(|| self.take_from_inbox())
            .or_else(|| self.deque.pop())
            .or_else(|| self.take_from_injector())
            .or_else(|| self.shared.run_next.take())
    }

    fn take_from_inbox(&self) -> Option<Task> {
        if self.shared.inbox.is_empty() {
            None
        } else {
            retry(|| self.shared.inbox.steal())
        }
    }

    fn take_from_injector(&self) -> Option<Task> {
        let injector = &self.scheduler.injector;
        if injector.is_empty() {
            None
        } else {
            retry(|| injector.steal_batch_and_pop(&self.deque))
        }
    }

    /// Nothing to do here: searches, then sleeps, until there is. `None` when the scheduler stops.
    fn rest(&self) -> Option<Task> {
        let idle = &self.scheduler.idle;
        let mut searching = idle.begin_search(self.shared.pinned.load(Ordering::Relaxed)); // Relaxed: see `WorkerShared`
        loop {
            if searching && let Some(found) = self.search() {
                if idle.found() && self.scheduler.sees_work() {
                    self.scheduler.notify_one();
                }
                let task = match found {
                    Found::Task(task) => Some(task),
                    Found::Errand(errand) => {
                        errand.run();
                        self.next()
                    }
                };
                self.meter.lap();
                if task.is_some() {
                    return task;
                }
                searching = idle.begin_search(self.shared.pinned.load(Ordering::Relaxed)); // as above
                continue;
            }
            self.meter.settle();
            idle.sleep(self.index, searching);
            // The last look: see the liveness argument in `idle`.
            if self.scheduler.sees_work_for(self.index) {
                if !idle.rise(self.index) {
                    self.shared.parker.park(); // chosen: the token is on its way
                }
            } else {
                let sockets = self.engine.sockets();
                sockets.stop_looking(self.index);
                if !idle.has_searcher() {
                    sockets.give_up(idle.all_asleep());
                }
                self.sleep();
            }
            searching = true;
            if self.scheduler.stopped.load(Ordering::Relaxed) {
                idle.found();
                return None;
            }
            self.meter.resume();
            self.watched.set(false);
        }
    }

    /// Parks. When that lasts, it first gives up the memory that it keeps for speed; the last one to do so returns what is free to
    /// the system.
    fn sleep(&self) {
        if self.shared.parker.park_timeout(IDLE_AFTER) {
            return;
        }
        let arena = self.engine.arena();
        if self.scheduler.idle.all_asleep() {
            arena.trim()
        } else {
            arena.flush_thread()
        }
        self.shared.parker.park();
    }

    /// Looks into every queue a few times, and at the sockets; on and on while it alone watches what is not worth taking yet.
    fn search(&self) -> Option<Found<'a>> {
        self.engine.sockets().begin_search();
        self.looks.iter().for_each(|look| look.set(None));
        let mut round = 0;
        while round < SEARCH_ROUNDS {
            if let Some(task) = self.next().or_else(|| self.steal()) {
                return Some(Found::Task(task));
            }
            if let Some(errand) = self.engine.sockets().errand(self.index) {
                return Some(Found::Errand(errand));
            }
            if self.scheduler.stopped.load(Ordering::Relaxed) {
                return None;
            }
            if round < SPIN_ROUNDS {
                (0..SPINS_PER_ROUND).for_each(|_| hint::spin_loop());
            } else {
                thread::yield_now(); // somebody with work may be waiting for this processor
            }
            if round < SPIN_ROUNDS || !self.watches() || !self.scheduler.idle.has_one_searcher() {
                round += 1;
            }
        }
        None
    }
}

/// Repeats an attempt that lost a race.
pub(super) fn retry(attempt: impl Fn() -> Steal<Task>) -> Option<Task> {
    loop {
        match attempt() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => hint::spin_loop(),
        }
    }
}

/// Messages that a service handles before others get their turn.
const MESSAGES_PER_TURN: u64 = 64;
const RUN_NEXT_IN_A_ROW: u32 = 3;
/// Turns after which the injector comes first, and an errand is done, so that a full deque does not starve them. A prime keeps it out
/// of step.
const INJECTOR_EVERY: u32 = 61;
/// Spins are for a machine with nothing else to do; then the processor is offered to whoever has work, which may well be what this
/// worker waits for. All rounds together last some tens of microseconds, somewhat more than a wake-up through the system.
const SPIN_ROUNDS: u32 = 8;
const SPINS_PER_ROUND: u32 = 4;
const SEARCH_ROUNDS: u32 = SPIN_ROUNDS + 96;
