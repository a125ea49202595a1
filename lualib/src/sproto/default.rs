//! Zero values: a table with every field of a type set.

use std::ffi::c_int;

use fulmar_sproto::{Field, Kind, Shape};
use mlua::ffi::{self, lua_State};

use super::schemas::Shared;
use super::types::push_name;
use crate::stack;

/// Pushes the zero value of type `of`.
///
/// # Safety
/// Room for six values. May raise a memory error.
pub(super) unsafe fn push(state: *mut lua_State, shared: &Shared, names: c_int, of: usize) {
    let (_, fields, first) = shared.of(of);
    // SAFETY: nothing is owned. Stack: one table more.
    unsafe {
        ffi::lua_createtable(state, 0, c_int::try_from(fields.len()).unwrap_or(0));
        for (number, field) in (first..).zip(fields) {
            push_name(state, names, number, field.name());
            push_field(state, shared, field);
            ffi::lua_rawset(state, -3);
        }
    }
}

unsafe fn push_field(state: *mut lua_State, shared: &Shared, field: &Field) {
    // SAFETY: as in `push`. Stack: one value more.
    unsafe {
        match (field.shape(), field.kind()) {
            (Shape::One, Kind::Struct(index)) => {
                ffi::lua_createtable(state, 0, 1);
                stack::push_bytes(state, shared.of(index).0.name().as_bytes());
                ffi::lua_setfield(state, -2, c"__type".as_ptr());
            }
            (Shape::One, kind) => push_zero(state, shared, kind),
            (Shape::Array | Shape::Keyed { .. } | Shape::Pairs, kind) => {
                ffi::lua_createtable(state, 0, 1);
                push_zero(state, shared, kind);
                ffi::lua_setfield(state, -2, c"__array".as_ptr());
            }
        }
    }
}

/// Pushes the zero of a kind; for a structure, the name of its type.
unsafe fn push_zero(state: *mut lua_State, shared: &Shared, kind: Kind) {
    // SAFETY: as in `push`. Stack: one value more.
    unsafe {
        match kind {
            Kind::Integer => ffi::lua_pushinteger(state, 0),
            Kind::Decimal(_) | Kind::Double => ffi::lua_pushnumber(state, 0.0),
            Kind::Boolean => ffi::lua_pushboolean(state, 0),
            Kind::String | Kind::Binary => stack::push_bytes(state, b""),
            Kind::Struct(index) => stack::push_bytes(state, shared.of(index).0.name().as_bytes()),
        }
    }
}
