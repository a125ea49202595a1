//! From Lua tables to images. The walk reads Lua's records in place and runs no Lua code, so what it owns cannot be lost.

use std::collections::HashMap;
use std::ffi::c_int;

use fulmar_sharedata::{BuildError, Image, Item, Items, KeyRef, MAX_DEPTH, Store};
use mlua::ffi::lua_State;

use crate::raw::{self, Content, Table, Value};
use crate::stack::{self, Failure};

/// The image of the table at `index`.
///
/// # Safety
/// There is a table, and a free slot.
pub(super) unsafe fn image(
    state: *mut lua_State,
    index: c_int,
    store: &Store,
    strict: bool,
) -> Result<Image, Failure> {
    let mut walk = Walk::new(state, store, strict);
    // SAFETY: the table is on the stack, and with it all that it refers to.
    let root = unsafe { walk.value(*raw::at(state, index), 0)? };
    store.image_of(root).map_err(failure)
}

/// The value at `index`. Its texts are those of Lua: it lives shorter than the value is on the stack.
///
/// # Safety
/// A free slot.
pub(super) unsafe fn item<'a>(
    state: *mut lua_State,
    index: c_int,
    store: &'a Store,
) -> Result<Item<'a>, Failure> {
    let mut walk = Walk::new(state, store, false);
    // SAFETY: as for `image`.
    unsafe { walk.value(*raw::at(state, index), 0) }
}

/// A key. What it borrows lives as long as Lua reaches the string.
///
/// # Safety
/// The value is live; a free slot.
pub(super) unsafe fn key<'a>(state: *mut lua_State, value: Value) -> Result<KeyRef<'a>, Failure> {
    // SAFETY: by the caller. Stack: unchanged in the end.
    unsafe {
        match value.content() {
            Content::Integer(integer) => Ok(KeyRef::Integer(integer)),
            Content::ShortText(text) => Ok(KeyRef::Text(raw::text_bytes(text))),
            Content::Float(float) => Err(format!("Invalid key {float}").into()),
            _ => match long_text(state, value) {
                Some(text) => Ok(KeyRef::Text(text)),
                None => Err(format!("Invalid key type {}", type_name(state, value)).into()),
            },
        }
    }
}

/// The bytes of a long string; none when it is something else.
unsafe fn long_text<'a>(state: *mut lua_State, value: Value) -> Option<&'a [u8]> {
    // SAFETY: a free slot; a string keeps its place while Lua reaches it. Stack: unchanged in the end.
    unsafe {
        raw::push(state, value);
        let text = stack::bytes_at(state, -1);
        raw::pop(state);
        text
    }
}

unsafe fn type_name(state: *mut lua_State, value: Value) -> &'static str {
    // SAFETY: as above.
    unsafe {
        raw::push(state, value);
        let name = stack::type_name(state, -1);
        raw::pop(state);
        name
    }
}

fn failure(error: BuildError) -> Failure {
    match error {
        BuildError::TooDeep => too_deep(),
        error => error.to_string().into(),
    }
}

fn too_deep() -> Failure {
    "serialize can't pack too depth table".into()
}

/// Asks for the memory that a walk over the hash part will come to, since most of the work is waiting for it: first for an entry's
/// objects, then for the parts of its table, for what that holds, and for the parts of the tables in there.
#[inline(always)]
unsafe fn ask_ahead(table: *const Table, place: usize, hash: usize) {
    // SAFETY: the table is live, and so is what it holds.
    unsafe {
        let ahead = |distance: usize| match place + distance < hash {
            true => raw::entry(table, place + distance),
            false => None,
        };
        if let Some((name, value)) = ahead(8) {
            prefetch(name);
            prefetch(value);
        }
        if let Some((_, value)) = ahead(6)
            && let Content::Table(inner) = value.content()
        {
            raw::prefetch_parts(inner);
        }
        for (distance, is_last) in [(4, false), (2, true)] {
            let Some((_, value)) = ahead(distance) else {
                continue;
            };
            let Content::Table(inner) = value.content() else {
                continue;
            };
            for place in 0..raw::hash_len(inner).min(FEW) {
                match raw::entry(inner, place) {
                    Some((_, value)) if !is_last => prefetch(value),
                    Some((_, value)) => {
                        if let Content::Table(inner) = value.content() {
                            raw::prefetch_parts(inner);
                        }
                    }
                    None => {}
                }
            }
        }
    }
}

/// Places of a table inside that are looked at ahead.
const FEW: usize = 16;

#[inline(always)]
fn prefetch(value: Value) {
    match value.content() {
        Content::ShortText(text) => raw::prefetch(text),
        Content::Table(table) => raw::prefetch(table),
        _ => {}
    }
}

struct Walk<'a> {
    state: *mut lua_State,
    store: &'a Store,
    /// Tables that have blocks of their own: what refers to one again shares it. Smaller ones are copied, and so many of them
    /// have a block of their own that no knot of tables is walked for long.
    shared: HashMap<*const Table, Item<'a>>,
    /// The rules of sharetable: no metatables, and its own error for what cannot be shared.
    strict: bool,
}

impl<'a> Walk<'a> {
    fn new(state: *mut lua_State, store: &'a Store, strict: bool) -> Walk<'a> {
        Walk {
            state,
            store,
            shared: HashMap::new(),
            strict,
        }
    }

    unsafe fn value(&mut self, value: Value, depth: usize) -> Result<Item<'a>, Failure> {
        // SAFETY: the value is live, by the caller.
        unsafe {
            Ok(match value.content() {
                Content::Nil => Item::NIL,
                Content::Boolean(boolean) => boolean.into(),
                Content::Integer(integer) => integer.into(),
                Content::Float(float) => float.into(),
                Content::ShortText(text) => raw::text_bytes(text).into(),
                Content::Table(table) => self.table(table, depth + 1)?,
                Content::Light(_) | Content::Other => match long_text(self.state, value) {
                    Some(text) => text.into(),
                    None => {
                        let name = type_name(self.state, value);
                        return Err(match self.strict {
                            true => format!("Invalid type [{name}]").into(),
                            false => format!("Unsupport type {name} to serialize").into(),
                        });
                    }
                },
            })
        }
    }

    unsafe fn table(&mut self, table: *const Table, depth: usize) -> Result<Item<'a>, Failure> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if let Some(item) = self.shared.get(&table) {
            return Ok(item.clone());
        }
        // SAFETY: the table is live, and nothing changes it: no Lua code runs.
        let items = unsafe {
            if self.strict && raw::has_metatable(table) {
                return Err("Can't share metatable".into());
            }
            let (array, hash) = (raw::array_len(table), raw::hash_len(table));
            let mut items = Items::with_capacity(array, hash);
            for place in 0..array {
                items.push(self.value(raw::item(table, place), depth)?);
            }
            for place in 0..hash {
                ask_ahead(table, place, hash);
                if let Some((name, value)) = raw::entry(table, place) {
                    items.insert(key(self.state, name)?, self.value(value, depth)?);
                }
            }
            items
        };
        let item = self.store.table(items).map_err(failure)?;
        if item.is_block() {
            self.shared.insert(table, item.clone());
        }
        Ok(item)
    }
}
