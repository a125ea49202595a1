//! `fulmar.tables`: shared tables (`fulmar-sharedata`) for Lua. sharedata, sharetable and datasheet are faces of this module.
//!
//! An image is a userdata (`image`); what services send each other is a token for one, or its name. `build` makes images of
//! Lua tables, `copy` makes Lua tables of images, and `proxy` has what stands for a table that is read in place.

mod build;
mod copy;
mod foreign;
mod image;
pub(crate) mod literal;
mod proxy;
mod shared;

use std::ffi::{CStr, c_int};
use std::path::Path;
use std::ptr;

use fulmar_sharedata::{Key, News};
use mlua::ffi::{self, lua_State};

use crate::boxed::{self, Boxed};
use crate::stack::{self, Failure, native};
use crate::vm::Vm;
use crate::watch::Watch;
use crate::{raw, tasks};

use self::build::Rules;
pub(crate) use self::shared::Staged;
pub use self::shared::Tables;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"build", build),
    (c"literal", literal),
    (c"patch", patch),
    (c"token", token),
    (c"claim", claim),
    (c"publish", publish),
    (c"current", current),
    (c"version", version),
    (c"watch", watch),
    (c"names", names),
    (c"changed", changed),
    (c"copy", copy),
    (c"save", save),
    (c"load", load),
    (c"size", size),
    (c"box", proxy::new),
    (c"update", proxy::update),
    (c"refresh", proxy::refresh),
    (c"next", proxy::next),
    (c"isbox", proxy::is_box),
];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

/// The node's shared tables.
///
/// # Safety
/// `state` has a [`Vm`], and what is given is not used when it is closed.
unsafe fn tables<'a>(state: *mut lua_State) -> &'a Tables {
    // SAFETY: the node outlives every state of it.
    unsafe { &Vm::node_of(state).tables }
}

/// Images on their way between services of the node.
///
/// # Safety
/// As for [`tables`].
unsafe fn staged<'a>(state: *mut lua_State) -> &'a Staged {
    // SAFETY: as above.
    unsafe { &Vm::node_of(state).staged }
}

impl Boxed for Watch<News> {
    const METATABLE: &'static CStr = c"fulmar.watch";
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] =
        &[(c"__close", boxed::collect::<Watch<News>>)];
}

/// The name at `index`.
///
/// # Safety
/// There is a value, which stays there as long as the name is used.
unsafe fn name<'a>(state: *mut lua_State, index: c_int) -> Result<&'a str, Failure> {
    // SAFETY: the string stays on the stack while the native runs. Stack: unchanged.
    unsafe {
        let bytes = stack::bytes_at(state, index).ok_or("bad argument (a name must be a string)")?;
        std::str::from_utf8(bytes).map_err(|_| "bad argument (a name must be UTF-8)".into())
    }
}

/// The key at `index`, as `build` would take it.
///
/// # Safety
/// There is a value; a free slot.
unsafe fn key_at(state: *mut lua_State, index: c_int) -> Result<Key, Failure> {
    // SAFETY: the string is on the stack while it is copied. Stack: unchanged.
    unsafe { build::key(state, *raw::at(state, index)).map(|key| key.to_key()) }
}

native! {
    /// `build(table [, rules [, refuses_pairs]]) -> image`: the rules are "data", which are those of sharedata, or "message" or "whole", of
    /// sharetable. A table with `__pairs` is refused, or taken for what it holds.
    fn build(state) {
        // SAFETY: the userdata is made before anything is owned; building runs no Lua code. Stack: one result.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            let names = [c"data".as_ptr(), c"message".as_ptr(), c"whole".as_ptr(), ptr::null()];
            let rules = match ffi::luaL_checkoption(state, 2, names[0], names.as_ptr()) {
                0 => Rules::Data,
                1 => Rules::Message,
                _ => Rules::Whole,
            };
            let refuses_pairs = ffi::lua_toboolean(state, 3) != 0;
            ffi::lua_settop(state, 1);
            let place = image::push_empty(state);
            (*place).image = Some(build::image(state, 1, tables(state).store(), rules, refuses_pairs)?);
            Ok(1)
        }
    }
}

native! {
    /// `literal(source) -> image | nil`: of the table that a source returns; nil when the source has to be run for that.
    fn literal(state) {
        // SAFETY: the userdata is made before anything is owned; the source stays on the stack. Stack: one result.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            ffi::lua_settop(state, 1);
            let place = image::push_empty(state);
            (*place).image = literal::image(tables(state).store(), stack::bytes_at(state, 1).unwrap_or_default());
            if (*place).image.is_none() {
                ffi::lua_pushnil(state);
            }
            Ok(1)
        }
    }
}

native! {
    /// `patch(name, value, key, ...) -> boolean`: whether there is such a table, which has another value under these keys now.
    fn patch(state) {
        // SAFETY: no Lua code runs, and nothing is owned when the result is pushed. Stack: one result.
        unsafe {
            let top = ffi::lua_gettop(state);
            stack::make_room(state)?;
            let path = (3..=top).map(|index| key_at(state, index)).collect::<Result<Vec<_>, _>>()?;
            let patched = {
                let value = build::item(state, 2, tables(state).store())?;
                let registry = tables(state).registry();
                registry.patch(name(state, 1)?, &path, Some(value)).map_err(|error| error.to_string())?
            };
            drop(path);
            ffi::lua_pushboolean(state, patched.is_some().into());
            Ok(1)
        }
    }
}

native! {
    /// `token(image) -> lightuserdata`: good for one `claim`, and no longer than the image.
    fn token(state) {
        // SAFETY: a light userdata needs no memory. Stack: one result.
        unsafe {
            let place = image::place(state, 1)?;
            let image = (*place).image.clone().ok_or("the image is closed")?;
            (*place).token = staged(state).stage(image);
            ffi::lua_pushlightuserdata(state, ptr::without_provenance_mut((*place).token));
            Ok(1)
        }
    }
}

native! {
    /// `claim(token) -> image`
    fn claim(state) {
        // SAFETY: the userdata is made before anything is owned. Stack: one result.
        unsafe {
            let token = match ffi::lua_type(state, 1) {
                ffi::LUA_TLIGHTUSERDATA => ffi::lua_touserdata(state, 1).addr(),
                _ => 0,
            };
            let place = image::push_empty(state);
            let image = staged(state).claim(token);
            (*place).image = Some(image.ok_or("the table is gone: who made it has ended, or it was taken before")?);
            Ok(1)
        }
    }
}

native! {
    /// `publish(name, image | nil, ...)`: all of them in one step; nil takes a name away. Returns the new version.
    fn publish(state) {
        // SAFETY: the names stay on the stack; no Lua code runs. Stack: one result.
        unsafe {
            let top = ffi::lua_gettop(state);
            let mut batch = Vec::with_capacity(top as usize / 2);
            for index in (1..=top).step_by(2) {
                let image = match ffi::lua_type(state, index + 1) {
                    ffi::LUA_TNIL | ffi::LUA_TNONE => None,
                    _ => Some(image::at(state, index + 1)?.clone()),
                };
                batch.push((name(state, index)?, image));
            }
            let version = tables(state).registry().publish_all(batch);
            ffi::lua_settop(state, 0);
            ffi::lua_pushinteger(state, version.cast_signed());
            Ok(1)
        }
    }
}

native! {
    /// `current(name) -> image, version | nothing`
    fn current(state) {
        // SAFETY: the userdata is made before anything is owned. Stack: at most two results.
        unsafe {
            name(state, 1)?;
            let place = image::push_empty(state);
            let snapshot = tables(state).registry().snapshot();
            let name = name(state, 1)?;
            let (Some(image), Some(version)) = (snapshot.image(name), snapshot.version_of(name)) else {
                return Ok(0);
            };
            (*place).image = Some(image.clone());
            ffi::lua_pushinteger(state, version.cast_signed());
            Ok(2)
        }
    }
}

native! {
    /// `version([name]) -> integer | nil`: of a name, or of what was published last under any.
    fn version(state) {
        // SAFETY: nothing is owned when the result is pushed. Stack: one result.
        unsafe {
            let version = {
                let snapshot = tables(state).registry().snapshot();
                match ffi::lua_type(state, 1) {
                    ffi::LUA_TNONE => Some(snapshot.version()),
                    _ => snapshot.version_of(name(state, 1)?),
                }
            };
            match version {
                Some(version) => ffi::lua_pushinteger(state, version.cast_signed()),
                None => ffi::lua_pushnil(state),
            }
            Ok(1)
        }
    }
}

native! {
    /// `watch(version, func) -> watch | nothing`: runs `func` in a task when something is published, if nothing was since that version,
    /// unless the watch is closed before.
    fn watch(state) {
        // SAFETY: everything that may raise comes before anything is owned. Stack: at most one result.
        unsafe {
            let seen = ffi::luaL_checkinteger(state, 1).cast_unsigned();
            ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
            ffi::lua_settop(state, 2);
            let place = boxed::push_empty::<Watch<News>>(state);
            ffi::lua_pushvalue(state, 2);
            let (session, notice) = tasks::expect_notice(state)?;
            let news = tables(state).registry().news(seen);
            *place = Watch::begin(Vm::of(state), news, session, notice, |news, context| {
                news.poll(context).is_pending()
            });
            Ok((*place).is_some().into())
        }
    }
}

native! {
    /// `names(prefix) -> { name ... }`: the names that begin so, without that beginning.
    fn names(state) {
        // SAFETY: the names move into the service's memory before they are pushed. Stack: one result.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            ffi::lua_settop(state, 1);
            ffi::lua_createtable(state, 0, 0);
            let mut place = 0;
            loop {
                let found = {
                    let snapshot = tables(state).registry().snapshot();
                    let mut names: Vec<&str> = snapshot.names().filter_map(|known| known.strip_prefix(name(state, 1).ok()?)).collect();
                    names.sort_unstable();
                    names.get(place).map(|name| (*name).to_owned())
                };
                let Some(found) = found else { return Ok(1) };
                place += 1;
                stack::push_text(state, found);
                ffi::lua_rawseti(state, 2, place as ffi::lua_Integer);
            }
        }
    }
}

native! {
    /// `changed(image, old) -> { key ... }`
    fn changed(state) {
        // SAFETY: the keys move into the image's userdata before they are pushed. Stack: one result.
        unsafe {
            ffi::lua_settop(state, 2);
            let keys = image::at(state, 1)?.changed_keys(image::at(state, 2)?).map_err(|error| error.to_string())?;
            let place = image::place(state, 1)?;
            (*place).keys = keys;
            ffi::lua_createtable(state, 0, 0);
            for index in 0..(*place).keys.len() {
                match &(&(*place).keys)[index] {
                    Key::Integer(integer) => ffi::lua_pushinteger(state, *integer),
                    Key::Text(text) => stack::push_bytes(state, text),
                }
                ffi::lua_rawseti(state, 3, index as ffi::lua_Integer + 1);
            }
            (*place).keys = Vec::new();
            Ok(1)
        }
    }
}

native! {
    /// `copy(image, key, ...) -> value | nil`
    fn copy(state) {
        // SAFETY: the image is on the stack while it is read. Stack: one result.
        unsafe {
            let top = ffi::lua_gettop(state);
            stack::make_room(state)?;
            let image = image::at(state, 1)?;
            let found = {
                let path = (2..=top).map(|index| key_at(state, index)).collect::<Result<Vec<_>, _>>()?;
                match image.at(&path) {
                    Ok(value) => value,
                    Err(fulmar_sharedata::ReadError::Damaged(damaged)) => return Err(damaged.to_string().into()),
                    Err(_) => {
                        ffi::lua_pushnil(state);
                        return Ok(1);
                    }
                }
            };
            ffi::lua_createtable(state, 0, 0);
            copy::push(state, found, top + 1, 0)?;
            Ok(1)
        }
    }
}

native! {
    /// `save(image, path)`
    fn save(state) {
        // SAFETY: the path is on the stack. Stack: unchanged.
        unsafe {
            let image = image::at(state, 1)?;
            image.save(Path::new(name(state, 2)?)).map_err(|error| error.to_string())?;
            Ok(0)
        }
    }
}

native! {
    /// `load(path) -> image`: a file that `save` or `fulmar data build` has written, read in place.
    fn load(state) {
        // SAFETY: the userdata is made before anything is owned. Stack: one result.
        unsafe {
            name(state, 1)?;
            let place = image::push_empty(state);
            let path = Path::new(name(state, 1)?);
            let image = tables(state).store().map(path).map_err(|error| format!("{}: {error}", path.display()))?;
            (*place).image = Some(image);
            Ok(1)
        }
    }
}

native! {
    /// `size(image) -> bytes`: of all its blocks.
    fn size(state) {
        // SAFETY: nothing is owned when the result is pushed. Stack: one result.
        unsafe {
            let image = image::at(state, 1)?;
            let (_, bytes) = image.sizes_beside(image).map_err(|error| error.to_string())?;
            ffi::lua_pushinteger(state, bytes.cast_signed());
            Ok(1)
        }
    }
}
