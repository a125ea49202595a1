//! Plain tables are written as they lie in memory: byte for byte what Lua's own functions lead to.

use std::ffi::CString;

use fulmar_arena::Arena;
use mlua::ffi;

use crate::seri::{Attach, PackError, Packer};

/// Programs that return one value each, among them every shape that the walk in place gives up on.
const PROGRAMS: &[&str] = &[
    "return {}",
    "return { 1, 2, 3 }",
    "return { 1, nil, 3 }",
    "return { nil, nil, 3, x = 1 }",
    "local t = { 1, 2, 3, 4, 5, 6, 7, 8 } t[7] = nil t[3] = nil return t",
    "local t = { 1, 2, 3, 4 } for i = 1, 4 do t[i] = nil end t[2] = 5 return t",
    "local t = {} for i = 1, 100 do t[i] = i * 1.5 end return t",
    "local t = {} for i = 100, 1, -1 do t[i] = i end return t",
    "local t = {} for i = 1, 100 do t[i * 1000] = i end t[1] = 'one' return t",
    "local t = {} for i = 1, 60 do t['k' .. i] = i end for i = 1, 60, 2 do t['k' .. i] = nil end return t",
    "local t = {} for i = 1, 60 do t['k' .. i] = { id = i, name = 'n' .. i, pos = { i, i * 2.5, -i } } end return t",
    "return { [true] = false, [false] = true, [1.5] = 2, [-1] = 'x', [2^53] = math.mininteger, s = '' }",
    "return { a = { b = { c = { d = { {}, { {} } } } } } }",
    "return { ('x'):rep(40), ('x'):rep(41), ('y'):rep(2000), { ('z'):rep(100000) } }",
    "return { deep = setmetatable({ 1, x = 2 }, {}) }",
    "return { deep = { setmetatable({}, { __pairs = function() return function(_, k) if not k then return 1, 2 end end end }) } }",
    "local t = {} for i = 1, 31 do t = { t } end return t",
    "local t = {} for i = 1, 40 do t = { t } end return t",
    "local t = {} t.t = t return t",
    "return { f = print }",
    "return { [print] = 1 }",
    "return { { { io.stdout } } }",
    "return { 1, 2, 3, n = 3, [4.0] = 'float key', [1e300] = 'far' }",
    "return table.pack(nil, nil, nil)",
];

/// What one value is packed to by each packer, or why it is not: one value, since the order of a table is its state's own.
fn packed(packers: [&Packer; 2], program: &str, attach: Attach) -> [Result<Vec<u8>, PackError>; 2] {
    let program = CString::new(program).expect("programs hold no zero");
    // SAFETY: a state of our own, closed at the end; the packers live longer. Stack: the value alone, then what an error left.
    unsafe {
        let state = ffi::luaL_newstate();
        ffi::luaL_openlibs(state);
        assert_eq!(
            ffi::luaL_loadstring(state, program.as_ptr()),
            ffi::LUA_OK,
            "{program:?}"
        );
        assert_eq!(ffi::lua_pcall(state, 0, 1, 0), ffi::LUA_OK, "{program:?}");
        let results = packers.map(|packer| {
            let result = packer.pack(state, 1, 1, attach).map(|()| packer.bytes().to_vec());
            packer.clear();
            assert_eq!(ffi::lua_gettop(state), 1, "the stack is as it was");
            result
        });
        ffi::lua_close(state);
        results
    }
}

#[test]
fn both_ways_write_the_same() {
    for program in PROGRAMS {
        for attach in [Attach::No, Attach::Yes] {
            let in_place = Packer::new(Arena::process());
            let through_lua = Packer::new(Arena::process()).through_lua();
            let [a, b] = packed([&in_place, &through_lua], program, attach);
            assert_eq!(a, b, "{program}");
        }
    }
}
