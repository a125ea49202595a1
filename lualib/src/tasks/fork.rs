//! Forking and killing tasks.

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use super::end::{end, refuse_request};
use super::run::take_task;
use super::{Fork, State, TaskId, Wait, anchor, release_anchor};
use crate::raw;
use crate::stack::{self, native};
use crate::vm::Vm;

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] =
    &[(c"killthread", killthread), (c"clear_forks", clear_forks)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[(c"fork", fork)];

native! {
    /// `fork(func, ...) -> thread`
    fn fork(state) {
        // SAFETY: a thread is made before anything is moved; the queue grows outside of Lua. Stack: one result when it is
        // wanted.
        unsafe {
            stack::check_callable(state, 1);
            let vm = Vm::of(state);
            let values = ffi::lua_gettop(state);
            if values == 1 && raw::wanted_results(state) == 0 {
                // Nobody looks at the thread: the one that will run the function is chosen when its turn comes.
                let function = anchor(state);
                (*vm).tasks.forks.push_back(Fork::Function(function));
                return Ok(0);
            }
            ffi::luaL_checkstack(state, 4, std::ptr::null());
            let id = take_task(state);
            let task = (*vm).tasks.task(id);
            task.state = State::Ready;
            let thread = task.thread;
            if ffi::lua_checkstack(thread, values + 2) == 0 {
                (*vm).tasks.task(id).state = State::Idle;
                (*vm).tasks.idle.push(id);
                return Err("stack overflow".into());
            }
            ffi::lua_xmove(state, thread, values);
            (*vm).tasks.forks.push_back(Fork::Thread(id));
            ffi::lua_pushthread(thread);
            ffi::lua_xmove(thread, state, 1);
            Ok(1)
        }
    }
}

native! {
    /// `clear_forks()`: whatever has not started never will.
    fn clear_forks(state) {
        // SAFETY: `end` runs no code of a thread that never started.
        unsafe {
            drop_all(Vm::of(state), state, |_| true);
            Ok(0)
        }
    }
}

/// Drops what was forked and has not started, as far as it `goes`: by a service that leaves, or that has no room to start it.
///
/// # Safety
/// As for [`end`].
pub(super) unsafe fn drop_all(vm: *mut Vm, from: *mut lua_State, goes: impl Fn(&Fork) -> bool) {
    // SAFETY: threads that never started have nothing to close.
    unsafe {
        for fork in std::mem::take(&mut (*vm).tasks.forks) {
            match fork {
                fork if !goes(&fork) => (*vm).tasks.forks.push_back(fork),
                Fork::Thread(id) => end(vm, from, id),
                Fork::Function(function) | Fork::Failed(function) => release_anchor(vm, function),
            }
        }
    }
}

native! {
    /// `killthread(thread) -> thread | nil`, or of a timer that has none yet `killthread(session) -> session | nil`. `skynet.killthread`
    /// finds either for a pattern.
    fn killthread(state) {
        // SAFETY: the thread stays on the stack while it is closed. Stack: one result.
        unsafe {
            if let Some(session) = raw::argument(state, 1).as_integer() {
                let ended = end_timer(Vm::of(state), session as i32);
                ffi::lua_settop(state, 1);
                return Ok(c_int::from(ended));
            }
            ffi::luaL_checktype(state, 1, ffi::LUA_TTHREAD);
            ffi::lua_settop(state, 1);
            ffi::luaL_checkstack(state, 8, std::ptr::null());
            let vm = Vm::of(state);
            let thread = ffi::lua_tothread(state, 1);
            let Some(id) = (*vm).tasks.by_thread.get(&(thread as usize)).copied() else { return Ok(0) };
            if !forget(vm, id) {
                return Ok(0);
            }
            refuse_request(vm, id);
            end(vm, state, id);
            Ok(1)
        }
    }
}

/// Ends a timer without a thread: it will start nothing. Whether there was one.
///
/// # Safety
/// No Lua code runs in here.
unsafe fn end_timer(vm: *mut Vm, session: i32) -> bool {
    // SAFETY: the anchor of a timer is live until the wait is removed.
    unsafe {
        let Some(&Wait::Timer { function, .. }) = (*vm).tasks.waits.get(session) else {
            return false;
        };
        forget_wait(vm, session);
        release_anchor(vm, function);
        true
    }
}

/// Takes a task that is not running out of whatever would resume it; false when there is nothing to kill.
///
/// # Safety
/// No Lua code runs in here.
pub(super) unsafe fn forget(vm: *mut Vm, id: TaskId) -> bool {
    // SAFETY: by the caller.
    unsafe {
        let tasks = &mut (*vm).tasks;
        // A plain coroutine that waits has marked its task, which runs on.
        if stack::is_running(tasks.task(id).thread) {
            return false;
        }
        match tasks.task(id).state {
            State::Ready => {
                tasks
                    .forks
                    .retain(|fork| !matches!(fork, Fork::Thread(other) if *other == id));
            }
            State::Suspended => {
                tasks.woken.retain(|other| *other != id);
                tasks.failed.retain(|other| *other != id);
            }
            _ => return false,
        }
        let session = tasks.task(id).session;
        forget_wait(vm, session);
        true
    }
}

/// Nobody waits under `session` any more: what still arrives for it is dropped.
///
/// # Safety
/// No Lua code runs in here.
pub(super) unsafe fn forget_wait(vm: *mut Vm, session: i32) {
    // SAFETY: by the caller; the anchors of a wait are live until it is removed.
    unsafe {
        let waits = &raw mut (*vm).tasks.waits;
        match (*waits).remove(session) {
            Some(Wait::Sleep { timer, token, .. }) => {
                if timer {
                    (*waits).insert(session, Wait::Cancelled);
                }
                super::wait::forget_token(vm, token);
            }
            Some(Wait::Timer { traceback, .. } | Wait::TaskTimer { traceback, .. }) => {
                (*waits).insert(session, Wait::Cancelled);
                if let Some(traceback) = traceback {
                    release_anchor(vm, traceback);
                }
            }
            Some(Wait::Call { .. } | Wait::Request { .. } | Wait::Cancelled) => {
                (*waits).insert(session, Wait::Cancelled);
            }
            None => {}
        }
    }
}

/// Ends every task but the running one, in the order they were made.
///
/// # Safety
/// `from` is the running thread.
pub(super) unsafe fn end_all(vm: *mut Vm, from: *mut lua_State) {
    // SAFETY: the list is read anew after each `end`, whose `__close` handlers may change it.
    unsafe {
        let mut id: c_int = 0;
        while (id as usize) < (*vm).tasks.list.len() {
            let task = id as TaskId;
            id += 1;
            if task != (*vm).tasks.current && forget(vm, task) {
                refuse_request(vm, task);
                end(vm, from, task);
            }
        }
    }
}
