//! Loom model of the sleep protocol: no timer is left behind by a thread that sleeps past its deadline.
//!
//! Two workers arm, one for a far and one for a near deadline, while the timer thread goes to sleep once. The mailbox's queue
//! stands for the inbox, of which the protocol needs only that a push which has ended is seen by a look behind the fence.

use std::ptr::NonNull;

use fulmar_arena::sync::Arc;
use fulmar_arena::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use fulmar_arena::sync::cell::UnsafeCell;

use super::alarm::Alarm;
use crate::mailbox::{Head, Link, Popped, Queue};

struct Armed {
    next: AtomicPtr<Armed>,
    deadline_ms: u64,
}

impl Link for Armed {
    fn next(&self, order: Ordering) -> *mut Armed {
        self.next.load(order)
    }

    fn set_next(&self, next: *mut Armed, order: Ordering) {
        self.next.store(next, order);
    }
}

struct Model {
    inbox: Queue<Armed>,
    head: UnsafeCell<Head<Armed>>,
    alarm: Alarm,
    woken: AtomicBool,
}

impl Model {
    fn arm(&self, deadline_ms: u64) {
        let armed = Box::new(Armed {
            next: AtomicPtr::new(std::ptr::null_mut()),
            deadline_ms,
        });
        // SAFETY: freshly made and given away; `pop` returns it once.
        unsafe { self.inbox.push(NonNull::from(Box::leak(armed))) };
        if self.alarm.must_wake(deadline_ms) {
            self.woken.store(true, Ordering::Relaxed);
        }
    }

    /// The deadlines that came in.
    fn empty_inbox(&self) -> Vec<u64> {
        let mut deadlines = Vec::new();
        loop {
            // SAFETY: only the timer thread of the model calls this, and then its parent after joining it.
            match self.head.with_mut(|head| unsafe { self.inbox.pop(&mut *head) }) {
                Popped::Empty => return deadlines,
                Popped::Busy => loom::thread::yield_now(),
                Popped::Node(armed) => {
                    // SAFETY: leaked by `arm`, popped once.
                    let armed = unsafe { Box::from_raw(armed.as_ptr()) };
                    deadlines.push(armed.deadline_ms);
                }
            }
        }
    }
}

#[test]
fn no_timer_is_slept_past() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let model = Arc::new(Model {
            inbox: Queue::new(),
            head: UnsafeCell::new(Head::new()),
            alarm: Alarm::new(),
            woken: AtomicBool::new(false),
        });
        let workers = [20, 10].map(|deadline_ms| {
            let model = model.clone();
            loom::thread::spawn(move || model.arm(deadline_ms))
        });
        // The timer thread, until it sleeps: `None` for ever, otherwise until the earliest deadline it knows.
        let mut wheel = model.empty_inbox();
        let wakes_at_ms = loop {
            let wakes_at_ms = wheel.iter().min().copied();
            model.alarm.announce(wakes_at_ms);
            let came_in = model.empty_inbox();
            if came_in.is_empty() {
                break wakes_at_ms;
            }
            wheel.extend(came_in);
            model.alarm.awake();
        };
        workers
            .into_iter()
            .for_each(|worker| worker.join().expect("arming does not panic"));
        let woken = model.woken.load(Ordering::Relaxed);
        for deadline_ms in model.empty_inbox() {
            let in_time = wakes_at_ms.is_some_and(|at_ms| at_ms <= deadline_ms);
            assert!(
                in_time || woken,
                "asleep until {wakes_at_ms:?}, a timer for {deadline_ms} is in the inbox"
            );
        }
    });
}
