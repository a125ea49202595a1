//! Large strings beside the stream: what is shared, what is counted, what is given back.

use super::state::State;
use super::value::Value;
use crate::seri::{ATTACH_MIN_BYTES, flat_copy, flat_len, flatten};

/// The flattened bytes of the only block that was sent.
fn flattened(state: &State) -> Vec<u8> {
    let block = state.take_blocks().pop().expect("a block was sent");
    let expected_len = flat_len(&block, block.attachments());
    let copy = flat_copy(state.arena, &block, block.attachments(), 7).expect("the arena has room");
    let flat = flatten(state.arena, block, 7).expect("the arena has room");
    assert_eq!(flat[..], copy[..]);
    assert_eq!(flat.len(), expected_len);
    assert_eq!(flat.attachments().len(), 0);
    flat.to_vec()
}

#[test]
fn strings_arrive_shared_and_flatten_to_the_wire_format() {
    let min = ATTACH_MIN_BYTES;
    for len in [0, 31, 32, min - 1, min, min + 1, 65535, 65536, 1 << 20] {
        let state = State::new();
        let values = format!("1, rep('x', {len}), {{rep('y', {len}), [rep('z', {len})] = 'z'}}, 'end'");
        let source = format!(
            "local number, size = send({values})
             assert(size == #packstring({values}))
             local a, b, t, z = receive(number)
             assert(a == 1 and b == rep('x', {len}) and t[1] == rep('y', {len}) and t[rep('z', {len})] == 'z' and z == 'end')
             return packstring({values})"
        );
        let flat = state.eval(&source).expect("the values arrive");
        let held = if len >= min { 3 * len } else { 0 };
        assert_eq!(state.host.strings.held_bytes(), held, "length {len}");
        assert_eq!(vec![Value::String(flattened(&state))], flat, "length {len}");
        state.live_bytes();
        assert_eq!(
            state.host.strings.held_bytes(),
            0,
            "collected strings hold nothing"
        );
    }
}

#[test]
fn sending_the_same_string_again_copies_nothing() {
    let state = State::new();
    state.run("s = rep('s', 65536) send(s)").unwrap();
    let before = state.arena.stats();
    state.run("for _ = 1, 100 do send(s, {s}) end").unwrap();
    let after = state.arena.stats();
    assert_eq!(
        after.live_blocks - before.live_blocks,
        200,
        "a block for each message, one for its second link"
    );
    assert!(after.live_bytes - before.live_bytes < 65536);
}

#[test]
fn sending_a_received_string_on_copies_nothing() {
    let state = State::new();
    let other = State::in_arena(state.arena);
    state.run("send(rep('s', 65536))").unwrap();
    other.host.give(state.take_blocks());
    other.run("r = receive(1)").unwrap();
    let before = state.arena.stats();
    other.run("for _ = 1, 100 do send(r) end").unwrap();
    let after = state.arena.stats();
    assert_eq!(after.live_blocks - before.live_blocks, 100);
    assert!(after.live_bytes - before.live_bytes < 65536);
    drop(state);
    other
        .run("assert(r == rep('s', 65536)) assert(receive(2) == r)")
        .unwrap();
}

#[test]
fn a_block_is_counted_once_however_often_it_is_held() {
    let state = State::new();
    state
        .run("number = send(rep('s', 5000)) a, b = receive(number), receive(number)")
        .unwrap();
    assert_eq!(state.host.strings.held_bytes(), 5000);
    assert_eq!(state.host.strings.take_arrived_bytes(), 5000);
    assert_eq!(state.host.strings.take_arrived_bytes(), 0);
    state.run("a = nil").unwrap();
    state.live_bytes();
    assert_eq!(state.host.strings.held_bytes(), 5000);
    state.run("b = nil").unwrap();
    state.live_bytes();
    assert_eq!(state.host.strings.held_bytes(), 0);
}

#[test]
fn everything_is_given_back_when_states_close() {
    let state = State::new();
    let arena = state.arena;
    let other = State::in_arena(arena);
    state
        .run("for i = 1, 30 do send(i, rep('x', 1000 * i), {rep('y', 2000 * i)}) end keep = receive(7)")
        .unwrap();
    other.host.give(state.take_blocks());
    other
        .run("keep = {} for i = 1, 30 do keep[i] = {receive(i)} end")
        .unwrap();
    drop(state);
    other
        .run("for i = 1, 30 do assert(keep[i][2] == rep('x', 1000 * i)) end")
        .unwrap();
    assert!(arena.stats().live_blocks >= 60);
    drop(other);
    assert_eq!(arena.stats().live_blocks, 0);
}

#[test]
fn a_string_that_is_not_sent_again_is_forgotten() {
    let state = State::new();
    state.run("send(rep('s', 5000))").unwrap();
    drop(state.take_blocks());
    assert_eq!(state.live_blocks(), 1, "remembered");
    // A cycle in which it was used, one in which it was not; the sentinel of the second is made by the first.
    for _ in 0..3 {
        state.live_bytes();
    }
    assert_eq!(state.live_blocks(), 0, "forgotten");

    state.run("s = rep('s', 5000) send(s)").unwrap();
    for _ in 0..10 {
        state.run("send(s)").unwrap();
        drop(state.take_blocks());
        state.live_bytes();
        assert_eq!(state.live_blocks(), 1, "remembered as long as it is used");
    }
    // SAFETY: the packer belongs to this state.
    unsafe { state.host.packer.forget_strings(state.raw) };
    assert_eq!(state.live_blocks(), 0, "forgotten on demand");
    state.run("assert(receive(send(s)) == s)").unwrap();
}

#[test]
fn what_is_remembered_is_bounded() {
    let state = State::new();
    // `rep` takes a step of the collector even if that is stopped; `..` does not.
    state
        .run("long = {} for i = 0, 1 do long[i] = rep('x', 3000000 + i * 27000000) end")
        .unwrap();
    state.run("collectgarbage 'stop' keep = {}").unwrap();
    state
        .run("for i = 1, 100 do keep[i] = rep('x', 2000 + i) send(keep[i]) end")
        .unwrap();
    drop(state.take_blocks());
    assert_eq!(state.live_blocks(), 8);
    state
        .run("for i = 1, 20 do local s = long[0] .. i send(s) send(s) end")
        .unwrap();
    drop(state.take_blocks());
    assert_eq!(state.live_blocks(), 5, "16 MiB");
    state.run("send(long[1]) send(long[1])").unwrap();
    drop(state.take_blocks());
    assert_eq!(state.live_blocks(), 1, "a string beyond the bound is alone");
    state
        .run("for i = 1, 100 do assert(receive(send(keep[i])) == keep[i]) end")
        .unwrap();
}

#[test]
fn remembered_strings_are_never_mistaken_for_others() {
    let state = State::new();
    state
        .run(
            "for i = 1, 2000 do
               local s = rep(string.char(i % 251), 1024 + i % 3)
               assert(receive(send(s, i)) == s)
               if i % 100 == 0 then collectgarbage() end
             end",
        )
        .unwrap();
}

#[test]
fn finalizers_may_send_while_a_string_is_remembered() {
    let state = State::new();
    state
        .run(
            "local sent = 0
             local function arm()
               setmetatable({}, {__gc = function()
                 sent = sent + 1
                 local s = rep('f', 4000 + sent)
                 assert(receive(send(s, {s})) == s)
                 if sent < 200 then arm() end
               end})
             end
             collectgarbage('generational')
             for _ = 1, 5 do arm() end
             for i = 1, 3000 do
               local s = rep('m', 2000 + i % 7)
               local a, t = receive(send(s, {s, {i}}))
               assert(a == s and t[1] == s and t[2][1] == i)
             end
             assert(sent > 5)",
        )
        .unwrap();
}

#[test]
fn a_marker_without_an_attachment_is_malformed() {
    let state = State::new();
    state.run("send(rep('s', 5000), 1)").unwrap();
    let stream = state.take_blocks().pop().expect("a block was sent").to_vec();
    assert_eq!(stream, [0x07, 0x0a, 1]);
    let message = state
        .unpack(&stream)
        .expect_err("there is nothing beside these bytes");
    assert!(message.starts_with("Invalid serialize stream 2"), "{message}");
}

#[test]
fn a_stream_that_no_packer_wrote_is_flattened_as_it_is() {
    let state = State::new();
    let long = state.arena.loan(2000, 0).unwrap().freeze();
    for stream in [&b"\x07\x07"[..], b"\x01", b"\x25", b"\x07\x42\x01"] {
        let mut block = state.arena.loan(stream.len(), 7).unwrap();
        block.copy_from_slice(stream);
        block.attach(long.clone()).unwrap();
        assert_eq!(flatten(state.arena, block, 7).unwrap()[..], *stream);
    }
}

#[test]
fn a_full_arena_is_an_error_and_nothing_is_lost() {
    let arena = fulmar_arena::Arena::new(fulmar_arena::ArenaConfig {
        reserve_bytes: 16 << 20,
        limit_bytes: 8 << 20,
    });
    let state = State::in_arena(arena.expect("the system grants a small arena"));
    state.run("big = rep('b', 9 << 20)").unwrap();
    // SAFETY: the packer belongs to this state. Stack: + the string; the test's own.
    unsafe {
        mlua::ffi::lua_getglobal(state.raw, c"big".as_ptr());
        state
            .host
            .packer
            .pack(state.raw, 1, 1, crate::seri::Attach::Yes)
            .expect("the scratch has room");
        mlua::ffi::lua_settop(state.raw, 0);
    }
    assert!(state.host.packer.to_block(7).is_err());
    assert_eq!(state.live_blocks(), 0);
    state.run("assert(receive(send('small')) == 'small')").unwrap();
}
