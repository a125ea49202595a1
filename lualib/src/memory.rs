//! The accounting allocator of one Lua state: counts bytes, warns at doublings, refuses beyond a limit.
//!
//! A state made from the node's image begins in a [`Region`]; a template for the image lies in a [`Draft`] as a whole. All other
//! blocks come from the program's global allocator.

#![expect(
    clippy::disallowed_methods,
    reason = "the heap of a Lua state is counted here; it holds no message memory"
)]

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::c_void;
use std::ptr;

use fulmar_engine::Context;
use mlua::ffi;

use crate::image::{Draft, Region};
use crate::seri::ExternalStrings;

/// What one Lua state has allocated. The state's allocator owns a pointer to it for the state's whole life.
pub(crate) struct Memory {
    used_bytes: usize,
    limit_bytes: usize,
    warn_bytes: usize,
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
        Memory {
            used_bytes: 0,
            limit_bytes: usize::MAX,
            warn_bytes: FIRST_WARNING_BYTES,
            strings,
            context,
            place,
        }
    }

    /// Memory of a state that exists already: `used_bytes` of blocks in `region`.
    pub(crate) fn adopt(&mut self, region: Region, used_bytes: usize) {
        self.place = Place::Region(region);
        self.used_bytes = used_bytes;
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
    }

    fn external(&self) -> usize {
        // SAFETY: the creator keeps the strings alive and in place; they are only touched on the service's own turn.
        unsafe { (*self.strings).held_bytes() }
    }

    fn warn(&mut self) {
        while self.used_bytes > self.warn_bytes {
            self.warn_bytes = self.warn_bytes.saturating_mul(2);
        }
        self.context.log(format!(
            "Memory warning {:.2} M",
            self.used_bytes as f64 / MEBIBYTE
        ));
    }
}

const FIRST_WARNING_BYTES: usize = 32 << 20;
const MEBIBYTE: f64 = (1 << 20) as f64;
/// The strictest alignment that Lua asks of a block (`LUAI_MAXALIGN`).
const ALIGNMENT: usize = 16;

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
    // For a fresh block Lua passes the kind of object in `old_bytes`.
    let (old_bytes, kind) = if block.is_null() {
        (0, old_bytes)
    } else {
        (old_bytes, 0)
    };
    if new_bytes == 0 {
        if !block.is_null() {
            memory.used_bytes -= old_bytes;
            // SAFETY: Lua gives back a block of ours with the size it asked for.
            unsafe { memory.free(block, old_bytes) };
        }
        return ptr::null_mut();
    }
    if Layout::from_size_align(new_bytes, ALIGNMENT).is_err() {
        return ptr::null_mut(); // longer than anything can be
    }
    let used_bytes = memory.used_bytes - old_bytes + new_bytes;
    // Shrinking always succeeds: Lua does not check for failure there.
    if new_bytes > old_bytes
        && memory.limit_bytes != usize::MAX
        && used_bytes.saturating_add(memory.external()) > memory.limit_bytes
    {
        return ptr::null_mut();
    }
    let fresh = if block.is_null() {
        memory.take(new_bytes, kind)
    } else {
        // SAFETY: a block of ours with the size it was asked with; the new size is not zero.
        unsafe { memory.resize(block, old_bytes, new_bytes) }
    };
    if !fresh.is_null() {
        memory.used_bytes = used_bytes;
        if used_bytes > memory.warn_bytes {
            memory.warn();
        }
    }
    fresh
}

impl Memory {
    /// A block for an object of this kind. Only userdata need more than a word's alignment.
    fn take(&mut self, bytes: usize, kind: usize) -> *mut c_void {
        let is_userdata = kind == ffi::LUA_TUSERDATA as usize;
        let block = match &mut self.place {
            Place::Region(region) if !is_userdata => region.take(bytes),
            Place::Region(_) | Place::Nowhere => None,
            Place::Draft(draft) => return draft.take(bytes, is_userdata).unwrap_or_default(),
        };
        // SAFETY: the size is not zero.
        block.unwrap_or_else(|| unsafe { alloc(layout(bytes)) }.cast())
    }

    /// # Safety
    /// `block` has `bytes` bytes and came from `take` or `resize`.
    unsafe fn free(&mut self, block: *mut c_void, bytes: usize) {
        match &mut self.place {
            Place::Region(region) if region.contains(block) => region.give_back(block, bytes, 0),
            Place::Draft(draft) => draft.give_back(block),
            // SAFETY: by the caller.
            _ => unsafe { dealloc(block.cast(), layout(bytes)) },
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
                // SAFETY: by the caller.
                return unsafe { realloc(block.cast(), layout(old_bytes), layout(new_bytes).size()) }.cast();
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

/// The layout of a block; `allocate` refuses sizes that have none. Its length is a multiple of the alignment, as that of the
/// allocator's own blocks is, which then need not be looked through for an aligned one.
fn layout(bytes: usize) -> Layout {
    // SAFETY: as said; what has a layout has one that is rounded up.
    unsafe { Layout::from_size_align_unchecked(bytes.next_multiple_of(ALIGNMENT), ALIGNMENT) }
}
