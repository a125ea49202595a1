//! The accounting allocator of one Lua state: counts bytes, warns at doublings, refuses beyond a limit.
//!
//! What a state starts with may lie in one [`Region`], a copy of the node's image. Blocks of the region are given back with the region;
//! all others come from the program's global allocator.

#![expect(
    clippy::disallowed_methods,
    reason = "the heap of a Lua state is counted here; it holds no message memory"
)]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use fulmar_engine::Context;

use crate::seri::ExternalStrings;

/// What one Lua state has allocated. The state's allocator owns a pointer to it for the state's whole life.
pub(crate) struct Memory {
    used_bytes: usize,
    limit_bytes: usize,
    warn_bytes: usize,
    /// Bytes of arena blocks that the state's external strings keep alive; they count against the limit.
    strings: *const ExternalStrings,
    context: Context,
    region: Option<Region>,
}

impl Memory {
    /// Memory that counts what `strings` hold too; the pointer must stay valid while the state lives.
    pub(crate) fn new(context: Context, strings: *const ExternalStrings, region: Option<Region>) -> Memory {
        Memory {
            used_bytes: 0,
            limit_bytes: usize::MAX,
            warn_bytes: FIRST_WARNING_BYTES,
            strings,
            context,
            region,
        }
    }

    /// Memory of a state that exists already: `used_bytes` of blocks in `region`.
    pub(crate) fn adopt(&mut self, region: Region, used_bytes: usize) {
        self.region = Some(region);
        self.used_bytes = used_bytes;
    }

    pub(crate) fn region(&self) -> Option<&Region> {
        self.region.as_ref()
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
        self.context.log(&format!(
            "Memory warning {:.2} M",
            self.used_bytes as f64 / MEBIBYTE
        ));
    }
}

/// One piece of memory that many blocks of a state lie in, and the free places in it.
///
/// Free places are lists by length, linked through their own first words; a longer one is split when no shorter one will do.
pub(crate) struct Region {
    base: NonNull<u64>,
    free: Places,
    words: u32,
    /// Words behind which nothing has been used yet; all of them in a copy.
    used: u32,
}

/// The free places of a region: none of it an address, so that copies have the same.
#[derive(Clone)]
pub(crate) struct Places {
    /// The first place of each length, from one word on; [`NOWHERE`] when there is none.
    first: [u32; LENGTHS],
    /// Bit `n` is set when there are places of `n + 1` words.
    lengths: u64,
}

const LENGTHS: usize = u64::BITS as usize;
const NOWHERE: u32 = u32::MAX;

impl Region {
    /// An empty region. None when there is no memory.
    pub(crate) fn of_words(words: u32) -> Option<Region> {
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(Region::layout(words)) }.cast())?;
        let free = Places {
            first: [NOWHERE; LENGTHS],
            lengths: 0,
        };
        Some(Region {
            base,
            free,
            words,
            used: 0,
        })
    }

    /// A region with the words and the free places of another one. None when there is no memory.
    pub(crate) fn copy_of(words: &[u64], free: &Places) -> Option<Region> {
        let len = u32::try_from(words.len()).ok()?;
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { alloc(Region::layout(len)) }.cast::<u64>())?;
        // SAFETY: as long as what is copied.
        unsafe {
            base.as_ptr()
                .copy_from_nonoverlapping(words.as_ptr(), words.len())
        };
        Some(Region {
            base,
            free: free.clone(),
            words: len,
            used: len,
        })
    }

    pub(crate) fn base(&self) -> *mut u64 {
        self.base.as_ptr()
    }

    pub(crate) fn free_places(&self) -> &Places {
        &self.free
    }

    /// The words that have been used.
    pub(crate) fn words(&self) -> &[u64] {
        // SAFETY: the words belong to the region, and began as zeros or as a copy.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.used as usize) }
    }

    fn contains(&self, block: *mut c_void) -> bool {
        block.addr().wrapping_sub(self.base.addr().get()) < self.words as usize * size_of::<u64>()
    }

    /// A block, if there is a place for it.
    fn take(&mut self, bytes: usize) -> Option<*mut c_void> {
        let words = words_of(bytes)?;
        let place = match self.take_free(words) {
            Some(place) => place,
            None if self.words - self.used > words => {
                self.used += words;
                self.used - words
            }
            None => return None,
        };
        // SAFETY: the place lies in the region.
        Some(unsafe { self.base.as_ptr().add(place as usize) }.cast())
    }

    fn take_free(&mut self, words: u32) -> Option<u32> {
        let shift = words.checked_sub(1).filter(|&shift| shift < u64::BITS)?;
        let long_enough = self.free.lengths >> shift << shift;
        if long_enough == 0 {
            return None;
        }
        let length = long_enough.trailing_zeros();
        let place = self.free.first[length as usize];
        // SAFETY: free places hold the next of their list, and lie in the region.
        let next = unsafe { self.base.as_ptr().add(place as usize).cast::<u32>().read() };
        self.free.first[length as usize] = next;
        if next == NOWHERE {
            self.free.lengths &= !(1 << length);
        }
        self.put(place + words, length + 1 - words);
        Some(place)
    }

    /// Adds a free place, in pieces if it is long.
    fn put(&mut self, mut place: u32, mut words: u32) {
        while words > 0 {
            let piece = words.min(u64::BITS);
            let length = (piece - 1) as usize;
            // SAFETY: the place lies in the region and belongs to nobody.
            unsafe {
                self.base
                    .as_ptr()
                    .add(place as usize)
                    .cast::<u32>()
                    .write(self.free.first[length]);
            }
            self.free.first[length] = place;
            self.free.lengths |= 1 << length;
            place += piece;
            words -= piece;
        }
    }

    /// Takes the end of a block back, from word `keep` on.
    fn give_back(&mut self, block: *mut c_void, bytes: usize, keep: usize) {
        let (Some(words), Some(keep)) = (words_of(bytes), words_of(keep)) else {
            return;
        };
        let place = (block.addr() - self.base.addr().get()) / size_of::<u64>();
        // SAFETY: the end of a block of the region, which nobody uses any more. Zeros, because templates are compared.
        unsafe {
            block
                .cast::<u64>()
                .add(keep as usize)
                .write_bytes(0, (words - keep) as usize);
        }
        self.put(place as u32 + keep, words - keep);
    }

    fn layout(words: u32) -> Layout {
        // SAFETY: the alignment is a power of two, and regions are small.
        unsafe { Layout::from_size_align_unchecked(words as usize * size_of::<u64>(), REGION_ALIGNMENT) }
    }
}

fn words_of(bytes: usize) -> Option<u32> {
    u32::try_from(bytes.div_ceil(size_of::<u64>())).ok()
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: made with this layout; the state that used it is closed.
        unsafe { dealloc(self.base.as_ptr().cast(), Region::layout(self.words)) };
    }
}

/// That of the global allocator, so that blocks have the same alignment in every copy.
const REGION_ALIGNMENT: usize = 16;
const FIRST_WARNING_BYTES: usize = 32 << 20;
const MEBIBYTE: f64 = (1 << 20) as f64;
/// The strictest alignment that Lua asks of a block (`LUAI_MAXALIGN`).
const ALIGNMENT: usize = 8;

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
    let old_bytes = if block.is_null() { 0 } else { old_bytes };
    if new_bytes == 0 {
        if !block.is_null() {
            memory.used_bytes -= old_bytes;
            // SAFETY: Lua gives back a block of ours with the size it asked for.
            unsafe { memory.free(block, old_bytes) };
        }
        return ptr::null_mut();
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
        memory.take(new_bytes)
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
    /// The region, when `block` is in it.
    fn region_of(&mut self, block: *mut c_void) -> Option<&mut Region> {
        self.region.as_mut().filter(|region| region.contains(block))
    }

    fn take(&mut self, bytes: usize) -> *mut c_void {
        match self.region.as_mut().and_then(|region| region.take(bytes)) {
            Some(block) => block,
            // SAFETY: the size is not zero.
            None => unsafe { alloc(layout(bytes)) }.cast(),
        }
    }

    /// # Safety
    /// `block` has `bytes` bytes and came from `take` or `resize`.
    unsafe fn free(&mut self, block: *mut c_void, bytes: usize) {
        match self.region_of(block) {
            Some(region) => region.give_back(block, bytes, 0),
            // SAFETY: by the caller.
            None => unsafe { dealloc(block.cast(), layout(bytes)) },
        }
    }

    /// # Safety
    /// As for [`free`](Self::free); the new size is not zero.
    unsafe fn resize(&mut self, block: *mut c_void, old_bytes: usize, new_bytes: usize) -> *mut c_void {
        let Some(region) = self.region_of(block) else {
            // SAFETY: by the caller.
            return unsafe { realloc(block.cast(), layout(old_bytes), new_bytes) }.cast();
        };
        if new_bytes <= old_bytes {
            region.give_back(block, old_bytes, new_bytes);
            return block;
        }
        let fresh = self.take(new_bytes);
        if !fresh.is_null() {
            // SAFETY: two blocks, each as long as is copied; the old one is given back once.
            unsafe {
                fresh
                    .cast::<u8>()
                    .copy_from_nonoverlapping(block.cast(), old_bytes);
                self.free(block, old_bytes);
            }
        }
        fresh
    }
}

fn layout(bytes: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and Lua's sizes are far below `isize::MAX`.
    unsafe { Layout::from_size_align_unchecked(bytes, ALIGNMENT) }
}
