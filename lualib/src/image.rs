//! The heap of a Lua state that has just been set up: made once per node, and copied into every service.
//!
//! A new service would otherwise spend most of its start on what is the same for all: the standard libraries, the module
//! `skynet`, thousands of small objects. Instead, two *templates* are set up in the ordinary way, each inside one region of
//! memory. They do the same steps, so their regions differ exactly where a word is an address inside the region, or that of the
//! host or of its accounts. These words are the image's relocations: a copy elsewhere gets them corrected. A word that differs
//! in any other way means that setting up depends on something, and then there is no image, and services start without one.
//!
//! # Invariants
//! 1. Nothing in a template is placed by the address of an object: no table has one as its key (a test walks them all). What lies
//!    outside of the region and is pointed at lives as long as the image: the program, and the bytecode kept in here.
//! 2. The seed of Lua's string hashes is part of the image, so all services of a node share it; `math.random` gets a new one in each.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;

use fulmar_arena::Arena;
use fulmar_engine::Context;
use mlua::ffi::{self, lua_State};

use crate::code_cache::{self, Bytecode};
use crate::memory::{Memory, Places, Region};
use crate::node::Node;
use crate::signal::SignalState;
use crate::stack;
use crate::vm::{Fixed, Slot, Vm};
use crate::{embedded, raw};

/// A heap to copy.
pub(crate) struct Image {
    words: Box<[u64]>,
    free: Places,
    /// Where the words were made.
    base: usize,
    /// Words that hold an address between `base` and its end.
    inner: Box<[u32]>,
    /// Words that hold the address of the host ([`Vm`]), and of its [`Memory`].
    hosts: Box<[u32]>,
    memories: Box<[u32]>,
    /// What Lua has asked for.
    used_bytes: usize,
    main: *mut lua_State,
    vault: *mut lua_State,
    fixed: Fixed,
    _bytecode: HashMap<*const u8, Arc<Bytecode>>,
}

// SAFETY: its addresses are numbers to calculate with: what they point at, the template, is gone. The bytecode is only kept.
unsafe impl Send for Image {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Image {}

/// What a copy of an image needs to be known by.
pub(crate) struct Stamped {
    pub(crate) main: *mut lua_State,
    pub(crate) vault: *mut lua_State,
    pub(crate) fixed: Fixed,
}

impl Image {
    /// Sets up the templates and compares them. None when there is no memory, or when they differ in a way that has no explanation.
    pub(crate) fn make(
        context: &Context,
        node: &Arc<Node>,
        arena: Arena,
        signal: &Arc<SignalState>,
    ) -> Option<Image> {
        let seed = node.random_seed();
        let template = || Template::set_up(context, node, arena, signal, seed);
        template()?; // compiles what is embedded, so that the next two find it compiled
        let (one, two) = (template()?, template()?);
        one.compare(&two)
    }

    /// Copies the heap for the host `vm`, whose allocator counts in `memory`. None when there is no memory.
    ///
    /// # Safety
    /// `memory` has no state yet, and both addresses stay valid while the new one lives.
    pub(crate) unsafe fn stamp(&self, vm: *mut Vm, memory: *mut Memory) -> Option<Stamped> {
        let region = Region::copy_of(&self.words, &self.free)?;
        let base = region.base();
        let shift = base.addr().wrapping_sub(self.base);
        // SAFETY: the region is as long as the image, and every relocation is a place in it.
        unsafe {
            for place in &self.inner {
                let word = base.add(*place as usize);
                *word = (*word).wrapping_add(shift as u64);
            }
            for place in &self.hosts {
                base.add(*place as usize).cast::<*mut Vm>().write(vm);
            }
            for place in &self.memories {
                base.add(*place as usize).cast::<*mut Memory>().write(memory);
            }
            (*memory).adopt(region, self.used_bytes);
        }
        Some(Stamped {
            main: moved(base, shift, self.main),
            vault: moved(base, shift, self.vault),
            fixed: self.fixed.map(
                |text| moved(base, shift, text.cast_mut()),
                |table| moved(base, shift, table.cast_mut()),
            ),
        })
    }
}

/// The address that `old` has become, with the provenance of the copy.
fn moved<T>(base: *mut u64, shift: usize, old: *mut T) -> *mut T {
    base.with_addr(old.addr().wrapping_add(shift)).cast()
}

/// A state that is set up to be copied.
struct Template(Box<Vm>);

impl Template {
    fn set_up(
        context: &Context,
        node: &Arc<Node>,
        arena: Arena,
        signal: &Arc<SignalState>,
        seed: u32,
    ) -> Option<Template> {
        let region = Region::of_words(TEMPLATE_WORDS)?;
        let vm = Vm::set_up(
            context.clone(),
            Arc::clone(node),
            arena,
            Arc::clone(signal),
            seed,
            Some(region),
        );
        let vm = vm.ok()?;
        // SAFETY: the state is open and nothing of it runs. The main thread's stack stays empty.
        unsafe {
            if stack::protect(vm.main, furnish, std::ptr::null_mut(), 0) != ffi::LUA_OK {
                return None;
            }
            ffi::lua_gc(vm.main, ffi::LUA_GCCOLLECT);
            // Generational from the start: what all have in common is old, and no collection of a service looks at it twice.
            ffi::lua_gc(vm.main, ffi::LUA_GCGEN);
            ffi::lua_gc(vm.main, ffi::LUA_GCSTOP);
            raw::scrub(vm.main);
            raw::scrub(vm.vault);
        }
        Some(Template(vm))
    }

    fn compare(mut self, other: &Template) -> Option<Image> {
        let (region, other_region) = (self.0.memory.region()?, other.0.memory.region()?);
        let (mine, theirs) = (region.words(), other_region.words());
        let (base, other_base) = (mine.as_ptr().addr(), theirs.as_ptr().addr());
        // One past the end may be the end of a stack.
        let is_inner = |base: usize, word: u64| {
            (base..=base + size_of_val(mine)).contains(&(word as usize))
                && word.is_multiple_of(size_of::<u64>() as u64)
        };
        let address = |vm: &Vm| {
            (
                std::ptr::from_ref(vm).addr() as u64,
                std::ptr::from_ref(&*vm.memory).addr() as u64,
            )
        };
        let ((vm, memory), (other_vm, other_memory)) = (address(&self.0), address(&other.0));
        let (mut inner, mut hosts, mut memories) = (Vec::new(), Vec::new(), Vec::new());
        if mine.len() != theirs.len() {
            return None;
        }
        for (place, (&one, &two)) in (0..).zip(mine.iter().zip(theirs)) {
            if one == two {
                continue;
            }
            // Usually the same place in both; Lua's cache of strings by the address of their C text may have others.
            if is_inner(base, one) && is_inner(other_base, two) {
                inner.push(place);
            } else if (one, two) == (vm, other_vm) {
                hosts.push(place);
            } else if (one, two) == (memory, other_memory) {
                memories.push(place);
            } else {
                return None;
            }
        }
        Some(Image {
            words: mine.into(),
            free: region.free_places().clone(),
            base,
            inner: inner.into(),
            hosts: hosts.into(),
            memories: memories.into(),
            used_bytes: self.0.heap_bytes(),
            main: self.0.main,
            vault: self.0.vault,
            fixed: self.0.fixed,
            _bytecode: std::mem::take(&mut self.0.bytecode),
        })
    }
}

/// Modules that are made beforehand, each before those that require it.
const PREMADE: [&str; 4] = ["skynet.core", "skynet.codecache", "skynet.require", "skynet"];

/// Puts into a template what its copies need first: the loader, and the modules of [`PREMADE`], which a service gets when it requires
/// them.
unsafe extern "C-unwind" fn furnish(state: *mut lua_State) -> c_int {
    // SAFETY: runs protected, nothing is owned. Stack: `package.loaded`, the table of modules; then nothing.
    unsafe {
        let vm = Vm::of(state);
        ffi::lua_settop(state, 0);
        // What is random here is made so in each copy.
        reseed_with(state, 0, 0);
        if let Some(loader) = embedded::library("loader") {
            if code_cache::load_embedded(state, loader) != ffi::LUA_OK {
                ffi::lua_error(state);
            }
            (*vm).pop_slot(state, Slot::Loader);
        }
        if (*vm).node.files_first() {
            return 0;
        }
        ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
        ffi::lua_createtable(state, 0, PREMADE.len() as c_int);
        for name in PREMADE {
            ffi::lua_getglobal(state, c"require".as_ptr());
            stack::push_bytes(state, name.as_bytes());
            ffi::lua_callk(state, 1, 1, 0, None);
            set(state, 2, name);
        }
        for name in PREMADE {
            ffi::lua_pushnil(state);
            set(state, 1, name);
        }
        (*vm).pop_slot(state, Slot::Premade);
        ffi::lua_settop(state, 0);
        0
    }
}

/// `table[name] = ` the value on top, which is popped.
unsafe fn set(state: *mut lua_State, table: c_int, name: &str) {
    // SAFETY: runs protected; raw access to a table. Stack: one value less.
    unsafe {
        stack::push_bytes(state, name.as_bytes());
        ffi::lua_rotate(state, -2, 1);
        ffi::lua_rawset(state, table);
    }
}

/// Pushes `table[name]`, without metamethods.
unsafe fn get(state: *mut lua_State, table: c_int, name: &str) {
    // SAFETY: runs protected. Stack: one value more.
    unsafe {
        let table = ffi::lua_absindex(state, table);
        stack::push_bytes(state, name.as_bytes());
        ffi::lua_rawget(state, table);
    }
}

/// Whether the module `name` was made beforehand and may be handed out: it is not when the program has put something of its own in the
/// place of a module that it is made of.
///
/// # Safety
/// Runs protected, with eight free slots. Stack: unchanged.
pub(crate) unsafe fn has_premade(state: *mut lua_State, name: &str) -> bool {
    let Some(place) = PREMADE.iter().position(|premade| *premade == name) else {
        return false;
    };
    // SAFETY: table accesses that run no Lua code.
    unsafe {
        let top = ffi::lua_gettop(state);
        (*Vm::of(state)).push_slot(state, Slot::Premade);
        let mut is_ours = ffi::lua_type(state, -1) == ffi::LUA_TTABLE;
        if is_ours && name == "skynet" {
            ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
            ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_PRELOAD_TABLE);
            for part in &PREMADE[..place] {
                get(state, top + 1, part);
                get(state, top + 2, part);
                get(state, top + 3, part);
                is_ours &= ffi::lua_isnoneornil(state, -1) != 0
                    && (ffi::lua_isnoneornil(state, -2) != 0 || ffi::lua_rawequal(state, -2, -3) != 0);
                ffi::lua_settop(state, top + 3);
            }
        }
        if !is_ours && name == "skynet" {
            forget_premade(state);
        }
        ffi::lua_settop(state, top);
        is_ours
    }
}

/// The module `skynet` will be made anew: the protocols that the other one has registered are gone with it.
unsafe fn forget_premade(state: *mut lua_State) {
    // SAFETY: clearing fields of a table while it is traversed is allowed. Stack: a table more, and nothing of value.
    unsafe {
        let vm = Vm::of(state);
        (*vm).push_slot(state, Slot::Protocols);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_pop(state, 1);
            ffi::lua_pushvalue(state, -1);
            ffi::lua_pushnil(state);
            ffi::lua_rawset(state, -4);
        }
        ffi::lua_pushnil(state);
        (*vm).pop_slot(state, Slot::Premade);
    }
}

/// The loader of a module that was made beforehand; the modules that `skynet` is made of count as loaded with it.
pub(crate) unsafe extern "C-unwind" fn load_premade(state: *mut lua_State) -> c_int {
    // SAFETY: `require` calls this with the name. Stack: name, loaded, premade; then the module.
    unsafe {
        ffi::lua_settop(state, 1);
        ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_LOADED_TABLE);
        (*Vm::of(state)).push_slot(state, Slot::Premade);
        if stack::bytes_at(state, 1) == Some(b"skynet") {
            for part in &PREMADE[..PREMADE.len() - 1] {
                get(state, 3, part);
                set(state, 2, part);
            }
        }
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rawget(state, 3);
        1
    }
}

/// Gives a copy its own `math.random`. Runs protected, with nothing on the stack but the pointer that `protect` gives.
pub(crate) unsafe extern "C-unwind" fn reseed(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: unchanged.
    unsafe {
        let node = &*(&*Vm::of(state)).node;
        reseed_with(state, node.random_seed(), node.random_seed());
        0
    }
}

unsafe fn reseed_with(state: *mut lua_State, one: u32, two: u32) {
    // SAFETY: runs protected in a state whose libraries are as they were opened. Stack: unchanged.
    unsafe {
        let top = ffi::lua_gettop(state);
        ffi::lua_getglobal(state, c"math".as_ptr());
        ffi::lua_getfield(state, -1, c"randomseed".as_ptr());
        ffi::lua_pushinteger(state, one.into());
        ffi::lua_pushinteger(state, two.into());
        ffi::lua_callk(state, 2, 0, 0, None);
        ffi::lua_settop(state, top);
    }
}

/// Room for a template: several times what it needs.
const TEMPLATE_WORDS: u32 = 1 << 16;
