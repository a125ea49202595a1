//! The part of packing that runs Lua code: tables with a `__pairs` metamethod, and what may go wrong after that.
//!
//! Every step is a protected call, so that packing never ends in a long jump. While it lasts, the floor of the scratch
//! is raised: the Lua code may pack on the same packer, and what it leaves there is dropped.

#![allow(clippy::multiple_unsafe_ops_per_block)] // raw Lua stack code: one note per function states the stack's shape

use std::ffi::{c_int, c_void};

use mlua::ffi;

use super::pack::{Encoder, PackError};

/// Its address is the registry key of the string `__pairs`, which pushed from bytes could raise.
static NAME_KEY: u8 = 0;

impl Encoder<'_> {
    /// Takes the metatable from the top of the stack. If it has a `__pairs` field, leaves that there and is true.
    #[cold]
    pub(super) unsafe fn takes_pairs(&mut self) -> Result<bool, PackError> {
        let state = self.state;
        // SAFETY: `pack`'s contract; the caller made room. Stack: - metatable, + handler if true.
        unsafe {
            if ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, name_key()) != ffi::LUA_TSTRING {
                ffi::lua_settop(state, -2);
                ffi::lua_pushcclosure(state, push_name, 0);
                self.protected_call(0, 1)?;
            }
            if ffi::lua_rawget(state, -2) == ffi::LUA_TNIL {
                ffi::lua_settop(state, -3);
                return Ok(false);
            }
            ffi::lua_replace(state, -2);
            Ok(true)
        }
    }

    /// Writes the table at `index` as what its `__pairs` handler, on top of the stack, iterates over. Takes the handler.
    pub(super) unsafe fn pairs(&mut self, index: c_int, depth: u32) -> Result<(), PackError> {
        let state = self.state;
        // SAFETY: `pack`'s contract; the caller made room. Stack: - handler, + iterator, state, control, then the two
        // results of a step above; none of them in the end.
        unsafe {
            (*self.scratch()).writer.table(0);
            let iterator = ffi::lua_gettop(state);
            let control = iterator + 2;
            ffi::lua_pushvalue(state, index);
            self.protected_call(1, 3)?;
            loop {
                ffi::lua_pushvalue(state, iterator);
                ffi::lua_pushvalue(state, iterator + 1);
                ffi::lua_pushvalue(state, control);
                self.protected_call(2, 2)?;
                let (key, value) = (control + 1, control + 2);
                if ffi::lua_type(state, key) == ffi::LUA_TNIL {
                    break;
                }
                self.value(key, depth + 1)?;
                self.value(value, depth + 1)?;
                ffi::lua_copy(state, key, control);
                ffi::lua_settop(state, control);
            }
            ffi::lua_settop(state, iterator - 1);
            (*self.scratch()).writer.nil();
        }
        Ok(())
    }

    /// `lua_next` where Lua code may have taken away the key, which raises.
    #[cold]
    pub(super) unsafe fn next_protected(&mut self, table: c_int) -> Result<bool, PackError> {
        let state = self.state;
        // SAFETY: `pack`'s contract; the caller made room. Stack: - key, + function, table, key for the call; then
        // key and value, the last popped when there is none.
        unsafe {
            ffi::lua_pushcclosure(state, next_pair, 0);
            ffi::lua_rotate(state, -2, 1);
            ffi::lua_pushvalue(state, table);
            ffi::lua_rotate(state, -2, 1);
            self.protected_call(2, 2)?;
            let more = ffi::lua_type(state, -2) != ffi::LUA_TNIL;
            if !more {
                ffi::lua_settop(state, -3);
            }
            Ok(more)
        }
    }

    /// Calls the function that lies below its arguments on the stack.
    unsafe fn protected_call(&mut self, arguments: c_int, results: c_int) -> Result<(), PackError> {
        self.ran_lua = true;
        // SAFETY: nobody holds a reference into the scratch: the callers are methods of the only walk.
        let floor = unsafe { (*self.scratch()).raise_floor() };
        // SAFETY: `pack`'s contract; the caller pushed function and arguments. Stack: - those, + results or an error.
        let status = unsafe { ffi::lua_pcall(self.state, arguments, results, 0) };
        // SAFETY: as above, and whatever used the scratch meanwhile is done with it.
        unsafe { (*self.scratch()).lower_floor(floor) };
        if status == ffi::LUA_OK {
            Ok(())
        } else {
            Err(PackError::Raised)
        }
    }
}

fn name_key() -> *const c_void {
    (&raw const NAME_KEY).cast()
}

/// Returns the string `__pairs` and keeps it in the registry.
unsafe extern "C-unwind" fn push_name(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with free slots. Stack: + the string.
    unsafe {
        ffi::lua_pushstring(state, c"__pairs".as_ptr());
        ffi::lua_pushvalue(state, -1);
        ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, name_key());
    }
    1
}

/// `next(table, key)`.
unsafe extern "C-unwind" fn next_pair(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with a table and a key. Stack: - key, + key and value, if any.
    unsafe { if ffi::lua_next(state, 1) != 0 { 2 } else { 0 } }
}
