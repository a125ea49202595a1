//! `skynet.stm.core`: boxes of crate `fulmar-stm` whose values are bytes, as Lua code sees them.
//!
//! A box's values are frozen blocks of the arena. A reader's function gets a pointer into the block that all readers share (`shown`);
//! what goes from service to service is a ticket (`tickets`).

mod boxes;
mod shown;
mod tickets;
mod watch;

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::Arc;

use fulmar_arena::Buf;
use fulmar_engine::Body;
use fulmar_stm::{Reader, Writer};
use mlua::ffi::{self, lua_State};

use self::watch::Watch;
use crate::stack::{self, Failure, native};
use crate::tasks;
use crate::vm::Vm;

pub(crate) use self::shown::Shown;
pub(crate) use self::tickets::Tickets;

/// What the module `skynet.stm` holds. They are not in this module itself, or errors would call them by its name.
const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[(c"new", new), (c"copy", copy), (c"newcopy", newcopy)];

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"watch", watch), (c"unread", unread)];

/// Opens the module. Besides the functions it holds `public`, the table of `skynet.stm`, and `methods`, by which readers are indexed.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int + 2);
        stack::register(state, FUNCTIONS);
        ffi::lua_createtable(state, 0, PUBLIC.len() as c_int);
        stack::register(state, PUBLIC);
        ffi::lua_setfield(state, -2, c"public".as_ptr());
        boxes::push_metatable::<Reader>(state);
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_pushvalue(state, -1);
        ffi::lua_setfield(state, -3, c"__index".as_ptr());
        ffi::lua_setfield(state, -3, c"methods".as_ptr());
        ffi::lua_pop(state, 1);
        1
    }
}

/// The node's tickets.
unsafe fn tickets<'a>(state: *mut lua_State) -> &'a Tickets {
    // SAFETY: the node outlives every state of it.
    unsafe { &(*Arc::as_ptr(&(*Vm::of(state)).node)).tickets }
}

/// The value at `index`: a block and its size, which is taken over, or a string, which is copied.
unsafe fn value(state: *mut lua_State, index: c_int) -> Result<Buf, Failure> {
    // SAFETY: the string stays on the stack while it is copied, and nothing is owned when its check raises.
    unsafe {
        let vm = Vm::of(state);
        if ffi::lua_type(state, index) == ffi::LUA_TLIGHTUSERDATA {
            if let Body::Block(block) = tasks::take_body(vm, state, index)? {
                return Ok(block.freeze());
            }
            let empty = (*vm).context.loan(0).map_err(|error| error.to_string())?;
            return Ok(empty.freeze());
        }
        let bytes = stack::check_bytes(state, index);
        let mut block = (*vm)
            .context
            .loan(bytes.len())
            .map_err(|error| error.to_string())?;
        block.copy_from_slice(bytes);
        Ok(block.freeze())
    }
}

native! {
    /// `new(msg, sz | string) -> writer`
    fn new(state) {
        // SAFETY: the userdata is made, and an argument that is no string refused, before anything is owned. Stack: one result.
        unsafe {
            if ffi::lua_type(state, 1) != ffi::LUA_TLIGHTUSERDATA {
                stack::check_bytes(state, 1);
            }
            ffi::lua_settop(state, 2);
            let place = boxes::push_empty::<Writer>(state);
            *place = Some(Writer::new(value(state, 1)?));
            Ok(1)
        }
    }
}

native! {
    /// `writer(msg, sz | string)`: the new value.
    fn commit(state) {
        // SAFETY: the userdata stays at index 1. No Lua code runs once the value is taken. Stack: unchanged.
        unsafe {
            let place = boxes::itself::<Writer>(state)?;
            let value = value(state, 2)?;
            let Some(writer) = &*place else { return Err(GONE.into()) };
            writer.commit(value);
            Ok(0)
        }
    }
}

native! {
    /// `copy(writer) -> ticket`
    fn copy(state) {
        // SAFETY: a light userdata needs no memory. Stack: one result.
        unsafe {
            let Some(writer) = &*boxes::argument::<Writer>(state, 1)? else { return Err(GONE.into()) };
            let ticket = tickets(state).add(writer.downgrade());
            ffi::lua_pushlightuserdata(state, ptr::without_provenance_mut(ticket));
            Ok(1)
        }
    }
}

native! {
    /// `newcopy(ticket) -> reader`
    fn newcopy(state) {
        // SAFETY: the userdata is made before the ticket is taken. Stack: one result.
        unsafe {
            ffi::lua_settop(state, 1);
            if ffi::lua_type(state, 1) != ffi::LUA_TLIGHTUSERDATA {
                let found = stack::type_name(state, 1);
                return Err(format!("bad argument #1 to 'skynet.stm.newcopy' (stm object expected, got {found})").into());
            }
            let place = boxes::push_empty::<Reader>(state);
            let Some(writer) = tickets(state).take(ffi::lua_touserdata(state, 1).addr()) else {
                return Err("Invalid stm object: it is none, or somebody has taken it already".into());
            };
            // Without its writer the reader stays empty: it never has anything.
            *place = writer.upgrade().map(|writer| writer.copy());
            Ok(1)
        }
    }
}

/// Whether a reader has something to read: not after the writer is gone.
fn has_unread(reader: Option<&Reader>) -> bool {
    reader.is_some_and(|reader| reader.has_new() && !reader.is_closed())
}

native! {
    /// `reader(func [, ud]) -> false | true, ...`
    fn read(state) {
        // SAFETY: the value stands in `shown` while the function runs, which may raise; nothing is owned here then. Stack:
        // true and what the function returns, in the place of the arguments.
        unsafe {
            let place = boxes::itself::<Reader>(state)?;
            ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
            let unread = match &mut *place {
                Some(reader) if has_unread(Some(reader)) => reader.update(),
                _ => None,
            };
            let Some(snapshot) = unread else {
                ffi::lua_pushboolean(state, 0);
                return Ok(1);
            };
            let vm = Vm::of(state);
            let (data, len, shown) = (*vm).shown.begin(Buf::clone(snapshot));
            ffi::lua_settop(state, 3);
            ffi::lua_pushboolean(state, 1);
            ffi::lua_replace(state, 1);
            ffi::lua_pushlightuserdata(state, data.cast_mut().cast());
            ffi::lua_pushinteger(state, len as ffi::lua_Integer);
            ffi::lua_rotate(state, 3, -1);
            ffi::lua_callk(state, 3, ffi::LUA_MULTRET, 0, None);
            (*vm).shown.end(shown);
            Ok(ffi::lua_gettop(state))
        }
    }
}

native! {
    /// `unread(reader) -> boolean`
    fn unread(state) {
        // SAFETY: pushes a boolean.
        unsafe {
            let unread = has_unread((*boxes::argument::<Reader>(state, 1)?).as_ref());
            ffi::lua_pushboolean(state, unread.into());
            Ok(1)
        }
    }
}

native! {
    /// `watch(reader, func) -> watch | nothing`: runs `func` in a task when there is something to read or the writer is gone, if
    /// that is not so already, unless the watch is closed before.
    fn watch(state) {
        // SAFETY: everything that may raise comes before anything is owned. Stack: at most one result.
        unsafe {
            ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
            ffi::lua_settop(state, 2);
            let Some(reader) = &*boxes::argument::<Reader>(state, 1)? else { return Ok(0) };
            let reader: *const Reader = reader;
            let place = boxes::push_empty::<Watch>(state);
            ffi::lua_pushvalue(state, 2);
            let (session, notice) = tasks::expect_notice(state)?;
            *place = Watch::begin(Vm::of(state), (*reader).clone(), session, notice);
            Ok((*place).is_some().into())
        }
    }
}

const GONE: &str = "this stm object has been collected";
