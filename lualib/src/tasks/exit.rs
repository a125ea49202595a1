//! Leaving: what a service owes others when it goes, and what it is owed no longer.

use std::ffi::{CStr, c_int};

use fulmar_engine::{Body, MessageType};
use mlua::ffi::{self, lua_State};

use super::request::{check_yieldable, suspend};
use super::send::{Destination, destination, send_body};
use super::{CallbackMode, State};
use crate::stack::native;
use crate::vm::Vm;

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"leave", leave)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[(c"term", term)];

/// `leave()`: everything of `skynet.exit` from the requesters on, the engine's EXIT included. Never returns to a task.
unsafe extern "C-unwind" fn leave(state: *mut lua_State) -> c_int {
    // SAFETY: closing tasks raises nothing here, so that the list of the watched is dropped; nothing is owned at the yield. The
    // running task is marked, so that it is closed instead of resumed.
    unsafe {
        let vm = Vm::of(state);
        ffi::luaL_checkstack(state, 8, std::ptr::null());
        refuse_requests(vm);
        let watched = watched(&*vm);
        super::fork::end_all(vm, state);
        super::reply::refuse_all(&mut *vm);
        forsake(&mut *vm, &watched);
        drop(watched);
        (*vm).tasks.mode = CallbackMode::Native;
        (*vm).tasks.left = true;
        (*vm).context.exit();
        match check_yieldable(state) {
            Ok(()) => {
                if let Some(task) = (*vm).tasks.running() {
                    task.state = State::Quit;
                }
                suspend(state, 0, never)
            }
            Err(failure) => crate::stack::finish(state, Err(failure)),
        }
    }
}

/// Nobody resumes a task that has quit.
unsafe extern "C-unwind" fn never(
    _state: *mut lua_State,
    _status: c_int,
    _context: ffi::lua_KContext,
) -> c_int {
    0
}

/// Answers every request in hand with an error.
unsafe fn refuse_requests(vm: *mut Vm) {
    // SAFETY: no Lua code runs in here.
    unsafe {
        for id in 0..(*vm).tasks.list.len() {
            super::end::refuse_request(vm, id as super::TaskId);
        }
    }
}

/// Everybody that this service waits for.
fn watched(vm: &Vm) -> Vec<Destination> {
    let mut watched: Vec<Destination> = vm.tasks.waits.destinations().map(|(_, to)| to).collect();
    watched.sort_unstable();
    watched.dedup();
    watched
}

/// Tells them that it is gone: PTYPE_ERROR, session 0.
fn forsake(vm: &mut Vm, watched: &[Destination]) {
    for to in watched {
        send_body(vm, to, None, MessageType::ERROR, 0, Body::Empty);
    }
}

/// The service's last turn. When it has not left by itself, requesters that would wait for ever get an error. Says whether it had.
///
/// # Safety
/// No Lua code runs.
pub(crate) unsafe fn abandon(vm: *mut Vm) -> bool {
    // SAFETY: by the caller.
    unsafe {
        let left = std::mem::replace(&mut (*vm).tasks.left, true);
        if !left {
            refuse_requests(vm);
            super::reply::refuse_all(&mut *vm);
        }
        left
    }
}

native! {
    /// `term(service)`: treats a service as dead.
    fn term(state) {
        // SAFETY: the destination is owned only after all checks. Stack: unchanged.
        unsafe {
            let vm = Vm::of(state);
            let to = destination(state, 1)?;
            let tasks = &mut (*vm).tasks;
            let mut sessions: Vec<i32> =
                tasks.waits.destinations().filter(|(_, other)| *other == to).map(|(session, _)| session).collect();
            sessions.sort_unstable();
            for session in sessions {
                tasks.fail(session);
            }
            if let Destination::Handle(handle) = to {
                for response in tasks.responses.values_mut().filter(|response| response.request.source == handle) {
                    response.dead = true;
                }
            }
            Ok(0)
        }
    }
}
