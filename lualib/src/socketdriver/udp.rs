//! Datagrams.

use fulmar_engine::unpack_address;
use mlua::ffi;

use super::outgoing::data_at;
use super::{check_text, host_port, id_at, sockets};
use crate::stack::{self, native};
use crate::vm::Vm;

native! {
    /// `udp([host, port]) -> id`
    pub(super) fn udp(state) {
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
    pub(super) fn udp_listen(state) {
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
    pub(super) fn udp_dial(state) {
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
    pub(super) fn udp_connect(state) {
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
    pub(super) fn udp_send(state) {
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
    pub(super) fn udp_address(state) {
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
