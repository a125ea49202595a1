//! Timers, sleeping and waking.

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::SendFailure;
use mlua::ffi::{self, lua_State};

use super::request::{check_yieldable, suspend};
use super::{Anchor, Resumed, State, Tag, Wait, anchor, release_anchor};
use crate::raw;
use crate::stack::{self, Outcome, native};
use crate::vm::{Slot, Vm};

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] =
    &[(c"genid", genid), (c"suspend", suspend_again)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"sleep", sleep),
    (c"yield", yield_now),
    (c"wait", wait),
    (c"wakeup", wakeup),
    (c"timeout", timeout),
    (c"trace_timeout", trace_timeout),
    (c"genid", genid),
];

/// Hundredths of a second from the value at `index`; raises when it is no number.
///
/// # Safety
/// Nothing with a destructor is alive where it may raise.
unsafe fn delay(state: *mut lua_State, index: c_int) -> i32 {
    // SAFETY: the check may raise; nothing is owned.
    unsafe { ffi::luaL_checkinteger(state, index).clamp(0, i32::MAX.into()) as i32 }
}

/// Has the response for `session` sent after `ticks`. A service that is gone gets none, and needs none.
fn arm(vm: &Vm, ticks: i32, session: i32) -> Result<(), stack::Failure> {
    match vm.context.timeout(ticks, session) {
        Err(error) if !matches!(error.reason, SendFailure::Dead(_)) => Err(error.to_string().into()),
        _ => Ok(()),
    }
}

/// Takes note of the token at `index`; without one the running thread is its own.
///
/// # Safety
/// May raise: entering the token grows a table.
unsafe fn enter_token(
    vm: *mut Vm,
    state: *mut lua_State,
    index: c_int,
    session: i32,
) -> Result<Option<Anchor>, stack::Failure> {
    // SAFETY: the anchor is released again when the token is forgotten. Stack: unchanged.
    unsafe {
        let current = (*vm).tasks.current;
        let own = (*vm).tasks.task(current).thread;
        let is_own = ffi::lua_toboolean(state, index) == 0 && own == state
            || ffi::lua_type(state, index) == ffi::LUA_TTHREAD && ffi::lua_tothread(state, index) == own;
        if is_own && (*vm).tasks.tokens == 0 {
            return Ok(None);
        }
        if ffi::lua_toboolean(state, index) == 0 {
            ffi::lua_pushthread(state);
        } else {
            ffi::lua_pushvalue(state, index);
        }
        (*vm).push_slot(state, Slot::Tokens);
        ffi::lua_pushvalue(state, -2);
        let taken = ffi::lua_rawget(state, -2) != ffi::LUA_TNIL;
        ffi::lua_pop(state, 1);
        if taken || !is_own && sleeps_by_itself(vm, ffi::lua_tothread(state, -2)) {
            return Err("token duplicative".into());
        }
        if is_own {
            ffi::lua_pop(state, 2);
            return Ok(None);
        }
        // First, because it may raise: an entry that nobody counts would keep the token for ever.
        ffi::lua_pushvalue(state, -2);
        let place = anchor(state);
        ffi::lua_pushvalue(state, -2);
        ffi::lua_pushinteger(state, session.into());
        ffi::lua_rawset(state, -3);
        ffi::lua_pop(state, 2);
        (*vm).tasks.tokens += 1;
        Ok(Some(place))
    }
}

/// Whether `thread` is a task that sleeps with itself as the token.
///
/// # Safety
/// `vm` is live.
unsafe fn sleeps_by_itself(vm: *mut Vm, thread: *mut lua_State) -> bool {
    // SAFETY: no Lua code runs in here.
    let tasks = unsafe { &mut (*vm).tasks };
    tasks.by_thread.get(&(thread as usize)).is_some_and(|id| {
        let session = tasks.list[*id as usize].session;
        matches!(tasks.waits.get(session), Some(Wait::Sleep { token: None, .. }))
    })
}

/// The sleeper is awake: its token is free again.
///
/// # Safety
/// No Lua code runs in here.
pub(super) unsafe fn forget_token(vm: *mut Vm, token: Option<Anchor>) {
    if let Some(place) = token {
        // SAFETY: setting a present key to nil neither grows the table nor raises; the vault has room.
        unsafe {
            let vault = (*vm).vault;
            ffi::lua_rawgeti(vault, Slot::Anchors as c_int, place.get().into());
            ffi::lua_pushnil(vault);
            ffi::lua_rawset(vault, Slot::Tokens as c_int);
            release_anchor(vm, place);
            (*vm).tasks.tokens -= 1;
        }
    }
}

/// `sleep(ti, token) -> nothing | "BREAK"`
unsafe extern "C-unwind" fn sleep(state: *mut lua_State) -> c_int {
    // SAFETY: `fall_asleep` owns nothing when it raises or returns.
    unsafe {
        let ticks = delay(state, 1);
        match fall_asleep(state, 2, Some(ticks)) {
            Ok(session) => suspend(state, session, slept),
            failure => stack::finish(state, failure),
        }
    }
}

/// `yield()`: behind everything that is queued already.
unsafe extern "C-unwind" fn yield_now(state: *mut lua_State) -> c_int {
    // SAFETY: as for `sleep`.
    unsafe {
        ffi::lua_settop(state, 0);
        match fall_asleep(state, 1, Some(0)) {
            Ok(session) => suspend(state, session, slept),
            failure => stack::finish(state, failure),
        }
    }
}

/// `wait(token)`
unsafe extern "C-unwind" fn wait(state: *mut lua_State) -> c_int {
    // SAFETY: as for `sleep`.
    unsafe {
        match fall_asleep(state, 1, None) {
            Ok(session) => suspend(state, session, waited),
            failure => stack::finish(state, failure),
        }
    }
}

/// Enters the running task as one that sleeps, with the token at that index, until it is woken or `ticks` are over. Gives the session to
/// suspend it with.
///
/// # Safety
/// Called by a native in a thread of its service, with nothing alive that has a destructor: it may raise.
unsafe fn fall_asleep(state: *mut lua_State, token: c_int, ticks: Option<i32>) -> Outcome {
    // SAFETY: nothing raises after the token is entered.
    unsafe {
        let vm = Vm::of(state);
        check_yieldable(state)?;
        let current = (*vm).tasks.current;
        if matches!((*vm).tasks.task(current).tag, Tag::On(_)) && ticks.is_some() {
            super::trace::log_with_stack(state, "sleep", 2);
        }
        let session = (*vm).new_session();
        let token = enter_token(vm, state, token, session)?;
        (*vm).tasks.waits.insert(
            session,
            Wait::Sleep {
                task: current,
                timer: ticks.is_some(),
                token,
            },
        );
        if let Some(ticks) = ticks
            && let Err(failure) = arm(&*vm, ticks, session)
        {
            (*vm).tasks.waits.remove(session);
            forget_token(vm, token);
            return Err(failure);
        }
        Ok(session)
    }
}

unsafe extern "C-unwind" fn slept(
    state: *mut lua_State,
    _status: c_int,
    _context: ffi::lua_KContext,
) -> c_int {
    // SAFETY: pushes one value at most.
    unsafe {
        if (*Vm::of(state)).tasks.resumed == Resumed::Woken {
            ffi::lua_pushstring(state, c"BREAK".as_ptr());
            return 1;
        }
        0
    }
}

unsafe extern "C-unwind" fn waited(
    _state: *mut lua_State,
    _status: c_int,
    _context: ffi::lua_KContext,
) -> c_int {
    0
}

/// `suspend()`: hands on the suspension of a coroutine inside this one; see `skynet.coroutine`.
unsafe extern "C-unwind" fn suspend_again(state: *mut lua_State) -> c_int {
    // SAFETY: the inner coroutine has entered its wait for the running task.
    unsafe {
        if let Err(failure) = check_yieldable(state) {
            return stack::finish(state, Err(failure));
        }
        let session = (*Vm::of(state)).tasks.running().map_or(0, |task| task.session);
        suspend(state, session, waited)
    }
}

native! {
    /// `wakeup(token) -> true | nil`
    fn wakeup(state) {
        // SAFETY: table reads that do not raise; a nil token finds nobody. Stack: one result.
        unsafe {
            let vm = Vm::of(state);
            ffi::lua_settop(state, 1);
            let mut session = 0;
            if (*vm).tasks.tokens > 0 && ffi::lua_toboolean(state, 1) != 0 {
                (*vm).push_slot(state, Slot::Tokens);
                ffi::lua_pushvalue(state, 1);
                ffi::lua_rawget(state, -2);
                session = ffi::lua_tointegerx(state, -1, ptr::null_mut()) as i32;
                ffi::lua_settop(state, 1);
            }
            if session == 0 {
                let thread = ffi::lua_tothread(state, 1);
                let Some(id) = (*vm).tasks.by_thread.get(&(thread as usize)).copied() else { return Ok(0) };
                if (*vm).tasks.woken.contains(&id) {
                    // Awake already, though it has not run yet: waking twice is harmless.
                    ffi::lua_pushboolean(state, 1);
                    return Ok(1);
                }
                if !sleeps_by_itself(vm, thread) {
                    return Ok(0);
                }
                session = (*vm).tasks.task(id).session;
            }
            let Some(Wait::Sleep { task, timer, token }) = (*vm).tasks.waits.remove(session) else { return Ok(0) };
            if timer {
                // The timer cannot be taken back; its message will find this.
                (*vm).tasks.waits.insert(session, Wait::Cancelled);
            }
            forget_token(vm, token);
            if !(*vm).tasks.awaits(task, session) {
                return Ok(0);
            }
            (*vm).tasks.task(task).session = 0;
            (*vm).tasks.woken.push_back(task);
            ffi::lua_pushboolean(state, 1);
            Ok(1)
        }
    }
}

native! {
    /// `timeout(ti, func) -> thread`
    fn timeout(state) {
        // SAFETY: everything that may raise comes before the wait is entered. Stack: one result when it is wanted.
        unsafe {
            let vm = Vm::of(state);
            let ticks = delay(state, 1);
            stack::check_callable(state, 2);
            ffi::lua_settop(state, 2);
            let traceback = if (*vm).tasks.trace_timeout {
                let text = format!("TIMER {}+{ticks} : ", (*vm).context.now_cs());
                stack::push_text(state, text);
                let text = ffi::lua_tolstring(state, -1, ptr::null_mut());
                ffi::luaL_traceback(state, state, text, 1);
                let place = anchor(state);
                ffi::lua_settop(state, 2);
                Some(place)
            } else {
                None
            };
            let wait = if raw::wanted_results(state) == 0 {
                let function = anchor(state);
                Wait::Timer { function, traceback }
            } else {
                let id = super::run::take_task(state);
                let task = (*vm).tasks.task(id);
                task.state = State::Ready;
                let thread = task.thread;
                ffi::lua_xmove(state, thread, 1);
                ffi::lua_pushthread(thread);
                ffi::lua_xmove(thread, state, 1);
                Wait::TaskTimer { task: id, traceback }
            };
            let session = (*vm).new_session();
            if let Wait::TaskTimer { task, .. } = wait {
                (*vm).tasks.task(task).session = session;
            }
            if let Err(failure) = arm(&*vm, ticks, session) {
                traceback.into_iter().for_each(|place| release_anchor(vm, place));
                match wait {
                    Wait::TaskTimer { task, .. } => super::end::end(vm, state, task),
                    Wait::Timer { function, .. } => release_anchor(vm, function),
                    _ => unreachable!("a timer"),
                }
                return Err(failure);
            }
            (*vm).tasks.waits.insert(session, wait);
            Ok(c_int::from(ffi::lua_gettop(state) == 2))
        }
    }
}

native! {
    /// `trace_timeout(on)`
    fn trace_timeout(state) {
        // SAFETY: no Lua code runs in here.
        unsafe {
            (*Vm::of(state)).tasks.trace_timeout = ffi::lua_toboolean(state, 1) != 0;
            Ok(0)
        }
    }
}

native! {
    /// `genid() -> integer`
    fn genid(state) {
        // SAFETY: pushes one integer.
        unsafe {
            let session = (*Vm::of(state)).new_session();
            ffi::lua_pushinteger(state, session.into());
            Ok(1)
        }
    }
}
