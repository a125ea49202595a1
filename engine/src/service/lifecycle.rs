//! The life of a service after its creation: start, turns, close. The rules are in [`mailbox`](crate::mailbox).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fulmar_arena::sync::Arc;
use fulmar_arena::sync::atomic::Ordering;
use fulmar_arena::sync::{hint, thread};

use super::Service;
use super::cell::{Run, ServiceCell, Task};
use super::context::Context;
use crate::error::LaunchError;
use crate::handle::Handle;
use crate::mailbox::{Done, Popped};
use crate::message::{Message, MessageType};
use crate::monitor::Slot;
use crate::scheduler::Meter;

/// How a turn ended.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnEnd {
    /// Nothing is left; the turn is given up.
    Idle,
    /// There is more; the caller still holds the turn.
    Again,
    /// The service has ended, and with it the turn; the cell may be gone.
    Closed,
}

impl ServiceCell {
    /// Runs `start` in the creator's thread and then lets the messages in.
    ///
    /// # Safety
    /// The caller has just made the cell, and so holds its first turn, which ends.
    pub(crate) unsafe fn start(self: &Arc<ServiceCell>, name: &str, args: &str) -> Result<(), LaunchError> {
        let cx = Context::new(Arc::clone(self));
        let first = |run: &mut Run| {
            let service = run.service.as_mut().expect("a new cell holds its service");
            let outcome = catch_unwind(AssertUnwindSafe(|| service.start(&cx, args)));
            run.started = matches!(outcome, Ok(Ok(())));
            if !run.started {
                discard(&cx, run.service.take());
            }
            outcome
        };
        // SAFETY: the caller's promise.
        let outcome = unsafe { self.with_run(first) };
        let failure = match outcome {
            Ok(Ok(())) => {
                if !name.is_empty() {
                    cx.log(format!("LAUNCH {name} {args}").trim_end());
                }
                // SAFETY: the first turn is still ours.
                unsafe { self.end_start() };
                return Ok(());
            }
            Ok(Err(refusal)) => LaunchError::Refused(refusal),
            Err(panic) => {
                cx.log(format!("error: panic: {}", panic_text(&*panic)));
                LaunchError::Panicked
            }
        };
        if !name.is_empty() {
            cx.log(format!("error: launch {name} FAILED"));
        }
        // SAFETY: the first turn is still ours.
        unsafe { self.give_up() };
        Err(failure)
    }

    /// Ends a service that does not start: closes it in this thread.
    ///
    /// # Safety
    /// The caller holds the first turn, which ends, and `start` did not succeed.
    pub(crate) unsafe fn give_up(&self) {
        self.engine.retire(self.handle);
        // SAFETY: the caller's promise.
        unsafe { self.end_start() };
    }

    /// Takes the start unit off, and passes on what came in meanwhile.
    ///
    /// # Safety
    /// The caller holds the first turn, which ends.
    unsafe fn end_start(&self) {
        let Done::More(_) = self.mailbox.state.done(1) else {
            return;
        };
        // SAFETY: units are left, so the turn is still ours.
        let failed = unsafe { self.with_run(|run| !run.started) };
        if failed && self.mailbox.state.snapshot().closing {
            // In this thread: before the engine runs there is no worker that could.
            // SAFETY: units are left, so the turn is still ours, and the close is one of them.
            unsafe { self.close() };
        } else {
            // SAFETY: units are left, so the turn is still ours.
            let task = unsafe { Task::new(self) };
            self.engine.schedule(task);
        }
    }

    /// Handles up to `budget` messages.
    ///
    /// # Safety
    /// The caller holds the turn, and gives it up unless the answer is [`TurnEnd::Again`].
    #[inline(always)]
    pub(crate) unsafe fn turn(&self, slot: &Slot, meter: &Meter, mut budget: u64) -> TurnEnd {
        let cx = Context::borrow(self);
        meter.begin(&self.holder.counters);
        loop {
            let snapshot = self.mailbox.state.snapshot();
            let messages = snapshot.units - u64::from(snapshot.closing);
            // Relaxed: set before the close unit was added, which the snapshot has acquired.
            if snapshot.closing && (messages == 0 || !self.holder.counters.drains.load(Ordering::Relaxed)) {
                slot.begin(Handle::SYSTEM, self.handle); // a goodbye may not end, either
                // SAFETY: the turn is ours, and the snapshot counts the close.
                unsafe { self.close() };
                slot.end();
                return TurnEnd::Closed;
            }
            let batch = messages.min(budget);
            // SAFETY: the caller's promise.
            let handled = unsafe { self.with_run(|run| self.batch(&cx, run, slot, messages, batch)) };
            meter.end(&self.holder.counters);
            match self.mailbox.state.done(handled) {
                Done::Idle => return TurnEnd::Idle,
                Done::More(_) if handled == budget || handled < batch => return TurnEnd::Again,
                Done::More(_) => budget -= handled,
            }
        }
    }

    /// Handles `batch` messages, or fewer when a sender is late to link one or the service ends. Says how many.
    #[inline(always)]
    fn batch(&self, cx: &Context, run: &mut Run, slot: &Slot, units: u64, batch: u64) -> u64 {
        if let Some(length) = run.overload.observe(units - 1) {
            cx.log(format!("error: May overload, message queue length = {length}"));
        }
        let mut handled = 0;
        let mut in_hand = None;
        let bounded = self.bounded.as_deref();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while handled < batch {
                // SAFETY: the caller holds the turn.
                let Popped::Node(message) = (unsafe { self.mailbox.pop(bounded, &mut run.head) }) else {
                    break;
                };
                handled += 1;
                let Some(service) = run.service.as_mut() else {
                    self.engine.answer_dropped(self.handle, message);
                    continue;
                };
                // Relaxed: as in `turn`.
                self.holder
                    .counters
                    .taken
                    .store(handled as u32, Ordering::Relaxed);
                self.holder.counters.take_on_nothing();
                in_hand = Some((message.source(), message.session(), message.message_type()));
                slot.begin(message.source(), self.handle);
                if self.message_log.is_on() {
                    self.message_log.record(&message, cx.now_cs());
                }
                service.receive(cx, message);
                // Relaxed: a hint to leave early; the state word decides.
                if self.holder.counters.closing.load(Ordering::Relaxed) {
                    break;
                }
            }
        }));
        slot.end();
        // Relaxed: this turn is the only writer, and readers want a figure. The two stores in between may be seen apart.
        self.holder.counters.taken.store(0, Ordering::Relaxed);
        let messages = self.holder.counters.messages.load(Ordering::Relaxed) + handled;
        self.holder.counters.messages.store(messages, Ordering::Relaxed);
        if let Err(panic) = outcome {
            self.end_by_panic(cx, run, in_hand, &*panic);
        }
        if handled == units {
            run.overload.reset();
        }
        handled
    }

    /// `receive` panicked: ends the service, and answers the request that it had in hand.
    fn end_by_panic(
        &self,
        cx: &Context,
        run: &mut Run,
        in_hand: Option<(Handle, i32, MessageType)>,
        panic: &(dyn Any + Send),
    ) {
        cx.log(format!("error: panic: {}", panic_text(panic)));
        run.started = false; // its state is not to be trusted with a goodbye
        discard(cx, run.service.take());
        if let Some((source, session, message_type)) = in_hand
            && session != 0
            && !message_type.is_reply()
            && !self.holder.counters.has_taken_on(source, session)
        {
            self.engine.answer_error(self.handle, source, session);
        }
        cx.tell_launcher();
        self.engine.retire(self.handle);
    }

    /// The closing turn (rule 5): stops the service, answers what is queued, retires the shell.
    ///
    /// # Safety
    /// The caller holds the turn, which ends, and the close is one of its units.
    unsafe fn close(&self) {
        let cx = Context::borrow(self);
        let stop = |run: &mut Run| {
            let mut service = run.service.take();
            if run.started
                && let Some(service) = &mut service
                && let Err(panic) = catch_unwind(AssertUnwindSafe(|| service.stop(&cx)))
            {
                cx.log(format!("error: panic: {}", panic_text(&*panic)));
            }
            service
        };
        // SAFETY: the caller's promise.
        let service = unsafe { self.with_run(stop) };
        discard(&cx, service);
        self.message_log.close(self.engine.clock());
        self.forget_signal_target();
        if let Some(bounded) = &self.bounded {
            bounded.close();
        }
        self.mailbox.state.close();
        let units = self.mailbox.state.snapshot().units;
        // SAFETY: the turn is ours until this ends it; one unit is the close itself.
        unsafe { self.drain(units - 1, units) };
        self.engine.ended(self);
    }

    /// Answers what a late sender pushed into a shell that is closed (rule 6).
    ///
    /// # Safety
    /// The caller holds the turn, which ends, and a count of its own.
    pub(crate) unsafe fn drain_late(&self) {
        let units = self.mailbox.state.snapshot().units;
        // SAFETY: the caller's promise.
        unsafe { self.drain(units, units) };
    }

    /// Answers `messages` queued messages, takes off `units`, and goes on until nothing is left.
    ///
    /// # Safety
    /// The caller holds the turn, which ends.
    unsafe fn drain(&self, mut messages: u64, mut units: u64) {
        loop {
            for _ in 0..messages {
                // SAFETY: the caller's promise.
                let message = unsafe { self.pop_counted() };
                let answer = || self.engine.answer_dropped(self.handle, message);
                // Somebody's value may go with it, whose destructor is theirs.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(answer)) {
                    self.engine
                        .log(self.handle, format!("error: panic: {}", panic_text(&*panic)));
                }
            }
            match self.mailbox.state.done(units) {
                Done::Idle => return,
                Done::More(left) => (messages, units) = (left, left),
            }
        }
    }

    /// Takes a message that is counted, so that it is linked or about to be reachable.
    ///
    /// # Safety
    /// The caller holds the turn.
    unsafe fn pop_counted(&self) -> Message {
        let pop = |run: &mut Run| {
            // SAFETY: the caller holds the turn, and the head is the mailbox's.
            unsafe { self.mailbox.pop(self.bounded.as_deref(), &mut run.head) }
        };
        for attempt in 0u32.. {
            // SAFETY: as above; nothing of the service runs in `pop`.
            if let Popped::Node(message) = unsafe { self.with_run(pop) } {
                return message;
            }
            // A sender stands between its swap and its link: two instructions, unless it lost its processor.
            if attempt < SPINS {
                hint::spin_loop()
            } else {
                thread::yield_now()
            }
        }
        unreachable!("the range does not end")
    }

    /// Gives access to what the holder of the turn works on.
    ///
    /// # Safety
    /// The caller holds the turn, and `f` does not come here again.
    unsafe fn with_run<R>(&self, f: impl FnOnce(&mut Run) -> R) -> R {
        // SAFETY: the caller's promise, and invariant 1 of `ServiceCell`.
        self.holder.run.with_mut(|run| f(unsafe { &mut *run }))
    }
}

/// Drops a service; a panic in its destructor ends here.
fn discard(cx: &Context, service: Option<Box<dyn Service>>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(service))) {
        cx.log(format!("error: panic: {}", panic_text(&*panic)));
    }
}

/// The text of a panic, as far as it has one.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "(no text)"
    }
}

const SPINS: u32 = 64;
