//! Tables and short strings, read in place. What they say is true until Lua runs.

use std::ffi::{c_int, c_void};

use fulmar_arena::prefetch;

use super::Link;
use super::value::{INTEGER, KIND, Payload, SHORT_TEXT, Value};

/// The beginning of `Table`.
#[repr(C)]
pub(crate) struct Table {
    _link: Link,
    pub(super) kind: [u8; 2],
    pub(super) flags: u8,
    pub(super) log2_nodes: u8,
    pub(super) array_len: u32,
    /// The middle of the array part: values lie before it, last first; a hint of 4 bytes and the tags behind it.
    pub(super) array: *mut Payload,
    pub(super) nodes: *mut Node,
    pub(super) metatable: *mut c_void,
}

/// `Node`.
#[repr(C)]
pub(super) struct Node {
    pub(super) value: Payload,
    pub(super) tag: u8,
    pub(super) key_tag: u8,
    /// Distance to the next node of the chain, in nodes; 0 at its end.
    pub(super) next: c_int,
    pub(super) key: *mut c_void,
}

/// The beginning of `TString`; a short one has its bytes in place of `content`.
#[repr(C)]
pub(crate) struct Text {
    _link: Link,
    _kind: [u8; 2],
    _extra: u8,
    /// Negative for long strings.
    short_len: i8,
    hash: u32,
    _chain: usize,
    content: [u8; 8],
}

/// The bytes of a short string.
///
/// # Safety
/// It is live, and stays so while the bytes are looked at.
#[inline(always)]
pub(crate) unsafe fn text_bytes<'a>(text: *const Text) -> &'a [u8] {
    // SAFETY: by (1): a short string has its bytes, at most 40, behind its head.
    unsafe { std::slice::from_raw_parts((&raw const (*text).content).cast(), (*text).short_len as usize) }
}

/// Whether the table has a metatable.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn has_metatable(table: *const Table) -> bool {
    // SAFETY: by (1).
    unsafe { !(*table).metatable.is_null() }
}

/// The table's metatable.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn metatable(table: *const Table) -> Option<*const Table> {
    // SAFETY: by (1).
    let metatable = unsafe { (*table).metatable };
    (!metatable.is_null()).then_some(metatable.cast::<Table>().cast_const())
}

/// The length of the array part.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn array_len(table: *const Table) -> usize {
    // SAFETY: by (1).
    unsafe { (*table).array_len as usize }
}

/// A value of the array part, by its place from 0; what is empty is nil.
///
/// # Safety
/// The table is live, and `place` is below its [`array_len`].
#[inline(always)]
pub(crate) unsafe fn item(table: *const Table, place: usize) -> Value {
    // SAFETY: by (1): values before the middle, last first; tags behind the hint.
    unsafe {
        let middle = (*table).array;
        Value {
            payload: *middle.sub(1 + place),
            tag: *middle.cast::<u8>().add(size_of::<u32>() + place),
        }
    }
}

/// Sets a number in the array part, by its place from 0. A number is no object, so the collector need not be told.
///
/// # Safety
/// The table is live, `place` is below its [`array_len`], and `number` is an integer or a float.
#[inline(always)]
pub(crate) unsafe fn set_number(table: *const Table, place: usize, number: Value) {
    // SAFETY: by the caller.
    unsafe { set_item(table, place, number) }
}

/// Sets any value in the array part, without telling the collector.
///
/// # Safety
/// As for [`set_number`]; the value is no object, or the table is new (see `fresh`) and of the same Lua state.
#[inline(always)]
pub(super) unsafe fn set_item(table: *const Table, place: usize, value: Value) {
    // SAFETY: as for `item`.
    unsafe {
        let middle = (*table).array;
        *middle.sub(1 + place) = value.payload;
        *middle.cast::<u8>().add(size_of::<u32>() + place) = value.tag;
    }
}

/// How many places the hash part has.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn hash_len(table: *const Table) -> usize {
    // SAFETY: by (1).
    unsafe { 1 << (*table).log2_nodes }
}

/// Key and value in a place of the hash part; none where it is empty.
///
/// # Safety
/// The table is live, and `place` is below its [`hash_len`].
#[inline(always)]
pub(crate) unsafe fn entry(table: *const Table, place: usize) -> Option<(Value, Value)> {
    // SAFETY: by (1). A key whose value is empty may be dead, and is not looked at.
    unsafe {
        let node = (*table).nodes.add(place);
        if (*node).tag & KIND == 0 {
            return None;
        }
        let key = Value {
            payload: Payload::pointer((*node).key),
            tag: (*node).key_tag,
        };
        let value = Value {
            payload: (*node).value,
            tag: (*node).tag,
        };
        Some((key, value))
    }
}

/// The first node of a short string's chain.
///
/// # Safety
/// Both are live, and of the same Lua state.
#[inline(always)]
pub(super) unsafe fn first_node(table: *const Table, name: *const Text) -> *mut Node {
    // SAFETY: by (1): a table has a power of two of nodes; the hash chooses the first.
    unsafe {
        let mask = (1u32 << (*table).log2_nodes) - 1;
        (*table).nodes.add(((*name).hash & mask) as usize)
    }
}

/// The field of a table whose name is a short string; nil when there is none. Metatables are not asked.
///
/// # Safety
/// Both are live, and of the same Lua state.
#[inline(always)]
pub(crate) unsafe fn field(table: *const Table, name: *const Text) -> Value {
    // SAFETY: by (1): nodes are chained inside of their array.
    unsafe {
        let mut node = first_node(table, name);
        loop {
            if (*node).key == name.cast_mut().cast() && (*node).key_tag == SHORT_TEXT {
                return Value {
                    payload: (*node).value,
                    tag: (*node).tag,
                };
            }
            match (*node).next {
                0 => {
                    return Value::NIL;
                }
                distance => node = node.offset(distance as isize),
            }
        }
    }
}

/// The value of a table under a small positive number; none when it may lie in the array part, where only Lua looks.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn numbered(table: *const Table, number: u8) -> Option<Value> {
    // SAFETY: as for `field`; a number chooses its first node by the remainder.
    unsafe {
        if u32::from(number) <= (*table).array_len {
            return None;
        }
        let nodes = ((1u32 << (*table).log2_nodes) - 1) | 1;
        let mut node = (*table).nodes.add((u32::from(number) % nodes) as usize);
        loop {
            if (*node).key_tag == INTEGER && (*node).key.addr() == usize::from(number) {
                return Some(Value {
                    payload: (*node).value,
                    tag: (*node).tag,
                });
            }
            match (*node).next {
                0 => {
                    return Some(Value::NIL);
                }
                distance => node = node.offset(distance as isize),
            }
        }
    }
}

/// Asks for the memory of a table's parts, which will be read soon.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn prefetch_parts(table: *const Table) {
    // SAFETY: by (1).
    unsafe {
        prefetch((*table).nodes);
        prefetch((*table).nodes.wrapping_byte_add(64));
        prefetch((*table).array);
    }
}
