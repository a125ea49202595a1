//! What becomes of a block's bytes while it is free. A release build leaves them; a debug build overwrites them, so a
//! stale read shows; an AddressSanitizer build (`--cfg fulmar_asan`) makes them inaccessible, so it is reported.
//! Called by `core` and `heap`. The header is never touched: free lists live in it.

use crate::block::Block;
use crate::layout::ENVELOPE_OFFSET;

/// What a freed byte reads as in a debug build.
#[cfg(debug_assertions)]
pub(crate) const FREED: u8 = 0xDF;

/// Bytes of a large block that are overwritten: enough to notice, without committing what was never used.
#[cfg(debug_assertions)]
const MAX_FILL_BYTES: usize = 16 << 10;

/// The block goes from its list to a holder.
#[inline]
pub(crate) fn on_loan(block: Block, bytes: usize) {
    #[cfg(fulmar_asan)]
    asan::unpoison(block, 0, bytes);
    let _ = (block, bytes);
}

/// The block, which nobody holds any more, goes on a list.
#[inline]
pub(crate) fn on_free(block: Block, bytes: usize) {
    #[cfg(debug_assertions)]
    {
        let fill = bytes.min(MAX_FILL_BYTES) - ENVELOPE_OFFSET;
        // SAFETY: envelope and body of a block that only the caller can reach.
        unsafe { block.envelope().write_bytes(FREED, fill) };
    }
    #[cfg(fulmar_asan)]
    asan::poison(block, ENVELOPE_OFFSET, bytes - ENVELOPE_OFFSET);
    let _ = (block, bytes, ENVELOPE_OFFSET);
}

/// A block is cut from its page: whatever was there, its header is readable and its body nobody's.
#[inline]
pub(crate) fn on_ready(block: Block, bytes: usize) {
    #[cfg(fulmar_asan)]
    {
        asan::unpoison(block, 0, ENVELOPE_OFFSET);
        asan::poison(block, ENVELOPE_OFFSET, bytes - ENVELOPE_OFFSET);
    }
    let _ = (block, bytes);
}

#[cfg(fulmar_asan)]
mod asan {
    use std::ffi::c_void;

    use crate::block::Block;

    unsafe extern "C" {
        fn __asan_poison_memory_region(address: *const c_void, bytes: usize);
        fn __asan_unpoison_memory_region(address: *const c_void, bytes: usize);
    }

    pub(super) fn poison(block: Block, offset: usize, bytes: usize) {
        let start = block.address().as_ptr().cast_const().wrapping_add(offset).cast();
        // SAFETY: changes only the sanitizer's shadow of a range inside the mapping.
        unsafe { __asan_poison_memory_region(start, bytes) };
    }

    pub(super) fn unpoison(block: Block, offset: usize, bytes: usize) {
        let start = block.address().as_ptr().cast_const().wrapping_add(offset).cast();
        // SAFETY: as above.
        unsafe { __asan_unpoison_memory_region(start, bytes) };
    }
}
