//! The part of the probe that is about closures, userdata and new tables.

use std::ffi::{c_int, c_void};
use std::ptr;

use mlua::ffi::{self, lua_State};

use super::room::used_bytes;
use super::stack::global;
use super::*;

/// Closures, userdata and new tables, made by Lua and read here, and the other way round.
pub(super) unsafe fn probe(state: *mut lua_State) -> bool {
    // SAFETY: the caller's state has room, and memory for a few objects. Stack: unchanged.
    unsafe {
        let top = ffi::lua_gettop(state);
        let same = probe_userdata(state)
            && probe_upvalues(state)
            && probe_new(state)
            && probe_entered(state)
            && probe_room(state);
        ffi::lua_settop(state, top);
        same
    }
}

unsafe fn probe_userdata(state: *mut lua_State) -> bool {
    // SAFETY: as for `probe`. Stack: some values more.
    unsafe {
        let place = ffi::lua_newuserdatauv(state, 24, 2);
        let at = ffi::lua_gettop(state);
        ffi::lua_pushinteger(state, 11);
        ffi::lua_setiuservalue(state, at, 1);
        ffi::lua_pushinteger(state, 22);
        ffi::lua_setiuservalue(state, at, 2);
        let Some(userdata) = (*super::at(state, at)).as_userdata() else {
            return false;
        };
        let bare = userdata_metatable(userdata).is_null();
        ffi::lua_createtable(state, 0, 0);
        let metatable = (*super::at(state, at + 1)).as_table();
        ffi::lua_pushvalue(state, -1);
        ffi::lua_setmetatable(state, at);
        bare && metatable == Some(userdata_metatable(userdata))
            && content(userdata) == place
            && user_value(userdata, 1).as_integer() == Some(11)
            && user_value(userdata, 2).as_integer() == Some(22)
            && user_value(userdata, 3).is_nil()
    }
}

unsafe fn probe_upvalues(state: *mut lua_State) -> bool {
    unsafe extern "C-unwind" fn probe(state: *mut lua_State) -> c_int {
        // SAFETY: three upvalues are given below. Stack: one result.
        unsafe {
            let mut same = upvalue(state, 1).as_integer() == Some(7)
                && upvalue(state, 2).as_boolean() == Some(true)
                && upvalue(state, 3).as_integer() == Some(9)
                && upvalue(state, 4).is_nil();
            set_upvalue(state, 3, 10);
            same = same && ffi::lua_tointegerx(state, ffi::lua_upvalueindex(3), ptr::null_mut()) == 10;
            ffi::lua_pushboolean(state, same.into());
            1
        }
    }
    unsafe extern "C-unwind" fn bare(state: *mut lua_State) -> c_int {
        // SAFETY: no upvalues are given below. Stack: one result.
        unsafe {
            ffi::lua_pushboolean(state, upvalue(state, 1).is_nil().into());
            1
        }
    }
    // SAFETY: as for `probe`. Stack: some values more.
    unsafe {
        ffi::lua_pushinteger(state, 7);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_pushinteger(state, 9);
        ffi::lua_pushcclosure(state, probe, 3);
        let closure = top(state);
        let known = upvalue_of(closure, probe).and_then(Value::as_integer) == Some(7)
            && upvalue_of(closure, bare).is_none();
        ffi::lua_call(state, 0, 1);
        ffi::lua_pushcclosure(state, bare, 0);
        ffi::lua_call(state, 0, 1);
        known && ffi::lua_toboolean(state, -1) != 0 && ffi::lua_toboolean(state, -2) != 0
    }
}

/// Tables that are made and filled here are what Lua would have made: it finds everything in them, makes them longer, and has counted
/// what it gives back.
unsafe fn probe_room(state: *mut lua_State) -> bool {
    let sizes = [
        (0, 0),
        (1, 0),
        (0, 1),
        (3, 2),
        (2, 3),
        (7, 4),
        (0, 5),
        (5, 8),
        (128, 9),
        (4, 128),
    ];
    // SAFETY: as for `probe`. Stack: some values more.
    unsafe {
        let mut memory = ptr::null_mut();
        let allocate = ffi::lua_getallocf(state, &mut memory);
        let global = global(state);
        if !ptr::fn_addr_eq((*global).allocate, allocate) || (*global).memory != memory {
            return false;
        }
        let collected = || {
            ffi::lua_gc(state, ffi::LUA_GCCOLLECT);
            let counted = ffi::lua_gc(state, ffi::LUA_GCCOUNT) * 1024 + ffi::lua_gc(state, ffi::LUA_GCCOUNTB);
            (counted as isize == used_bytes(state)).then_some(counted)
        };
        let top = ffi::lua_gettop(state);
        // Names and numbers are entered once before, so that their strings are there.
        probe_filled(state, 128, 128);
        ffi::lua_settop(state, top);
        let before = collected();
        sizes.into_iter().all(|(items, pairs)| {
            let same = probe_filled(state, items, pairs);
            ffi::lua_settop(state, top);
            same && before.is_some() && collected() == before
        })
    }
}

unsafe fn probe_filled(state: *mut lua_State, items: u32, pairs: u32) -> bool {
    // SAFETY: as for `probe`, with the room that is asked for. Stack: some values more.
    unsafe {
        if !ensure(state, (items + 2 * pairs) as usize + 8) {
            return false;
        }
        let at = ffi::lua_gettop(state) + 1;
        for number in 0..items {
            push(state, Value::integer(number.into()));
        }
        for number in 0..pairs {
            // Every fourth key is a number, beyond those of the items.
            let key = ffi::lua_Integer::from(number) + 1000;
            ffi::lua_pushinteger(state, key);
            if number % 4 != 3 {
                ffi::lua_tolstring(state, -1, ptr::null_mut());
            }
            push(state, Value::integer(number.into()));
        }
        push_table(state, items, pairs);
        let Some(table) = top(state).as_table() else {
            return false;
        };
        let is_new = is_new(table);
        gather(state, items, pairs);
        let holds = |number: u32| {
            let value = ffi::lua_tointegerx(state, -1, ptr::null_mut());
            ffi::lua_settop(state, at);
            value == ffi::lua_Integer::from(number)
        };
        let has_all = || {
            let has_items = (0..items).all(|number| {
                let kind = ffi::lua_rawgeti(state, at, ffi::lua_Integer::from(number) + 1);
                holds(number) && kind == ffi::LUA_TNUMBER
            });
            has_items
                && (0..pairs).all(|number| {
                    ffi::lua_pushinteger(state, ffi::lua_Integer::from(number) + 1000);
                    if number % 4 != 3 {
                        ffi::lua_tolstring(state, -1, ptr::null_mut());
                    }
                    let kind = ffi::lua_rawget(state, at);
                    holds(number) && kind == ffi::LUA_TNUMBER
                })
        };
        let entries = || {
            let mut entries = 0;
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, at) != 0 {
                entries += 1;
                ffi::lua_settop(state, -2);
            }
            entries
        };
        let same = is_new
            && ffi::lua_gettop(state) == at
            && ffi::lua_rawlen(state, at) as u32 == items
            && has_all()
            && entries() == items + pairs
            && array_len(table) == items as usize;
        for number in [1, 2, 3] {
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawsetp(state, at, ptr::without_provenance(0x1000 * number));
            ffi::lua_pushinteger(state, (items as usize + number - 1) as ffi::lua_Integer);
            ffi::lua_rawseti(state, at, (items as usize + number) as ffi::lua_Integer);
        }
        same && has_all() && entries() == items + pairs + 6 && ffi::lua_rawlen(state, at) as u32 == items + 3
    }
}

/// A field that is entered here, and found by Lua before and after the table has grown.
unsafe fn probe_entered(state: *mut lua_State) -> bool {
    // SAFETY: as for `probe`. Stack: some values more.
    unsafe {
        let at = ffi::lua_gettop(state) + 1;
        ffi::lua_createtable(state, 0, 4);
        ffi::lua_createtable(state, 0, 0);
        let name = ffi::lua_pushstring(state, c"entered".as_ptr());
        let (Some(table), Some(empty), Some(text)) = (
            (*super::at(state, at)).as_table(),
            (*super::at(state, at + 1)).as_table(),
            (*super::at(state, at + 2)).as_short_text(),
        ) else {
            return false;
        };
        let found = || {
            let kind = ffi::lua_getfield(state, at, name);
            let value = ffi::lua_tointegerx(state, -1, ptr::null_mut());
            ffi::lua_settop(state, -2);
            kind == ffi::LUA_TNUMBER && value == 5
        };
        let same = !enter(empty, text, Value::TRUE)
            && !enter(table, text, Value::NIL)
            && enter(table, text, Value::integer(5))
            && !enter(table, text, Value::TRUE)
            && found();
        for number in 1..=9 {
            ffi::lua_pushinteger(state, number);
            ffi::lua_rawsetp(state, at, ptr::without_provenance(0x1000 * number as usize));
        }
        same && found()
    }
}

unsafe fn probe_new(state: *mut lua_State) -> bool {
    static KEYS: [u8; 3] = [0; 3];
    let key = |place: usize| ptr::from_ref(&KEYS[place]).cast::<c_void>();
    // SAFETY: as for `probe`; the collector stands still. Stack: some values more.
    unsafe {
        ffi::lua_gc(state, ffi::LUA_GCCOLLECT);
        ffi::lua_gc(state, ffi::LUA_GCSTOP);
        let at = ffi::lua_gettop(state) + 1;
        ffi::lua_createtable(state, 0, 2);
        ffi::lua_createtable(state, 0, 4);
        let (Some(table), Some(other)) = (
            (*super::at(state, at)).as_table(),
            (*super::at(state, at + 1)).as_table(),
        ) else {
            return false;
        };
        let pair = || fill_pair(table, (key(0), Value::integer(5)), (other, Value::table(other)));
        let mut same = is_new(table) && pair() && !pair();
        ffi::lua_pushvalue(state, at + 1);
        same = same
            && ffi::lua_rawget(state, at) == ffi::LUA_TTABLE
            && ffi::lua_topointer(state, -1) == other.cast()
            && ffi::lua_rawgetp(state, at, key(0)) == ffi::LUA_TNUMBER
            && light_field(table, key(0)).as_integer() == Some(5)
            && light_field(table, key(1)).is_nil();
        for name in [c"a", c"b"] {
            same = same && ffi::lua_getfield(state, at, name.as_ptr()) == ffi::LUA_TNIL;
        }
        // Both are found again once Lua has made room for more.
        ffi::lua_pushboolean(state, 1);
        ffi::lua_rawsetp(state, at, key(2));
        ffi::lua_pushvalue(state, at + 1);
        same = same
            && ffi::lua_rawget(state, at) == ffi::LUA_TTABLE
            && light_field(table, key(2)).as_boolean() == Some(true);
        set_light_number(table, key(0), 6);
        set_light_number(table, key(2), 6);
        same = same
            && ffi::lua_rawgetp(state, at, key(0)) == ffi::LUA_TNUMBER
            && ffi::lua_tointegerx(state, -1, ptr::null_mut()) == 6
            && light_field(table, key(2)).as_boolean() == Some(true);
        // Grown by Lua, and found all the same.
        for number in 1..=9 {
            ffi::lua_pushinteger(state, number);
            ffi::lua_rawsetp(state, at, ptr::without_provenance(0x1000 * number as usize));
        }
        same = same
            && light_field(table, key(0)).as_integer() == Some(6)
            && (1..=9).all(|number| {
                light_field(table, ptr::without_provenance(0x1000 * number)).as_integer()
                    == Some(number as i64)
            })
            && light_field(table, ptr::without_provenance(0x55)).is_nil();
        // A metatable copied from another: Lua finds its fields.
        for name in [c"__index", c"__len", c"__name"] {
            ffi::lua_pushinteger(state, name.count_bytes() as ffi::lua_Integer);
            ffi::lua_setfield(state, at + 1, name.as_ptr());
        }
        ffi::lua_settop(state, at + 1);
        ffi::lua_createtable(state, 0, 4);
        ffi::lua_createtable(state, 0, 0);
        ffi::lua_pushstring(state, c"__index".as_ptr());
        let (Some(copy), Some(plain), Some(index)) = (
            (*super::at(state, at + 2)).as_table(),
            (*super::at(state, at + 3)).as_table(),
            (*super::at(state, at + 4)).as_short_text(),
        ) else {
            return false;
        };
        same = same && is_new(copy) && is_new(plain) && !copy_hash(plain, other) && copy_hash(copy, other);
        adorn(plain, copy);
        same = same
            && metatable(plain) == Some(copy)
            && ffi::lua_getfield(state, at + 2, c"__len".as_ptr()) == ffi::LUA_TNUMBER
            && !replace_field(plain, index, Value::TRUE)
            && replace_field(copy, index, Value::table(other))
            && ffi::lua_getfield(state, at + 3, c"__name".as_ptr()) == ffi::LUA_TNUMBER
            && ffi::lua_tointegerx(state, -1, ptr::null_mut()) == 6;
        // Going over to generations, the collector looks at everything.
        ffi::lua_gc(state, ffi::LUA_GCRESTART);
        ffi::lua_gc(state, ffi::LUA_GCGEN);
        same = same && !is_new(copy) && !is_new(table);
        ffi::lua_gc(state, ffi::LUA_GCINC);
        same
    }
}
