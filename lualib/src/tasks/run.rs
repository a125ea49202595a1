//! Starting and resuming tasks.

use std::ffi::c_int;
use std::ptr;

use fulmar_engine::{Message, MessageType, Payload};
use mlua::ffi::{self, lua_State};

use super::delivery::{Delivery, DeliveryBody, Head, push_pointer};
use super::end::{end, fail, finish};
use super::{
    Anchor, NO_TASK, Resumed, State, Tag, Task, TaskId, anchor, protocol, push_anchored, release_anchor,
};
use crate::core::unpack_native;
use crate::raw;
use crate::seri;
use crate::signal;
use crate::stack;
use crate::vm::{Vm, as_argument};

/// Makes a task with a thread of its own.
///
/// # Safety
/// `state` runs protected and has three free slots: may raise a memory error. Stack: unchanged.
pub(super) unsafe fn new_task(state: *mut lua_State) -> TaskId {
    // SAFETY: the thread is anchored before anything else can collect it; nothing with a destructor is alive meanwhile.
    unsafe {
        let thread = ffi::lua_newthread(state);
        let place = anchor(state);
        let tasks = &mut (*Vm::of(state)).tasks;
        let task = Task {
            thread,
            anchor: place,
            state: State::Idle,
            session: 0,
            request: None,
            source: None,
            plain: false,
            message_type: MessageType::TEXT,
            tag: Tag::None,
        };
        let id = match tasks.vacant.pop() {
            Some(id) => {
                tasks.list[id as usize] = task;
                id
            }
            None => {
                if tasks.list.is_empty() {
                    tasks.list.reserve_exact(1); // many services never need a second one
                }
                tasks.list.push(task);
                (tasks.list.len() - 1) as TaskId
            }
        };
        tasks.by_thread.insert(thread as usize, id);
        id
    }
}

/// A task with an empty thread: from the pool, or new.
///
/// # Safety
/// As for [`new_task`].
pub(super) unsafe fn take_task(state: *mut lua_State) -> TaskId {
    // SAFETY: the pool holds finished threads with empty stacks.
    unsafe {
        match (*Vm::of(state)).tasks.idle.pop() {
            Some(id) => id,
            None => new_task(state),
        }
    }
}

/// The same from outside of a protected call; none when memory ran out. May run finalizers.
///
/// # Safety
/// `from` has three free slots.
#[inline]
pub(super) unsafe fn acquire(vm: *mut Vm, from: *mut lua_State) -> Option<TaskId> {
    // SAFETY: by the caller.
    unsafe {
        match (*vm).tasks.idle.pop() {
            Some(id) => Some(id),
            None => acquire_new(vm, from),
        }
    }
}

#[cold]
unsafe fn acquire_new(vm: *mut Vm, from: *mut lua_State) -> Option<TaskId> {
    unsafe extern "C-unwind" fn body(state: *mut lua_State) -> c_int {
        // SAFETY: index 1 points to the caller's variable.
        unsafe {
            let id = new_task(state);
            *ffi::lua_touserdata(state, 1).cast::<TaskId>() = id;
            0
        }
    }
    // SAFETY: the argument outlives the protected call. The stack of `from` is restored.
    unsafe {
        let mut id = NO_TASK;
        // A finalizer may dispatch a message of its own.
        let delivery = (*vm).tasks.delivery.take();
        let status = stack::protect(from, body, as_argument(&mut id), 0);
        (*vm).tasks.delivery = delivery;
        if status == ffi::LUA_OK {
            return Some(id);
        }
        let text = stack::pop_error_text(from);
        (*vm).tasks.report(text);
        None
    }
}

/// Starts a task for a request: `dispatch` is the handler of the protocol `class`.
///
/// # Safety
/// Both have just been read; `id` is out of the pool.
pub(super) unsafe fn start_request(
    vm: *mut Vm,
    from: *mut lua_State,
    id: TaskId,
    class: *const raw::Table,
    dispatch: raw::Value,
    head: Head,
) {
    // SAFETY: an idle thread has room for a few values, and once they are there Lua keeps them.
    unsafe {
        let unpack = protocol::field(vm, class, (*vm).fixed.unpack);
        let traced = protocol::field(vm, class, (*vm).fixed.trace).as_boolean();
        let tag = super::trace::tag_for_request(&mut *vm, head.source, traced);
        let task = (*vm).tasks.task(id);
        task.request = head.request();
        task.source = Some(head.source);
        task.plain = head.session == 0;
        task.message_type = head.message_type;
        if tag != Tag::None {
            task.tag = tag;
        }
        let thread = task.thread;
        raw::push(thread, raw::Value::native(handle_request));
        raw::push(thread, dispatch);
        let arguments = if unpack.is_native(unpack_native) {
            1
        } else if unpack.is_nil() {
            ffi::lua_pushnil(thread);
            2
        } else {
            raw::push(thread, unpack);
            2
        };
        run(vm, from, id, arguments);
    }
}

/// Body of a request's task. Stack: the handler, the protocol's `unpack` if it is not the native one.
unsafe extern "C-unwind" fn handle_request(state: *mut lua_State) -> c_int {
    // SAFETY: the message stays in the service's memory while Lua may raise. Stack: handler, session, source, values.
    unsafe {
        let vm = Vm::of(state);
        let (session, source) = match &(*vm).tasks.delivery {
            Some(delivery) => (delivery.head.session, delivery.head.source.bits()),
            None => return 0,
        };
        let unpack = match raw::count(state) {
            1 => raw::Value::native(unpack_native),
            _ => raw::pop(state),
        };
        raw::push(state, raw::Value::integer(session.into()));
        raw::push(state, raw::Value::integer(source.into()));
        let values = match unpack_delivery(vm, state, unpack) {
            Ok(values) => values,
            Err(failure) => return stack::finish(state, Err(failure)),
        };
        ffi::lua_callk(state, values + 2, 0, 0, Some(handled));
        0
    }
}

/// The handler has returned after it had been suspended.
unsafe extern "C-unwind" fn handled(
    _state: *mut lua_State,
    _status: c_int,
    _context: ffi::lua_KContext,
) -> c_int {
    0
}

/// Lua may raise while they are alive.
const _: () = assert!(!std::mem::needs_drop::<Option<fulmar_arena::Attachments<'_>>>());

/// Pushes the values of the delivery, as the protocol's `unpack` gives them; the native one reads the message in place. Says how many.
///
/// # Safety
/// `state` runs protected. May raise; the message stays in the service's memory until the turn ends then.
#[inline]
pub(super) unsafe fn unpack_delivery(
    vm: *mut Vm,
    state: *mut lua_State,
    unpack: raw::Value,
) -> Result<c_int, stack::Failure> {
    // SAFETY: the slice points into the message's block, which stays where it is, in `unpacking`, while `unpack` runs.
    // Stack: the values on top.
    unsafe {
        if unpack.is_native(unpack_native)
            && let Some(message) = take_message(&mut (*vm).tasks.delivery)
        {
            // Finalizers may run meanwhile, and with them anything that ends in here again.
            let depth = (*vm).tasks.unpacking.len();
            (*vm).tasks.unpacking.push(message);
            let message = &raw const (&(*vm).tasks.unpacking)[depth];
            let strings = &raw const *(*vm).strings;
            let mut attachments = match (*message).payload() {
                Payload::Shared(buf) => Some(buf.attachments()),
                _ => (*message)
                    .block()
                    .filter(|block| block.has_attachments())
                    .map(|block| block.attachments()),
            };
            let outcome = seri::unpack(
                state,
                (*message).bytes(),
                attachments.as_mut(),
                &*strings,
                (*vm).recent_strings(),
            );
            (*vm).tasks.unpacking.truncate(depth);
            outcome.map_err(|error| error.to_string().into())
        } else if unpack.is_nil() {
            Err("attempt to call a nil value (field 'unpack')".into())
        } else {
            let before = raw::count(state);
            raw::push(state, unpack);
            push_pointer(vm, state)?;
            ffi::lua_callk(state, 2, ffi::LUA_MULTRET, 0, None);
            Ok(raw::count(state) - before)
        }
    }
}

/// The delivery's message, unless Lua code holds a pointer to it.
fn take_message(delivery: &mut Option<Delivery>) -> Option<Message> {
    match delivery.take()? {
        Delivery {
            body: DeliveryBody::Message(message),
            ..
        } => Some(message),
        shown => {
            *delivery = Some(shown);
            None
        }
    }
}

/// Starts a task whose thread holds a function and its arguments.
pub(super) unsafe fn start_function(vm: *mut Vm, from: *mut lua_State, id: TaskId) {
    // SAFETY: the thread's stack is: function, arguments.
    unsafe {
        let task = (*vm).tasks.task(id);
        let thread = task.thread;
        if ffi::lua_status(thread) != ffi::LUA_OK || ffi::lua_gettop(thread) == 0 || stack::is_running(thread)
        {
            return lost(vm, from, id);
        }
        task.session = 0;
        run(vm, from, id, ffi::lua_gettop(thread) - 1);
    }
}

/// The program has resumed or closed the task's thread by itself: a dead one fails, any other is the program's.
unsafe fn lost(vm: *mut Vm, from: *mut lua_State, id: TaskId) {
    // SAFETY: reading a thread's status does not raise.
    unsafe {
        let thread = (*vm).tasks.task(id).thread;
        if ffi::lua_status(thread) != ffi::LUA_YIELD && !stack::is_running(thread) {
            fail(vm, from, id, Some(c"cannot resume dead coroutine"));
        }
    }
}

/// Starts a task that runs an anchored function.
pub(super) unsafe fn start_anchored(vm: *mut Vm, from: *mut lua_State, function: Anchor) -> bool {
    // SAFETY: the anchor is live until it is released here.
    unsafe {
        let Some(id) = acquire(vm, from) else {
            release_anchor(vm, function);
            return false;
        };
        push_anchored(vm, (*vm).tasks.task(id).thread, function);
        release_anchor(vm, function);
        run(vm, from, id, 0);
        true
    }
}

/// Starts a task that runs an anchored function with (true, msg, sz) of the delivery.
pub(super) unsafe fn start_answer(vm: *mut Vm, from: *mut lua_State, function: Anchor, ok: bool) {
    // SAFETY: as for `start_anchored`; a fresh thread has room for a few values.
    unsafe {
        let Some(id) = acquire(vm, from) else {
            release_anchor(vm, function);
            return;
        };
        let thread = (*vm).tasks.task(id).thread;
        push_anchored(vm, thread, function);
        release_anchor(vm, function);
        ffi::lua_pushboolean(thread, ok.into());
        if let Err(failure) = push_pointer(vm, thread) {
            (*vm).tasks.report(failure.into_text());
            ffi::lua_pushlightuserdata(thread, ptr::null_mut());
            ffi::lua_pushinteger(thread, 0);
        }
        run(vm, from, id, 3);
    }
}

/// Resumes a suspended task.
#[inline(always)]
pub(super) unsafe fn resume(vm: *mut Vm, from: *mut lua_State, id: TaskId, why: Resumed) {
    // SAFETY: a task in a wait or a queue is suspended; its native takes `why` up when it continues.
    unsafe {
        let task = (*vm).tasks.task(id);
        if task.state != State::Suspended {
            return;
        }
        if raw::status(task.thread) != ffi::LUA_YIELD {
            return lost(vm, from, id);
        }
        task.session = 0;
        (*vm).tasks.resumed = why;
        if let Tag::On(_) = (*vm).tasks.task(id).tag {
            super::trace::event(&*vm, id, "resume");
        }
        run(vm, from, id, 0);
    }
}

/// Runs a task until it suspends or ends.
#[inline(always)]
unsafe fn run(vm: *mut Vm, from: *mut lua_State, id: TaskId, arguments: c_int) {
    // SAFETY: the thread is suspended or fresh with `arguments` values above its function; `from` is the caller's thread.
    // No reference into the host is kept across the resume.
    unsafe {
        let thread = {
            let tasks = &mut (*vm).tasks;
            let task = tasks.task(id);
            task.state = State::Running;
            task.thread
        };
        let outer = std::mem::replace(&mut (*vm).tasks.current, id);
        let mut results = 0;
        let status = signal::resume(vm, thread, from, arguments, &mut results);
        (*vm).tasks.current = outer;
        match status {
            ffi::LUA_OK => finish(vm, id),
            ffi::LUA_YIELD => {
                for _ in 0..results {
                    raw::pop(thread);
                }
                match (*vm).tasks.task(id).state {
                    State::Suspended => {}
                    State::Quit => {
                        end(vm, from, id);
                    }
                    _ => {
                        let text = c"Call skynet.coroutine.yield out of skynet.coroutine.resume";
                        fail(vm, from, id, Some(text));
                    }
                }
            }
            _ => fail(vm, from, id, None),
        }
    }
}
