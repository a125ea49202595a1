//! The userdata of `skynet.stm`: writers, readers and watches. Each has its content in an `Option`, which its finalizer empties, so
//! that finalizers which still hold it find it empty.

use std::ffi::{CStr, c_int};
use std::mem::align_of;

use fulmar_stm::{Reader, Writer};
use mlua::ffi::{self, lua_State};

use super::watch::Watch;
use crate::stack::Failure;

/// What such a userdata holds, and how Lua code sees it.
pub(super) trait Held: Sized {
    /// Names the metatable in the registry.
    const NAME: &'static CStr;
    /// What an error says that was needed.
    const NEEDED: &'static str;
    /// Metamethods, each with the metatable as its upvalue.
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)];
}

impl Held for Writer {
    const NAME: &'static CStr = c"stm.writer";
    const NEEDED: &'static str = "stm writer";
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] = &[(c"__call", super::commit)];
}

impl Held for Reader {
    const NAME: &'static CStr = c"stm.reader";
    const NEEDED: &'static str = "stm reader";
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] = &[(c"__call", super::read)];
}

impl Held for Watch {
    const NAME: &'static CStr = c"stm.watch";
    const NEEDED: &'static str = "stm watch";
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] = &[(c"__close", collect::<Watch>)];
}

/// Lua aligns userdata for anything of C.
const _: () = assert!(align_of::<Option<Reader>>() <= 8 && align_of::<Option<Watch>>() <= 8);

/// Pushes an empty userdata of this kind: making it may raise, and filling it does not.
///
/// # Safety
/// Room for five values; nothing with a destructor is alive.
pub(super) unsafe fn push_empty<T: Held>(state: *mut lua_State) -> *mut Option<T> {
    // SAFETY: the userdata gets its finalizer once it has its content. Stack: one userdata more.
    unsafe {
        let place = ffi::lua_newuserdatauv(state, size_of::<Option<T>>(), 0).cast::<Option<T>>();
        place.write(None);
        push_metatable::<T>(state);
        ffi::lua_setmetatable(state, -2);
        place
    }
}

/// Pushes the metatable of this kind.
///
/// # Safety
/// As for [`push_empty`].
pub(super) unsafe fn push_metatable<T: Held>(state: *mut lua_State) {
    // SAFETY: may raise a memory error; nothing is owned. Stack: one table more.
    unsafe {
        if ffi::luaL_newmetatable(state, T::NAME.as_ptr()) == 0 {
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

/// `__gc` and `__close`: lets the content go.
unsafe extern "C-unwind" fn collect<T: Held>(state: *mut lua_State) -> c_int {
    // SAFETY: a userdata with this metatable was made by `push_empty`. Stack: unchanged.
    unsafe {
        let place = ffi::luaL_testudata(state, 1, T::NAME.as_ptr()).cast::<Option<T>>();
        if !place.is_null() {
            drop((*place).take());
        }
        0
    }
}

/// The userdata at `index`.
///
/// # Safety
/// Room for two values.
pub(super) unsafe fn argument<T: Held>(
    state: *mut lua_State,
    index: c_int,
) -> Result<*mut Option<T>, Failure> {
    // SAFETY: the metatable tells what a userdata is, and no program can set it. Stack: unchanged.
    unsafe {
        let place = ffi::luaL_testudata(state, index, T::NAME.as_ptr()).cast::<Option<T>>();
        if place.is_null() {
            return Err(not_one::<T>(index));
        }
        Ok(place)
    }
}

/// The userdata at `index`, whose metatable is the first upvalue of the running native: faster than [`argument`].
///
/// # Safety
/// Room for one value; the first upvalue is the metatable of this kind.
#[inline]
pub(super) unsafe fn known<T: Held>(state: *mut lua_State, index: c_int) -> Result<*mut Option<T>, Failure> {
    // SAFETY: as for `argument`. Stack: unchanged.
    unsafe {
        if ffi::lua_getmetatable(state, index) != 0 {
            let is_one = ffi::lua_rawequal(state, -1, ffi::lua_upvalueindex(1)) != 0;
            ffi::lua_pop(state, 1);
            if is_one {
                return Ok(ffi::lua_touserdata(state, index).cast());
            }
        }
        Err(not_one::<T>(1))
    }
}

#[cold]
fn not_one<T: Held>(index: c_int) -> Failure {
    format!("bad argument #{index} (Need a {})", T::NEEDED).into()
}
