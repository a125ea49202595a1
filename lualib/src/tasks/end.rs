//! How tasks end: by returning, by failing, and because somebody ends them.

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::{Body, MessageType};
use mlua::ffi::{self, lua_State};

use super::culprit::NOT_ENOUGH_MEMORY;
use super::{State, Tag, TaskId, protocol, release_anchor};
use crate::raw;
use crate::signal;
use crate::stack;
use crate::vm::{Vm, as_argument};

/// The task that a service starts with: `skynet.start` makes it.
const FIRST: TaskId = 0;
/// Threads kept for reuse; those beyond are left to the garbage collector.
const IDLE_MAX: usize = 256;

/// The task's function has returned: its thread goes back to the pool.
///
/// # Safety
/// The thread of the task is not running.
#[inline(always)]
pub(super) unsafe fn finish(vm: *mut Vm, id: TaskId) {
    // SAFETY: a finished thread has only its results on the stack.
    unsafe {
        (*vm).tasks.has_finished = true;
        let task = (*vm).tasks.task(id);
        raw::truncate(task.thread, 0);
        let thread = task.thread;
        let (request, message_type, session) = (task.request.take(), task.message_type, task.session);
        task.state = State::Idle;
        task.session = 0;
        task.source = None;
        if task.tag != Tag::None {
            super::trace::event(&*vm, id, "end");
            (*vm).tasks.task(id).tag = Tag::None;
        }
        (*vm).profiles.forget(thread);
        if session != 0 {
            // A plain coroutine inside the task went to sleep and was left behind.
            super::fork::forget_wait(vm, session);
        }
        if let Some(request) = request {
            let site = handler_site(vm, message_type);
            (*vm).context.log(format!(
                "Maybe forgot response session {} from {} : {site}",
                request.session, request.source
            ));
        }
        if (*vm).tasks.idle.len() < IDLE_MAX {
            (*vm).tasks.idle.push(id);
        } else {
            remove(vm, id);
        }
    }
}

/// `source:line` of a protocol's handler.
///
/// # Safety
/// `vm` is live.
unsafe fn handler_site(vm: *mut Vm, message_type: MessageType) -> String {
    // SAFETY: the vault has room; `lua_getinfo` with ">" pops the function.
    unsafe {
        let handler = match protocol::of_type(vm, message_type).as_table() {
            Some(class) => protocol::field(vm, class, (*vm).fixed.dispatch),
            None => raw::Value::NIL,
        };
        if handler.kind() != ffi::LUA_TFUNCTION {
            return String::from("?:-1");
        }
        let vault = (*vm).vault;
        raw::push(vault, handler);
        let mut info: ffi::lua_Debug = std::mem::zeroed();
        ffi::lua_getinfo(vault, c">S".as_ptr(), &mut info);
        let source = std::slice::from_raw_parts(info.source.cast(), info.srclen);
        format!("{}:{}", String::from_utf8_lossy(source), info.linedefined)
    }
}

/// The task has failed: its requester gets an error, its variables are closed, the text is collected. Without a `text` it
/// is that of the error value on top of the thread.
///
/// # Safety
/// The thread of the task is not running; `from` belongs to `vm` and has three free slots. Runs `__close` handlers.
pub(super) unsafe fn fail(vm: *mut Vm, from: *mut lua_State, id: TaskId, text: Option<&'static CStr>) {
    // SAFETY: the thread is not running.
    unsafe {
        let thread = (*vm).tasks.task(id).thread;
        let text = describe(from, Failed { thread, text });
        refuse_request(vm, id);
        end(vm, from, id);
        if text == NOT_ENOUGH_MEMORY && id == FIRST && !(*vm).tasks.has_finished {
            // No room for its start function, nor for what that says when it fails.
            (*vm).context.tell_launcher();
            (*vm).context.exit();
            super::fork::drop_all(vm, from, |_| true);
        }
        (*vm).tasks.report(text);
    }
}

/// Answers a task's request with an error, if it has one.
///
/// # Safety
/// `vm` is live. No Lua code runs in here.
pub(super) unsafe fn refuse_request(vm: *mut Vm, id: TaskId) {
    // SAFETY: no Lua code runs in here.
    unsafe {
        if let Some(request) = (*vm).tasks.task(id).request.take() {
            if let Tag::On(_) = (*vm).tasks.task(id).tag {
                super::trace::event(&*vm, id, "error");
            }
            let _ = (*vm)
                .context
                .send(request.source, MessageType::ERROR, request.session, Body::Empty);
        }
    }
}

/// Ends a task: closes its variables, unless the program runs the thread by itself, and forgets it.
///
/// # Safety
/// `from` belongs to `vm`. Runs `__close` handlers.
pub(super) unsafe fn end(vm: *mut Vm, from: *mut lua_State, id: TaskId) {
    // SAFETY: the thread is suspended or in error; closing runs `__close` handlers on it, protected by Lua itself.
    unsafe {
        let thread = {
            let task = (*vm).tasks.task(id);
            task.state = State::Running;
            task.thread
        };
        if !stack::is_running(thread) {
            let outer = std::mem::replace(&mut (*vm).tasks.current, id);
            let running = signal::Running::enter(vm, thread);
            ffi::lua_closethread(thread, from);
            running.leave();
            (*vm).tasks.current = outer;
        }
        remove(vm, id);
    }
}

/// Forgets a task whose thread will not run again.
///
/// # Safety
/// `vm` is live, and the task has not been forgotten.
unsafe fn remove(vm: *mut Vm, id: TaskId) {
    // SAFETY: the thread may still be referenced by Lua; it is only unanchored.
    unsafe {
        let task = (*vm).tasks.task(id);
        let (thread, place) = (task.thread, task.anchor);
        task.state = State::Idle;
        task.session = 0;
        task.request = None;
        task.tag = Tag::None;
        release_anchor(vm, place);
        (*vm).profiles.forget(thread);
        (*vm).tasks.by_thread.remove(&(thread as usize));
        (*vm).tasks.vacant.push(id);
    }
}

/// What [`describe`] describes.
struct Failed {
    thread: *mut lua_State,
    text: Option<&'static CStr>,
}

/// The text of a failure with the traceback of the thread.
///
/// # Safety
/// As for [`fail`].
unsafe fn describe(from: *mut lua_State, mut failed: Failed) -> Vec<u8> {
    unsafe extern "C-unwind" fn body(state: *mut lua_State) -> c_int {
        // SAFETY: index 1 is the failure; the error value on top of the thread is moved out and back, because the thread
        // may have no room for a copy. Stack: the text.
        unsafe {
            let Failed { thread, text } = *ffi::lua_touserdata(state, 1).cast::<Failed>();
            let text = match text {
                Some(text) => text.as_ptr(),
                None => {
                    ffi::lua_xmove(thread, state, 1);
                    ffi::lua_pushvalue(state, -1);
                    ffi::lua_xmove(state, thread, 1);
                    ffi::luaL_tolstring(state, -1, ptr::null_mut())
                }
            };
            ffi::luaL_traceback(state, thread, text, 0);
            1
        }
    }
    // SAFETY: the argument outlives the protected call. The stack of `from` is restored by `pop_error_text`.
    unsafe {
        let status = stack::protect(from, body, as_argument(&mut failed), 1);
        let text = stack::pop_error_text(from);
        if status == ffi::LUA_ERRMEM {
            NOT_ENOUGH_MEMORY.to_vec()
        } else {
            text
        }
    }
}

/// Message handler of protected calls: the error value as text with a traceback.
pub(crate) unsafe extern "C-unwind" fn traceback(state: *mut lua_State) -> c_int {
    // SAFETY: index 1 is the error value. Stack: one result.
    unsafe {
        let text = ffi::luaL_tolstring(state, 1, ptr::null_mut());
        ffi::luaL_traceback(state, state, text, 1);
        1
    }
}
