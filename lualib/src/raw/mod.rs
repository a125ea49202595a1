//! Lua's own records, read and written in place: what every message passes through.
//!
//! A call through Lua's C interface for a field, a type or a copy costs ten times the work that it does, and a message needs
//! dozens of them. The records below are those of the Lua that is compiled into this program, 5.5.1; [`is_expected`] probes them
//! once per process, and a node does not start on a Lua that lays them out differently. Only plain reads, and writes to the
//! stack of a thread that Lua is not running, or that runs the calling native. Both are what `lua_pushvalue`, `lua_xmove` and
//! `lua_settop` do: stacks need no write barrier. Nor do new tables: see `fresh`. Parts of theirs are allocated and counted as Lua
//! does it: see `room`.
//!
//! # Invariants
//! 1. The layouts are those of the compiled Lua: `boot` refuses to go on when [`is_expected`] says no.

mod fresh;
mod gather;
mod object;
mod probe;
mod probe_objects;
mod room;
mod stack;
mod table;
mod value;

use std::ffi::c_void;

pub(crate) use fresh::{
    adorn, copy_hash, enter, fill_pair, is_new, light_field, replace_field, set_light_number,
};
pub(crate) use gather::gather;
pub(crate) use object::{
    Userdata, content, set_upvalue, upvalue, upvalue_of, user_value, userdata_metatable,
};
pub(crate) use probe::is_expected;
pub(crate) use room::push_table;
pub(crate) use stack::{
    argument, at, count, ensure, is_overflow, pop, push, scrub, status, top, truncate, wanted_results,
};
pub(crate) use table::{
    Table, Text, array_len, entry, field, has_metatable, hash_len, item, metatable, numbered, prefetch_parts,
    set_number, text_bytes,
};
pub(crate) use value::{Content, Value};

/// The beginning of every object: the next one, its kind, its mark.
type Link = *mut c_void;
