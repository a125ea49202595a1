//! The protocols of a service: tables that Lua code has registered by name and by id, and may change at any time.
//!
//! They are read in place, without calls into Lua. What a table lacks it may inherit, through the tables in `__index` of its
//! metatable. What it inherits through a function there is put into the table when it is registered, since nothing may raise later;
//! what that function raises for, or would yield for, is not there.

use std::ffi::c_int;
use std::ptr;

use fulmar_engine::MessageType;
use mlua::ffi::{self, lua_State};

use crate::raw;
use crate::stack::Failure;
use crate::vm::{Fixed, Slot, Vm};

/// Has the table of protocols on top of `vault` call [`adopt`] for what is put into it.
///
/// # Safety
/// There is a table on top. May raise a memory error: nothing with a destructor is alive. Three free slots.
pub(crate) unsafe fn watch(vault: *mut lua_State) {
    // SAFETY: by the caller. Stack: unchanged in the end.
    unsafe {
        ffi::lua_createtable(vault, 0, 1);
        ffi::lua_pushcclosure(vault, adopt, 0);
        ffi::lua_setfield(vault, -2, c"__newindex".as_ptr());
        ffi::lua_setmetatable(vault, -2);
    }
}

/// `__newindex` of the table of protocols: (protocols, key, class).
unsafe extern "C-unwind" fn adopt(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned while Lua may raise. Stack: the three arguments, then a name and its field; then nothing.
    unsafe {
        let vm = Vm::of(state);
        ffi::lua_settop(state, 3);
        if let Some(class) = (*raw::at(state, 3)).as_table()
            && raw::has_metatable(class)
        {
            let Fixed {
                id,
                pack,
                unpack,
                dispatch,
                trace,
                ..
            } = (*vm).fixed;
            for (key, name) in [
                (id, c"id"),
                (pack, c"pack"),
                (unpack, c"unpack"),
                (dispatch, c"dispatch"),
                (trace, c"trace"),
            ] {
                if !field(vm, class, key).is_nil() {
                    continue;
                }
                ffi::lua_pushstring(state, name.as_ptr());
                ffi::lua_pushcclosure(state, get, 0);
                ffi::lua_pushvalue(state, 3);
                ffi::lua_pushvalue(state, 4);
                if ffi::lua_pcall(state, 2, 1, 0) == ffi::LUA_OK && ffi::lua_type(state, -1) != ffi::LUA_TNIL
                {
                    ffi::lua_rawset(state, 3);
                }
                ffi::lua_settop(state, 3);
            }
        }
        ffi::lua_rawset(state, 1);
        0
    }
}

/// `table[key]`, in a protected call: (table, key).
unsafe extern "C-unwind" fn get(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned while Lua may raise. Stack: the table and the key, then the value.
    unsafe { ffi::lua_gettable(state, 1) };
    1
}

/// Puts the protocol that is named at `index` (its name or number) in the place of its name. Gives its table and its id.
///
/// # Safety
/// There is a value at `index`.
#[inline]
pub(super) unsafe fn open(
    vm: *mut Vm,
    state: *mut lua_State,
    index: c_int,
) -> Result<(*const raw::Table, MessageType), Failure> {
    // SAFETY: the table of protocols lives as long as the state. Stack: one value replaced.
    unsafe {
        let place = raw::at(state, index);
        let class = match (*place).as_short_text() {
            Some(name) => raw::field((*vm).fixed.protocols, name),
            None => look_up(vm, *place),
        };
        let Some(table) = class.as_table() else {
            return Err("attempt to index a nil value (local 'p')".into());
        };
        *place = class;
        let id = field(vm, table, (*vm).fixed.id);
        let id = match id.as_integer() {
            Some(id) => id,
            None => number(vm, id),
        };
        match u8::try_from(id) {
            Ok(id) => Ok((table, MessageType(id))),
            Err(_) => Err("protocol id out of range".into()),
        }
    }
}

/// The protocol of a type, or nil.
///
/// # Safety
/// `vm` is live.
#[inline]
pub(super) unsafe fn of_type(vm: *mut Vm, message_type: MessageType) -> raw::Value {
    // SAFETY: the table of protocols lives as long as the state; reading it raises nothing, and the vault has room.
    unsafe {
        if let Some(class) = raw::numbered((*vm).fixed.protocols, message_type.0) {
            return class;
        }
        let vault = (*vm).vault;
        ffi::lua_rawgeti(vault, Slot::Protocols as c_int, message_type.0.into());
        raw::pop(vault)
    }
}

/// A field of a protocol, its own or inherited.
///
/// # Safety
/// `class` and `name` are live, and of the state of `vm`.
#[inline]
pub(super) unsafe fn field(vm: *mut Vm, class: *const raw::Table, name: *const raw::Text) -> raw::Value {
    // SAFETY: by the caller.
    unsafe {
        let own = raw::field(class, name);
        if own.is_nil() && raw::has_metatable(class) {
            inherited(vm, class, name)
        } else {
            own
        }
    }
}

#[cold]
unsafe fn inherited(vm: *mut Vm, class: *const raw::Table, name: *const raw::Text) -> raw::Value {
    // SAFETY: what a live table refers to is live, too.
    unsafe {
        let mut heir = class;
        for _ in 0..MOST_ANCESTORS {
            let Some(parent) = raw::metatable(heir)
                .and_then(|metatable| raw::field(metatable, (*vm).fixed.index).as_table())
            else {
                break;
            };
            let found = raw::field(parent, name);
            if !found.is_nil() {
                return found;
            }
            heir = parent;
        }
        raw::Value::NIL
    }
}

/// The protocol of a key that is no short string.
#[cold]
unsafe fn look_up(vm: *mut Vm, key: raw::Value) -> raw::Value {
    // SAFETY: raw table reads do not raise for a number or a string; the vault has room, and its stack is restored.
    unsafe {
        if !matches!(key.kind(), ffi::LUA_TSTRING | ffi::LUA_TNUMBER) {
            return raw::Value::NIL;
        }
        let vault = (*vm).vault;
        raw::push(vault, key);
        ffi::lua_rawget(vault, Slot::Protocols as c_int);
        raw::pop(vault)
    }
}

/// An id that is not an integer, by Lua's rules for numbers.
#[cold]
unsafe fn number(vm: *mut Vm, id: raw::Value) -> ffi::lua_Integer {
    // SAFETY: as for `look_up`.
    unsafe {
        let vault = (*vm).vault;
        raw::push(vault, id);
        let number = ffi::lua_tointegerx(vault, -1, ptr::null_mut());
        ffi::lua_pop(vault, 1);
        number
    }
}

/// More are a circle.
const MOST_ANCESTORS: u32 = 100;
