//! Packed Lua values.

#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "raw Lua stack code: one note states the shape of the stack"
)]

use std::ffi::{c_int, c_void};

use fulmar_arena::Arena;
use fulmar_lualib::seri::{Attach, ExternalStrings, PackError, Packer, RecentStrings, unpack};
use mlua::ffi::{self, lua_State};

/// Unpacks the bytes into a Lua state; what that gives can be packed again, and unpacked.
pub fn seri(data: &[u8]) {
    let mut job = Job {
        data,
        packer: Packer::new(Arena::process()),
        strings: ExternalStrings::new(),
    };
    // SAFETY: a state of our own; `run` is called protected with a pointer to a live job. Stack: function and argument, taken
    // by the call.
    let status = unsafe {
        let state = ffi::luaL_newstate();
        assert!(!state.is_null(), "there is memory for a state");
        ffi::lua_pushcclosure(state, run, 0);
        ffi::lua_pushlightuserdata(state, (&raw mut job).cast::<c_void>());
        let status = ffi::lua_pcall(state, 1, 0, 0);
        ffi::lua_close(state);
        status
    };
    assert_eq!(
        status,
        ffi::LUA_OK,
        "unpacking raises nothing while there is memory"
    );
}

struct Job<'a> {
    data: &'a [u8],
    packer: Packer,
    strings: ExternalStrings,
}

unsafe extern "C-unwind" fn run(state: *mut lua_State) -> c_int {
    // SAFETY: index 1 is the pointer that `seri` gave. Stack: the values above it.
    unsafe {
        let job = ffi::lua_touserdata(state, 1).cast::<Job<'_>>();
        let job = &*job;
        ffi::lua_settop(state, 0);
        let recent = RecentStrings::open(state);
        if unpack(state, job.data, None, &job.strings, recent).is_err() {
            return 0;
        }
        let values = ffi::lua_gettop(state);
        ffi::luaL_checkstack(state, 8, std::ptr::null());
        match job.packer.pack(state, 1, values, Attach::No) {
            Ok(()) => {
                ffi::lua_settop(state, 0);
                let again = job.packer.bytes().to_vec();
                assert!(
                    unpack(state, &again, None, &job.strings, recent).is_ok(),
                    "what was packed unpacks"
                );
                assert_eq!(ffi::lua_gettop(state), values, "to as many values");
            }
            // A stream may be deeper than what may be packed.
            Err(error) => assert!(!matches!(error, PackError::Raised), "no Lua code runs"),
        }
        0
    }
}
