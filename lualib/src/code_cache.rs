//! Compiled Lua code, shared by all services of a node.
//!
//! A file is compiled once; every later load executes the same bytes in place (Lua 5.5 "fixed" binary chunks), so a service
//! pays for the closures and constants of its code but not for the code. A state keeps the bytes alive for as long as it
//! lives, also after the cache has been cleared.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use mlua::ffi::{self, lua_State};

use crate::embedded::Embedded;
use crate::names;
use crate::stack::{self, native};
use crate::vm::Vm;

/// How a service uses the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    On,
    /// Bypasses it.
    Off,
    /// Uses what is there and adds nothing.
    Exist,
}

/// The binary form of one chunk.
pub(crate) type Bytecode = Box<[u8]>;

/// What a cached chunk was made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    File(CString),
    Embedded(&'static str),
}

/// The chunks of a node.
#[derive(Default)]
pub(crate) struct CodeCache {
    chunks: Mutex<HashMap<Key, Arc<Bytecode>>>,
}

impl CodeCache {
    fn find(&self, key: &Key) -> Option<Arc<Bytecode>> {
        self.chunks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    fn insert(&self, key: Key, bytecode: Bytecode) -> Arc<Bytecode> {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(chunks.entry(key).or_insert_with(|| Arc::new(bytecode)))
    }

    /// Forgets every file; what is embedded in the binary cannot change.
    fn clear(&self) {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.retain(|key, _| matches!(key, Key::Embedded(_)));
    }
}

/// Loads a file as `luaL_loadfile` does: a Lua status, and the function or the error text on top.
///
/// # Safety
/// May raise a memory error. `name` must not live on a frame that a raise would skip.
pub(crate) unsafe fn load_file(state: *mut lua_State, name: *const c_char) -> c_int {
    // SAFETY: the key is owned only where nothing raises. Stack: one value more.
    unsafe {
        let vm = Vm::of(state);
        let mode = (*vm).cache_mode;
        if mode == Mode::Off {
            return ffi::luaL_loadfilex(state, name, ptr::null());
        }
        if let Some(chunk) = (&*vm)
            .node
            .cache
            .find(&Key::File(CStr::from_ptr(name).to_owned()))
        {
            return load_chunk(state, keep(vm, chunk), name);
        }
        let status = ffi::luaL_loadfilex(state, name, ptr::null());
        if status != ffi::LUA_OK || mode == Mode::Exist || dump(state) != 0 {
            return status;
        }
        let bytecode = std::mem::take(&mut (*vm).dumped).into_boxed_slice();
        let chunk = (&*vm)
            .node
            .cache
            .insert(Key::File(CStr::from_ptr(name).to_owned()), bytecode);
        let chunk = keep(vm, chunk);
        ffi::lua_pop(state, 1);
        load_chunk(state, chunk, name)
    }
}

/// Loads an embedded chunk: a Lua status, and the function or the error text on top.
///
/// # Safety
/// May raise a memory error.
pub(crate) unsafe fn load_embedded(state: *mut lua_State, embedded: &'static Embedded) -> c_int {
    // SAFETY: chunk names contain no zero byte; `c_name` is kept in the service's memory. Stack: one value more.
    unsafe {
        let vm = Vm::of(state);
        if let Some(chunk) = (&*vm).node.cache.find(&Key::Embedded(embedded.chunk)) {
            return load_chunk(state, keep(vm, chunk), c"=embedded".as_ptr());
        }
        stack::push_bytes(state, embedded.chunk.as_bytes());
        let name = ffi::lua_tolstring(state, -1, ptr::null_mut());
        let source = embedded.source.as_bytes();
        let status = ffi::luaL_loadbufferx(state, source.as_ptr().cast(), source.len(), name, c"t".as_ptr());
        ffi::lua_rotate(state, -2, -1);
        ffi::lua_pop(state, 1);
        if status != ffi::LUA_OK || dump(state) != 0 {
            return status;
        }
        let dumped = std::mem::take(&mut (*vm).dumped);
        let bytecode = names::without_names(&dumped).unwrap_or(dumped).into_boxed_slice();
        let chunk = (&*vm).node.cache.insert(Key::Embedded(embedded.chunk), bytecode);
        let chunk = keep(vm, chunk);
        ffi::lua_pop(state, 1);
        load_chunk(state, chunk, c"=embedded".as_ptr())
    }
}

/// Keeps the bytes of a chunk for the rest of the state's life.
unsafe fn keep(vm: *mut Vm, chunk: Arc<Bytecode>) -> *const [u8] {
    let bytes: *const [u8] = &**chunk;
    // SAFETY: no Lua code runs in here.
    unsafe { (*vm).bytecode.insert(bytes.cast(), chunk) };
    bytes
}

struct Piece {
    data: *const u8,
    len: usize,
}

unsafe extern "C-unwind" fn read(
    _state: *mut lua_State,
    piece: *mut c_void,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: the piece lives in the caller's frame; it is handed out once.
    unsafe {
        let piece = &mut *piece.cast::<Piece>();
        *len = std::mem::take(&mut piece.len);
        piece.data.cast()
    }
}

/// Loads binary bytes in place.
unsafe fn load_chunk(state: *mut lua_State, bytes: *const [u8], name: *const c_char) -> c_int {
    let mut piece = Piece {
        data: bytes.cast(),
        len: bytes.len(),
    };
    // SAFETY: the bytes outlive the state (`keep`), as fixed chunks demand. They were made by this very Lua.
    unsafe { ffi::lua_load(state, read, ptr::from_mut(&mut piece).cast(), name, c"B".as_ptr()) }
}

unsafe extern "C-unwind" fn write(
    _state: *mut lua_State,
    data: *const c_void,
    len: usize,
    to: *mut c_void,
) -> c_int {
    // SAFETY: `to` is the service's own buffer.
    unsafe {
        if len > 0 {
            (*to.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(data.cast(), len));
        }
        0
    }
}

/// Dumps the function on top into the service's buffer, line information included.
///
/// # Safety
/// A Lua function is on top. May raise a memory error: nothing with a destructor is alive.
pub(crate) unsafe fn dump(state: *mut lua_State) -> c_int {
    // SAFETY: the buffer lives in the service's memory, where a raise loses nothing.
    unsafe {
        let buffer = &raw mut (*Vm::of(state)).dumped;
        (*buffer).clear();
        ffi::lua_dump(state, write, buffer.cast(), 0)
    }
}

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] =
    &[(c"clear", clear), (c"mode", mode), (c"loadfile", loadfile)];

/// Opens `skynet.codecache`.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

native! {
    /// `clear()`
    fn clear(state) {
        // SAFETY: no Lua code runs in here.
        unsafe {
            Vm::node_of(state).cache.clear();
            Ok(0)
        }
    }
}

native! {
    /// `mode([m]) -> mode`
    fn mode(state) {
        // SAFETY: the option check may raise; nothing is owned. Stack: at most one result.
        unsafe {
            let vm = Vm::of(state);
            if ffi::lua_isnoneornil(state, 1) != 0 {
                let name = match (*vm).cache_mode {
                    Mode::On => c"ON",
                    Mode::Off => c"OFF",
                    Mode::Exist => c"EXIST",
                };
                ffi::lua_pushstring(state, name.as_ptr());
                return Ok(1);
            }
            let names = [c"OFF".as_ptr(), c"EXIST".as_ptr(), c"ON".as_ptr(), ptr::null()];
            (*vm).cache_mode = match ffi::luaL_checkoption(state, 1, ptr::null(), names.as_ptr()) {
                0 => Mode::Off,
                1 => Mode::Exist,
                _ => Mode::On,
            };
            Ok(0)
        }
    }
}

/// `loadfile(filename [, mode [, env]])` through the cache.
pub(crate) unsafe extern "C-unwind" fn loadfile(state: *mut lua_State) -> c_int {
    // SAFETY: the name stays on the stack. Stack: the function, or nil and the reason.
    unsafe {
        let name = ffi::luaL_optlstring(state, 1, ptr::null(), ptr::null_mut());
        let kind = ffi::luaL_optlstring(state, 2, ptr::null(), ptr::null_mut());
        let env = ffi::lua_type(state, 3) != ffi::LUA_TNONE;
        let status = if name.is_null() || !kind.is_null() && CStr::from_ptr(kind) == c"b" {
            ffi::luaL_loadfilex(state, name, kind)
        } else {
            load_file(state, name)
        };
        if status != ffi::LUA_OK {
            ffi::lua_pushnil(state);
            ffi::lua_rotate(state, -2, 1);
            return 2;
        }
        if env {
            ffi::lua_pushvalue(state, 3);
            if ffi::lua_setupvalue(state, -2, 1).is_null() {
                ffi::lua_pop(state, 1);
            }
        }
        1
    }
}
