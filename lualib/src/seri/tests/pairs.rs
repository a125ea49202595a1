//! Tables with metatables, and Lua code that runs in the middle of packing.

use super::state::State;
use super::value::Value;

#[test]
fn only_pairs_of_all_metamethods_counts() {
    let state = State::new();
    let fields = "setmetatable({1, a = 2}, {__index = print, __len = print})";
    assert_eq!(state.pack(fields), state.pack("{1, a = 2}"));
    assert_eq!(
        state
            .pack("setmetatable({1}, {__pairs = false})")
            .map_err(|error| error.contains("boolean")),
        Err(true)
    );
}

#[test]
fn a_metamethod_may_pack_on_the_same_packer() {
    let state = State::new();
    state
        .run(
            "inner = setmetatable({}, {__pairs = function()
               local s = packstring('a', {'b'})
               assert(not pcall(packstring, {print}))
               return next, {c = s, d = packstring('longer than what is there now', 1, 2, 3)}
             end})
             local a, t, b = unpack(packstring('before', {1, inner, {inner}}, 'after'))
             assert(a == 'before' and b == 'after' and t[1] == 1)
             assert(t[2].c == packstring('a', {'b'}) and t[3][1].c == t[2].c)
             assert(select('#', unpack(t[2].d)) == 4)",
        )
        .unwrap();
}

#[test]
fn an_error_in_the_middle_leaves_nothing_behind() {
    let state = State::new();
    state
        .run(
            "failing = setmetatable({}, {__pairs = function() packstring('x') error({code = 7}) end})
             local ok, e = pcall(packstring, 1, {2, {failing}})
             assert(not ok and e.code == 7)",
        )
        .unwrap();
    assert_eq!(state.pack("1"), Ok(vec![0x0a, 1]));
    let yielding = "setmetatable({}, {__pairs = function() coroutine.yield() end})";
    let message = state
        .run(&format!("local co = coroutine.wrap(packstring) co({yielding})"))
        .unwrap_err();
    assert!(
        message.contains("attempt to yield across a C-call boundary"),
        "{message}"
    );
}

#[test]
fn a_table_may_change_while_it_is_walked() {
    let state = State::new();
    let outcome = state.eval(
        "local t = {1, 2, 3}
         for i = 1, 100 do t['k' .. i] = i end
         local function clear()
           for k in pairs(t) do t[k] = nil end
           for i = 1, 1000 do t['n' .. i] = i end
           collectgarbage()
         end
         t[2] = setmetatable({}, {__pairs = function() clear() return next, {} end})
         return (pcall(packstring, t)), packstring('fine')",
    );
    let outcome = outcome.expect("no error but the protected one");
    assert_eq!(outcome[1], Value::String(b"\x24fine"[..].to_vec()));
}

#[test]
fn tables_of_every_size_are_items_first() {
    let state = State::new();
    state
        .run(
            "for n = 0, 70 do
               local t = {}
               for i = n, 1, -1 do t[i] = i end       -- items in the hash part
               t.x, t[-1], t[n + 2] = 1, 2, 3
               local back = unpack(packstring(t))
               for k, v in pairs(t) do assert(back[k] == v) end
               for k, v in pairs(back) do assert(t[k] == v) end
               local array = {}
               for i = 1, n do array[i] = i end
               local copy = {}
               for i = n, 1, -1 do copy[i] = i end
               assert(#t ~= n or packstring(array) == packstring(copy))
             end",
        )
        .unwrap();
}
