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

/// What a value holds: Lua's union `Value`, as a word that may be an address. (A Rust union would not travel in a register, and a
/// value with it: copies by way of memory cost a call a twentieth of its time.)
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Payload(*mut c_void);

impl Payload {
    pub(super) const NOTHING: Payload = Payload(ptr::null_mut());

    #[inline(always)]
    pub(super) fn integer(integer: i64) -> Payload {
        Payload(ptr::without_provenance_mut(integer.cast_unsigned() as usize))
    }

    #[inline(always)]
    fn float(float: f64) -> Payload {
        Payload::integer(float.to_bits().cast_signed())
    }

    #[inline(always)]
    pub(super) fn pointer<T>(pointer: *mut T) -> Payload {
        Payload(pointer.cast())
    }

    #[inline(always)]
    fn as_integer(self) -> i64 {
        (self.0.addr() as u64).cast_signed()
    }

    #[inline(always)]
    fn as_float(self) -> f64 {
        f64::from_bits(self.0.addr() as u64)
    }

    #[inline(always)]
    fn as_pointer<T>(self) -> *mut T {
        self.0.cast()
    }
}

const _: () = assert!(size_of::<Payload>() == 8, "Lua's values are of 64 bits");

impl Value {
    pub(crate) const NIL: Value = Value {
        payload: Payload::NOTHING,
        tag: NIL,
    };
    pub(crate) const TRUE: Value = Value {
        payload: Payload::NOTHING,
        tag: TRUE,
    };

    #[inline(always)]
    pub(crate) fn integer(integer: i64) -> Value {
        Value {
            payload: Payload::integer(integer),
            tag: INTEGER,
        }
    }

    #[inline(always)]
    pub(crate) fn boolean(boolean: bool) -> Value {
        Value {
            payload: Payload::NOTHING,
            tag: if boolean { TRUE } else { FALSE },
        }
    }

    #[inline(always)]
    pub(crate) fn light(pointer: *mut c_void) -> Value {
        Value {
            payload: Payload::pointer(pointer),
            tag: LIGHT,
        }
    }

    #[inline(always)]
    pub(crate) fn float(float: f64) -> Value {
        Value {
            payload: Payload::float(float),
            tag: FLOAT,
        }
    }

    /// # Safety
    /// The table is live, and stays so for as long as the value is used.
    #[inline(always)]
    pub(crate) unsafe fn table(table: *const Table) -> Value {
        Value {
            payload: Payload::pointer(table.cast_mut()),
            tag: TABLE,
        }
    }

    /// # Safety
    /// As for [`table`](Value::table).
    #[inline(always)]
    pub(crate) unsafe fn userdata(userdata: *const Userdata) -> Value {
        Value {
            payload: Payload::pointer(userdata.cast_mut()),
            tag: USERDATA,
        }
    }

    /// A C function without upvalues.
    #[inline(always)]
    pub(crate) fn native(function: ffi::lua_CFunction) -> Value {
        Value {
            payload: Payload::pointer(function as *mut c_void),
            tag: NATIVE,
        }
    }

    /// Whether this is exactly that C function.
    #[inline(always)]
    pub(crate) fn is_native(self, function: ffi::lua_CFunction) -> bool {
        self.tag == NATIVE && ptr::eq(self.payload.as_pointer(), function as *const c_void)
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
            INTEGER => Some(self.payload.as_integer()),
            _ => None,
        }
    }

    /// The address, if it is a light userdata.
    #[inline(always)]
    pub(crate) fn as_light(self) -> Option<*mut c_void> {
        (self.tag == LIGHT).then(|| self.payload.as_pointer())
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
        (self.tag == TABLE).then(|| self.payload.as_pointer::<Table>().cast_const())
    }

    /// The string, if it is one of those that are interned; alive while Lua can reach it.
    #[inline(always)]
    pub(crate) fn as_short_text(self) -> Option<*const Text> {
        (self.tag == SHORT_TEXT).then(|| self.payload.as_pointer::<Text>().cast_const())
    }

    /// The full userdata; alive while Lua can reach it.
    #[inline(always)]
    pub(crate) fn as_userdata(self) -> Option<*const Userdata> {
        (self.tag == USERDATA).then(|| self.payload.as_pointer::<Userdata>().cast_const())
    }

    #[inline(always)]
    pub(super) fn as_closure(self) -> Option<*mut Closure> {
        (self.tag == CLOSURE).then(|| self.payload.as_pointer())
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
        match self.tag {
            INTEGER => Content::Integer(self.payload.as_integer()),
            FLOAT => Content::Float(self.payload.as_float()),
            SHORT_TEXT => Content::ShortText(self.payload.as_pointer::<Text>()),
            TABLE => Content::Table(self.payload.as_pointer::<Table>()),
            FALSE => Content::Boolean(false),
            TRUE => Content::Boolean(true),
            LIGHT => Content::Light(self.payload.as_pointer()),
            tag if tag & KIND == 0 => Content::Nil,
            _ => Content::Other,
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
