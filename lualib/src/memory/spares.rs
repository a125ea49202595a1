//! Small blocks that Lua has given back, kept by the thread for the next objects of whatever state it runs.
//!
//! A collection gives back tables and their parts by the hundred, of a few lengths that are soon asked for again. To take one from
//! a list here is a few instructions, and no matter which thread's memory it was. Lists of threads hold little in all; lists of
//! states would, with many that wait.

#![expect(
    clippy::disallowed_methods,
    reason = "blocks of Lua states, which their allocator counts; no message memory"
)]

use std::alloc::{Layout, dealloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use crate::lines::LINE_BYTES;

/// Blocks by class of length, linked through themselves. They have no destructor, which would be asked for at each use: see [`Keeper`].
///
/// # Invariants
/// 1. A block on a list is of the global allocator, of its class's [`layout`], and nobody else's.
struct Spares {
    first: [Cell<*mut Spare>; CLASSES],
    /// The length of all, in units of [`ALIGNMENT`], and how long they may be.
    units: Cell<usize>,
    most_units: Cell<usize>,
}

/// What a block on a list begins with.
struct Spare {
    next: *mut Spare,
}

/// Gives the blocks back when the thread ends.
struct Keeper;

thread_local! {
    static SPARES: Spares = const {
        Spares {
            first: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            units: Cell::new(0),
            most_units: Cell::new(0),
        }
    };
    static KEEPER: Keeper = const { Keeper };
}

/// The strictest alignment that Lua asks of a block (`LUAI_MAXALIGN`); lengths are multiples of it.
const ALIGNMENT: usize = 16;
/// Longer blocks take whole cache lines, as those do whose length is one, two or three lines; a thread has about 200 bytes.
const SHORT_BYTES: usize = 192;
/// The longest that are kept: a coroutine and its stack are not longer.
const LONGEST_BYTES: usize = 1024;
const CLASSES: usize = LONGEST_BYTES / ALIGNMENT;
/// How much a thread keeps: some of what one collection of a busy service gives back.
const MOST_UNITS: usize = (512 << 10) / ALIGNMENT;
/// Under AddressSanitizer nothing is kept: it could not see a use after free.
const KEEPS: bool = !cfg!(fulmar_asan);

/// The layout of a block. Its length is a multiple of the alignment, as that of the allocator's own blocks is, which then need not be
/// looked through for an aligned one.
///
/// Blocks whose length is a number of cache lines begin with one, up to [`LONGEST_BYTES`]; what is longer is the allocator's to align.
/// Threads and their stacks are among them, which are written with each message: one that shared a line with those of another state
/// would be waited for when the two run on two workers.
///
/// # Safety
/// `bytes` has a layout with [`LINE_BYTES`].
pub(super) unsafe fn layout(bytes: usize) -> Layout {
    let len = len_of(class_of(bytes));
    let alignment = if len <= LONGEST_BYTES && len.is_multiple_of(LINE_BYTES) {
        LINE_BYTES
    } else {
        ALIGNMENT
    };
    // SAFETY: what has a layout has one that is rounded up.
    unsafe { Layout::from_size_align_unchecked(len, alignment) }
}

/// A block of `bytes`, which are not zero, if there is one.
#[inline(always)]
pub(super) fn take(bytes: usize) -> Option<*mut c_void> {
    SPARES.with(|spares| {
        let class = class_of(bytes);
        let first = spares.first.get(class)?;
        let block = first.get();
        if block.is_null() {
            return None;
        }
        // SAFETY: (1).
        first.set(unsafe { (*block).next });
        spares.units.set(spares.units.get() - (class + 1));
        Some(block.cast())
    })
}

/// Gives a block back.
///
/// # Safety
/// The block is the caller's, of the global allocator, with the [`layout`] of `bytes`, which are not zero.
#[inline(always)]
pub(super) unsafe fn give_back(block: *mut c_void, bytes: usize) {
    SPARES.with(|spares| {
        let class = class_of(bytes);
        let units = spares.units.get() + class + 1;
        if class < CLASSES && units <= spares.most_units.get() {
            // SAFETY: by the caller; the block has room for a pointer.
            unsafe { spares.put(block, class) };
        } else {
            // SAFETY: by the caller.
            unsafe { spares.put_or_free(block, bytes) };
        }
    });
}

impl Spares {
    /// # Safety
    /// (1), and `class` is below [`CLASSES`].
    #[inline(always)]
    unsafe fn put(&self, block: *mut c_void, class: usize) {
        let block: *mut Spare = block.cast();
        let first = &self.first[class];
        // SAFETY: (1): a block has room for a pointer.
        unsafe { block.write(Spare { next: first.get() }) };
        first.set(block);
        self.units.set(self.units.get() + class + 1);
    }

    /// The first block that a thread gives back is kept, and a long one or one too many is not.
    ///
    /// # Safety
    /// As for [`give_back`].
    #[cold]
    #[inline(never)]
    unsafe fn put_or_free(&self, block: *mut c_void, bytes: usize) {
        let class = class_of(bytes);
        let is_first = KEEPS && class < CLASSES && self.most_units.get() == 0;
        // SAFETY: by the caller.
        unsafe {
            if is_first && KEEPER.try_with(|_| ()).is_ok() {
                self.most_units.set(MOST_UNITS);
                self.put(block, class);
            } else {
                dealloc(block.cast(), layout(bytes));
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        SPARES.with(|spares| {
            spares.most_units.set(0);
            for class in 0..CLASSES {
                let bytes = len_of(class);
                while let Some(block) = take(bytes) {
                    // SAFETY: (1); it is nobody's now.
                    unsafe { dealloc(block.cast(), layout(bytes)) };
                }
            }
        });
    }
}

/// Blocks of a class have one length.
#[inline(always)]
fn class_of(bytes: usize) -> usize {
    let class = (bytes - 1) / ALIGNMENT;
    if class < SHORT_BYTES / ALIGNMENT {
        class
    } else {
        class | (LINE_BYTES / ALIGNMENT - 1)
    }
}

fn len_of(class: usize) -> usize {
    (class + 1) * ALIGNMENT
}

#[cfg(all(test, not(fulmar_asan)))]
mod tests {
    use std::alloc::alloc;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn kept_bytes() -> usize {
        SPARES.with(|spares| spares.units.get()) * ALIGNMENT
    }

    fn block(bytes: usize) -> *mut c_void {
        // SAFETY: the size is not zero.
        take(bytes).unwrap_or_else(|| unsafe { alloc(layout(bytes)) }.cast())
    }

    proptest! {
        #[test]
        fn blocks_are_nobody_elses(sizes in prop::collection::vec((1..1500_usize, any::<prop::sample::Index>()), 1..200)) {
            let mut blocks: Vec<(*mut c_void, usize, u8)> = Vec::new();
            for (mark, (bytes, which)) in (0..).map(|number| number as u8).zip(sizes) {
                if mark % 3 == 2 {
                    let (block, bytes, _) = blocks.swap_remove(which.index(blocks.len()));
                    // SAFETY: the block is ours.
                    unsafe { give_back(block, bytes) };
                }
                let fresh = block(bytes);
                // SAFETY: the length has a layout.
                prop_assert_eq!(fresh.addr() % unsafe { layout(bytes) }.align(), 0);
                // SAFETY: as above.
                unsafe { fresh.cast::<u8>().write_bytes(mark, bytes) };
                blocks.push((fresh, bytes, mark));
                for &(block, bytes, mark) in &blocks {
                    // SAFETY: as above.
                    let content = unsafe { std::slice::from_raw_parts(block.cast::<u8>(), bytes) };
                    prop_assert!(content.iter().all(|&byte| byte == mark), "a block was overwritten");
                }
            }
            for (block, bytes, _) in blocks {
                // SAFETY: as above.
                unsafe { give_back(block, bytes) };
            }
        }
    }

    #[test]
    fn a_thread_keeps_short_blocks_up_to_a_bound() {
        let run = || {
            assert_eq!(take(40), None);
            let blocks: Vec<_> = (0..MOST_UNITS).map(|_| block(40)).collect();
            for &block in &blocks {
                // SAFETY: the block is ours.
                unsafe { give_back(block, 40) };
            }
            assert_eq!(kept_bytes(), MOST_UNITS * ALIGNMENT / 48 * 48);
            let last_kept = blocks[MOST_UNITS / 3 - 1];
            assert_eq!((take(49), take(33)), (None, Some(last_kept)));
            // SAFETY: the block is ours.
            unsafe { give_back(last_kept, 33) };
            let long = block(LONGEST_BYTES + 1);
            let before = kept_bytes();
            // SAFETY: the block is ours.
            unsafe { give_back(long, LONGEST_BYTES + 1) };
            assert_eq!((kept_bytes(), take(LONGEST_BYTES + 1)), (before, None));
        };
        thread::spawn(run).join().expect("the thread ends well");
    }

    /// Destructors of thread locals run in no promised order: a state may be closed when the lists are gone.
    #[test]
    fn a_thread_that_ends_keeps_nothing() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                let is_kept = KEEPER.try_with(|_| ()).is_ok();
                // SAFETY: the block is ours.
                unsafe { give_back(block(64), 64) };
                assert_eq!(kept_bytes() != 0, is_kept);
            }
        }
        thread_local!(static LAST: Last = const { Last });
        let run = || {
            LAST.with(|_| ());
            // SAFETY: the block is ours.
            unsafe { give_back(block(64), 64) };
            assert_eq!(kept_bytes(), 64);
        };
        thread::spawn(run).join().expect("the thread ends well");
    }
}
