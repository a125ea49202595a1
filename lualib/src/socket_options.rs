//! Options of sockets as Lua tables, whose fields have the names that the engine's have: read, and shown. Called by
//! `skynet.socketdriver`.

use std::ffi::{CStr, c_int};

use fulmar_engine::{FramePrefix, Framing, ListenOptions, SocketOptions};
use mlua::ffi::{self, lua_State};

use crate::stack::{self, Failure};

/// Changes `options` by the table at `index`.
///
/// # Safety
/// As for a native: may raise, nothing with a destructor is alive. Two free slots.
pub(crate) unsafe fn read(
    state: *mut lua_State,
    index: c_int,
    options: &mut SocketOptions,
) -> Result<(), Failure> {
    // SAFETY: by the caller.
    unsafe { read_table(state, index, options, |_| Ok(false)) }
}

/// Changes `options` by the table at `index`: what it says of connections is for those that are accepted.
///
/// # Safety
/// As for [`read`].
pub(crate) unsafe fn read_listen(
    state: *mut lua_State,
    index: c_int,
    options: &mut ListenOptions,
) -> Result<(), Failure> {
    let mut accepted = options.accepted;
    // SAFETY: by the caller.
    unsafe {
        read_table(state, index, &mut accepted, |name| {
            match name {
                "backlog" => options.backlog = i32::try_from(number(state, name)?).unwrap_or(i32::MAX),
                "reuse_port" => options.reuse_port = flag(state, name)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
    }
    options.accepted = accepted;
    Ok(())
}

/// Reads each field; `others` takes those that every socket does not have, and says whether it knows one.
unsafe fn read_table(
    state: *mut lua_State,
    index: c_int,
    options: &mut SocketOptions,
    mut others: impl FnMut(&str) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    // SAFETY: raw reads; the check comes first. Stack: a key and its value, which stay behind only with a failure.
    unsafe {
        ffi::luaL_checktype(state, index, ffi::LUA_TTABLE);
        let mut frame = options.framing.map(|framing| framing.prefix);
        let mut limit_bytes = options.framing.map(|framing| framing.limit_bytes);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, index) != 0 {
            let name = stack::bytes_at(state, -2).and_then(|name| std::str::from_utf8(name).ok());
            let Some(name) = name else {
                return Err("Invalid socket option".into());
            };
            match name {
                "nodelay" => options.nodelay = flag(state, name)?,
                "keepalive" => options.keepalive = flag(state, name)?,
                "queued_bytes" => options.queued_bytes = number(state, name)?,
                "idle_cs" => options.idle_cs = centiseconds(state, name)?,
                "linger_cs" => options.linger_cs = centiseconds(state, name)?,
                "frame" => frame = prefix(state, name)?,
                "limit_bytes" => limit_bytes = Some(number(state, name)?),
                _ if others(name)? => {}
                _ => return Err(format!("Invalid socket option {name}").into()),
            }
            ffi::lua_pop(state, 1);
        }
        options.framing = frame.map(|prefix| Framing {
            prefix,
            limit_bytes: limit_bytes.unwrap_or(prefix.most_bytes().min(LONGEST_BYTES)),
        });
        Ok(())
    }
}

/// The value on top of the stack.
unsafe fn flag(state: *mut lua_State, name: &str) -> Result<bool, Failure> {
    // SAFETY: raw reads. Stack: unchanged.
    unsafe {
        match ffi::lua_type(state, -1) {
            ffi::LUA_TBOOLEAN => Ok(ffi::lua_toboolean(state, -1) != 0),
            _ => Err(invalid(name)),
        }
    }
}

unsafe fn number(state: *mut lua_State, name: &str) -> Result<usize, Failure> {
    let mut is_integer = 0;
    // SAFETY: does not raise. Stack: unchanged.
    let number = unsafe { ffi::lua_tointegerx(state, -1, &mut is_integer) };
    usize::try_from(number)
        .ok()
        .filter(|_| is_integer != 0)
        .ok_or_else(|| invalid(name))
}

unsafe fn centiseconds(state: *mut lua_State, name: &str) -> Result<u32, Failure> {
    // SAFETY: see `number`.
    u32::try_from(unsafe { number(state, name) }?).map_err(|_| invalid(name))
}

/// What `string.pack` calls such a string; false for none.
unsafe fn prefix(state: *mut lua_State, name: &str) -> Result<Option<FramePrefix>, Failure> {
    // SAFETY: raw reads. Stack: unchanged.
    unsafe {
        if ffi::lua_type(state, -1) == ffi::LUA_TBOOLEAN && ffi::lua_toboolean(state, -1) == 0 {
            return Ok(None);
        }
        let format = stack::bytes_at(state, -1).ok_or_else(|| invalid(name))?;
        let found = FORMATS.iter().find(|(known, _)| known.to_bytes() == format);
        found
            .map(|(_, prefix)| Some(*prefix))
            .ok_or_else(|| invalid(name))
    }
}

fn invalid(name: &str) -> Failure {
    format!("Invalid socket option {name}").into()
}

/// Pushes a table of the options.
///
/// # Safety
/// As for [`read`].
pub(crate) unsafe fn push(state: *mut lua_State, options: &SocketOptions) {
    // SAFETY: nothing is owned. Stack: a table more.
    unsafe {
        ffi::lua_createtable(state, 0, 7);
        let flag = |name: &CStr, value: bool| {
            ffi::lua_pushboolean(state, value.into());
            ffi::lua_setfield(state, -2, name.as_ptr());
        };
        let number = |name: &CStr, value: usize| {
            ffi::lua_pushinteger(state, value as ffi::lua_Integer);
            ffi::lua_setfield(state, -2, name.as_ptr());
        };
        flag(c"nodelay", options.nodelay);
        flag(c"keepalive", options.keepalive);
        number(c"queued_bytes", options.queued_bytes);
        number(c"idle_cs", options.idle_cs as usize);
        number(c"linger_cs", options.linger_cs as usize);
        if let Some(framing) = options.framing
            && let Some((format, _)) = FORMATS.iter().find(|(_, prefix)| *prefix == framing.prefix)
        {
            ffi::lua_pushstring(state, format.as_ptr());
            ffi::lua_setfield(state, -2, c"frame".as_ptr());
            number(c"limit_bytes", framing.limit_bytes);
        }
    }
}

/// Prefixes by the format of `string.pack` that writes such a frame.
const FORMATS: [(&CStr, FramePrefix); 5] = [
    (c"s1", FramePrefix::U8),
    (c">s2", FramePrefix::U16Be),
    (c"<s2", FramePrefix::U16Le),
    (c">s4", FramePrefix::U32Be),
    (c"<s4", FramePrefix::U32Le),
];

/// The longest frame that is taken when nothing is said: what the gate takes.
const LONGEST_BYTES: usize = (16 << 20) - 1;
