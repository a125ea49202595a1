//! Rust values inside Lua userdata, which the collector frees.
//!
//! The value stands in an `Option` that its finalizer empties, so that a finalizer of something else that still holds the userdata
//! finds it empty.

use std::ffi::{CStr, c_int};
use std::ptr;

use mlua::ffi::{self, lua_State};

/// A type whose values Lua code can hold.
pub(crate) trait Boxed: Sized {
    /// The name of its metatable.
    const METATABLE: &'static CStr;

    /// Metamethods besides the finalizer. Each has the metatable as its upvalue, for [`known`].
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] = &[];
}

/// Pushes a new value.
///
/// # Safety
/// As for [`push_empty`].
pub(crate) unsafe fn push<T: Boxed + Default>(state: *mut lua_State) {
    // SAFETY: by the caller; nothing raises any more. Stack: one userdata more.
    unsafe { *push_empty(state) = Some(T::default()) };
}

/// Pushes a userdata that is still to be filled: making it may raise, and filling it does not.
///
/// # Safety
/// May raise a memory error: nothing with a destructor is alive. Four free slots.
pub(crate) unsafe fn push_empty<T: Boxed>(state: *mut lua_State) -> *mut Option<T> {
    // Lua aligns userdata for anything of C.
    const { assert!(align_of::<Option<T>>() <= 8) };
    // SAFETY: the userdata gets its finalizer once it has its content. Stack: one userdata more.
    unsafe {
        let place = ffi::lua_newuserdatauv(state, size_of::<Option<T>>(), 0).cast::<Option<T>>();
        place.write(None);
        push_metatable::<T>(state);
        ffi::lua_setmetatable(state, -2);
        place
    }
}

/// Pushes the metatable of a type.
///
/// # Safety
/// As for [`push_empty`].
pub(crate) unsafe fn push_metatable<T: Boxed>(state: *mut lua_State) {
    // SAFETY: may raise; nothing is owned. Stack: one table more.
    unsafe {
        if ffi::luaL_newmetatable(state, T::METATABLE.as_ptr()) == 0 {
            return;
        }
        ffi::lua_pushcclosure(state, collect::<T>, 0);
        ffi::lua_setfield(state, -2, c"__gc".as_ptr());
        for (name, metamethod) in T::METAMETHODS {
            ffi::lua_pushvalue(state, -1);
            ffi::lua_pushcclosure(state, *metamethod, 1);
            ffi::lua_setfield(state, -2, name.as_ptr());
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
    }
}

/// The value at `index`; none when something else is there, or its finalizer has run. Valid while the userdata is on the stack
/// and no finalizer can run.
///
/// # Safety
/// `state` is a valid state.
pub(crate) unsafe fn at<T: Boxed>(state: *mut lua_State, index: c_int) -> Option<*mut T> {
    // SAFETY: by `place`. Stack: unchanged.
    unsafe { (*place(state, index)?).as_mut().map(ptr::from_mut) }
}

/// Where the value at `index` stands; none when something else is there. Valid while the userdata is in reach of Lua.
///
/// # Safety
/// `state` is a valid state.
pub(crate) unsafe fn place<T: Boxed>(state: *mut lua_State, index: c_int) -> Option<*mut Option<T>> {
    // SAFETY: the metatable says what the userdata is. Stack: unchanged.
    unsafe {
        let place = ffi::luaL_testudata(state, index, T::METATABLE.as_ptr()).cast::<Option<T>>();
        (!place.is_null()).then_some(place)
    }
}

/// The same, faster, for natives whose first upvalue is the metatable.
///
/// # Safety
/// As for [`place`], with a free slot; the first upvalue is the metatable of `T`.
#[inline]
pub(crate) unsafe fn known<T: Boxed>(state: *mut lua_State, index: c_int) -> Option<*mut Option<T>> {
    // SAFETY: as for `place`. Stack: unchanged.
    unsafe {
        if ffi::lua_getmetatable(state, index) == 0 {
            return None;
        }
        let is_one = ffi::lua_rawequal(state, -1, ffi::lua_upvalueindex(1)) != 0;
        ffi::lua_pop(state, 1);
        is_one.then(|| ffi::lua_touserdata(state, index).cast())
    }
}

/// Lets the value go: the finalizer, and `__close` of those who name it so.
pub(crate) unsafe extern "C-unwind" fn collect<T: Boxed>(state: *mut lua_State) -> c_int {
    // SAFETY: by `place`; the value is forgotten before it is dropped.
    unsafe {
        if let Some(place) = place::<T>(state, 1) {
            drop((*place).take());
        }
        0
    }
}
