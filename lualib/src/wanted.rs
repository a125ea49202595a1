//! How many results the caller of a native wants.
//!
//! `skynet.fork(f)` and `skynet.timeout(ti, f)` return a thread, which nearly no program looks at. Making it only when
//! it is wanted saves a kilobyte and most of the time of a fork. Lua keeps the number in the call record, which the
//! debug interface hands out as an opaque pointer (`lua_Debug.i_ci`). The record's layout belongs to the Lua that is
//! compiled into this crate; [`calibrate`] makes sure of it once per process and turns the shortcut off when the layout
//! is not the expected one.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use mlua::ffi::{self, lua_State};

/// `struct CallInfo` of Lua 5.5.
#[repr(C)]
struct CallInfo {
    func: *mut c_void,
    top: *mut c_void,
    previous: *mut c_void,
    next: *mut c_void,
    continuation: [usize; 3],
    extra: c_int,
    /// Bits 0 to 7: the number of wanted results plus one.
    status: u32,
}

static TRUSTED: OnceLock<bool> = OnceLock::new();

/// The number of results that the caller of the running native wants; -1 when it takes all there are, or when it cannot be
/// told.
///
/// # Safety
/// Called from a native that Lua called on `state`.
pub(crate) unsafe fn results(state: *mut lua_State) -> c_int {
    if *TRUSTED.get_or_init(calibrate) {
        // SAFETY: the layout has been checked.
        unsafe { read(state) }
    } else {
        -1
    }
}

unsafe fn read(state: *mut lua_State) -> c_int {
    // SAFETY: level 0 is the running native; its record is live while it runs.
    unsafe {
        let mut info: ffi::lua_Debug = std::mem::zeroed();
        if ffi::lua_getstack(state, 0, &mut info) == 0 {
            return -1;
        }
        // The last field of the structure, which mlua's binding keeps private.
        let last = size_of::<ffi::lua_Debug>() - size_of::<*const CallInfo>();
        let record = (&raw const info)
            .cast::<u8>()
            .add(last)
            .cast::<*const CallInfo>()
            .read();
        ((*record).status & 0xff) as c_int - 1
    }
}

/// Runs a few calls with known numbers of results in a state of its own.
fn calibrate() -> bool {
    unsafe extern "C-unwind" fn probe(state: *mut lua_State) -> c_int {
        // SAFETY: a probe compares what it reads with its argument. Stack: three results.
        unsafe {
            let expected = ffi::lua_tointegerx(state, 1, std::ptr::null_mut());
            let same = ffi::lua_Integer::from(read(state)) == expected;
            for _ in 0..3 {
                ffi::lua_pushboolean(state, same.into());
            }
            ffi::lua_pushboolean(state, 1);
            ffi::lua_setglobal(state, if same { c"good".as_ptr() } else { c"bad".as_ptr() });
            3
        }
    }
    let program = c"probe(0) local a = probe(1) local b, c = probe(2) local t = {probe(-1)}";
    // SAFETY: a state of our own, closed at the end.
    unsafe {
        let state = ffi::luaL_newstate();
        if state.is_null() {
            return false;
        }
        ffi::lua_pushcclosure(state, probe, 0);
        ffi::lua_setglobal(state, c"probe".as_ptr());
        let ran = ffi::luaL_loadstring(state, program.as_ptr()) == ffi::LUA_OK
            && ffi::lua_pcall(state, 0, 0, 0) == ffi::LUA_OK;
        ffi::lua_getglobal(state, c"bad".as_ptr());
        ffi::lua_getglobal(state, c"good".as_ptr());
        let trusted = ran && ffi::lua_toboolean(state, -1) != 0 && ffi::lua_toboolean(state, -2) == 0;
        ffi::lua_close(state);
        trusted
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_call_record_is_laid_out_as_expected() {
        assert!(super::calibrate());
    }
}
