//! What stands for a shared table in Lua: an empty table that finds its values when they are asked for.
//!
//! A *box* is the proxy of an image's root; a *reader* is the userdata behind it, which all proxies below share. A proxy is a Lua
//! table without any entry but those under light userdata, which no program can name:
//!
//! | key | value |
//! |---|---|
//! | `PLACE` | the number that its reader knows the table by; stale after an update |
//! | `PARENT`, `KEY` | where it was found: how it finds itself again after an update. A box has none |
//! | `STATE` | nil: nobody has read it; true: once; a table: the metatable that it has when it is warm |
//!
//! A *cold* proxy has the reader's cold metatable, whose `__index` is native. The second read makes it *warm*: a metatable of its own
//! whose `__index` is a plain table, the cache, of what has been read, so that Lua finds a value again by itself. The cache's own
//! `__index` is native and fills it; it holds proxies weakly, and its owner under `OWNER`. An update makes all warm proxies cold
//! again. One that is read after that gets its metatable and its cache back, once what is in there has been revised: so
//! `t.a == t.a` across an update, and reading on after updates leaves no garbage.
//!
//! # Invariants
//! 1. A userdata with the metatable `READER` holds a [`Reader`].
//! 2. Memory of an image is read through `focus`, and pushed to Lua before anything else is allocated: making a string copies the
//!    bytes before it collects garbage, and a finalizer may focus the reader on something else.

use std::ffi::{CStr, c_int, c_void};
use std::mem::{align_of, size_of};

use fulmar_sharedata::{Damaged, Held, Image, KeyRef, Place, Places, Table, Value};
use mlua::ffi::{self, lua_State};

use super::copy::{push_key, push_scalar, room};
use super::{image, tables};
use crate::stack::{self, Failure, native};

/// An image in the hands of one box and the proxies below.
struct Reader {
    /// None after its end only.
    places: Option<Places>,
    /// The table that is being read: kept here, because a Lua error would skip what a native holds.
    held: Option<Held>,
    /// What `refresh` is about to put in place of the image.
    next: Option<Image>,
}

const READER: &CStr = c"fulmar.reader";
const _: () = assert!(align_of::<Reader>() <= 8);

static PLACE: u8 = 0;
static PARENT: u8 = 1;
static KEY: u8 = 2;
static STATE: u8 = 3;
static OWNER: u8 = 4;

fn light(key: &'static u8) -> *const c_void {
    std::ptr::from_ref(key).cast()
}

/// User values of a reader.
const COLD: c_int = 1;
const FILL: c_int = 2;
const WARM: c_int = 3;

/// Tables with at most so many places are read at once when they become warm.
const SMALL: u64 = 32;

native! {
    /// `box(image) -> box`
    pub(super) fn new(state) {
        // SAFETY: the image moves into the userdata, which is made first. Stack: image, reader, then what is said below.
        unsafe {
            stack::make_room(state)?;
            ffi::lua_settop(state, 1);
            image::at(state, 1)?;
            let reader = ffi::lua_newuserdatauv(state, size_of::<Reader>(), 3).cast::<Reader>();
            reader.write(Reader { places: None, held: None, next: None });
            if ffi::luaL_newmetatable(state, READER.as_ptr()) != 0 {
                ffi::lua_pushcclosure(state, collect, 0);
                ffi::lua_setfield(state, -2, c"__gc".as_ptr());
                ffi::lua_pushboolean(state, 0);
                ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
            }
            ffi::lua_setmetatable(state, 2);
            // 3: the cold metatable.
            ffi::lua_createtable(state, 0, 4);
            let methods: [(&CStr, ffi::lua_CFunction); 4] =
                [(c"__index", cold_index), (c"__newindex", newindex), (c"__len", len), (c"__pairs", pairs)];
            for (name, function) in methods {
                ffi::lua_pushvalue(state, 2);
                ffi::lua_pushcclosure(state, function, 1);
                ffi::lua_setfield(state, 3, name.as_ptr());
            }
            // 4: the metatable of caches.
            ffi::lua_createtable(state, 0, 2);
            ffi::lua_pushvalue(state, 2);
            ffi::lua_pushcclosure(state, fill_index, 1);
            ffi::lua_setfield(state, 4, c"__index".as_ptr());
            ffi::lua_pushstring(state, c"v".as_ptr());
            ffi::lua_setfield(state, 4, c"__mode".as_ptr());
            // 5: the warm proxies, with their caches.
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
            ffi::lua_createtable(state, 0, 4);
            ffi::lua_pushinteger(state, STALE);
            ffi::lua_rawsetp(state, 4, light(&PLACE));
            (*reader).places = Some(Places::new(image::at(state, 1)?.clone()));
            ffi::lua_pushvalue(state, 3);
            ffi::lua_setmetatable(state, 4);
            Ok(1)
        }
    }
}

/// No reader gives out this place.
const STALE: Place = -1;

/// `__gc` of a reader.
unsafe extern "C-unwind" fn collect(state: *mut lua_State) -> c_int {
    // SAFETY: by (1). Older finalizers may still use the proxies, and are refused. Stack: unchanged.
    unsafe {
        let reader = ffi::luaL_testudata(state, 1, READER.as_ptr()).cast::<Reader>();
        if !reader.is_null() {
            drop((*reader).held.take());
            drop((*reader).next.take());
            drop((*reader).places.take());
        }
        0
    }
}

/// The reader of the running method.
unsafe fn upvalue(state: *mut lua_State) -> *mut Reader {
    // SAFETY: `new` makes these closures, with a reader as the first upvalue, which the debug library may replace.
    unsafe { ffi::luaL_testudata(state, ffi::lua_upvalueindex(1), READER.as_ptr()).cast() }
}

/// Pushes the reader of the proxy at `index`; nothing when it is none.
unsafe fn push_reader(state: *mut lua_State, index: c_int) -> Option<*mut Reader> {
    // SAFETY: may not raise: the name is a string of the state already, or there is no proxy. Stack: at most one value more.
    unsafe {
        let top = ffi::lua_gettop(state);
        if ffi::lua_type(state, index) == ffi::LUA_TTABLE && ffi::lua_getmetatable(state, index) != 0 {
            ffi::lua_pushstring(state, c"__len".as_ptr());
            ffi::lua_rawget(state, -2);
            if stack::is_native(state, -1, len) && !ffi::lua_getupvalue(state, -1, 1).is_null() {
                let reader = ffi::luaL_testudata(state, -1, READER.as_ptr()).cast::<Reader>();
                if !reader.is_null() {
                    ffi::lua_replace(state, top + 1);
                    ffi::lua_settop(state, top + 1);
                    return Some(reader);
                }
            }
        }
        ffi::lua_settop(state, top);
        None
    }
}

fn damaged(error: Damaged) -> Failure {
    error.to_string().into()
}

fn places<'a>(reader: *mut Reader) -> Result<&'a mut Places, Failure> {
    // SAFETY: by (1); the reference is used up before Lua code can run.
    unsafe { reader.as_mut() }
        .and_then(|reader| reader.places.as_mut())
        .ok_or_else(|| "the shared table is closed".into())
}

/// The table that the reader is focused on.
fn held<'a>(reader: *mut Reader) -> Result<Table<'a>, Failure> {
    // SAFETY: by (1) and (2).
    let held = unsafe { (*reader).held.as_ref() }.ok_or("the shared table is closed")?;
    held.table().map_err(damaged)
}

/// Focuses the reader on the table of the proxy at `index`, which finds itself again after an update.
///
/// # Safety
/// `index` is absolute; some room on the stack.
unsafe fn focus(state: *mut lua_State, reader: *mut Reader, index: c_int) -> Result<(), Failure> {
    // SAFETY: by the caller. Stack: unchanged.
    unsafe {
        match refocus(state, reader, index)? {
            true => Ok(()),
            false => Err(format!("The key [{}] doesn't exist after update", path(state, index)).into()),
        }
    }
}

/// [`focus`]; false when there is no such table any more.
unsafe fn refocus(state: *mut lua_State, reader: *mut Reader, index: c_int) -> Result<bool, Failure> {
    // SAFETY: setting a key that is there does not allocate. Stack: unchanged in the end.
    unsafe {
        let kind = ffi::lua_rawgetp(state, index, light(&PLACE));
        let place = ffi::lua_tointegerx(state, -1, std::ptr::null_mut());
        ffi::lua_pop(state, 1);
        if kind != ffi::LUA_TNUMBER {
            return Err("bad argument (a shared table expected)".into());
        }
        if let Some(held) = places(reader)?.table(place) {
            (*reader).held = Some(held);
            return Ok(true);
        }
        let Some(place) = refind(state, reader, index)? else {
            return Ok(false);
        };
        ffi::lua_pushinteger(state, place);
        ffi::lua_rawsetp(state, index, light(&PLACE));
        (*reader).held = places(reader)?.table(place);
        Ok(true)
    }
}

/// The place of a proxy in an image that it has not been read from yet.
#[cold]
unsafe fn refind(state: *mut lua_State, reader: *mut Reader, index: c_int) -> Result<Option<Place>, Failure> {
    // SAFETY: as for `focus`. Stack: unchanged in the end.
    unsafe {
        if ffi::lua_checkstack(state, 8) == 0 {
            return Err("stack overflow".into());
        }
        let top = ffi::lua_gettop(state);
        if ffi::lua_rawgetp(state, index, light(&PARENT)) != ffi::LUA_TTABLE {
            ffi::lua_settop(state, top);
            let image = places(reader)?.image().clone();
            let root = image.table().map_err(damaged)?;
            return places(reader)?.place(root).map(Some).ok_or_else(exhausted);
        }
        let mut place = None;
        if refocus(state, reader, top + 1)? {
            ffi::lua_rawgetp(state, index, light(&KEY));
            if let Some(key) = key(state, top + 2)?
                && let Found::Table(found) = find(reader, key)?
            {
                place = Some(found);
            }
        }
        ffi::lua_settop(state, top);
        Ok(place)
    }
}

fn exhausted() -> Failure {
    "too many parts of the shared table were read: query it again".into()
}

/// Where a proxy was found: `.a.b`, empty for a box.
unsafe fn path(state: *mut lua_State, index: c_int) -> String {
    // SAFETY: a key is a string or an integer; nothing is converted in place or allocated. Stack: unchanged in the end.
    unsafe {
        let top = ffi::lua_gettop(state);
        let mut keys = Vec::new();
        ffi::lua_pushvalue(state, index);
        while ffi::lua_rawgetp(state, top + 1, light(&KEY)) != ffi::LUA_TNIL {
            keys.push(match ffi::lua_type(state, -1) {
                ffi::LUA_TNUMBER => ffi::lua_tointegerx(state, -1, std::ptr::null_mut()).to_string(),
                _ => stack::text_at(state, -1).unwrap_or_default(),
            });
            ffi::lua_rawgetp(state, top + 1, light(&PARENT));
            ffi::lua_replace(state, top + 1);
            ffi::lua_settop(state, top + 1);
            if ffi::lua_type(state, top + 1) != ffi::LUA_TTABLE {
                break;
            }
        }
        ffi::lua_settop(state, top);
        keys.iter().rev().map(|key| format!(".{key}")).collect()
    }
}

/// The key at `index`; none when no table has such a key.
unsafe fn key<'a>(state: *mut lua_State, index: c_int) -> Result<Option<KeyRef<'a>>, Failure> {
    // SAFETY: the string is on the stack. Stack: unchanged.
    unsafe {
        Ok(match ffi::lua_type(state, index) {
            ffi::LUA_TSTRING => stack::bytes_at(state, index).map(KeyRef::Text),
            ffi::LUA_TNUMBER => {
                let mut is_integer = 0;
                let integer = ffi::lua_tointegerx(state, index, &mut is_integer);
                if is_integer == 0 {
                    let float = ffi::lua_tonumberx(state, index, std::ptr::null_mut());
                    return Err(format!("Invalid key {float}").into());
                }
                Some(KeyRef::Integer(integer))
            }
            _ => None,
        })
    }
}

/// What a table has under a key.
enum Found<'a> {
    Scalar(Option<Value<'a>>),
    Table(Place),
}

/// Looks a key up in the table that the reader is focused on.
fn find<'a>(reader: *mut Reader, key: KeyRef<'_>) -> Result<Found<'a>, Failure> {
    found(reader, held(reader)?.find(key).map_err(damaged)?)
}

fn found<'a>(reader: *mut Reader, value: Option<Value<'a>>) -> Result<Found<'a>, Failure> {
    Ok(match value {
        Some(Value::Table(table)) => Found::Table(places(reader)?.place(table).ok_or_else(exhausted)?),
        scalar => Found::Scalar(scalar),
    })
}

/// Pushes a scalar, or nil.
unsafe fn push_option(state: *mut lua_State, value: Option<Value<'_>>) {
    // SAFETY: by (2). Stack: one value more.
    unsafe {
        match value {
            Some(value) => push_scalar(state, value),
            None => ffi::lua_pushnil(state),
        }
    }
}

native! {
    /// `__index` of a cold proxy: (proxy, key).
    fn cold_index(state) {
        // SAFETY: by (2). Stack: proxy and key, then the state, then the cache, the value.
        unsafe {
            stack::make_room(state)?;
            ffi::lua_settop(state, 2);
            let reader = upvalue(state);
            let Some(wanted) = key(state, 2)? else {
                ffi::lua_pushnil(state);
                return Ok(1);
            };
            focus(state, reader, 1)?;
            let found = find(reader, wanted)?;
            let first = ffi::lua_rawgetp(state, 1, light(&STATE)) == ffi::LUA_TNIL;
            ffi::lua_settop(state, 2);
            match found {
                Found::Table(place) => {
                    warm(state, reader, ffi::lua_upvalueindex(1), 1)?;
                    child(state, ffi::lua_upvalueindex(1), 1, 2, 3, place);
                }
                Found::Scalar(value) if first => {
                    push_option(state, value);
                    ffi::lua_pushboolean(state, 1);
                    ffi::lua_rawsetp(state, 1, light(&STATE));
                }
                Found::Scalar(value) => {
                    push_option(state, value);
                    warm(state, reader, ffi::lua_upvalueindex(1), 1)?;
                    // A wide table's cache is filled as it is read.
                    if ffi::lua_type(state, 3) != ffi::LUA_TNIL {
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
    fn fill_index(state) {
        // SAFETY: by (2). Stack: cache, key, owner, value.
        unsafe {
            stack::make_room(state)?;
            ffi::lua_settop(state, 2);
            let reader = upvalue(state);
            let wanted = match key(state, 2)? {
                Some(wanted) if ffi::lua_rawgetp(state, 1, light(&OWNER)) == ffi::LUA_TTABLE => wanted,
                _ => {
                    ffi::lua_pushnil(state);
                    return Ok(1);
                }
            };
            focus(state, reader, 3)?;
            match find(reader, wanted)? {
                Found::Table(place) => child(state, ffi::lua_upvalueindex(1), 3, 2, 1, place),
                Found::Scalar(None) => ffi::lua_pushnil(state),
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

/// Pushes the proxy of a table below another: the one that its cache has, or a new one.
///
/// # Safety
/// The indices are absolute or pseudo. May raise a memory error: nothing with a destructor is alive.
unsafe fn child(state: *mut lua_State, reader: c_int, parent: c_int, key: c_int, cache: c_int, place: Place) {
    // SAFETY: by the caller. Stack: one proxy more.
    unsafe {
        ffi::lua_pushvalue(state, key);
        if ffi::lua_rawget(state, cache) == ffi::LUA_TTABLE {
            return;
        }
        ffi::lua_pop(state, 1);
        ffi::lua_createtable(state, 0, 4);
        ffi::lua_pushinteger(state, place);
        ffi::lua_rawsetp(state, -2, light(&PLACE));
        ffi::lua_pushvalue(state, parent);
        ffi::lua_rawsetp(state, -2, light(&PARENT));
        ffi::lua_pushvalue(state, key);
        ffi::lua_rawsetp(state, -2, light(&KEY));
        ffi::lua_getiuservalue(state, reader, COLD);
        ffi::lua_setmetatable(state, -2);
        ffi::lua_pushvalue(state, key);
        ffi::lua_pushvalue(state, -2);
        ffi::lua_rawset(state, cache);
    }
}

/// Pushes the cache of a proxy, which becomes warm if it is not.
///
/// # Safety
/// As for [`child`].
unsafe fn warm(state: *mut lua_State, reader: *mut Reader, at: c_int, proxy: c_int) -> Result<(), Failure> {
    // SAFETY: by the caller. Stack: one table more; meanwhile the metatable, the cache and what goes into it.
    unsafe {
        if ffi::lua_checkstack(state, 8) == 0 {
            return Err("stack overflow".into());
        }
        let meta = ffi::lua_gettop(state) + 1;
        let cache = meta + 1;
        let had = ffi::lua_rawgetp(state, proxy, light(&STATE)) == ffi::LUA_TTABLE;
        if had {
            ffi::lua_getfield(state, meta, c"__index".as_ptr());
            let is_warm = ffi::lua_rawgetp(state, cache, light(&OWNER)) == ffi::LUA_TTABLE;
            ffi::lua_settop(state, cache);
            if is_warm {
                ffi::lua_replace(state, meta);
                return Ok(());
            }
        }
        focus(state, reader, proxy)?;
        let count = held(reader)?.places().map_err(damaged)?;
        let is_small = count <= SMALL;
        if had {
            revise(state, reader, proxy, cache)?;
        } else {
            ffi::lua_createtable(state, 0, if is_small { room(count) + 1 } else { 0 });
            ffi::lua_getiuservalue(state, at, FILL);
            ffi::lua_setmetatable(state, cache);
        }
        if is_small {
            for place in 0..count {
                focus(state, reader, proxy)?;
                let Some((key, Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_))) =
                    held(reader)?.nth(place).map_err(damaged)?
                else {
                    continue;
                };
                push_key(state, key);
                if had {
                    ffi::lua_pushvalue(state, cache + 1);
                    if ffi::lua_rawget(state, cache) != ffi::LUA_TNIL {
                        ffi::lua_settop(state, cache);
                        continue;
                    }
                    ffi::lua_pop(state, 1);
                }
                focus(state, reader, proxy)?;
                match held(reader)?.nth(place).map_err(damaged)? {
                    Some((_, value)) => push_scalar(state, value),
                    None => ffi::lua_pushnil(state),
                }
                ffi::lua_rawset(state, cache);
            }
        }
        ffi::lua_pushvalue(state, proxy);
        ffi::lua_rawsetp(state, cache, light(&OWNER));
        if !had {
            ffi::lua_createtable(state, 0, 4);
            ffi::lua_replace(state, meta);
            ffi::lua_pushvalue(state, cache);
            ffi::lua_setfield(state, meta, c"__index".as_ptr());
            ffi::lua_getiuservalue(state, at, COLD);
            for name in [c"__newindex", c"__len", c"__pairs"] {
                ffi::lua_getfield(state, cache + 1, name.as_ptr());
                ffi::lua_setfield(state, meta, name.as_ptr());
            }
            ffi::lua_settop(state, cache);
            ffi::lua_pushvalue(state, meta);
            ffi::lua_rawsetp(state, proxy, light(&STATE));
        }
        ffi::lua_pushvalue(state, meta);
        ffi::lua_setmetatable(state, proxy);
        ffi::lua_getiuservalue(state, at, WARM);
        ffi::lua_pushvalue(state, proxy);
        ffi::lua_pushvalue(state, cache);
        ffi::lua_rawset(state, cache + 1);
        ffi::lua_settop(state, cache);
        ffi::lua_replace(state, meta);
        Ok(())
    }
}

/// Brings a cache of an image before to what the one now has: what is the same stays, down to the proxy or the string.
unsafe fn revise(
    state: *mut lua_State,
    reader: *mut Reader,
    proxy: c_int,
    cache: c_int,
) -> Result<(), Failure> {
    // SAFETY: as for `warm`; assigning to keys that are there does not disturb the walk. Stack: unchanged in the end.
    unsafe {
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, cache) != 0 {
            let top = ffi::lua_gettop(state);
            if let Some(key) = key(state, top - 1)? {
                focus(state, reader, proxy)?;
                let found = find(reader, key)?;
                let stays = match found {
                    Found::Table(_) => ffi::lua_type(state, top) == ffi::LUA_TTABLE,
                    Found::Scalar(value) => value.is_some_and(|value| is_scalar(state, top, value)),
                };
                if !stays {
                    ffi::lua_pushvalue(state, top - 1);
                    match found {
                        Found::Table(_) => ffi::lua_pushnil(state),
                        Found::Scalar(value) => push_option(state, value),
                    }
                    ffi::lua_rawset(state, cache);
                }
            }
            ffi::lua_settop(state, top - 1);
        }
        Ok(())
    }
}

/// Whether the value at `index` is this one.
unsafe fn is_scalar(state: *mut lua_State, index: c_int, value: Value<'_>) -> bool {
    // SAFETY: nothing is converted in place. Stack: unchanged.
    unsafe {
        let kind = ffi::lua_type(state, index);
        let is_integer = ffi::lua_isinteger(state, index) != 0;
        match value {
            Value::Boolean(boolean) => {
                kind == ffi::LUA_TBOOLEAN && (ffi::lua_toboolean(state, index) != 0) == boolean
            }
            Value::Integer(integer) => {
                is_integer && ffi::lua_tointegerx(state, index, std::ptr::null_mut()) == integer
            }
            Value::Float(float) => {
                let number = ffi::lua_tonumberx(state, index, std::ptr::null_mut());
                kind == ffi::LUA_TNUMBER && !is_integer && number.to_bits() == float.to_bits()
            }
            Value::Text(text) => {
                kind == ffi::LUA_TSTRING && stack::bytes_at(state, index).is_some_and(|bytes| bytes == text)
            }
            Value::Table(_) => false,
        }
    }
}

native! {
    /// `__newindex`: (proxy, key, value).
    fn newindex(state) {
        // SAFETY: no Lua code runs.
        unsafe {
            stack::make_room(state)?;
            Err(format!("Error newindex, the key [{}]", path(state, 1)).into())
        }
    }
}

native! {
    /// `__len`: (proxy).
    fn len(state) {
        // SAFETY: by (2). Stack: one result.
        unsafe {
            stack::make_room(state)?;
            let reader = upvalue(state);
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            focus(state, reader, 1)?;
            let len = held(reader)?.array_len().map_err(damaged)?;
            ffi::lua_pushinteger(state, len.cast_signed());
            Ok(1)
        }
    }
}

native! {
    /// `__pairs`: (proxy) -> iterator, proxy, nil.
    fn pairs(state) {
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
        // SAFETY: by (2). Stack: at most two results.
        unsafe {
            stack::make_room(state)?;
            ffi::lua_settop(state, 0);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
            let from = ffi::lua_tointegerx(state, ffi::lua_upvalueindex(3), std::ptr::null_mut());
            match entry(state, upvalue(state), ffi::lua_upvalueindex(1), 1, from.cast_unsigned())? {
                Some(next) => {
                    ffi::lua_pushinteger(state, next.cast_signed());
                    ffi::lua_replace(state, ffi::lua_upvalueindex(3));
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

/// Pushes the key and the value of the first entry from a place on, and gives the place behind it.
unsafe fn entry(
    state: *mut lua_State,
    reader: *mut Reader,
    at: c_int,
    proxy: c_int,
    from: u64,
) -> Result<Option<u64>, Failure> {
    // SAFETY: by (2). Stack: two values more, if there is an entry.
    unsafe {
        focus(state, reader, proxy)?;
        let table = held(reader)?;
        let places = table.places().map_err(damaged)?;
        let mut place = from;
        let (key, value) = loop {
            if place >= places {
                return Ok(None);
            }
            match table.nth(place).map_err(damaged)? {
                Some(entry) => break entry,
                None => place += 1,
            }
        };
        let key_index = ffi::lua_gettop(state) + 1;
        match found(reader, Some(value))? {
            Found::Table(inner) => {
                push_key(state, key);
                warm(state, reader, at, proxy)?;
                child(state, at, proxy, key_index, key_index + 1, inner);
                ffi::lua_remove(state, key_index + 1);
            }
            Found::Scalar(_) => {
                push_key(state, key);
                focus(state, reader, proxy)?;
                let value = held(reader)?.nth(place).map_err(damaged)?;
                push_option(state, value.map(|(_, value)| value));
            }
        }
        Ok(Some(place + 1))
    }
}

native! {
    /// `next(table, key)`: Lua's, which also walks proxies.
    pub(super) fn next(state) {
        // SAFETY: by (2). Stack: table and key, then the reader of a proxy, then at most two results.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            ffi::lua_settop(state, 2);
            stack::make_room(state)?;
            let Some(reader) = push_reader(state, 1) else {
                if ffi::lua_next(state, 1) != 0 {
                    return Ok(2);
                }
                ffi::lua_pushnil(state);
                return Ok(1);
            };
            let from = match ffi::lua_type(state, 2) {
                ffi::LUA_TNIL => 0,
                _ => {
                    focus(state, reader, 1)?;
                    let place = match key(state, 2)? {
                        Some(key) => held(reader)?.position(key).map_err(damaged)?,
                        None => None,
                    };
                    place.ok_or("invalid key to 'next'")? + 1
                }
            };
            match entry(state, reader, 3, 1, from)? {
                Some(_) => Ok(2),
                None => {
                    ffi::lua_pushnil(state);
                    Ok(1)
                }
            }
        }
    }
}

native! {
    /// `isbox(value) -> boolean`: whether it is a proxy.
    pub(super) fn is_box(state) {
        // SAFETY: nothing is owned. Stack: one result.
        unsafe {
            stack::make_room(state)?;
            let is_box = push_reader(state, 1).is_some();
            ffi::lua_pushboolean(state, is_box.into());
            Ok(1)
        }
    }
}

native! {
    /// `update(box, image)`: the box and all proxies below read another image.
    pub(super) fn update(state) {
        // SAFETY: no Lua code runs once the image is in place. Stack: unchanged in the end.
        unsafe {
            ffi::lua_settop(state, 2);
            stack::make_room(state)?;
            let reader = push_reader(state, 1).ok_or("bad argument (a shared table expected)")?;
            let image = image::at(state, 2)?.clone();
            replace(state, reader, 3, image)?;
            Ok(0)
        }
    }
}

/// Puts an image in the place of the reader's at `at`: its warm proxies become cold.
unsafe fn replace(
    state: *mut lua_State,
    reader: *mut Reader,
    at: c_int,
    image: Image,
) -> Result<(), Failure> {
    // SAFETY: keys are cleared only, so nothing is allocated, and a walk over the warm ones may go on. Stack: unchanged in the
    // end.
    unsafe {
        places(reader)?.replace(image);
        (*reader).held = None;
        let cold = ffi::lua_gettop(state) + 1;
        ffi::lua_getiuservalue(state, at, COLD);
        ffi::lua_getiuservalue(state, at, WARM);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, cold + 1) != 0 {
            let proxy = cold + 2;
            ffi::lua_pushnil(state);
            ffi::lua_rawsetp(state, proxy + 1, light(&OWNER));
            ffi::lua_pushvalue(state, cold);
            ffi::lua_setmetatable(state, proxy);
            ffi::lua_pushvalue(state, proxy);
            ffi::lua_pushnil(state);
            ffi::lua_rawset(state, cold + 1);
            ffi::lua_settop(state, proxy);
        }
        ffi::lua_settop(state, cold - 1);
        Ok(())
    }
}

native! {
    /// `refresh({ name = box }, prefix, wanted) -> { name = image } | nothing`: each box reads what its name stands for, all of them as
    /// of one moment. Returns the images that were replaced, of the names that `wanted` has. Boxes of names that are gone stay as they
    /// are.
    pub(super) fn refresh(state) {
        // SAFETY: first the new images move into the readers, without Lua; then they are put in place. Stack: boxes, prefix,
        // wanted, result, then name and box of each, its reader.
        unsafe {
            stack::make_room(state)?;
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
                    if let Some(reader) = push_reader(state, 6) {
                        (*reader).next = snapshot.image(&name).cloned();
                    }
                    ffi::lua_settop(state, 5);
                }
            }
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, 1) != 0 {
                if let Some(reader) = push_reader(state, 6)
                    && let Some(next) = (*reader).next.take()
                    && !next.is(places(reader)?.image())
                {
                    (*reader).next = Some(next);
                    ffi::lua_pushvalue(state, 5);
                    if ffi::lua_rawget(state, 3) != ffi::LUA_TNIL {
                        give_old(state, reader)?;
                    }
                    ffi::lua_settop(state, 7);
                    if let Some(next) = (*reader).next.take() {
                        replace(state, reader, 7, next)?;
                    }
                }
                ffi::lua_settop(state, 5);
            }
            Ok(1)
        }
    }
}

/// Puts the image that a box has read so far into the result of `refresh`.
unsafe fn give_old(state: *mut lua_State, reader: *mut Reader) -> Result<(), Failure> {
    // SAFETY: the image moves into the userdata, which is made first. Stack: as in `refresh`; two values more.
    unsafe {
        if ffi::lua_type(state, 4) == ffi::LUA_TNIL {
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_replace(state, 4);
        }
        ffi::lua_pushvalue(state, 5);
        let old = image::push_empty(state);
        (*old).image = Some(places(reader)?.image().clone());
        ffi::lua_rawset(state, 4);
        Ok(())
    }
}
