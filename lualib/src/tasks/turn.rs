//! One message, one turn: routing, then the woken, the failed and the forked.

use fulmar_engine::{Body, Handle, Message, MessageType};
use mlua::ffi::lua_State;

use super::callback::call_back;
use super::culprit::Culprit;
use super::delivery::{Delivery, Head, release_lent};
use super::run::{resume, start_function, start_request};
use super::unknown::unknown;
use super::{Anchor, CallbackMode, Fork, Resumed, Wait, protocol, release_anchor};
use crate::vm::{Slot, Vm};

/// Hands one message of the engine to the service.
///
/// # Safety
/// `vm` is live and no Lua code of it runs.
#[inline(always)]
pub(crate) unsafe fn receive(vm: *mut Vm, message: Message) {
    // SAFETY: this is the outermost frame of the service's turn; nothing here is held across the calls.
    unsafe {
        match (*vm).tasks.mode {
            CallbackMode::None => answer_for_the_deaf(&*vm, &message),
            CallbackMode::Native => {
                let main = (*vm).main;
                let culprit = Culprit::of(&message);
                turn(vm, main, Delivery::of(message));
                culprit.log_errors(vm);
                release_lent(vm);
            }
            CallbackMode::Lua { forward } => {
                let running = crate::signal::Running::enter(vm, (*vm).main);
                call_back(vm, message, forward);
                running.leave();
            }
        }
    }
}

/// A service without a message function answers no request.
#[cold]
fn answer_for_the_deaf(vm: &Vm, message: &Message) {
    if message.session() != 0 && !message.message_type().is_reply() {
        // The requester may be gone already; then nobody waits.
        let _ = vm.context.send(
            message.source(),
            MessageType::ERROR,
            message.session(),
            Body::Empty,
        );
    }
}

/// Resumes and starts what code outside of a turn (the main chunk, finalizers) has woken and forked.
///
/// # Safety
/// As for [`receive`].
pub(crate) unsafe fn start_forks(vm: *mut Vm) {
    // SAFETY: by the caller.
    unsafe {
        let main = (*vm).main;
        settle(vm, main);
        drain_forks(vm, main);
        Culprit::NOBODY.log_errors(vm);
    }
}

/// Runs one turn. `from` is the thread that resumes: the main thread, or the one that called `dispatch_message`.
///
/// # Safety
/// `from` belongs to `vm` and has a few free slots. Never raises.
#[inline(always)]
pub(super) unsafe fn turn(vm: *mut Vm, from: *mut lua_State, delivery: Delivery) {
    // SAFETY: every call below leaves the stack of `from` as it was.
    unsafe {
        let head = delivery.head;
        // At once to where it stays: moving it on would cost more than anything that is done with it here.
        (*vm).tasks.delivery = Some(delivery);
        match head.message_type {
            MessageType::RESPONSE => on_response(vm, from, head.session),
            MessageType::ERROR => on_error(vm, head.session, head.source),
            _ => on_request(vm, from, head),
        }
        (*vm).tasks.delivery = None;
        settle(vm, from);
        drain_forks(vm, from);
    }
}

/// Starts the forks in order, those included that come up meanwhile.
#[inline]
unsafe fn drain_forks(vm: *mut Vm, from: *mut lua_State) {
    // SAFETY: the queue is read anew after each start.
    unsafe {
        while let Some(fork) = (*vm).tasks.forks.pop_front() {
            match fork {
                Fork::Thread(task) => start_function(vm, from, task),
                Fork::Function(function) | Fork::Failed(function) => {
                    if !super::run::start_anchored(vm, from, function) {
                        super::fork::drop_all(vm, from, |fork| !matches!(fork, Fork::Failed(_)));
                    }
                }
            }
            settle(vm, from);
        }
    }
}

/// Resumes the woken, then the failed, until nobody is left.
#[inline]
unsafe fn settle(vm: *mut Vm, from: *mut lua_State) {
    // SAFETY: by the caller.
    unsafe {
        if !(*vm).tasks.woken.is_empty() || !(*vm).tasks.failed.is_empty() {
            resume_all(vm, from);
        }
    }
}

unsafe fn resume_all(vm: *mut Vm, from: *mut lua_State) {
    // SAFETY: the queues name suspended tasks only; they are read anew after each resume.
    unsafe {
        loop {
            let (task, why) = if let Some(task) = (*vm).tasks.woken.pop_front() {
                (task, Resumed::Woken)
            } else if let Some(task) = (*vm).tasks.failed.pop_front() {
                (task, Resumed::Failed)
            } else {
                return;
            };
            resume(vm, from, task, why);
        }
    }
}

#[inline(always)]
unsafe fn on_response(vm: *mut Vm, from: *mut lua_State, session: i32) {
    // SAFETY: the entry leaves the map before Lua runs.
    unsafe {
        match (*vm).tasks.waits.remove(session) {
            Some(Wait::Call { task, .. }) if (*vm).tasks.awaits(task, session) => {
                resume(vm, from, task, Resumed::Answered);
            }
            Some(Wait::Sleep { task, token, .. }) => {
                (*vm).tasks.delivery = None;
                super::wait::forget_token(vm, token);
                if (*vm).tasks.awaits(task, session) {
                    resume(vm, from, task, Resumed::Answered);
                }
            }
            Some(Wait::Timer { function, traceback }) => {
                expired(vm, traceback);
                super::run::start_anchored(vm, from, function);
            }
            Some(Wait::TaskTimer { task, traceback }) => {
                expired(vm, traceback);
                start_function(vm, from, task);
            }
            Some(Wait::Request { function, .. }) => {
                super::run::start_answer(vm, from, function, true);
            }
            // A task that a plain coroutine inside it left waiting, and that waits for something else now.
            Some(Wait::Call { .. } | Wait::Cancelled) => {}
            None => unknown(vm, from, Slot::UnknownResponse),
        }
    }
}

/// Lets go of what a timer needs no more.
#[inline(always)]
unsafe fn expired(vm: *mut Vm, traceback: Option<Anchor>) {
    // SAFETY: the anchors of a wait are live until it is removed.
    unsafe {
        (*vm).tasks.delivery = None;
        if let Some(traceback) = traceback {
            release_anchor(vm, traceback);
        }
    }
}

/// PTYPE_ERROR: one session failed, or (session 0) its source is gone.
unsafe fn on_error(vm: *mut Vm, session: i32, source: Handle) {
    // SAFETY: no Lua code runs in here.
    let tasks = unsafe { &mut (*vm).tasks };
    if session != 0 {
        tasks.fail(session);
        return;
    }
    let mut gone: Vec<i32> = tasks
        .waits
        .destinations()
        .filter(|(_, to)| to.is_handle(source))
        .map(|(session, _)| session)
        .collect();
    gone.sort_unstable();
    for session in gone {
        tasks.fail(session);
    }
    for response in tasks
        .responses
        .values_mut()
        .filter(|response| response.request.source == source)
    {
        response.dead = true;
    }
}

impl super::Tasks {
    /// Whether the task is suspended under this very session.
    pub(super) fn awaits(&mut self, id: super::TaskId, session: i32) -> bool {
        let task = self.task(id);
        task.state == super::State::Suspended && task.session == session
    }

    /// Marks the call that waits under `session` as failed; anything else there is left alone.
    pub(super) fn fail(&mut self, session: i32) {
        match self.waits.get(session) {
            Some(Wait::Call { task, .. }) => {
                let task = *task;
                self.waits.remove(session);
                if self.awaits(task, session) {
                    self.failed.push_back(task);
                }
            }
            Some(Wait::Request { function, .. }) => {
                let function = *function;
                self.waits.remove(session);
                self.forks.push_back(Fork::Failed(function));
            }
            _ => {}
        }
    }
}

unsafe fn on_request(vm: *mut Vm, from: *mut lua_State, head: Head) {
    // SAFETY: nothing that may run Lua code comes between the look at the protocol and the start of the task, which takes what was
    // found there.
    unsafe {
        if (*vm).tasks.left {
            refuse(vm, head);
            return;
        }
        let Some(task) = super::run::acquire(vm, from) else {
            refuse(vm, head);
            return;
        };
        let class = protocol::of_type(vm, head.message_type).as_table();
        let dispatch = class.map(|class| protocol::field(vm, class, (*vm).fixed.dispatch));
        match (class, dispatch) {
            (Some(class), Some(dispatch)) if !dispatch.is_nil() => {
                start_request(vm, from, task, class, dispatch, head);
            }
            _ => {
                (*vm).tasks.idle.push(task);
                unhandled(vm, from, class.is_some(), head);
            }
        }
    }
}

/// A message without a handler; `known` says whether its type has a protocol.
#[cold]
unsafe fn unhandled(vm: *mut Vm, from: *mut lua_State, known: bool, head: Head) {
    // SAFETY: as for `turn`.
    unsafe {
        if known {
            (*vm).tasks.arriving_tags.remove(&head.source.bits());
        } else if head.message_type == MessageType::TRACE {
            return super::trace::arrive(vm);
        }
        no_handler(vm, from, head);
    }
}

/// Nobody handles this type: a request is refused, a plain message goes to the hook.
unsafe fn no_handler(vm: *mut Vm, from: *mut lua_State, head: Head) {
    // SAFETY: as for `turn`.
    unsafe {
        if head.session != 0 {
            refuse(vm, head);
        } else {
            unknown(vm, from, Slot::UnknownRequest);
        }
    }
}

unsafe fn refuse(vm: *mut Vm, head: Head) {
    // SAFETY: a send touches no Lua state.
    let context = unsafe { &(*vm).context };
    if head.session != 0 {
        // The requester may be gone already; then nobody waits.
        let _ = context.send(head.source, MessageType::ERROR, head.session, Body::Empty);
    }
}
