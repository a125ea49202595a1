//! New tables filled at once, with what lies on the stack: what Lua does one key at a time, and moves entries for.

use std::ffi::c_int;
use std::ptr;

use mlua::ffi::{self, lua_State};

use super::fresh::{DUMMY, LACKING, is_new, write_entry};
use super::stack::{at, count, push, top, truncate};
use super::table::{Node, Table, Text, array_len, first_node, hash_len, set_item};
use super::value::{NIL, SHORT_TEXT, Value};

/// Moves items, and then keys each with its value, from below the table on top of the stack into that table, and leaves it in their
/// place.
///
/// # Safety
/// The native that runs on `state` has just made the table, with room for so many, and has put nothing into it; they are on its
/// stack, with two free slots. No key is nil or not a number. May raise (memory).
#[inline(always)]
pub(crate) unsafe fn gather(state: *mut lua_State, items: u32, pairs: u32) {
    let (items, pairs) = (items as usize, pairs as usize);
    // SAFETY: by the caller. Stack: - the items and pairs.
    unsafe {
        let made = top(state);
        let place = count(state) as usize - items - 2 * pairs;
        let first = at(state, place as c_int);
        let entries: *mut [Value; 2] = first.add(items).cast();
        let is_done = made.as_table().is_some_and(|table| {
            is_new(table) && set_items(table, first, items) && enter_all(state, table, entries, pairs)
        });
        if !is_done {
            set_all(state, (first, items), (entries, pairs));
        }
        *first = made;
        truncate(state, place as c_int);
    }
}

/// Sets the first items of the array part; false, and nothing is done, when it is too short.
///
/// # Safety
/// As for [`gather`]; the table [`is_new`].
#[inline(always)]
unsafe fn set_items(table: *const Table, first: *const Value, items: usize) -> bool {
    // SAFETY: by (1).
    unsafe {
        if items > array_len(table) {
            return false;
        }
        for place in 0..items {
            set_item(table, place, *first.add(place));
        }
        true
    }
}

/// Enters pairs: first those whose place is free, then the others, which are chained to those. So none is ever moved. False when there
/// is no room for all, or a value is nil and the order matters: then nothing is done. On the stack the others take the places of the first.
///
/// # Safety
/// As for [`gather`]; the table [`is_new`].
#[inline(always)]
unsafe fn enter_all(
    state: *mut lua_State,
    table: *const Table,
    entries: *mut [Value; 2],
    pairs: usize,
) -> bool {
    // SAFETY: by (1).
    unsafe {
        if pairs == 0 {
            return true;
        }
        if (*table).flags & DUMMY != 0
            || hash_len(table) < pairs
            || (0..pairs).any(|pair| (*entries.add(pair))[1].is_nil())
        {
            return false;
        }
        let mut left = 0;
        for pair in 0..pairs {
            let [key, value] = *entries.add(pair);
            if let Some(name) = key.as_short_text()
                && let node = first_node(table, name)
                && (*node).key_tag == NIL
            {
                write_entry(node, name, value);
            } else {
                *entries.add(left) = [key, value];
                left += 1;
            }
        }
        (*table.cast_mut()).flags &= !LACKING;
        if left > 0 {
            chain_all(state, table, entries, left);
        }
        true
    }
}

/// Enters pairs whose key is no short string, or has another's place. That one is in its own place, so a chain begins there.
///
/// # Safety
/// As for [`enter_all`], of whose pairs these are the rest.
#[inline(never)]
unsafe fn chain_all(state: *mut lua_State, table: *const Table, entries: *const [Value; 2], pairs: usize) {
    // SAFETY: by (1); the table is on top, and has room for every pair, so `set` leaves its nodes where they are. Stack: unchanged.
    unsafe {
        let index = count(state);
        let mut free = (*table).nodes.add(hash_len(table));
        for pair in 0..pairs {
            let [key, value] = *entries.add(pair);
            let is_chained = match key.as_short_text() {
                Some(name) => chain(table, name, value, &mut free),
                None => false,
            };
            if !is_chained {
                set(state, index, key, value);
            }
        }
    }
}

/// Enters a value under a short string into the last free node before `free`, at the end of the string's chain; or replaces the value
/// that it has. False when no node is free.
///
/// # Safety
/// As for [`chain_all`].
#[inline(always)]
unsafe fn chain(table: *const Table, name: *const Text, value: Value, free: &mut *mut Node) -> bool {
    // SAFETY: by (1): nodes are chained inside of their array, and one whose key is nil is free.
    unsafe {
        let mut last = first_node(table, name);
        loop {
            if (*last).key_tag == SHORT_TEXT && ptr::eq((*last).key, name.cast()) {
                (*last).value = value.payload;
                (*last).tag = value.tag;
                return true;
            }
            match (*last).next {
                0 => break,
                distance => last = last.offset(distance as isize),
            }
        }
        while *free != (*table).nodes {
            *free = free.sub(1);
            if (**free).key_tag == NIL {
                write_entry(*free, name, value);
                (*last).next = free.offset_from(last) as c_int;
                return true;
            }
        }
        false
    }
}

/// Sets all, in their order, as Lua does.
///
/// # Safety
/// As for [`gather`].
#[cold]
unsafe fn set_all(
    state: *mut lua_State,
    (first, items): (*const Value, usize),
    (entries, pairs): (*const [Value; 2], usize),
) {
    // SAFETY: by the caller; the table is on top, and setting does not move the stack. Stack: unchanged.
    unsafe {
        let index = count(state);
        for place in 0..items {
            push(state, *first.add(place));
            ffi::lua_rawseti(state, index, place as ffi::lua_Integer + 1);
        }
        for pair in 0..pairs {
            let [key, value] = *entries.add(pair);
            set(state, index, key, value);
        }
    }
}

/// `t[key] = value`.
///
/// # Safety
/// A table is at `index`, and two slots are free. May raise (memory).
unsafe fn set(state: *mut lua_State, index: c_int, key: Value, value: Value) {
    // SAFETY: by the caller. Stack: unchanged.
    unsafe {
        push(state, key);
        push(state, value);
        ffi::lua_rawset(state, index);
    }
}
