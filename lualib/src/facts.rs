//! What a service asks about itself and its node: names, environment, clocks, counters. Natives of `skynet`, because every
//! service would carry them otherwise.

use std::ffi::CStr;
use std::ptr;

use mlua::ffi::{self, lua_State};

use crate::stack::{self, native};
use crate::vm::Vm;

pub(crate) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"localname", localname),
    (c"address", address),
    (c"getenv", getenv),
    (c"setenv", setenv),
    (c"starttime", starttime),
    (c"time", time),
    (c"stat", stat),
    (c"mqlen", mqlen),
    (c"endless", endless),
];

native! {
    /// `localname(name) -> handle | nothing`
    fn localname(state) {
        // SAFETY: the argument is copied. Stack: at most one result.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            let name = stack::bytes_at(state, 1).unwrap_or_default();
            let context = &(*Vm::of(state)).context;
            match name.strip_prefix(b".").and_then(|name| context.engine().names().query(name)) {
                Some(handle) => {
                    ffi::lua_pushinteger(state, handle.bits().into());
                    Ok(1)
                }
                None => Ok(0),
            }
        }
    }
}

native! {
    /// `address(addr) -> string`
    fn address(state) {
        // SAFETY: nothing is owned when a `__tostring` raises. Stack: one result.
        unsafe {
            ffi::luaL_checkany(state, 1);
            if ffi::lua_type(state, 1) == ffi::LUA_TNUMBER {
                let bits = ffi::luaL_checkinteger(state, 1);
                stack::push_text(state, format!(":{bits:08x}"));
            } else {
                ffi::luaL_tolstring(state, 1, ptr::null_mut());
            }
            Ok(1)
        }
    }
}

native! {
    /// `getenv(key) -> string | nil`
    fn getenv(state) {
        // SAFETY: the text moves into the service's memory before it is pushed. Stack: one result.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            let key = stack::bytes_at(state, 1).unwrap_or_default();
            let value = (*Vm::of(state)).context.engine().env().get_bytes(key);
            match value {
                Some(value) => stack::push_text(state, value),
                None => ffi::lua_pushnil(state),
            }
            Ok(1)
        }
    }
}

native! {
    /// `setenv(key, value)`: new keys only.
    fn setenv(state) {
        // SAFETY: both texts are on the stack before they are copied. Stack: unchanged.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            ffi::luaL_checklstring(state, 2, ptr::null_mut());
            let key = stack::bytes_at(state, 1).unwrap_or_default();
            let value = stack::bytes_at(state, 2).unwrap_or_default();
            if (*Vm::of(state)).context.engine().env().set(key, value) {
                Ok(0)
            } else {
                Err([b"Can't setenv exist key : ", key].concat().into())
            }
        }
    }
}

native! {
    /// `starttime() -> integer`: Unix seconds at the node's start.
    fn starttime(state) {
        // SAFETY: pushes an integer.
        unsafe {
            ffi::lua_pushinteger(state, start_seconds(state));
            Ok(1)
        }
    }
}

native! {
    /// `time() -> float`: Unix seconds now, in hundredths.
    fn time(state) {
        // SAFETY: pushes a number.
        unsafe {
            let now_cs = (*Vm::of(state)).context.now_cs();
            ffi::lua_pushnumber(state, start_seconds(state) as f64 + now_cs as f64 / 100.0);
            Ok(1)
        }
    }
}

unsafe fn start_seconds(state: *mut lua_State) -> i64 {
    // SAFETY: no Lua code runs in here.
    unsafe { (*Vm::of(state)).context.engine().start_time() as i64 }
}

native! {
    /// `stat(what) -> number`: "mqlen", "endless" (which clears it), "cpu" and "time" in seconds, "message"; 0 for others.
    fn stat(state) {
        // SAFETY: the argument is only looked at. Stack: one result.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            let context = &(*Vm::of(state)).context;
            match stack::bytes_at(state, 1).unwrap_or_default() {
                b"mqlen" => ffi::lua_pushinteger(state, context.mailbox_len() as i64),
                b"endless" => ffi::lua_pushinteger(state, context.take_endless().into()),
                b"cpu" => ffi::lua_pushnumber(state, seconds(context.stats().cpu_ns)),
                b"time" => ffi::lua_pushnumber(state, seconds(context.stats().turn_ns)),
                b"message" => ffi::lua_pushinteger(state, context.stats().messages as i64),
                _ => ffi::lua_pushinteger(state, 0),
            }
            Ok(1)
        }
    }
}

/// Seconds in whole microseconds, as the command STAT prints them.
fn seconds(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1e6
}

native! {
    /// `mqlen() -> integer`
    fn mqlen(state) {
        // SAFETY: pushes an integer.
        unsafe {
            ffi::lua_pushinteger(state, (*Vm::of(state)).context.mailbox_len() as i64);
            Ok(1)
        }
    }
}

native! {
    /// `endless() -> boolean`: whether the monitor has reported this service since the last question.
    fn endless(state) {
        // SAFETY: pushes a boolean.
        unsafe {
            ffi::lua_pushboolean(state, (*Vm::of(state)).context.take_endless().into());
            Ok(1)
        }
    }
}
