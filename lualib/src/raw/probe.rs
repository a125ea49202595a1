//! Whether the records are laid out as these files say: what they read is compared with what Lua reads.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use mlua::ffi::{self, lua_State};

use super::*;

/// Whether the records are laid out as this file says.
pub(crate) fn is_expected() -> bool {
    static EXPECTED: OnceLock<bool> = OnceLock::new();
    *EXPECTED.get_or_init(|| {
        // SAFETY: a state of our own, closed at the end; the probes compare what they read with what they were given.
        unsafe {
            let state = ffi::luaL_newstate();
            if state.is_null() {
                return false;
            }
            let expected = ffi::lua_checkstack(state, 64) != 0
                && probe_results(state)
                && probe_values(state)
                && probe_objects::probe(state);
            ffi::lua_close(state);
            expected
        }
    })
}

/// Calls with known numbers of arguments and results.
unsafe fn probe_results(state: *mut lua_State) -> bool {
    unsafe extern "C-unwind" fn probe(state: *mut lua_State) -> c_int {
        // SAFETY: a probe compares what it reads with its arguments. Stack: three results.
        unsafe {
            let expected = ffi::lua_tointegerx(state, 1, ptr::null_mut());
            let same = ffi::lua_Integer::from(wanted_results(state)) == expected
                && count(state) == ffi::lua_gettop(state)
                && (*at(state, 1)).as_integer() == Some(expected)
                && argument(state, 1).as_integer() == Some(expected)
                && argument(state, count(state) + 1).is_nil()
                && super::stack::room(state) == ffi::LUA_MINSTACK as isize
                && ensure(state, 30)
                && super::stack::room(state) == 30;
            for _ in 0..3 {
                ffi::lua_pushboolean(state, same.into());
            }
            ffi::lua_pushboolean(state, 1);
            ffi::lua_setglobal(state, if same { c"good".as_ptr() } else { c"bad".as_ptr() });
            3
        }
    }
    let program = c"probe(0) local a = probe(1, 0) local b, c = probe(2, 0, 0) local t = {probe(-1)}";
    // SAFETY: the caller's state has room. Stack: unchanged.
    unsafe {
        ffi::lua_pushcclosure(state, probe, 0);
        ffi::lua_setglobal(state, c"probe".as_ptr());
        let ran = ffi::luaL_loadstring(state, program.as_ptr()) == ffi::LUA_OK
            && ffi::lua_pcall(state, 0, 0, 0) == ffi::LUA_OK;
        ffi::lua_getglobal(state, c"bad".as_ptr());
        ffi::lua_getglobal(state, c"good".as_ptr());
        let good = ffi::lua_toboolean(state, -1) != 0 && ffi::lua_toboolean(state, -2) == 0;
        ffi::lua_settop(state, 0);
        ran && good
    }
}

/// Values of each kind, written here and read by Lua and the other way round; fields of a table that has grown; a suspended thread.
unsafe fn probe_values(state: *mut lua_State) -> bool {
    unsafe extern "C-unwind" fn native(state: *mut lua_State) -> c_int {
        // SAFETY: the probe yields without values.
        unsafe { ffi::lua_yieldk(state, 0, 0, None) }
    }
    // SAFETY: the caller's state has room, and memory for a small table and a thread. Stack: unchanged.
    unsafe {
        let mark = ptr::from_ref(&0u8).cast_mut().cast::<c_void>();
        let values = [
            Value::integer(-7),
            Value::TRUE,
            Value::boolean(false),
            Value::light(mark),
            Value::native(native),
        ];
        values.into_iter().for_each(|value| push(state, value));
        let mut same = ffi::lua_gettop(state) == 5
            && super::stack::depth(state) == 6
            && ffi::lua_tointegerx(state, 1, ptr::null_mut()) == -7
            && ffi::lua_isinteger(state, 1) != 0
            && ffi::lua_type(state, 2) == ffi::LUA_TBOOLEAN
            && ffi::lua_toboolean(state, 2) != 0
            && ffi::lua_type(state, 3) == ffi::LUA_TBOOLEAN
            && ffi::lua_toboolean(state, 3) == 0
            && ffi::lua_type(state, 4) == ffi::LUA_TLIGHTUSERDATA
            && ffi::lua_touserdata(state, 4) == mark
            && ffi::lua_tocfunction(state, 5)
                .is_some_and(|found| ptr::fn_addr_eq(found, native as ffi::lua_CFunction));
        ffi::lua_pushnil(state);
        same = same
            && (*at(state, 4)).as_light() == Some(mark)
            && (*at(state, 5)).as_light().is_none()
            && (*at(state, 6)).is_nil()
            && !(*at(state, 1)).is_nil()
            && (*at(state, 5)).is_native(native);
        truncate(state, 1);
        same = same && ffi::lua_gettop(state) == 1;

        ffi::lua_createtable(state, 0, 0);
        for name in NAMES {
            ffi::lua_pushinteger(state, name.count_bytes() as ffi::lua_Integer);
            ffi::lua_setfield(state, 2, name.as_ptr());
        }
        ffi::lua_pushnil(state);
        ffi::lua_setfield(state, 2, NAMES[0].as_ptr());
        let table = (*at(state, 2)).as_table();
        for (place, name) in NAMES.into_iter().enumerate() {
            ffi::lua_pushstring(state, name.as_ptr());
            same = same
                && match ((*at(state, 3)).as_short_text(), table) {
                    (Some(text), Some(table)) => {
                        let found = field(table, text);
                        text_bytes(text) == name.to_bytes()
                            && match place {
                                0 => found.is_nil(),
                                _ => found.as_integer() == Some(name.count_bytes() as i64),
                            }
                    }
                    _ => false,
                };
            truncate(state, 2);
        }
        ffi::lua_pushstring(state, c"a name that no table of ours has".as_ptr());
        same = same
            && match ((*at(state, 3)).as_short_text(), table) {
                (Some(text), Some(table)) => field(table, text).is_nil(),
                _ => false,
            };
        let far = |number: u8| number * 14 + 20;
        for number in 1..=16u8 {
            ffi::lua_pushinteger(state, number.into());
            ffi::lua_rawseti(state, 2, far(number).into());
            ffi::lua_pushinteger(state, number.into());
            ffi::lua_rawseti(state, 2, number.into());
        }
        same =
            same && (1..=16u8).all(|number| {
                let is_it = |found: Value| found.as_integer() == Some(number.into());
                table.is_some_and(|table| {
                    numbered(table, far(number)).is_some_and(is_it)
                        && numbered(table, number).is_none_or(is_it)
                })
            }) && table.is_some_and(|table| numbered(table, 17).is_some_and(Value::is_nil));
        truncate(state, 1);

        same = same && probe_walk(state);

        let suspended = ffi::lua_newthread(state);
        push(suspended, Value::native(native));
        let mut results = 0;
        same = same
            && status(suspended) == ffi::LUA_OK
            && ffi::lua_resume(suspended, state, 0, &mut results) == ffi::LUA_YIELD
            && status(suspended) == ffi::LUA_YIELD;
        ffi::lua_settop(state, 0);
        same
    }
}

/// A table with an array part that has a hole and room, a hash part with every kind of key, and a metatable or none: walked here
/// and by Lua.
unsafe fn probe_walk(state: *mut lua_State) -> bool {
    // SAFETY: the caller's state has room, and memory for a small table. Stack: unchanged.
    unsafe {
        let top = ffi::lua_gettop(state);
        let index = top + 1;
        ffi::lua_createtable(state, 7, 3);
        for place in [1, 2, 3, 5] {
            ffi::lua_pushnumber(state, place as f64 + 0.5);
            ffi::lua_rawseti(state, index, place);
        }
        let Some(table) = (*at(state, index)).as_table() else {
            return false;
        };
        for (place, number) in [(5, Value::integer(-6)), (6, Value::float(7.5))] {
            set_number(table, place, number);
            ffi::lua_rawgeti(state, index, place as i64 + 1);
            push(state, number);
            if ffi::lua_rawequal(state, -1, -2) == 0 {
                return false;
            }
            ffi::lua_pushnil(state);
            ffi::lua_rawseti(state, index, place as i64 + 1);
            ffi::lua_settop(state, index);
        }
        ffi::lua_pushboolean(state, 1);
        ffi::lua_setfield(state, index, c"flag".as_ptr());
        ffi::lua_pushinteger(state, 77);
        ffi::lua_rawseti(state, index, 1 << 40);
        ffi::lua_pushnumber(state, 2.25);
        ffi::lua_pushstring(state, c"text".as_ptr());
        ffi::lua_rawset(state, index);
        let Some(table) = (*at(state, index)).as_table() else {
            return false;
        };
        let mut same = !has_metatable(table) && array_len(table) == 7;
        let array = (0..array_len(table)).filter_map(|place| {
            let value = item(table, place);
            (!value.is_nil()).then_some((Value::integer(place as i64 + 1), value))
        });
        let hash = (0..hash_len(table)).filter_map(|place| entry(table, place));
        let mut steps = 0;
        ffi::lua_pushnil(state);
        for (key, value) in array.chain(hash) {
            if ffi::lua_next(state, index) == 0 {
                same = false;
                break;
            }
            steps += 1;
            push(state, key);
            push(state, value);
            same = same
                && value.kind() == ffi::lua_type(state, -1)
                && ffi::lua_rawequal(state, -4, -2) != 0
                && ffi::lua_rawequal(state, -3, -1) != 0
                && match value.content() {
                    Content::Float(value) => {
                        value.to_bits() == ffi::lua_tonumberx(state, -1, ptr::null_mut()).to_bits()
                    }
                    Content::ShortText(text) => text_bytes(text) == b"text",
                    Content::Integer(value) => value == 77,
                    Content::Boolean(value) => value,
                    _ => false,
                };
            ffi::lua_settop(state, index + 1);
        }
        same = same && steps == 7 && ffi::lua_next(state, index) == 0;
        ffi::lua_settop(state, index);
        same = same && metatable(table).is_none();
        ffi::lua_createtable(state, 0, 0);
        let expected = (*at(state, index + 1)).as_table();
        ffi::lua_setmetatable(state, index);
        same = same && has_metatable(table) && metatable(table) == expected;
        ffi::lua_settop(state, top);
        same
    }
}

/// Names of different lengths that share chains.
const NAMES: [&std::ffi::CStr; 12] = [
    c"a",
    c"id",
    c"pack",
    c"trace",
    c"unpack",
    c"dispatch",
    c"name",
    c"k",
    c"key",
    c"keys1",
    c"keys22",
    c"keys333",
];

#[cfg(test)]
mod tests {
    #[test]
    fn records_are_laid_out_as_expected() {
        assert!(super::is_expected());
    }
}
