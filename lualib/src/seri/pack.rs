//! Lua values to bytes.
//!
//! Values go to a scratch buffer that lives as long as the service, then into one arena block of the final size.

#![allow(clippy::multiple_unsafe_ops_per_block)] // raw Lua stack code: one note per function states the stack's shape

use std::cell::{OnceCell, UnsafeCell};
use std::ffi::c_int;
use std::{ptr, slice};

use fulmar_arena::{Arena, AttachError, Buf, BufMut, LoanError};
use mlua::ffi;
use thiserror::Error;

use super::cache::{REMEMBER_SLOTS, StringCache};
use super::format::{ATTACHMENT, MAX_PACK_DEPTH, beside_bytes, head};
use super::writer::Writer;
use crate::raw::{self, Content};

/// Why values could not be packed. Displays as skynet says it.
///
/// Shape: plain data, so that it may be held where Lua can raise.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PackError {
    /// A value is enclosed by more tables than the format allows.
    #[error("serialize can't pack too depth table")]
    TooDeep,
    /// A function, thread or full userdata.
    #[error("Unsupport type {} to serialize", type_name(*.0))]
    Unsupported(c_int),
    /// A string longer than its length field can say.
    #[error("serialize can't pack a string of 4 GiB or more")]
    TooLong,
    /// The Lua stack is full.
    #[error("stack overflow (serialize)")]
    Stack,
    /// Lua code that a `__pairs` metamethod ran raised; its error value is on top of the stack.
    #[error("a __pairs metamethod raised an error")]
    Raised,
}

/// Lua's name of a type that cannot be packed.
fn type_name(kind: c_int) -> &'static str {
    match kind {
        ffi::LUA_TFUNCTION => "function",
        ffi::LUA_TTHREAD => "thread",
        ffi::LUA_TUSERDATA => "userdata",
        _ => "no value",
    }
}

/// How large strings are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// Strings of [`ATTACH_MIN_BYTES`] and more go beside the stream: for a message inside this process.
    Yes,
    /// Everything goes into the stream: the result is skynet's format.
    No,
}

/// Strings of at least this length are attached. Below, copying twice is cheaper than a block of its own.
pub const ATTACH_MIN_BYTES: usize = 1024;

/// Packs values of one Lua state.
///
/// Shape: one scratch buffer, kept between uses up to `KEPT_BYTES`, and copies of the strings that the state sends
/// again and again.
///
/// # Invariants
/// 1. No reference into `scratch` is held while Lua code can run, which is only inside protected calls (in `pairs`,
///    and where a string is remembered). Such code may use this packer again.
/// 2. `cache` has an address that the state may know; it lives until the state is closed (`pack`'s contract).
pub struct Packer {
    arena: Arena,
    scratch: UnsafeCell<Scratch>,
    /// Made when the first long string is packed.
    cache: OnceCell<Box<StringCache>>,
    /// Lua's records are those that `raw` reads.
    in_place: bool,
}

// SAFETY: a state and what belongs to it are used by one thread at a time.
unsafe impl Send for Packer {}

/// Capacity that the scratch buffer keeps when it is emptied.
const KEPT_BYTES: usize = 256 * 1024;

impl Packer {
    /// An empty packer that takes blocks from `arena`.
    pub fn new(arena: Arena) -> Self {
        Self {
            arena,
            scratch: UnsafeCell::default(),
            cache: OnceCell::new(),
            in_place: raw::is_expected(),
        }
    }

    /// The same, but tables are only read with Lua's functions.
    #[cfg(test)]
    pub(crate) fn through_lua(mut self) -> Self {
        self.in_place = false;
        self
    }

    /// Packs the values `first..=last` of `state`'s stack; the result waits in the packer until the next call of
    /// this or of [`clear`](Self::clear).
    ///
    /// Never raises. On an error nothing is kept, and the stack is as it was but for [`PackError::Raised`], where the
    /// error value lies on top.
    ///
    /// # Errors
    /// [`PackError`], as its variants say.
    ///
    /// # Safety
    /// `state` is a Lua state of the service that owns this packer, `first..=last` are positive indices into its
    /// stack, and this packer lives until the state is closed.
    pub unsafe fn pack(
        &self,
        state: *mut ffi::lua_State,
        first: c_int,
        last: c_int,
        attach: Attach,
    ) -> Result<(), PackError> {
        self.clear();
        let attach_from = if attach == Attach::Yes {
            ATTACH_MIN_BYTES
        } else {
            usize::MAX
        };
        let mut encoder = Encoder {
            state,
            packer: self,
            attach_from,
            ran_lua: false,
        };
        // SAFETY: by this function's contract. Stack: unchanged by a success; after an error back to what it was,
        // + the error value that was on top.
        unsafe {
            let top = raw::count(state);
            let outcome = encoder.all(first, last);
            if let Err(error) = outcome {
                self.clear();
                let mut kept = top;
                if error == PackError::Raised {
                    kept += 1;
                    ffi::lua_copy(state, -1, kept);
                }
                ffi::lua_settop(state, kept);
            }
            outcome
        }
    }

    /// Length of the result in skynet's format, attached strings included.
    pub fn flat_len(&self) -> usize {
        // SAFETY: invariant 1.
        let scratch = unsafe { &*self.scratch.get() };
        scratch.writer.len() - scratch.floor.bytes + scratch.beside_bytes - scratch.floor.beside_bytes
    }

    /// The result: skynet's format after packing with [`Attach::No`].
    ///
    /// # Safety
    /// The bytes are used before any other method but [`flat_len`](Self::flat_len) is called, so before Lua code runs.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: invariant 1, and the result is not touched meanwhile by this function's contract.
        let scratch = unsafe { &*self.scratch.get() };
        &scratch.writer[scratch.floor.bytes..]
    }

    /// Moves the result into one block that `owner` loans, with the large strings attached.
    ///
    /// Cost: one loan, one copy of the stream, one link for each attached string.
    ///
    /// # Errors
    /// [`LoanError`] when the arena has no room; the result is dropped.
    pub fn to_block(&self, owner: u32) -> Result<BufMut, LoanError> {
        // SAFETY: invariant 1.
        let scratch = unsafe { &mut *self.scratch.get() };
        let block = scratch.loan_block(self.arena, owner);
        self.clear();
        block
    }

    /// Drops the result.
    #[inline]
    pub fn clear(&self) {
        // SAFETY: invariant 1.
        let scratch = unsafe { &mut *self.scratch.get() };
        scratch.truncate();
        if scratch.floor.bytes == 0 && scratch.writer.capacity() > KEPT_BYTES {
            scratch.writer.shrink_to(KEPT_BYTES);
        }
    }

    /// Forgets the strings that have a copy in the arena: for a service that goes idle.
    ///
    /// # Safety
    /// `state` is the Lua state of the service that owns this packer, with two free slots.
    pub unsafe fn forget_strings(&self, state: *mut ffi::lua_State) {
        if let Some(cache) = self.cache.get() {
            // SAFETY: by this function's contract.
            unsafe { cache.age(state, true) };
        }
    }
}

/// What packing writes to.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) writer: Writer,
    attached: Vec<Buf>,
    /// By how much the attached strings would lengthen the stream.
    beside_bytes: usize,
    floor: Mark,
}

/// A place in the scratch. Below the floor lies what an interrupted packing has written.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    bytes: usize,
    attached: usize,
    beside_bytes: usize,
}

impl Scratch {
    /// Moves the floor up to the end and returns where it was: what is there now is out of reach.
    pub(super) fn raise_floor(&mut self) -> Mark {
        let floor = self.floor;
        self.floor = Mark {
            bytes: self.writer.len(),
            attached: self.attached.len(),
            beside_bytes: self.beside_bytes,
        };
        floor
    }

    /// Undoes [`raise_floor`](Self::raise_floor) and drops what was written since.
    pub(super) fn lower_floor(&mut self, floor: Mark) {
        self.truncate();
        self.floor = floor;
    }

    /// Drops everything above the floor.
    #[inline]
    fn truncate(&mut self) {
        self.writer.truncate(self.floor.bytes);
        if self.attached.len() > self.floor.attached {
            self.attached.truncate(self.floor.attached);
        }
        self.beside_bytes = self.floor.beside_bytes;
    }

    fn loan_block(&mut self, arena: Arena, owner: u32) -> Result<BufMut, LoanError> {
        let stream = &self.writer[self.floor.bytes..];
        let mut block = arena.loan(stream.len(), owner)?;
        block.copy_from_slice(stream);
        if self.attached.len() > self.floor.attached {
            self.attach_to(&mut block)?;
        }
        Ok(block)
    }

    #[cold]
    fn attach_to(&mut self, block: &mut BufMut) -> Result<(), LoanError> {
        for buf in self.attached.drain(self.floor.attached..) {
            match block.attach(buf) {
                Err(AttachError::Loan { error, .. }) => return Err(error),
                outcome => outcome.expect("attached strings are whole blocks of this arena"),
            }
        }
        Ok(())
    }

    /// Writes that the next attached string stands here.
    fn attachment(&mut self, buf: Buf) {
        self.writer.head(head(ATTACHMENT, 0));
        self.beside_bytes += beside_bytes(buf.len());
        self.attached.push(buf);
    }
}

/// Owner of the copies that are shared from the start.
const SHARED: u32 = 0;

/// Slots that packing a table needs: key, value, one item, and the three of a protected step.
const TABLE_SLOTS: c_int = 8;

/// One packing: a walk over values.
pub(super) struct Encoder<'a> {
    pub(super) state: *mut ffi::lua_State,
    packer: &'a Packer,
    /// Strings of this length and more are attached.
    attach_from: usize,
    /// Lua code has run, which may have changed a table that is being walked.
    pub(super) ran_lua: bool,
}

impl Encoder<'_> {
    /// What the walk writes to: a pointer, because Lua code that the walk runs may use it too.
    #[inline(always)]
    pub(super) fn scratch(&self) -> *mut Scratch {
        self.packer.scratch.get()
    }

    /// Writes the values at the positive stack indices `first..=last`, which no table encloses.
    #[inline(always)]
    unsafe fn all(&mut self, first: c_int, last: c_int) -> Result<(), PackError> {
        let mut index = first;
        // SAFETY: `pack`'s contract; nothing moves the stack before Lua has to be asked. Stack: unchanged.
        unsafe {
            if self.packer.in_place {
                while index <= last && self.simple(*raw::at(self.state, index)) {
                    index += 1;
                }
            }
            while index <= last {
                self.value(index, 0)?;
                index += 1;
            }
        }
        Ok(())
    }

    /// Writes the value at the positive stack index `index`, which `depth` tables enclose.
    pub(super) unsafe fn value(&mut self, index: c_int, depth: u32) -> Result<(), PackError> {
        if depth > MAX_PACK_DEPTH {
            return Err(PackError::TooDeep);
        }
        let state = self.state;
        // SAFETY: `pack`'s contract; Lua strings stay where they are while on the stack. Stack: unchanged.
        unsafe {
            let scratch = self.scratch();
            match ffi::lua_type(state, index) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let data = ffi::lua_tolstring(state, index, &mut len);
                    if len >= self.attach_from && self.attach(index, data.cast(), len) {
                        return Ok(());
                    }
                    if !(*scratch).writer.string(slice::from_raw_parts(data.cast(), len)) {
                        return Err(PackError::TooLong);
                    }
                }
                ffi::LUA_TNUMBER if ffi::lua_isinteger(state, index) != 0 => {
                    (*scratch)
                        .writer
                        .integer(ffi::lua_tointegerx(state, index, ptr::null_mut()));
                }
                ffi::LUA_TNUMBER => {
                    let float = ffi::lua_tonumberx(state, index, ptr::null_mut());
                    (*scratch).writer.float(float);
                }
                ffi::LUA_TTABLE if depth == 0 && self.packer.in_place && !self.ran_lua => {
                    return self.plain_table(index);
                }
                ffi::LUA_TTABLE => return self.table(index, depth),
                ffi::LUA_TNIL => (*scratch).writer.nil(),
                ffi::LUA_TBOOLEAN => (*scratch).writer.boolean(ffi::lua_toboolean(state, index) != 0),
                ffi::LUA_TLIGHTUSERDATA => {
                    let address = ffi::lua_touserdata(state, index).addr();
                    (*scratch).writer.pointer(address);
                }
                kind => return Err(PackError::Unsupported(kind)),
            }
        }
        Ok(())
    }

    /// Attaches the string at the positive stack index `index`; false if the arena has no room for a copy.
    #[cold]
    #[inline(never)]
    unsafe fn attach(&mut self, index: c_int, data: *const u8, len: usize) -> bool {
        let packer = self.packer;
        // SAFETY: `pack`'s contract. Lua strings lie in the arena only as external strings, which hold a count of a
        // frozen block and start where it does. Stack: unchanged.
        unsafe {
            if u32::try_from(len).is_err() {
                return false;
            }
            let shared = packer.arena.shared(data).filter(|buf| buf.len() == len);
            if let Some(buf) = shared.or_else(|| packer.cache.get()?.find(data.addr(), len)) {
                (*self.scratch()).attachment(buf);
                return true;
            }
            if ffi::lua_checkstack(self.state, REMEMBER_SLOTS) == 0 {
                return false;
            }
            let Ok(mut copy) = packer.arena.loan(len, SHARED) else {
                return false;
            };
            copy.copy_from_slice(slice::from_raw_parts(data, len));
            let buf = copy.freeze();
            (*self.scratch()).attachment(buf.clone());
            let floor = (*self.scratch()).raise_floor();
            self.ran_lua |= packer
                .cache
                .get_or_init(Box::default)
                .remember(self.state, index, buf);
            (*self.scratch()).lower_floor(floor);
        }
        true
    }

    /// Writes the table at the positive stack index `index`, which nothing encloses: in place if it is plain all through, with
    /// Lua's functions else.
    unsafe fn plain_table(&mut self, index: c_int) -> Result<(), PackError> {
        // SAFETY: `pack`'s contract. Stack: unchanged.
        unsafe {
            if ffi::lua_checkstack(self.state, TABLE_SLOTS) == 0 {
                return Err(PackError::Stack);
            }
            let writer = &(*self.scratch()).writer;
            let start = writer.len();
            if let Some(table) = (*raw::at(self.state, index)).as_table()
                && self.walk(table, 0)?
            {
                return Ok(());
            }
            (*self.scratch()).writer.truncate(start);
            self.table(index, 0)
        }
    }

    /// Writes a table as it lies in memory; false when something in it asks for more: a metatable, a string that may have to be
    /// attached, items outside of the array part. No Lua code runs and nothing is allocated in the state meanwhile, so nothing
    /// in the table moves.
    unsafe fn walk(&mut self, table: *const raw::Table, depth: u32) -> Result<bool, PackError> {
        // SAFETY: `pack`'s contract; the table is reachable from the stack. Stack: the table for a moment, where its length
        // is asked for.
        unsafe {
            if raw::has_metatable(table) {
                return Ok(false);
            }
            let array = raw::array_len(table);
            let mut items = 0;
            if array > 0 {
                raw::push(self.state, raw::Value::table(table));
                items = ffi::lua_rawlen(self.state, -1) as usize;
                raw::pop(self.state);
                if items > array {
                    return Ok(false);
                }
            } else if !raw::numbered(table, 1).is_some_and(raw::Value::is_nil) {
                return Ok(false);
            }
            (*self.scratch()).writer.table(items);
            for place in 0..items {
                if !self.content(raw::item(table, place), depth + 1)? {
                    return Ok(false);
                }
            }
            for place in items..array {
                let value = raw::item(table, place);
                if !value.is_nil() {
                    (*self.scratch()).writer.integer(place as i64 + 1);
                    if !self.content(value, depth + 1)? {
                        return Ok(false);
                    }
                }
            }
            for place in 0..raw::hash_len(table) {
                if let Some((key, value)) = raw::entry(table, place)
                    && !(self.content(key, depth + 1)? && self.content(value, depth + 1)?)
                {
                    return Ok(false);
                }
            }
            (*self.scratch()).writer.nil();
        }
        Ok(true)
    }

    /// Writes a value that `walk` has met; false when it cannot be written in place.
    #[inline(always)]
    unsafe fn content(&mut self, value: raw::Value, depth: u32) -> Result<bool, PackError> {
        if depth > MAX_PACK_DEPTH {
            return Err(PackError::TooDeep);
        }
        // SAFETY: as for `walk`.
        unsafe {
            match value.as_table() {
                Some(table) => self.walk(table, depth),
                None => Ok(self.simple(value)),
            }
        }
    }

    /// Writes a value that has nothing inside; false when it is not one, or takes more than a copy.
    #[inline(always)]
    unsafe fn simple(&mut self, value: raw::Value) -> bool {
        // SAFETY: the value is reachable; a short string lies where it is while it is copied.
        unsafe {
            let writer = &mut (*self.scratch()).writer;
            match value.content() {
                Content::Nil => writer.nil(),
                Content::Boolean(boolean) => writer.boolean(boolean),
                Content::Integer(integer) => writer.integer(integer),
                Content::Float(float) => writer.float(float),
                Content::ShortText(text) => return writer.string(raw::text_bytes(text)),
                Content::Light(pointer) => writer.pointer(pointer.addr()),
                Content::Table(_) | Content::Other => return false,
            }
        }
        true
    }

    /// Writes the table at the positive stack index `index`: items, pairs, nil.
    ///
    /// One walk writes both in the common case, where the items come first and in order: `lua_next` gives what Lua
    /// keeps in a table's array part that way. Items that it does not are fetched by index.
    #[inline(never)]
    unsafe fn table(&mut self, index: c_int, depth: u32) -> Result<(), PackError> {
        let state = self.state;
        // SAFETY: `pack`'s contract. Stack: + key at `key`, + its value; unchanged in the end.
        unsafe {
            if ffi::lua_checkstack(state, TABLE_SLOTS) == 0 {
                return Err(PackError::Stack);
            }
            if ffi::lua_getmetatable(state, index) != 0 && self.takes_pairs()? {
                return self.pairs(index, depth);
            }
            let items = ffi::lua_rawlen(state, index);
            (*self.scratch()).writer.table(items);
            let items = items as ffi::lua_Integer;
            let key = ffi::lua_gettop(state) + 1;
            let value = key + 1;
            ffi::lua_pushnil(state);
            let mut more = self.next(index)?;
            let mut written = 0;
            while written < items && more && self.integer_at(key) == Some(written + 1) {
                self.value(value, depth + 1)?;
                written += 1;
                ffi::lua_settop(state, key);
                more = self.next(index)?;
            }
            while written < items {
                written += 1;
                ffi::lua_rawgeti(state, index, written);
                self.value(ffi::lua_gettop(state), depth + 1)?;
                ffi::lua_settop(state, -2);
            }
            while more {
                let is_item = items > 0 && self.integer_at(key).is_some_and(|key| (1..=items).contains(&key));
                if !is_item {
                    self.value(key, depth + 1)?;
                    self.value(value, depth + 1)?;
                }
                ffi::lua_settop(state, key);
                more = self.next(index)?;
            }
            (*self.scratch()).writer.nil();
        }
        Ok(())
    }

    /// The integer at a stack index, if there is one.
    #[inline(always)]
    unsafe fn integer_at(&self, index: c_int) -> Option<ffi::lua_Integer> {
        // SAFETY: `pack`'s contract. Stack: unchanged.
        unsafe {
            (ffi::lua_isinteger(self.state, index) != 0)
                .then(|| ffi::lua_tointegerx(self.state, index, ptr::null_mut()))
        }
    }

    /// `lua_next` for the table at `table` and the key on top.
    #[inline(always)]
    unsafe fn next(&mut self, table: c_int) -> Result<bool, PackError> {
        if self.ran_lua {
            // SAFETY: as below.
            return unsafe { self.next_protected(table) };
        }
        // SAFETY: `pack`'s contract. No Lua code has run since the walk began, so the key is still there and nothing
        // is raised. Stack: - the key, + the next key and its value, if any.
        Ok(unsafe { ffi::lua_next(self.state, table) } != 0)
    }
}
