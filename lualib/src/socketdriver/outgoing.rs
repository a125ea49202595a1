//! What is sent on connections: strings, arrays of them, blocks and userdata.

use std::ffi::c_int;
use std::ptr;

use fulmar_arena::Buf;
use fulmar_engine::Body;
use mlua::ffi::{self, lua_State};

use super::{check_text, id_at, sockets};
use crate::seri::ATTACH_MIN_BYTES;
use crate::stack::{self, Failure, native};
use crate::tasks::take_body;
use crate::vm::Vm;

native! {
    /// `send(id, data [, sz]) -> boolean`
    pub(super) fn send(state) {
        // SAFETY: see `send_at`.
        unsafe { send_at(state, false) }
    }
}

native! {
    /// `lsend(id, data [, sz]) -> boolean`
    pub(super) fn lsend(state) {
        // SAFETY: see `send_at`.
        unsafe { send_at(state, true) }
    }
}

/// The common part of `send` and `lsend`.
unsafe fn send_at(state: *mut lua_State, low: bool) -> stack::Outcome {
    // SAFETY: the check may raise; nothing is owned then. Stack: one result.
    unsafe {
        let id = id_at(state, 1);
        let data = data_at(state, 2)?;
        let sent = sockets(state).send(id, data, low);
        ffi::lua_pushboolean(state, sent.into());
        Ok(1)
    }
}

native! {
    /// `broadcast(ids, data [, sz]) -> count`: one copy of the data for all; also for sockets of other services.
    pub(super) fn broadcast(state) {
        // SAFETY: nothing raises once the data is taken: raw reads of integers. Stack: one result.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
            let data = data_at(state, 2)?;
            let ids = (1..=ffi::lua_rawlen(state, 1) as ffi::lua_Integer).map(|place| {
                ffi::lua_rawgeti(state, 1, place);
                let id = ffi::lua_tointegerx(state, -1, ptr::null_mut());
                ffi::lua_pop(state, 1);
                i32::try_from(id).unwrap_or(0)
            });
            let taken = sockets(state).broadcast(ids, &data);
            ffi::lua_pushinteger(state, taken as ffi::lua_Integer);
            Ok(1)
        }
    }
}

/// The data to be sent at `index`: a string, an array that `table.concat` takes, a pointer with its size (ownership passes), or
/// userdata.
pub(super) unsafe fn data_at(state: *mut lua_State, index: c_int) -> Result<Buf, Failure> {
    // SAFETY: blocks are taken last, where nothing raises. Stack: one value more at most.
    unsafe {
        stack::make_room(state)?;
        let vm = Vm::of(state);
        let bytes = match ffi::lua_type(state, index) {
            ffi::LUA_TLIGHTUSERDATA => {
                return Ok(match take_body(vm, state, index)? {
                    Body::Block(block) => block.freeze(),
                    _ => (*vm).context.loan(0).map_err(|error| error.to_string())?.freeze(),
                });
            }
            ffi::LUA_TUSERDATA => {
                let held = ffi::lua_rawlen(state, index);
                let len = ffi::luaL_optinteger(state, index + 1, held as ffi::lua_Integer);
                let len = usize::try_from(len).unwrap_or(0).min(held);
                std::slice::from_raw_parts(ffi::lua_touserdata(state, index).cast::<u8>().cast_const(), len)
            }
            ffi::LUA_TTABLE => {
                let len = match strings_len(state, index) {
                    Some(len) => len,
                    None => {
                        to_strings(state, index);
                        strings_len(state, index).unwrap_or(0)
                    }
                };
                let mut block = (*vm).context.loan(len).map_err(|error| error.to_string())?;
                let mut filled = 0;
                for place in 1..=ffi::lua_rawlen(state, index) as ffi::lua_Integer {
                    ffi::lua_rawgeti(state, index, place);
                    let part = stack::bytes_at(state, -1).unwrap_or_default();
                    block[filled..][..part.len()].copy_from_slice(part);
                    filled += part.len();
                    ffi::lua_pop(state, 1);
                }
                return Ok(block.freeze());
            }
            _ => {
                check_text(state, index);
                let bytes = stack::bytes_at(state, index).unwrap_or_default();
                // A string that was received lies in the arena, and is frozen: nobody has to copy it.
                if bytes.len() >= ATTACH_MIN_BYTES
                    && let Some(buf) = (*vm)
                        .arena
                        .shared(bytes.as_ptr())
                        .filter(|buf| buf.len() == bytes.len())
                {
                    return Ok(buf);
                }
                bytes
            }
        };
        let mut block = (*vm)
            .context
            .loan(bytes.len())
            .map_err(|error| error.to_string())?;
        block.copy_from_slice(bytes);
        Ok(block.freeze())
    }
}

/// The bytes of all strings of the array at `index`; none when there is something else in it, or it has a metatable.
unsafe fn strings_len(state: *mut lua_State, index: c_int) -> Option<usize> {
    // SAFETY: raw reads, which do not raise. Stack: unchanged.
    unsafe {
        if ffi::lua_getmetatable(state, index) != 0 {
            ffi::lua_pop(state, 1);
            return None;
        }
        let mut len = 0;
        for place in 1..=ffi::lua_rawlen(state, index) as ffi::lua_Integer {
            ffi::lua_rawgeti(state, index, place);
            let part = stack::bytes_at(state, -1).map(<[u8]>::len);
            ffi::lua_pop(state, 1);
            len += part?;
        }
        Some(len)
    }
}

/// Replaces the table at `index` by an array of the strings that it shows, up to the first nil. Raises when there is something else
/// than strings and numbers.
unsafe fn to_strings(state: *mut lua_State, index: c_int) {
    // SAFETY: Lua code may run and raise; nothing is owned. Stack: unchanged.
    unsafe {
        ffi::lua_newtable(state);
        for place in 1.. {
            if ffi::lua_geti(state, index, place) == ffi::LUA_TNIL {
                ffi::lua_pop(state, 1);
                break;
            }
            ffi::luaL_checklstring(state, -1, ptr::null_mut());
            ffi::lua_rawseti(state, -2, place);
        }
        ffi::lua_replace(state, index);
    }
}
