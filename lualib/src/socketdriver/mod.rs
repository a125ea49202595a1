//! `skynet.socketdriver`: the engine's sockets as Lua sees them, without waiting. Results come as messages of type SOCKET,
//! which `unpack` opens.

mod message;
mod outgoing;
mod udp;

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::{ListenOptions, SocketKind, SocketOptions, Sockets};
use mlua::ffi::{self, lua_State};

use crate::read_buffer;
use crate::socket_options;
use crate::stack::{self, Failure, native};
use crate::vm::Vm;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"unpack", message::unpack),
    (c"drop", message::drop_),
    (c"str2p", message::str2p),
    (c"header", message::header),
    (c"info", info),
    (c"connect", connect),
    (c"listen", listen),
    (c"start", start),
    (c"pause", pause),
    (c"close", close),
    (c"shutdown", shutdown),
    (c"bind", bind),
    (c"nodelay", nodelay),
    (c"send", outgoing::send),
    (c"lsend", outgoing::lsend),
    (c"udp", udp::udp),
    (c"udp_connect", udp::udp_connect),
    (c"udp_dial", udp::udp_dial),
    (c"udp_listen", udp::udp_listen),
    (c"udp_send", udp::udp_send),
    (c"udp_address", udp::udp_address),
    (c"resolve", resolve),
    (c"broadcast", outgoing::broadcast),
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
