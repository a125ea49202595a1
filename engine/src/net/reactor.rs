//! Who asks the system what is ready.
//!
//! One thread at a time does: whoever holds the lock of the round. The thread of the sockets waits there while workers sleep or have
//! other work. When it has brought something it steps aside as long as a worker is awake: one that finds nothing to run looks by
//! itself and takes what there is as an [`Errand`], and the services that are told of it run next on the same worker. So under load
//! nobody is woken for a socket, and a worker's search before it sleeps is the only spinning.
//!
//! # Liveness
//! The thread steps aside for a moment at most ([`ASIDE`]) and then looks by itself, whatever workers do. A worker that goes to sleep
//! calls it back before that when it is the last, or nobody else has looked while it searched: who is awake then is at work for
//! longer. A call that is missed costs what is left of that moment.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fulmar_arena::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::address;
use super::connect::Resolvers;
use super::driver::{Driver, Round};
use super::shared::{Shared, lock, open_reserve};
use super::socket::Socket;
use crate::scheduler::Parker;

/// The thread of the sockets, and what comes with it.
pub(super) struct Reactor {
    pub(super) driver: Arc<Driver>,
    pub(super) resolvers: Resolvers,
    thread: JoinHandle<()>,
}

/// How the thread and the workers share the asking.
pub(super) struct Seat {
    /// There is a reactor. Until then, workers look at nothing else here, and write to nothing that they share.
    is_open: AtomicBool,
    /// Whoever holds it asks the system. None while there is no reactor.
    round: Mutex<Option<Round>>,
    /// Where the thread rests while it is aside.
    parker: Parker,
    aside: AtomicBool,
    /// A worker has asked since the thread did.
    shared: AtomicBool,
    /// The workers that have asked since one began to search and do not sleep, a bit for each (and for every 64th after it).
    lookers: AtomicU64,
}

/// Something that a worker can do for the sockets. Nobody else does it meanwhile, so it has to be run.
#[must_use]
pub(crate) struct Errand<'a> {
    shared: &'a Shared,
    what: What<'a>,
}

enum What<'a> {
    Round(MutexGuard<'a, Option<Round>>),
    Flush(Vec<Arc<Socket>>),
}

impl Errand<'_> {
    /// Does it, on this thread.
    pub(crate) fn run(self) {
        match self.what {
            What::Round(mut round) => {
                if let Some(round) = &mut *round {
                    self.shared.handle_round(round);
                }
            }
            What::Flush(due) => self.shared.flush_all(due),
        }
    }
}

impl Seat {
    pub(super) fn new() -> Seat {
        Seat {
            is_open: AtomicBool::new(false),
            round: Mutex::default(),
            parker: Parker::new(),
            aside: AtomicBool::new(false),
            shared: AtomicBool::new(false),
            lookers: AtomicU64::new(0),
        }
    }

    // Relaxed, all of them: hints; who is misled waits for what is left of `ASIDE`.

    pub(super) fn forget_lookers(&self) {
        if self.has_lookers() {
            self.lookers.store(0, Ordering::Relaxed);
        }
    }

    fn note_looker(&self, worker: usize) {
        if self.lookers.load(Ordering::Relaxed) & bit(worker) == 0 {
            self.lookers.fetch_or(bit(worker), Ordering::Relaxed);
        }
    }

    pub(super) fn forget_looker(&self, worker: usize) {
        if self.lookers.load(Ordering::Relaxed) & bit(worker) != 0 {
            self.lookers.fetch_and(!bit(worker), Ordering::Relaxed);
        }
    }

    pub(super) fn has_lookers(&self) -> bool {
        self.lookers.load(Ordering::Relaxed) != 0
    }

    /// Ends the thread's rest if it is aside.
    pub(super) fn call_back(&self) -> bool {
        // SeqCst: pairs with the store in `step_aside`, see there.
        let aside = self.aside.load(Ordering::SeqCst);
        if aside {
            self.parker.unpark();
        }
        aside
    }
}

impl Shared {
    /// Uses the reactor, which is started when there is none.
    pub(super) fn with_reactor<R>(self: &Arc<Self>, with: impl FnOnce(&Reactor) -> R) -> io::Result<R> {
        if !self.allowed {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "a deterministic engine has no sockets",
            ));
        }
        let mut reactor = lock(&self.reactor);
        if reactor.is_none() {
            // SeqCst: see `stop`.
            if self.stopping.load(Ordering::SeqCst) {
                return Err(io::Error::other("the engine is ending"));
            }
            *reactor = Some(self.start_reactor()?);
        }
        Ok(with(reactor.as_ref().expect("started just now")))
    }

    fn start_reactor(self: &Arc<Self>) -> io::Result<Reactor> {
        let (driver, round) = Driver::new()?;
        let resolvers = Resolvers::start(self)?;
        *lock(&self.seat.round) = Some(round);
        self.seat.is_open.store(true, Ordering::Relaxed); // Relaxed: who misses it looks again
        let shared = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("sockets".to_owned())
            .spawn(move || shared.attend())?;
        *lock(&self.reserve) = open_reserve();
        Ok(Reactor {
            driver: Arc::new(driver),
            resolvers,
            thread,
        })
    }

    /// Ends the thread, then every socket.
    pub(super) fn stop(&self) {
        // SeqCst: rare; `with_reactor` looks at it under the lock of the reactor, which is taken below.
        self.stopping.store(true, Ordering::SeqCst);
        let reactor = lock(&self.reactor).take();
        if let Some(reactor) = reactor {
            drop(reactor.resolvers);
            reactor.driver.wake();
            self.seat.parker.unpark();
            // A panic there has been reported by the panic hook.
            let _ = reactor.thread.join();
        }
        lock(&self.seat.round).take(); // from here on no worker accepts anything
        for socket in self.table.all() {
            let mut state = socket.lock();
            self.flush(&socket, &mut state);
            self.remove(&socket, &mut state);
        }
        lock(&self.held).clear();
        lock(&self.due).clear();
        lock(&self.reserve).take();
    }

    /// Is the thread.
    fn attend(&self) {
        // SeqCst: see `stop`.
        while !self.stopping.load(Ordering::SeqCst) {
            let flushed = self.flush_due();
            // Relaxed: a hint by workers.
            let shared = self.seat.shared.swap(false, Ordering::Relaxed);
            let brought = match &mut *lock(&self.seat.round) {
                // How long to wait is decided with the round in hand: a worker that had it may have taken a wake-up that was for us.
                // SeqCst: see `stop`.
                Some(round) => {
                    let is_busy = flushed
                        || shared
                        || self.stopping.load(Ordering::SeqCst)
                        || !lock(&self.due).is_empty();
                    let limit = if is_busy {
                        Some(Duration::ZERO)
                    } else {
                        self.rest()
                    };
                    round.wait(limit).map(|()| self.handle_round(round))
                }
                None => return,
            };
            match brought {
                Ok(brought) if !flushed && (brought || shared) => self.step_aside(),
                Ok(_) => {}
                Err(error) => {
                    return self
                        .owners
                        .log(&format!("socket-server error: {}", address::text(&error)));
                }
            }
        }
        while self.flush_due() {}
    }

    /// How long there is nothing to do unless the system says so.
    fn rest(&self) -> Option<Duration> {
        if !lock(&self.held).is_empty() {
            return Some(HELD);
        }
        let next_cs = lock(&self.deadlines).next_cs()?;
        Some(Duration::from_millis(
            next_cs.saturating_sub(self.clock.now_cs()) * 10,
        ))
    }

    /// Leaves the asking to workers for a moment, if they are awake and nothing is due.
    fn step_aside(&self) {
        // SeqCst: before the looks below, so that who changes what they see afterwards finds us aside, in `call_back`.
        self.seat.aside.store(true, Ordering::SeqCst);
        if lock(&self.due).is_empty() && self.owners.are_awake() && self.seat.parker.park_timeout(ASIDE) {
            // Relaxed: a hint. Who has called has looked, but does no longer.
            self.seat.shared.store(false, Ordering::Relaxed);
        }
        // Relaxed: a call that finds us aside still leaves a token, which ends the next rest early.
        self.seat.aside.store(false, Ordering::Relaxed);
    }

    /// Something to do for a worker that has nothing to run.
    pub(super) fn errand(&self, worker: usize) -> Option<Errand<'_>> {
        // Relaxed: see `start_reactor`.
        if !self.seat.is_open.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(due) = self.take_due(true) {
            return Some(Errand {
                shared: self,
                what: What::Flush(due),
            });
        }
        let mut round = match self.seat.round.try_lock() {
            Ok(round) => round,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        // Relaxed: see `attend`.
        self.seat.shared.store(true, Ordering::Relaxed);
        self.seat.note_looker(worker);
        // What is wrong with the system the thread finds out too.
        round.as_mut()?.wait(Some(Duration::ZERO)).ok()?;
        let brought = round.as_ref().is_some_and(Round::has_brought);
        brought.then_some(Errand {
            shared: self,
            what: What::Round(round),
        })
    }
}

fn bit(worker: usize) -> u64 {
    1 << (worker % 64)
}

/// How long the thread leaves the asking to workers before it asks by itself.
const ASIDE: Duration = Duration::from_micros(300);
/// How soon sockets are looked at again whose owner does not keep up.
const HELD: Duration = Duration::from_millis(1);
