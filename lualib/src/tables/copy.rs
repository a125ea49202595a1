//! Plain Lua tables of what an image holds.

use std::ffi::{c_int, c_void};
use std::ptr;

use fulmar_sharedata::{KeyRef, MAX_DEPTH, Value};
use mlua::ffi::{self, lua_State};

use super::foreign;
use crate::stack::{self, Failure};

/// Pushes a value; a table as a new one, with all below it. The table at `ones` has those that were made of tables with an identity.
///
/// # Safety
/// The image lives; nothing with a destructor is alive in the callers: pushing may raise.
pub(super) unsafe fn push(
    state: *mut lua_State,
    value: Value<'_>,
    ones: c_int,
    depth: usize,
) -> Result<(), Failure> {
    // SAFETY: by the caller. Stack: one value more.
    unsafe {
        let Value::Table(table) = value else {
            push_scalar(state, value);
            return Ok(());
        };
        if depth > MAX_DEPTH || ffi::lua_checkstack(state, ROOM) == 0 {
            return Err("tables nested too deep".into());
        }
        let identity = table.identity().map(ptr::without_provenance::<c_void>);
        if let Some(identity) = identity {
            if ffi::lua_rawgetp(state, ones, identity) == ffi::LUA_TTABLE {
                return Ok(());
            }
            ffi::lua_settop(state, -2);
        }
        let array_len = table.array_len().map_err(|error| error.to_string())?;
        let places = table.places().map_err(|error| error.to_string())?;
        ffi::lua_createtable(state, room(array_len), room(places - array_len));
        if let Some(identity) = identity {
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawsetp(state, ones, identity);
        }
        for entry in table.entries() {
            let (key, value) = entry.map_err(|error| error.to_string())?;
            push_key(state, key);
            push(state, value, ones, depth + 1)?;
            ffi::lua_rawset(state, -3);
        }
        Ok(())
    }
}

/// Pushes a key.
pub(super) unsafe fn push_key(state: *mut lua_State, key: KeyRef<'_>) {
    // SAFETY: as for `push`. Stack: one value more.
    unsafe {
        match key {
            KeyRef::Integer(integer) => ffi::lua_pushinteger(state, integer),
            KeyRef::Text(text) => stack::push_bytes(state, text),
        }
    }
}

/// Pushes a value that is no table; nil for one that is.
pub(super) unsafe fn push_scalar(state: *mut lua_State, value: Value<'_>) {
    // SAFETY: as for `push`. Stack: one value more.
    unsafe {
        match value {
            Value::Boolean(boolean) => ffi::lua_pushboolean(state, boolean.into()),
            Value::Integer(integer) => ffi::lua_pushinteger(state, integer),
            Value::Float(float) => ffi::lua_pushnumber(state, float),
            Value::Text(text) => stack::push_bytes(state, text),
            Value::Object(object) => foreign::push(state, object),
            Value::Table(_) => ffi::lua_pushnil(state),
        }
    }
}

/// What a table is made for: a count from a file is not believed beyond this.
pub(super) fn room(count: u64) -> c_int {
    count.min(1 << 20) as c_int
}

const ROOM: c_int = 10;
