//! Fields under light userdata, and tables that the running native has just made.
//!
//! A new table that the collector has not looked at yet may be written without telling it: no object is forgotten that it refers
//! to, as long as it is looked at later. [`is_new`] says so; an allocation in between may end that.

use std::ffi::c_void;
use std::ptr;

use super::table::{Node, Table, Text, first_node, hash_len};
use super::value::{INTEGER, KIND, LIGHT, NIL, Payload, SHORT_TEXT, TABLE, Value};

/// The first node of a light userdata's chain.
#[inline(always)]
unsafe fn light_node(table: *const Table, key: *const c_void) -> *mut Node {
    // SAFETY: by (1): the remainder by an odd number chooses a node.
    unsafe {
        let nodes = ((1u32 << (*table).log2_nodes) - 1) | 1;
        (*table).nodes.add((key.addr() as u32 % nodes) as usize)
    }
}

#[inline(always)]
unsafe fn find_light(table: *const Table, key: *const c_void) -> Option<*mut Node> {
    // SAFETY: as for `field`.
    unsafe {
        let mut node = light_node(table, key);
        loop {
            if (*node).key_tag == LIGHT && (*node).key.cast_const() == key {
                return Some(node);
            }
            match (*node).next {
                0 => return None,
                distance => node = node.offset(distance as isize),
            }
        }
    }
}

/// The value of a table under a light userdata; nil when there is none. Metatables are not asked.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn light_field(table: *const Table, key: *const c_void) -> Value {
    // SAFETY: by (1). What is empty is a nil of some variant.
    unsafe {
        match find_light(table, key) {
            Some(node) if (*node).tag & KIND != 0 => Value {
                payload: (*node).value,
                tag: (*node).tag,
            },
            _ => Value::NIL,
        }
    }
}

/// Replaces a number that a table has under a light userdata by another. Nothing happens when it has none.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn set_light_number(table: *const Table, key: *const c_void, integer: i64) {
    // SAFETY: by (1); a number takes the place of a number.
    unsafe {
        if let Some(node) = find_light(table, key)
            && (*node).tag == INTEGER
        {
            (*node).value = Payload::integer(integer);
        }
    }
}

/// Whether the collector has not looked at a table yet: see above.
///
/// # Safety
/// The table is live, and the running native has made it.
#[inline(always)]
pub(crate) unsafe fn is_new(table: *const Table) -> bool {
    // SAFETY: by (1).
    unsafe { (*table).kind[1] & BLACK == 0 }
}

/// Enters a value under a light userdata and one under a table into a table that has room for two entries and none yet. False, and
/// nothing is done, when it is no such table.
///
/// # Safety
/// [`is_new`]; all are of the same Lua state.
#[inline(always)]
pub(crate) unsafe fn fill_pair(
    table: *const Table,
    (light, first): (*const c_void, Value),
    (key, second): (*const Table, Value),
) -> bool {
    // SAFETY: by (1): a node whose key is nil is free. Of two nodes, keys found by their addresses begin at the first: there begins
    // a chain of both.
    unsafe {
        if (*table).log2_nodes != 1 || (*table).flags & DUMMY != 0 {
            return false;
        }
        let nodes = (*table).nodes;
        if (*nodes).key_tag != NIL || (*nodes.add(1)).key_tag != NIL {
            return false;
        }
        *nodes = Node {
            value: first.payload,
            tag: first.tag,
            key_tag: LIGHT,
            next: 1,
            key: light.cast_mut(),
        };
        *nodes.add(1) = Node {
            value: second.payload,
            tag: second.tag,
            key_tag: TABLE,
            next: 0,
            key: key.cast_mut().cast(),
        };
        true
    }
}

/// Enters a value under a short string into its first place; false when that is taken, the value is nil, or the table is not new.
///
/// # Safety
/// The table is live, and the running native has made it; key and value are of the same Lua state.
#[inline(always)]
pub(crate) unsafe fn enter(table: *const Table, name: *const Text, value: Value) -> bool {
    // SAFETY: by (1): a node whose key is nil is free. Were the key in the table, a node with it would stand in its first place or
    // another would, whose chain it is in.
    unsafe {
        let node = first_node(table, name);
        if (*node).key_tag != NIL || (*table).flags & DUMMY != 0 || value.is_nil() || !is_new(table) {
            return false;
        }
        write_entry(node, name, value);
        (*table.cast_mut()).flags &= !LACKING;
        true
    }
}

/// Enters a pair into a free node.
///
/// # Safety
/// The node is one of a table that [`is_new`]; key and value are of the same Lua state.
#[inline(always)]
pub(super) unsafe fn write_entry(node: *mut Node, name: *const Text, value: Value) {
    // SAFETY: by the caller.
    unsafe {
        (*node).value = value.payload;
        (*node).tag = value.tag;
        (*node).key_tag = SHORT_TEXT;
        (*node).key = name.cast_mut().cast();
    }
}

/// Gives a table its metatable, which has no finalizer.
///
/// # Safety
/// [`is_new`]; both are of the same Lua state.
#[inline(always)]
pub(crate) unsafe fn adorn(table: *const Table, metatable: *const Table) {
    // SAFETY: by (1).
    unsafe { (*table.cast_mut()).metatable = metatable.cast_mut().cast() }
}

/// Makes the hash part of `to` that of `from`; false when their sizes differ or they are not small.
///
/// # Safety
/// `to` [`is_new`] and has no entry; both are of the same Lua state.
pub(crate) unsafe fn copy_hash(to: *const Table, from: *const Table) -> bool {
    // SAFETY: by (1). Hash parts of up to four nodes are their nodes alone. Which metamethods `to` lacks is to be found out again.
    unsafe {
        let (into, size) = (to.cast_mut(), hash_len(from));
        if hash_len(to) != size || size > 4 || ((*to).flags | (*from).flags) & DUMMY != 0 {
            return false;
        }
        ptr::copy_nonoverlapping((*from).nodes, (*into).nodes, size);
        (*into).flags &= !LACKING;
        true
    }
}

/// Replaces the value of a table under a short string; false when it has none there.
///
/// # Safety
/// The table [`is_new`]; all are of the same Lua state.
pub(crate) unsafe fn replace_field(table: *const Table, name: *const Text, value: Value) -> bool {
    // SAFETY: as for `field`.
    unsafe {
        for place in 0..hash_len(table) {
            let node = (*table).nodes.add(place);
            if (*node).key_tag == SHORT_TEXT && ptr::eq((*node).key, name.cast()) && (*node).tag & KIND != 0 {
                (*node).value = value.payload;
                (*node).tag = value.tag;
                return true;
            }
        }
        false
    }
}

/// The collector's mark of what it has looked at.
const BLACK: u8 = 1 << 5;
/// Flags of a table: no hash part of its own; metamethods that it lacks.
pub(super) const DUMMY: u8 = 1 << 6;
pub(super) const LACKING: u8 = DUMMY - 1;
