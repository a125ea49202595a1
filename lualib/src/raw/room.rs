//! New tables with room for what is known to come into them: `lua_createtable` without the general way of resizing, which costs
//! a small table more than all the rest.

use std::ffi::{c_int, c_void};
use std::ptr;

use mlua::ffi::{self, lua_State};

use super::Link;
use super::fresh::DUMMY;
use super::stack::{global, pop, top};
use super::table::{Node, Table};
use super::value::{NIL, Payload};

/// Items and pairs of a table that is made here.
const MOST: u32 = 128;
/// A value that is in no table (`LUA_VEMPTY`).
const EMPTY: u8 = NIL | 1 << 4;
/// From so many nodes on (as a logarithm), where to look for a free one is in front of them.
const LOG2_WITH_LAST: u8 = 3;

/// Pushes a new table with just `items` places in its array part, and room for so many pairs.
///
/// # Safety
/// Called from a native on the thread that runs it, with a free slot. May raise (memory), and may run finalizers.
#[inline(always)]
pub(crate) unsafe fn push_table(state: *mut lua_State, items: u32, pairs: u32) {
    // SAFETY: by the caller. Stack: + the table.
    unsafe {
        if items <= MOST && pairs <= MOST {
            ffi::lua_createtable(state, 0, 0);
            if let Some(table) = top(state).as_table().map(<*const Table>::cast_mut)
                && (pairs == 0 || add_nodes(state, table, pairs))
                && (items == 0 || add_array(state, table, items))
            {
                return;
            }
            pop(state);
        }
        let [items, pairs] = [items, pairs].map(|size| size.min(c_int::MAX as u32) as c_int);
        ffi::lua_createtable(state, items, pairs);
    }
}

/// Gives a table without a hash part one for so many pairs. False when there is no memory.
///
/// # Safety
/// The table is live, and has nothing yet; `pairs` is from 1 to [`MOST`].
#[inline(always)]
unsafe fn add_nodes(state: *mut lua_State, table: *mut Table, pairs: u32) -> bool {
    // SAFETY: by (1): a block of as many nodes as Lua will give back, all free, and what comes before them.
    unsafe {
        let size = pairs.next_power_of_two() as usize;
        let log2 = size.trailing_zeros() as u8;
        let with_last = log2 >= LOG2_WITH_LAST;
        let head = if with_last { size_of::<Link>() } else { 0 };
        let Some(block) = allocate(state, head + size * size_of::<Node>()) else {
            return false;
        };
        let nodes: *mut Node = block.byte_add(head).cast();
        if with_last {
            block.cast::<*mut Node>().write(nodes.add(size));
        }
        for place in 0..size {
            nodes.add(place).write(Node {
                value: Payload::NOTHING,
                tag: EMPTY,
                key_tag: NIL,
                next: 0,
                key: ptr::null_mut(),
            });
        }
        (*table).nodes = nodes;
        (*table).log2_nodes = log2;
        (*table).flags &= !DUMMY;
        true
    }
}

/// Gives a table without an array part one of so many places. False when there is no memory.
///
/// # Safety
/// The table is live, and has nothing yet; `items` is from 1 to [`MOST`].
#[inline(always)]
unsafe fn add_array(state: *mut lua_State, table: *mut Table, items: u32) -> bool {
    // SAFETY: by (1): values, then a hint of where the last item may be, then tags.
    unsafe {
        let len = items as usize;
        let Some(block) = allocate(
            state,
            len * (size_of::<Payload>() + size_of::<u8>()) + size_of::<u32>(),
        ) else {
            return false;
        };
        let middle = block.cast::<Payload>().add(len);
        middle.cast::<u32>().write(items / 2);
        middle.cast::<u8>().add(size_of::<u32>()).write_bytes(EMPTY, len);
        (*table).array = middle;
        (*table).array_len = items;
        true
    }
}

/// A block, counted as Lua does. None when there is no memory without a collection.
///
/// # Safety
/// `state` is live; `bytes` are not zero.
#[inline(always)]
unsafe fn allocate(state: *mut lua_State, bytes: usize) -> Option<*mut c_void> {
    // SAFETY: by (1): what Lua itself does.
    unsafe {
        let global = global(state);
        let block = ((*global).allocate)((*global).memory, ptr::null_mut(), 0, bytes);
        if block.is_null() {
            return None;
        }
        (*global).debt -= bytes as isize;
        Some(block)
    }
}

/// How many bytes Lua has allocated.
///
/// # Safety
/// `state` is live.
pub(super) unsafe fn used_bytes(state: *mut lua_State) -> isize {
    // SAFETY: by (1).
    unsafe {
        let global = global(state);
        (*global).total - (*global).debt
    }
}
