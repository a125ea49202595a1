//! What a service can tell about its tasks.

use std::ffi::{CStr, c_int};

use mlua::ffi;

use super::{Anchor, State, TaskId, Wait, push_anchored};
use crate::stack::native;
use crate::vm::Vm;

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"task_count", task_count),
    (c"task_list", task_list),
    (c"task_session", task_session),
    (c"thread", thread),
];

native! {
    /// `task_count() -> integer`: sessions that something waits for.
    fn task_count(state) {
        // SAFETY: pushes one integer.
        unsafe {
            let tasks = &(*Vm::of(state)).tasks;
            let count = tasks.waits.iter().filter(|(_, wait)| !matches!(wait, Wait::Cancelled)).count();
            ffi::lua_pushinteger(state, (count + tasks.woken.len() + tasks.failed.len()) as ffi::lua_Integer);
            Ok(1)
        }
    }
}

native! {
    /// `task_list() -> { [session] = thread | any | false }, { [session] = traceback }`: the thread that waits, what a timer calls that
    /// has no thread yet, or false for a wait that was cancelled; and where timers were made, as far as that is traced.
    fn task_list(state) {
        // SAFETY: the sessions are copied first; the copy is Lua's, so nothing is owned when an allocation raises. Stack:
        // one result.
        unsafe {
            ffi::luaL_checkstack(state, 8, std::ptr::null());
            let vm = Vm::of(state);
            let room = (*vm).tasks.waits.len();
            let size = room * std::mem::size_of::<i32>();
            let sessions = ffi::lua_newuserdatauv(state, size.max(1), 0).cast::<i32>();
            // The allocation may have run finalizers, which start and end waits.
            let mut count = 0;
            for (session, _) in (*vm).tasks.waits.iter().take(room) {
                sessions.add(count).write(session);
                count += 1;
            }
            ffi::lua_createtable(state, 0, count as c_int);
            ffi::lua_createtable(state, 0, 0);
            for place in 0..count {
                let session = sessions.add(place).read();
                let (waiter, traceback) = shown(&*vm, session);
                match waiter {
                    Some(anchor) => push_anchored(vm, state, anchor),
                    None => ffi::lua_pushboolean(state, 0),
                }
                ffi::lua_rawseti(state, -3, session.into());
                if let Some(anchor) = traceback {
                    push_anchored(vm, state, anchor);
                    ffi::lua_rawseti(state, -2, session.into());
                }
            }
            Ok(2)
        }
    }
}

/// What stands for a wait, and for the place where it was made.
fn shown(vm: &Vm, session: i32) -> (Option<Anchor>, Option<Anchor>) {
    let thread_of = |task: TaskId| Some(vm.tasks.list[task as usize].anchor);
    match vm.tasks.waits.get(session) {
        Some(&Wait::Timer { function, traceback }) => (Some(function), traceback),
        Some(&Wait::TaskTimer { task, traceback }) => (thread_of(task), traceback),
        Some(&(Wait::Call { task, .. } | Wait::Sleep { task, .. })) => (thread_of(task), None),
        Some(Wait::Request { .. } | Wait::Cancelled) | None => (None, None),
    }
}

native! {
    /// `task_session(thread) -> integer | nil`
    fn task_session(state) {
        // SAFETY: pushes one integer.
        unsafe {
            let tasks = &mut (*Vm::of(state)).tasks;
            let thread = ffi::lua_tothread(state, 1);
            let Some(id) = tasks.by_thread.get(&(thread as usize)).copied() else { return Ok(0) };
            let task = tasks.task(id);
            if task.session == 0 || task.state == State::Idle {
                return Ok(0);
            }
            ffi::lua_pushinteger(state, task.session.into());
            Ok(1)
        }
    }
}

native! {
    /// `thread() -> thread | nil`: the thread of the running task.
    fn thread(state) {
        // SAFETY: the running task's thread is live. Stack: one result.
        unsafe {
            let vm = Vm::of(state);
            let Some(task) = (*vm).tasks.running() else { return Ok(0) };
            let thread = task.thread;
            if thread == state {
                ffi::lua_pushthread(state);
            } else {
                let place = task.anchor;
                push_anchored(vm, state, place);
            }
            Ok(1)
        }
    }
}
