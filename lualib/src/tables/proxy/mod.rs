//! What stands for a shared table in Lua: an empty table that finds its values when they are asked for.
//!
//! A *box* is the proxy of an image's root; a [`Reader`] is the userdata behind it, which all proxies below share. A proxy is a Lua
//! table with two entries, whose keys no program uses:
//!
//! | key | value |
//! |---|---|
//! | `PLACE` | twice the number that its reader knows the table by, which is stale after an update; and one if it has been read |
//! | the proxy above | the key that it was found under there: how it finds itself again after an update |
//! | `ROOT` | true, in a box: it is found at the top |
//!
//! A table with an identity, which may be found in several places, has one proxy, made where it was found first.
//!
//! A *cold* proxy has the reader's cold metatable, whose `__index` is native. The second read makes it *warm*: a metatable of its own
//! whose `__index` is a plain table, the cache, of what has been read, so that Lua finds a value again by itself. The cache's own
//! `__index` is native and fills it; it holds proxies weakly, and its owner under `OWNER`. An update makes all warm proxies cold
//! again. One that is read after that gets its metatable and its cache back, once what is in there has been revised: so
//! `t.a == t.a` across an update, and reading on after updates leaves no garbage.
//!
//! | file | what |
//! |---|---|
//! | `reader` | the userdata; how a proxy finds its table |
//! | `index` | reading a key; `warm` proxies and their caches |
//! | `walk` | `pairs`, `next` |
//! | `update` | another image in place of the reader's |
//!
//! # Invariants
//! 1. A userdata with the metatable that the vault keeps for readers holds a `Content`.
//! 2. What is borrowed from an image is used up, or pushed to Lua, before anything else is allocated: making a string copies the
//!    bytes before it collects garbage, and a finalizer may give the reader another image.

mod index;
mod reader;
mod update;
mod walk;

use std::ffi::{CStr, c_int, c_void};
use std::mem::align_of;

use fulmar_sharedata::Places;
use mlua::ffi::{self, lua_State};

use self::reader::{Content, Reader, exhausted};
use super::image;
use crate::stack::native;
use crate::vm::{Slot, Vm};

pub(super) use self::update::{refresh, update};
pub(super) use self::walk::next;

const _: () = assert!(align_of::<Content>() <= 8);

/// The addresses of these bytes are keys of proxies and caches.
static KEYS: [u8; 3] = [0; 3];
const PLACE: usize = 0;
const ROOT: usize = 1;
const OWNER: usize = 2;

#[inline(always)]
fn light(key: usize) -> *const c_void {
    std::ptr::from_ref(&KEYS[key]).cast()
}

/// User values of a reader: the metatable of cold proxies, that of caches, the metatables of proxies that are or were warm, and, weakly,
/// the proxies of tables with an identity, by number.
const COLD: c_int = 1;
const FILL: c_int = 2;
const WARM: c_int = 3;
const ONES: c_int = 4;

native! {
    /// `box(image) -> box`
    pub(super) fn new(state) {
        // SAFETY: the image moves into the userdata, which is made first. Stack: image, reader, then what is said below.
        unsafe {
            ffi::lua_settop(state, 1);
            image::at(state, 1)?;
            let reader = ffi::lua_newuserdatauv(state, size_of::<Content>(), 4).cast::<Content>();
            reader.write(Content { places: None, next: None });
            push_metatable(state);
            ffi::lua_setmetatable(state, 2);
            // 3: the cold metatable.
            ffi::lua_createtable(state, 0, 4);
            let methods: [(&CStr, ffi::lua_CFunction); 4] = [
                (c"__index", index::cold_index),
                (c"__newindex", index::newindex),
                (c"__len", index::len),
                (c"__pairs", walk::pairs),
            ];
            for (name, function) in methods {
                ffi::lua_pushvalue(state, 2);
                ffi::lua_pushcclosure(state, function, 1);
                ffi::lua_setfield(state, 3, name.as_ptr());
            }
            // 4: the metatable of caches.
            ffi::lua_createtable(state, 0, 2);
            ffi::lua_pushvalue(state, 2);
            ffi::lua_pushcclosure(state, index::fill_index, 1);
            ffi::lua_setfield(state, 4, c"__index".as_ptr());
            ffi::lua_pushstring(state, c"v".as_ptr());
            ffi::lua_setfield(state, 4, c"__mode".as_ptr());
            // 5: the metatables of warm proxies.
            ffi::lua_createtable(state, 0, 0);
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_pushstring(state, c"k".as_ptr());
            ffi::lua_setfield(state, 6, c"__mode".as_ptr());
            ffi::lua_setmetatable(state, 5);
            ffi::lua_setiuservalue(state, 2, WARM);
            ffi::lua_setiuservalue(state, 2, FILL);
            ffi::lua_pushvalue(state, 3);
            ffi::lua_setiuservalue(state, 2, COLD);
            // 4: the box.
            ffi::lua_createtable(state, 0, 2);
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawsetp(state, 4, light(ROOT));
            let mut places = Places::new(image::at(state, 1)?.clone());
            let root = places.root().map_err(reader::damaged)?.ok_or_else(exhausted)?;
            (*reader).places = Some(places);
            ffi::lua_pushinteger(state, reader::mark(root, false));
            ffi::lua_rawsetp(state, 4, light(PLACE));
            ffi::lua_pushvalue(state, 3);
            ffi::lua_setmetatable(state, 4);
            Ok(1)
        }
    }
}

/// Pushes the metatable of readers.
unsafe fn push_metatable(state: *mut lua_State) {
    // SAFETY: nothing is owned. Stack: one table more.
    unsafe {
        let vm = Vm::of(state);
        if (*vm).fixed.readers.is_null() {
            ffi::lua_createtable(state, 0, 2);
            ffi::lua_pushcclosure(state, collect, 0);
            ffi::lua_setfield(state, -2, c"__gc".as_ptr());
            ffi::lua_pushboolean(state, 0);
            ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
            if let Some(readers) = crate::raw::top(state).as_table() {
                (*vm).pop_slot(state, Slot::Readers);
                (*vm).fixed.readers = readers;
            }
        }
        (*vm).push_slot(state, Slot::Readers);
    }
}

/// `__gc` of a reader.
unsafe extern "C-unwind" fn collect(state: *mut lua_State) -> c_int {
    // SAFETY: by (1). Older finalizers may still use the proxies, and are refused. Stack: unchanged.
    unsafe {
        if let Some(reader) = Reader::at(state, 1) {
            drop((*reader.content()).next.take());
            drop((*reader.content()).places.take());
        }
        0
    }
}

native! {
    /// `isbox(value) -> boolean`: whether it is a proxy.
    pub(super) fn is_box(state) {
        // SAFETY: nothing is owned. Stack: one result.
        unsafe {
            let is_box = ffi::lua_gettop(state) > 0 && Reader::of_proxy(state, 1).is_some();
            ffi::lua_pushboolean(state, is_box.into());
            Ok(1)
        }
    }
}
