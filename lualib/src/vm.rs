//! One Lua state and everything the host keeps for it.
//!
//! A [`Vm`] lives in a box; its address stands in the extra space of every thread of the state, so that each native finds
//! it in one load. It is only touched on its service's own turn. Natives reach it through a raw pointer and never keep a
//! reference across a call into Lua, because Lua code may call natives again.

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use fulmar_arena::{Arena, Scripts};
use fulmar_engine::{Context, Route};
use mlua::ffi::{self, lua_State};

use crate::buffers::Buffers;
use crate::code_cache::{self, Bytecode};
use crate::image::{self, Image};
use crate::memory::{self, Memory, Place};
use crate::node::Node;
use crate::profile::Profiles;
use crate::raw;
use crate::seri::{ExternalStrings, Packer, RecentStrings};
use crate::signal::SignalState;
use crate::stm::Shown;
use crate::tasks::{self, Tasks};

/// The host's side of one Lua service.
///
/// In cache lines of its own (processors fetch them in pairs): see [`lines`](crate::lines).
#[repr(align(128))]
pub(crate) struct Vm {
    /// The main thread: runs the main chunk and Lua message functions.
    pub(crate) main: *mut lua_State,
    /// A thread that never runs: its stack holds what the host must find without a table lookup. See [`Slot`].
    pub(crate) vault: *mut lua_State,
    /// What is in some of its slots, by address.
    pub(crate) fixed: Fixed,
    pub(crate) context: Context,
    /// The ways to whom it asked and whom it answered last.
    pub(crate) routes: [Route; 2],
    pub(crate) node: Arc<Node>,
    pub(crate) arena: Arena,
    pub(crate) packer: Packer,
    pub(crate) strings: Box<ExternalStrings>,
    /// Bytes of external strings that have arrived since the last garbage collection on their account.
    pub(crate) arrived_bytes: usize,
    pub(crate) tasks: Tasks,
    pub(crate) profiles: Profiles,
    pub(crate) signal: Arc<SignalState>,
    /// Bytecode that functions of this state execute in place, by its address.
    pub(crate) bytecode: HashMap<*const u8, Arc<Bytecode>>,
    /// Where a chunk is dumped to.
    pub(crate) dumped: Vec<u8>,
    pub(crate) cache_mode: code_cache::Mode,
    /// The text of the error being raised; see `stack::finish`.
    pub(crate) raised: Vec<u8>,
    /// What natives write strings into.
    pub(crate) buffers: Buffers,
    /// Blocks of Lua code that natives read right now.
    pub(crate) reading: Reading,
    /// Values of stm boxes that Lua code may read right now.
    pub(crate) shown: Shown,
    /// Blocks that Lua code of this service owns right now.
    pub(crate) scripts: Scripts,
    /// A memory limit asked for by the main chunk, applied when loading has ended.
    pub(crate) asked_limit: Option<usize>,
    pub(crate) memory: Box<Memory>,
}

/// Fixed places on the vault's stack.
#[derive(Clone, Copy)]
#[repr(i32)]
pub(crate) enum Slot {
    /// Table: integer -> value that Rust refers to by number.
    Anchors = 1,
    /// Table: protocols by name and by id (`skynet._proto`).
    Protocols = 2,
    /// Table: token -> session of the coroutine that sleeps with it.
    Tokens = 3,
    /// The service's message function when it is not the native one.
    Callback = 4,
    /// Hooks for requests and responses that nobody expects.
    UnknownRequest = 5,
    UnknownResponse = 6,
    /// Interned field names.
    KeyId = 7,
    KeyPack = 8,
    KeyUnpack = 9,
    KeyDispatch = 10,
    KeyTrace = 11,
    KeyIndex = 12,
    KeyLen = 13,
    /// The metatable of readers of shared tables; nil before the first.
    Readers = 14,
    /// Table: the modules of the node's image by name; nil without one.
    Premade = 15,
    /// The module `skynet` that has stubs of `skynet.manager`, and what loads the functions; nil before.
    Managed = 16,
    ManageLoader = 17,
}

const SLOTS: c_int = 17;

/// Objects that the vault keeps for the state's life.
#[derive(Clone, Copy)]
pub(crate) struct Fixed {
    pub(crate) protocols: *const raw::Table,
    pub(crate) id: *const raw::Text,
    pub(crate) pack: *const raw::Text,
    pub(crate) unpack: *const raw::Text,
    pub(crate) dispatch: *const raw::Text,
    pub(crate) trace: *const raw::Text,
    pub(crate) index: *const raw::Text,
    pub(crate) len: *const raw::Text,
    /// Null before the first reader.
    pub(crate) readers: *const raw::Table,
}

impl Fixed {
    /// The same objects at other addresses.
    pub(crate) fn map(
        self,
        text: impl Fn(*const raw::Text) -> *mut raw::Text,
        table: impl Fn(*const raw::Table) -> *mut raw::Table,
    ) -> Fixed {
        Fixed {
            protocols: table(self.protocols),
            id: text(self.id),
            pack: text(self.pack),
            unpack: text(self.unpack),
            dispatch: text(self.dispatch),
            trace: text(self.trace),
            index: text(self.index),
            len: text(self.len),
            readers: table(self.readers),
        }
    }
}

impl Default for Fixed {
    fn default() -> Fixed {
        let text = ptr::null();
        Fixed {
            protocols: ptr::null(),
            id: text,
            pack: text,
            unpack: text,
            dispatch: text,
            trace: text,
            index: text,
            len: text,
            readers: ptr::null(),
        }
    }
}

impl Vm {
    /// Opens a state with the standard libraries: a copy of the node's image, or, when there is none or no mapping for a copy, a state
    /// of its own.
    ///
    /// # Errors
    /// When there is no memory for the state.
    pub(crate) fn open(
        context: Context,
        node: Arc<Node>,
        arena: Arena,
        signal: Arc<SignalState>,
    ) -> Result<Box<Vm>, NoMemory> {
        let image = node
            .image
            .get_or_init(|| Image::make(&context, &node, arena, &signal));
        let copy = image.as_ref().and_then(|image| {
            let empty = Vm::without_state(
                context.clone(),
                Arc::clone(&node),
                arena,
                Arc::clone(&signal),
                Place::Nowhere,
            );
            empty.copied_from(image)
        });
        if let Some(copy) = copy {
            return Ok(copy);
        }
        let seed = node.random_seed();
        Vm::set_up(context, node, arena, signal, seed, Place::Nowhere)
    }

    /// A host without a state with a copy of the image. None when there is no memory to copy it to.
    fn copied_from(mut self: Box<Vm>, image: &Image) -> Option<Box<Vm>> {
        let pointer: *mut Vm = &mut *self;
        let memory: *mut Memory = &mut *self.memory;
        // SAFETY: both live in boxes; `close` runs before they are dropped. `reseed` follows the rules of natives.
        let status = unsafe {
            let stamped = image.stamp(pointer, memory)?;
            self.main = stamped.main;
            self.vault = stamped.vault;
            self.fixed = stamped.fixed;
            crate::stack::protect(self.main, image::reseed, ptr::null_mut(), 0)
        };
        (status == ffi::LUA_OK).then_some(self)
    }

    /// Sets up a state by itself, in `place`.
    ///
    /// # Errors
    /// When there is no memory for the state.
    pub(crate) fn set_up(
        context: Context,
        node: Arc<Node>,
        arena: Arena,
        signal: Arc<SignalState>,
        seed: u32,
        place: Place,
    ) -> Result<Box<Vm>, NoMemory> {
        let mut vm = Vm::without_state(context, node, arena, signal, place);
        let pointer: *mut Vm = &mut *vm;
        let memory: *mut Memory = &mut *vm.memory;
        // SAFETY: the allocator's argument outlives the state: `close` runs before the box is dropped.
        vm.main = unsafe { ffi::lua_newstate(memory::allocate, memory.cast(), seed) };
        if vm.main.is_null() {
            return Err(NoMemory);
        }
        // SAFETY: the extra space of the main thread is one pointer wide; new threads copy it. `prepare` follows the rules
        // of natives and gets the pointer to a live box.
        let status = unsafe {
            ffi::lua_getextraspace(vm.main).cast::<*mut Vm>().write(pointer);
            ffi::lua_gc(vm.main, ffi::LUA_GCSTOP);
            crate::stack::protect(vm.main, prepare, pointer.cast(), 0)
        };
        if status != ffi::LUA_OK {
            return Err(NoMemory);
        }
        Ok(vm)
    }

    fn without_state(
        context: Context,
        node: Arc<Node>,
        arena: Arena,
        signal: Arc<SignalState>,
        place: Place,
    ) -> Box<Vm> {
        let strings = Box::new(ExternalStrings::new());
        let memory = Box::new(Memory::new(context.clone(), &raw const *strings, place));
        Box::new(Vm {
            main: ptr::null_mut(),
            vault: ptr::null_mut(),
            fixed: Fixed::default(),
            packer: Packer::new(arena),
            strings,
            arrived_bytes: 0,
            tasks: Tasks::new(),
            profiles: Profiles::default(),
            signal,
            bytecode: HashMap::new(),
            dumped: Vec::new(),
            cache_mode: code_cache::Mode::On,
            raised: Vec::new(),
            buffers: Buffers::default(),
            reading: Reading::default(),
            shown: Shown::default(),
            scripts: Scripts::new(arena, context.handle().bits()),
            asked_limit: None,
            context,
            routes: Default::default(),
            node,
            arena,
            memory,
        })
    }

    /// The host of the state that runs `state`.
    ///
    /// # Safety
    /// `state` is a thread of a state opened by [`Vm::open`]. Nothing made from the pointer may be kept across a call into
    /// Lua.
    pub(crate) unsafe fn of(state: *mut lua_State) -> *mut Vm {
        // SAFETY: every thread inherits the main thread's extra space.
        unsafe { ffi::lua_getextraspace(state).cast::<*mut Vm>().read() }
    }

    /// The node of the state that runs `state`.
    ///
    /// # Safety
    /// As for [`of`](Self::of); the state stays open as long as the reference lives.
    pub(crate) unsafe fn node_of<'a>(state: *mut lua_State) -> &'a Node {
        // SAFETY: the host holds the node as long as the state is open.
        unsafe { &*Arc::as_ptr(&(*Vm::of(state)).node) }
    }

    /// Bytes that the Lua heap uses, without external strings.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.memory.used_bytes()
    }

    /// Of those, what the node's image has brought.
    pub(crate) fn image_bytes(&self) -> usize {
        let image = self.node.image.get().and_then(Option::as_ref);
        image.map_or(0, Image::used_bytes)
    }

    pub(crate) fn limit_memory(&mut self, bytes: usize) {
        self.memory.limit(bytes);
    }

    /// Closes the Lua state: finalizers run and may still send messages. Does nothing the second time.
    pub(crate) fn close(&mut self) {
        if !self.main.is_null() {
            let main = std::mem::replace(&mut self.main, ptr::null_mut());
            // SAFETY: the state is open, and nothing of it runs: the service is on its last turn.
            unsafe { ffi::lua_close(main) };
        }
    }

    /// The strings that were unpacked lately: behind the fixed slots.
    #[inline(always)]
    pub(crate) fn recent_strings(&self) -> RecentStrings {
        // SAFETY: `prepare` has made the slots; natives leave the vault's stack as it was.
        unsafe { RecentStrings::new(self.vault, SLOTS + 1) }
    }

    /// Pushes the value of a fixed slot onto `state`.
    ///
    /// # Safety
    /// `state` belongs to this host and has a free stack slot.
    pub(crate) unsafe fn push_slot(&self, state: *mut lua_State, slot: Slot) {
        // SAFETY: the vault keeps its slots for the state's life. Stack of `state`: one value more; of the vault: unchanged.
        unsafe { raw::push(state, *raw::at(self.vault, slot as c_int)) }
    }

    /// Moves the value on top of `state` into a fixed slot.
    ///
    /// # Safety
    /// `state` belongs to this host and has a value on top.
    pub(crate) unsafe fn pop_slot(&self, state: *mut lua_State, slot: Slot) {
        // SAFETY: as in `push_slot`. Stack of `state`: one value less.
        unsafe {
            ffi::lua_xmove(state, self.vault, 1);
            ffi::lua_copy(self.vault, -1, slot as c_int);
            ffi::lua_pop(self.vault, 1);
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.close();
    }
}

/// The blocks that natives of a service read right now, each with the place of the native's frame.
///
/// A finalizer or a metamethod may run in the middle of such a read and try to free the block. An entry whose frame lies
/// deeper than the asking one belongs to a read that a Lua error has cut short.
#[derive(Default)]
pub(crate) struct Reading(Vec<(*const u8, usize)>);

impl Reading {
    pub(crate) fn begin(&mut self, data: *const u8) {
        self.forget_cut_short();
        self.0.push((data, frame()));
    }

    pub(crate) fn end(&mut self) {
        self.0.pop();
    }

    pub(crate) fn contains(&mut self, data: *const u8) -> bool {
        self.forget_cut_short();
        self.0.iter().any(|(read, _)| *read == data)
    }

    fn forget_cut_short(&mut self) {
        let here = frame();
        while self.0.pop_if(|(_, reader)| *reader < here).is_some() {}
    }

    /// The turn is over: nothing is being read.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// About where the stack of this thread ends now: it grows downwards.
#[inline(always)]
pub(crate) fn frame() -> usize {
    let mark = 0u8;
    (&raw const mark).addr()
}

/// There was no memory for a new Lua state.
#[derive(Debug, thiserror::Error)]
#[error("not enough memory for a Lua state")]
pub(crate) struct NoMemory;

/// Fills a new state: libraries, vault. Runs protected.
unsafe extern "C-unwind" fn prepare(state: *mut lua_State) -> c_int {
    // SAFETY: index 1 is the pointer given by `Vm::open`; nothing with a destructor lives here. The vault's stack ends up
    // with exactly the slots of `Slot`, in their order, and those of the recent strings.
    unsafe {
        let vm = ffi::lua_touserdata(state, 1).cast::<Vm>();
        crate::library::open_standard(state);
        let vault = ffi::lua_newthread(state);
        ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        let slots = SLOTS + RecentStrings::SLOTS as c_int;
        ffi::luaL_checkstack(vault, slots + VAULT_ROOM, ptr::null());
        for _ in 0..slots {
            ffi::lua_pushnil(vault);
        }
        for slot in [Slot::Anchors, Slot::Protocols, Slot::Tokens] {
            ffi::lua_createtable(vault, 0, 0);
            ffi::lua_copy(vault, -1, slot as c_int);
            ffi::lua_pop(vault, 1);
        }
        ffi::lua_pushvalue(vault, Slot::Protocols as c_int);
        tasks::watch_protocols(vault);
        ffi::lua_pop(vault, 1);
        let keys: [(Slot, &CStr); 7] = [
            (Slot::KeyId, c"id"),
            (Slot::KeyPack, c"pack"),
            (Slot::KeyUnpack, c"unpack"),
            (Slot::KeyDispatch, c"dispatch"),
            (Slot::KeyTrace, c"trace"),
            (Slot::KeyIndex, c"__index"),
            (Slot::KeyLen, c"__len"),
        ];
        for (slot, key) in keys {
            ffi::lua_pushstring(vault, key.as_ptr());
            ffi::lua_copy(vault, -1, slot as c_int);
            ffi::lua_pop(vault, 1);
        }
        ffi::lua_pushcclosure(vault, tasks::unknown_request, 0);
        ffi::lua_replace(vault, Slot::UnknownRequest as c_int);
        ffi::lua_pushcclosure(vault, tasks::unknown_response, 0);
        ffi::lua_replace(vault, Slot::UnknownResponse as c_int);
        (*vm).vault = vault;
        let text = |slot: Slot| {
            (*raw::at(vault, slot as c_int))
                .as_short_text()
                .unwrap_or(ptr::null())
        };
        (*vm).fixed = Fixed {
            protocols: (*raw::at(vault, Slot::Protocols as c_int))
                .as_table()
                .unwrap_or(ptr::null()),
            id: text(Slot::KeyId),
            pack: text(Slot::KeyPack),
            unpack: text(Slot::KeyUnpack),
            dispatch: text(Slot::KeyDispatch),
            trace: text(Slot::KeyTrace),
            index: text(Slot::KeyIndex),
            len: text(Slot::KeyLen),
            readers: ptr::null(),
        };
        0
    }
}

/// Free slots that the vault always has above the fixed ones.
const VAULT_ROOM: c_int = 8;

/// The argument of a protected call, as natives see it.
pub(crate) fn as_argument<T>(value: &mut T) -> *mut c_void {
    ptr::from_mut(value).cast()
}
