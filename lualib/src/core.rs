//! `skynet.core`: the low-level functions that Lua services and libraries build on.

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::{Handle, MessageType};
use mlua::ffi::{self, lua_State};

use crate::facts;
use crate::late;
use crate::manager::manage;
use crate::raw;
use crate::seri::{self, Attach};
use crate::stack::{self, Outcome, native};
use crate::tasks::{self, destination, push_sent, send_body, take_body};
use crate::vm::{Slot, Vm};

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"send", send),
    (c"redirect", redirect),
    (c"command", command),
    (c"intcommand", intcommand),
    (c"addresscommand", addresscommand),
    (c"error", error),
    (c"harbor", harbor),
    (c"tostring", tostring),
    (c"pack", pack_native),
    (c"unpack", unpack_native),
    (c"packstring", packstring),
    (c"trash", trash),
    (c"now", now),
    (c"hpc", hpc),
    (c"memlimit", memlimit),
    (c"install", install),
    (c"manage", manage),
];

/// `skynet.FIELD` of each native that has another name there.
const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"self", self_),
    (c"now", now),
    (c"hpc", hpc),
    (c"error", error),
    (c"harbor", harbor),
    (c"pack", pack_native),
    (c"packstring", packstring),
    (c"unpack", unpack_native),
    (c"tostring", tostring),
    (c"trash", trash),
];

native! {
    /// `install(require) -> skynet`: the table of the module `skynet` with its natives, and room for the rest, which `require` loads when
    /// it is needed.
    fn install(state) {
        // SAFETY: nothing is owned while Lua may raise. Stack: the argument, one result.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
            ffi::lua_settop(state, 1);
            ffi::lua_createtable(state, 0, SKYNET_FIELDS);
            stack::register(state, PUBLIC);
            stack::register(state, facts::FUNCTIONS);
            for group in tasks::PUBLIC {
                stack::register(state, group);
            }
            late::install(state);
            Ok(1)
        }
    }
}

/// Fields of the module `skynet` before `skynet.rest`, and of `skynet.core`: tables that do not grow are made faster. Both are nearly
/// full, and one name too many costs each service a table of twice the size.
const SKYNET_FIELDS: c_int = 64;
const CORE_FIELDS: c_int = 32;

/// Opens the module. Besides the functions it holds `protocols`, the table that the dispatcher looks types up in.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: the list of functions is static; nothing is owned while Lua may raise. Stack: one result.
    unsafe {
        let vm = Vm::of(state);
        ffi::lua_createtable(state, 0, CORE_FIELDS);
        stack::register(state, FUNCTIONS);
        for group in tasks::FUNCTIONS {
            stack::register(state, group);
        }
        (*vm).push_slot(state, Slot::Protocols);
        ffi::lua_setfield(state, -2, c"protocols".as_ptr());
        ffi::lua_pushlightuserdata(state, tasks::suspend_mark());
        ffi::lua_setfield(state, -2, c"suspended".as_ptr());
        1
    }
}

/// Why packing failed, as a native raises it.
pub(crate) fn pack_failure(error: seri::PackError) -> stack::Failure {
    match error {
        seri::PackError::Raised => stack::Failure::Value,
        error => error.to_string().into(),
    }
}

/// PTYPE_TAG_*: what a sender may add to the type.
const TYPE_MASK: i64 = 0xff;

/// The message type at `index`.
unsafe fn message_type(state: *mut lua_State, index: c_int) -> MessageType {
    // SAFETY: the check may raise; nothing is owned.
    unsafe { MessageType((ffi::luaL_checkinteger(state, index) & TYPE_MASK) as u8) }
}

/// The common part of `send` and `redirect`: session at `index`, message behind it.
unsafe fn send_at(state: *mut lua_State, source: Option<Handle>, kind: MessageType, index: c_int) -> Outcome {
    // SAFETY: nothing raises once the body is taken. Stack: at most one result.
    unsafe {
        let vm = Vm::of(state);
        let asked = if ffi::lua_isnoneornil(state, index) != 0 {
            None
        } else {
            Some(ffi::luaL_checkinteger(state, index) as i32)
        };
        let body = take_body(vm, state, index + 1)?;
        let to = destination(state, 1)?;
        let session = asked.unwrap_or_else(|| (*vm).new_session());
        let sent = send_body(&mut *vm, &to, source, kind, session, body);
        Ok(push_sent(state, sent, session))
    }
}

native! {
    /// `send(addr, type, session, msg [, sz]) -> session | false | nothing`
    fn send(state) {
        // SAFETY: see `send_at`.
        unsafe {
            let kind = message_type(state, 2);
            send_at(state, None, kind, 3)
        }
    }
}

native! {
    /// `redirect(addr, source, type, session, msg [, sz]) -> session | false | nothing`: source 0 is the service itself.
    fn redirect(state) {
        // SAFETY: see `send_at`.
        unsafe {
            let source = Handle::from_bits(ffi::luaL_checkinteger(state, 2) as u32);
            let kind = message_type(state, 3);
            if ffi::lua_isnil(state, 4) == 0 {
                ffi::luaL_checkinteger(state, 4);
            }
            send_at(state, (!source.is_system()).then_some(source), kind, 4)
        }
    }
}

/// Runs the command named at index 1 with the parameter at index 2.
unsafe fn run_command(state: *mut lua_State) -> Option<Vec<u8>> {
    // SAFETY: argument checks come first; strings are copied.
    unsafe {
        ffi::luaL_checklstring(state, 1, ptr::null_mut());
        let integer = ffi::lua_isinteger(state, 2) != 0;
        if !integer && ffi::lua_isnoneornil(state, 2) == 0 {
            ffi::luaL_checklstring(state, 2, ptr::null_mut());
        }
        let name = stack::text_at(state, 1)?;
        let context = &(*Vm::of(state)).context;
        if integer {
            let number = ffi::lua_tointegerx(state, 2, ptr::null_mut()).to_string();
            context.command_bytes(&name, number.as_bytes())
        } else {
            context.command_bytes(&name, stack::bytes_at(state, 2).unwrap_or_default())
        }
    }
}

native! {
    /// `command(cmd [, param]) -> string | nothing`
    fn command(state) {
        // SAFETY: the text moves into the service's memory before it is pushed. Stack: at most one result.
        unsafe {
            match run_command(state) {
                Some(text) => {
                    stack::push_text(state, text);
                    Ok(1)
                }
                None => Ok(0),
            }
        }
    }
}

native! {
    /// `intcommand(cmd [, param]) -> number | nothing`
    fn intcommand(state) {
        // SAFETY: pushes a number. Stack: at most one result.
        unsafe {
            let Some(text) = run_command(state) else { return Ok(0) };
            let text = String::from_utf8_lossy(&text);
            if text.is_empty() {
                ffi::lua_pushinteger(state, 0);
            } else if let Ok(integer) = text.parse::<i64>() {
                ffi::lua_pushinteger(state, integer);
            } else if let Ok(number) = text.parse::<f64>() {
                ffi::lua_pushnumber(state, number);
            } else {
                return Err(format!("Invalid result {text}").into());
            }
            Ok(1)
        }
    }
}

native! {
    /// `addresscommand(cmd [, param]) -> integer | nothing`
    fn addresscommand(state) {
        // SAFETY: pushes an integer. Stack: at most one result.
        unsafe {
            let Some(text) = run_command(state) else { return Ok(0) };
            let Some(handle) = Handle::parse(text) else { return Ok(0) };
            ffi::lua_pushinteger(state, handle.bits().into());
            Ok(1)
        }
    }
}

native! {
    /// `error(...)`: one log line.
    fn error(state) {
        // SAFETY: values become strings on the Lua stack, where a raise loses nothing. Stack: unchanged.
        unsafe {
            let values = ffi::lua_gettop(state);
            if values == 0 {
                (*Vm::of(state)).context.log("nil");
                return Ok(0);
            }
            for index in 1..=values {
                ffi::luaL_tolstring(state, index, ptr::null_mut());
                ffi::lua_replace(state, index);
            }
            let mut line = Vec::new();
            for index in 1..=values {
                if index > 1 {
                    line.push(b' ');
                }
                line.extend_from_slice(stack::bytes_at(state, index).unwrap_or_default());
            }
            (*Vm::of(state)).context.log(line);
            Ok(0)
        }
    }
}

native! {
    /// `harbor(handle) -> id, remote`
    fn harbor(state) {
        // SAFETY: pushes two values.
        unsafe {
            let handle = Handle::from_bits(ffi::luaL_checkinteger(state, 1) as u32);
            let remote = (*Vm::of(state)).context.is_remote(handle);
            ffi::lua_pushinteger(state, handle.harbor().into());
            ffi::lua_pushboolean(state, remote.into());
            Ok(2)
        }
    }
}

/// Runs `read` on the bytes named by (msg, sz) at indexes 1 and 2: a string, or a block that this service owns.
///
/// # Safety
/// `read` may raise: it owns nothing then.
unsafe fn with_bytes(state: *mut lua_State, read: impl FnOnce(&[u8]) -> Outcome) -> Outcome {
    // SAFETY: the block stays this service's while `read` runs: only natives of this thread could take it, and they find
    // it in `reading`. Nothing is owned here when `read` raises.
    unsafe {
        match raw::argument(state, 1).kind() {
            ffi::LUA_TNIL => read(&[]),
            ffi::LUA_TSTRING => read(stack::bytes_at(state, 1).unwrap_or_default()),
            ffi::LUA_TLIGHTUSERDATA => with_block(state, 1, read),
            _ => Err(format!("invalid param {}", stack::type_name(state, 1)).into()),
        }
    }
}

/// Runs `read` on the bytes of the block whose pointer is at `index`, with its size behind it; this service owns it.
///
/// # Safety
/// `read` may raise: it owns nothing then.
pub(crate) unsafe fn with_block(
    state: *mut lua_State,
    index: c_int,
    read: impl FnOnce(&[u8]) -> Outcome,
) -> Outcome {
    // SAFETY: as for `with_bytes`.
    unsafe {
        let light = raw::argument(state, index).as_light();
        let data = light.unwrap_or_else(|| ffi::lua_touserdata(state, index));
        let data = data.cast::<u8>().cast_const();
        let len = raw::argument(state, index + 1).as_integer();
        let len = len.unwrap_or_else(|| ffi::luaL_checkinteger(state, index + 1));
        if data.is_null() {
            return if len == 0 {
                read(&[])
            } else {
                Err("deserialize null pointer".into())
            };
        }
        let vm = Vm::of(state);
        let held = (*vm).script_len(data).map_err(|error| error.to_string())?;
        let len = usize::try_from(len).unwrap_or(0).min(held);
        (*vm).reading.begin(data);
        let outcome = read(std::slice::from_raw_parts(data, len));
        (*vm).reading.end();
        outcome
    }
}

native! {
    /// `tostring(msg, sz) -> string | nothing`: nothing for nil. An empty message is a null pointer, and an empty string.
    fn tostring(state) {
        // SAFETY: the bytes belong to a block or a string. Stack: one result.
        unsafe {
            if ffi::lua_isnoneornil(state, 1) != 0 {
                return Ok(0);
            }
            with_bytes(state, |bytes| {
                stack::push_bytes(state, bytes);
                Ok(1)
            })
        }
    }
}

native! {
    /// `pack(...) -> msg, sz`
    pub(crate) fn pack_native(state) {
        // SAFETY: the packer lives in the service's memory; packing may raise with nothing owned here. Stack: two results.
        unsafe {
            let vm = Vm::of(state);
            let values = raw::count(state);
            stack::make_room(state)?;
            let packer = &raw const (*vm).packer;
            (*packer).pack(state, 1, values, Attach::No).map_err(pack_failure)?;
            if (*packer).bytes().is_empty() {
                raw::push(state, raw::Value::light(ptr::null_mut()));
                raw::push(state, raw::Value::integer(0));
                return Ok(2);
            }
            let block = (*packer).to_block((*vm).context.handle().bits()).map_err(|error| error.to_string())?;
            let (data, len) = (*vm).lend(block);
            raw::push(state, raw::Value::light(data.cast_mut().cast()));
            raw::push(state, raw::Value::integer(len as ffi::lua_Integer));
            Ok(2)
        }
    }
}

native! {
    /// `packstring(...) -> string`
    fn packstring(state) {
        // SAFETY: the bytes stay in the packer while Lua copies them. Stack: one result.
        unsafe {
            let vm = Vm::of(state);
            let values = ffi::lua_gettop(state);
            stack::make_room(state)?;
            let packer = &raw const (*vm).packer;
            (*packer).pack(state, 1, values, Attach::No).map_err(pack_failure)?;
            stack::push_bytes(state, (*packer).bytes());
            Ok(1)
        }
    }
}

native! {
    /// `unpack(msg, sz | string) -> ...`
    pub(crate) fn unpack_native(state) {
        // SAFETY: unpacking may raise with nothing owned here. Stack: the values above the arguments.
        unsafe {
            let before = raw::count(state);
            with_bytes(state, |bytes| {
                let vm = Vm::of(state);
                let strings = &raw const *(*vm).strings;
                seri::unpack(state, bytes, None, &*strings, (*vm).recent_strings()).map_err(|error| error.to_string())?;
                Ok(raw::count(state) - before)
            })
        }
    }
}

native! {
    /// `trash(msg, sz)`
    fn trash(state) {
        // SAFETY: no Lua code runs once the block is taken.
        unsafe {
            let message = raw::argument(state, 1);
            if let Some(data) = message.as_light() {
                ffi::luaL_checkinteger(state, 2);
                if !data.is_null() {
                    (*Vm::of(state)).reclaim(data.cast()).map_err(|error| error.to_string())?;
                }
                return Ok(0);
            }
            match message.kind() {
                ffi::LUA_TSTRING => Ok(0),
                _ => Err(format!("skynet.trash invalid param {}", stack::type_name(state, 1)).into()),
            }
        }
    }
}

native! {
    /// `now() -> integer`: hundredths of a second since the node started.
    fn now(state) {
        // SAFETY: pushes an integer.
        unsafe {
            ffi::lua_pushinteger(state, (*Vm::of(state)).context.now_cs() as ffi::lua_Integer);
            Ok(1)
        }
    }
}

native! {
    /// `hpc() -> integer`: monotonic nanoseconds.
    fn hpc(state) {
        // SAFETY: pushes an integer.
        unsafe {
            ffi::lua_pushinteger(state, (*Vm::of(state)).context.engine().hpc_ns() as ffi::lua_Integer);
            Ok(1)
        }
    }
}

native! {
    /// `self() -> integer`: this service's handle.
    fn self_(state) {
        // SAFETY: pushes an integer.
        unsafe {
            ffi::lua_pushinteger(state, (*Vm::of(state)).context.handle().bits().into());
            Ok(1)
        }
    }
}

native! {
    /// `memlimit(bytes)`: takes effect when the main chunk has ended.
    fn memlimit(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let bytes = ffi::luaL_checkinteger(state, 1);
            (*Vm::of(state)).asked_limit = Some(usize::try_from(bytes).unwrap_or(0));
            Ok(0)
        }
    }
}
