//! Message functions: the native dispatcher, as Lua code installs and calls it, and those written in Lua.

use std::ffi::{CStr, c_int};

use fulmar_engine::{Handle, Message, MessageType};
use mlua::ffi::{self, lua_State};

use super::CallbackMode;
use super::culprit::Culprit;
use super::delivery::{Delivery, DeliveryBody, Head, push_pointer, release_lent};
use super::turn::turn;
use crate::stack::{self, native};
use crate::vm::{Slot, Vm};

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"callback", callback)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[(c"dispatch_message", dispatch_message)];

/// Calls a message function written in Lua.
pub(super) unsafe fn call_back(vm: *mut Vm, message: Message, forward: bool) {
    // SAFETY: the message moves into the service's memory before Lua runs. The main thread's stack is restored.
    unsafe {
        let culprit = Culprit::of(&message);
        (*vm).tasks.delivery = Some(Delivery::of(message));
        let main = (*vm).main;
        let status = stack::protect(main, call_function, std::ptr::null_mut(), 0);
        if forward {
            (*vm).tasks.lent = std::ptr::null();
        }
        release_lent(vm);
        (*vm).tasks.delivery = None;
        if status != ffi::LUA_OK {
            let text = stack::pop_error_text(main);
            if status == ffi::LUA_ERRMEM {
                culprit.log_out_of_memory(&*vm);
            } else {
                culprit.log(&*vm, &text);
            }
        }
    }
}

/// Body of [`call_back`]: the message function with (type, msg, sz, session, source).
unsafe extern "C-unwind" fn call_function(state: *mut lua_State) -> c_int {
    // SAFETY: no value with a destructor is alive where Lua may raise. Stack: handler, function, five arguments.
    unsafe {
        let vm = Vm::of(state);
        let Some(Delivery { head, .. }) = (*vm).tasks.delivery else {
            return 0;
        };
        ffi::lua_settop(state, 0);
        ffi::lua_pushcclosure(state, super::end::traceback, 0);
        (*vm).push_slot(state, Slot::Callback);
        ffi::lua_pushinteger(state, head.message_type.0.into());
        if let Err(failure) = push_pointer(vm, state) {
            return stack::finish(state, Err(failure));
        }
        ffi::lua_pushinteger(state, head.session.into());
        ffi::lua_pushinteger(state, head.source.bits().into());
        // The function gets the pointer; what it dispatches comes back through `dispatch_message`.
        (*vm).tasks.delivery = None;
        if ffi::lua_pcall(state, 5, 0, 1) != ffi::LUA_OK {
            ffi::lua_error(state);
        }
        0
    }
}

native! {
    /// `dispatch_message(type, msg, sz, session, source)`: runs a whole turn for a message that Lua code holds, or for a string.
    pub(crate) fn dispatch_message(state) {
        // SAFETY: arguments are read before anything is owned; `turn` does not raise. Stack: unchanged.
        unsafe {
            let message_type = ffi::luaL_checkinteger(state, 1);
            let len = ffi::luaL_optinteger(state, 3, 0);
            let session = ffi::luaL_checkinteger(state, 4) as i32;
            let source = Handle::from_bits(ffi::luaL_checkinteger(state, 5) as u32);
            let Ok(message_type) = u8::try_from(message_type) else {
                return Err("message type out of range".into());
            };
            let vm = Vm::of(state);
            ffi::luaL_checkstack(state, 8, std::ptr::null());
            let copy = match stack::bytes_at(state, 2) {
                Some(bytes) => Some((*vm).lend_copy(bytes)?),
                None => None,
            };
            let (data, len) = copy.unwrap_or_else(|| {
                let data = ffi::lua_touserdata(state, 2).cast::<u8>().cast_const();
                (data, usize::try_from(len).unwrap_or(0))
            });
            let delivery = Delivery {
                head: Head {
                    message_type: MessageType(message_type),
                    session,
                    source,
                },
                body: DeliveryBody::Script { data, len },
            };
            turn(vm, state, delivery);
            if let Some((data, _)) = copy {
                // Lua code may have given it away.
                let _ = (*vm).reclaim(data);
            }
            let errors = std::mem::take(&mut (*vm).tasks.errors);
            if errors.is_empty() { Ok(0) } else { Err(errors.join(&b'\n').into()) }
        }
    }
}

native! {
    /// `callback(func [, forward])`: installs the service's message function.
    fn callback(state) {
        // SAFETY: argument checks come first. Stack: unchanged.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
            let forward = ffi::lua_toboolean(state, 2) != 0;
            let is_native = stack::is_native(state, 1, dispatch_message);
            let vm = Vm::of(state);
            ffi::lua_pushvalue(state, 1);
            (*vm).pop_slot(state, Slot::Callback);
            (*vm).tasks.mode = if is_native && !forward {
                CallbackMode::Native
            } else {
                CallbackMode::Lua { forward }
            };
            Ok(0)
        }
    }
}
