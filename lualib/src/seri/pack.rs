//! Lua values to bytes.
//!
//! Values go to a scratch buffer that lives as long as the service, then into one arena block of the final size.

#![allow(clippy::multiple_unsafe_ops_per_block)] // raw Lua stack code: one note per function states the stack's shape

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int};
use std::{ptr, slice};

use mlua::ffi;
use thiserror::Error;

use super::format::{
    BOOLEAN, F64, I32, I64, LENGTH_U16, LENGTH_U32, LONG_STRING, MANY_ITEMS, MAX_PACK_DEPTH,
    MAX_SHORT_STRING, NIL, NUMBER, POINTER, SHORT_STRING, TABLE, U8, U16, ZERO, head,
};

/// Why values could not be packed.
///
/// Shape: plain data, so that it may be held where Lua can raise.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PackError {
    /// A value is enclosed by more tables than the format allows.
    #[error("serialize can't pack too depth table")]
    TooDeep,
    /// A function, thread or full userdata.
    #[error("Unsupport type {} to serialize", type_name(*.0).to_string_lossy())]
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

impl PackError {
    /// Raises this as a Lua string that starts with the position of the calling Lua code; an error that Lua code
    /// raised goes on unchanged.
    ///
    /// # Safety
    /// `state` is the state that packed, in a protected call, with the stack as the packing left it; nothing with a
    /// destructor is alive in the frames that the jump leaves.
    pub unsafe fn raise(self, state: *mut ffi::lua_State) -> ! {
        // SAFETY: by this function's contract. Stack: the error value on top, for `Raised`; else + the message.
        unsafe {
            match self {
                Self::TooDeep => ffi::luaL_error(state, c"serialize can't pack too depth table".as_ptr()),
                Self::Unsupported(kind) => ffi::luaL_error(
                    state,
                    c"Unsupport type %s to serialize".as_ptr(),
                    type_name(kind).as_ptr(),
                ),
                Self::TooLong => {
                    ffi::luaL_error(state, c"serialize can't pack a string of 4 GiB or more".as_ptr())
                }
                Self::Stack => ffi::luaL_error(state, c"stack overflow (serialize)".as_ptr()),
                Self::Raised => ffi::lua_error(state),
            };
            unreachable!("an error was raised")
        }
    }
}

/// Lua's name of a type that cannot be packed.
fn type_name(kind: c_int) -> &'static CStr {
    match kind {
        ffi::LUA_TFUNCTION => c"function",
        ffi::LUA_TTHREAD => c"thread",
        ffi::LUA_TUSERDATA => c"userdata",
        _ => c"no value",
    }
}

/// Packs values of one Lua state.
///
/// Shape: one scratch buffer, kept between uses up to [`KEPT_BYTES`].
///
/// # Invariants
/// 1. No reference into `scratch` is held while Lua code can run, which is only inside the protected calls of `pairs`.
///    Such code may use this packer again.
pub struct Packer {
    scratch: UnsafeCell<Scratch>,
}

/// Capacity that the scratch buffer keeps when it is emptied.
pub const KEPT_BYTES: usize = 256 * 1024;

impl Packer {
    /// An empty packer.
    pub fn new() -> Self {
        Self {
            scratch: UnsafeCell::new(Scratch::default()),
        }
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
    /// stack, and no result of [`bytes`](Self::bytes) is in use.
    pub unsafe fn pack(
        &self,
        state: *mut ffi::lua_State,
        first: c_int,
        last: c_int,
    ) -> Result<(), PackError> {
        self.clear();
        let mut encoder = Encoder {
            state,
            scratch: self.scratch.get(),
            ran_lua: false,
        };
        // SAFETY: by this function's contract. Stack: unchanged by a success; after an error back to what it was,
        // + the error value that was on top.
        unsafe {
            let top = ffi::lua_gettop(state);
            let outcome = (first..=last).try_for_each(|index| encoder.value(index, 0));
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

    /// Length of the result in skynet's format.
    pub fn flat_len(&self) -> usize {
        self.bytes().len()
    }

    /// The result.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: invariant 1; the result is not touched before the next `pack` or `clear`, whose callers hold no
        // borrow of it.
        let scratch = unsafe { &*self.scratch.get() };
        &scratch.bytes[scratch.floor.bytes..]
    }

    /// Drops the result.
    pub fn clear(&self) {
        // SAFETY: invariant 1.
        let scratch = unsafe { &mut *self.scratch.get() };
        scratch.truncate();
        if scratch.bytes.is_empty() {
            scratch.bytes.shrink_to(KEPT_BYTES);
        }
    }
}

impl Default for Packer {
    fn default() -> Self {
        Self::new()
    }
}

/// What packing writes to.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    floor: Mark,
}

/// A place in the scratch. Below the floor lies what an interrupted packing has written.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    bytes: usize,
}

impl Scratch {
    /// Moves the floor up to the end and returns where it was: what is there now is out of reach.
    pub(super) fn raise_floor(&mut self) -> Mark {
        let floor = self.floor;
        self.floor = Mark {
            bytes: self.bytes.len(),
        };
        floor
    }

    /// Undoes [`raise_floor`](Self::raise_floor) and drops what was written since.
    pub(super) fn lower_floor(&mut self, floor: Mark) {
        self.truncate();
        self.floor = floor;
    }

    /// Drops everything above the floor.
    fn truncate(&mut self) {
        self.bytes.truncate(self.floor.bytes);
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes.extend_from_slice(&bytes);
    }

    /// Writes a head and a payload of `N - 1` bytes.
    #[inline(always)]
    fn put_with<const P: usize, const N: usize>(&mut self, head: u8, payload: [u8; P]) {
        const { assert!(N == P + 1) };
        let mut bytes = [head; N];
        bytes[1..].copy_from_slice(&payload);
        self.put(bytes);
    }

    #[inline(always)]
    fn integer(&mut self, integer: i64) {
        let Ok(short) = i32::try_from(integer) else {
            return self.put_with::<8, 9>(head(NUMBER, I64), integer.to_le_bytes());
        };
        match short {
            0 => self.put([head(NUMBER, ZERO)]),
            1..0x100 => self.put([head(NUMBER, U8), short as u8]),
            0x100..0x10000 => self.put_with::<2, 3>(head(NUMBER, U16), (short as u16).to_le_bytes()),
            _ => self.put_with::<4, 5>(head(NUMBER, I32), short.to_le_bytes()),
        }
    }

    #[inline(always)]
    fn string(&mut self, string: &[u8]) -> Result<(), PackError> {
        if string.len() <= MAX_SHORT_STRING {
            self.put([head(SHORT_STRING, string.len() as u8)]);
        } else if let Ok(len) = u16::try_from(string.len()) {
            self.put_with::<2, 3>(head(LONG_STRING, LENGTH_U16), len.to_le_bytes());
        } else if let Ok(len) = u32::try_from(string.len()) {
            self.put_with::<4, 5>(head(LONG_STRING, LENGTH_U32), len.to_le_bytes());
        } else {
            return Err(PackError::TooLong);
        }
        self.bytes.extend_from_slice(string);
        Ok(())
    }

    #[inline(always)]
    pub(super) fn table(&mut self, items: usize) {
        if items < usize::from(MANY_ITEMS) {
            self.put([head(TABLE, items as u8)]);
        } else {
            self.put([head(TABLE, MANY_ITEMS)]);
            self.integer(items as i64);
        }
    }

    #[inline(always)]
    pub(super) fn nil(&mut self) {
        self.put([head(NIL, 0)]);
    }
}

/// Slots that packing a table needs: key, value, one item, and the three of a protected step.
const TABLE_SLOTS: c_int = 8;

/// One packing: a walk over values, and the scratch it writes to. The scratch is a pointer because Lua code that the
/// walk runs may use it too.
pub(super) struct Encoder {
    pub(super) state: *mut ffi::lua_State,
    pub(super) scratch: *mut Scratch,
    /// Lua code has run, which may have changed a table that is being walked.
    pub(super) ran_lua: bool,
}

impl Encoder {
    /// Writes the value at the positive stack index `index`, which `depth` tables enclose.
    #[inline]
    pub(super) unsafe fn value(&mut self, index: c_int, depth: u32) -> Result<(), PackError> {
        if depth > MAX_PACK_DEPTH {
            return Err(PackError::TooDeep);
        }
        let state = self.state;
        // SAFETY: `pack`'s contract; Lua strings stay where they are while on the stack. Stack: unchanged.
        unsafe {
            let scratch = &mut *self.scratch;
            match ffi::lua_type(state, index) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let data = ffi::lua_tolstring(state, index, &mut len);
                    scratch.string(slice::from_raw_parts(data.cast(), len))?;
                }
                ffi::LUA_TNUMBER if ffi::lua_isinteger(state, index) != 0 => {
                    scratch.integer(ffi::lua_tointegerx(state, index, ptr::null_mut()));
                }
                ffi::LUA_TNUMBER => {
                    let float = ffi::lua_tonumberx(state, index, ptr::null_mut());
                    scratch.put_with::<8, 9>(head(NUMBER, F64), float.to_le_bytes());
                }
                ffi::LUA_TTABLE => return self.table(index, depth),
                ffi::LUA_TNIL => scratch.nil(),
                ffi::LUA_TBOOLEAN => scratch.put([head(BOOLEAN, ffi::lua_toboolean(state, index) as u8)]),
                ffi::LUA_TLIGHTUSERDATA => {
                    let address = ffi::lua_touserdata(state, index).addr();
                    scratch.put_with::<8, 9>(head(POINTER, 0), address.to_le_bytes());
                }
                kind => return Err(PackError::Unsupported(kind)),
            }
        }
        Ok(())
    }

    /// Writes the table at the positive stack index `index`: items, pairs, nil.
    ///
    /// One walk writes both in the common case, where the items come first and in order: `lua_next` gives what Lua
    /// keeps in a table's array part that way. Items that it does not are fetched by index.
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
            (*self.scratch).table(items);
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
            (*self.scratch).nil();
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
