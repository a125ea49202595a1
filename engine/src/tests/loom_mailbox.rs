//! Models of the mailbox: the queue, the state word, and the close.
//!
//! Whoever gets the turn takes it at once, as a worker would; the runner's private state is a cell that the model watches, so two
//! turns that overlap, or one that does not happen before the next, are found.

use std::ptr::NonNull;

use fulmar_arena::sync::Arc;
use fulmar_arena::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use fulmar_arena::sync::cell::UnsafeCell;
use fulmar_arena::sync::thread;
use loom::model::Builder;

use crate::mailbox::{Added, Done, Head, Link, Popped, Queue, State};

/// A message of the models: who sent it, and its number.
struct Node {
    next: AtomicPtr<Node>,
    content: UnsafeCell<(u32, u32)>,
}

impl Link for Node {
    fn next(&self, order: Ordering) -> *mut Node {
        self.next.load(order)
    }

    fn set_next(&self, next: *mut Node, order: Ordering) {
        self.next.store(next, order);
    }
}

struct Model {
    queue: Queue<Node>,
    /// Of the queue: the holder of the turn only.
    head: UnsafeCell<Head<Node>>,
    state: State,
    /// What the runner has handled: the holder of the turn only.
    handled: UnsafeCell<Vec<(u32, u32)>>,
    answered: AtomicU32,
}

impl Model {
    /// A mailbox whose service has started.
    fn new() -> Arc<Model> {
        let state = State::starting();
        assert_eq!(state.done(1), Done::Idle);
        Arc::new(Model {
            queue: Queue::new(),
            head: UnsafeCell::new(Head::new()),
            state,
            handled: UnsafeCell::new(Vec::new()),
            answered: AtomicU32::new(0),
        })
    }

    fn link(&self, sender: u32, number: u32) {
        let node = Node {
            next: AtomicPtr::new(std::ptr::null_mut()),
            content: UnsafeCell::new((sender, number)),
        };
        let node = NonNull::from(Box::leak(Box::new(node)));
        // SAFETY: leaked just now, freed by whoever pops it.
        unsafe { self.queue.push(node) };
    }

    fn send(&self, sender: u32, number: u32) {
        self.link(sender, number);
        match self.state.add() {
            Added::Pending => {}
            Added::Schedule => self.turn(),
            Added::Drain => self.drain(1, 1),
        }
    }

    fn close(&self) {
        match self.state.add_close() {
            Added::Pending => {}
            Added::Schedule => self.turn(),
            Added::Drain => unreachable!("closed twice"),
        }
    }

    /// A turn, as `service::lifecycle` has it.
    fn turn(&self) {
        loop {
            let snapshot = self.state.snapshot();
            if snapshot.closing {
                self.state.close();
                let units = self.state.snapshot().units;
                return self.drain(units - 1, units);
            }
            for _ in 0..snapshot.units {
                let content = self.pop();
                // SAFETY: we hold the turn.
                self.handled
                    .with_mut(|handled| unsafe { &mut *handled }.push(content));
            }
            if let Done::Idle = self.state.done(snapshot.units) {
                return;
            }
        }
    }

    fn drain(&self, mut messages: u64, mut units: u64) {
        loop {
            for _ in 0..messages {
                self.pop();
                self.answered.fetch_add(1, Ordering::Relaxed); // Relaxed: read after the join
            }
            match self.state.done(units) {
                Done::Idle => return,
                Done::More(left) => (messages, units) = (left, left),
            }
        }
    }

    fn pop(&self) -> (u32, u32) {
        loop {
            if let Some(content) = self.try_pop() {
                return content;
            }
            thread::yield_now();
        }
    }

    fn try_pop(&self) -> Option<(u32, u32)> {
        // SAFETY: the caller holds the turn.
        let popped = self.head.with_mut(|head| unsafe { self.queue.pop(&mut *head) });
        let Popped::Node(node) = popped else {
            return None;
        };
        // SAFETY: leaked by `link`, and popped once.
        let node = unsafe { Box::from_raw(node.as_ptr()) };
        // SAFETY: ours alone; the model checks that the sender's write happened before.
        Some(node.content.with(|content| unsafe { *content }))
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

#[test]
fn a_popped_message_is_whole() {
    check(|| {
        let model = Model::new();
        let other = Arc::clone(&model);
        let sender = thread::spawn(move || {
            other.link(1, 1);
            other.link(1, 2);
        });
        assert_eq!([model.pop(), model.pop()], [(1, 1), (1, 2)]);
        sender.join().expect("the sender ends well");
        assert_eq!(model.try_pop(), None);
    });
}

#[test]
fn a_counted_message_can_be_popped() {
    check(|| {
        let model = Model::new();
        assert_eq!(model.state.add(), Added::Schedule); // the turn is ours
        let other = Arc::clone(&model);
        let sender = thread::spawn(move || {
            other.link(1, 1);
            assert_eq!(other.state.add(), Added::Pending);
        });
        let counted = model.state.snapshot().units - 1;
        assert!(counted == 0 || model.try_pop() == Some((1, 1)));
        sender.join().expect("the sender ends well");
        assert!(counted == 1 || model.try_pop() == Some((1, 1)));
    });
}

#[test]
fn two_senders_lose_nothing_and_keep_their_order() {
    check(|| {
        let model = Model::new();
        let other = Arc::clone(&model);
        let sender = thread::spawn(move || {
            other.send(1, 1);
            other.send(1, 2);
        });
        model.send(2, 1);
        sender.join().expect("the sender ends well");
        // All units are gone, so nobody holds a turn; ours would be the next.
        assert_eq!(model.state.snapshot().units, 0);
        // Acquires the last turn, as a sender that schedules does.
        assert_eq!(model.state.add(), Added::Schedule);
        // SAFETY: the turn is ours.
        let handled = model.handled.with(|handled| unsafe { &*handled }.clone());
        assert_eq!(handled.len(), 3);
        let of = |sender| {
            handled
                .iter()
                .filter(move |seen| seen.0 == sender)
                .map(|seen| seen.1)
        };
        assert!(of(1).eq([1, 2]) && of(2).eq([1]), "{handled:?}");
    });
}

#[test]
fn a_close_answers_what_it_meets_exactly_once() {
    check(|| {
        let model = Model::new();
        let other = Arc::clone(&model);
        let sender = thread::spawn(move || other.send(1, 1));
        model.close();
        sender.join().expect("the sender ends well");
        let snapshot = model.state.snapshot();
        assert_eq!((snapshot.units, snapshot.closing), (0, true));
        // Only turns touch `handled`; the closed shell has none left but ours.
        assert_eq!(model.state.add(), Added::Drain);
        // SAFETY: the turn is ours.
        let handled = model.handled.with(|handled| unsafe { &*handled }.len());
        assert_eq!(handled + model.answered.load(Ordering::Relaxed) as usize, 1);
    });
}
