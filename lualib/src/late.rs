//! The names of the module `skynet` that few services use: the first one that is asked for loads `skynet.rest`, which has them all.
//!
//! Until then the module has a metatable of ours, which programs do not see: `getmetatable` and `setmetatable` load the rest first, and
//! it goes.

use std::ffi::{c_char, c_int};

use mlua::ffi::{self, lua_State};

use crate::raw;
use crate::vm::Vm;

/// Where our metatable has the `require` that loads the rest.
const REQUIRE: ffi::lua_Integer = 1;

/// Gives the table on top, which is the module, our metatable with the function below.
///
/// # Safety
/// Both are there; three free slots. May raise a memory error: nothing with a destructor is alive.
pub(crate) unsafe fn install(state: *mut lua_State) {
    // SAFETY: by the caller. Stack: unchanged in the end.
    unsafe {
        ffi::lua_createtable(state, 1, 1);
        ffi::lua_pushcclosure(state, index, 0);
        ffi::lua_setfield(state, -2, c"__index".as_ptr());
        ffi::lua_pushvalue(state, -3);
        ffi::lua_rawseti(state, -2, REQUIRE);
        ffi::lua_setmetatable(state, -2);
    }
}

/// `__index`: (skynet, name).
unsafe extern "C-unwind" fn index(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned while Lua may raise. Stack: the two arguments, then the value.
    unsafe {
        ffi::lua_settop(state, 2);
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        load(state);
        ffi::lua_rawget(state, 1)
    };
    1
}

/// `getmetatable(value)`: Lua's, but for what is said above.
pub(crate) unsafe extern "C-unwind" fn getmetatable(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned while Lua may raise. Stack: the argument, then nil or its metatable and what hides that.
    unsafe {
        ffi::luaL_checkany(state, 1);
        load(state);
        if ffi::lua_getmetatable(state, 1) == 0 {
            ffi::lua_pushnil(state);
        } else {
            ffi::luaL_getmetafield(state, 1, c"__metatable".as_ptr());
        }
        1
    }
}

/// `setmetatable(table, metatable)`: Lua's, but for what is said above.
pub(crate) unsafe extern "C-unwind" fn setmetatable(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned while Lua may raise. Stack: the two arguments, then the first.
    unsafe {
        let kind = ffi::lua_type(state, 2);
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        if kind != ffi::LUA_TNIL && kind != ffi::LUA_TTABLE {
            luaL_typeerror(state, 2, c"nil or table".as_ptr());
        }
        if ffi::luaL_getmetafield(state, 1, c"__metatable".as_ptr()) != ffi::LUA_TNIL {
            ffi::luaL_error(state, c"cannot change a protected metatable".as_ptr());
        }
        ffi::lua_settop(state, 2);
        load(state);
        ffi::lua_setmetatable(state, 1);
        1
    }
}

/// Loads the rest into what is at 1 if that is a table that still has our metatable, which goes.
unsafe fn load(state: *mut lua_State) {
    // SAFETY: there is a value at 1. Stack: unchanged in the end; meanwhile our metatable and what it has.
    unsafe {
        let Some(metatable) = (*raw::at(state, 1))
            .as_table()
            .and_then(|table| raw::metatable(table))
        else {
            return;
        };
        if !raw::field(metatable, (*Vm::of(state)).fixed.index).is_native(index) {
            return;
        }
        ffi::lua_getmetatable(state, 1);
        ffi::lua_rawgeti(state, -1, REQUIRE);
        ffi::lua_pushnil(state);
        ffi::lua_setmetatable(state, 1);
        ffi::lua_pushstring(state, c"skynet.rest".as_ptr());
        ffi::lua_callk(state, 1, 0, 0, None);
        ffi::lua_settop(state, -2);
    }
}

unsafe extern "C-unwind" {
    /// Of Lua's auxiliary library; raises.
    fn luaL_typeerror(state: *mut lua_State, argument: c_int, wanted: *const c_char) -> c_int;
}
