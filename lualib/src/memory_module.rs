//! `skynet.memory`: what the node's services hold, in all and each: Lua heaps and blocks of the arena.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::Handle;
use mlua::ffi::{self, lua_State};

use crate::stack::{self, native};
use crate::vm::Vm;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"total", total),
    (c"block", block),
    (c"info", info),
    (c"current", current),
    (c"dump", dump),
    (c"dumpinfo", no_profiler),
    (c"jestat", jestat),
    (c"mallctl", mallctl),
    (c"dumpheap", no_profiler),
    (c"profactive", profactive),
];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

/// Bytes by service: its heap as of its last turn, and its blocks. Blocks of services that are gone go by their old handles.
fn by_service(vm: &Vm) -> BTreeMap<u32, usize> {
    let engine = vm.context.engine();
    let heaps = engine
        .handles()
        .into_iter()
        .map(|handle| (handle.bits(), engine.heap_bytes(handle)));
    let mut bytes: BTreeMap<u32, usize> = heaps.filter(|(_, bytes)| *bytes > 0).collect();
    for (owner, blocks) in vm.arena.bytes_by_owner() {
        *bytes.entry(owner).or_default() += blocks;
    }
    bytes
}

native! {
    /// `total() -> bytes` in heaps and blocks.
    fn total(state) {
        // SAFETY: pushes an integer.
        unsafe {
            let total: usize = by_service(&*Vm::of(state)).values().sum();
            ffi::lua_pushinteger(state, total as ffi::lua_Integer);
            Ok(1)
        }
    }
}

native! {
    /// `block() -> integer`: live blocks of the arena.
    fn block(state) {
        // SAFETY: pushes an integer.
        unsafe {
            ffi::lua_pushinteger(state, (*Vm::of(state)).arena.stats().live_blocks as ffi::lua_Integer);
            Ok(1)
        }
    }
}

native! {
    /// `info() -> { [handle] = bytes }`
    fn info(state) {
        // SAFETY: the figures move into a string before a table is made; it stays below. Stack: one result.
        unsafe {
            let pairs = by_service(&*Vm::of(state));
            let words = pairs.into_iter().flat_map(|(owner, bytes)| [u64::from(owner), bytes as u64]);
            stack::push_text(state, words.flat_map(u64::to_ne_bytes).collect::<Vec<u8>>());
            let words = stack::bytes_at(state, -1).unwrap_or_default().as_chunks::<8>().0;
            ffi::lua_createtable(state, 0, (words.len() / 2) as c_int);
            for pair in words.as_chunks::<2>().0 {
                let [owner, bytes] = pair.map(u64::from_ne_bytes);
                ffi::lua_pushinteger(state, bytes as ffi::lua_Integer);
                ffi::lua_rawseti(state, -2, owner as ffi::lua_Integer);
            }
            Ok(1)
        }
    }
}

native! {
    /// `current() -> bytes` of this service: its heap, as it is now, and its blocks.
    fn current(state) {
        // SAFETY: pushes an integer.
        unsafe {
            let vm = Vm::of(state);
            let me = (*vm).context.handle().bits();
            let blocks: usize = (*vm).arena.bytes_by_owner().iter().filter(|(owner, _)| *owner == me).map(|pair| pair.1).sum();
            ffi::lua_pushinteger(state, ((*vm).heap_bytes() + blocks) as ffi::lua_Integer);
            Ok(1)
        }
    }
}

native! {
    /// `dump()`: logs the bytes of every service.
    fn dump(state) {
        // SAFETY: no Lua code runs in here.
        unsafe {
            let vm = Vm::of(state);
            (*vm).context.log("dump all service mem:");
            let mut sum = 0;
            for (owner, bytes) in by_service(&*vm) {
                sum += bytes;
                let handle = Handle::from_bits(owner);
                (*vm).context.log(format!("{handle} -> {}kb {}b", bytes >> 10, bytes % 1024));
            }
            (*vm).context.log(format!("+total: {}kb", sum >> 10));
            Ok(0)
        }
    }
}

native! {
    /// `jestat() -> table`: the arena's figures under the names that skynet's tools read.
    fn jestat(state) {
        // SAFETY: plain figures only while Lua may raise. Stack: one result.
        unsafe {
            let stats = (*Vm::of(state)).arena.stats();
            let rows = [
                (c"stats.allocated", stats.live_bytes),
                (c"stats.active", stats.live_bytes),
                (c"stats.resident", stats.committed_bytes),
                (c"stats.retained", stats.committed_bytes.saturating_sub(stats.live_bytes)),
                (c"stats.mapped", stats.committed_bytes),
            ];
            drop(stats);
            ffi::lua_createtable(state, 0, rows.len() as c_int);
            for (name, bytes) in rows {
                ffi::lua_pushinteger(state, bytes as ffi::lua_Integer);
                ffi::lua_setfield(state, -2, name.as_ptr());
            }
            Ok(1)
        }
    }
}

native! {
    /// `mallctl(name) -> integer`: there is no such allocator underneath.
    fn mallctl(state) {
        // SAFETY: the check may raise; nothing is owned. Stack: one result.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            let name = stack::text_at(state, 1).unwrap_or_default();
            (*Vm::of(state)).context.log(format!("No jemalloc : mallctl {name}."));
            ffi::lua_pushinteger(state, 0);
            Ok(1)
        }
    }
}

native! {
    /// `profactive([bool]) -> bool`
    fn profactive(state) {
        // SAFETY: pushes a boolean.
        unsafe {
            (*Vm::of(state)).context.log("No jemalloc");
            ffi::lua_pushboolean(state, 0);
            Ok(1)
        }
    }
}

native! {
    fn no_profiler(state) {
        // SAFETY: no Lua code runs in here.
        unsafe {
            (*Vm::of(state)).context.log("No jemalloc");
            Ok(0)
        }
    }
}
