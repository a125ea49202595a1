//! Another image in the place of a reader's.

use fulmar_sharedata::Image;
use mlua::ffi::{self, lua_State};

use super::reader::Reader;
use super::{ONES, OWNER, light};
use crate::raw;
use crate::stack::{self, Failure, native};
use crate::tables::{image, tables};
use crate::vm::Vm;

native! {
    /// `update(box, image)`: the box and all proxies below read another image.
    pub(in crate::tables) fn update(state) {
        // SAFETY: no Lua code runs once the image is in place. Stack: unchanged in the end.
        unsafe {
            ffi::lua_settop(state, 2);
            let reader = Reader::of_proxy(state, 1).ok_or("bad argument (a shared table expected)")?;
            let image = image::at(state, 2)?.clone();
            replace(state, reader, image)?;
            Ok(0)
        }
    }
}

/// Puts an image in the place of the reader's: its warm proxies become cold, and their caches are owned by nobody.
unsafe fn replace(state: *mut lua_State, reader: Reader, image: Image) -> Result<(), Failure> {
    // SAFETY: nothing is allocated, and the walk changes nothing that it walks over. Stack: unchanged in the end.
    unsafe {
        reader.places()?.replace(image);
        reader.push(state);
        ffi::lua_pushnil(state);
        ffi::lua_setiuservalue(state, -2, ONES);
        raw::pop(state);
        let (cold, index) = (reader.cold()?, (*Vm::of(state)).fixed.index);
        let top = ffi::lua_gettop(state);
        raw::push(state, raw::Value::table(reader.warm()?));
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, top + 1) != 0 {
            let (proxy, metatable) = (top + 2, top + 3);
            let cache = match (*raw::at(state, metatable)).as_table() {
                Some(metatable) => raw::field(metatable, index),
                None => raw::Value::NIL,
            };
            if let Some(table) = cache.as_table()
                && !raw::light_field(table, light(OWNER)).is_nil()
            {
                raw::push(state, cache);
                ffi::lua_pushnil(state);
                ffi::lua_rawsetp(state, metatable + 1, light(OWNER));
                raw::push(state, raw::Value::table(cold));
                ffi::lua_setmetatable(state, proxy);
            }
            ffi::lua_settop(state, proxy);
        }
        ffi::lua_settop(state, top);
        Ok(())
    }
}

native! {
    /// `refresh({ name = box }, prefix, wanted) -> { name = image } | nothing`: each box reads what its name stands for, all of them as
    /// of one moment. Returns the images that were replaced, of the names that `wanted` has. Boxes of names that are gone stay as they
    /// are.
    pub(in crate::tables) fn refresh(state) {
        // SAFETY: first the new images move into the readers, without Lua; then they are put in place. Stack: boxes, prefix,
        // wanted, result, then name and box of each.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            ffi::luaL_checklstring(state, 2, std::ptr::null_mut());
            ffi::luaL_checktype(state, 3, ffi::LUA_TTABLE);
            ffi::lua_settop(state, 3);
            ffi::lua_pushnil(state);
            {
                let snapshot = tables(state).registry().snapshot();
                let prefix = stack::text_at(state, 2).unwrap_or_default();
                ffi::lua_pushnil(state);
                while ffi::lua_next(state, 1) != 0 {
                    let name = match ffi::lua_type(state, 5) {
                        ffi::LUA_TSTRING => prefix.clone() + &stack::text_at(state, 5).unwrap_or_default(),
                        _ => String::new(),
                    };
                    if let Some(reader) = Reader::of_proxy(state, 6) {
                        (*reader.content()).next = snapshot.image(&name).cloned();
                    }
                    ffi::lua_settop(state, 5);
                }
            }
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, 1) != 0 {
                if let Some(reader) = Reader::of_proxy(state, 6)
                    && let Some(next) = (*reader.content()).next.take()
                    && !next.is(reader.places()?.image())
                {
                    (*reader.content()).next = Some(next);
                    ffi::lua_pushvalue(state, 5);
                    if ffi::lua_rawget(state, 3) != ffi::LUA_TNIL {
                        give_old(state, reader)?;
                    }
                    ffi::lua_settop(state, 6);
                    if let Some(next) = (*reader.content()).next.take() {
                        replace(state, reader, next)?;
                    }
                }
                ffi::lua_settop(state, 5);
            }
            Ok(1)
        }
    }
}

/// Puts the image that a box has read so far into the result of `refresh`.
unsafe fn give_old(state: *mut lua_State, reader: Reader) -> Result<(), Failure> {
    // SAFETY: the image moves into the userdata, which is made first. Stack: as in `refresh`; two values more.
    unsafe {
        if ffi::lua_type(state, 4) == ffi::LUA_TNIL {
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_replace(state, 4);
        }
        ffi::lua_pushvalue(state, 5);
        let old = image::push_empty(state);
        (*old).image = Some(reader.places()?.image().clone());
        ffi::lua_rawset(state, 4);
        Ok(())
    }
}
