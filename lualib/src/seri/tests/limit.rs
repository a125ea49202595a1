//! Lua's memory limit in the middle of packing and unpacking: an error, and nothing left behind.

use mlua::ffi;

use super::state::State;

/// Runs `source` under every limit from none to enough; it must fail with Lua's memory error until it succeeds.
fn under_every_limit(prepare: &str, source: &str) {
    let mut failures = 0;
    for step in 0.. {
        let mut state = State::new();
        state.run(prepare).expect("there is no limit yet");
        state.live_bytes();
        drop(state.take_blocks());
        state.limit(step * 64);
        let outcome = state.run(source);
        state.limit(usize::MAX);
        state
            .run("assert(#{unpack(packstring(1, {2}, '3'))} == 3)")
            .expect("the packer still works");
        drop(state.take_blocks());
        let arena = state.arena;
        drop(state);
        assert_eq!(arena.stats().live_blocks, 0);
        match outcome {
            Ok(()) => break,
            Err(message) => assert!(message.contains("not enough memory"), "{message}"),
        }
        failures += 1;
    }
    assert!(failures > 3, "the limits reach into what is tested");
}

#[test]
fn unpacking_fails_cleanly() {
    under_every_limit(
        "local t = {} for i = 1, 20 do t['k' .. i] = {i, {x = i}, rep('s', i * 10)} end s = packstring(t, 1, {t})",
        "unpack(s)",
    );
}

#[test]
fn receiving_attachments_fails_cleanly() {
    let prepare = "big = {} for i = 1, 10 do big[i] = rep('s', 2000 + i) end number = send(big)";
    // The message is received more than once, so the list of blocks must survive the preparation.
    let mut failures = 0;
    for step in 0.. {
        let mut state = State::new();
        state.run(prepare).expect("there is no limit yet");
        state.live_bytes();
        state.limit(step * 32);
        let outcome = state.run("receive(number)");
        state.limit(usize::MAX);
        state.live_bytes();
        assert_eq!(state.host.strings.held_bytes(), 0);
        drop(state.take_blocks());
        let arena = state.arena;
        drop(state);
        assert_eq!(arena.stats().live_blocks, 0);
        if outcome.is_ok() {
            break;
        }
        failures += 1;
    }
    assert!(failures > 3, "the limits reach into what is tested");
}

#[test]
fn packing_fails_cleanly_or_does_without_memory() {
    let prepare = "big = {} for i = 1, 10 do big[i] = rep('s', 2000 + i) end
                   meta = setmetatable({}, {__pairs = function() return next, {a = packstring(rep('x', 100))} end})";
    under_every_limit(prepare, "send(big, meta, {meta})");
}

#[test]
fn garbage_makes_room_for_the_stack() {
    let mut state = State::new();
    state
        .run(
            "local s = packstring(seq(1, 100))
             local co = coroutine.create(function() return #unpack(s) end)
             function go() return select(2, coroutine.resume(co)) end
             collectgarbage('stop')
             for i = 1, 1000 do local _ = {i} end",
        )
        .expect("there is no limit yet");
    state.limit(1000);
    // SAFETY: a global function is called with an empty stack. A chunk to call it would be compiled, and so collect.
    unsafe {
        ffi::lua_getglobal(state.raw, c"go".as_ptr());
        assert_eq!(ffi::lua_pcall(state.raw, 0, 1, 0), ffi::LUA_OK);
        assert_eq!(ffi::lua_tointeger(state.raw, -1), 100);
    }
}
