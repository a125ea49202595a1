//! Models of resting and waking: the idle protocol and the parker, over a mock of the run queues.
//!
//! A lost wake-up shows as a deadlock: the worker parks for ever with a task in the queue.

use fulmar_arena::sync::Arc;
use fulmar_arena::sync::atomic::{AtomicU32, Ordering};
use fulmar_arena::sync::thread;
use loom::model::Builder;

use crate::scheduler::{Idle, Parker};

/// The run queue is a count of tasks, all of its operations relaxed: what order there is comes from the protocol.
struct Model {
    queue: AtomicU32,
    idle: Idle,
    parkers: Vec<Parker>,
}

impl Model {
    fn new(workers: usize) -> Arc<Model> {
        let parkers = (0..workers).map(|_| Parker::new()).collect();
        Arc::new(Model {
            queue: AtomicU32::new(0),
            idle: Idle::new(workers),
            parkers,
        })
    }

    fn push(&self) {
        self.queue.fetch_add(1, Ordering::Relaxed);
        if let Some(worker) = self.idle.notify_one() {
            self.parkers[worker].unpark();
        }
    }

    fn take(&self) -> bool {
        self.queue
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tasks| tasks.checked_sub(1))
            .is_ok()
    }

    fn sees_work(&self) -> bool {
        self.queue.load(Ordering::Relaxed) > 0
    }

    /// The rest of a worker until it has a task, as `scheduler::worker` has it, with a single round of search.
    fn rest(&self, index: usize) {
        let mut searching = self.idle.begin_search(true);
        loop {
            if searching && self.take() {
                if self.idle.found()
                    && self.sees_work()
                    && let Some(worker) = self.idle.notify_one()
                {
                    self.parkers[worker].unpark();
                }
                return;
            }
            self.idle.sleep(index, searching);
            if !self.sees_work() || self.idle.has_searcher() || !self.idle.rise(index) {
                self.parkers[index].park();
            }
            searching = true;
        }
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

#[test]
fn a_push_reaches_a_worker_that_is_about_to_sleep() {
    check(|| {
        let model = Model::new(1);
        let other = Arc::clone(&model);
        let worker = thread::spawn(move || other.rest(0));
        model.push();
        worker.join().expect("the worker ends well");
    });
}

#[test]
fn two_pushes_reach_two_workers() {
    check(|| {
        let model = Model::new(2);
        let workers = [0, 1].map(|index| {
            let other = Arc::clone(&model);
            thread::spawn(move || other.rest(index))
        });
        model.push();
        model.push();
        workers
            .into_iter()
            .for_each(|worker| worker.join().expect("the worker ends well"));
        assert_eq!(model.queue.load(Ordering::Relaxed), 0);
    });
}
