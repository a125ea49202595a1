//! The userdata behind a box and the proxies below it, and how a proxy finds its table.

use std::ffi::c_int;

use fulmar_sharedata::{Damaged, Image, KeyRef, MAX_DEPTH, Place, Places, Spot, Table};
use mlua::ffi::{self, lua_State};

use super::{COLD, FILL, ONES, PLACE, ROOT, WARM, index, light};
use crate::raw::{self, Userdata, Value};
use crate::stack::{self, Failure};
use crate::vm::Vm;

/// An image in the hands of one box and the proxies below.
pub(super) struct Content {
    /// None after its end only.
    pub(super) places: Option<Places>,
    /// What `refresh` is about to put in place of the image.
    pub(super) next: Option<Image>,
}

/// A reader that Lua reaches: the running native's, or that of a proxy on the stack.
#[derive(Clone, Copy)]
pub(super) struct Reader(*const Userdata);

impl Reader {
    /// The reader that a value is.
    unsafe fn of(state: *mut lua_State, value: Value) -> Option<Reader> {
        // SAFETY: by (1): no other userdata has this metatable, which the vault keeps.
        unsafe {
            let userdata = value.as_userdata()?;
            let metatable = raw::userdata_metatable(userdata);
            let is_reader = !metatable.is_null() && metatable == (*Vm::of(state)).fixed.readers;
            is_reader.then_some(Reader(userdata))
        }
    }

    /// The reader at `index`, where there is a value.
    pub(super) unsafe fn at(state: *mut lua_State, index: c_int) -> Option<Reader> {
        // SAFETY: by the caller.
        unsafe { Reader::of(state, *raw::at(state, index)) }
    }

    /// The reader of the running method: its first upvalue, which the debug library may replace.
    pub(super) unsafe fn of_method(state: *mut lua_State) -> Result<Reader, Failure> {
        // SAFETY: called from a native.
        unsafe { Reader::of(state, raw::upvalue(state, 1)) }.ok_or_else(|| CLOSED.into())
    }

    /// The reader of the proxy at `index`, where there is a value; none when it is no proxy.
    pub(super) unsafe fn of_proxy(state: *mut lua_State, index: c_int) -> Option<Reader> {
        // SAFETY: by the caller; a method has its reader as its first upvalue, which the debug library may replace.
        unsafe {
            let metatable = raw::metatable((*raw::at(state, index)).as_table()?)?;
            let method = raw::field(metatable, (*Vm::of(state)).fixed.len);
            Reader::of(state, raw::upvalue_of(method, index::len)?)
        }
    }

    pub(super) fn content(self) -> *mut Content {
        // SAFETY: by (1); a reader has user values.
        unsafe { raw::content(self.0).cast() }
    }

    pub(super) fn places<'a>(self) -> Result<&'a mut Places, Failure> {
        // SAFETY: by (1) and (2).
        unsafe { (*self.content()).places.as_mut() }.ok_or_else(|| CLOSED.into())
    }

    /// The metatable of its cold proxies.
    pub(super) fn cold(self) -> Result<*const raw::Table, Failure> {
        self.table_of(COLD)
    }

    /// The metatable of its caches.
    pub(super) fn fill(self) -> Result<*const raw::Table, Failure> {
        self.table_of(FILL)
    }

    /// The metatables of proxies that are or were warm, by their proxies.
    pub(super) fn warm(self) -> Result<*const raw::Table, Failure> {
        self.table_of(WARM)
    }

    /// Pushes the userdata.
    pub(super) unsafe fn push(self, state: *mut lua_State) {
        // SAFETY: the userdata is live; a free slot. Stack: one value more.
        unsafe { raw::push(state, Value::userdata(self.0)) };
    }

    /// The proxies of tables with an identity; none when none was touched since the last update.
    pub(super) fn ones(self) -> Option<*const raw::Table> {
        // SAFETY: the userdata is live.
        unsafe { raw::user_value(self.0, ONES as u16) }.as_table()
    }

    /// A user value, which the debug library may replace.
    fn table_of(self, number: c_int) -> Result<*const raw::Table, Failure> {
        // SAFETY: the userdata is live.
        let value = unsafe { raw::user_value(self.0, number as u16) };
        value.as_table().ok_or_else(|| CLOSED.into())
    }
}

const CLOSED: &str = "the shared table is closed";
const NOT_A_PROXY: &str = "bad argument (a shared table expected)";

pub(super) fn damaged(error: Damaged) -> Failure {
    error.to_string().into()
}

pub(super) fn exhausted() -> Failure {
    "too many parts of the shared table were read: query it again".into()
}

/// What stands under `PLACE`.
pub(super) fn mark(place: Place, is_read: bool) -> i64 {
    place << 1 | i64::from(is_read)
}

fn place_of(mark: i64) -> Place {
    (mark.cast_unsigned() >> 1).cast_signed()
}

/// The proxy at `index`, and what stands under its `PLACE`.
#[inline(always)]
pub(super) unsafe fn proxy_at(
    state: *mut lua_State,
    index: c_int,
) -> Result<(*const raw::Table, i64), Failure> {
    // SAFETY: there is a value at `index`.
    unsafe {
        let proxy = (*raw::at(state, index)).as_table().ok_or(NOT_A_PROXY)?;
        let mark = raw::light_field(proxy, light(PLACE)).as_integer();
        Ok((proxy, mark.ok_or(NOT_A_PROXY)?))
    }
}

/// The table of the proxy at `index`, and its number. A proxy finds itself again after an update.
///
/// # Safety
/// There is a value at `index`, and a free slot; the table is subject to (2).
#[inline]
pub(super) unsafe fn focus<'a>(
    state: *mut lua_State,
    reader: Reader,
    index: c_int,
) -> Result<(Place, Table<'a>), Failure> {
    // SAFETY: by the caller. Stack: unchanged.
    unsafe {
        let (proxy, mark) = proxy_at(state, index)?;
        if let Some(table) = reader.places()?.table(place_of(mark)) {
            return Ok((place_of(mark), table.map_err(damaged)?));
        }
        let Some(place) = refind(state, reader, proxy, 0)? else {
            return Err(format!("The key [{}] doesn't exist after update", path(state, proxy)).into());
        };
        let table = reader.places()?.table(place).ok_or_else(exhausted)?;
        Ok((place, table.map_err(damaged)?))
    }
}

/// The number of a proxy's table in an image that it may not have been read from yet; none when there is no such table any more.
#[cold]
unsafe fn refind(
    state: *mut lua_State,
    reader: Reader,
    proxy: *const raw::Table,
    depth: usize,
) -> Result<Option<Place>, Failure> {
    // SAFETY: as for `focus`. Nothing is allocated, so what the proxy refers to stays. Stack: unchanged in the end.
    unsafe {
        let mark = raw::light_field(proxy, light(PLACE))
            .as_integer()
            .ok_or(NOT_A_PROXY)?;
        if reader.places()?.table(place_of(mark)).is_some() {
            return Ok(Some(place_of(mark)));
        }
        if depth > MAX_DEPTH {
            return Err(NOT_A_PROXY.into());
        }
        let found = match above(proxy) {
            Some((parent, key)) => match refind(state, reader, parent, depth + 1)? {
                Some(parent) => find_at(state, reader, parent, key)?,
                None => None,
            },
            None if raw::light_field(proxy, light(ROOT)).is_nil() => return Err(NOT_A_PROXY.into()),
            None => Some(reader.places()?.root().map_err(damaged)?.ok_or_else(exhausted)?),
        };
        if let Some(place) = found {
            let is_read = mark & 1 != 0;
            raw::set_light_number(proxy, light(PLACE), self::mark(place, is_read));
        }
        Ok(found)
    }
}

/// The proxy that another was found in, and under which key.
pub(super) unsafe fn above(proxy: *const raw::Table) -> Option<(*const raw::Table, Value)> {
    // SAFETY: the proxy is live.
    unsafe {
        (0..raw::hash_len(proxy))
            .filter_map(|place| raw::entry(proxy, place))
            .find_map(|(key, value)| Some((key.as_table()?, value)))
    }
}

/// The number of the table that another has under a key.
unsafe fn find_at(
    state: *mut lua_State,
    reader: Reader,
    table: Place,
    name: Value,
) -> Result<Option<Place>, Failure> {
    // SAFETY: as for `focus`. Stack: unchanged in the end.
    unsafe {
        let Some(table) = reader.places()?.table(table) else {
            return Ok(None);
        };
        raw::push(state, name);
        let name = key(state, raw::count(state));
        let found = match name? {
            Some(name) => find(reader, table.map_err(damaged)?, name)?,
            None => Found::Scalar(None),
        };
        raw::pop(state);
        Ok(match found {
            Found::Table(inner) => Some(inner.place),
            Found::Scalar(_) => None,
        })
    }
}

/// Where a proxy was found: `.a.b`, empty for a box.
pub(super) unsafe fn path(state: *mut lua_State, proxy: *const raw::Table) -> String {
    // SAFETY: the proxy is live and nothing is allocated by Lua; a free slot. Stack: unchanged in the end.
    unsafe {
        let mut keys = Vec::new();
        let mut here = Some(proxy);
        while let Some(proxy) = here
            && keys.len() < MAX_DEPTH
            && let Some((parent, name)) = above(proxy)
        {
            raw::push(state, name);
            let key = match key(state, raw::count(state)) {
                Ok(Some(key)) => Some(key.to_string()),
                _ => None,
            };
            raw::pop(state);
            let Some(key) = key else { break };
            keys.push(key);
            here = Some(parent);
        }
        keys.iter().rev().map(|key| format!(".{key}")).collect()
    }
}

/// The key at `index`, where there is a value; none when no table has such a key.
#[inline]
pub(super) unsafe fn key<'a>(state: *mut lua_State, index: c_int) -> Result<Option<KeyRef<'a>>, Failure> {
    // SAFETY: the string is on the stack. Stack: unchanged.
    unsafe {
        let value = *raw::at(state, index);
        if let Some(text) = value.as_short_text() {
            return Ok(Some(KeyRef::Text(raw::text_bytes(text))));
        }
        Ok(match value.kind() {
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
pub(super) enum Found<'a> {
    Scalar(Option<fulmar_sharedata::Value<'a>>),
    Table(Inner),
}

/// A table found in another.
#[derive(Clone, Copy)]
pub(super) struct Inner {
    pub(super) place: Place,
    /// Whether it has an identity: then it may have a proxy already, from elsewhere.
    pub(super) is_one: bool,
}

impl Inner {
    #[inline]
    pub(super) fn of(reader: Reader, spot: Spot) -> Result<Inner, Failure> {
        let is_one = spot.is_one();
        let place = reader.places()?.number(spot).ok_or_else(exhausted)?;
        Ok(Inner { place, is_one })
    }
}

/// Looks a key up.
#[inline]
pub(super) fn find<'a>(reader: Reader, table: Table<'a>, key: KeyRef<'_>) -> Result<Found<'a>, Failure> {
    Ok(match reader.places()?.find(table, key).map_err(damaged)? {
        Some(fulmar_sharedata::Found::Table(spot)) => Found::Table(Inner::of(reader, spot)?),
        Some(fulmar_sharedata::Found::Scalar(value)) => Found::Scalar(Some(value)),
        None => Found::Scalar(None),
    })
}
