//! Walking over a proxy: `pairs`, and a `next` that knows proxies.

use std::ffi::c_int;

use fulmar_sharedata::{Found, Value};
use mlua::ffi::{self, lua_State};

use super::index::{child, warm};
use super::reader::{Inner, Reader, damaged, focus, key};
use crate::raw;
use crate::stack::{Failure, native};
use crate::tables::copy::{push_key, push_scalar};

native! {
    /// `__pairs`: (proxy) -> iterator, proxy, nil.
    pub(super) fn pairs(state) {
        // SAFETY: nothing is owned. Stack: three results.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            ffi::lua_settop(state, 1);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
            ffi::lua_pushvalue(state, 1);
            ffi::lua_pushinteger(state, 0);
            ffi::lua_pushcclosure(state, step, 3);
            ffi::lua_pushvalue(state, 1);
            ffi::lua_pushnil(state);
            Ok(3)
        }
    }
}

native! {
    /// The iterator: its upvalues are the reader, the proxy, and the next place.
    fn step(state) {
        // SAFETY: by (2). Stack: the proxy, then at most two results.
        unsafe {
            ffi::lua_settop(state, 0);
            let reader = Reader::of_method(state)?;
            raw::push(state, raw::upvalue(state, 2));
            let from = raw::upvalue(state, 3).as_integer().unwrap_or_default();
            match entry(state, reader, 1, from.cast_unsigned())? {
                Some(place) => {
                    raw::set_upvalue(state, 3, (place + 1).cast_signed());
                    Ok(2)
                }
                None => {
                    ffi::lua_pushnil(state);
                    Ok(1)
                }
            }
        }
    }
}

/// Pushes the key and the value of the first entry from a place on, and gives its place.
unsafe fn entry(
    state: *mut lua_State,
    reader: Reader,
    proxy: c_int,
    from: u64,
) -> Result<Option<u64>, Failure> {
    // SAFETY: by (2). Stack: two values more, if there is an entry; meanwhile the cache.
    unsafe {
        let (table, _) = focus(state, reader, proxy)?;
        let Some(step) = reader.places()?.next_entry(table, from).map_err(damaged)? else {
            return Ok(None);
        };
        let place = step.place;
        match step.value {
            Found::Table(spot) => {
                let inner = Inner::of(reader, spot)?;
                push_key(state, step.key);
                let key = raw::count(state);
                warm(state, reader, proxy)?;
                child(state, reader, proxy, key, key + 1, inner)?;
                ffi::lua_remove(state, key + 1);
            }
            Found::Scalar(Value::Text(_)) => {
                push_key(state, step.key);
                // A finalizer may have come in between.
                let (_, table) = focus(state, reader, proxy)?;
                match table.nth(place).map_err(damaged)? {
                    Some((_, value)) => push_scalar(state, value),
                    None => ffi::lua_pushnil(state),
                }
            }
            // Pushing it allocates nothing.
            Found::Scalar(number) => {
                push_scalar(state, number);
                push_key(state, step.key);
                ffi::lua_insert(state, -2);
            }
        }
        Ok(Some(place))
    }
}

native! {
    /// `next(table, key)`: Lua's, which also walks proxies.
    pub(in crate::tables) fn next(state) {
        // SAFETY: by (2). Stack: table and key, then at most two results.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            ffi::lua_settop(state, 2);
            let Some(reader) = Reader::of_proxy(state, 1) else {
                if ffi::lua_next(state, 1) != 0 {
                    return Ok(2);
                }
                ffi::lua_pushnil(state);
                return Ok(1);
            };
            let from = match ffi::lua_type(state, 2) {
                ffi::LUA_TNIL => 0,
                _ => {
                    let (_, table) = focus(state, reader, 1)?;
                    let place = match key(state, 2)? {
                        Some(key) => table.position(key).map_err(damaged)?,
                        None => None,
                    };
                    place.ok_or("invalid key to 'next'")? + 1
                }
            };
            match entry(state, reader, 1, from)? {
                Some(_) => Ok(2),
                None => {
                    ffi::lua_pushnil(state);
                    Ok(1)
                }
            }
        }
    }
}
