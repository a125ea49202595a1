//! Messages of sockets, and bytes that are no string yet.

use fulmar_engine::{Event, EventKind};
use mlua::ffi;

use super::check_text;
use crate::core;
use crate::stack::{self, native};
use crate::vm::Vm;

native! {
    /// `unpack(msg, sz) -> type, id, ud, data [, udp_address]`: data is the message's own block, cut off behind the data and given to
    /// the script for good.
    pub(super) fn unpack(state) {
        // SAFETY: strings are copied from the message, which stays this service's meanwhile; its block is taken and given back before
        // anything else is pushed. Stack: at most five results.
        unsafe {
            stack::make_room(state)?;
            let mut received = None;
            let pushed = core::with_block(state, 1, |bytes| {
                let event = Event::parse(bytes).ok_or("invalid socket message")?;
                ffi::lua_pushinteger(state, event.kind as ffi::lua_Integer);
                ffi::lua_pushinteger(state, event.id.into());
                ffi::lua_pushinteger(state, event.ud.into());
                let text = match event.kind {
                    EventKind::Data | EventKind::Udp => {
                        received = Some(event.ud as usize);
                        &event.bytes[event.ud as usize..]
                    }
                    _ => event.bytes,
                };
                if event.kind == EventKind::Data {
                    return Ok(3);
                }
                stack::push_bytes(state, text);
                Ok(4)
            })?;
            let Some(len) = received else { return Ok(pushed) };
            let vm = Vm::of(state);
            let message = ffi::lua_touserdata(state, 1).cast::<u8>().cast_const();
            let mut block = (*vm).reclaim(message).map_err(|error| error.to_string())?;
            block.set_len(len);
            ffi::lua_pushlightuserdata(state, (*vm).lend(block).0.cast_mut().cast());
            if pushed == 4 {
                ffi::lua_insert(state, -2); // before the address
            }
            Ok(pushed + 1)
        }
    }
}

native! {
    /// `drop(msg, sz)`
    pub(super) fn drop_(state) {
        // SAFETY: no Lua code runs once the block is taken.
        unsafe {
            let data = ffi::lua_touserdata(state, 1).cast::<u8>().cast_const();
            if !data.is_null() {
                (*Vm::of(state)).reclaim(data).map_err(|error| error.to_string())?;
            }
            Ok(0)
        }
    }
}

native! {
    /// `str2p(s) -> msg, sz`
    pub(super) fn str2p(state) {
        // SAFETY: the block is this service's before anything is pushed. Stack: two results.
        unsafe {
            check_text(state, 1);
            let bytes = stack::bytes_at(state, 1).unwrap_or_default();
            let vm = Vm::of(state);
            let mut block = (*vm).context.loan(bytes.len()).map_err(|error| error.to_string())?;
            block.copy_from_slice(bytes);
            let (data, len) = (*vm).lend(block);
            ffi::lua_pushlightuserdata(state, data.cast_mut().cast());
            ffi::lua_pushinteger(state, len as ffi::lua_Integer);
            Ok(2)
        }
    }
}

native! {
    /// `header(s) -> integer`: 1 to 4 bytes, the first the highest.
    pub(super) fn header(state) {
        // SAFETY: the string stays on the stack. Stack: one result.
        unsafe {
            check_text(state, 1);
            let bytes = stack::bytes_at(state, 1).unwrap_or_default();
            if !(1..=4).contains(&bytes.len()) {
                return Err(format!("Invalid read {}", String::from_utf8_lossy(bytes)).into());
            }
            let value = bytes.iter().fold(0, |value, byte| value << 8 | i64::from(*byte));
            ffi::lua_pushinteger(state, value);
            Ok(1)
        }
    }
}
