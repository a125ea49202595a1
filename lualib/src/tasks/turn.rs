//! One message, one turn: routing, then the woken, the failed and the forked.

use std::ffi::{CStr, c_int, c_void};

use fulmar_arena::{BlockState, BufMut, ClaimError};
use fulmar_engine::{Body, Handle, Message, MessageType};
use mlua::ffi::{self, lua_State};

use super::run::{resume, start_function, start_request};
use super::{CallbackMode, Fork, Request, Resumed, Wait, protocol, release_anchor};
use crate::raw;
use crate::seri;
use crate::stack::{self, native};
use crate::vm::{Slot, Vm};

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"callback", callback)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"dispatch_message", dispatch_message),
    (c"dispatch_unknown_request", dispatch_unknown_request),
    (c"dispatch_unknown_response", dispatch_unknown_response),
];

/// A message on its way into a task.
pub(crate) struct Delivery {
    pub(crate) message_type: MessageType,
    pub(crate) session: i32,
    pub(crate) source: Handle,
    pub(crate) body: DeliveryBody,
}

/// The bytes of a delivery.
pub(crate) enum DeliveryBody {
    /// Still the engine's: nobody in Lua has a pointer to it.
    Message(Message),
    /// Lua code holds the pointer (a message function of its own, or after [`expose`]).
    Script { data: *const u8, len: usize },
}

/// Hands one message of the engine to the service.
///
/// # Safety
/// `vm` is live and no Lua code of it runs.
pub(crate) unsafe fn receive(vm: *mut Vm, message: Message) {
    // SAFETY: this is the outermost frame of the service's turn; nothing here is held across the calls.
    unsafe {
        match (*vm).tasks.mode {
            CallbackMode::None => drop(message),
            CallbackMode::Native => {
                let main = (*vm).main;
                let culprit = Culprit::of(&message);
                let delivery = Delivery {
                    message_type: message.message_type(),
                    session: message.session(),
                    source: message.source(),
                    body: DeliveryBody::Message(message),
                };
                turn(vm, main, delivery);
                log_errors(vm, culprit);
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
        log_errors(
            vm,
            Culprit {
                session: 0,
                source: Handle::SYSTEM,
                len: 0,
            },
        );
    }
}

/// Runs one turn. `from` is the thread that resumes: the main thread, or the one that called `dispatch_message`.
///
/// # Safety
/// `from` belongs to `vm` and has a few free slots. Never raises.
unsafe fn turn(vm: *mut Vm, from: *mut lua_State, delivery: Delivery) {
    // SAFETY: every call below leaves the stack of `from` as it was.
    unsafe {
        match delivery.message_type {
            MessageType::RESPONSE => on_response(vm, from, delivery),
            MessageType::ERROR => on_error(vm, delivery.session, delivery.source),
            _ => on_request(vm, from, delivery),
        }
        (*vm).tasks.delivery = None;
        settle(vm, from);
        drain_forks(vm, from);
    }
}

/// Starts the forks in order, those included that come up meanwhile.
unsafe fn drain_forks(vm: *mut Vm, from: *mut lua_State) {
    // SAFETY: the queue is read anew after each start.
    unsafe {
        while let Some(fork) = (*vm).tasks.forks.pop_front() {
            match fork {
                Fork::Thread(task) => start_function(vm, from, task),
                Fork::Function(function) => super::run::start_anchored(vm, from, function),
            }
            settle(vm, from);
        }
    }
}

/// Resumes the woken, then the failed, until nobody is left.
unsafe fn settle(vm: *mut Vm, from: *mut lua_State) {
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

unsafe fn on_response(vm: *mut Vm, from: *mut lua_State, delivery: Delivery) {
    // SAFETY: the entry leaves the map before Lua runs.
    unsafe {
        let session = delivery.session;
        match (*vm).tasks.waits.remove(session) {
            Some(Wait::Call { task, .. }) if (*vm).tasks.awaits(task, session) => {
                (*vm).tasks.delivery = Some(delivery);
                resume(vm, from, task, Resumed::Answered);
            }
            Some(Wait::Sleep { task, token, .. }) => {
                super::wait::forget_token(vm, token);
                if (*vm).tasks.awaits(task, session) {
                    resume(vm, from, task, Resumed::Answered);
                }
            }
            Some(Wait::Timer {
                function,
                thread,
                traceback,
            }) => {
                if let Some(traceback) = traceback {
                    release_anchor(vm, traceback);
                }
                match thread {
                    Some(task) => start_function(vm, from, task),
                    None => super::run::start_anchored(vm, from, function),
                }
            }
            Some(Wait::Request { function, .. }) => {
                (*vm).tasks.delivery = Some(delivery);
                super::run::start_answer(vm, from, function, true);
            }
            // A task that a plain coroutine inside it left waiting, and that waits for something else now.
            Some(Wait::Call { .. } | Wait::Cancelled) => {}
            None => unknown(vm, from, delivery, Slot::UnknownResponse),
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
        .iter()
        .filter(|(_, wait)| wait.is_for(|to| to.is_handle(source)))
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
                self.forks.push_back(Fork::Function(function));
            }
            _ => {}
        }
    }
}

unsafe fn on_request(vm: *mut Vm, from: *mut lua_State, delivery: Delivery) {
    // SAFETY: nothing that may run Lua code comes between the look at the protocol and the start of the task, which takes what was
    // found there.
    unsafe {
        if (*vm).tasks.left {
            refuse(vm, &delivery);
            return;
        }
        let Some(task) = super::run::acquire(vm, from) else {
            refuse(vm, &delivery);
            return;
        };
        let class = protocol::of_type(vm, delivery.message_type).as_table();
        let dispatch = class.map(|class| protocol::field(vm, class, (*vm).fixed.dispatch));
        match (class, dispatch) {
            (Some(class), Some(dispatch)) if !dispatch.is_nil() => {
                start_request(vm, from, task, class, dispatch, delivery);
            }
            _ => {
                (*vm).tasks.idle.push(task);
                unhandled(vm, from, class.is_some(), delivery);
            }
        }
    }
}

/// A message without a handler; `known` says whether its type has a protocol.
#[cold]
unsafe fn unhandled(vm: *mut Vm, from: *mut lua_State, known: bool, delivery: Delivery) {
    // SAFETY: as for `turn`.
    unsafe {
        if known {
            (*vm).tasks.arriving_tags.remove(&delivery.source.bits());
        } else if delivery.message_type == MessageType::TRACE {
            return super::trace::arrive(vm, delivery);
        }
        no_handler(vm, from, delivery);
    }
}

/// Nobody handles this type: a request is refused, a plain message goes to the hook.
unsafe fn no_handler(vm: *mut Vm, from: *mut lua_State, delivery: Delivery) {
    // SAFETY: as for `turn`.
    unsafe {
        if delivery.session != 0 {
            refuse(vm, &delivery);
        } else {
            unknown(vm, from, delivery, Slot::UnknownRequest);
        }
    }
}

unsafe fn refuse(vm: *mut Vm, delivery: &Delivery) {
    // SAFETY: a send touches no Lua state.
    let context = unsafe { &(*vm).context };
    if delivery.session != 0 {
        // The requester may be gone already; then nobody waits.
        let _ = context.send(delivery.source, MessageType::ERROR, delivery.session, Body::Empty);
    }
}

/// Calls a hook with a message that nobody expects.
unsafe fn unknown(vm: *mut Vm, from: *mut lua_State, delivery: Delivery, hook: Slot) {
    // SAFETY: the delivery moves into the service's memory before Lua runs; the argument outlives the protected call.
    unsafe {
        (*vm).tasks.delivery = Some(delivery);
        let mut slot = hook;
        // Whoever resumed another thread that dispatches has marked it; and the hook may close that, which skips a `leave` in here.
        let running = (from == (*vm).main).then(|| crate::signal::Running::enter(vm, from));
        let status = stack::protect(from, call_hook, crate::vm::as_argument(&mut slot), 0);
        if let Some(running) = running {
            running.leave();
        }
        (*vm).tasks.delivery = None;
        if status != ffi::LUA_OK {
            let text = stack::pop_error_text(from);
            (*vm).tasks.report(text);
        }
    }
}

/// Body of [`unknown`]: the hook in the slot, or what happens without one.
unsafe extern "C-unwind" fn call_hook(state: *mut lua_State) -> c_int {
    // SAFETY: index 1 is a `Slot` of the caller's frame; no value with a destructor is alive where Lua may raise. Stack:
    // hook, session, source, msg, sz (and the type for requests).
    unsafe {
        let vm = Vm::of(state);
        let slot = *ffi::lua_touserdata(state, 1).cast::<Slot>();
        let (session, source, message_type) = {
            let Some(delivery) = &(*vm).tasks.delivery else {
                return 0;
            };
            (delivery.session, delivery.source, delivery.message_type)
        };
        (*vm).push_slot(state, slot);
        ffi::lua_pushinteger(state, session.into());
        ffi::lua_pushinteger(state, source.bits().into());
        if let Err(failure) = push_pointer(vm, state) {
            return stack::finish(state, Err(failure));
        }
        if slot as c_int == Slot::UnknownResponse as c_int {
            ffi::lua_call(state, 4, 0);
        } else {
            push_prototype(vm, state, message_type);
            ffi::lua_call(state, 5, 0);
        }
        0
    }
}

/// Pushes the name of a registered protocol, or the number of an unknown one.
unsafe fn push_prototype(vm: *mut Vm, state: *mut lua_State, message_type: MessageType) {
    // SAFETY: table reads that do not raise. Stack: one value more.
    unsafe {
        (*vm).push_slot(state, Slot::Protocols);
        if ffi::lua_rawgeti(state, -1, message_type.0.into()) == ffi::LUA_TTABLE {
            ffi::lua_getfield(state, -1, c"name".as_ptr());
            ffi::lua_replace(state, -3);
            ffi::lua_pop(state, 1);
        } else {
            ffi::lua_pop(state, 2);
            ffi::lua_pushinteger(state, message_type.0.into());
        }
    }
}

/// Pushes the delivery as Lua sees it: pointer and size. The block then belongs to the script until the turn ends.
///
/// # Safety
/// `state` has two free slots. Fails without touching the stack.
pub(super) unsafe fn push_pointer(vm: *mut Vm, state: *mut lua_State) -> Result<(), stack::Failure> {
    // SAFETY: light userdata and integers need no memory. Stack: two values more.
    unsafe {
        let (data, len) = expose(vm)?;
        raw::push(state, raw::Value::light(data.cast_mut().cast::<c_void>()));
        raw::push(state, raw::Value::integer(len as i64));
        Ok(())
    }
}

/// Makes the delivery's bytes something Lua may point at: flat, in a block that the script owns.
unsafe fn expose(vm: *mut Vm) -> Result<(*const u8, usize), stack::Failure> {
    // SAFETY: no Lua code runs in here.
    let vm = unsafe { &mut *vm };
    let Some(delivery) = &mut vm.tasks.delivery else {
        return Ok((std::ptr::null(), 0));
    };
    if let DeliveryBody::Script { data, len } = delivery.body {
        return Ok((data, len));
    }
    let placeholder = DeliveryBody::Script {
        data: std::ptr::null(),
        len: 0,
    };
    let DeliveryBody::Message(message) = std::mem::replace(&mut delivery.body, placeholder) else {
        unreachable!()
    };
    let Some(block) = flat_block(vm, message)? else {
        return Ok((std::ptr::null(), 0));
    };
    let (data, len) = vm.lend(block);
    vm.tasks.lent = data;
    if let Some(delivery) = &mut vm.tasks.delivery {
        delivery.body = DeliveryBody::Script { data, len };
    }
    Ok((data, len))
}

/// The message's payload as one flat block; none when it is empty or a Rust value.
fn flat_block(vm: &mut Vm, message: Message) -> Result<Option<BufMut>, stack::Failure> {
    let owner = vm.context.handle().bits();
    match message.into_body() {
        Body::Block(block) => Ok(Some(
            seri::flatten(vm.arena, block, owner).map_err(|error| error.to_string())?,
        )),
        Body::Shared(buf) => {
            let block = seri::flat_copy(vm.arena, &buf, buf.attachments(), owner)
                .map_err(|error| error.to_string())?;
            Ok(Some(block))
        }
        _ => Ok(None),
    }
}

impl Vm {
    /// Gives a block to Lua code: from here on it is known by its address.
    pub(crate) fn lend(&mut self, mut block: BufMut) -> (*const u8, usize) {
        block.set_owner(self.context.handle().bits());
        let len = block.len();
        self.script_blocks += 1;
        (block.into_script().as_ptr(), len)
    }

    /// Gives a block with these bytes to Lua code.
    fn lend_copy(&mut self, bytes: &[u8]) -> Result<(*const u8, usize), stack::Failure> {
        let mut block = self
            .context
            .loan(bytes.len())
            .map_err(|error| error.to_string())?;
        block.copy_from_slice(bytes);
        Ok(self.lend(block))
    }

    /// Takes a block back from Lua code.
    ///
    /// # Errors
    /// When the address is not that of a block which this service owns, or a native further up reads the block.
    pub(crate) fn reclaim(&mut self, data: *const u8) -> Result<BufMut, NotOurs> {
        if self.reading.contains(data) {
            return Err(NotOurs::InUse);
        }
        let block = self.arena.claim(data, self.context.handle().bits())?;
        self.script_blocks -= 1;
        self.tasks.taken(data);
        Ok(block)
    }

    /// The length of a block that Lua code of this service owns, or of a value that is shown to it.
    ///
    /// # Errors
    /// When the address is not that of such a block.
    pub(crate) fn script_len(&self, data: *const u8) -> Result<usize, NotOurs> {
        let owner = self.context.handle().bits();
        let block = self.arena.inspect(data).ok_or(ClaimError::NotABlock)?;
        match block.state {
            BlockState::Script if block.owner == owner => Ok(block.len),
            BlockState::Script => Err(ClaimError::NotOwner {
                expected: owner,
                found: block.owner,
            }
            .into()),
            state => self
                .shown
                .len_of(data)
                .ok_or(NotOurs::Claim(ClaimError::NotScript { state })),
        }
    }
}

/// Why an address from Lua code cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOurs {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("this message is being unpacked")]
    InUse,
}

/// Frees the block lent to Lua code during this turn, unless Lua code has given it away, and what it did not unpack.
#[inline]
unsafe fn release_lent(vm: *mut Vm) {
    // SAFETY: no Lua code runs in here.
    let vm = unsafe { &mut *vm };
    if !vm.tasks.lent.is_null() {
        let _ = vm.reclaim(vm.tasks.lent);
        vm.tasks.lent = std::ptr::null();
    }
    if !vm.tasks.unpacking.is_empty() {
        vm.tasks.unpacking.clear();
    }
}

/// What the log says of a message whose handling failed.
#[derive(Clone, Copy)]
struct Culprit {
    session: i32,
    source: Handle,
    len: usize,
}

impl Culprit {
    #[inline]
    fn of(message: &Message) -> Culprit {
        let len = match message.block() {
            Some(block) if block.has_attachments() => seri::flat_len(block, block.attachments()),
            _ => message.len(),
        };
        Culprit {
            session: message.session(),
            source: message.source(),
            len,
        }
    }

    #[cold]
    fn log_all(self, vm: &mut Vm) {
        let text = std::mem::take(&mut vm.tasks.errors).join(&b'\n');
        self.log(vm, &text);
    }

    fn log(self, vm: &Vm, text: &[u8]) {
        let Culprit { session, source, len } = self;
        let (source, me) = (source.bits(), vm.context.handle().bits());
        let head = format!("lua call [{source:x} to :{me:x} : {session} msgsz = {len}] error : \x1b[31m");
        vm.context.log([head.as_bytes(), text, b"\x1b[0m"].concat());
    }

    fn log_out_of_memory(self, vm: &Vm) {
        let Culprit { session, source, .. } = self;
        let (source, me) = (source.bits(), vm.context.handle().bits());
        vm.context
            .log(format!("lua memory error : [{source:x} to :{me:x} : {session}]"));
    }
}

/// Logs the errors of a turn as skynet's message function does.
#[inline]
unsafe fn log_errors(vm: *mut Vm, culprit: Culprit) {
    // SAFETY: no Lua code runs in here.
    let vm = unsafe { &mut *vm };
    if !vm.tasks.errors.is_empty() {
        culprit.log_all(vm);
    }
}

/// Calls a message function written in Lua.
unsafe fn call_back(vm: *mut Vm, message: Message, forward: bool) {
    // SAFETY: the message moves into the service's memory before Lua runs. The main thread's stack is restored.
    unsafe {
        let culprit = Culprit::of(&message);
        (*vm).tasks.delivery = Some(Delivery {
            message_type: message.message_type(),
            session: message.session(),
            source: message.source(),
            body: DeliveryBody::Message(message),
        });
        let main = (*vm).main;
        let status = stack::protect(main, call_function, std::ptr::null_mut(), 0);
        if forward {
            (*vm).tasks.lent = std::ptr::null();
        }
        release_lent(vm);
        (*vm).tasks.delivery = None;
        if status != ffi::LUA_OK {
            let text = stack::pop_error_text(main);
            if status == ffi::LUA_ERRMEM {
                culprit.log_out_of_memory(&*vm);
            } else {
                culprit.log(&*vm, &text);
            }
        }
    }
}

/// Body of [`call_back`]: the message function with (type, msg, sz, session, source).
unsafe extern "C-unwind" fn call_function(state: *mut lua_State) -> c_int {
    // SAFETY: no value with a destructor is alive where Lua may raise. Stack: handler, function, five arguments.
    unsafe {
        let vm = Vm::of(state);
        let (message_type, session, source) = {
            let Some(delivery) = &(*vm).tasks.delivery else {
                return 0;
            };
            (delivery.message_type, delivery.session, delivery.source)
        };
        ffi::lua_settop(state, 0);
        ffi::lua_pushcclosure(state, super::run::traceback, 0);
        (*vm).push_slot(state, Slot::Callback);
        ffi::lua_pushinteger(state, message_type.0.into());
        if let Err(failure) = push_pointer(vm, state) {
            return stack::finish(state, Err(failure));
        }
        ffi::lua_pushinteger(state, session.into());
        ffi::lua_pushinteger(state, source.bits().into());
        // The function gets the pointer; what it dispatches comes back through `dispatch_message`.
        (*vm).tasks.delivery = None;
        if ffi::lua_pcall(state, 5, 0, 1) != ffi::LUA_OK {
            ffi::lua_error(state);
        }
        0
    }
}

native! {
    /// `dispatch_message(type, msg, sz, session, source)`: runs a whole turn for a message that Lua code holds, or for a string.
    pub(crate) fn dispatch_message(state) {
        // SAFETY: arguments are read before anything is owned; `turn` does not raise. Stack: unchanged.
        unsafe {
            let message_type = ffi::luaL_checkinteger(state, 1);
            let len = ffi::luaL_optinteger(state, 3, 0);
            let session = ffi::luaL_checkinteger(state, 4) as i32;
            let source = Handle::from_bits(ffi::luaL_checkinteger(state, 5) as u32);
            let Ok(message_type) = u8::try_from(message_type) else {
                return Err("message type out of range".into());
            };
            let vm = Vm::of(state);
            ffi::luaL_checkstack(state, 8, std::ptr::null());
            let copy = match stack::bytes_at(state, 2) {
                Some(bytes) => Some((*vm).lend_copy(bytes)?),
                None => None,
            };
            let (data, len) = copy.unwrap_or_else(|| {
                let data = ffi::lua_touserdata(state, 2).cast::<u8>().cast_const();
                (data, usize::try_from(len).unwrap_or(0))
            });
            let delivery = Delivery {
                message_type: MessageType(message_type),
                session,
                source,
                body: DeliveryBody::Script { data, len },
            };
            turn(vm, state, delivery);
            if let Some((data, _)) = copy {
                // Lua code may have given it away.
                let _ = (*vm).reclaim(data);
            }
            let errors = std::mem::take(&mut (*vm).tasks.errors);
            if errors.is_empty() { Ok(0) } else { Err(errors.join(&b'\n').into()) }
        }
    }
}

native! {
    /// `callback(func [, forward])`: installs the service's message function.
    fn callback(state) {
        // SAFETY: argument checks come first. Stack: unchanged.
        unsafe {
            ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
            let forward = ffi::lua_toboolean(state, 2) != 0;
            let is_native = stack::is_native(state, 1, dispatch_message);
            let vm = Vm::of(state);
            ffi::lua_pushvalue(state, 1);
            (*vm).pop_slot(state, Slot::Callback);
            (*vm).tasks.mode = if is_native && !forward {
                CallbackMode::Native
            } else {
                CallbackMode::Lua { forward }
            };
            Ok(0)
        }
    }
}

native! {
    /// What happens to a message that nobody handles: `(session, source, msg, sz, prototype)`.
    pub(crate) fn unknown_request(state) {
        // SAFETY: see `log_and_refuse`.
        unsafe {
            ffi::luaL_tolstring(state, 5, std::ptr::null_mut());
            let prototype = stack::bytes_at(state, -1).unwrap_or_default();
            log_and_refuse(state, |text| [b"Unknown request (", prototype, b"): ", text].concat())
        }
    }
}

native! {
    /// What happens to a response that nobody waits for: `(session, source, msg, sz)`.
    pub(crate) fn unknown_response(state) {
        // SAFETY: see `log_and_refuse`.
        unsafe { log_and_refuse(state, |text| [b"Response message : ", text].concat()) }
    }
}

/// Logs a message's bytes and fails.
///
/// # Safety
/// The arguments are those of a hook.
unsafe fn log_and_refuse(state: *mut lua_State, line: impl FnOnce(&[u8]) -> Vec<u8>) -> stack::Outcome {
    // SAFETY: the arena checks the address; nothing raises before the end. Stack: unchanged.
    unsafe {
        let vm = Vm::of(state);
        let session = ffi::lua_tointegerx(state, 1, std::ptr::null_mut());
        let source = ffi::lua_tointegerx(state, 2, std::ptr::null_mut());
        let data = ffi::lua_touserdata(state, 3).cast::<u8>().cast_const();
        let text = (*vm)
            .arena
            .script_view(data, (*vm).context.handle().bits(), <[u8]>::to_vec)
            .unwrap_or_default();
        (*vm).context.log(line(&text));
        Err(format!("Unknown session : {session} from {source:x}").into())
    }
}

native! {
    /// `dispatch_unknown_request(f) -> previous`
    fn dispatch_unknown_request(state) {
        // SAFETY: see `replace_hook`.
        unsafe { replace_hook(state, Slot::UnknownRequest) }
    }
}

native! {
    /// `dispatch_unknown_response(f) -> previous`
    fn dispatch_unknown_response(state) {
        // SAFETY: see `replace_hook`.
        unsafe { replace_hook(state, Slot::UnknownResponse) }
    }
}

/// Puts the function at index 1 into a hook's slot; the previous one is the result.
unsafe fn replace_hook(state: *mut lua_State, slot: Slot) -> stack::Outcome {
    // SAFETY: argument checks come first. Stack: one result.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let vm = Vm::of(state);
        (*vm).push_slot(state, slot);
        ffi::lua_pushvalue(state, 1);
        (*vm).pop_slot(state, slot);
        Ok(1)
    }
}

/// The request of a delivery; none when no answer is wanted.
pub(super) fn request_of(delivery: &Delivery) -> Option<Request> {
    (delivery.session != 0).then_some(Request {
        session: delivery.session,
        source: delivery.source,
    })
}
