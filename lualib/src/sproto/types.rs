//! Types as Lua code holds them: userdata that keep their schema alive, and know where a state keeps the fields' names.

use std::ffi::{CStr, c_int, c_void};
use std::mem::{align_of, size_of};
use std::ptr;
use std::sync::Arc;

use mlua::ffi::{self, lua_State};

use super::schemas::{Shared, Token};
use crate::stack::{self, Failure};

/// The content of a userdata with the metatable [`NAME`]; its user value is the table of names.
pub(super) struct TypeRef {
    /// None only until it is filled, before Lua code sees it.
    pub(super) shared: Option<Arc<Shared>>,
    pub(super) index: usize,
}

const NAME: &CStr = c"sproto.type";
/// The address is the registry key of a table: token -> names of that schema, weak.
static NAMES: u8 = 0;

/// So many names are found by position at once: of a larger schema a service rarely uses all.
const MAX_ARRAY: u32 = 1024;

/// Lua aligns userdata for anything of C.
const _: () = assert!(align_of::<TypeRef>() <= 8);

/// Pushes a type of the schema `token`, which has so many fields, that is still to be filled: making it may raise, and filling it does not.
///
/// # Safety
/// Room for six values; nothing with a destructor is alive.
pub(super) unsafe fn push_empty(state: *mut lua_State, token: Token, fields: u32) -> *mut TypeRef {
    // SAFETY: the userdata gets its metatable, and so its finalizer, once it has its content. Stack: one userdata more.
    unsafe {
        let place = ffi::lua_newuserdatauv(state, size_of::<TypeRef>(), 1).cast::<TypeRef>();
        place.write(TypeRef {
            shared: None,
            index: 0,
        });
        push_metatable(state);
        ffi::lua_setmetatable(state, -2);
        push_names(state, token, fields);
        ffi::lua_setiuservalue(state, -2, 1);
        place
    }
}

unsafe fn push_metatable(state: *mut lua_State) {
    // SAFETY: may raise a memory error; nothing is owned. Stack: one table.
    unsafe {
        if ffi::luaL_newmetatable(state, NAME.as_ptr()) != 0 {
            ffi::lua_pushcclosure(state, collect, 0);
            ffi::lua_setfield(state, -2, c"__gc".as_ptr());
            ffi::lua_pushboolean(state, 0);
            ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
        }
    }
}

/// Pushes the table of names of a schema: it is filled as names are used, and goes when no type of the schema is left.
unsafe fn push_names(state: *mut lua_State, token: Token, fields: u32) {
    // SAFETY: may raise a memory error; nothing is owned. Stack: one table.
    unsafe {
        let key = (&raw const NAMES).cast::<c_void>();
        if ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, key) != ffi::LUA_TTABLE {
            ffi::lua_pop(state, 1);
            ffi::lua_createtable(state, 0, 1);
            stack::make_weak(state, c"v");
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, key);
        }
        let token = ptr::without_provenance::<c_void>(token);
        if ffi::lua_rawgetp(state, -1, token) != ffi::LUA_TTABLE {
            ffi::lua_pop(state, 1);
            ffi::lua_createtable(state, fields.min(MAX_ARRAY) as c_int, 0);
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawsetp(state, -3, token);
        }
        ffi::lua_replace(state, -2);
    }
}

/// `__gc`: gives the schema back. An older object's finalizer may still use the type afterwards, and is refused.
unsafe extern "C-unwind" fn collect(state: *mut lua_State) -> c_int {
    // SAFETY: a userdata with this metatable was made by `push_empty`; what is taken is not there a second time. Stack:
    // unchanged.
    unsafe {
        let place = ffi::luaL_testudata(state, 1, NAME.as_ptr()).cast::<TypeRef>();
        if !place.is_null() {
            drop((*place).shared.take());
        }
        0
    }
}

/// The argument that names a type.
pub(super) enum TypeArgument {
    /// One of a schema. Valid while the userdata is on the stack.
    Type(*const TypeRef),
    /// The response of a protocol without content: nil, or a null pointer.
    Nothing,
}

/// Looks at the type at `index`.
///
/// # Safety
/// Room for two values.
pub(super) unsafe fn argument(state: *mut lua_State, index: c_int) -> Result<TypeArgument, Failure> {
    // SAFETY: the metatable tells what a userdata is, and no program can set it. Stack: unchanged.
    unsafe {
        match ffi::lua_type(state, index) {
            ffi::LUA_TNIL | ffi::LUA_TNONE => Ok(TypeArgument::Nothing),
            ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(state, index).is_null() => {
                Ok(TypeArgument::Nothing)
            }
            ffi::LUA_TUSERDATA => {
                let place = ffi::luaL_testudata(state, index, NAME.as_ptr()).cast::<TypeRef>();
                if place.is_null() || (*place).shared.is_none() {
                    return Err(not_a_type(index));
                }
                Ok(TypeArgument::Type(place))
            }
            _ => Err(not_a_type(index)),
        }
    }
}

#[cold]
fn not_a_type(index: c_int) -> Failure {
    format!("bad argument #{index} (Need a sproto_type object)").into()
}

/// Pushes the name of field `number`, from the table of names at `names`.
///
/// # Safety
/// `names` is an absolute index of that table; room for two values. May raise a memory error.
#[inline]
pub(super) unsafe fn push_name(state: *mut lua_State, names: c_int, number: u32, name: &str) {
    // SAFETY: nothing is owned; the name belongs to the schema. Stack: one string.
    unsafe {
        if ffi::lua_rawgeti(state, names, number.into()) == ffi::LUA_TNIL {
            ffi::lua_pop(state, 1);
            ffi::lua_pushlstring(state, name.as_ptr().cast(), name.len());
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawseti(state, names, number.into());
        }
    }
}
