//! `skynet.socketdriver`: the engine's sockets as Lua sees them, without waiting. Results come as messages of type SOCKET,
//! which `unpack` opens.

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_arena::Buf;
use fulmar_engine::{
    Body, Event, EventKind, ListenOptions, SocketKind, SocketOptions, Sockets, unpack_address,
};
use mlua::ffi::{self, lua_State};

use crate::core;
use crate::read_buffer;
use crate::seri::ATTACH_MIN_BYTES;
use crate::socket_options;
use crate::stack::{self, Failure, native};
use crate::tasks::take_body;
use crate::vm::Vm;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"unpack", unpack),
    (c"drop", drop_),
    (c"str2p", str2p),
    (c"header", header),
    (c"info", info),
    (c"connect", connect),
    (c"listen", listen),
    (c"start", start),
    (c"pause", pause),
    (c"close", close),
    (c"shutdown", shutdown),
    (c"bind", bind),
    (c"nodelay", nodelay),
    (c"send", send),
    (c"lsend", lsend),
    (c"udp", udp),
    (c"udp_connect", udp_connect),
    (c"udp_dial", udp_dial),
    (c"udp_listen", udp_listen),
    (c"udp_send", udp_send),
    (c"udp_address", udp_address),
    (c"resolve", resolve),
    (c"broadcast", broadcast),
    (c"options", options),
    (c"configure", configure),
];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(
            state,
            0,
            (FUNCTIONS.len() + read_buffer::FUNCTIONS.len()) as c_int,
        );
        stack::register(state, FUNCTIONS);
        stack::register(state, read_buffer::FUNCTIONS);
        1
    }
}

/// The sockets of the node. The reference is used before Lua runs again.
unsafe fn sockets<'a>(state: *mut lua_State) -> &'a Sockets {
    // SAFETY: the context lives as long as the service, which is on its turn.
    unsafe { (*Vm::of(state)).context.engine().sockets() }
}

/// The id at `index`; one that no socket has when it is out of range.
unsafe fn id_at(state: *mut lua_State, index: c_int) -> i32 {
    // SAFETY: the check may raise; nothing is owned.
    unsafe { i32::try_from(ffi::luaL_checkinteger(state, index)).unwrap_or(0) }
}

/// Checks the argument at `index` to be a string.
unsafe fn check_text(state: *mut lua_State, index: c_int) {
    // SAFETY: the check may raise; nothing is owned.
    unsafe { ffi::luaL_checklstring(state, index, ptr::null_mut()) };
}

/// Host at `index` and port behind it; without a port the host is `host:port` or `[v6]:port`.
unsafe fn host_port(state: *mut lua_State, index: c_int) -> Result<(String, u16), Failure> {
    // SAFETY: checks come before anything is owned. Stack: unchanged.
    unsafe {
        check_text(state, index);
        let given = ffi::lua_isnoneornil(state, index + 1) == 0;
        let port = if given {
            ffi::luaL_checkinteger(state, index + 1)
        } else {
            0
        };
        let address = stack::text_at(state, index).unwrap_or_default();
        if given {
            return match u16::try_from(port) {
                Ok(port) => Ok((address, port)),
                Err(_) => Err("Invalid port".into()),
            };
        }
        if address.starts_with("unix:") {
            return Ok((address, 0));
        }
        let split = match address.strip_prefix('[') {
            Some(rest) => rest.split_once("]:"),
            None => address.split_once(':'),
        };
        let Some((host, port)) = split else {
            return Err(format!("Invalid address {address}.").into());
        };
        match port.parse() {
            Ok(port) if port != 0 => Ok((host.to_owned(), port)),
            _ => Err(format!("Invalid port in address {address}.").into()),
        }
    }
}

native! {
    /// `unpack(msg, sz) -> type, id, ud, data [, udp_address]`: data is the message's own block, cut off behind the data and given to
    /// the script for good.
    pub(crate) fn unpack(state) {
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
    fn drop_(state) {
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
    fn str2p(state) {
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
    fn header(state) {
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

native! {
    /// `info() -> { netstat record, ... }`
    fn info(state) {
        // SAFETY: the figures stand in the service's memory-bounded list only while nothing is raised but memory errors, which
        // lose a list bounded by the number of sockets. Stack: one result.
        unsafe {
            stack::make_room(state)?;
            let all = sockets(state).info();
            ffi::lua_createtable(state, all.len() as c_int, 0);
            for (place, socket) in all.iter().enumerate() {
                ffi::lua_createtable(state, 0, 12);
                let number = |name: &CStr, value: u64| {
                    ffi::lua_pushinteger(state, value as ffi::lua_Integer);
                    ffi::lua_setfield(state, -2, name.as_ptr());
                };
                let text = |name: &CStr, value: &str| {
                    stack::push_bytes(state, value.as_bytes());
                    ffi::lua_setfield(state, -2, name.as_ptr());
                };
                let flag = |name: &CStr, value: bool| {
                    ffi::lua_pushboolean(state, value.into());
                    ffi::lua_setfield(state, -2, name.as_ptr());
                };
                number(c"id", socket.id as u64);
                number(c"address", socket.owner.bits().into());
                number(c"rtime", socket.received_cs);
                text(c"type", match socket.kind {
                    SocketKind::Listen => "LISTEN",
                    SocketKind::Tcp => "TCP",
                    SocketKind::Udp => "UDP",
                    SocketKind::Bind => "BIND",
                    SocketKind::Closing => "CLOSING",
                });
                if socket.kind == SocketKind::Listen {
                    number(c"accept", socket.received);
                    text(c"sock", &socket.name);
                } else {
                    number(c"read", socket.received);
                    number(c"write", socket.sent);
                    number(c"wbuffer", socket.waiting_bytes as u64);
                    number(c"wtime", socket.sent_cs);
                    flag(c"reading", socket.reading);
                    flag(c"writing", socket.writing);
                    if !socket.name.is_empty() {
                        text(c"peer", &socket.name);
                    }
                }
                ffi::lua_rawseti(state, -2, place as ffi::lua_Integer + 1);
            }
            Ok(1)
        }
    }
}

native! {
    /// `connect(addr [, port [, options]]) -> id`
    fn connect(state) {
        // SAFETY: the options come before anything is owned. Pushes an integer.
        unsafe {
            let mut options = SocketOptions::default();
            if ffi::lua_isnoneornil(state, 3) == 0 {
                socket_options::read(state, 3, &mut options)?;
            }
            let (host, port) = host_port(state, 1)?;
            let me = (*Vm::of(state)).context.handle();
            let id = sockets(state).connect(me, &host, port, &options).map_err(|error| error.to_string())?;
            ffi::lua_pushinteger(state, id.into());
            Ok(1)
        }
    }
}

native! {
    /// `listen(host, port [, backlog | options]) -> id`
    fn listen(state) {
        // SAFETY: checks come first. Pushes an integer.
        unsafe {
            check_text(state, 1);
            let port = ffi::luaL_optinteger(state, 2, 0);
            let mut options = ListenOptions::default();
            if ffi::lua_type(state, 3) == ffi::LUA_TTABLE {
                socket_options::read_listen(state, 3, &mut options)?;
            } else {
                let backlog = ffi::luaL_optinteger(state, 3, options.backlog.into());
                options.backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
            }
            let host = stack::text_at(state, 1).unwrap_or_default();
            let me = (*Vm::of(state)).context.handle();
            let Ok(port) = u16::try_from(port) else { return Err("Listen error".into()) };
            let id = sockets(state).listen(me, &host, port, &options).map_err(|_| "Listen error")?;
            ffi::lua_pushinteger(state, id.into());
            Ok(1)
        }
    }
}

native! {
    /// `options(id) -> options | nil`
    fn options(state) {
        // SAFETY: the check may raise; nothing is owned. Stack: one result.
        unsafe {
            match sockets(state).options(id_at(state, 1)) {
                Some(options) => socket_options::push(state, &options),
                None => ffi::lua_pushnil(state),
            }
            Ok(1)
        }
    }
}

native! {
    /// `configure(id, options) -> boolean`: those that are given.
    fn configure(state) {
        // SAFETY: the checks may raise; nothing is owned. Stack: one result.
        unsafe {
            let id = id_at(state, 1);
            let mut options = sockets(state).options(id).unwrap_or_default();
            socket_options::read(state, 2, &mut options)?;
            let done = sockets(state).configure(id, &options);
            ffi::lua_pushboolean(state, done.into());
            Ok(1)
        }
    }
}

native! {
    /// `start(id)`
    fn start(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let id = id_at(state, 1);
            sockets(state).start((*Vm::of(state)).context.handle(), id);
            Ok(0)
        }
    }
}

native! {
    /// `pause(id)`
    fn pause(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let id = id_at(state, 1);
            sockets(state).pause(id);
            Ok(0)
        }
    }
}

native! {
    /// `close(id)`
    fn close(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let id = id_at(state, 1);
            sockets(state).close((*Vm::of(state)).context.handle(), id);
            Ok(0)
        }
    }
}

native! {
    /// `shutdown(id)`
    fn shutdown(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let id = id_at(state, 1);
            sockets(state).shutdown((*Vm::of(state)).context.handle(), id);
            Ok(0)
        }
    }
}

native! {
    /// `bind(fd) -> id`
    fn bind(state) {
        // SAFETY: pushes an integer.
        unsafe {
            let fd = i32::try_from(ffi::luaL_checkinteger(state, 1)).unwrap_or(-1);
            let me = (*Vm::of(state)).context.handle();
            let id = sockets(state).bind(me, fd).map_err(|error| error.to_string())?;
            ffi::lua_pushinteger(state, id.into());
            Ok(1)
        }
    }
}

native! {
    /// `nodelay(id)`
    fn nodelay(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let id = id_at(state, 1);
            sockets(state).nodelay(id);
            Ok(0)
        }
    }
}

/// The data to be sent at `index`: a string, an array that `table.concat` takes, a pointer with its size (ownership passes), or
/// userdata.
unsafe fn data_at(state: *mut lua_State, index: c_int) -> Result<Buf, Failure> {
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
    /// `send(id, data [, sz]) -> boolean`
    fn send(state) {
        // SAFETY: see `send_at`.
        unsafe { send_at(state, false) }
    }
}

native! {
    /// `lsend(id, data [, sz]) -> boolean`
    fn lsend(state) {
        // SAFETY: see `send_at`.
        unsafe { send_at(state, true) }
    }
}

native! {
    /// `broadcast(ids, data [, sz]) -> count`: one copy of the data for all; also for sockets of other services.
    fn broadcast(state) {
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

native! {
    /// `udp([host, port]) -> id`
    fn udp(state) {
        // SAFETY: checks come first. Pushes an integer.
        unsafe {
            if ffi::lua_isnoneornil(state, 1) == 0 {
                check_text(state, 1);
            }
            let port = ffi::luaL_optinteger(state, 2, 0);
            let host = stack::text_at(state, 1).unwrap_or_default();
            let me = (*Vm::of(state)).context.handle();
            let Ok(port) = u16::try_from(port) else { return Err("udp init failed".into()) };
            let id = sockets(state).udp(me, &host, port).map_err(|_| "udp init failed")?;
            ffi::lua_pushinteger(state, id.into());
            Ok(1)
        }
    }
}

native! {
    /// `udp_listen(addr, port) -> id`
    fn udp_listen(state) {
        // SAFETY: pushes an integer.
        unsafe {
            let (host, port) = host_port(state, 1)?;
            let me = (*Vm::of(state)).context.handle();
            let id = sockets(state).udp_listen(me, &host, port).map_err(|_| "udp listen host failed")?;
            ffi::lua_pushinteger(state, id.into());
            Ok(1)
        }
    }
}

native! {
    /// `udp_dial(addr, port) -> id`
    fn udp_dial(state) {
        // SAFETY: pushes an integer.
        unsafe {
            let (host, port) = host_port(state, 1)?;
            let me = (*Vm::of(state)).context.handle();
            let id = sockets(state).udp_dial(me, &host, port).map_err(|_| "udp dial host failed")?;
            ffi::lua_pushinteger(state, id.into());
            Ok(1)
        }
    }
}

native! {
    /// `udp_connect(id, addr, port)`
    fn udp_connect(state) {
        // SAFETY: the checks may raise; nothing is owned.
        unsafe {
            let id = id_at(state, 1);
            let (host, port) = host_port(state, 2)?;
            match sockets(state).udp_connect(id, &host, port) {
                true => Ok(0),
                false => Err("udp connect failed".into()),
            }
        }
    }
}

native! {
    /// `udp_send(id, address, data [, sz]) -> boolean`
    fn udp_send(state) {
        // SAFETY: the checks may raise; nothing is owned then. Stack: one result.
        unsafe {
            let id = id_at(state, 1);
            check_text(state, 2);
            let to = unpack_address(stack::bytes_at(state, 2).unwrap_or_default()).ok_or("Invalid udp address")?;
            let data = data_at(state, 3)?;
            let sent = sockets(state).udp_send(id, to, &data);
            ffi::lua_pushboolean(state, sent.into());
            Ok(1)
        }
    }
}

native! {
    /// `udp_address(address) -> ip, port`
    fn udp_address(state) {
        // SAFETY: the text moves into the service's memory. Stack: two results.
        unsafe {
            check_text(state, 1);
            let address = unpack_address(stack::bytes_at(state, 1).unwrap_or_default()).ok_or("Invalid udp address")?;
            stack::push_text(state, address.ip().to_string());
            ffi::lua_pushinteger(state, address.port().into());
            Ok(2)
        }
    }
}

native! {
    /// `resolve(host) -> { ip, ... }`: blocks the worker.
    fn resolve(state) {
        // SAFETY: a memory error loses a list of a few addresses at most. Stack: one result.
        unsafe {
            check_text(state, 1);
            let found = sockets(state).resolve(&stack::text_at(state, 1).unwrap_or_default())?;
            ffi::lua_createtable(state, found.len() as c_int, 0);
            for (place, ip) in found.iter().enumerate() {
                stack::push_text(state, ip.to_string());
                ffi::lua_rawseti(state, -2, place as ffi::lua_Integer + 1);
            }
            Ok(1)
        }
    }
}
