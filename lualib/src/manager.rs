//! The functions of `skynet.manager` before the first call of one. Most services that require the module call one of them, if any,
//! so a service has natives in their places, which take no memory of its own, and loads the module `skynet.manage` when it needs it.

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use crate::stack::{self, native};
use crate::vm::{Slot, Vm};

const FUNCTIONS: [(&CStr, ffi::lua_CFunction); 8] = [
    (c"launch", call::<0>),
    (c"kill", call::<1>),
    (c"abort", call::<2>),
    (c"register", call::<3>),
    (c"name", call::<4>),
    (c"forward_type", call::<5>),
    (c"filter", call::<6>),
    (c"monitor", call::<7>),
];

native! {
    /// `manage(skynet, require)`: gives the module `skynet` the functions of `skynet.manager`, which `require` loads when one of them
    /// is called.
    pub(crate) fn manage(state) {
        // SAFETY: nothing is owned while Lua may raise. Stack: the two arguments go.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
            ffi::lua_settop(state, 2);
            let vm = Vm::of(state);
            (*vm).pop_slot(state, Slot::ManageLoader);
            stack::register(state, &FUNCTIONS);
            (*vm).pop_slot(state, Slot::Managed);
            Ok(0)
        }
    }
}

/// Function `N` of the module, with the arguments of this call.
unsafe extern "C-unwind" fn call<const N: usize>(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned while Lua may raise or suspend. Stack: the module's function goes below the arguments.
    unsafe {
        if let Err(failure) = stack::make_room(state) {
            return stack::finish(state, Err(failure));
        }
        let arguments = ffi::lua_gettop(state);
        load(state);
        ffi::lua_getfield(state, -1, FUNCTIONS[N].0.as_ptr());
        ffi::lua_insert(state, 1);
        ffi::lua_settop(state, arguments + 1);
        ffi::lua_callk(state, arguments, ffi::LUA_MULTRET, 0, Some(called));
        ffi::lua_gettop(state)
    }
}

/// The function has returned after it had been suspended.
unsafe extern "C-unwind" fn called(
    state: *mut lua_State,
    _status: c_int,
    _context: ffi::lua_KContext,
) -> c_int {
    // SAFETY: all that is on the stack are its results.
    unsafe { ffi::lua_gettop(state) }
}

/// Pushes the module, and puts its functions where ours still are.
unsafe fn load(state: *mut lua_State) {
    // SAFETY: the caller has made room. Stack: the module; for a moment `skynet` and one value more above it.
    unsafe {
        let vm = Vm::of(state);
        (*vm).push_slot(state, Slot::ManageLoader);
        ffi::lua_pushstring(state, c"skynet.manage".as_ptr());
        ffi::lua_callk(state, 1, 1, 0, None);
        (*vm).push_slot(state, Slot::Managed);
        for (name, stub) in FUNCTIONS {
            ffi::lua_pushstring(state, name.as_ptr());
            ffi::lua_rawget(state, -2);
            if stack::is_native(state, -1, stub) {
                ffi::lua_getfield(state, -3, name.as_ptr());
                ffi::lua_setfield(state, -3, name.as_ptr());
            }
            ffi::lua_settop(state, -2);
        }
        ffi::lua_settop(state, -2);
    }
}
