//! The heap of a Lua state that has just been set up: made once per node, and copied into every service.
//!
//! A new service would otherwise spend most of its start on what is the same for all: the standard libraries, the module
//! `skynet`, thousands of small objects. Instead, two *templates* are set up in the ordinary way, each in a [`Draft`].
//! They do the same steps, so their words differ exactly where one is an address inside the draft, or that of the
//! host or of its accounts. These words are the image's relocations: a copy elsewhere gets them corrected. A word that differs
//! in any other way means that setting up depends on something, and then there is no image, and services start without one
//! (`docs/decisions/004`).
//!
//! # Invariants
//! 1. Nothing in a template is placed by the address of an object: no table has one as its key (a test walks them all). What lies
//!    outside of the draft and is pointed at lives as long as the image: the program, and the bytecode kept in here.
//! 2. The seed of Lua's string hashes is part of the image, so all services of a node share it; `math.random` gets a new one in each.
//! 3. Only an address is corrected, or the bytes of old addresses behind the tag of a value, which mean nothing; a tag never changes
//!    (see [`SKEW_BYTES`](draft::SKEW_BYTES)).

mod draft;
mod premade;
mod region;
mod shelves;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use fulmar_arena::Arena;
use fulmar_engine::Context;
use mlua::ffi::{self, lua_State};

pub(crate) use self::draft::Draft;
use self::draft::Plan;
pub(crate) use self::premade::{has_premade, load_premade, reseed};
pub(crate) use self::region::Region;
use self::shelves::Shelves;
use crate::code_cache::Bytecode;
use crate::memory::{Memory, Place};
use crate::node::Node;
use crate::signal::SignalState;
use crate::vm::{Fixed, Vm};
use crate::{raw, stack};

const WORD: usize = size_of::<u64>();

/// A heap to copy.
pub(crate) struct Image {
    words: Box<[u64]>,
    shelves: Arc<Shelves>,
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
    /// Sets up the templates and compares them. None when there is no memory, when they differ in a way that has no explanation, or when
    /// a sanitizer watches, because the blocks of an image have nothing between them.
    pub(crate) fn make(
        context: &Context,
        node: &Arc<Node>,
        arena: Arena,
        signal: &Arc<SignalState>,
    ) -> Option<Image> {
        if cfg!(fulmar_asan) {
            return None;
        }
        let seed = node.random_seed();
        let template = |plan: &Rc<Plan>, is_skewed| {
            let draft = Draft::new(Rc::clone(plan), is_skewed)?;
            Template::set_up(context, node, arena, signal, seed, draft)
        };
        let no_plan = Rc::default();
        template(&no_plan, false)?; // compiles what is embedded, so that the next ones find it compiled
        let plan = Rc::new(template(&no_plan, false)?.0.memory.draft()?.plan());
        let (one, two) = (template(&plan, false)?, template(&plan, true)?);
        one.compare(&two)
    }

    /// Bytes that Lua counts in it.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Copies the heap for the host `vm`, whose allocator counts in `memory`. None when there is no memory.
    ///
    /// # Safety
    /// `memory` has no state yet, and both addresses stay valid while the new one lives.
    pub(crate) unsafe fn stamp(&self, vm: *mut Vm, memory: *mut Memory) -> Option<Stamped> {
        let region = self.shelves.region(&self.words)?;
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

/// The address that `old` has become, with the provenance of the copy; null stays null.
fn moved<T>(base: *mut u64, shift: usize, old: *mut T) -> *mut T {
    if old.is_null() {
        return old;
    }
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
        draft: Draft,
    ) -> Option<Template> {
        let vm = Vm::set_up(
            context.clone(),
            Arc::clone(node),
            arena,
            Arc::clone(signal),
            seed,
            Place::Draft(Box::new(draft)),
        );
        let vm = vm.ok()?;
        // SAFETY: the state is open and nothing of it runs. The main thread's stack stays empty.
        unsafe {
            for step in [premade::furnish, premade::fill_string_cache] {
                if stack::protect(vm.main, step, std::ptr::null_mut(), 0) != ffi::LUA_OK {
                    return None;
                }
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
        let (mine, theirs) = (self.0.memory.draft()?.words(), other.0.memory.draft()?.words());
        let (base, other_base) = (mine.as_ptr().addr(), theirs.as_ptr().addr());
        // One past the end may be the end of a stack.
        let is_inner = |base: usize, word: u64| (base..=base + size_of_val(mine)).contains(&(word as usize));
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
            let is_same_place = one.wrapping_sub(base as u64) == two.wrapping_sub(other_base as u64);
            if is_inner(base, one) && is_inner(other_base, two) && is_same_place {
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
            shelves: Shelves::for_words(mine.len())?,
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
