//! A value: its tag, and what it holds.

use std::ffi::{c_int, c_void};
use std::ptr;

use mlua::ffi;

use super::object::{Closure, Userdata};
use super::table::{Table, Text};

/// A value: `TValue`, and with it `StackValue`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Value {
    pub(super) payload: Payload,
    pub(super) tag: u8,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union Payload {
    pub(super) integer: i64,
    float: f64,
    pub(super) pointer: *mut c_void,
    function: ffi::lua_CFunction,
}

impl Value {
    pub(crate) const NIL: Value = Value {
        payload: Payload { integer: 0 },
        tag: NIL,
    };
    pub(crate) const TRUE: Value = Value {
        payload: Payload { integer: 0 },
        tag: TRUE,
    };

    #[inline(always)]
    pub(crate) fn integer(integer: i64) -> Value {
        Value {
            payload: Payload { integer },
            tag: INTEGER,
        }
    }

    #[inline(always)]
    pub(crate) fn boolean(boolean: bool) -> Value {
        Value {
            payload: Payload { integer: 0 },
            tag: if boolean { TRUE } else { FALSE },
        }
    }

    #[inline(always)]
    pub(crate) fn light(pointer: *mut c_void) -> Value {
        Value {
            payload: Payload { pointer },
            tag: LIGHT,
        }
    }

    #[inline(always)]
    pub(crate) fn float(float: f64) -> Value {
        Value {
            payload: Payload { float },
            tag: FLOAT,
        }
    }

    /// # Safety
    /// The table is live, and stays so for as long as the value is used.
    #[inline(always)]
    pub(crate) unsafe fn table(table: *const Table) -> Value {
        Value {
            payload: Payload {
                pointer: table.cast_mut().cast(),
            },
            tag: TABLE,
        }
    }

    /// A C function without upvalues.
    #[inline(always)]
    pub(crate) fn native(function: ffi::lua_CFunction) -> Value {
        Value {
            payload: Payload { function },
            tag: NATIVE,
        }
    }

    /// Whether this is exactly that C function.
    #[inline(always)]
    pub(crate) fn is_native(self, function: ffi::lua_CFunction) -> bool {
        // SAFETY: the tag says which part of the union is there.
        self.tag == NATIVE && unsafe { ptr::fn_addr_eq(self.payload.function, function) }
    }

    #[inline(always)]
    pub(crate) fn is_nil(self) -> bool {
        self.tag & KIND == 0
    }

    /// Its type, as `lua_type` gives it.
    #[inline(always)]
    pub(crate) fn kind(self) -> c_int {
        (self.tag & KIND).into()
    }

    #[inline(always)]
    pub(crate) fn as_integer(self) -> Option<i64> {
        match self.tag {
            // SAFETY: the tag says which part of the union is there.
            INTEGER => Some(unsafe { self.payload.integer }),
            _ => None,
        }
    }

    #[inline(always)]
    pub(crate) fn as_boolean(self) -> Option<bool> {
        match self.tag {
            TRUE => Some(true),
            FALSE => Some(false),
            _ => None,
        }
    }

    /// The table; alive while Lua can reach it.
    #[inline(always)]
    pub(crate) fn as_table(self) -> Option<*const Table> {
        // SAFETY: the tag says which part of the union is there.
        (self.tag == TABLE).then(|| unsafe { self.payload.pointer }.cast::<Table>().cast_const())
    }

    /// The string, if it is one of those that are interned; alive while Lua can reach it.
    #[inline(always)]
    pub(crate) fn as_short_text(self) -> Option<*const Text> {
        // SAFETY: the tag says which part of the union is there.
        (self.tag == SHORT_TEXT).then(|| unsafe { self.payload.pointer }.cast::<Text>().cast_const())
    }

    /// The full userdata; alive while Lua can reach it.
    #[inline(always)]
    pub(crate) fn as_userdata(self) -> Option<*const Userdata> {
        // SAFETY: the tag says which part of the union is there.
        (self.tag == USERDATA).then(|| unsafe { self.payload.pointer }.cast::<Userdata>().cast_const())
    }

    #[inline(always)]
    pub(super) fn as_closure(self) -> Option<*mut Closure> {
        // SAFETY: the tag says which part of the union is there.
        (self.tag == CLOSURE).then(|| unsafe { self.payload.pointer }.cast())
    }
}

/// A value by its kind.
pub(crate) enum Content {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// An interned string; alive while Lua can reach it.
    ShortText(*const Text),
    /// Alive while Lua can reach it.
    Table(*const Table),
    Light(*mut c_void),
    /// A long string, a function, a userdata, a thread.
    Other,
}

impl Value {
    #[inline(always)]
    pub(crate) fn content(self) -> Content {
        // SAFETY: the tag says which part of the union is there.
        unsafe {
            match self.tag {
                INTEGER => Content::Integer(self.payload.integer),
                FLOAT => Content::Float(self.payload.float),
                SHORT_TEXT => Content::ShortText(self.payload.pointer.cast::<Text>()),
                TABLE => Content::Table(self.payload.pointer.cast::<Table>()),
                FALSE => Content::Boolean(false),
                TRUE => Content::Boolean(true),
                LIGHT => Content::Light(self.payload.pointer),
                tag if tag & KIND == 0 => Content::Nil,
                _ => Content::Other,
            }
        }
    }
}

/// The bits of a tag that say what `lua_type` says.
pub(super) const KIND: u8 = 0x0f;
const COLLECTABLE: u8 = 1 << 6;
pub(super) const NIL: u8 = ffi::LUA_TNIL as u8;
const FALSE: u8 = ffi::LUA_TBOOLEAN as u8;
const TRUE: u8 = ffi::LUA_TBOOLEAN as u8 | 1 << 4;
pub(super) const LIGHT: u8 = ffi::LUA_TLIGHTUSERDATA as u8;
pub(super) const INTEGER: u8 = ffi::LUA_TNUMBER as u8;
const FLOAT: u8 = ffi::LUA_TNUMBER as u8 | 1 << 4;
const NATIVE: u8 = ffi::LUA_TFUNCTION as u8 | 1 << 4;
pub(super) const SHORT_TEXT: u8 = ffi::LUA_TSTRING as u8 | COLLECTABLE;
pub(super) const TABLE: u8 = ffi::LUA_TTABLE as u8 | COLLECTABLE;
const CLOSURE: u8 = ffi::LUA_TFUNCTION as u8 | 2 << 4 | COLLECTABLE;
const USERDATA: u8 = ffi::LUA_TUSERDATA as u8 | COLLECTABLE;
