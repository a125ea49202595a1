//! How a native function ends: the one place that knows how a Lua error leaves Rust.
//!
//! A Lua error is a long jump over the frames between the raise and the protected call. Nothing that has a destructor may
//! be alive in those frames. Every native therefore computes an [`Outcome`], drops what it holds, and hands the outcome
//! to [`finish`], which parks the text in the service's own memory before it raises. Calls into Lua that may raise by
//! themselves (argument checks, allocations, metamethods) happen only where no such value is alive.

use std::ffi::{CStr, c_int, c_void};

use mlua::ffi::{self, lua_State};

use crate::raw;
use crate::vm::Vm;

/// Why a native raises: the text of a Lua error, which gets the caller's position in front.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A fixed text.
    Static(&'static str),
    /// A text made for this occasion, in whatever encoding.
    Text(Vec<u8>),
    /// The error value is on top of the stack already.
    Value,
}

impl Failure {
    /// The text, for the log. An error value on the stack has none here.
    pub(crate) fn into_text(self) -> Vec<u8> {
        match self {
            Failure::Static(text) => text.into(),
            Failure::Text(text) => text,
            Failure::Value => Vec::new(),
        }
    }
}

impl From<&'static str> for Failure {
    fn from(text: &'static str) -> Self {
        Failure::Static(text)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure::Text(text.into_bytes())
    }
}

impl From<Vec<u8>> for Failure {
    fn from(text: Vec<u8>) -> Self {
        Failure::Text(text)
    }
}

/// The number of results on the stack, or why the native raises.
pub(crate) type Outcome = Result<c_int, Failure>;

/// Ends a native function: returns its number of results or raises.
///
/// # Safety
/// `state` is the state the native was called with, and no frame between here and Lua holds a value with a destructor.
#[inline(always)]
pub(crate) unsafe fn finish(state: *mut lua_State, outcome: Outcome) -> c_int {
    match outcome {
        Ok(results) => results,
        // SAFETY: by the caller.
        Err(failure) => unsafe { raise(state, failure) },
    }
}

/// # Safety
/// As for [`finish`].
#[cold]
#[inline(never)]
unsafe fn raise(state: *mut lua_State, failure: Failure) -> ! {
    // SAFETY: by the caller's promise only plain values are alive when `lua_error` jumps; the text was moved into the
    // service's memory first. Stack: pushes one value (the text with its position).
    unsafe {
        let text: *const [u8] = match failure {
            Failure::Value => ffi::lua_error(state),
            Failure::Static(text) => text.as_bytes(),
            Failure::Text(text) => {
                let vm = Vm::of(state);
                (*vm).raised = text;
                (*vm).raised.as_slice()
            }
        };
        // The text first: making the position may run finalizers, whose own errors replace it in the service's memory.
        ffi::lua_pushlstring(state, text.cast(), (&*text).len());
        push_where(state);
        ffi::lua_rotate(state, -2, 1);
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}

/// Pushes the position of the nearest Lua code below the running native: also when `pcall` called it.
///
/// # Safety
/// `state` is the state the native was called with.
unsafe fn push_where(state: *mut lua_State) {
    // SAFETY: reading call records does not raise. Stack: one string more.
    unsafe {
        let mut info: ffi::lua_Debug = std::mem::zeroed();
        let mut level = 1;
        while ffi::lua_getstack(state, level, &mut info) != 0 {
            ffi::lua_getinfo(state, c"l".as_ptr(), &mut info);
            if info.currentline > 0 {
                break;
            }
            level += 1;
        }
        ffi::luaL_where(state, level);
    }
}

/// Defines a raw Lua function whose body gives an [`Outcome`].
macro_rules! native {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($state:ident) $body:block) => {
        $(#[$meta])*
        $visibility unsafe extern "C-unwind" fn $name($state: *mut mlua::ffi::lua_State) -> std::ffi::c_int {
            #[allow(clippy::redundant_closure_call, reason = "it is what lets the body use `?`")]
            let outcome = (|| -> $crate::stack::Outcome { $body })();
            // SAFETY: the state is the one Lua called this function with; the body has dropped everything.
            unsafe { $crate::stack::finish($state, outcome) }
        }
    };
}
pub(crate) use native;

/// Whether the value at `index` is this very native, so that its work can be done without calling it.
///
/// # Safety
/// `state` is a valid state.
pub(crate) unsafe fn is_native(state: *mut lua_State, index: c_int, native: ffi::lua_CFunction) -> bool {
    // SAFETY: reads the value only. Stack: unchanged.
    unsafe { ffi::lua_tocfunction(state, index) }.is_some_and(|found| std::ptr::fn_addr_eq(found, native))
}

/// Sees to the room that a native needs beyond its arguments.
///
/// # Safety
/// `state` is the state the native was called with.
pub(crate) unsafe fn make_room(state: *mut lua_State) -> Result<(), Failure> {
    // SAFETY: does not raise. Stack: unchanged.
    match unsafe { raw::ensure(state, ROOM) } {
        true => Ok(()),
        false => Err("stack overflow".into()),
    }
}

/// More than any native pushes at a time.
const ROOM: usize = 8;

/// Makes the table on top hold its keys ("k") or values ("v") weakly.
///
/// # Safety
/// There is one, without a metatable; `state` runs protected and has two free slots. May raise a memory error: nothing with a
/// destructor is alive.
pub(crate) unsafe fn make_weak(state: *mut lua_State, mode: &CStr) {
    // SAFETY: by the caller. Stack: unchanged.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_pushstring(state, mode.as_ptr());
        ffi::lua_setfield(state, -2, c"__mode".as_ptr());
        ffi::lua_setmetatable(state, -2);
    }
}

/// The text of the error value on top of `state`, which is popped.
///
/// # Safety
/// There is a value on top.
pub(crate) unsafe fn pop_error_text(state: *mut lua_State) -> Vec<u8> {
    // SAFETY: reading a string that is on the stack; no conversion takes place. Stack: one value less.
    unsafe {
        let text = match bytes_at(state, -1) {
            Some(text) => text.to_owned(),
            None => format!("(error object is a {} value)", type_name(state, -1)).into_bytes(),
        };
        ffi::lua_pop(state, 1);
        text
    }
}

/// The bytes of the string at `index`, or none when there is no string (numbers are not converted).
///
/// # Safety
/// The slice is valid only while the string is on the stack or anchored elsewhere.
pub(crate) unsafe fn bytes_at<'a>(state: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    // SAFETY: `lua_tolstring` of a string does not convert, allocate or raise. Stack: unchanged.
    unsafe {
        if ffi::lua_type(state, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let data = ffi::lua_tolstring(state, index, &mut len);
        Some(std::slice::from_raw_parts(data.cast(), len))
    }
}

/// The bytes of the argument at `index`, a string or a number, which becomes one. Raises for anything else.
///
/// # Safety
/// As for [`bytes_at`]; nothing with a destructor is alive.
pub(crate) unsafe fn check_bytes<'a>(state: *mut lua_State, index: c_int) -> &'a [u8] {
    // SAFETY: the check may raise; nothing is owned. Stack: unchanged.
    unsafe {
        let mut len = 0;
        let data = ffi::luaL_checklstring(state, index, &mut len);
        std::slice::from_raw_parts(data.cast(), len)
    }
}

/// The string at `index` as text; invalid UTF-8 is replaced.
///
/// # Safety
/// As for [`bytes_at`]; the result is an owned copy.
pub(crate) unsafe fn text_at(state: *mut lua_State, index: c_int) -> Option<String> {
    // SAFETY: the slice is copied at once.
    unsafe { bytes_at(state, index) }.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The name of the type of the value at `index`, as Lua's messages write it.
///
/// # Safety
/// `state` is a valid state.
pub(crate) unsafe fn type_name(state: *mut lua_State, index: c_int) -> &'static str {
    // SAFETY: `lua_typename` gives static ASCII texts. Stack: unchanged.
    unsafe {
        let name = ffi::lua_typename(state, ffi::lua_type(state, index));
        CStr::from_ptr(name).to_str().unwrap_or("?")
    }
}

/// Pushes bytes as a string. May raise a memory error: nothing with a destructor may be alive.
///
/// # Safety
/// There is a free stack slot; `bytes` belongs to memory that outlives a long jump.
pub(crate) unsafe fn push_bytes(state: *mut lua_State, bytes: &[u8]) {
    // SAFETY: pointer and length of one slice. Stack: one string more.
    unsafe { ffi::lua_pushlstring(state, bytes.as_ptr().cast(), bytes.len()) };
}

/// Pushes an owned text as a string, keeping it in the service's memory meanwhile so that a memory error leaks nothing.
///
/// # Safety
/// As for [`push_bytes`].
pub(crate) unsafe fn push_text(state: *mut lua_State, text: impl Into<Vec<u8>>) {
    // SAFETY: the text lives in the service's memory while Lua copies it. Stack: one string more.
    unsafe {
        let vm = Vm::of(state);
        (*vm).raised = text.into();
        push_bytes(state, &*std::ptr::addr_of!((*vm).raised));
    }
}

/// Adds functions to the table on top of the stack.
///
/// # Safety
/// May raise a memory error; there is a table on top and one free slot.
pub(crate) unsafe fn register(state: *mut lua_State, functions: &[(&CStr, ffi::lua_CFunction)]) {
    for (name, function) in functions {
        // SAFETY: a light C function allocates nothing; setting the field may raise. Stack: unchanged at the end.
        unsafe {
            ffi::lua_pushcclosure(state, *function, 0);
            ffi::lua_setfield(state, -2, name.as_ptr());
        }
    }
}

/// Raises unless the value at `index` can be called.
///
/// # Safety
/// `state` is the state the native was called with; nothing with a destructor is alive.
pub(crate) unsafe fn check_callable(state: *mut lua_State, index: c_int) {
    // SAFETY: the check may raise; nothing is owned. Stack: unchanged.
    unsafe {
        if ffi::lua_type(state, index) == ffi::LUA_TFUNCTION {
            return;
        }
        if ffi::luaL_getmetafield(state, index, c"__call".as_ptr()) == ffi::LUA_TNIL {
            ffi::luaL_checktype(state, index, ffi::LUA_TFUNCTION);
        }
        ffi::lua_pop(state, 1);
    }
}

/// Whether `thread` runs, or waits for a coroutine that it has resumed: it can be neither resumed nor closed.
///
/// # Safety
/// `thread` is a live thread.
pub(crate) unsafe fn is_running(thread: *mut lua_State) -> bool {
    // SAFETY: reading call records does not raise. Stack: unchanged.
    unsafe {
        let mut info: ffi::lua_Debug = std::mem::zeroed();
        ffi::lua_status(thread) == ffi::LUA_OK && ffi::lua_getstack(thread, 0, &mut info) != 0
    }
}

/// Runs `body` as a protected call on `state`; on failure the error value is on top of the stack.
///
/// # Safety
/// `body` gets `argument` as a light userdata at index 1 and follows the rules of natives.
pub(crate) unsafe fn protect(
    state: *mut lua_State,
    body: ffi::lua_CFunction,
    argument: *mut c_void,
    results: c_int,
) -> c_int {
    // SAFETY: a light function and a light userdata need no memory; the caller grants two slots.
    unsafe {
        ffi::lua_pushcclosure(state, body, 0);
        ffi::lua_pushlightuserdata(state, argument);
        ffi::lua_pcall(state, 1, results, 0)
    }
}
