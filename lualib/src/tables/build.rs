//! From Lua tables to images. The walk reads Lua's records in place and runs no Lua code, so what it owns cannot be lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::ptr;

use fulmar_sharedata::{BuildError, Following, Image, Item, Items, KeyRef, MAX_DEPTH, Object, Ones, Store};
use mlua::ffi::{self, lua_State};
use rustc_hash::FxHashMap;

use super::foreign::Foreign;
use crate::raw::{self, Content, Table, Value};
use crate::stack::{self, Failure};

/// What an image may hold.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rules {
    /// Data: metatables are not looked at, and a table in two places is two.
    Data,
    /// As `Data`, and light userdata: all that can be sent.
    Message,
    /// Light userdata, functions without upvalues, no metatables; and a table stays one, wherever it is.
    Whole,
}

/// The image of the table at `index`. A table with `__pairs` is refused, or taken for what it holds.
///
/// # Safety
/// There is a table, and a free slot.
pub(super) unsafe fn image(
    state: *mut lua_State,
    index: c_int,
    store: &Store,
    rules: Rules,
    refuses_pairs: bool,
) -> Result<Image, Failure> {
    let mut walk = Walk::new(state, store, rules, refuses_pairs);
    // SAFETY: the table is on the stack, and with it all that it refers to.
    let root = unsafe {
        let root = *raw::at(state, index);
        if rules == Rules::Whole {
            look_for_shared(root, &mut walk.shared, 0)?;
        }
        walk.value(root, 0)?
    };
    Ok(store.image_of(root)?)
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
    let mut walk = Walk::new(state, store, Rules::Data, true);
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
            // As in Lua, a float with an integer's value is that integer.
            Content::Float(float) => match float as i64 {
                integer if integer as f64 == float && integer != i64::MAX => Ok(KeyRef::Integer(integer)),
                _ => Err(format!("Invalid key {float}").into()),
            },
            _ => match long_text(state, value) {
                Some(text) => Ok(KeyRef::Text(text)),
                None => Err(format!("Invalid key type {}", type_name(state, value)).into()),
            },
        }
    }
}

/// Whether a metatable has a field `__pairs`.
///
/// # Safety
/// The metatable is live.
unsafe fn has_pairs(metatable: *const Table) -> bool {
    // SAFETY: the metatable of a live table is live, and so are its keys.
    unsafe {
        (0..raw::hash_len(metatable)).any(|place| {
            raw::entry(metatable, place).is_some_and(|(name, _)| match name.content() {
                Content::ShortText(text) => raw::text_bytes(text) == b"__pairs",
                _ => false,
            })
        })
    }
}

/// The bytes of a long string; none when it is something else.
///
/// # Safety
/// The value is live, and so is the string for as long as its bytes are used; a free slot.
unsafe fn long_text<'a>(state: *mut lua_State, value: Value) -> Option<&'a [u8]> {
    // SAFETY: a free slot; a string keeps its place while Lua reaches it. Stack: unchanged in the end.
    unsafe {
        raw::push(state, value);
        let text = stack::bytes_at(state, -1);
        raw::pop(state);
        text
    }
}

/// # Safety
/// The value is live; a free slot.
unsafe fn type_name(state: *mut lua_State, value: Value) -> &'static str {
    // SAFETY: as above.
    unsafe {
        raw::push(state, value);
        let name = stack::type_name(state, -1);
        raw::pop(state);
        name
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        match error {
            BuildError::TooDeep => too_deep(),
            error => error.to_string().into(),
        }
    }
}

fn too_deep() -> Failure {
    "serialize can't pack too depth table".into()
}

/// Asks for the memory that the values to come lie in, since most of the work is waiting for it: first for a value's object, then
/// for the parts of its table, for what that holds, and for the parts of the tables in there.
///
/// # Safety
/// The values are live.
#[inline(always)]
unsafe fn ask_ahead(following: &Following<'_, '_, Value>) {
    // SAFETY: the values are live, and so is what they hold.
    unsafe {
        let table_ahead = |distance: usize| match following.value(distance)?.content() {
            Content::Table(table) => Some(table),
            _ => None,
        };
        if let Some(value) = following.value(16) {
            prefetch(*value);
        }
        if let Some(KeyRef::Text(text)) = following.key(16) {
            fulmar_arena::prefetch(text.as_ptr());
        }
        if let Some(inner) = table_ahead(12) {
            raw::prefetch_parts(inner);
        }
        for (distance, is_last) in [(8, false), (4, true)] {
            let Some(inner) = table_ahead(distance) else {
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
/// How many places ahead a key is asked for.
const KEYS_AHEAD: usize = 8;

#[inline(always)]
fn prefetch(value: Value) {
    match value.content() {
        Content::ShortText(text) => fulmar_arena::prefetch(text),
        Content::Table(table) => fulmar_arena::prefetch(table),
        _ => {}
    }
}

struct Walk<'a> {
    state: *mut lua_State,
    store: &'a Store,
    rules: Rules,
    refuses_pairs: bool,
    /// A metatable that was looked at: rows often share one.
    without_pairs: *const Table,
    /// Tables that have blocks of their own: what refers to one again shares it. Smaller ones are copied, and so many of them
    /// have a block of their own that no knot of tables is walked for long.
    known: HashMap<*const Table, Item<'a>>,
    /// By `Rules::Whole`: how each table is referred to.
    shared: FxHashMap<*const Table, Found>,
    ones: Ones,
    functions: HashMap<*const c_void, Object>,
}

/// How a table is referred to.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    /// From the tables in it that are looked at.
    Inside,
    Once,
    Again,
}

/// Finds out which tables a table refers to more than once. None may refer to itself: blocks are freed when the last reference is gone.
///
/// # Safety
/// The value is live.
unsafe fn look_for_shared(
    value: Value,
    found: &mut FxHashMap<*const Table, Found>,
    depth: usize,
) -> Result<(), Failure> {
    let Content::Table(table) = value.content() else {
        return Ok(());
    };
    if depth == MAX_DEPTH {
        return Err(too_deep());
    }
    match found.entry(table) {
        Entry::Occupied(known) if *known.get() == Found::Inside => {
            return Err("Can't share a table that is inside of itself".into());
        }
        Entry::Occupied(mut known) => {
            known.insert(Found::Again);
            return Ok(());
        }
        Entry::Vacant(new) => new.insert(Found::Inside),
    };
    // SAFETY: the table is live, and nothing changes it: no Lua code runs.
    unsafe {
        for place in 0..raw::array_len(table) {
            look_for_shared(raw::item(table, place), found, depth + 1)?;
        }
        for place in 0..raw::hash_len(table) {
            if let Some((_, value)) = raw::entry(table, place) {
                look_for_shared(value, found, depth + 1)?;
            }
        }
    }
    found.insert(table, Found::Once);
    Ok(())
}

impl<'a> Walk<'a> {
    fn new(state: *mut lua_State, store: &'a Store, rules: Rules, refuses_pairs: bool) -> Walk<'a> {
        Walk {
            state,
            store,
            rules,
            refuses_pairs,
            without_pairs: ptr::null(),
            known: HashMap::new(),
            shared: FxHashMap::default(),
            ones: Ones::default(),
            functions: HashMap::new(),
        }
    }

    /// # Safety
    /// The value is live.
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
                Content::Light(pointer) if self.rules != Rules::Data => Foreign::light(pointer).into(),
                Content::Light(_) | Content::Other => match long_text(self.state, value) {
                    Some(text) => text.into(),
                    None => self.foreign(value)?.into(),
                },
            })
        }
    }

    /// A table that stays one wherever it is.
    #[inline(never)]
    fn whole(&mut self, table: *const Table, item: Item<'a>) -> Result<Item<'a>, Failure> {
        Ok(match self.shared.get(&table) {
            Some(Found::Again) => self.store.one(item, &mut self.ones)?,
            _ => item,
        })
    }

    /// What is no data.
    ///
    /// # Safety
    /// The value is live; a free slot.
    #[cold]
    unsafe fn foreign(&mut self, value: Value) -> Result<Object, Failure> {
        // SAFETY: the value is live, by the caller. Stack: unchanged in the end.
        unsafe {
            if self.rules != Rules::Whole {
                let name = type_name(self.state, value);
                return Err(format!("Unsupport type {name} to serialize").into());
            }
            if value.kind() != ffi::LUA_TFUNCTION {
                let name = type_name(self.state, value);
                return Err(format!("Invalid type [{name}]").into());
            }
            stack::make_room(self.state)?;
            raw::push(self.state, value);
            let address = ffi::lua_topointer(self.state, -1);
            if let Some(known) = self.functions.get(&address) {
                raw::pop(self.state);
                return Ok(known.clone());
            }
            let function = Foreign::function(self.state)?;
            self.functions.insert(address, function.clone());
            Ok(function)
        }
    }

    /// # Safety
    /// The table is live.
    unsafe fn table(&mut self, table: *const Table, depth: usize) -> Result<Item<'a>, Failure> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if let Some(item) = self.known.get(&table) {
            return Ok(item.clone());
        }
        // SAFETY: the table is live, and nothing changes it: no Lua code runs.
        let (items, is_long) = unsafe {
            if let Some(metatable) = raw::metatable(table) {
                if self.rules == Rules::Whole {
                    return Err("Can't share metatable".into());
                }
                if self.refuses_pairs && metatable != self.without_pairs {
                    if has_pairs(metatable) {
                        return Err("Can't share a table with __pairs".into());
                    }
                    self.without_pairs = metatable;
                }
            }
            let (array, hash) = (raw::array_len(table), raw::hash_len(table));
            let mut items = Items::with_capacity(array, hash);
            for place in 0..array {
                let value = raw::item(table, place);
                items.push_value((!value.is_nil()).then_some(value));
            }
            for place in 0..hash {
                if place + KEYS_AHEAD < hash
                    && let Some((name, _)) = raw::entry(table, place + KEYS_AHEAD)
                {
                    prefetch(name);
                }
                if let Some((name, value)) = raw::entry(table, place) {
                    items.insert_value(key(self.state, name)?, value);
                }
            }
            (items, array + hash > FEW)
        };
        let store = self.store;
        let item = store.table_of(items, |value, following| {
            // SAFETY: as above.
            unsafe {
                if is_long {
                    ask_ahead(&following);
                }
                self.value(value, depth)
            }
        })?;
        let item = match self.rules {
            Rules::Whole => self.whole(table, item)?,
            _ => item,
        };
        if item.is_block() {
            self.known.insert(table, item.clone());
        }
        Ok(item)
    }
}
