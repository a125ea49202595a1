//! The engine: what holds the parts together, start, launch and retirement of services.
//!
//! An [`Engine`] is a value: two of them live side by side and share nothing but the process's arena. What its parts know of
//! each other goes through here.

mod builder;
mod owners;
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
use crate::error::LaunchError;
use crate::handle::{Collector, Handle, Names, Table};
use crate::mailbox::Added;
use crate::message::{Body, MessageType};
use crate::message_log::MessageLogSlot;
use crate::monitor::{self, Slot};
use crate::net::Sockets;
use crate::post::{LOGGER, Owed};
use crate::scheduler::{Meter, OwnThread, Scheduler};
use crate::service::{Lane, Module, Placement, Service, ServiceCell, ServiceOptions, Task};
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
    /// Errors that found no room in the arena.
    owed: Mutex<Vec<Owed>>,
}

type Hook = Box<dyn FnOnce(&Engine) + Send>;

#[derive(Default)]
struct Live {
    counted: usize,
    uncounted: usize,
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
    /// Starts a service: gives it a handle and runs its `start` in this thread. What is sent to it in the meantime waits.
    ///
    /// # Errors
    /// [`LaunchError`]: no handle, worker or thread for it, a shutdown under way, or its own refusal. Its handle is then retired, and what
    /// was sent to it answered.
    pub fn spawn(
        &self,
        service: impl Service + 'static,
        options: ServiceOptions,
    ) -> Result<Handle, LaunchError> {
        self.spawn_boxed(Box::new(service), options)
    }

    /// [`Engine::spawn`] of a service of unknown type.
    ///
    /// # Errors
    /// As [`Engine::spawn`].
    pub fn spawn_boxed(
        &self,
        service: Box<dyn Service>,
        options: ServiceOptions,
    ) -> Result<Handle, LaunchError> {
        let own = options.placement == Placement::OwnThread && self.0.scheduler.as_seeded().is_none();
        let own = own.then(|| Arc::new(OwnThread::new()));
        let lane = match (options.placement, &own) {
            (_, Some(thread)) => Lane::Own(Arc::clone(thread)),
            (Placement::Worker(asked), _) if self.0.scheduler.as_seeded().is_none() => {
                let workers = self.0.scheduler.workers();
                if asked >= workers {
                    return Err(LaunchError::NoWorker { asked, workers });
                }
                self.0.scheduler.pin(asked);
                Lane::Worker(asked)
            }
            _ => Lane::Any,
        };
        let signal_target = service.signal_target();
        {
            // Under the lock, so that a shutdown that looks at the count knows of us or we of it.
            let mut live = self.live();
            if self.is_ending() {
                return Err(LaunchError::ShuttingDown);
            }
            live.counted += 1;
        }
        let inserted = self.0.table.insert(&epoch::pin(), |handle| {
            Arc::new(ServiceCell::new(
                self.clone(),
                handle,
                service,
                signal_target,
                lane,
                options.mailbox,
            ))
        });
        let Ok(cell) = inserted else {
            self.live().counted -= 1;
            self.0.ended.notify_all();
            self.retire_last();
            return Err(LaunchError::NoHandle);
        };
        // Looked at again, because whoever ends everything may have listed the handles before ours was among them.
        let ready = match own {
            _ if self.is_ending() => Err(LaunchError::ShuttingDown),
            Some(thread) => self.run_own_thread(thread, Arc::clone(&cell)),
            None => Ok(()),
        };
        if let Err(error) = ready {
            // SAFETY: made above; nobody starts it.
            unsafe { cell.give_up() };
            return Err(error);
        }
        // SAFETY: made above; nobody else starts it.
        unsafe { cell.start(&options.name, &options.args) }.map(|()| cell.handle)
    }

    /// Starts a service of a registered module, with `LAUNCH module args` or `error: launch module FAILED` in the log.
    ///
    /// # Errors
    /// As [`Engine::spawn`], and [`LaunchError::UnknownModule`].
    pub fn launch(&self, module: &str, args: &str) -> Result<Handle, LaunchError> {
        let found = self.modules().get(module).cloned();
        let Some(found) = found else {
            return Err(LaunchError::UnknownModule(module.to_owned()));
        };
        let options = ServiceOptions {
            name: module.to_owned(),
            args: args.to_owned(),
            ..found.options()
        };
        self.spawn_boxed(found.create(), options)
    }

    /// Makes a kind of service launchable by name, in place of what had that name.
    pub fn register_module(&self, name: impl Into<String>, module: Arc<dyn Module>) {
        self.modules().insert(name.into(), module);
    }

    /// Whether a module of this name is registered.
    pub fn has_module(&self, name: &str) -> bool {
        self.modules().contains_key(name)
    }

    /// Starts the threads: from now on messages are handled. Does nothing the second time, or for a deterministic engine.
    ///
    /// # Panics
    /// When the system has no threads for us.
    pub fn start(&self) {
        if self.0.scheduler.as_seeded().is_some()
            // AcqRel: what was set up before happens before what threads of services do; pairs with the Acquire in `phase`.
            || self.0.phase.compare_exchange(BUILT, RUNNING, Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            return;
        }
        self.0
            .timer
            .start()
            .expect("the system has a thread for the timer");
        let mut threads = self.threads();
        for index in 0..self.0.scheduler.workers() {
            let engine = self.clone();
            let join = spawn(format!("worker-{index}"), move || {
                engine.0.scheduler.work(&engine, index)
            });
            let slot = Some(Arc::clone(self.0.scheduler.slot(index)));
            threads.fixed.push(Running {
                slot,
                join: join.expect("the system has a thread for each worker"),
            });
        }
        let engine = self.clone();
        let join = spawn("monitor".to_owned(), move || {
            monitor::run(&engine, engine.0.endless_after)
        });
        threads.fixed.push(Running {
            slot: None,
            join: join.expect("the system has a thread for the monitor"),
        });
        for own in &threads.own {
            own.join.thread().unpark(); // they wait for the phase
        }
    }

    /// Runs a deterministic engine: services in an order drawn from the seed, and when none is ready the clock goes to the next timer.
    /// Returns when neither is left.
    ///
    /// # Panics
    /// On an engine with threads.
    pub fn run_until_idle(&self) {
        self.run_until_ns(u64::MAX);
    }

    /// [`Engine::run_until_idle`], but not past engine time `until_ns`, at which the clock stands afterwards if work was left.
    ///
    /// # Panics
    /// On an engine with threads.
    pub fn run_until_ns(&self, until_ns: u64) {
        let seeded = self
            .0
            .scheduler
            .as_seeded()
            .expect("only a deterministic engine is run by hand");
        let slot = Slot::new();
        let meter = Meter::new(self.0.clock.clone(), self.0.profile);
        loop {
            while seeded.step(&slot, &meter) || self.settle_owed() {}
            match self.0.timer.next_event_ns() {
                Some(at_ns) if at_ns <= until_ns => self.0.clock.advance_to_ns(at_ns),
                Some(_) => return self.0.clock.advance_to_ns(until_ns),
                None => return,
            }
            self.0.timer.poll();
        }
    }

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
        if !cell.counters.uncounted.swap(true, Ordering::SeqCst) {
            live.counted -= 1;
            live.uncounted += 1;
            self.0.ended.notify_all();
        }
    }

    /// Retires a handle: nobody finds it from now on, its names are gone, and its service closes on its last turn. False when it was
    /// not live.
    pub fn retire(&self, handle: Handle) -> bool {
        let Some(cell) = self.0.table.remove(handle) else {
            return false;
        };
        // SAFETY: the table's count is ours until the close unit carries it on.
        let cell = unsafe { cell.as_ref() };
        let handle = cell.handle; // in full, where the caller may have left out the harbor
        let is_logger = self.names().query(LOGGER) == Some(handle);
        self.0.names.forget(handle);
        let mark = if is_logger {
            &cell.counters.drains
        } else {
            &cell.counters.closing
        };
        // Relaxed: the close unit follows, and releases it.
        mark.store(true, Ordering::Relaxed);
        match cell.mailbox.state.add_close() {
            Added::Pending => {}
            // SAFETY: raising the units from zero is what makes the turn ours.
            Added::Schedule => self.schedule(unsafe { Task::new(cell) }),
            Added::Drain => unreachable!("a handle is taken out of the table once"),
        }
        true
    }

    /// [`Engine::retire`], with notice to the exit monitor.
    pub(crate) fn retire_with_notice(&self, handle: Handle) {
        if self.retire(handle)
            && let Some(monitor) = self.exit_monitor()
        {
            // A monitor that is gone, or is this very service, hears nothing.
            let _ = self.send(handle, monitor, MessageType::CLIENT, 0, Body::Empty);
        }
    }

    /// The last act of a closing turn: counts the service out, and retires the shell that the close unit kept.
    pub(crate) fn ended(&self, cell: &ServiceCell) {
        {
            let mut live = self.live();
            // SeqCst: rare; a later harbor service must not be wiped out.
            let _ = self.0.harbor_service.compare_exchange(
                cell.handle.bits(),
                0,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            // SeqCst: under the lock of the count.
            if cell.counters.uncounted.load(Ordering::SeqCst) {
                live.uncounted -= 1;
            } else {
                live.counted -= 1;
            }
            self.0.ended.notify_all();
        }
        self.retire_last();
        if let Lane::Own(thread) = &cell.lane {
            thread.end();
        }
        let shell = Shell(cell);
        let guard = epoch::pin();
        // SAFETY: nobody finds the shell any more, and senders that did are pinned. What is dropped is memory: the service is gone.
        unsafe { Collector::defer(&guard, move || shell.release()) };
        guard.flush();
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

    /// Reports a message that does not end.
    pub(crate) fn report_endless(&self, source: Handle, destination: Handle, version: u64) {
        if let Some(cell) = self.cell(destination) {
            cell.counters.endless.store(true, Ordering::Relaxed); // Relaxed: a flag for people
        }
        self.log(
            Handle::SYSTEM,
            format!("error: A message from [ {source} ] to [ {destination} ] maybe in an endless loop (version = {version})"),
        );
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

    fn run_own_thread(&self, thread: Arc<OwnThread>, cell: Arc<ServiceCell>) -> Result<(), LaunchError> {
        let engine = self.clone();
        let slot = Some(Arc::clone(thread.slot()));
        let handle = cell.handle;
        let run = move || {
            while engine.phase() == BUILT {
                thread::park();
            }
            thread.run(&engine, &cell);
        };
        let mut threads = self.threads();
        threads.own.retain(|own| !own.join.is_finished());
        match spawn(format!("service-{:x}", handle.bits()), run) {
            Ok(join) => {
                threads.own.push(Running { slot, join });
                Ok(())
            }
            Err(error) => Err(LaunchError::Thread(error)),
        }
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

    pub(crate) fn owed(&self) -> MutexGuard<'_, Vec<Owed>> {
        self.0.owed.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The table's count of a shell, on its way to the collector.
struct Shell(*const ServiceCell);

// SAFETY: a count of an `Arc<ServiceCell>`, which is `Send`.
unsafe impl Send for Shell {}

impl Shell {
    fn release(self) {
        // SAFETY: the count that the table made with `Arc::into_raw`; `ended` runs once per cell.
        drop(unsafe { Arc::from_raw(self.0) });
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
