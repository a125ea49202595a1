//! What an image holds beside the standard libraries: modules that are ready when a program requires them.
//!
//! `require` finds them as if it loaded them: they lie aside, outside of `package.loaded`, until they are asked for.

use std::ffi::{c_char, c_int};

use mlua::ffi::{self, lua_State};

use crate::vm::{Slot, Vm};
use crate::{library, stack};

/// Modules that are made beforehand, each before those that require it.
const PREMADE: [&str; 4] = ["skynet.core", "skynet.codecache", "skynet.require", "skynet"];

/// Puts into a template what its copies need first: the modules of [`PREMADE`], which a service gets when it requires them.
pub(super) unsafe extern "C-unwind" fn furnish(state: *mut lua_State) -> c_int {
    // SAFETY: runs protected, nothing is owned. Stack: `package.loaded`, the table of modules; then nothing.
    unsafe {
        let vm = Vm::of(state);
        ffi::lua_settop(state, 0);
        // What is random here is made so in each copy.
        reseed_with(state, 0, 0);
        // A preload script may change what these modules take from their surroundings.
        if (*vm).node.files_first() || (*vm).node.path("preload").is_some() {
            return 0;
        }
        ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
        ffi::lua_createtable(state, 0, PREMADE.len() as c_int);
        for name in PREMADE {
            ffi::lua_getglobal(state, c"require".as_ptr());
            stack::push_bytes(state, name.as_bytes());
            ffi::lua_callk(state, 1, 1, 0, None);
            set(state, 2, name);
        }
        for name in PREMADE {
            ffi::lua_pushnil(state);
            set(state, 1, name);
        }
        (*vm).pop_slot(state, Slot::Premade);
        ffi::lua_settop(state, 0);
        0
    }
}

/// Lua keeps the strings that it made last of C texts by the addresses of the texts, which differ from template to template where a
/// text is on a stack or a heap. Fills that cache, which has two strings for each place, with those of a static text: three for each, of
/// which one may be there already.
pub(super) unsafe extern "C-unwind" fn fill_string_cache(state: *mut lua_State) -> c_int {
    // SAFETY: runs protected; each address is that of a text which ends with a zero. Stack: one string at a time.
    unsafe {
        for place in 0..TEXTS.len() {
            ffi::lua_pushstring(state, (&raw const TEXTS).cast::<c_char>().add(place));
            ffi::lua_settop(state, 0);
        }
        0
    }
}

/// Places of the cache (`STRCACHE_N` of Lua): a text's is its address modulo this number.
const CACHE_PLACES: usize = 53;
/// From each address one of three texts: the number of places is no multiple of three, so all come to each.
static TEXTS: [u8; 3 * CACHE_PLACES] = {
    let mut texts = [0; 3 * CACHE_PLACES];
    let mut place = 0;
    while place < texts.len() {
        (texts[place], texts[place + 1]) = (1, 2);
        place += 3;
    }
    texts
};

/// `table[name] = ` the value on top, which is popped.
unsafe fn set(state: *mut lua_State, table: c_int, name: &str) {
    // SAFETY: runs protected; raw access to a table. Stack: one value less.
    unsafe {
        stack::push_bytes(state, name.as_bytes());
        ffi::lua_rotate(state, -2, 1);
        ffi::lua_rawset(state, table);
    }
}

/// Pushes `table[name]`, without metamethods.
unsafe fn get(state: *mut lua_State, table: c_int, name: &str) {
    // SAFETY: runs protected. Stack: one value more.
    unsafe {
        let table = ffi::lua_absindex(state, table);
        stack::push_bytes(state, name.as_bytes());
        ffi::lua_rawget(state, table);
    }
}

/// Whether the module `name` was made beforehand and may be handed out: it is not when the program has put something of its own in the
/// place of a module that it is made of.
///
/// # Safety
/// Runs protected, with twelve free slots. Stack: unchanged.
pub(crate) unsafe fn has_premade(state: *mut lua_State, name: &str) -> bool {
    let Some(place) = PREMADE.iter().position(|premade| *premade == name) else {
        return false;
    };
    // SAFETY: table accesses that run no Lua code.
    unsafe {
        let top = ffi::lua_gettop(state);
        (*Vm::of(state)).push_slot(state, Slot::Premade);
        let is_there = ffi::lua_type(state, -1) == ffi::LUA_TTABLE;
        let mut is_ours = is_there;
        if is_ours && name == "skynet" {
            ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
            ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_PRELOAD_TABLE);
            is_ours = is_asked_second(state);
            for part in &PREMADE[..place] {
                get(state, top + 1, part);
                get(state, top + 2, part);
                get(state, top + 3, part);
                is_ours &= ffi::lua_isnoneornil(state, -1) != 0
                    && (ffi::lua_isnoneornil(state, -2) != 0 || ffi::lua_rawequal(state, -2, -3) != 0);
                ffi::lua_settop(state, top + 3);
            }
        }
        if is_there && !is_ours {
            forget_premade(state);
        }
        ffi::lua_settop(state, top);
        is_ours
    }
}

/// Whether the searcher for what is embedded still comes behind the one for `package.preload`: otherwise the program looks for the
/// parts itself.
unsafe fn is_asked_second(state: *mut lua_State) -> bool {
    // SAFETY: table accesses that run no Lua code. Stack: unchanged.
    unsafe {
        let top = ffi::lua_gettop(state);
        ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
        get(state, -1, "package");
        let mut is_ours = false;
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            get(state, -1, "searchers");
            if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
                ffi::lua_rawgeti(state, -1, 2);
                is_ours = stack::is_native(state, -1, library::search_embedded);
            }
        }
        ffi::lua_settop(state, top);
        is_ours
    }
}

/// The module `skynet` will be made anew: the protocols that the other one has registered are gone with it.
unsafe fn forget_premade(state: *mut lua_State) {
    // SAFETY: clearing fields of a table while it is traversed is allowed. Stack: a table more, and nothing of value.
    unsafe {
        let vm = Vm::of(state);
        (*vm).push_slot(state, Slot::Protocols);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_pop(state, 1);
            ffi::lua_pushvalue(state, -1);
            ffi::lua_pushnil(state);
            ffi::lua_rawset(state, -4);
        }
        ffi::lua_pushnil(state);
        (*vm).pop_slot(state, Slot::Premade);
    }
}

/// The loader of a module that was made beforehand; the modules that `skynet` is made of count as loaded with it.
pub(crate) unsafe extern "C-unwind" fn load_premade(state: *mut lua_State) -> c_int {
    // SAFETY: `require` calls this with the name. Stack: name, loaded, premade; then the module.
    unsafe {
        ffi::lua_settop(state, 1);
        ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
        (*Vm::of(state)).push_slot(state, Slot::Premade);
        if ffi::lua_type(state, 3) != ffi::LUA_TTABLE {
            // Somebody has kept this loader, and given a part of the module away meanwhile.
            ffi::lua_pushstring(state, c"this loader is out of date".as_ptr());
            ffi::lua_error(state);
        }
        if stack::bytes_at(state, 1) == Some(b"skynet") {
            for part in &PREMADE[..PREMADE.len() - 1] {
                get(state, 3, part);
                set(state, 2, part);
            }
        }
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rawget(state, 3);
        1
    }
}

/// Gives a copy its own `math.random`. Runs protected, with nothing on the stack but the pointer that `protect` gives.
pub(crate) unsafe extern "C-unwind" fn reseed(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: unchanged.
    unsafe {
        let node = Vm::node_of(state);
        reseed_with(state, node.random_seed(), node.random_seed());
        0
    }
}

unsafe fn reseed_with(state: *mut lua_State, one: u32, two: u32) {
    // SAFETY: runs protected in a state whose libraries are as they were opened. Stack: unchanged.
    unsafe {
        let top = ffi::lua_gettop(state);
        ffi::lua_getglobal(state, c"math".as_ptr());
        ffi::lua_getfield(state, -1, c"randomseed".as_ptr());
        ffi::lua_pushinteger(state, one.into());
        ffi::lua_pushinteger(state, two.into());
        ffi::lua_callk(state, 2, 0, 0, None);
        ffi::lua_settop(state, top);
    }
}
