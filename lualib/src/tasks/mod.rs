//! The coroutine scheduler of one Lua service.
//!
//! Every request, timer and fork runs in a *task*: a Lua thread that the host resumes. A task gives up control only inside
//! a native that suspends (`call`, `sleep`, `wait`, ...), which leaves a [`Wait`] under a session number, and gets it back
//! when a message with that session arrives. One message makes one *turn* (see [`turn`]):
//!
//! 1. the message is routed: a response resumes the task that waits for it, a request starts a task;
//! 2. whenever the running task suspends or ends, the woken tasks are resumed in order, then those whose call failed;
//! 3. then the forks start in order, each followed by step 2;
//! 4. the errors of the turn are logged.
//!
//! Everything here runs on the service's own turn. Code between two calls into Lua may hold references into [`Tasks`];
//! across such a call it may not, because Lua code calls natives that change it.

mod callback;
mod culprit;
mod delivery;
mod end;
mod exit;
mod fork;
mod inspect;
mod notice;
mod protocol;
mod reply;
mod request;
mod run;
mod send;
mod trace;
mod turn;
mod unknown;
mod wait;
mod waits;

use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, c_int};
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZero;

use fulmar_engine::{Body, Handle, Message, MessageType, SessionBlock};
use mlua::ffi::{self, lua_State};

use self::waits::Waits;
use crate::vm::{Slot, Vm};
use crate::{lines, raw};

pub(crate) use end::traceback;
pub(crate) use exit::abandon;
pub(crate) use notice::{expect_notice, ignore_notice};
pub(crate) use protocol::watch as watch_protocols;
pub(crate) use request::suspend_mark;
pub(crate) use send::{Destination, destination, push_sent, send_body, take_body};
pub(crate) use turn::{receive, start_forks};
pub(crate) use unknown::{unknown_request, unknown_response};

/// The natives that `skynet.core` holds: what the Lua libraries build on.
pub(crate) const FUNCTIONS: &[&[(&CStr, ffi::lua_CFunction)]] = &[
    request::FUNCTIONS,
    wait::FUNCTIONS,
    fork::FUNCTIONS,
    exit::FUNCTIONS,
    inspect::FUNCTIONS,
    trace::FUNCTIONS,
    callback::FUNCTIONS,
];

/// The natives that the module `skynet` holds.
pub(crate) const PUBLIC: &[&[(&CStr, ffi::lua_CFunction)]] = &[
    request::PUBLIC,
    send::PUBLIC,
    reply::PUBLIC,
    wait::PUBLIC,
    fork::PUBLIC,
    exit::PUBLIC,
    trace::PUBLIC,
    callback::PUBLIC,
    unknown::PUBLIC,
];

/// Place of a task in [`Tasks::list`].
pub(crate) type TaskId = u32;

/// No task: the main chunk or a Lua message function runs.
pub(crate) const NO_TASK: TaskId = TaskId::MAX;

/// Place of a Lua value in the anchors table.
pub(crate) type Anchor = NonZero<u32>;

/// Sessions and pointers are well spread by one multiplication.
#[derive(Default)]
pub(crate) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_i32(&mut self, value: i32) {
        self.write_u64(u64::from(value.cast_unsigned()));
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

/// A map keyed by small integers or pointers that no stranger chooses.
pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// The request that a task handles and has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) session: i32,
    pub(crate) source: Handle,
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its thread rests in the pool.
    Idle,
    /// A fork or a timer that has not started.
    Ready,
    Running,
    /// Inside a native that waits.
    Suspended,
    /// Asked to end by `skynet.exit`: it never runs again.
    Quit,
}

/// The trace tag of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tag {
    #[default]
    None,
    /// Tracing is forced off for this task.
    Off,
    On(Box<str>),
}

/// A cache line long, so that a [list](lines::list) of them is short.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Task {
    thread: *mut lua_State,
    anchor: Anchor,
    state: State,
    /// The session it waits for; 0 when it waits for none.
    session: i32,
    request: Option<Request>,
    /// Who sent the message it handles; none for forks and timers.
    source: Option<Handle>,
    /// It handles a message that wants no answer.
    plain: bool,
    /// The type of that message, for the log line about a forgotten answer.
    message_type: MessageType,
    tag: Tag,
}

const _: () = assert!(size_of::<Task>() == lines::LINE_BYTES);

/// What a session number waits for. To whom a request went that was sent by a name, [`Waits`] knows; here it is the system.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// A task in `call` or `rawcall`.
    Call { task: TaskId, to: Handle },
    /// A task in `sleep` (with a timer) or `wait` (without). `wakeup` finds it by a value in the tokens table, or by the task's own
    /// thread.
    Sleep {
        task: TaskId,
        timer: bool,
        token: Option<Anchor>,
    },
    /// A timer that starts a task which runs the anchored function.
    Timer {
        function: Anchor,
        traceback: Option<Anchor>,
    },
    /// A timer that starts this task.
    TaskTimer { task: TaskId, traceback: Option<Anchor> },
    /// One request of a set: the answer starts a task that runs the anchored function.
    Request { function: Anchor, to: Handle },
    /// Nobody any more: the late answer is dropped.
    Cancelled,
}

/// Why a suspended task runs again; its native reads this when it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// Its message is in [`Tasks::delivery`], or its time has come.
    Answered,
    /// Its call failed.
    Failed,
    /// `wakeup` found it.
    Woken,
}

/// A fork that has not started: a task that holds function and arguments, or an anchored function that needs no thread yet.
#[derive(Debug)]
pub(crate) enum Fork {
    Thread(TaskId),
    Function(Anchor),
    /// The function that a request which has failed was to start.
    Failed(Anchor),
}

/// A detached answer made by `skynet.response`.
#[derive(Debug)]
pub(crate) struct Response {
    request: Request,
    /// The requester is gone: nothing will be sent.
    dead: bool,
}

/// All tasks of a service.
pub(crate) struct Tasks {
    list: Vec<Task>,
    /// Tasks whose threads can run something new.
    idle: Vec<TaskId>,
    /// Places in `list` without a thread.
    vacant: Vec<TaskId>,
    by_thread: FastMap<usize, TaskId>,
    waits: Waits,
    sessions: SessionBlock,
    woken: VecDeque<TaskId>,
    failed: VecDeque<TaskId>,
    forks: VecDeque<Fork>,
    responses: FastMap<u64, Response>,
    next_response: u64,
    pub(crate) current: TaskId,
    resumed: Resumed,
    /// The message that the task being resumed or started is for.
    delivery: Option<delivery::Delivery>,
    /// Messages that are being unpacked, the innermost last; what an error has cut short stays until the turn ends.
    unpacking: Vec<Message>,
    /// A request about to be sent, while Lua makes room for the function that waits for its answer.
    expecting: Option<(Destination, Body)>,
    /// A block lent to Lua code until the turn ends.
    lent: *const u8,
    errors: Vec<Vec<u8>>,
    vacant_anchors: Vec<Anchor>,
    anchors: u32,
    /// Sleepers with a token of their own.
    tokens: usize,
    /// Tags that arrived ahead of a request, by source.
    arriving_tags: FastMap<u32, Box<str>>,
    traces: u32,
    trace_timeout: bool,
    /// How messages reach Lua.
    pub(crate) mode: CallbackMode,
    /// The service has left: whatever still arrives is refused.
    pub(crate) left: bool,
    /// Some task has run to its end.
    has_finished: bool,
}

/// How messages reach Lua.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallbackMode {
    /// No message function yet: messages are dropped.
    None,
    /// The native dispatcher, without a detour through Lua.
    Native,
    /// A Lua function; with `forward` the message is the function's to free.
    Lua { forward: bool },
}

impl Tasks {
    pub(crate) fn new() -> Tasks {
        Tasks {
            list: lines::list(),
            idle: lines::list(),
            vacant: Vec::new(),
            by_thread: FastMap::default(),
            waits: Waits::default(),
            sessions: SessionBlock::default(),
            woken: VecDeque::new(),
            failed: VecDeque::new(),
            forks: VecDeque::new(),
            responses: FastMap::default(),
            next_response: 1,
            current: NO_TASK,
            resumed: Resumed::Answered,
            delivery: None,
            unpacking: lines::list(),
            expecting: None,
            lent: std::ptr::null(),
            errors: Vec::new(),
            vacant_anchors: Vec::new(),
            anchors: 0,
            tokens: 0,
            arriving_tags: FastMap::default(),
            traces: 0,
            trace_timeout: false,
            mode: CallbackMode::None,
            left: false,
            has_finished: false,
        }
    }

    fn task(&mut self, id: TaskId) -> &mut Task {
        &mut self.list[id as usize]
    }

    /// The running task, or none in the main chunk and in message functions.
    fn running(&mut self) -> Option<&mut Task> {
        self.list.get_mut(self.current as usize)
    }

    /// Whether messages reach Lua code.
    pub(crate) fn listens(&self) -> bool {
        self.mode != CallbackMode::None
    }

    /// Collects the text of an error for the end of the turn.
    fn report(&mut self, text: Vec<u8>) {
        self.errors.push(text);
    }

    /// The block is no longer Lua's to lose at the end of the turn: a native took it.
    pub(crate) fn taken(&mut self, block: *const u8) {
        if self.lent == block {
            self.lent = std::ptr::null();
        }
    }
}

impl Vm {
    /// A session number that nothing waits for. Numbers wrap; long waits are common, so live ones are skipped.
    #[inline]
    pub(crate) fn new_session(&mut self) -> i32 {
        loop {
            match self.tasks.sessions.next() {
                Some(session) if !self.tasks.waits.contains(session) => return session,
                Some(_) => {}
                None => self.tasks.sessions = self.context.session_block(),
            }
        }
    }
}

/// Anchors the value on top of `state` and pops it.
///
/// # Safety
/// `state` runs protected and has two free slots: growing the table may raise.
unsafe fn anchor(state: *mut lua_State) -> Anchor {
    // SAFETY: the number is taken only after everything that can raise. Stack: one value less.
    unsafe {
        let vm = Vm::of(state);
        (*vm).push_slot(state, Slot::Anchors);
        ffi::lua_rotate(state, -2, 1);
        let tasks = &raw mut (*vm).tasks;
        let place = (*tasks)
            .vacant_anchors
            .last()
            .copied()
            .unwrap_or(Anchor::MIN.saturating_add((*tasks).anchors));
        ffi::lua_rawseti(state, -2, ffi::lua_Integer::from(place.get()));
        ffi::lua_pop(state, 1);
        if (*tasks).vacant_anchors.pop().is_none() {
            (*tasks).anchors = place.get();
        }
        place
    }
}

/// Pushes an anchored value onto `state`.
///
/// # Safety
/// `anchor` is live and `state` has a free slot.
unsafe fn push_anchored(vm: *mut Vm, state: *mut lua_State, anchor: Anchor) {
    // SAFETY: reading an array slot neither allocates nor raises; the vault has room. Stack: one value more.
    unsafe {
        let vault = (*vm).vault;
        ffi::lua_rawgeti(
            vault,
            Slot::Anchors as c_int,
            ffi::lua_Integer::from(anchor.get()),
        );
        raw::push(state, raw::pop(vault));
    }
}

/// Lets go of an anchored value.
///
/// # Safety
/// `anchor` is live; it is not used afterwards.
unsafe fn release_anchor(vm: *mut Vm, anchor: Anchor) {
    // SAFETY: `false` overwrites a present key, so nothing grows and nothing raises; the vault has room.
    unsafe {
        let vault = (*vm).vault;
        raw::push(vault, raw::Value::boolean(false));
        ffi::lua_rawseti(
            vault,
            Slot::Anchors as c_int,
            ffi::lua_Integer::from(anchor.get()),
        );
        (*vm).tasks.vacant_anchors.push(anchor);
    }
}
