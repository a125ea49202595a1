//! The accounting allocator of one Lua state: counts bytes, warns at doublings, refuses beyond a limit.
//!
//! A state made from the node's image begins in a [`Region`]; a template for the image lies in a [`Draft`] as a whole. All other
//! blocks come from the program's global allocator, and small ones that are given back are kept by the thread for a while, see `spares`.

#![expect(
    clippy::disallowed_methods,
    reason = "the heap of a Lua state is counted here; it holds no message memory"
)]

mod spares;

use std::alloc::{Layout, alloc, realloc};
use std::ffi::c_void;
use std::ptr;

use fulmar_engine::Context;
use mlua::ffi;

use self::spares::layout;
use crate::image::{Draft, Region};
use crate::lines::LINE_BYTES;
use crate::seri::ExternalStrings;

/// What one Lua state has allocated. The state's allocator owns a pointer to it for the state's whole life.
///
/// In cache lines of its own, see [`lines`](crate::lines).
#[repr(align(128))]
pub(crate) struct Memory {
    used_bytes: usize,
    limit_bytes: usize,
    warn_bytes: usize,
    /// As long as no more is used, there is nothing to refuse and nothing to warn of.
    quiet_bytes: usize,
    /// As long as no more is used, free places of the region come before spare blocks: what has just started stays small.
    young_bytes: usize,
    /// Bytes of arena blocks that the state's external strings keep alive; they count against the limit.
    strings: *const ExternalStrings,
    context: Context,
    place: Place,
}

/// Where a state's blocks lie as long as there is room.
pub(crate) enum Place {
    Nowhere,
    Region(Region),
    Draft(Box<Draft>),
}

impl Memory {
    /// Memory that counts what `strings` hold too; the pointer must stay valid while the state lives.
    pub(crate) fn new(context: Context, strings: *const ExternalStrings, place: Place) -> Memory {
        let mut memory = Memory {
            used_bytes: 0,
            limit_bytes: usize::MAX,
            warn_bytes: FIRST_WARNING_BYTES,
            quiet_bytes: 0,
            young_bytes: 0,
            strings,
            context,
            place,
        };
        memory.find_quiet();
        memory
    }

    /// Memory of a state that exists already: `used_bytes` of blocks in `region`.
    pub(crate) fn adopt(&mut self, region: Region, used_bytes: usize) {
        self.place = Place::Region(region);
        self.used_bytes = used_bytes;
        self.young_bytes = used_bytes + YOUTH_BYTES;
    }

    pub(crate) fn draft(&self) -> Option<&Draft> {
        match &self.place {
            Place::Draft(draft) => Some(draft),
            _ => None,
        }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Sets the hard limit; 0 means none.
    pub(crate) fn limit(&mut self, bytes: usize) {
        self.limit_bytes = if bytes == 0 { usize::MAX } else { bytes };
        self.find_quiet();
    }

    /// What external strings hold may be more at any time, so a limit leaves nothing quiet. Nor does a draft, which has all blocks.
    fn find_quiet(&mut self) {
        let is_loud = self.limit_bytes != usize::MAX || matches!(self.place, Place::Draft(_));
        self.quiet_bytes = if is_loud { 0 } else { self.warn_bytes };
    }

    fn external(&self) -> usize {
        // SAFETY: the creator keeps the strings alive and in place; they are only touched on the service's own turn.
        unsafe { (*self.strings).held_bytes() }
    }

    fn warn(&mut self) {
        while self.used_bytes > self.warn_bytes {
            self.warn_bytes = self.warn_bytes.saturating_mul(2);
        }
        self.find_quiet();
        self.context.log(format!(
            "Memory warning {:.2} M",
            self.used_bytes as f64 / MEBIBYTE
        ));
    }
}

const YOUTH_BYTES: usize = 4 << 10;
const FIRST_WARNING_BYTES: usize = 32 << 20;
const MEBIBYTE: f64 = (1 << 20) as f64;

/// `lua_Alloc` over the program's global allocator.
///
/// # Safety
/// `memory` points to a [`Memory`] that only this state uses; the other arguments follow Lua's contract.
pub(crate) unsafe extern "C" fn allocate(
    memory: *mut c_void,
    block: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
) -> *mut c_void {
    // SAFETY: Lua calls its allocator on the thread that runs the state, never re-entrantly.
    let memory = unsafe { &mut *memory.cast::<Memory>() };
    if new_bytes == 0 {
        if !block.is_null() {
            memory.used_bytes -= old_bytes;
            // SAFETY: Lua gives back a block of ours with the size it asked for.
            unsafe { memory.free(block, old_bytes) };
        }
        return ptr::null_mut();
    }
    if block.is_null() {
        let used_bytes = memory.used_bytes.wrapping_add(new_bytes);
        if memory.young_bytes < used_bytes
            && used_bytes <= memory.quiet_bytes
            && let Some(spare) = spares::take(new_bytes)
        {
            memory.used_bytes = used_bytes;
            return spare;
        }
        // For a fresh block Lua passes the kind of object in `old_bytes`.
        return memory.provide(old_bytes, new_bytes);
    }
    // SAFETY: a block of ours with the size it was asked with; the new size is not zero.
    unsafe { memory.replace(block, old_bytes, new_bytes) }
}

impl Memory {
    /// Whether so many bytes instead of `old_bytes` are refused. Shrinking never is: Lua does not check for failure there.
    fn refuses(&self, old_bytes: usize, new_bytes: usize) -> bool {
        if new_bytes <= old_bytes {
            return false;
        }
        let is_beyond = || {
            let used_bytes = self.used_bytes.saturating_add(new_bytes - old_bytes);
            used_bytes.saturating_add(self.external()) > self.limit_bytes
        };
        // What has no layout is longer than anything can be.
        Layout::from_size_align(new_bytes, LINE_BYTES).is_err()
            || self.limit_bytes != usize::MAX && is_beyond()
    }

    /// Counts a block of `new_bytes` in place of `old_bytes`, unless there was no memory for it.
    fn count(&mut self, block: *mut c_void, old_bytes: usize, new_bytes: usize) -> *mut c_void {
        if !block.is_null() {
            self.used_bytes = self.used_bytes - old_bytes + new_bytes;
            if self.used_bytes > self.warn_bytes {
                self.warn();
            }
        }
        block
    }

    /// A fresh block for an object of this kind; null when it is refused or there is no memory.
    #[inline(never)]
    fn provide(&mut self, kind: usize, bytes: usize) -> *mut c_void {
        if self.refuses(0, bytes) {
            return ptr::null_mut();
        }
        let block = self.take(bytes, kind);
        self.count(block, 0, bytes)
    }

    /// A block of `new_bytes` that begins with what is in `block`; null as above.
    ///
    /// # Safety
    /// As for [`free`](Self::free); the new size is not zero.
    #[inline(never)]
    unsafe fn replace(&mut self, block: *mut c_void, old_bytes: usize, new_bytes: usize) -> *mut c_void {
        if self.refuses(old_bytes, new_bytes) {
            return ptr::null_mut();
        }
        // SAFETY: by the caller.
        let fresh = unsafe { self.resize(block, old_bytes, new_bytes) };
        self.count(fresh, old_bytes, new_bytes)
    }

    /// A block for an object of this kind. Only userdata need more than a word's alignment.
    fn take(&mut self, bytes: usize, kind: usize) -> *mut c_void {
        let is_userdata = kind == ffi::LUA_TUSERDATA as usize;
        if let Place::Draft(draft) = &mut self.place {
            return draft.take(bytes, is_userdata).unwrap_or_default();
        }
        let block = match &mut self.place {
            Place::Region(region) if !is_userdata => region.take(bytes),
            _ => None,
        };
        // SAFETY: the size is not zero.
        let fresh = || unsafe { alloc(layout(bytes)) }.cast();
        block.or_else(|| spares::take(bytes)).unwrap_or_else(fresh)
    }

    /// # Safety
    /// `block` has `bytes` bytes and came from `take` or `resize`.
    #[inline(always)]
    unsafe fn free(&mut self, block: *mut c_void, bytes: usize) {
        match &mut self.place {
            Place::Region(region) if region.contains(block) => region.give_back(block, bytes, 0),
            Place::Draft(draft) => draft.give_back(block),
            // SAFETY: by the caller; all other blocks are of the global allocator.
            _ => unsafe { spares::give_back(block, bytes) },
        }
    }

    /// # Safety
    /// As for [`free`](Self::free); the new size is not zero.
    unsafe fn resize(&mut self, block: *mut c_void, old_bytes: usize, new_bytes: usize) -> *mut c_void {
        match &mut self.place {
            Place::Region(region) if region.contains(block) => {
                if new_bytes <= old_bytes {
                    region.give_back(block, old_bytes, new_bytes);
                    return block;
                }
            }
            Place::Draft(_) => {}
            _ => {
                // SAFETY: both have layouts.
                let (old, new) = unsafe { (layout(old_bytes), layout(new_bytes)) };
                if old.align() == new.align() {
                    // SAFETY: by the caller.
                    return unsafe { realloc(block.cast(), old, new.size()) }.cast();
                }
            }
        }
        let fresh = self.take(new_bytes, 0);
        if !fresh.is_null() {
            // SAFETY: two blocks, each as long as is copied; the old one is given back once.
            unsafe {
                fresh
                    .cast::<u8>()
                    .copy_from_nonoverlapping(block.cast(), old_bytes.min(new_bytes));
                self.free(block, old_bytes);
            }
        }
        fresh
    }
}
