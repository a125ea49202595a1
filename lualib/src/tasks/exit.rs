//! Leaving: what a service owes others when it goes, and what it is owed no longer.

use std::ffi::{CStr, c_int};

use fulmar_engine::{Body, Handle, MessageType};
use mlua::ffi::{self, lua_State};

use super::request::{Destination, destination, send_body};
use super::{CallbackMode, NO_TASK, State, Wait};
use crate::stack::native;
use crate::vm::Vm;

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"leave", leave)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[(c"term", term)];

/// `leave()`: everything of `skynet.exit` from the requesters on, the engine's EXIT included. Never returns to a task.
unsafe extern "C-unwind" fn leave(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned at the yield. The running task is marked, so that it is closed instead of resumed.
    unsafe {
        let vm = Vm::of(state);
        ffi::luaL_checkstack(state, 8, std::ptr::null());
        refuse_requests(vm);
        super::fork::end_all(vm, state);
        super::reply::refuse_all(&mut *vm);
        forsake(&mut *vm);
        (*vm).tasks.mode = CallbackMode::Native;
        (*vm).tasks.left = true;
        (*vm).context.exit();
        if (*vm).tasks.current != NO_TASK && ffi::lua_isyieldable(state) != 0 {
            if let Some(task) = (*vm).tasks.running() {
                task.state = State::Quit;
            }
            return ffi::lua_yieldk(state, 0, 0, None);
        }
        crate::stack::finish(state, Err("attempt to yield from outside a coroutine".into()))
    }
}

/// Answers every request in hand with an error.
unsafe fn refuse_requests(vm: *mut Vm) {
    // SAFETY: no Lua code runs in here.
    unsafe {
        for id in 0..(*vm).tasks.list.len() {
            super::run::refuse_request(vm, id as super::TaskId);
        }
    }
}

/// Tells every service that this one waits for that it is gone: PTYPE_ERROR, session 0.
fn forsake(vm: &mut Vm) {
    let mut watched: Vec<Handle> = Vec::new();
    for (_, wait) in vm.tasks.waits.iter() {
        if let Wait::Call {
            to: Destination::Handle(to),
            ..
        }
        | Wait::Request {
            to: Destination::Handle(to),
            ..
        } = wait
        {
            watched.push(*to);
        }
    }
    watched.sort_unstable_by_key(|handle| handle.bits());
    watched.dedup();
    for handle in watched {
        send_body(
            vm,
            &Destination::Handle(handle),
            None,
            MessageType::ERROR,
            0,
            Body::Empty,
        );
    }
}

/// The service ends without having left by itself: requesters that would wait for ever get an error.
///
/// # Safety
/// The service's last turn; no Lua code runs.
pub(crate) unsafe fn abandon(vm: *mut Vm) {
    // SAFETY: by the caller.
    unsafe {
        if !(*vm).tasks.left {
            (*vm).tasks.left = true;
            refuse_requests(vm);
            super::reply::refuse_all(&mut *vm);
        }
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
                tasks.waits.iter().filter(|(_, wait)| wait.is_for(|other| *other == to)).map(|(session, _)| session).collect();
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
