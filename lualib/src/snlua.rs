//! `snlua`: the native service that hosts one Lua service.
//!
//! Launching only sends the service its own command line; the Lua state is opened and the script runs when that message
//! arrives, on a worker. So many services load at once, and a script that cannot start does not disturb its creator.

use std::sync::Arc;

use fulmar_arena::Arena;
use fulmar_engine::{
    Body, Context, Message, MessageType, Module, Payload, Service, SignalTarget, StartError,
};
use mlua::ffi;

use crate::loader::Start;
use crate::node::Node;
use crate::signal::{Running, SignalState};
use crate::vm::{Vm, as_argument};
use crate::{loader, stack, tasks};

/// The module: makes Lua services of one node.
pub(crate) struct Snlua {
    pub(crate) node: Arc<Node>,
}

impl Module for Snlua {
    fn create(&self) -> Box<dyn Service> {
        Box::new(LuaService::new(Arc::clone(&self.node)))
    }
}

/// One Lua service, in cache lines of its own: see [`lines`](crate::lines).
#[repr(align(128))]
pub(crate) struct LuaService {
    node: Arc<Node>,
    signal: Arc<SignalState>,
    vm: Option<Box<Vm>>,
    loaded: bool,
}

// SAFETY: the Lua state and the pointers into it are only touched inside `receive` and `stop`, which the engine never runs
// on two threads at once and between which it synchronises.
unsafe impl Send for LuaService {}

impl Service for LuaService {
    fn start(&mut self, context: &Context, arguments: &str) -> Result<(), StartError> {
        self.signal.call(arguments);
        let line = context
            .bytes(arguments.as_bytes())
            .map_err(|error| StartError::new(error.to_string()))?;
        context
            .send(context.handle(), MessageType::TEXT, 0, line)
            .map_err(|error| StartError::new(error.to_string()))
    }

    fn receive(&mut self, context: &Context, message: Message) {
        if !self.loaded {
            self.loaded = true;
            self.load(context, &message);
            return;
        }
        let Some(vm) = &mut self.vm else { return };
        let vm: *mut Vm = &mut **vm;
        // SAFETY: the box outlives the turn, and nothing else of this service runs.
        unsafe {
            tasks::receive(vm, message);
            settle_memory(vm);
        }
    }

    fn stop(&mut self, context: &Context) {
        let Some(mut vm) = self.vm.take() else { return };
        let pointer: *mut Vm = &mut *vm;
        // SAFETY: as in `receive`; this is the last turn.
        let left = unsafe { tasks::abandon(pointer) };
        if !left {
            context.tell_launcher();
        }
        vm.close();
    }

    fn signal_target(&self) -> Option<Arc<dyn SignalTarget>> {
        Some(Arc::clone(&self.signal) as Arc<dyn SignalTarget>)
    }
}

impl LuaService {
    pub(crate) fn new(node: Arc<Node>) -> LuaService {
        LuaService {
            node,
            signal: Arc::default(),
            vm: None,
            loaded: false,
        }
    }

    /// Opens the state and runs the script's main chunk.
    fn load(&mut self, context: &Context, message: &Message) {
        let line = match message.payload() {
            Payload::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        };
        let arena = Arena::process();
        let vm = match Vm::open(
            context.clone(),
            Arc::clone(&self.node),
            arena,
            Arc::clone(&self.signal),
        ) {
            Ok(vm) => vm,
            Err(error) => {
                complain(context, error.to_string().as_bytes());
                give_up(context);
                return;
            }
        };
        let vm: *mut Vm = &mut **self.vm.insert(vm);
        let mut start = Start::new(line);
        // SAFETY: the argument outlives the protected call; the box outlives the turn.
        unsafe {
            let main = (*vm).main;
            let running = Running::enter(vm, main);
            let status = stack::protect(main, loader::run, as_argument(&mut start), 0);
            running.leave();
            if status != ffi::LUA_OK {
                let text = stack::pop_error_text(main);
                ffi::lua_settop(main, 0);
                complain(context, &text);
                give_up(context);
                return;
            }
            ffi::lua_settop(main, 0);
            if let Some(limit) = (*vm).asked_limit {
                (*vm).limit_memory(limit);
                context.log(format!(
                    "Set memory limit to {:.2} M",
                    limit as f64 / f64::from(1 << 20)
                ));
            }
            ffi::lua_gc(main, ffi::LUA_GCRESTART);
            // What a script has made by itself is old, too, if it is much: else the first young collections walk all of it.
            if (*vm).heap_bytes() > (*vm).image_bytes() * 3 / 2 {
                ffi::lua_gc(main, ffi::LUA_GCINC);
            }
            ffi::lua_gc(main, ffi::LUA_GCGEN);
            settle_memory(vm);
            // What it has forked starts with its first message; a script that gets none has nothing else to run it.
            if !(*vm).tasks.listens() {
                let is_script = (*vm).node.is_script(start.line());
                if is_script {
                    tasks::start_forks(vm);
                }
                self.end_deaf(context, is_script);
            }
        }
    }
}

impl LuaService {
    /// The script has installed no message function, and none of its code will run again to do so. The one of `fulmar exec` has done
    /// its work. In skynet any other stays, and so it does here, for what its modules may be doing; but nobody has to wait for it.
    fn end_deaf(&self, context: &Context, is_script: bool) {
        if is_script {
            // It has started, as far as it ever will.
            let _ = context.send_name(".launcher", MessageType::TEXT, 0, Body::Empty);
            context.exit();
        } else {
            context.log("error: no message will reach this service: its script has not called skynet.start");
            context.tell_launcher();
        }
    }
}

/// Says why a script cannot start: on standard error when it is the one that would write the log, or that one has gone.
fn complain(context: &Context, why: &[u8]) {
    let line = [b"lua loader error : ", why].concat();
    let logger = context.engine().names().query("logger");
    if logger.is_none_or(|logger| logger == context.handle()) {
        eprintln!("{} {}", context.handle(), String::from_utf8_lossy(&line));
    }
    context.log(line);
}

/// Ends a service whose script cannot start.
fn give_up(context: &Context) {
    context.tell_launcher();
    context.exit();
}

/// Lua does not count external strings as garbage to come: tell it how many bytes have arrived, and let it work them off.
///
/// # Safety
/// `vm` is live, and no Lua code of it runs.
unsafe fn settle_memory(vm: *mut Vm) {
    // SAFETY: a step may run finalizers, which Lua protects; no reference is held across it.
    unsafe {
        (*vm).arrived_bytes += (*vm).strings.take_arrived_bytes();
        if (*vm).arrived_bytes >= EXTERNAL_STEP_BYTES {
            let arrived = std::mem::take(&mut (*vm).arrived_bytes);
            ffi::lua_gc((*vm).main, ffi::LUA_GCSTEP, arrived);
            tasks::start_forks(vm);
        }
        (*vm).reading.clear();
        (*vm).shown.clear();
        (*vm).signal.publish((*vm).heap_bytes());
    }
}

/// Bytes of external strings that may arrive between two garbage collections on their account.
const EXTERNAL_STEP_BYTES: usize = 16 << 20;
