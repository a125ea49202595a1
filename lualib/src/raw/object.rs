//! Closures and userdata, read in place: how the natives of shared tables find what they work on.

use std::ffi::c_void;
use std::ptr;

use mlua::ffi::{self, lua_State};

use super::Link;
use super::stack::base;
use super::table::Table;
use super::value::Value;

/// The beginning of `CClosure`.
#[repr(C)]
pub(super) struct Closure {
    _link: Link,
    _kind: [u8; 2],
    count: u8,
    _list: *mut c_void,
    function: ffi::lua_CFunction,
    values: [Value; 0],
}

/// The beginning of `Udata`, when it has user values.
#[repr(C)]
pub(crate) struct Userdata {
    _link: Link,
    _kind: [u8; 2],
    count: u16,
    _len: usize,
    metatable: *mut c_void,
    _list: *mut c_void,
    values: [UserValue; 0],
}

/// `UValue`: aligned for a `long double`.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct UserValue(Value);

/// An upvalue of the running native, by its number from 1; nil when it has none.
///
/// # Safety
/// Called from a native that Lua called on `state`.
#[inline(always)]
pub(crate) unsafe fn upvalue(state: *mut lua_State, number: u8) -> Value {
    // SAFETY: by (1); a running native's function lies below its arguments.
    unsafe {
        match upvalue_place(state, number) {
            Some(place) => *place,
            None => Value::NIL,
        }
    }
}

/// Makes an upvalue of the running native a number. A number is no object, so the collector need not be told.
///
/// # Safety
/// As for [`upvalue`].
#[inline(always)]
pub(crate) unsafe fn set_upvalue(state: *mut lua_State, number: u8, integer: i64) {
    // SAFETY: as for `upvalue`.
    unsafe {
        if let Some(place) = upvalue_place(state, number) {
            *place = Value::integer(integer);
        }
    }
}

#[inline(always)]
unsafe fn upvalue_place(state: *mut lua_State, number: u8) -> Option<*mut Value> {
    // SAFETY: as for `upvalue`.
    unsafe { place_in((*base(state).sub(1)).as_closure()?, number) }
}

#[inline(always)]
unsafe fn place_in(closure: *mut Closure, number: u8) -> Option<*mut Value> {
    // SAFETY: by (1).
    unsafe {
        let has = number >= 1 && number <= (*closure).count;
        has.then(|| {
            (&raw mut (*closure).values)
                .cast::<Value>()
                .add(usize::from(number) - 1)
        })
    }
}

/// The first upvalue of a value that is a closure of this native.
///
/// # Safety
/// The value is live.
#[inline(always)]
pub(crate) unsafe fn upvalue_of(value: Value, native: ffi::lua_CFunction) -> Option<Value> {
    // SAFETY: by (1).
    unsafe {
        let closure = value.as_closure()?;
        match ptr::fn_addr_eq((*closure).function, native) {
            true => place_in(closure, 1).map(|place| *place),
            false => None,
        }
    }
}

/// The metatable of a userdata; null when it has none.
///
/// # Safety
/// The userdata is live.
#[inline(always)]
pub(crate) unsafe fn userdata_metatable(userdata: *const Userdata) -> *const Table {
    // SAFETY: by (1).
    unsafe { (*userdata).metatable.cast::<Table>().cast_const() }
}

/// A user value by its number from 1; nil when there is none.
///
/// # Safety
/// As above.
#[inline(always)]
pub(crate) unsafe fn user_value(userdata: *const Userdata, number: u16) -> Value {
    // SAFETY: by (1).
    unsafe {
        match number >= 1 && number <= (*userdata).count {
            true => {
                let values = (&raw const (*userdata).values).cast::<UserValue>();
                (*values.add(usize::from(number) - 1)).0
            }
            false => Value::NIL,
        }
    }
}

/// The content of a userdata.
///
/// # Safety
/// The userdata is live and has a user value.
#[inline(always)]
pub(crate) unsafe fn content(userdata: *const Userdata) -> *mut c_void {
    // SAFETY: by (1): the content lies behind the user values.
    unsafe {
        let values = (&raw const (*userdata).values).cast::<UserValue>();
        values.add((*userdata).count.into()).cast_mut().cast()
    }
}
