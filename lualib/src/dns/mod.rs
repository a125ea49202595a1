//! Names to addresses: `skynet.dns.core`, what `skynet.dns` does not do in Lua. The messages themselves are in [`message`].

pub mod message;

use std::ffi::{CStr, c_int};
use std::net::IpAddr;

use mlua::ffi::{self, lua_State};

use crate::buffers::push_written;
use crate::random;
use crate::stack::{self, check_bytes, native};

pub use self::message::{Addresses, Family, Refusal, id, question, read_answer};

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"question", ask), (c"id", id_of), (c"answer", answer)];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

native! {
    /// `question(name, ipv6) -> message`, under a random id; nil when that is no name.
    fn ask(state) {
        // SAFETY: the check comes first. Stack: at most two values, one result.
        unsafe {
            let name = std::str::from_utf8(check_bytes(state, 1)).unwrap_or_default();
            let family = if ffi::lua_toboolean(state, 2) != 0 { Family::V6 } else { Family::V4 };
            let id = random::bytes()?;
            let mut legal = false;
            push_written(state, |out| {
                if let Some(message) = question(name, family, u16::from_ne_bytes(id)) {
                    out.extend(message);
                    legal = true;
                }
                Ok(())
            })?;
            if !legal {
                ffi::lua_pushnil(state);
            }
            Ok(1)
        }
    }
}

native! {
    /// `id(message) -> integer`; nil when it is too short for one.
    fn id_of(state) {
        // SAFETY: the check comes first. Stack: one result.
        unsafe {
            match id(check_bytes(state, 1)) {
                Some(id) => ffi::lua_pushinteger(state, id.into()),
                None => ffi::lua_pushnil(state),
            }
            Ok(1)
        }
    }
}

native! {
    /// `answer(question, bytes) -> addresses, ttl`: one address a line. Otherwise false, the reason, and whether that is that the
    /// answer is truncated; nil when the bytes are no answer to that question.
    fn answer(state) {
        // SAFETY: the checks come first; what was read is dropped before anything is pushed. Stack: at most three results.
        unsafe {
            let (question, bytes) = (check_bytes(state, 1), check_bytes(state, 2));
            let mut read = Err(Refusal::Foreign);
            push_written(state, |out| {
                read = read_answer(question, bytes).map(|addresses| {
                    for address in &addresses.list {
                        write_address(*address, out);
                    }
                    addresses.ttl_s
                });
                Ok(())
            })?;
            match read {
                Ok(ttl_s) => {
                    ffi::lua_pushinteger(state, ttl_s.into());
                    Ok(2)
                }
                Err(Refusal::Foreign) => {
                    ffi::lua_pushnil(state);
                    Ok(1)
                }
                Err(refusal) => {
                    ffi::lua_pushboolean(state, 0);
                    stack::push_text(state, refusal.to_string());
                    ffi::lua_pushboolean(state, (refusal == Refusal::Truncated).into());
                    Ok(3)
                }
            }
        }
    }
}

/// Appends an address and the end of its line; of an IPv6 address all eight numbers, as skynet writes them.
fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    let text = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|number| format!("{number:x}")).join(":"),
    };
    out.extend(text.bytes());
    out.push(b'\n');
}
