//! The stack of a thread, and the call that runs on it.

use std::ffi::{c_int, c_void};

use mlua::ffi::{self, lua_State};

use super::Link;
use super::value::Value;

/// The beginning of `lua_State`.
#[repr(C)]
struct Thread {
    _link: Link,
    _kind: [u8; 2],
    _allow_hook: u8,
    status: u8,
    top: *mut Value,
    global: *mut Global,
    call: *mut CallInfo,
    stack_last: *mut Value,
    stack: *mut Value,
}

/// The beginning of `global_State`.
#[repr(C)]
pub(super) struct Global {
    pub(super) allocate: ffi::lua_Alloc,
    pub(super) memory: *mut c_void,
    /// What is allocated, and beside that how much of it the collector has not been told of.
    pub(super) total: isize,
    pub(super) debt: isize,
}

/// `CallInfo`.
#[repr(C)]
struct CallInfo {
    function: *mut Value,
    top: *mut Value,
    _previous: *mut CallInfo,
    _next: *mut CallInfo,
    _continuation: [usize; 3],
    _extra: c_int,
    /// Bits 0 to 7: the number of wanted results plus one.
    status: u32,
}

#[inline(always)]
fn thread(state: *mut lua_State) -> *mut Thread {
    state.cast()
}

/// What all threads of the state share.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(super) unsafe fn global(state: *mut lua_State) -> *mut Global {
    // SAFETY: by (1).
    unsafe { (*thread(state)).global }
}

/// The first argument of the running native: stack index 1.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(super) unsafe fn base(state: *mut lua_State) -> *mut Value {
    // SAFETY: by (1) of the module; a running call has its function on the stack.
    unsafe { (*(*thread(state)).call).function.add(1) }
}

/// `lua_gettop`.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(crate) unsafe fn count(state: *mut lua_State) -> c_int {
    // SAFETY: by (1); both lie in the thread's stack.
    unsafe { (*thread(state)).top.offset_from(base(state)) as c_int }
}

/// The value at a positive index.
///
/// # Safety
/// There is a value: `index` is from 1 to [`count`].
#[inline(always)]
pub(crate) unsafe fn at(state: *mut lua_State, index: c_int) -> *mut Value {
    // SAFETY: by the caller.
    unsafe { base(state).add(index as usize - 1) }
}

/// An argument of the running native by its index from 1; nil when there are not so many.
///
/// # Safety
/// Called from a native that Lua called on `state`.
#[inline(always)]
pub(crate) unsafe fn argument(state: *mut lua_State, index: c_int) -> Value {
    // SAFETY: by the caller.
    unsafe {
        match index <= count(state) {
            true => *at(state, index),
            false => Value::NIL,
        }
    }
}

/// Pushes a value.
///
/// # Safety
/// There is a free slot; the value belongs to the same Lua state.
#[inline(always)]
pub(crate) unsafe fn push(state: *mut lua_State, value: Value) {
    // SAFETY: by the caller. Stack: one value more.
    unsafe {
        let top = &raw mut (*thread(state)).top;
        **top = value;
        *top = (*top).add(1);
    }
}

/// `lua_checkstack`, as a boolean.
///
/// # Safety
/// Called from a native on the thread that runs it.
#[inline(always)]
pub(crate) unsafe fn ensure(state: *mut lua_State, slots: usize) -> bool {
    // SAFETY: by (1); all of these pointers lie in the thread's stack.
    unsafe {
        let thread = thread(state);
        let free = (*thread).stack_last.offset_from((*thread).top);
        if free <= slots as isize {
            return ffi::lua_checkstack(state, slots as c_int) != 0;
        }
        if room(state) < slots as isize {
            (*(*thread).call).top = (*thread).top.add(slots);
        }
        true
    }
}

/// Whether so many slots more are beyond what a stack may ever have. If not, [`ensure`] refuses them for want of memory.
///
/// # Safety
/// `state` is live.
#[cold]
pub(crate) unsafe fn is_overflow(state: *mut lua_State, slots: usize) -> bool {
    /// `LUAI_MAXSTACK`.
    const MOST: usize = 1_000_000;
    // SAFETY: by (1).
    unsafe { depth(state) + slots > MOST }
}

/// How many slots of the stack are taken.
///
/// # Safety
/// `state` is live.
pub(super) unsafe fn depth(state: *mut lua_State) -> usize {
    // SAFETY: by (1); both lie in the thread's stack.
    unsafe {
        (*thread(state))
            .top
            .offset_from((*thread(state)).stack)
            .unsigned_abs()
    }
}

/// How many slots above the top belong to the running call: so many the collector leaves alone.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(super) unsafe fn room(state: *mut lua_State) -> isize {
    // SAFETY: by (1); both lie in the thread's stack.
    unsafe { (*(*thread(state)).call).top.offset_from((*thread(state)).top) }
}

/// Takes the value on top off.
///
/// # Safety
/// There is one.
#[inline(always)]
pub(crate) unsafe fn pop(state: *mut lua_State) -> Value {
    // SAFETY: by the caller. Stack: one value less.
    unsafe {
        let top = &raw mut (*thread(state)).top;
        *top = (*top).sub(1);
        **top
    }
}

/// The value on top.
///
/// # Safety
/// There is one.
#[inline(always)]
pub(crate) unsafe fn top(state: *mut lua_State) -> Value {
    // SAFETY: by the caller.
    unsafe { *(*thread(state)).top.sub(1) }
}

/// Drops the values above index `count`. For natives and threads that mark no variable to be closed.
///
/// # Safety
/// There are that many values at least.
#[inline(always)]
pub(crate) unsafe fn truncate(state: *mut lua_State, count: c_int) {
    // SAFETY: by the caller.
    unsafe { (*thread(state)).top = base(state).add(count as usize) }
}

/// Overwrites what calls have left above the top of a stack.
///
/// # Safety
/// `state` is live and not running.
pub(crate) unsafe fn scrub(state: *mut lua_State) {
    /// What Lua keeps behind the end, for error handling (`EXTRA_STACK`).
    const EXTRA: usize = 5;
    // SAFETY: by (1); slots above the top hold nothing, and all zeros is nil.
    unsafe {
        let top = (*thread(state)).top;
        let len = (*thread(state)).stack_last.offset_from(top);
        top.write_bytes(0, len.unsigned_abs() + EXTRA);
    }
}

/// `lua_status`.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(crate) unsafe fn status(state: *mut lua_State) -> c_int {
    // SAFETY: by (1).
    unsafe { (*thread(state)).status.into() }
}

/// The number of results that the caller of the running native wants; -1 when it takes all there are. `skynet.fork(f)` and
/// `skynet.timeout(ti, f)` return a thread that nearly no program looks at: not to make it saves a kilobyte and most of the time.
///
/// # Safety
/// Called from a native that Lua called on `state`.
#[inline]
pub(crate) unsafe fn wanted_results(state: *mut lua_State) -> c_int {
    // SAFETY: by (1); the record is live while its native runs.
    unsafe { ((*(*thread(state)).call).status & 0xff) as c_int - 1 }
}
