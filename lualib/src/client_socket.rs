//! `client.socket`: connections that block, for scripts that have nothing else to do meanwhile. Services use `skynet.socket`.

use std::collections::HashMap;
use std::ffi::{CStr, c_int};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use mlua::ffi::{self, lua_State};

use crate::boxed::{self, Boxed};
use crate::stack::{self, Failure, check_bytes, native};
use crate::vm::Vm;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"connect", connect),
    (c"recv", recv),
    (c"send", send),
    (c"shutdown", shutdown),
    (c"close", close),
    (c"usleep", usleep),
    (c"readstdin", readstdin),
];

/// Opens the module. Its functions share a [`Connections`] as their upvalue.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        boxed::push::<Connections>(state);
        for (name, function) in FUNCTIONS {
            ffi::lua_pushvalue(state, -1);
            ffi::lua_pushcclosure(state, *function, 1);
            ffi::lua_setfield(state, -3, name.as_ptr());
        }
        ffi::lua_pop(state, 1);
        1
    }
}

/// The connections of a state, by numbers of our own: Lua code reaches no descriptor of anybody else.
#[derive(Default)]
struct Connections {
    open: HashMap<i64, TcpStream>,
    last: i64,
    /// Lines of the standard input, once they have been asked for.
    input: Option<Receiver<String>>,
}

impl Boxed for Connections {
    const METATABLE: &'static CStr = c"fulmar.client.socket";
}

/// The state's connections. Used before Lua runs again.
unsafe fn connections<'a>(state: *mut lua_State) -> Result<&'a mut Connections, Failure> {
    // SAFETY: the upvalue lives as long as the function that runs. Stack: unchanged.
    unsafe {
        let all = boxed::at::<Connections>(state, ffi::lua_upvalueindex(1));
        all.map(|all| &mut *all)
            .ok_or_else(|| "client.socket is closed".into())
    }
}

/// The connection that the first argument names.
unsafe fn connection<'a>(state: *mut lua_State) -> Result<&'a mut TcpStream, Failure> {
    // SAFETY: the check may raise; nothing is owned.
    unsafe {
        let id = ffi::luaL_checkinteger(state, 1);
        let all = connections(state)?;
        all.open
            .get_mut(&id)
            .ok_or_else(|| format!("No connection {id}").into())
    }
}

native! {
    /// `connect(ip, port) -> fd`
    fn connect(state) {
        // SAFETY: checks come first. Pushes an integer.
        unsafe {
            check_bytes(state, 1);
            let port = ffi::luaL_checkinteger(state, 2);
            let host = stack::text_at(state, 1).unwrap_or_default();
            let stream = u16::try_from(port)
                .ok()
                .and_then(|port| TcpStream::connect((&*host, port)).ok())
                .ok_or_else(|| format!("Connect {host} {port} failed"))?;
            drop(host);
            let all = connections(state)?;
            all.last += 1;
            all.open.insert(all.last, stream);
            ffi::lua_pushinteger(state, all.last);
            Ok(1)
        }
    }
}

native! {
    /// `recv(fd) -> string | nil`: nil when nothing has come yet, "" when the peer sends no more.
    fn recv(state) {
        // SAFETY: bytes are on our own stack when they are pushed. Stack: one result.
        unsafe {
            let stream = connection(state)?;
            let mut bytes = [0; RECV_BYTES];
            let read = stream.set_nonblocking(true).and_then(|()| stream.read(&mut bytes));
            let read = stream.set_nonblocking(false).and(read);
            match read {
                Ok(len) => stack::push_bytes(state, &bytes[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => ffi::lua_pushnil(state),
                Err(error) => return Err(format!("socket error: {error}").into()),
            }
            Ok(1)
        }
    }
}

native! {
    /// `send(fd, data)`: returns when the system has taken all of it.
    fn send(state) {
        // SAFETY: the string stays on the stack.
        unsafe {
            let bytes = check_bytes(state, 2);
            let sent = connection(state)?.write_all(bytes);
            sent.map_err(|error| format!("socket error: {error}"))?;
            Ok(0)
        }
    }
}

native! {
    /// `shutdown(fd, how)`: "r", "w" or both letters.
    fn shutdown(state) {
        // SAFETY: the string stays on the stack.
        unsafe {
            let letters = check_bytes(state, 2);
            let how = match (letters.contains(&b'r'), letters.contains(&b'w')) {
                (true, true) => Shutdown::Both,
                (true, false) => Shutdown::Read,
                (false, true) => Shutdown::Write,
                (false, false) => return Err(format!("Invalid mode {}", String::from_utf8_lossy(letters)).into()),
            };
            // A peer that has gone has shut it down already.
            let _ = connection(state)?.shutdown(how);
            Ok(0)
        }
    }
}

native! {
    /// `close(fd)`
    fn close(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let id = ffi::luaL_checkinteger(state, 1);
            connections(state)?.open.remove(&id);
            Ok(0)
        }
    }
}

native! {
    /// `usleep(us)`: blocks the worker.
    fn usleep(state) {
        // SAFETY: the check may raise; nothing is owned.
        unsafe {
            let us = ffi::luaL_checkinteger(state, 1);
            thread::sleep(Duration::from_micros(us.try_into().unwrap_or(0)));
            Ok(0)
        }
    }
}

native! {
    /// `readstdin() -> line | nil`: nil when there is no whole line yet. At the end of the input the node ends.
    fn readstdin(state) {
        // SAFETY: the line moves into the service's memory. Stack: one result.
        unsafe {
            let input = &mut connections(state)?.input;
            match input.get_or_insert_with(read_lines).try_recv() {
                Ok(line) => stack::push_text(state, line),
                Err(TryRecvError::Empty) => ffi::lua_pushnil(state),
                Err(TryRecvError::Disconnected) => {
                    (*Vm::of(state)).context.engine().abort();
                    ffi::lua_pushnil(state);
                }
            }
            Ok(1)
        }
    }
}

/// Reads the standard input on a thread of its own, a few lines ahead.
fn read_lines() -> Receiver<String> {
    let (lines, receiver) = mpsc::sync_channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

const RECV_BYTES: usize = 16 * 1024;
const LINES_AHEAD: usize = 16;
