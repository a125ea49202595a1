//! `skynet.stm.core`: boxes of crate `fulmar-stm` whose values are bytes, as Lua code sees them.
//!
//! A box's values are frozen blocks of the arena. A reader's function gets a pointer into the block that all readers share (`shown`);
//! what goes from service to service is a ticket (`tickets`).

mod shown;
mod tickets;

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_arena::Buf;
use fulmar_engine::Body;
use fulmar_stm::{Reader, Writer};
use mlua::ffi::{self, lua_State};

use crate::boxed::{self, Boxed};
use crate::stack::{self, Failure, Outcome, native};
use crate::vm::Vm;
use crate::watch::Watch;
use crate::{sproto, tasks};

pub(crate) use self::shown::Shown;
pub(crate) use self::tickets::Tickets;

/// What the module `skynet.stm` holds. They are not in this module itself, or errors would call them by its name.
const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[(c"new", new), (c"copy", copy), (c"newcopy", newcopy)];

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"committer", committer),
    (c"updater", updater),
    (c"watch", watch),
    (c"unread", unread),
];

/// Opens the module. Besides the functions it holds `public`, the table of `skynet.stm`, and `methods`, by which readers are indexed.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int + 2);
        stack::register(state, FUNCTIONS);
        ffi::lua_createtable(state, 0, PUBLIC.len() as c_int);
        stack::register(state, PUBLIC);
        ffi::lua_setfield(state, -2, c"public".as_ptr());
        boxed::push_metatable::<Reader>(state);
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_pushvalue(state, -1);
        ffi::lua_setfield(state, -3, c"__index".as_ptr());
        ffi::lua_setfield(state, -3, c"methods".as_ptr());
        ffi::lua_pop(state, 1);
        1
    }
}

impl Boxed for Writer {
    const METATABLE: &'static CStr = c"stm.writer";
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] = &[(c"__call", commit)];
}

impl Boxed for Reader {
    const METATABLE: &'static CStr = c"stm.reader";
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] = &[(c"__call", read)];
}

impl Boxed for Watch<Reader> {
    const METATABLE: &'static CStr = c"stm.watch";
    const METAMETHODS: &'static [(&'static CStr, ffi::lua_CFunction)] =
        &[(c"__close", boxed::collect::<Watch<Reader>>)];
}

unsafe fn writer_argument(state: *mut lua_State) -> Result<*mut Option<Writer>, Failure> {
    // SAFETY: the userdata is on the stack. Stack: unchanged.
    unsafe { boxed::place(state, 1) }.ok_or_else(|| NO_WRITER.into())
}

unsafe fn reader_argument(state: *mut lua_State) -> Result<*mut Option<Reader>, Failure> {
    // SAFETY: the userdata is on the stack. Stack: unchanged.
    unsafe { boxed::place(state, 1) }.ok_or_else(|| NO_READER.into())
}

/// The node's tickets.
unsafe fn tickets<'a>(state: *mut lua_State) -> &'a Tickets {
    // SAFETY: the node outlives every state of it.
    unsafe { &Vm::node_of(state).tickets }
}

/// The value at `index`: a block and its size, which is taken over, or a string, which is copied.
unsafe fn value(state: *mut lua_State, index: c_int) -> Result<Buf, Failure> {
    // SAFETY: the string stays on the stack while it is copied, and nothing is owned when its check raises.
    unsafe {
        if ffi::lua_type(state, index) != ffi::LUA_TLIGHTUSERDATA {
            return copied(state, stack::check_bytes(state, index));
        }
        match tasks::take_body(Vm::of(state), state, index)? {
            Body::Block(block) => Ok(block.freeze()),
            _ => copied(state, &[]),
        }
    }
}

unsafe fn copied(state: *mut lua_State, bytes: &[u8]) -> Result<Buf, Failure> {
    // SAFETY: no Lua code runs in here.
    let loan = unsafe { (*Vm::of(state)).context.loan(bytes.len()) };
    let mut block = loan.map_err(|error| error.to_string())?;
    block.copy_from_slice(bytes);
    Ok(block.freeze())
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
            let place = boxed::push_empty::<Writer>(state);
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
            let place = boxed::known::<Writer>(state, 1).ok_or(NO_WRITER)?;
            publish(place, value(state, 2)?)
        }
    }
}

unsafe fn publish(place: *mut Option<Writer>, value: Buf) -> Outcome {
    // SAFETY: the caller has the userdata in reach of Lua.
    let Some(writer) = (unsafe { &*place }) else {
        return Err(GONE.into());
    };
    writer.commit(value);
    Ok(0)
}

native! {
    /// `committer(writer, type, value) -> function`
    fn committer(state) {
        // SAFETY: nothing is owned. Stack: one result.
        unsafe {
            writer_argument(state)?;
            ffi::lua_settop(state, 3);
            boxed::push_metatable::<Writer>(state);
            ffi::lua_insert(state, 1);
            ffi::lua_pushcclosure(state, commit_encoded, 4);
            Ok(1)
        }
    }
}

native! {
    /// `function()`, with the metatable of writers and the arguments of `committer` as upvalues: the encoding of the value by the type
    /// of `sproto.core` is the writer's new value.
    fn commit_encoded(state) {
        // SAFETY: the upvalues keep writer, type and value alive. Stack: type and value; no result.
        unsafe {
            ffi::lua_settop(state, 0);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(3));
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(4));
            sproto::with_encoded(state, |bytes| {
                let place = boxed::known::<Writer>(state, ffi::lua_upvalueindex(2)).ok_or(NO_WRITER)?;
                publish(place, copied(state, bytes)?)
            })
        }
    }
}

native! {
    /// `copy(writer) -> ticket`
    fn copy(state) {
        // SAFETY: a light userdata needs no memory. Stack: one result.
        unsafe {
            let Some(writer) = &*writer_argument(state)? else { return Err(GONE.into()) };
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
            let place = boxed::push_empty::<Reader>(state);
            let Some(writer) = tickets(state).take(ffi::lua_touserdata(state, 1).addr()) else {
                return Err("Invalid stm object: it is none, or somebody has taken it already".into());
            };
            // Without its writer the reader stays empty: it never has anything.
            *place = writer.upgrade().map(|writer| writer.copy());
            Ok(1)
        }
    }
}

native! {
    /// `reader(func [, ud]) -> false | true, ...`
    fn read(state) {
        // SAFETY: see `show_unread`. Stack: the arguments, then the results.
        unsafe {
            let place = boxed::known::<Reader>(state, 1).ok_or(NO_READER)?;
            ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
            ffi::lua_settop(state, 3);
            show_unread(state, place, 2, 3)
        }
    }
}

native! {
    /// `updater(reader, func, ud) -> function`
    fn updater(state) {
        // SAFETY: nothing is owned. Stack: one result.
        unsafe {
            reader_argument(state)?;
            ffi::lua_settop(state, 3);
            boxed::push_metatable::<Reader>(state);
            ffi::lua_insert(state, 1);
            ffi::lua_pushcclosure(state, update, 4);
            Ok(1)
        }
    }
}

native! {
    /// `function() -> false | true, ...`, with the metatable of readers and the arguments of `updater` as upvalues: `reader(func, ud)`.
    fn update(state) {
        // SAFETY: see `show_unread`.
        unsafe {
            let place = boxed::known::<Reader>(state, ffi::lua_upvalueindex(2)).ok_or(NO_READER)?;
            show_unread(state, place, ffi::lua_upvalueindex(3), ffi::lua_upvalueindex(4))
        }
    }
}

/// Calls the function at index `func` with a value that was not read, if there is one, and what is at index `ud`.
#[inline]
unsafe fn show_unread(state: *mut lua_State, place: *mut Option<Reader>, func: c_int, ud: c_int) -> Outcome {
    // SAFETY: the value stands in `shown` while the function runs, which may raise; nothing is owned here then. Stack: false; or
    // true and what the function returns.
    unsafe {
        let unread = match &mut *place {
            Some(reader) if has_unread(reader) => reader.update(),
            _ => None,
        };
        ffi::lua_pushboolean(state, unread.is_some().into());
        let Some(snapshot) = unread else { return Ok(1) };
        let vm = Vm::of(state);
        let before = ffi::lua_gettop(state) - 1;
        let (data, len, shown) = (*vm).shown.begin(Buf::clone(snapshot));
        ffi::lua_pushvalue(state, func);
        ffi::lua_pushlightuserdata(state, data.cast_mut().cast());
        ffi::lua_pushinteger(state, len as ffi::lua_Integer);
        ffi::lua_pushvalue(state, ud);
        ffi::lua_callk(state, 3, ffi::LUA_MULTRET, 0, None);
        (*vm).shown.end(shown);
        Ok(ffi::lua_gettop(state) - before)
    }
}

/// Whether a reader has something to read: not after the writer is gone.
#[inline]
fn has_unread(reader: &Reader) -> bool {
    reader.has_new() && !reader.is_closed()
}

native! {
    /// `unread(reader) -> boolean`
    fn unread(state) {
        // SAFETY: pushes a boolean.
        unsafe {
            let unread = (*reader_argument(state)?).as_ref().is_some_and(has_unread);
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
            let reader = reader_argument(state)?;
            let place = boxed::push_empty::<Watch<Reader>>(state);
            ffi::lua_pushvalue(state, 2);
            let (session, notice) = tasks::expect_notice(state)?;
            let vm = Vm::of(state);
            match &*reader {
                Some(reader) => {
                    *place = Watch::begin(vm, reader.clone(), session, notice, |reader, context| {
                        reader.poll_update(context).is_pending()
                    });
                }
                None => tasks::ignore_notice(vm, session, false),
            }
            Ok((*place).is_some().into())
        }
    }
}

const NO_WRITER: &str = "bad argument #1 (Need a stm writer)";
const NO_READER: &str = "bad argument #1 (Need a stm reader)";
const GONE: &str = "this stm object has been collected";
