//! Bytes to Lua values.
//!
//! Every function here may end in a long jump (Lua raises when its memory limit is reached), so their frames hold
//! plain data only. A malformed stream never raises: it comes back as an [`UnpackError`] with the stack as it was.

#![allow(clippy::multiple_unsafe_ops_per_block)] // raw Lua stack code: one note per function states the stack's shape

use std::ffi::c_int;
use std::ptr;

use fulmar_arena::Attachments;
use mlua::ffi;
use thiserror::Error;

use super::format::{
    BOOLEAN, F64, LONG_STRING, MAX_UNPACK_DEPTH, Malformed, NIL, NUMBER, Number, POINTER, Reader,
    SHORT_STRING, TABLE, head, split,
};
use super::recent::RecentStrings;
use super::scan::Ahead;
use super::strings::ExternalStrings;
use crate::raw;

/// Why a stream did not become values. Displays as skynet says it.
///
/// Shape: plain data, so that it may be held where Lua can raise.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum UnpackError {
    /// No packer wrote this, or it nests deeper than the reader goes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A key is not a number, which no Lua table accepts.
    #[error("table index is NaN")]
    NanKey,
    /// More values than a Lua stack holds.
    #[error("stack overflow (too many values to unpack)")]
    Stack,
    /// No memory to make a Lua stack longer.
    #[error("not enough memory")]
    Memory,
}

/// Pushes every value of a packed message onto `state` and returns how many: `bytes` is its stream, `attachments` what
/// its block carries beside, if anything. (By reference: what was just put together is read faster where it lies than
/// moved.) On an error the stack is as it was.
///
/// Cost: no allocation but Lua's own; tables are created at their final size. What a stream makes Lua allocate is
/// bounded by a small multiple of its length.
///
/// # Errors
/// [`UnpackError`], as its variants say.
///
/// # Safety
/// `state` is a Lua state in a protected call. This may raise (memory), so nothing with a destructor is alive in the
/// frames from here to that call. `bytes` and the block stay alive and unchanged meanwhile, also when a finalizer runs.
/// `strings` belongs to the state and lives until it is closed; `recent` is of the state.
pub unsafe fn unpack(
    state: *mut ffi::lua_State,
    bytes: &[u8],
    attachments: Option<&mut Attachments<'_>>,
    strings: &ExternalStrings,
    recent: RecentStrings,
) -> Result<c_int, UnpackError> {
    // SAFETY: by this function's contract.
    let top = unsafe { ffi::lua_gettop(state) };
    let count = attachments.as_ref().map_or(0, |attachments| attachments.len());
    let reader = Reader::new(bytes, count);
    let mut builder = Builder {
        state,
        reader,
        ahead: Ahead::new(bytes.len()),
        attachments,
        strings,
        recent,
    };
    // SAFETY: as above.
    let outcome = unsafe { builder.all() };
    if outcome.is_err() {
        // SAFETY: as above; drops what was pushed so far.
        unsafe { ffi::lua_settop(state, top) };
    }
    outcome
}

/// Slots that are ensured at once for values that no table encloses.
const VALUE_SLOTS: c_int = 16;
/// Slots that a table needs while it is filled: itself, a key, a value, and one for whatever Lua pushes.
const TABLE_SLOTS: usize = 4;
/// How many items, and how many pairs, the stack holds until their table is made, at its final size. Of a larger one the scan
/// tells how large.
const MOST_HELD: u32 = 128;
/// For so many pairs room is made at once.
const PAIRS_AT_ONCE: u32 = 8;

/// Head of the only value that Lua refuses as a key though it is not nil.
const FLOAT_HEAD: u8 = head(NUMBER, F64);

/// What the stack holds of a table that is not made yet.
#[derive(Clone, Copy, Default)]
struct Held {
    items: u32,
    pairs: u32,
}

/// One run over a stream. Has no destructor, because Lua may jump out of it.
struct Builder<'a, 'b> {
    state: *mut ffi::lua_State,
    reader: Reader<'a>,
    ahead: Ahead,
    attachments: Option<&'a mut Attachments<'b>>,
    strings: &'a ExternalStrings,
    recent: RecentStrings,
}

const _: () = assert!(!std::mem::needs_drop::<Builder<'_, '_>>());

impl Builder<'_, '_> {
    /// Pushes the values up to the end of the stream.
    unsafe fn all(&mut self) -> Result<c_int, UnpackError> {
        let mut count = 0;
        while let Some(head) = self.reader.next_head() {
            // SAFETY: `unpack`'s contract. Stack: + one value for each turn, room ensured before.
            unsafe {
                if count % VALUE_SLOTS == 0 {
                    self.ensure(VALUE_SLOTS as usize + TABLE_SLOTS)?;
                }
                self.value(head, 0)?;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Pushes the value whose head was just read.
    #[inline(always)]
    unsafe fn value(&mut self, head: u8, depth: u32) -> Result<(), UnpackError> {
        let (kind, cookie) = split(head);
        // SAFETY: `unpack`'s contract. Stack: + one value, for which the caller made room.
        unsafe {
            match kind {
                NIL => raw::push(self.state, raw::Value::NIL),
                BOOLEAN => raw::push(self.state, raw::Value::boolean(cookie != 0)),
                NUMBER => raw::push(self.state, self.number(cookie)?),
                POINTER => {
                    let address = self.reader.pointer()?;
                    raw::push(
                        self.state,
                        raw::Value::light(ptr::without_provenance_mut(address)),
                    );
                }
                SHORT_STRING => {
                    let string = self.reader.bytes(usize::from(cookie))?;
                    if depth == 0 {
                        self.recent.push(self.state, string);
                    } else {
                        self.string(string);
                    }
                }
                LONG_STRING => {
                    let string = self.reader.long_string(cookie)?;
                    self.string(string);
                }
                TABLE => self.table(cookie, depth)?,
                _ => {
                    self.reader.attachment()?;
                    self.external()?;
                }
            }
        }
        Ok(())
    }

    /// Reads the number whose head was just read.
    #[inline(always)]
    fn number(&mut self, cookie: u8) -> Result<raw::Value, UnpackError> {
        Ok(match self.reader.number(cookie)? {
            Number::Integer(integer) => raw::Value::integer(integer),
            Number::Float(float) => raw::Value::float(float),
        })
    }

    /// Pushes the key whose head was just read.
    #[inline(always)]
    unsafe fn key(&mut self, head: u8, depth: u32) -> Result<(), UnpackError> {
        if head == FLOAT_HEAD
            && let Ok(Number::Float(float)) = self.reader.clone().number(F64)
            && float.is_nan()
        {
            return Err(UnpackError::NanKey);
        }
        let (kind, cookie) = split(head);
        if kind == SHORT_STRING {
            let string = self.reader.bytes(usize::from(cookie))?;
            // SAFETY: `unpack`'s contract. Stack: + the key.
            unsafe { self.recent.push(self.state, string) };
            return Ok(());
        }
        // SAFETY: `unpack`'s contract. Stack: + the key.
        unsafe { self.value(head, depth) }
    }

    /// Pushes a string.
    #[inline(always)]
    unsafe fn string(&mut self, bytes: &[u8]) {
        // SAFETY: `unpack`'s contract; Lua copies the bytes. Stack: + the string.
        unsafe { ffi::lua_pushlstring(self.state, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// Pushes the next attachment.
    #[cold]
    unsafe fn external(&mut self) -> Result<(), UnpackError> {
        let attached = self.attachments.as_mut().and_then(Iterator::next);
        let buf = attached.ok_or_else(|| self.reader.malformed())?.clone();
        // SAFETY: `unpack`'s contract. Stack: + the string, which takes the count. Nothing here has a destructor then.
        unsafe { self.strings.push(self.state, buf) };
        Ok(())
    }

    /// Pushes a table whose head was just read: its items and pairs first, and then the table around them.
    unsafe fn table(&mut self, cookie: u8, depth: u32) -> Result<(), UnpackError> {
        if depth >= MAX_UNPACK_DEPTH {
            return Err(self.reader.malformed().into());
        }
        let items = self.reader.item_count(cookie)?;
        // SAFETY: `unpack`'s contract. Stack: + the items, keys and values, at last + the table instead.
        unsafe {
            if items > MOST_HELD {
                return self.large(items, Held::default(), depth);
            }
            let mut held = Held { items, pairs: 0 };
            self.ensure_pairs(items)?;
            for _ in 0..items {
                let head = self.reader.head()?;
                self.value(head, depth + 1)?;
            }
            loop {
                let key = self.reader.head()?;
                if split(key).0 == NIL {
                    break;
                }
                self.key(key, depth + 1)?;
                let value = self.reader.head()?;
                self.value(value, depth + 1)?;
                held.pairs += 1;
                if held.pairs.is_multiple_of(PAIRS_AT_ONCE) {
                    if held.pairs == MOST_HELD {
                        return self.large(0, held, depth);
                    }
                    self.ensure_pairs(0)?;
                }
            }
            raw::push_table(self.state, items, held.pairs);
            raw::gather(self.state, items, held.pairs);
        }
        Ok(())
    }

    /// Makes room for items, some pairs, and the table.
    #[inline(always)]
    unsafe fn ensure_pairs(&self, items: u32) -> Result<(), UnpackError> {
        // SAFETY: `unpack`'s contract.
        unsafe { self.ensure((items + 2 * PAIRS_AT_ONCE) as usize + TABLE_SLOTS) }
    }

    /// Makes room on the stack.
    #[inline(always)]
    unsafe fn ensure(&self, slots: usize) -> Result<(), UnpackError> {
        // SAFETY: `unpack`'s contract.
        unsafe {
            if raw::ensure(self.state, slots) {
                return Ok(());
            }
            if raw::is_overflow(self.state, slots) {
                return Err(UnpackError::Stack);
            }
            // For a stack Lua does not collect by itself.
            ffi::lua_gc(self.state, ffi::LUA_GCCOLLECT);
            match raw::ensure(self.state, slots) {
                true => Ok(()),
                false => Err(UnpackError::Memory),
            }
        }
    }

    /// Pushes a table of which some is held on the stack, and `items` items and some pairs are to come.
    #[cold]
    unsafe fn large(&mut self, items: u32, held: Held, depth: u32) -> Result<(), UnpackError> {
        // The sizes are bounded by the stream: what the scan has not seen is not believed.
        let (more_items, more_pairs) = match self.ahead.pairs(&self.reader, items, depth)? {
            Some(pairs) => (items, pairs),
            None => (0, 0),
        };
        let pairs = held.pairs.saturating_add(more_pairs);
        // SAFETY: `unpack`'s contract. Stack: - what is held, + the table; while it is filled, an item or a key and a value above.
        unsafe {
            self.ensure(TABLE_SLOTS)?;
            raw::push_table(self.state, held.items + more_items, pairs);
            raw::gather(self.state, held.items, held.pairs);
            self.items(items, depth)?;
            loop {
                let key = self.reader.head()?;
                if split(key).0 == NIL {
                    return Ok(());
                }
                self.key(key, depth + 1)?;
                let value = self.reader.head()?;
                self.value(value, depth + 1)?;
                self.pair();
            }
        }
    }

    /// Moves a key and its value from the stack into the new table below them.
    #[inline(always)]
    unsafe fn pair(&mut self) {
        // SAFETY: `unpack`'s contract. Stack: - key, - value.
        unsafe {
            let place = raw::count(self.state) - 2;
            let table = raw::at(self.state, place);
            if let Some(name) = (*table.add(1)).as_short_text()
                && let Some(into) = (*table).as_table()
                && raw::enter(into, name, *table.add(2))
            {
                raw::truncate(self.state, place);
            } else {
                ffi::lua_rawset(self.state, -3);
            }
        }
    }

    /// Reads the items of the new table on top.
    unsafe fn items(&mut self, items: u32, depth: u32) -> Result<(), UnpackError> {
        // SAFETY: `unpack`'s contract. The table is on the stack, so it lives; its array part does not change while only its
        // own items are set. Stack: unchanged; one item at a time above the table.
        unsafe {
            let table = (*raw::at(self.state, ffi::lua_gettop(self.state))).as_table();
            for place in 0..items {
                let head = self.reader.head()?;
                let (kind, cookie) = split(head);
                match table {
                    Some(table) if kind == NUMBER && (place as usize) < raw::array_len(table) => {
                        raw::set_number(table, place as usize, self.number(cookie)?);
                    }
                    _ => {
                        self.value(head, depth + 1)?;
                        ffi::lua_rawseti(self.state, -2, ffi::lua_Integer::from(place) + 1);
                    }
                }
            }
        }
        Ok(())
    }
}
