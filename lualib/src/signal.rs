//! Interrupting Lua code from another thread.
//!
//! A signal for a service sets its pending flag. Lua code that starts or continues afterwards gets a debug hook that raises
//! `signal 0` at the next instruction. Code that runs already is reached through an operating system signal to the worker
//! thread: the handler installs the hook on the Lua thread that this worker is running, which is the asynchronous use that
//! `lua_sethook` is made for (it is how the stand-alone interpreter reacts to Ctrl-C).

use std::cell::Cell;
use std::ffi::c_int;
use std::io;
use std::ptr;
use std::sync::OnceLock;

use fulmar_arena::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use fulmar_engine::{Context, SignalTarget};
use mlua::ffi::{self, lua_State};

use crate::vm::Vm;

/// What other threads may know of a running service.
///
/// A cache line long, as is what counts its references: together they are a pair, see [`lines`](crate::lines).
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct SignalState {
    /// The next or the running Lua code of the service is to be interrupted.
    pending: AtomicBool,
    /// Bytes of the Lua heap at the end of the last turn.
    heap_bytes: AtomicUsize,
    /// Its command line.
    line: OnceLock<Box<str>>,
}

thread_local! {
    /// The Lua thread that this worker runs right now. Read by the signal handler of the same thread.
    static ACTIVE: Cell<*mut lua_State> = const { Cell::new(ptr::null_mut()) };
}

impl SignalState {
    /// Sets what the service is called.
    pub(crate) fn call(&self, line: &str) {
        // Only its start does, once.
        let _ = self.line.set(line.into());
    }

    /// Publishes the size of the heap for whoever asks from another thread.
    pub(crate) fn publish(&self, heap_bytes: usize) {
        // Relaxed: a figure for people; nothing is read by it.
        self.heap_bytes.store(heap_bytes, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        // Relaxed: the flag carries no data; whoever sees it raises.
        self.pending.load(Ordering::Relaxed) && self.pending.swap(false, Ordering::Relaxed)
    }
}

impl SignalTarget for SignalState {
    fn signal(&self, context: &Context, number: i32) {
        context.log(format!("recv a signal {number}"));
        match number {
            0 => {
                // SeqCst: the handler on the worker's thread must see the flag that its interruption announces.
                self.pending.store(true, Ordering::SeqCst);
                context.engine().with_running_thread(context.handle(), |thread| {
                    // SAFETY: the engine keeps the thread alive during this call; the signal has a handler of ours.
                    unsafe { libc::pthread_kill(thread as libc::pthread_t, SIGNAL) };
                });
            }
            1 => {
                let kibibytes = self.heap_bytes.load(Ordering::Relaxed) as f64 / 1024.0;
                context.log(format!("Current Memory {kibibytes:.3}K"));
            }
            _ => {}
        }
    }

    fn name(&self) -> Option<String> {
        self.line.get().map(|line| line.to_string())
    }

    fn heap_bytes(&self) -> usize {
        // Relaxed: as in `publish`.
        self.heap_bytes.load(Ordering::Relaxed)
    }
}

/// Ignored by default, and nobody's business in a server that reads its sockets without out-of-band data.
const SIGNAL: c_int = libc::SIGURG;

/// Installs the handler, once per process.
///
/// # Errors
/// When the system refuses the handler.
pub(crate) fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result = INSTALLED.get_or_init(|| {
        // SAFETY: the handler only reads a thread-local cell and sets a hook, both of which are safe in a signal handler.
        unsafe { signal_hook::low_level::register(SIGNAL, interrupt_active) }
            .map(|_| ())
            .map_err(|error| error.raw_os_error().unwrap_or(0))
    });
    result.map_err(io::Error::from_raw_os_error)
}

/// The signal handler: runs on the worker's own thread, between two of its instructions.
fn interrupt_active() {
    let _ = ACTIVE.try_with(|active| {
        let state = active.get();
        if !state.is_null() {
            // SAFETY: the cell names a live Lua thread for as long as this worker runs it, and the worker is interrupted.
            unsafe {
                let vm = Vm::of(state);
                // Only this field: the interrupted code may be changing the others.
                let signal = &(*vm).signal;
                if signal.pending.load(Ordering::SeqCst) {
                    set_hook(state);
                }
            }
        }
    });
}

/// # Safety
/// `state` is live and not run by another thread.
unsafe fn set_hook(state: *mut lua_State) {
    // SAFETY: setting a hook is allowed at any instruction.
    unsafe { ffi::lua_sethook(state, Some(interrupt), ffi::LUA_MASKCOUNT, 1) };
}

unsafe extern "C-unwind" fn interrupt(state: *mut lua_State, _record: *mut ffi::lua_Debug) {
    // SAFETY: a hook may raise; nothing is owned here.
    unsafe {
        ffi::lua_sethook(state, None, 0, 0);
        if (*Vm::of(state)).signal.take() {
            ffi::luaL_error(state, c"signal 0".as_ptr());
        }
    }
}

/// Marks `state` as the Lua thread that this worker runs until the guard's `leave`; no destructor, because Lua may jump.
pub(crate) struct Running(*mut lua_State);

impl Running {
    /// # Safety
    /// `state` is live until `leave`.
    pub(crate) unsafe fn enter(vm: *mut Vm, state: *mut lua_State) -> Running {
        let outer = ACTIVE.replace(state);
        // SAFETY: the state is this thread's.
        unsafe {
            if (&*vm).signal.pending.load(Ordering::Relaxed) {
                set_hook(state);
            }
        }
        Running(outer)
    }

    pub(crate) fn leave(self) {
        ACTIVE.set(self.0);
    }
}

/// `lua_resume` with the thread marked as running, and its processor time counted when somebody wants to know it.
///
/// Inlined, as all of its callers up to the worker's loop are: see "Returns after a yield" in `ARCHITECTURE.md`.
///
/// # Safety
/// As for `lua_resume`.
#[inline(always)]
pub(crate) unsafe fn resume(
    vm: *mut Vm,
    thread: *mut lua_State,
    from: *mut lua_State,
    arguments: c_int,
    results: &mut c_int,
) -> c_int {
    // SAFETY: by the caller; `lua_resume` does not raise.
    unsafe {
        let running = Running::enter(vm, thread);
        (*vm).profiles.begin(thread);
        let status = ffi::lua_resume(thread, from, arguments, results);
        (*vm).profiles.end(thread);
        running.leave();
        status
    }
}
