//! What a shared table can hold that is no data: light userdata, and functions without upvalues.
//!
//! An image holds them as objects of a type that nobody else can make, so whatever of that kind an image has comes from a Lua value;
//! files have none. A Lua function is kept as bytecode, of which each service makes a function of its own once it meets it: the same
//! bytecode is the same function to it, for as long as it keeps the function. A C function is the same in all services.

use std::ffi::{c_int, c_void};
use std::ptr;

use fulmar_sharedata::Object;
use mlua::ffi::{self, lua_State};

use crate::code_cache;
use crate::raw::{self, Value};
use crate::stack::{self, Failure};
use crate::vm::Vm;

/// A Lua value that is no data.
pub(super) enum Foreign {
    /// As an address, which nobody here looks at.
    Light(usize),
    Native(ffi::lua_CFunction),
    Bytecode(Box<[u8]>),
}

impl Foreign {
    pub(super) fn light(pointer: *mut c_void) -> Object {
        Object::new(Foreign::Light(pointer.addr()))
    }

    /// The function on top, which is popped.
    ///
    /// # Safety
    /// There is one, and something else refers to it. No Lua code runs, and nothing raises.
    pub(super) unsafe fn function(state: *mut lua_State) -> Result<Object, Failure> {
        // SAFETY: by the caller. Stack: the function or its first upvalue; one value less in the end.
        unsafe {
            let top = ffi::lua_gettop(state);
            let found = if !ffi::lua_getupvalue(state, top, 1).is_null() {
                Err("Invalid function with upvalue".into())
            } else if let Some(native) = ffi::lua_tocfunction(state, top) {
                keep_library(native);
                Ok(Foreign::Native(native))
            } else {
                bytecode(state, *raw::at(state, top)).map(Foreign::Bytecode)
            };
            ffi::lua_settop(state, top - 1);
            found.map(Object::new)
        }
    }
}

/// Dumps a Lua function without running any Lua code, though dumping needs memory and may raise, so that it is in a protected call:
/// the collector stands still, so there are no finalizers, and the call is the vault's, a thread that has no hooks.
unsafe fn bytecode(state: *mut lua_State, function: Value) -> Result<Box<[u8]>, Failure> {
    // SAFETY: the function is live, by the caller; the vault has room. Its stack: what dumps and the function, or the error; unchanged
    // in the end.
    unsafe {
        let vm = Vm::of(state);
        let vault = (*vm).vault;
        let top = ffi::lua_gettop(vault);
        let is_running = ffi::lua_gc(state, ffi::LUA_GCISRUNNING) != 0;
        ffi::lua_gc(state, ffi::LUA_GCSTOP);
        // The program may have found it in the registry.
        ffi::lua_sethook(vault, None, 0, 0);
        ffi::lua_pushcclosure(vault, dump, 0);
        raw::push(vault, function);
        let dumped = match ffi::lua_pcall(vault, 1, 0, 0) {
            ffi::LUA_OK => Ok((*vm).dumped.as_slice().into()),
            _ => Err(stack::bytes_at(vault, -1).unwrap_or_default().to_vec().into()),
        };
        ffi::lua_settop(vault, top);
        if is_running {
            ffi::lua_gc(state, ffi::LUA_GCRESTART);
        }
        dumped
    }
}

/// Dumps its argument into the service's buffer.
unsafe extern "C-unwind" fn dump(state: *mut lua_State) -> c_int {
    // SAFETY: called with a Lua function. Stack: unchanged.
    unsafe { code_cache::dump(state) };
    0
}

/// The library that a C function is from stays loaded: the service that has loaded it may end before those that share the function.
unsafe fn keep_library(native: ffi::lua_CFunction) {
    // SAFETY: `info` is filled when the call says so; the name is that of a library which is loaded, and none is loaded by this.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(native as *const c_void, &mut info) != 0 && !info.dli_fname.is_null() {
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            libc::dlopen(info.dli_fname, flags);
        }
    }
}

/// Pushes the value that an object is; nil for one that is none of Lua's.
///
/// # Safety
/// As for [`copy::push`](super::copy::push); four free slots. The object is not used once anything is allocated.
pub(super) unsafe fn push(state: *mut lua_State, object: &Object) {
    // SAFETY: by the caller. Stack: one value more.
    unsafe {
        match object.downcast_ref() {
            Some(Foreign::Light(address)) => {
                ffi::lua_pushlightuserdata(state, ptr::without_provenance_mut(*address));
            }
            Some(Foreign::Native(native)) => ffi::lua_pushcclosure(state, *native, 0),
            Some(Foreign::Bytecode(bytecode)) => {
                stack::push_bytes(state, bytecode);
                push_function(state);
            }
            None => ffi::lua_pushnil(state),
        }
    }
}

/// Puts a function in the place of its bytecode.
unsafe fn push_function(state: *mut lua_State) {
    // SAFETY: bytecode that `function` has made of a function of this very Lua; nothing is owned. Stack: bytecode, the functions
    // that this service has; then the function.
    unsafe {
        let code = ffi::lua_gettop(state);
        if ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, FUNCTIONS.as_ptr()) == 0 {
            stack::make_weak(state, c"v");
        }
        ffi::lua_pushvalue(state, code);
        if ffi::lua_rawget(state, code + 1) != ffi::LUA_TFUNCTION {
            ffi::lua_settop(state, code + 1);
            let mut len = 0;
            let bytes = ffi::lua_tolstring(state, code, &mut len);
            if ffi::luaL_loadbufferx(state, bytes, len, c"=shared".as_ptr(), c"b".as_ptr()) != ffi::LUA_OK {
                ffi::lua_error(state);
            }
            ffi::lua_pushvalue(state, code);
            ffi::lua_pushvalue(state, -2);
            ffi::lua_rawset(state, code + 1);
        }
        ffi::lua_replace(state, code);
        ffi::lua_settop(state, code);
    }
}

/// Where the registry has the functions of a state, by their bytecode, weakly.
const FUNCTIONS: &std::ffi::CStr = c"fulmar.functions";
