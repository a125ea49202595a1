//! Scheduling: the way of a woken service into a run queue.
//!
//! | woken by | placement | goes to |
//! |---|---|---|
//! | a worker of its engine | any, or that worker | the run-next slot; what was there goes to the deque (or inbox) |
//! | anybody else | any | the injector |
//! | anybody | another worker | that worker's inbox |
//! | anybody | own thread | that thread |

use std::cell::Cell;
use std::ptr;

use super::queues::{Mode, Scheduler};
use super::worker::Worker;
use crate::service::{Lane, Task};

thread_local! {
    /// The worker that runs on this thread, of whichever engine.
    static CURRENT: Cell<*const ()> = const { Cell::new(ptr::null()) };
    /// Whether this thread runs services, as a worker or for one service.
    static RUNS_SERVICES: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one that runs services, for as long as it lives.
pub(super) fn mark_service_thread() {
    RUNS_SERVICES.set(true);
}

/// Whether this thread runs services of any engine, and so must not be blocked by a full mailbox.
pub(crate) fn on_service_thread() -> bool {
    RUNS_SERVICES.get()
}

/// Makes `worker` the current one for the length of `f`.
pub(super) fn with_current<R>(worker: &Worker<'_>, f: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.set(ptr::null());
        }
    }
    let _reset = Reset;
    CURRENT.set(ptr::from_ref(worker).cast());
    f()
}

impl Scheduler {
    /// Puts a service into the run queue where it belongs, and wakes a worker if that is needed.
    #[inline]
    pub(crate) fn schedule(&self, task: Task) {
        if let Mode::Seeded(seeded) = &self.mode {
            return seeded.push(task);
        }
        match self.current() {
            Some(worker) => self.schedule_here(worker, task),
            None => self.inject(task),
        }
    }

    /// This thread's worker, if it is one of ours.
    #[inline]
    fn current(&self) -> Option<&Worker<'_>> {
        let current = CURRENT.get().cast::<Worker<'_>>();
        // SAFETY: set by `with_current`, to a worker that outlives its call, on this thread; what we hand out ends before.
        let worker = unsafe { current.as_ref() }?;
        ptr::eq(worker.scheduler, self).then_some(worker)
    }

    #[inline]
    fn schedule_here(&self, worker: &Worker<'_>, task: Task) {
        match task.cell().lane {
            Lane::Any => {}
            Lane::Worker(index) if index == worker.index => {}
            _ => return self.inject(task),
        }
        let displaced = self.workers[worker.index].run_next.put(task);
        if !worker.watched.get() {
            worker.watched.set(true);
            self.watch.arm();
        }
        if let Some(displaced) = displaced {
            self.overflow(worker, displaced);
        }
    }

    /// A task that lost the run-next slot to a newer one.
    fn overflow(&self, worker: &Worker<'_>, task: Task) {
        match task.cell().lane {
            Lane::Any => {
                worker.deque.push(task);
                self.notify_one();
            }
            _ => self.workers[worker.index].inbox.push(task), // ours, and we are awake
        }
    }

    /// From a thread that is none of our workers, or for another one.
    pub(super) fn inject(&self, task: Task) {
        match &task.cell().lane {
            Lane::Any => {
                self.injector.push(task);
                self.notify_one();
            }
            Lane::Worker(index) => {
                let index = *index;
                let worker = &self.workers[index];
                worker.inbox.push(task);
                if self.idle.notify(index) {
                    worker.parker.unpark();
                }
            }
            Lane::Own(thread) => {
                let thread = std::sync::Arc::clone(thread);
                task.spent(); // the thread knows its service
                thread.wake();
            }
        }
    }

    /// Wakes a worker for a task that was pushed, if none is about to find it anyway.
    #[inline]
    pub(super) fn notify_one(&self) {
        if let Some(worker) = self.idle.notify_one() {
            self.workers[worker].parker.unpark();
        }
    }
}
