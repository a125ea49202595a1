//! Rust values inside Lua userdata: a pointer to a box, so that a raise leaks nothing and the collector frees it.

use std::ffi::{CStr, c_int};
use std::ptr;

use mlua::ffi::{self, lua_State};

/// A type whose values Lua code can hold.
pub(crate) trait Boxed: Default {
    /// The name of its metatable.
    const METATABLE: &'static CStr;
}

/// Pushes a new value.
///
/// # Safety
/// May raise a memory error: nothing with a destructor is alive. Three free slots.
pub(crate) unsafe fn push<T: Boxed>(state: *mut lua_State) {
    // SAFETY: the box is made last, when nothing raises any more. Stack: one userdata more.
    unsafe {
        let place = ffi::lua_newuserdatauv(state, size_of::<*mut T>(), 0).cast::<*mut T>();
        place.write(ptr::null_mut());
        if ffi::luaL_newmetatable(state, T::METATABLE.as_ptr()) != 0 {
            ffi::lua_pushcclosure(state, collect::<T>, 0);
            ffi::lua_setfield(state, -2, c"__gc".as_ptr());
            ffi::lua_pushboolean(state, 0);
            ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
        }
        ffi::lua_setmetatable(state, -2);
        place.write(Box::into_raw(Box::default()));
    }
}

/// The value at `index`; none when something else is there, or its finalizer has run. Valid while the userdata is on the stack
/// and no finalizer can run.
///
/// # Safety
/// `state` is a valid state.
pub(crate) unsafe fn at<T: Boxed>(state: *mut lua_State, index: c_int) -> Option<*mut T> {
    // SAFETY: the metatable says what the userdata is. Stack: unchanged.
    unsafe {
        let place = ffi::luaL_testudata(state, index, T::METATABLE.as_ptr()).cast::<*mut T>();
        (!place.is_null() && !(*place).is_null()).then(|| *place)
    }
}

/// The finalizer.
unsafe extern "C-unwind" fn collect<T: Boxed>(state: *mut lua_State) -> c_int {
    // SAFETY: the box was made by `push`, and is forgotten before it is dropped.
    unsafe {
        let place = ffi::luaL_testudata(state, 1, T::METATABLE.as_ptr()).cast::<*mut T>();
        if !place.is_null() {
            let value = place.replace(ptr::null_mut());
            if !value.is_null() {
                drop(Box::from_raw(value));
            }
        }
        0
    }
}
