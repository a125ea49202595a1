//! Calling: requests, and the tasks that wait for their answers.

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::{Body, MessageType};
use mlua::ffi::{self, lua_State};

use super::delivery::push_pointer;
use super::run::unpack_delivery;
use super::send::{Destination, Sent, destination, open_message, pack, send_body, take_body};
use super::{NO_TASK, Resumed, State, Tag, Wait, anchor, protocol};
use crate::raw;
use crate::stack::{self, Failure, Outcome, native};
use crate::vm::Vm;

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"expect", expect), (c"cancel", cancel)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] =
    &[(c"call", call), (c"rawcall", rawcall), (c"tracecall", tracecall)];

/// Suspends the running task under `session`; `continuation` runs when it is resumed.
///
/// # Safety
/// The wait has been entered; nothing with a destructor is alive. Never returns to the caller.
pub(super) unsafe fn suspend(state: *mut lua_State, session: i32, continuation: ffi::lua_KFunction) -> c_int {
    // SAFETY: the caller has checked that the thread can yield. One value tells `skynet.coroutine` who suspends.
    unsafe {
        let tasks = &mut (*Vm::of(state)).tasks;
        // One that has quit stays so, while the coroutines inside it hand the suspension on.
        if let Some(task) = tasks.running().filter(|task| task.state != State::Quit) {
            task.state = State::Suspended;
            task.session = session;
        }
        raw::push(state, raw::Value::light(suspend_mark()));
        ffi::lua_yieldk(state, 1, 0, Some(continuation))
    }
}

/// What a native yields when it suspends the task it runs in.
pub(crate) fn suspend_mark() -> *mut std::ffi::c_void {
    static MARK: u8 = 0;
    ptr::from_ref(&MARK).cast_mut().cast()
}

/// Raises what Lua raises unless the running code can be suspended.
///
/// # Safety
/// `state` is valid; nothing raises here.
pub(super) unsafe fn check_yieldable(state: *mut lua_State) -> Result<(), Failure> {
    // SAFETY: reads the state only.
    unsafe {
        if (*Vm::of(state)).tasks.current == NO_TASK {
            return Err("attempt to yield from outside a coroutine".into());
        }
        if ffi::lua_isyieldable(state) == 0 {
            return Err("attempt to yield across a C-call boundary".into());
        }
        Ok(())
    }
}

/// Sends a request in the name of the running task; the session it waits under.
///
/// # Safety
/// No Lua code runs in here.
unsafe fn request(
    vm: *mut Vm,
    to: &Destination,
    message_type: MessageType,
    body: Body,
) -> Result<i32, Failure> {
    // SAFETY: by the caller.
    let vm = unsafe { &mut *vm };
    let current = vm.tasks.current;
    if let Tag::On(tag) = &vm.tasks.list[current as usize].tag {
        let tag = tag.clone();
        super::trace::send_tag(vm, to, &tag);
    }
    let session = vm.new_session();
    match send_body(vm, to, None, message_type, session, body) {
        Sent::Delivered => {
            let wait = |to| Wait::Call { task: current, to };
            vm.tasks.waits.insert_for(session, to, wait);
            Ok(session)
        }
        Sent::Dead => Err([b"call to invalid address ", to.text().as_slice()]
            .concat()
            .into()),
        Sent::Refused => Err("call failed".into()),
    }
}

/// `call(addr, typename, ...)`: packs, sends, suspends; continues with the unpacked answer.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: `prepare_call` has dropped everything before the yield or the raise.
    unsafe {
        match prepare_call(state) {
            Ok(session) => suspend(state, session, call_answered),
            failure => stack::finish(state, failure),
        }
    }
}

/// Everything of `call` before it suspends. Stack afterwards: addr, protocol.
unsafe fn prepare_call(state: *mut lua_State) -> Outcome {
    // SAFETY: `pack` may raise, with nothing but plain values alive; names are read afterwards.
    unsafe {
        let vm = Vm::of(state);
        check_yieldable(state)?;
        let (class, message_type) = open_message(vm, state, 1)?;
        if (*vm).tasks.current != NO_TASK && matches!((*vm).tasks.task((*vm).tasks.current).tag, Tag::On(_)) {
            super::trace::log_with_stack(state, "call", 2);
        }
        let body = pack(vm, state, class, 3)?;
        let to = destination(state, 1)?;
        raw::truncate(state, 2);
        request(vm, &to, message_type, body)
    }
}

/// `call` again: the answer is there, or the call has failed.
unsafe extern "C-unwind" fn call_answered(
    state: *mut lua_State,
    _status: c_int,
    _context: ffi::lua_KContext,
) -> c_int {
    // SAFETY: the stack is as `prepare_call` left it, whatever was yielded being gone.
    unsafe {
        let vm = Vm::of(state);
        if (*vm).tasks.resumed != Resumed::Answered {
            return stack::finish(state, Err("call failed".into()));
        }
        raw::truncate(state, 2);
        let unpack = match (*raw::at(state, 2)).as_table() {
            Some(class) => protocol::field(vm, class, (*vm).fixed.unpack),
            None => return stack::finish(state, Err("call failed".into())),
        };
        let outcome = unpack_delivery(vm, state, unpack);
        stack::finish(state, outcome)
    }
}

/// `rawcall(addr, typename, msg, sz) -> msg, sz`
unsafe extern "C-unwind" fn rawcall(state: *mut lua_State) -> c_int {
    // SAFETY: as for `call`.
    unsafe {
        match prepare_rawcall(state, 1) {
            Ok(session) => suspend(state, session, rawcall_answered),
            failure => stack::finish(state, failure),
        }
    }
}

unsafe fn prepare_rawcall(state: *mut lua_State, first: c_int) -> Outcome {
    // SAFETY: nothing raises after the body is taken.
    unsafe {
        let vm = Vm::of(state);
        check_yieldable(state)?;
        ffi::lua_settop(state, first + 3);
        let (_, message_type) = protocol::open(vm, state, first + 1)?;
        let to = destination(state, first)?;
        let body = take_body(vm, state, first + 2)?;
        request(vm, &to, message_type, body)
    }
}

unsafe extern "C-unwind" fn rawcall_answered(
    state: *mut lua_State,
    _status: c_int,
    _context: ffi::lua_KContext,
) -> c_int {
    // SAFETY: pushes two values at most.
    unsafe {
        let vm = Vm::of(state);
        if (*vm).tasks.resumed != Resumed::Answered {
            return stack::finish(state, Err("call failed".into()));
        }
        let outcome = push_pointer(vm, state).map(|()| 2);
        stack::finish(state, outcome)
    }
}

/// `tracecall(tag, addr, typename, msg, sz) -> msg, sz`: a `rawcall` that carries the given tag.
unsafe extern "C-unwind" fn tracecall(state: *mut lua_State) -> c_int {
    // SAFETY: as for `rawcall`.
    unsafe {
        match prepare_tracecall(state) {
            Ok(session) => suspend(state, session, tracecall_answered),
            failure => stack::finish(state, failure),
        }
    }
}

unsafe fn prepare_tracecall(state: *mut lua_State) -> Outcome {
    // SAFETY: argument checks come first; the tag is an owned copy only while nothing raises.
    unsafe {
        ffi::luaL_checklstring(state, 1, ptr::null_mut());
        check_yieldable(state)?;
        let vm = Vm::of(state);
        let tag = stack::text_at(state, 1).unwrap_or_default();
        let to = destination(state, 2)?;
        (*vm)
            .context
            .log(super::trace::line(&*vm, &tag, "tracecall begin"));
        super::trace::send_tag(&mut *vm, &to, &tag);
        let current = (*vm).tasks.current;
        let own = std::mem::take(&mut (*vm).tasks.task(current).tag);
        let outcome = prepare_rawcall(state, 2);
        (*vm).tasks.task(current).tag = own;
        outcome
    }
}

unsafe extern "C-unwind" fn tracecall_answered(
    state: *mut lua_State,
    status: c_int,
    context: ffi::lua_KContext,
) -> c_int {
    // SAFETY: index 1 is the tag still.
    unsafe {
        {
            let vm = Vm::of(state);
            let tag = stack::text_at(state, 1).unwrap_or_default();
            (*vm).context.log(super::trace::line(&*vm, &tag, "tracecall end"));
        }
        rawcall_answered(state, status, context)
    }
}

native! {
    /// `expect(func, addr, typename, ...) -> session | nothing`: sends a request whose answer starts a task that runs
    /// `func(true, msg, sz)`, or `func()` when the request has failed.
    fn expect(state) {
        // SAFETY: what anchoring could lose by raising stands in the service's memory meanwhile. Stack: one result.
        unsafe {
            let vm = Vm::of(state);
            ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
            let (class, message_type) = open_message(vm, state, 2)?;
            let body = pack(vm, state, class, 4)?;
            let to = destination(state, 2)?;
            (*vm).tasks.expecting = Some((to, body));
            ffi::lua_pushvalue(state, 1);
            let function = anchor(state);
            let Some((to, body)) = (*vm).tasks.expecting.take() else {
                unreachable!("anchoring runs no Lua code");
            };
            let session = (*vm).new_session();
            match send_body(&mut *vm, &to, None, message_type, session, body) {
                Sent::Delivered => {
                    (*vm).tasks.waits.insert_for(session, &to, |to| Wait::Request { function, to });
                    ffi::lua_pushinteger(state, session.into());
                    Ok(1)
                }
                Sent::Dead | Sent::Refused => {
                    super::release_anchor(vm, function);
                    Ok(0)
                }
            }
        }
    }
}

native! {
    /// `cancel(session)`: the late answer to an `expect` is dropped.
    fn cancel(state) {
        // SAFETY: no Lua code runs after the argument check.
        unsafe {
            let session = ffi::luaL_checkinteger(state, 1) as i32;
            let vm = Vm::of(state);
            let waits = &mut (*vm).tasks.waits;
            if let Some(Wait::Request { function, .. }) = waits.get(session) {
                let function = *function;
                waits.insert(session, Wait::Cancelled);
                super::release_anchor(vm, function);
            }
            Ok(0)
        }
    }
}
