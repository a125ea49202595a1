//! Messages that nobody expects: the hooks that are asked about them, and what happens without one.

use std::ffi::{CStr, c_int};

use fulmar_engine::MessageType;
use mlua::ffi::{self, lua_State};

use super::delivery::{Delivery, push_pointer};
use crate::stack::{self, native};
use crate::vm::{Slot, Vm};

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"dispatch_unknown_request", dispatch_unknown_request),
    (c"dispatch_unknown_response", dispatch_unknown_response),
];

/// Calls a hook with the delivery, which nobody expects.
#[cold]
pub(super) unsafe fn unknown(vm: *mut Vm, from: *mut lua_State, hook: Slot) {
    // SAFETY: the argument outlives the protected call.
    unsafe {
        let mut slot = hook;
        // Whoever resumed another thread that dispatches has marked it; and the hook may close that, which skips a `leave` in here.
        let running = (from == (*vm).main).then(|| crate::signal::Running::enter(vm, from));
        let status = stack::protect(from, call_hook, crate::vm::as_argument(&mut slot), 0);
        if let Some(running) = running {
            running.leave();
        }
        (*vm).tasks.delivery = None;
        if status != ffi::LUA_OK {
            let text = stack::pop_error_text(from);
            (*vm).tasks.report(text);
        }
    }
}

/// Body of [`unknown`]: the hook in the slot, or what happens without one.
unsafe extern "C-unwind" fn call_hook(state: *mut lua_State) -> c_int {
    // SAFETY: index 1 is a `Slot` of the caller's frame; no value with a destructor is alive where Lua may raise. Stack:
    // hook, session, source, msg, sz (and the type for requests).
    unsafe {
        let vm = Vm::of(state);
        let slot = *ffi::lua_touserdata(state, 1).cast::<Slot>();
        let Some(Delivery { head, .. }) = (*vm).tasks.delivery else {
            return 0;
        };
        (*vm).push_slot(state, slot);
        ffi::lua_pushinteger(state, head.session.into());
        ffi::lua_pushinteger(state, head.source.bits().into());
        if let Err(failure) = push_pointer(vm, state) {
            return stack::finish(state, Err(failure));
        }
        if slot as c_int == Slot::UnknownResponse as c_int {
            ffi::lua_call(state, 4, 0);
        } else {
            push_prototype(vm, state, head.message_type);
            ffi::lua_call(state, 5, 0);
        }
        0
    }
}

/// Pushes the name of a registered protocol, or the number of an unknown one.
unsafe fn push_prototype(vm: *mut Vm, state: *mut lua_State, message_type: MessageType) {
    // SAFETY: table reads that do not raise. Stack: one value more.
    unsafe {
        (*vm).push_slot(state, Slot::Protocols);
        if ffi::lua_rawgeti(state, -1, message_type.0.into()) == ffi::LUA_TTABLE {
            ffi::lua_getfield(state, -1, c"name".as_ptr());
            ffi::lua_replace(state, -3);
            ffi::lua_pop(state, 1);
        } else {
            ffi::lua_pop(state, 2);
            ffi::lua_pushinteger(state, message_type.0.into());
        }
    }
}

native! {
    /// What happens to a message that nobody handles: `(session, source, msg, sz, prototype)`.
    pub(crate) fn unknown_request(state) {
        // SAFETY: see `log_and_refuse`.
        unsafe {
            ffi::luaL_tolstring(state, 5, std::ptr::null_mut());
            let prototype = stack::bytes_at(state, -1).unwrap_or_default();
            log_and_refuse(state, |text| [b"Unknown request (", prototype, b"): ", text].concat())
        }
    }
}

native! {
    /// What happens to a response that nobody waits for: `(session, source, msg, sz)`.
    pub(crate) fn unknown_response(state) {
        // SAFETY: see `log_and_refuse`.
        unsafe { log_and_refuse(state, |text| [b"Response message : ", text].concat()) }
    }
}

/// Logs a message's bytes and fails.
///
/// # Safety
/// The arguments are those of a hook.
unsafe fn log_and_refuse(state: *mut lua_State, line: impl FnOnce(&[u8]) -> Vec<u8>) -> stack::Outcome {
    // SAFETY: the arena checks the address; nothing raises before the end. Stack: unchanged.
    unsafe {
        let vm = Vm::of(state);
        let session = ffi::lua_tointegerx(state, 1, std::ptr::null_mut());
        let source = ffi::lua_tointegerx(state, 2, std::ptr::null_mut());
        let data = ffi::lua_touserdata(state, 3).cast::<u8>().cast_const();
        let scripts = &raw const (*vm).scripts;
        let text = (*scripts).view(data).unwrap_or_default();
        (*vm).context.log(line(text));
        Err(format!("Unknown session : {session} from {source:x}").into())
    }
}

native! {
    /// `dispatch_unknown_request(f) -> previous`
    fn dispatch_unknown_request(state) {
        // SAFETY: see `replace_hook`.
        unsafe { replace_hook(state, Slot::UnknownRequest) }
    }
}

native! {
    /// `dispatch_unknown_response(f) -> previous`
    fn dispatch_unknown_response(state) {
        // SAFETY: see `replace_hook`.
        unsafe { replace_hook(state, Slot::UnknownResponse) }
    }
}

/// Puts the function at index 1 into a hook's slot; the previous one is the result.
unsafe fn replace_hook(state: *mut lua_State, slot: Slot) -> stack::Outcome {
    // SAFETY: argument checks come first. Stack: one result.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let vm = Vm::of(state);
        (*vm).push_slot(state, slot);
        ffi::lua_pushvalue(state, 1);
        (*vm).pop_slot(state, slot);
        Ok(1)
    }
}
