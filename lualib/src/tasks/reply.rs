//! Answering requests.

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::{Body, MessageType};
use mlua::ffi::{self, lua_State};

use super::send::{Destination, Sent, pack_values, send_body, take_body};
use super::{Response, Tag};
use crate::core::pack_native;
use crate::raw;
use crate::stack::{self, Failure, native};
use crate::vm::Vm;

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"ret", ret),
    (c"retpack", retpack),
    (c"response", response),
    (c"context", context),
    (c"ignoreret", ignoreret),
];

/// Whom the running task owes an answer.
enum Asker {
    Service(super::Request),
    /// The message it handles was sent without a session.
    Nobody,
}

/// Takes the asker of the running task, to answer: once.
fn take_asker(vm: &mut Vm) -> Option<Asker> {
    let task = vm.tasks.running()?;
    match task.request.take() {
        Some(request) => Some(Asker::Service(request)),
        None if task.source.is_some() && std::mem::take(&mut task.plain) => Some(Asker::Nobody),
        None => None,
    }
}

/// Answers the running task's request; what `ret` returns.
///
/// # Safety
/// No Lua code runs in here.
unsafe fn answer(vm: *mut Vm, request: super::Request, body: Body) -> bool {
    // SAFETY: by the caller.
    unsafe {
        let current = (*vm).tasks.current;
        if current != super::NO_TASK && matches!((*vm).tasks.task(current).tag, Tag::On(_)) {
            super::trace::event(&*vm, current, "response");
        }
        deliver(&mut *vm, request, body)
    }
}

/// Sends an answer; a refused one becomes an error, so that the requester does not wait.
fn deliver(vm: &mut Vm, request: super::Request, body: Body) -> bool {
    let to = Destination::Handle(request.source);
    match send_body(vm, &to, None, MessageType::RESPONSE, request.session, body) {
        Sent::Delivered => true,
        Sent::Dead => false,
        Sent::Refused => {
            send_body(vm, &to, None, MessageType::ERROR, request.session, Body::Empty);
            false
        }
    }
}

native! {
    /// `ret(msg = "", sz) -> boolean`
    fn ret(state) {
        // SAFETY: nothing raises after the body is taken. Stack: one result.
        unsafe {
            let vm = Vm::of(state);
            let body = match ffi::lua_toboolean(state, 1) {
                0 => Body::Empty,
                _ => take_body(vm, state, 1)?,
            };
            reply(vm, state, body)
        }
    }
}

native! {
    /// `retpack(...) -> boolean`
    fn retpack(state) {
        // SAFETY: packing may raise with nothing owned on this frame. Stack: one result.
        unsafe {
            let vm = Vm::of(state);
            let body = pack_values(vm, state, 1, raw::count(state))?;
            reply(vm, state, body)
        }
    }
}

unsafe fn reply(vm: *mut Vm, state: *mut lua_State, body: Body) -> stack::Outcome {
    // SAFETY: pushes one boolean.
    unsafe {
        let sent = match take_asker(&mut *vm) {
            Some(Asker::Service(request)) => answer(vm, request, body),
            Some(Asker::Nobody) => false,
            None => return Err("No session".into()),
        };
        raw::push(state, raw::Value::boolean(sent));
        Ok(1)
    }
}

native! {
    /// `context() -> session, source`
    fn context(state) {
        // SAFETY: pushes two values.
        unsafe {
            let vm = Vm::of(state);
            match (*vm).tasks.running().map(|task| (task.request, task.plain, task.source)) {
                Some((Some(request), ..)) => {
                    ffi::lua_pushinteger(state, request.session.into());
                    ffi::lua_pushinteger(state, request.source.bits().into());
                }
                Some((None, plain, Some(source))) => {
                    if plain { ffi::lua_pushinteger(state, 0) } else { ffi::lua_pushnil(state) }
                    ffi::lua_pushinteger(state, source.bits().into());
                }
                _ => {
                    ffi::lua_pushnil(state);
                    ffi::lua_pushnil(state);
                }
            }
            Ok(2)
        }
    }
}

native! {
    /// `ignoreret()`
    fn ignoreret(state) {
        // SAFETY: no Lua code runs in here.
        unsafe {
            take_asker(&mut *Vm::of(state));
            Ok(0)
        }
    }
}

native! {
    /// `response(pack = skynet.pack) -> function`
    fn response(state) {
        // SAFETY: the closure is made before the response is entered; only integers are alive when that may raise. Stack:
        // one result.
        unsafe {
            let vm = Vm::of(state);
            if ffi::lua_isnoneornil(state, 1) != 0 {
                ffi::lua_settop(state, 0);
                ffi::lua_pushcclosure(state, pack_native, 0);
            } else {
                stack::check_callable(state, 1);
                ffi::lua_settop(state, 1);
            }
            let number = (*vm).tasks.next_response;
            ffi::lua_pushinteger(state, number as ffi::lua_Integer);
            ffi::lua_pushcclosure(state, respond, 2);
            match take_asker(&mut *vm) {
                Some(Asker::Service(request)) => {
                    (*vm).tasks.next_response += 1;
                    (*vm).tasks.responses.insert(number, Response { request, dead: false });
                }
                Some(Asker::Nobody) => ffi::lua_pushcclosure(state, respond_to_nobody, 0),
                None => return Err("no session".into()),
            }
            Ok(1)
        }
    }
}

native! {
    fn respond_to_nobody(_state) {
        Ok(0)
    }
}

native! {
    /// The closure made by `response`: (true, ...) answers, (false) refuses, ("TEST") asks.
    fn respond(state) {
        // SAFETY: a foreign pack function may raise; nothing is owned on this frame then. Stack: one result.
        unsafe {
            let vm = Vm::of(state);
            let number = ffi::lua_tointegerx(state, ffi::lua_upvalueindex(2), ptr::null_mut()) as u64;
            stack::make_room(state)?;
            if stack::bytes_at(state, 1) == Some(b"TEST") {
                let wanted = (*vm).tasks.responses.get(&number).is_some_and(|response| !response.dead);
                let wanted = wanted && is_alive(vm, number);
                ffi::lua_pushboolean(state, wanted.into());
                return Ok(1);
            }
            // What cannot be packed leaves the answer owed.
            let body = if ffi::lua_toboolean(state, 1) != 0 && (*vm).tasks.responses.contains_key(&number) {
                Some(pack_response(vm, state)?)
            } else {
                None
            };
            let Some(response) = (*vm).tasks.responses.remove(&number) else {
                return Err("Can't response more than once".into());
            };
            let sent = match body {
                _ if response.dead => false,
                Some(body) => deliver(&mut *vm, response.request, body),
                None => refuse(&mut *vm, response.request),
            };
            ffi::lua_pushboolean(state, sent.into());
            Ok(1)
        }
    }
}

/// Packs the values from index 2 on with the function in the closure's first upvalue.
unsafe fn pack_response(vm: *mut Vm, state: *mut lua_State) -> Result<Body, Failure> {
    // SAFETY: as for `respond`.
    unsafe {
        let top: c_int = ffi::lua_gettop(state);
        if stack::is_native(state, ffi::lua_upvalueindex(1), pack_native) {
            return pack_values(vm, state, 2, top);
        }
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_rotate(state, 2, 1);
        if ffi::lua_pcall(state, top - 1, 2, 0) != ffi::LUA_OK {
            return Err(Failure::Value);
        }
        take_body(vm, state, 2)
    }
}

fn refuse(vm: &mut Vm, request: super::Request) -> bool {
    let to = Destination::Handle(request.source);
    send_body(vm, &to, None, MessageType::ERROR, request.session, Body::Empty) == Sent::Delivered
}

/// Whether the requester of a detached answer still exists.
unsafe fn is_alive(vm: *mut Vm, number: u64) -> bool {
    // SAFETY: no Lua code runs in here.
    unsafe {
        let Some(response) = (*vm).tasks.responses.get(&number) else {
            return false;
        };
        (*vm).context.engine().is_live(response.request.source)
    }
}

/// Refuses every detached answer that is still owed.
pub(super) fn refuse_all(vm: &mut Vm) {
    for (_, response) in std::mem::take(&mut vm.tasks.responses) {
        if !response.dead {
            refuse(vm, response.request);
        }
    }
}
