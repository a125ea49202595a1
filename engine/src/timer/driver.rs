//! The timer of an engine: an inbox that workers arm timers through, a [wheel](super::wheel), and the thread that turns it.
//!
//! An armed timer is 16 bytes: deadline, service, session. The response that the service gets is made when it is due, so a service
//! that arms many timers fills no blocks of the arena meanwhile. Arming takes no lock: workers push to a queue, which the
//! thread empties into the wheel.
//!
//! Nothing ticks. The thread sleeps until the wheel has something to do, and the [alarm](super::alarm) tells a worker
//! whether it has to be woken earlier; an engine without timers costs nothing. A deadline is the beginning of a millisecond
//! of the engine's clock, and fires when that clock has reached it, never before: a service that arms `n` centiseconds at
//! `now_cs() == t` sees `now_cs() >= t + n` when the response arrives, between `n - 1` and `n` centiseconds later.
//!
//! # Invariants
//! 1. The inbox is emptied only while the wheel is locked, so timers enter the wheel in the order in which they were armed.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crossbeam_deque::{Injector, Steal};
use crossbeam_utils::CachePadded;
use fulmar_arena::sync::atomic::{AtomicBool, Ordering};

use super::alarm::Alarm;
use super::wheel::Wheel;
use crate::clock::{Clock, MS_PER_CS, NS_PER_MS};
use crate::handle::Handle;

/// Tells a service that its timer of this session has expired.
pub(crate) type Expire = Arc<dyn Fn(Handle, i32) + Send + Sync>;

/// The timers of one engine.
///
/// **Shape.** Arming costs one clock read, one compare-exchange, one fence, an allocation for each 63 timers, and a system call only when
/// the thread would sleep too long.
pub(crate) struct Timer {
    shared: Arc<Shared>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Timer {
    /// A timer on `clock` that gives what expires to `expire`. It does nothing by itself before [`start`](Self::start).
    pub(crate) fn new(clock: Clock, expire: Expire) -> Timer {
        let wheel = Mutex::new(Wheel::new(clock.now_ms()));
        let shared = Shared {
            clock,
            expire,
            inbox: Injector::new(),
            alarm: CachePadded::new(Alarm::new()),
            wheel,
            thread: OnceLock::new(),
            stopping: AtomicBool::new(false),
        };
        Timer {
            shared: Arc::new(shared),
            running: Mutex::new(None),
        }
    }

    /// Has the service `to` told about `session`, `delay_cs` from now. Takes no lock.
    pub(crate) fn arm(&self, to: Handle, session: i32, delay_cs: u32) {
        let shared = &*self.shared;
        let deadline_ms = (shared.clock.now_cs() + u64::from(delay_cs)) * MS_PER_CS;
        shared.inbox.push((deadline_ms, Armed { to, session }));
        if shared.alarm.must_wake(deadline_ms) {
            shared.wake();
        }
    }

    /// Starts the timer thread, once.
    ///
    /// # Errors
    /// The system's, when it has no thread for us.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() && !self.shared.is_stopping() {
            let shared = Arc::clone(&self.shared);
            *running = Some(
                thread::Builder::new()
                    .name("timer".to_owned())
                    .spawn(move || shared.run())?,
            );
        }
        Ok(())
    }

    /// Ends the timer thread and waits for it, unless this is that thread. What is armed does not expire any more.
    pub(crate) fn stop(&self) {
        // Release: pairs with the Acquire in `is_stopping`.
        self.shared.stopping.store(true, Ordering::Release);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = running {
            thread.thread().unpark();
            if thread.thread().id() != thread::current().id() {
                // A panic there has been reported by the panic hook already.
                let _ = thread.join();
            }
        }
    }

    /// Expires what is due by the clock: for an engine without threads.
    pub(crate) fn poll(&self) {
        self.shared.turn(&mut Vec::new());
    }

    /// The earliest time, in nanoseconds of the clock, at which [`poll`](Self::poll) has something to do.
    pub(crate) fn next_event_ns(&self) -> Option<u64> {
        let mut wheel = self.shared.wheel();
        self.shared.empty_inbox(&mut wheel);
        wheel.next_event_ms().map(|at_ms| at_ms * NS_PER_MS)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whose timer it is, and what it is known by there.
struct Armed {
    to: Handle,
    session: i32,
}

/// What the thread and the workers share.
struct Shared {
    clock: Clock,
    expire: Expire,
    inbox: Injector<(u64, Armed)>,
    alarm: CachePadded<Alarm>,
    wheel: Mutex<Wheel<Armed>>,
    thread: OnceLock<Thread>,
    stopping: AtomicBool,
}

impl Shared {
    /// The timer thread.
    fn run(&self) {
        let _first = self.thread.set(thread::current());
        let mut due = Vec::new();
        while !self.is_stopping() {
            self.turn(&mut due);
            let mut wheel = self.wheel();
            let wakes_at_ms = wheel.next_event_ms();
            self.alarm.announce(wakes_at_ms);
            // The second look that the alarm asks for.
            let came_in = self.empty_inbox(&mut wheel);
            drop(wheel);
            if !came_in {
                self.sleep(wakes_at_ms);
            }
            self.alarm.awake();
        }
    }

    /// Takes in what was armed and expires what is due, by way of the empty `due`: a delivery runs the engine's code, and holds up
    /// nobody who wants the wheel.
    fn turn(&self, due: &mut Vec<Armed>) {
        {
            let mut wheel = self.wheel();
            self.empty_inbox(&mut wheel);
            wheel.advance(self.clock.now_ms(), |_, armed| due.push(armed));
        }
        for Armed { to, session } in due.drain(..) {
            (self.expire)(to, session);
        }
        due.shrink_to(KEPT_CAPACITY);
    }

    /// Moves the inbox into the wheel; says whether there was anything.
    fn empty_inbox(&self, wheel: &mut Wheel<Armed>) -> bool {
        let mut came_in = false;
        loop {
            match self.inbox.steal() {
                Steal::Success((deadline_ms, armed)) => {
                    wheel.insert(deadline_ms, armed);
                    came_in = true;
                }
                Steal::Empty => return came_in,
                Steal::Retry => {}
            }
        }
    }

    fn sleep(&self, wakes_at_ms: Option<u64>) {
        match wakes_at_ms {
            None => thread::park(),
            Some(at_ms) => {
                let left_ns = at_ms
                    .saturating_mul(NS_PER_MS)
                    .saturating_sub(self.clock.now_ns());
                thread::park_timeout(Duration::from_nanos(left_ns));
            }
        }
    }

    fn wake(&self) {
        // Without a thread there is no announcement, so nobody has to wake it; and it is set before the first one.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel<Armed>> {
        self.wheel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        // Acquire: pairs with the Release in `stop`.
        self.stopping.load(Ordering::Acquire)
    }
}

/// Timers that may expire together without allocating; more leave no memory behind.
const KEPT_CAPACITY: usize = 1024;
