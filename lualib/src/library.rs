//! What a new state finds: the standard libraries, and where `require` looks.

use std::ffi::{CStr, c_int};
use std::ptr;

use mlua::ffi::{self, lua_State};

use crate::vm::Vm;
use crate::{
    client_socket, code_cache, core, crypt, dns, embedded, image, late, launch, md5, memory_module, netpack,
    profile, socketdriver, sproto, stack, stm, tables,
};

/// Modules written in Rust.
const NATIVE: &[(&str, ffi::lua_CFunction)] = &[
    ("skynet.core", core::open),
    ("sproto.core", sproto::open),
    ("skynet.profile", profile::open),
    ("skynet.codecache", code_cache::open),
    ("skynet.memory", memory_module::open),
    ("skynet.socketdriver", socketdriver::open),
    ("skynet.netpack", netpack::open),
    ("client.socket", client_socket::open),
    ("skynet.stm.core", stm::open),
    ("skynet.dns.core", dns::open),
    ("skynet.crypt", crypt::open),
    ("client.crypt", crypt::open),
    ("md5", md5::open),
    ("md5.core", md5::open),
    ("fulmar.core", launch::open),
    ("fulmar.tables", tables::open),
];

/// Modules that fit into `package.loaded` as it is made.
const LOADED_MODULES: c_int = 32;

/// Opens the standard libraries and puts ours in front of the files.
///
/// # Safety
/// May raise; called once for a new state.
pub(crate) unsafe fn open_standard(state: *mut lua_State) {
    // SAFETY: nothing is owned. Stack: unchanged.
    unsafe {
        // The environment variables of the process (LUA_PATH, ...) are none of a service's business.
        ffi::lua_pushboolean(state, 1);
        ffi::lua_setfield(state, ffi::LUA_REGISTRYINDEX, c"LUA_NOENV".as_ptr());
        ffi::lua_createtable(state, 0, LOADED_MODULES);
        ffi::lua_setfield(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
        ffi::luaL_openlibs(state);
        ffi::lua_pushcclosure(state, code_cache::loadfile, 0);
        ffi::lua_setglobal(state, c"loadfile".as_ptr());
        ffi::lua_pushcclosure(state, late::getmetatable, 0);
        ffi::lua_setglobal(state, c"getmetatable".as_ptr());
        ffi::lua_pushcclosure(state, late::setmetatable, 0);
        ffi::lua_setglobal(state, c"setmetatable".as_ptr());
        profile::install(state);
        install_searchers(state);
    }
}

/// `package.searchers` becomes: preload, embedded, files (through the cache), C modules; embedded libraries come behind the
/// files when the config says `fulmar_libraries = "files"`.
unsafe fn install_searchers(state: *mut lua_State) {
    // SAFETY: by the caller. Stack: unchanged.
    unsafe {
        let files_first = (*Vm::of(state)).node.files_first();
        ffi::lua_getglobal(state, c"package".as_ptr());
        ffi::lua_getfield(state, -1, c"searchers".as_ptr());
        for place in (3..=4).rev() {
            ffi::lua_rawgeti(state, -1, place);
            ffi::lua_rawseti(state, -2, place + 1);
        }
        ffi::lua_pushcclosure(state, search_embedded, 0);
        ffi::lua_rawseti(state, -2, if files_first { 3 } else { 2 });
        ffi::lua_pushvalue(state, -2);
        ffi::lua_pushcclosure(state, search_files, 1);
        ffi::lua_rawseti(state, -2, if files_first { 2 } else { 3 });
        ffi::lua_pop(state, 2);
    }
}

/// The searcher for what lives in the binary.
pub(crate) unsafe extern "C-unwind" fn search_embedded(state: *mut lua_State) -> c_int {
    // SAFETY: the name stays on the stack while it is looked at. Stack: loader and its extra value, or a reason.
    unsafe {
        ffi::luaL_checklstring(state, 1, ptr::null_mut());
        let name = std::str::from_utf8(stack::bytes_at(state, 1).unwrap_or_default()).unwrap_or_default();
        let premade = image::has_premade(state, name).then_some(image::load_premade as ffi::lua_CFunction);
        if let Some((_, open)) = NATIVE.iter().find(|(native, _)| *native == name) {
            ffi::lua_pushcclosure(state, premade.unwrap_or(*open), 0);
            ffi::lua_pushstring(state, c":native:".as_ptr());
            return 2;
        }
        let Some(library) = embedded::library(name) else {
            ffi::lua_pushstring(state, c"no embedded library of this name".as_ptr());
            return 1;
        };
        if let Some(load) = premade {
            ffi::lua_pushcclosure(state, load, 0);
        } else if code_cache::load_embedded(state, library) != ffi::LUA_OK {
            ffi::lua_error(state);
        }
        stack::push_bytes(state, &library.chunk.as_bytes()[1..]);
        2
    }
}

/// The searcher for files on `package.path`. Upvalue 1 is the package table.
unsafe extern "C-unwind" fn search_files(state: *mut lua_State) -> c_int {
    // SAFETY: names stay on the stack while they are used. Stack: loader and file name, or a reason.
    unsafe {
        ffi::luaL_checklstring(state, 1, ptr::null_mut());
        let package = ffi::lua_upvalueindex(1);
        ffi::lua_getfield(state, package, c"searchpath".as_ptr());
        ffi::lua_pushvalue(state, 1);
        if ffi::lua_getfield(state, package, c"path".as_ptr()) != ffi::LUA_TSTRING {
            ffi::luaL_error(state, c"'package.path' must be a string".as_ptr());
        }
        ffi::lua_callk(state, 2, 2, 0, None);
        if ffi::lua_type(state, -2) == ffi::LUA_TNIL {
            return 1;
        }
        ffi::lua_pop(state, 1);
        let file = ffi::lua_tolstring(state, -1, ptr::null_mut());
        if code_cache::load_file(state, file) != ffi::LUA_OK {
            let name = ffi::lua_tolstring(state, 1, ptr::null_mut());
            let reason = ffi::lua_tolstring(state, -1, ptr::null_mut());
            let format: &CStr = c"error loading module '%s' from file '%s':\n\t%s";
            ffi::luaL_error(state, format.as_ptr(), name, file, reason);
        }
        ffi::lua_rotate(state, -2, 1);
        2
    }
}
