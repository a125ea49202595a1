//! Reading a key of a proxy: cold, then from its cache.

use std::ffi::c_int;

use fulmar_sharedata::Value;
use mlua::ffi::{self, lua_State};

use super::reader::{Found, Inner, Reader, above, damaged, find, focus, key, mark, path, proxy_at};
use super::{ONES, OWNER, PLACE, light};
use crate::raw;
use crate::stack::{self, Failure, native};
use crate::tables::copy::{push_key, push_scalar, room};
use crate::tables::foreign;
use crate::vm::Vm;

/// Tables with at most so many places are read at once when they become warm.
const SMALL: u64 = 32;

native! {
    /// `__index` of a cold proxy: (proxy, key).
    pub(super) fn cold_index(state) {
        // SAFETY: by (2). Stack: proxy and key, then the cache, or the value and the cache.
        unsafe {
            ffi::lua_settop(state, 2);
            let reader = Reader::of_method(state)?;
            let Some(wanted) = key(state, 2)? else {
                raw::push(state, raw::Value::NIL);
                return Ok(1);
            };
            let (place, table) = focus(state, reader, 1)?;
            match find(reader, table, wanted)? {
                Found::Table(inner) => {
                    warm(state, reader, 1)?;
                    child(state, reader, 1, 2, 3, inner)?;
                }
                Found::Scalar(value) => {
                    let (proxy, before) = proxy_at(state, 1)?;
                    push_option(state, value);
                    if before & 1 == 0 {
                        raw::set_light_number(proxy, light(PLACE), mark(place, true));
                        return Ok(1);
                    }
                    warm(state, reader, 1)?;
                    // A wide table's cache is filled as it is read.
                    if !(*raw::at(state, 3)).is_nil() {
                        ffi::lua_pushvalue(state, 2);
                        ffi::lua_pushvalue(state, 3);
                        ffi::lua_rawset(state, 4);
                    }
                    ffi::lua_settop(state, 3);
                }
            }
            Ok(1)
        }
    }
}

native! {
    /// `__index` of a cache: (cache, key).
    pub(super) fn fill_index(state) {
        // SAFETY: by (2). Stack: cache, key, owner, value.
        unsafe {
            ffi::lua_settop(state, 2);
            let reader = Reader::of_method(state)?;
            let owner = match (*raw::at(state, 1)).as_table() {
                Some(cache) => raw::light_field(cache, light(OWNER)),
                None => raw::Value::NIL,
            };
            raw::push(state, owner);
            let wanted = match key(state, 2)? {
                Some(wanted) if !owner.is_nil() => wanted,
                _ => {
                    raw::push(state, raw::Value::NIL);
                    return Ok(1);
                }
            };
            let (_, table) = focus(state, reader, 3)?;
            match find(reader, table, wanted)? {
                Found::Table(inner) => new_child(state, reader, 3, 2, 1, inner)?,
                Found::Scalar(None) => raw::push(state, raw::Value::NIL),
                Found::Scalar(Some(value)) => {
                    push_scalar(state, value);
                    ffi::lua_pushvalue(state, 2);
                    ffi::lua_pushvalue(state, 4);
                    ffi::lua_rawset(state, 1);
                }
            }
            Ok(1)
        }
    }
}

native! {
    /// `__newindex`: (proxy, key, value).
    pub(super) fn newindex(state) {
        // SAFETY: no Lua code runs.
        unsafe {
            ffi::lua_settop(state, 1);
            let (proxy, _) = proxy_at(state, 1)?;
            Err(format!("Error newindex, the key [{}]", path(state, proxy)).into())
        }
    }
}

native! {
    /// `__len`: (proxy).
    pub(super) fn len(state) {
        // SAFETY: by (2). Stack: one result.
        unsafe {
            ffi::lua_settop(state, 1);
            let (_, table) = focus(state, Reader::of_method(state)?, 1)?;
            let len = table.array_len().map_err(damaged)?;
            ffi::lua_pushinteger(state, len.cast_signed());
            Ok(1)
        }
    }
}

/// Pushes a scalar, or nil.
unsafe fn push_option(state: *mut lua_State, value: Option<Value<'_>>) {
    // SAFETY: by (2). Stack: one value more.
    unsafe {
        match value {
            Some(value) => push_scalar(state, value),
            None => raw::push(state, raw::Value::NIL),
        }
    }
}

/// Pushes the proxy of a table below another: the one that its cache has, or a new one.
///
/// # Safety
/// The indices are absolute. May raise a memory error: nothing with a destructor is alive.
pub(super) unsafe fn child(
    state: *mut lua_State,
    reader: Reader,
    parent: c_int,
    key: c_int,
    cache: c_int,
    inner: Inner,
) -> Result<(), Failure> {
    // SAFETY: by the caller. Stack: one proxy more.
    unsafe {
        raw::push(state, *raw::at(state, key));
        if ffi::lua_rawget(state, cache) == ffi::LUA_TTABLE {
            return Ok(());
        }
        raw::pop(state);
        new_child(state, reader, parent, key, cache, inner)
    }
}

/// [`child`], when the cache has none. A table with an identity may have been found elsewhere.
unsafe fn new_child(
    state: *mut lua_State,
    reader: Reader,
    parent: c_int,
    key: c_int,
    cache: c_int,
    inner: Inner,
) -> Result<(), Failure> {
    // SAFETY: as for `child`.
    unsafe {
        if inner.is_one && push_one(state, reader, inner) {
            raw::push(state, *raw::at(state, key));
            ffi::lua_pushvalue(state, -2);
            ffi::lua_rawset(state, cache);
            return Ok(());
        }
        ffi::lua_createtable(state, 0, 2);
        let proxy = raw::top(state);
        let number = (light(PLACE), raw::Value::integer(mark(inner.place, false)));
        match (proxy.as_table(), (*raw::at(state, parent)).as_table()) {
            (Some(new), Some(above))
                if raw::is_new(new) && raw::fill_pair(new, number, (above, *raw::at(state, key))) =>
            {
                raw::adorn(new, reader.cold()?);
            }
            _ => {
                raw::push(state, number.1);
                ffi::lua_rawsetp(state, -2, number.0);
                raw::push(state, *raw::at(state, parent));
                raw::push(state, *raw::at(state, key));
                ffi::lua_rawset(state, -3);
                raw::push(state, raw::Value::table(reader.cold()?));
                ffi::lua_setmetatable(state, -2);
            }
        }
        raw::push(state, *raw::at(state, key));
        raw::push(state, proxy);
        ffi::lua_rawset(state, cache);
        if inner.is_one {
            keep_one(state, reader, inner);
        }
        Ok(())
    }
}

/// Pushes the proxy that a table with an identity has, if it has one.
unsafe fn push_one(state: *mut lua_State, reader: Reader, inner: Inner) -> bool {
    // SAFETY: nothing is allocated; two free slots. Stack: one proxy more, or nothing.
    unsafe {
        let Some(ones) = reader.ones() else { return false };
        raw::push(state, raw::Value::table(ones));
        if ffi::lua_rawgeti(state, -1, inner.place) == ffi::LUA_TTABLE {
            ffi::lua_remove(state, -2);
            return true;
        }
        ffi::lua_settop(state, -3);
        false
    }
}

/// Remembers the proxy on top for a table with an identity.
unsafe fn keep_one(state: *mut lua_State, reader: Reader, inner: Inner) {
    // SAFETY: as for `child`; three free slots. Stack: unchanged in the end.
    unsafe {
        let proxy = ffi::lua_gettop(state);
        match reader.ones() {
            Some(ones) => raw::push(state, raw::Value::table(ones)),
            None => {
                reader.push(state);
                ffi::lua_createtable(state, 0, 1);
                stack::make_weak(state, c"v");
                ffi::lua_pushvalue(state, -1);
                ffi::lua_setiuservalue(state, proxy + 1, ONES);
            }
        }
        ffi::lua_pushvalue(state, proxy);
        ffi::lua_rawseti(state, -2, inner.place);
        ffi::lua_settop(state, proxy);
    }
}

/// The cache of a proxy that is warm.
#[inline]
unsafe fn cache_of(state: *mut lua_State, proxy: *const raw::Table) -> Option<raw::Value> {
    // SAFETY: the proxy is live.
    unsafe {
        let cache = raw::field(raw::metatable(proxy)?, (*Vm::of(state)).fixed.index);
        let owner = raw::light_field(cache.as_table()?, light(OWNER)).as_table();
        (owner == Some(proxy)).then_some(cache)
    }
}

/// Pushes the cache of a proxy, which becomes warm if it is not. One that was warm before an update gets its metatable and its
/// cache back.
///
/// # Safety
/// As for [`child`].
pub(super) unsafe fn warm(state: *mut lua_State, reader: Reader, proxy: c_int) -> Result<(), Failure> {
    // SAFETY: by the caller. Stack: one table more; meanwhile the table of the metatables, the metatable, the cache.
    unsafe {
        if let Some(cache) = cache_of(state, proxy_at(state, proxy)?.0) {
            raw::push(state, cache);
            return Ok(());
        }
        if ffi::lua_checkstack(state, 12) == 0 {
            return Err("stack overflow".into());
        }
        let known = ffi::lua_gettop(state) + 1;
        let (metatable, cache) = (known + 1, known + 2);
        raw::push(state, raw::Value::table(reader.warm()?));
        ffi::lua_pushvalue(state, proxy);
        let had = ffi::lua_rawget(state, known) == ffi::LUA_TTABLE;
        if had {
            ffi::lua_getfield(state, metatable, c"__index".as_ptr());
            ffi::luaL_checktype(state, cache, ffi::LUA_TTABLE);
        } else {
            let count = focus(state, reader, proxy)?.1.places().map_err(damaged)?;
            ffi::lua_createtable(state, 0, if count <= SMALL { room(count) + 1 } else { 0 });
            raw::push(state, raw::Value::table(reader.fill()?));
            ffi::lua_setmetatable(state, cache);
        }
        let mut is_new = !had;
        loop {
            let (place, _) = focus(state, reader, proxy)?;
            if !is_new {
                revise(state, reader, proxy, cache)?;
            }
            fill(state, reader, proxy, cache, is_new)?;
            // A finalizer may have given the reader another image meanwhile.
            if reader.places()?.table(place).is_some() {
                break;
            }
            is_new = false;
        }
        if !had {
            ffi::lua_settop(state, cache);
            push_warm_metatable(state, reader, cache)?;
            ffi::lua_replace(state, metatable);
            ffi::lua_pushvalue(state, proxy);
            ffi::lua_pushvalue(state, metatable);
            ffi::lua_rawset(state, known);
        }
        ffi::lua_pushvalue(state, proxy);
        ffi::lua_rawsetp(state, cache, light(OWNER));
        ffi::lua_pushvalue(state, metatable);
        ffi::lua_setmetatable(state, proxy);
        ffi::lua_replace(state, known);
        ffi::lua_settop(state, known);
        Ok(())
    }
}

/// Puts the scalars of a small table into its cache: all of them, or those that it lacks.
unsafe fn fill(
    state: *mut lua_State,
    reader: Reader,
    proxy: c_int,
    cache: c_int,
    is_new: bool,
) -> Result<(), Failure> {
    // SAFETY: as for `warm`: what is read after the key was pushed is read anew. Stack: unchanged in the end.
    unsafe {
        let count = focus(state, reader, proxy)?.1.places().map_err(damaged)?;
        for place in 0..if count <= SMALL { count } else { 0 } {
            let (_, table) = focus(state, reader, proxy)?;
            let Some((key, value)) = table.nth(place).map_err(damaged)? else {
                continue;
            };
            if matches!(value, Value::Table(_)) {
                continue;
            }
            push_key(state, key);
            if !is_new {
                ffi::lua_pushvalue(state, -1);
                if ffi::lua_rawget(state, cache) != ffi::LUA_TNIL {
                    ffi::lua_settop(state, -3);
                    continue;
                }
                raw::pop(state);
            }
            let (_, table) = focus(state, reader, proxy)?;
            push_option(state, table.nth(place).map_err(damaged)?.map(|(_, value)| value));
            ffi::lua_rawset(state, cache);
        }
        Ok(())
    }
}

/// Pushes a metatable for a warm proxy: the cold one, but for `__index`.
unsafe fn push_warm_metatable(state: *mut lua_State, reader: Reader, cache: c_int) -> Result<(), Failure> {
    // SAFETY: as for `warm`. Stack: one table more.
    unsafe {
        ffi::lua_createtable(state, 0, 4);
        let cold = reader.cold()?;
        if let Some(new) = raw::top(state).as_table()
            && raw::is_new(new)
            && raw::copy_hash(new, cold)
            && raw::replace_field(new, (*Vm::of(state)).fixed.index, *raw::at(state, cache))
        {
            return Ok(());
        }
        let metatable = ffi::lua_gettop(state);
        raw::push(state, raw::Value::table(cold));
        for name in [c"__newindex", c"__len", c"__pairs"] {
            ffi::lua_getfield(state, metatable + 1, name.as_ptr());
            ffi::lua_setfield(state, metatable, name.as_ptr());
        }
        ffi::lua_pushvalue(state, cache);
        ffi::lua_setfield(state, metatable, c"__index".as_ptr());
        ffi::lua_settop(state, metatable);
        Ok(())
    }
}

/// Brings a cache of an image before to what the one now has: what is the same stays, down to the proxy or the string.
unsafe fn revise(state: *mut lua_State, reader: Reader, proxy: c_int, cache: c_int) -> Result<(), Failure> {
    // SAFETY: as for `warm`; assigning to keys that are there does not disturb the walk. Stack: unchanged in the end.
    unsafe {
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, cache) != 0 {
            let top = ffi::lua_gettop(state);
            if let Some(key) = key(state, top - 1)? {
                let (_, table) = focus(state, reader, proxy)?;
                let found = find(reader, table, key)?;
                let stays = match found {
                    Found::Table(inner) => is_child(state, reader, proxy, inner),
                    Found::Scalar(value) => value.is_some_and(|value| is_scalar(state, top, value)),
                };
                if !stays {
                    ffi::lua_pushvalue(state, top - 1);
                    match found {
                        Found::Table(_) => ffi::lua_pushnil(state),
                        Found::Scalar(_) => {
                            let (_, table) = focus(state, reader, proxy)?;
                            push_option(state, table.find(key).map_err(damaged)?);
                        }
                    }
                    ffi::lua_rawset(state, cache);
                }
            }
            ffi::lua_settop(state, top - 1);
        }
        Ok(())
    }
}

/// Whether the value on top, with its key below, is the proxy of this table of another proxy's: the one that it has if it has an
/// identity, or else one that was made there.
unsafe fn is_child(state: *mut lua_State, reader: Reader, parent: c_int, inner: Inner) -> bool {
    // SAFETY: as for `warm`. Stack: unchanged in the end.
    unsafe {
        let top = ffi::lua_gettop(state);
        let Some(table) = (*raw::at(state, top)).as_table() else {
            return false;
        };
        if inner.is_one && push_one(state, reader, inner) {
            let is_same = (*raw::at(state, top + 1)).as_table() == Some(table);
            ffi::lua_settop(state, top);
            return is_same;
        }
        let Some((owner, name)) = above(table) else {
            return false;
        };
        raw::push(state, name);
        let is_there = (*raw::at(state, parent)).as_table() == Some(owner)
            && ffi::lua_rawequal(state, top - 1, top + 1) != 0;
        ffi::lua_settop(state, top);
        if is_there && inner.is_one {
            keep_one(state, reader, inner);
        }
        is_there
    }
}

/// Whether the value at `index` is this one.
unsafe fn is_scalar(state: *mut lua_State, index: c_int, value: Value<'_>) -> bool {
    // SAFETY: nothing is converted in place. Stack: unchanged.
    unsafe {
        let found = *raw::at(state, index);
        match value {
            Value::Boolean(boolean) => found.as_boolean() == Some(boolean),
            Value::Integer(integer) => found.as_integer() == Some(integer),
            Value::Float(float) => {
                matches!(found.content(), raw::Content::Float(found) if found.to_bits() == float.to_bits())
            }
            Value::Text(text) => stack::bytes_at(state, index).is_some_and(|bytes| bytes == text),
            Value::Object(object) => {
                foreign::push(state, object);
                let is_same = ffi::lua_rawequal(state, index, -1) != 0;
                raw::pop(state);
                is_same
            }
            Value::Table(_) => false,
        }
    }
}
