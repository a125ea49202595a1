//! `skynet.profile`: processor time of coroutines, and the versions of `coroutine.resume` and `coroutine.wrap` that count it.

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};
use rustix::time::{ClockId, clock_gettime};

use crate::signal;
use crate::stack::{self, native};
use crate::tasks::FastMap;
use crate::vm::Vm;

/// Threads whose time is being counted.
#[derive(Default)]
pub(crate) struct Profiles {
    timers: FastMap<usize, Timer>,
}

#[derive(Clone, Copy)]
struct Timer {
    total_ns: u64,
    /// When the thread was last resumed; none while it is suspended.
    since_ns: Option<u64>,
}

impl Profiles {
    /// The thread is about to run.
    #[inline]
    pub(crate) fn begin(&mut self, thread: *mut lua_State) {
        if self.timers.is_empty() {
            return;
        }
        if let Some(timer) = self.timers.get_mut(&(thread as usize)) {
            timer.since_ns = Some(thread_ns());
        }
    }

    /// The thread has stopped running.
    #[inline]
    pub(crate) fn end(&mut self, thread: *mut lua_State) {
        if self.timers.is_empty() {
            return;
        }
        if let Some(timer) = self.timers.get_mut(&(thread as usize))
            && let Some(since_ns) = timer.since_ns.take()
        {
            timer.total_ns += thread_ns() - since_ns;
        }
    }

    /// The thread is gone; its address may name another one soon.
    pub(crate) fn forget(&mut self, thread: *mut lua_State) {
        if !self.timers.is_empty() {
            self.timers.remove(&(thread as usize));
        }
    }
}

/// Processor time of the calling thread.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"start", start),
    (c"stop", stop),
    (c"resume", resume),
    (c"wrap", wrap),
];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

/// Puts the counting versions into the global `coroutine` table.
///
/// # Safety
/// May raise; the standard libraries are open.
pub(crate) unsafe fn install(state: *mut lua_State) {
    // SAFETY: by the caller. Stack: unchanged.
    unsafe {
        ffi::lua_getglobal(state, c"coroutine".as_ptr());
        stack::register(state, &[(c"resume", resume), (c"wrap", wrap)]);
        ffi::lua_pop(state, 1);
    }
}

/// The thread at index 1, or the running one.
unsafe fn subject(state: *mut lua_State) -> *mut lua_State {
    // SAFETY: the check may raise; nothing is owned.
    unsafe {
        if ffi::lua_isnoneornil(state, 1) != 0 {
            return state;
        }
        ffi::luaL_checktype(state, 1, ffi::LUA_TTHREAD);
        ffi::lua_tothread(state, 1)
    }
}

/// Its address is the registry key of a table with the threads that have a timer as weak keys: an address alone may be that of a
/// thread which was collected without having been stopped.
static TIMED: u8 = 0;

/// Whether this very thread has a timer; notes that it has one from now on, or none.
///
/// # Safety
/// May raise a memory error; nothing is owned.
unsafe fn replace_timed(state: *mut lua_State, thread: *mut lua_State, timed: bool) -> bool {
    // SAFETY: by the caller. Stack: unchanged.
    unsafe {
        let top = ffi::lua_gettop(state);
        if ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, (&raw const TIMED).cast()) != ffi::LUA_TTABLE {
            ffi::lua_createtable(state, 0, 1);
            stack::make_weak(state, c"k");
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, (&raw const TIMED).cast());
        }
        let table = ffi::lua_gettop(state);
        for _ in 0..2 {
            if thread == state {
                ffi::lua_pushthread(state);
            } else {
                ffi::lua_pushvalue(state, 1);
            }
        }
        let was = ffi::lua_rawget(state, table) != ffi::LUA_TNIL;
        ffi::lua_pop(state, 1);
        if timed {
            ffi::lua_pushboolean(state, 1);
        } else {
            ffi::lua_pushnil(state);
        }
        ffi::lua_rawset(state, table);
        ffi::lua_settop(state, top);
        was
    }
}

native! {
    /// `start([thread])`
    fn start(state) {
        // SAFETY: no Lua code runs after the check.
        unsafe {
            let thread = subject(state);
            let is_new = !replace_timed(state, thread, true);
            let timers = &mut (*Vm::of(state)).profiles.timers;
            if !is_new && timers.contains_key(&(thread as usize)) {
                return Err(format!("Thread {thread:p} start profile more than once").into());
            }
            let since_ns = (thread == state).then(thread_ns);
            timers.insert(thread as usize, Timer { total_ns: 0, since_ns });
            Ok(0)
        }
    }
}

native! {
    /// `stop([thread]) -> seconds`
    fn stop(state) {
        // SAFETY: pushes one number.
        unsafe {
            let thread = subject(state);
            let is_timed = replace_timed(state, thread, false);
            let timers = &mut (*Vm::of(state)).profiles.timers;
            let Some(timer) = timers.remove(&(thread as usize)).filter(|_| is_timed) else {
                return Err("Call profile.start() before profile.stop()".into());
            };
            let running_ns = timer.since_ns.map_or(0, |since_ns| thread_ns() - since_ns);
            ffi::lua_pushnumber(state, (timer.total_ns + running_ns) as f64 / 1e9);
            Ok(1)
        }
    }
}

/// Resumes `thread` with the top `arguments` values of `state`. The number of results on top of `state`, or none with the
/// error value on top.
///
/// # Safety
/// As for `lua_resume`; nothing is owned by the caller.
unsafe fn resume_thread(state: *mut lua_State, thread: *mut lua_State, arguments: c_int) -> Option<c_int> {
    // SAFETY: every push has been checked for room. What `lua_resume` would refuse is refused here: its text would be made on
    // a thread that is not protected from memory errors.
    unsafe {
        let status = ffi::lua_status(thread);
        if stack::is_running(thread) {
            ffi::lua_pushstring(state, c"cannot resume non-suspended coroutine".as_ptr());
            return None;
        }
        if status != ffi::LUA_YIELD && (status != ffi::LUA_OK || ffi::lua_gettop(thread) == 0) {
            ffi::lua_pushstring(state, c"cannot resume dead coroutine".as_ptr());
            return None;
        }
        if ffi::lua_checkstack(thread, arguments) == 0 {
            ffi::lua_pushstring(state, c"too many arguments to resume".as_ptr());
            return None;
        }
        ffi::lua_xmove(state, thread, arguments);
        let mut results = 0;
        let status = signal::resume(Vm::of(state), thread, state, arguments, &mut results);
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            ffi::lua_xmove(thread, state, 1);
            return None;
        }
        if ffi::lua_checkstack(state, results + 1) == 0 {
            ffi::lua_pop(thread, results);
            ffi::lua_pushstring(state, c"too many results to resume".as_ptr());
            return None;
        }
        ffi::lua_xmove(thread, state, results);
        Some(results)
    }
}

/// `resume(co, ...)` as `coroutine.resume`.
unsafe extern "C-unwind" fn resume(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: true and the results, or false and the error.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTHREAD);
        let thread = ffi::lua_tothread(state, 1);
        let arguments = ffi::lua_gettop(state) - 1;
        match resume_thread(state, thread, arguments) {
            Some(results) => {
                ffi::lua_pushboolean(state, 1);
                ffi::lua_rotate(state, -(results + 1), 1);
                results + 1
            }
            None => {
                ffi::lua_pushboolean(state, 0);
                ffi::lua_rotate(state, -2, 1);
                2
            }
        }
    }
}

/// `wrap(f)` as `coroutine.wrap`.
unsafe extern "C-unwind" fn wrap(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let thread = ffi::lua_newthread(state);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_xmove(state, thread, 1);
        ffi::lua_pushcclosure(state, wrapped, 1);
        1
    }
}

unsafe extern "C-unwind" fn wrapped(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned when an error is passed on. An error string gets the caller's position, as Lua's own `wrap`
    // does, after the thread's pending variables have been closed.
    unsafe {
        let thread = ffi::lua_tothread(state, ffi::lua_upvalueindex(1));
        let arguments = ffi::lua_gettop(state);
        if let Some(results) = resume_thread(state, thread, arguments) {
            return results;
        }
        let status = ffi::lua_status(thread);
        let failed = status != ffi::LUA_OK && status != ffi::LUA_YIELD;
        if failed && ffi::lua_closethread(thread, state) != ffi::LUA_OK {
            // A pending variable's handler has raised another error in its place.
            ffi::lua_pop(state, 1);
            ffi::lua_xmove(thread, state, 1);
        }
        if status != ffi::LUA_ERRMEM && ffi::lua_type(state, -1) == ffi::LUA_TSTRING {
            ffi::luaL_where(state, 1);
            ffi::lua_rotate(state, -2, 1);
            ffi::lua_concat(state, 2);
        }
        ffi::lua_error(state)
    }
}
