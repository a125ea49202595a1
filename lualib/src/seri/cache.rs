//! Which Lua strings already have a copy in the arena.
//!
//! A Lua string never changes, and while it is anchored in the registry its address is not used for another one. So
//! address and length name a string, and sending the same one in a loop copies it once.
//!
//! An entry that is not used for a whole garbage collection cycle is dropped: a sentinel, garbage from the start, has
//! a finalizer that Lua calls once in each cycle. An anchored string thus lives one or two cycles longer than it would.

#![allow(clippy::multiple_unsafe_ops_per_block)] // raw Lua stack code: one note per function states the stack's shape

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::ptr;

use fulmar_arena::Buf;
use mlua::ffi;

/// Strings that are remembered at most.
const ENTRIES: usize = 8;
/// Bytes of all remembered strings, unless it is a single one.
const MAX_BYTES: usize = 16 << 20;

/// Free slots that `remember` needs: a call, and what the called function gets without moving the stack, which would
/// start the collector.
pub(super) const REMEMBER_SLOTS: c_int = 5 + ffi::LUA_MINSTACK;

/// The copies of one state's strings.
///
/// # Invariants
/// 1. The string of a `Held` entry is anchored in the state's registry: in the table at `ANCHORS`, at the entry's
///    index plus one.
/// 2. Lua code runs only inside `remember`'s protected call; the entry that it is about to fill is `Reserved`
///    meanwhile, and no reference into `entries` is held.
pub(super) struct StringCache {
    entries: UnsafeCell<[Entry; ENTRIES]>,
    /// The entry to give up next.
    oldest: Cell<usize>,
    /// A sentinel waits for the end of the cycle.
    watched: Cell<bool>,
}

enum Entry {
    Empty,
    Reserved,
    Held { address: usize, buf: Buf, used: bool },
}

/// Registry keys, by address: the table of anchored strings, and the metatable of sentinels.
static ANCHORS: u8 = 0;
static SENTINEL: u8 = 1;

impl Default for StringCache {
    fn default() -> Self {
        Self {
            entries: UnsafeCell::new([const { Entry::Empty }; ENTRIES]),
            oldest: Cell::new(0),
            watched: Cell::new(false),
        }
    }
}

impl StringCache {
    /// One more count of the copy of the string at `address`.
    pub(super) fn find(&self, address: usize, len: usize) -> Option<Buf> {
        // SAFETY: invariant 2; no Lua code runs here.
        let entries = unsafe { &mut *self.entries.get() };
        entries.iter_mut().find_map(|entry| match entry {
            Entry::Held {
                address: held,
                buf,
                used,
            } if *held == address && buf.len() == len => {
                *used = true;
                Some(buf.clone())
            }
            _ => None,
        })
    }

    /// Remembers that `buf` is a copy of the string at `index`, if there is room in Lua's memory to anchor it.
    ///
    /// Never raises. True if finalizers may have run, which are Lua code.
    ///
    /// # Safety
    /// `state` is the state that this belongs to, with `REMEMBER_SLOTS` free slots; `index` is positive and holds a
    /// string with `buf`'s content; this lives, where it is, until the state is closed.
    pub(super) unsafe fn remember(&self, state: *mut ffi::lua_State, index: c_int, buf: Buf) -> bool {
        // Only what makes a sentinel allocates, and allocating may start the collector.
        let allocates = !self.watched.get();
        let Some(slot) = self.reserve(buf.len()) else {
            return false;
        };
        // SAFETY: by this function's contract. Stack: + function, string, slot, this; unchanged in the end.
        let (anchored, address) = unsafe {
            ffi::lua_pushcclosure(state, anchor, 0);
            ffi::lua_pushvalue(state, index);
            ffi::lua_pushinteger(state, slot as ffi::lua_Integer + 1);
            ffi::lua_pushlightuserdata(state, ptr::from_ref(self).cast_mut().cast());
            let anchored = ffi::lua_pcall(state, 3, 0, 0) == ffi::LUA_OK;
            if !anchored {
                ffi::lua_settop(state, -2);
            }
            (anchored, ffi::lua_tolstring(state, index, ptr::null_mut()).addr())
        };
        // SAFETY: invariant 2; no Lua code runs here.
        let entries = unsafe { &mut *self.entries.get() };
        entries[slot] = if anchored {
            Entry::Held {
                address,
                buf,
                used: true,
            }
        } else {
            Entry::Empty
        };
        allocates
    }

    /// Makes room for a string of `len` bytes: the oldest entries go. The strings in the entries that become empty
    /// stay anchored until the slot is used again or the cycle ends.
    fn reserve(&self, len: usize) -> Option<usize> {
        // SAFETY: invariant 2; no Lua code runs here.
        let entries = unsafe { &mut *self.entries.get() };
        let mut slot = None;
        for _ in 0..ENTRIES {
            let held_bytes: usize = entries.iter().map(Entry::len).sum();
            if slot.is_some() && (held_bytes == 0 || held_bytes + len <= MAX_BYTES) {
                break;
            }
            let oldest = self.oldest.replace((self.oldest.get() + 1) % ENTRIES);
            if !matches!(entries[oldest], Entry::Reserved) {
                entries[oldest] = Entry::Empty;
                slot = slot.or(Some(oldest));
            }
        }
        entries[slot?] = Entry::Reserved;
        slot
    }

    /// Drops the entries that were not used since the last call, or all of them; true if some are left.
    ///
    /// # Safety
    /// `state` is the state that this belongs to, with two free slots.
    pub(super) unsafe fn age(&self, state: *mut ffi::lua_State, all: bool) -> bool {
        let mut left = false;
        // SAFETY: by this function's contract; the table was made with room for every slot, so setting one to nil
        // neither allocates nor runs Lua code. Stack: + the anchor table or nil, + nil; unchanged in the end.
        unsafe {
            let anchors = ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, key(&ANCHORS)) == ffi::LUA_TTABLE;
            for (slot, entry) in (*self.entries.get()).iter_mut().enumerate() {
                match entry {
                    Entry::Reserved => continue,
                    Entry::Held { used, .. } if *used && !all => {
                        *used = false;
                        left = true;
                        continue;
                    }
                    _ => *entry = Entry::Empty,
                }
                if anchors {
                    ffi::lua_pushnil(state);
                    ffi::lua_rawseti(state, -2, slot as ffi::lua_Integer + 1);
                }
            }
            ffi::lua_settop(state, -2);
        }
        left
    }
}

impl Entry {
    fn len(&self) -> usize {
        match self {
            Self::Held { buf, .. } => buf.len(),
            Self::Empty | Self::Reserved => 0,
        }
    }
}

fn key(place: &'static u8) -> *const c_void {
    ptr::from_ref(place).cast()
}

/// `anchor(string, slot, cache)`: keeps the string, and sees to it that a sentinel watches.
unsafe extern "C-unwind" fn anchor(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `remember` passes these, and its cache lives until the state is closed. May raise; nothing here has a
    // destructor. Stack: arguments, + the anchor table.
    unsafe {
        if ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, key(&ANCHORS)) != ffi::LUA_TTABLE {
            ffi::lua_createtable(state, ENTRIES as c_int, 0);
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, key(&ANCHORS));
        }
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rawseti(state, -2, ffi::lua_tointegerx(state, 2, ptr::null_mut()));
        let cache = ffi::lua_touserdata(state, 3).cast::<StringCache>();
        if !(*cache).watched.get() {
            watch(state, cache);
        }
    }
    0
}

/// Leaves a sentinel to the collector.
///
/// # Safety
/// As [`anchor`], which calls this with three free slots.
unsafe fn watch(state: *mut ffi::lua_State, cache: *mut StringCache) {
    // SAFETY: by this function's contract. May raise; nothing here has a destructor. Stack: + sentinel, metatable and
    // its parts; unchanged in the end.
    unsafe {
        ffi::lua_newuserdatauv(state, 0, 0);
        if ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, key(&SENTINEL)) != ffi::LUA_TTABLE {
            ffi::lua_settop(state, -2);
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_pushlightuserdata(state, cache.cast());
            ffi::lua_pushcclosure(state, cycle_ended, 1);
            ffi::lua_setfield(state, -2, c"__gc".as_ptr());
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, key(&SENTINEL));
        }
        ffi::lua_setmetatable(state, -2);
        ffi::lua_settop(state, -2);
        (*cache).watched.set(true);
    }
}

/// The sentinel's finalizer.
unsafe extern "C-unwind" fn cycle_ended(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `watch` put the cache there, and it lives until the state is closed. May raise, as `watch` does.
    unsafe {
        let cache = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast::<StringCache>();
        (*cache).watched.set(false);
        if (*cache).age(state, false) {
            watch(state, cache);
        }
    }
    0
}
