//! The engine: what holds the parts together. Services are launched in `launch` and retired in `retire`; the whole starts in `run` and
//! ends in `shutdown`.
//!
//! An [`Engine`] is a value: two of them live side by side and share nothing but the process's arena. What its parts know of
//! each other goes through here.

mod builder;
mod endless;
mod launch;
mod owners;
mod retire;
mod run;
mod shutdown;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_epoch as epoch;
use fulmar_arena::Arena;
use fulmar_arena::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

pub use self::builder::EngineBuilder;
use crate::clock::Clock;
use crate::env::Env;
use crate::handle::{Handle, Names, Table};
use crate::message::{Body, MessageType};
use crate::message_log::MessageLogSlot;
use crate::monitor::Slot;
use crate::net::Sockets;
use crate::owed::Debts;
use crate::post::LOGGER;
use crate::scheduler::Scheduler;
use crate::service::{Module, ServiceCell, Task};
use crate::timer::Timer;

/// A running node: services, their mailboxes, and the threads that run them.
///
/// Cloning gives another handle to the same engine. It lives until its last service has ended and its threads have stopped, which
/// [`Engine::wait`], [`Engine::shutdown`] and [`Engine::abort`] bring about; dropping handles does not stop it.
///
/// **Shape.** One pointer. Threads once started: the workers, a timer, a monitor, and one for each service that asked for its own.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    harbor: u8,
    profile: bool,
    arena: Arena,
    clock: Clock,
    env: Env,
    table: Table<ServiceCell>,
    names: Names,
    modules: Mutex<HashMap<String, Arc<dyn Module>>>,
    scheduler: Scheduler,
    timer: Timer,
    sockets: Sockets,
    endless_after: Duration,
    phase: AtomicU8,
    /// [`Engine::abort`] was called: the logger is to follow the last service.
    aborted: AtomicBool,
    /// Services that count for the end of the engine, and those that do not.
    live: Mutex<Live>,
    ended: Condvar,
    exit_monitor: AtomicU32,
    harbor_service: AtomicU32,
    threads: Mutex<Threads>,
    hooks: Mutex<Vec<Hook>>,
    /// Errors and expired timers that found no room in the arena.
    debts: Debts,
    /// Services from their retirement to their end.
    retired: Mutex<HashMap<Handle, endless::Retired>>,
}

type Hook = Box<dyn FnOnce(&Engine) + Send>;

#[derive(Default)]
struct Live {
    counted: usize,
    uncounted: usize,
    /// Somebody waits until no more than so many are left.
    awaited: usize,
}

impl Live {
    /// Whether somebody may have waited for this count: to wake a thread for each service that ends costs more than its end.
    fn is_awaited(&self) -> bool {
        self.counted == 0 || self.counted + self.uncounted <= self.awaited
    }
}

#[derive(Default)]
struct Threads {
    /// Workers and monitor: joined at the end.
    fixed: Vec<Running>,
    /// Threads of single services, some of which may have ended.
    own: Vec<Running>,
}

struct Running {
    slot: Option<Arc<Slot>>,
    join: JoinHandle<()>,
}

impl Engine {
    /// Signals a service in this thread. False when there is none, or it takes no signals.
    pub fn signal(&self, handle: Handle, number: i32) -> bool {
        let Some(cell) = self.cell(handle) else {
            return false;
        };
        let Some(target) = cell.signal_target() else {
            return false;
        };
        target.signal(&crate::service::Context::new(cell), number);
        true
    }

    /// What a service says that it holds beside blocks of the arena ([`SignalTarget::heap_bytes`](crate::SignalTarget::heap_bytes)).
    pub fn heap_bytes(&self, handle: Handle) -> usize {
        let target = self.cell(handle).and_then(|cell| cell.signal_target());
        target.map_or(0, |target| target.heap_bytes())
    }

    /// Calls `f` with the POSIX thread that runs a service now, if one does. The thread does not end before `f` returns, but the
    /// service's turn on it may: what is done to the thread has to check what it hits.
    pub fn with_running_thread<R>(&self, handle: Handle, f: impl FnOnce(u64) -> R) -> Option<R> {
        use std::os::unix::thread::JoinHandleExt;
        let threads = self.threads();
        let mut all = threads.fixed.iter().chain(&threads.own);
        let running = all.find(|thread| {
            thread
                .slot
                .as_ref()
                .is_some_and(|slot| slot.destination() == handle)
        })?;
        Some(f(running.join.as_pthread_t()))
    }

    /// The handles that are live now, in ascending slot order.
    pub fn handles(&self) -> Vec<Handle> {
        self.0.table.handles()
    }

    /// Whether a service has this handle now.
    pub fn is_live(&self, handle: Handle) -> bool {
        self.0.table.lookup(handle, &epoch::pin()).is_some()
    }

    /// The local names.
    pub fn names(&self) -> &Names {
        &self.0.names
    }

    /// Gives a service of this node a local name, which goes with it. False, and no change, when the name is taken or the service gone.
    pub fn register_name(&self, name: impl AsRef<[u8]>, handle: Handle) -> bool {
        let Some(cell) = self.cell(handle) else {
            return false;
        };
        let registered = self.names().register(name, cell.handle);
        // Whoever retired it in the meantime may have forgotten its names before this one.
        if registered && !self.is_live(cell.handle) {
            self.names().forget(cell.handle);
            return false;
        }
        registered
    }

    /// The environment.
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The sockets of this node. A deterministic engine refuses to make any.
    pub fn sockets(&self) -> &Sockets {
        &self.0.sockets
    }

    /// The arena that messages live in.
    pub fn arena(&self) -> Arena {
        self.0.arena
    }

    /// The number of this node.
    pub fn harbor(&self) -> u8 {
        self.0.harbor
    }

    /// The number of workers; 0 for a deterministic engine.
    pub fn workers(&self) -> usize {
        self.0.scheduler.workers()
    }

    /// Whether services are charged for the time they use.
    pub fn profile(&self) -> bool {
        self.0.profile
    }

    /// Centiseconds of engine time.
    pub fn now_cs(&self) -> u64 {
        self.0.clock.now_cs()
    }

    /// The Unix time at which engine time began, in seconds.
    pub fn start_time(&self) -> u64 {
        self.0.clock.start_time()
    }

    /// A high-resolution counter in nanoseconds, for measuring.
    pub fn hpc_ns(&self) -> u64 {
        self.0.clock.now_ns()
    }

    /// Whether a handle belongs to another node.
    pub fn is_remote(&self, handle: Handle) -> bool {
        handle.harbor() != 0 && handle.harbor() != self.0.harbor
    }

    /// Asks the service named `logger` to open its file anew, as SIGHUP does.
    pub fn reopen_logs(&self) {
        if let Some(logger) = self.names().query(LOGGER) {
            // A logger that is gone has no file.
            let _ = self.send(Handle::SYSTEM, logger, MessageType::SYSTEM, 0, Body::Empty);
        }
    }

    /// The service that is told of every EXIT and KILL.
    pub fn exit_monitor(&self) -> Option<Handle> {
        nonzero(self.0.exit_monitor.load(Ordering::SeqCst)) // SeqCst: rare, and then everybody should agree
    }

    /// Sets, or clears, the service that is told of every EXIT and KILL.
    pub fn set_exit_monitor(&self, handle: Option<Handle>) {
        self.0
            .exit_monitor
            .store(handle.map_or(0, Handle::bits), Ordering::SeqCst); // SeqCst: as above
    }

    /// The service that messages for other nodes go to.
    pub fn harbor_service(&self) -> Option<Handle> {
        nonzero(self.0.harbor_service.load(Ordering::SeqCst)) // SeqCst: as above
    }

    /// Makes a service the outlet for messages to other nodes. It no longer counts for the end of the engine.
    pub fn set_harbor_service(&self, handle: Handle) {
        // Looked up under the lock: what is found there has not passed `ended` yet, which then undoes all of this.
        let mut live = self.live();
        let Some(cell) = self.cell(handle) else { return };
        self.0.harbor_service.store(cell.handle.bits(), Ordering::SeqCst); // SeqCst: as above
        // SeqCst: under the lock of the count, as in `ended`.
        if !cell.holder.counters.uncounted.swap(true, Ordering::SeqCst) {
            live.counted -= 1;
            live.uncounted += 1;
            self.0.ended.notify_all();
        }
    }

    pub(crate) fn schedule(&self, task: Task) {
        self.0.scheduler.schedule(task);
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.0.scheduler
    }

    pub(crate) fn table(&self) -> &Table<ServiceCell> {
        &self.0.table
    }

    pub(crate) fn timer(&self) -> &Timer {
        &self.0.timer
    }

    /// Whether workers handle messages now.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase(), RUNNING | STOPPING) && self.0.scheduler.as_seeded().is_none()
    }

    /// What all threads that run services show.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        let threads = self.threads();
        threads
            .fixed
            .iter()
            .chain(&threads.own)
            .filter_map(|thread| thread.slot.clone())
            .collect()
    }

    /// Applies `f` to the message log of a service.
    pub(crate) fn with_message_log<R>(
        &self,
        handle: Handle,
        f: impl FnOnce(&MessageLogSlot) -> R,
    ) -> Option<R> {
        self.cell(handle).map(|cell| f(&cell.message_log))
    }

    /// A count of the cell of a local handle.
    fn cell(&self, handle: Handle) -> Option<Arc<ServiceCell>> {
        let guard = epoch::pin();
        let cell = self.0.table.lookup(handle, &guard)?;
        Some(crate::post::counted(cell))
    }

    /// Whether launches are refused.
    fn is_ending(&self) -> bool {
        // Relaxed: set under the lock of the count before the handles are listed under the table's; a launch looks under both.
        self.phase() >= STOPPING || self.0.aborted.load(Ordering::Relaxed)
    }

    fn phase(&self) -> u8 {
        // Acquire: pairs with the AcqRel of the changes.
        self.0.phase.load(Ordering::Acquire)
    }

    // Nothing below panics while it holds one of these locks, except for the system refusing threads at the start.
    fn live(&self) -> MutexGuard<'_, Live> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the two are handles of one engine.
    #[inline]
    pub(crate) fn is_same(&self, other: &Engine) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn debts(&self) -> &Debts {
        &self.0.debts
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn modules(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn Module>>> {
        self.0.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("harbor", &self.0.harbor)
            .finish_non_exhaustive()
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name).spawn(run)
}

fn nonzero(bits: u32) -> Option<Handle> {
    (bits != 0).then_some(Handle::from_bits(bits))
}

/// The life of an engine, in the order of these numbers.
const BUILT: u8 = 0;
const RUNNING: u8 = 1;
const STOPPING: u8 = 2;
const STOPPED: u8 = 3;
