//! Where every byte of the mapping lies. Drawn once here, asserted below, repeated with the reasons in
//! docs/layouts.md.
//!
//! ```text
//! file     | segment 0          | segment 1          | ...            up to 64 Ki segments (256 GiB)
//! segment  | page 0 | page 1 | ...              | page 63 |           4 MiB = 64 pages of 64 KiB
//! page     small: | block | block | ... | rest |                      blocks of one size class
//!          large: | block ........ over as many pages as it takes |   one block
//!
//! block    +0    word          u64   owner << 32 | state << 30 | count, or the number of its `Scripts`
//!          +8    len           u64   body length; in a free block the next free granule of the page + 1
//!          +16   first_link    u32   position of the first attachment, 0 for none
//!          +20   link_table    u32   position of the block that lists the others, 0 for none
//!          +24   link_count    u32
//!          +28   arena         u16   which arena of this process
//!          +30   site          u16   call site of the loan (debug builds)
//!          +32   envelope      4 x u64, for the layers above
//!          +64   body          len bytes, then one zero byte, then unused capacity
//! ```
//!
//! A *position* is an offset in the file counted in granules of 64 bytes: the only form in which a block refers to
//! another. Page 0 is never loaned, so position 0 means "none". Multi-byte fields are in the machine's order: the
//! file never leaves the machine.

use crate::block::Header;

/// Bytes of a granule: the unit of positions, of block sizes and of block alignment.
pub(crate) const GRANULE_BYTES: usize = 64;
pub(crate) const GRANULE_SHIFT: u32 = 6;

/// Bytes of a page: blocks of one size class, or part of one large block.
pub const PAGE_BYTES: usize = 1 << PAGE_SHIFT;
pub(crate) const PAGE_SHIFT: u32 = 16;
pub(crate) const PAGE_GRANULES: usize = PAGE_BYTES / GRANULE_BYTES;

/// Bytes of a segment: the unit in which a reservation is counted and huge blocks are aligned.
pub const SEGMENT_BYTES: usize = PAGE_BYTES * SEGMENT_PAGES;
pub(crate) const SEGMENT_PAGES: usize = 64;

/// Bytes from the start of a block to its body.
pub const BODY_OFFSET: usize = 64;
pub(crate) const ENVELOPE_OFFSET: usize = 32;
/// Words of 8 bytes between header and body that belong to the layers above.
pub const ENVELOPE_WORDS: usize = (BODY_OFFSET - ENVELOPE_OFFSET) / 8;
/// The envelope in bytes.
pub const ENVELOPE_LEN: usize = ENVELOPE_WORDS * 8;
/// What a block takes besides its body: header, envelope, and the zero byte.
pub(crate) const OVERHEAD_BYTES: usize = BODY_OFFSET + 1;

/// The largest reservation: positions are 32 bits of 64-byte granules.
pub const MAX_RESERVE_BYTES: usize = (1 << 32) * GRANULE_BYTES;
/// How many arenas one process can have; each lives as long as the process.
pub const MAX_ARENAS: usize = 4096;

/// A block's place in the file, in granules. 0 is no block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position(pub(crate) u32);

impl Position {
    pub(crate) const NONE: Position = Position(0);

    pub(crate) fn from_offset(offset: usize) -> Position {
        debug_assert!(offset.is_multiple_of(GRANULE_BYTES));
        Position((offset >> GRANULE_SHIFT) as u32)
    }

    pub(crate) fn offset(self) -> usize {
        (self.0 as usize) << GRANULE_SHIFT
    }
}

const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Header, word) == 0);
    assert!(offset_of!(Header, len) == 8);
    assert!(offset_of!(Header, first_link) == 16);
    assert!(offset_of!(Header, link_table) == 20);
    assert!(offset_of!(Header, link_count) == 24);
    assert!(offset_of!(Header, arena) == 28);
    assert!(offset_of!(Header, site) == 30);
    assert!(size_of::<Header>() == ENVELOPE_OFFSET);
    assert!(align_of::<Header>() <= GRANULE_BYTES);
    assert!(ENVELOPE_OFFSET.is_multiple_of(align_of::<u64>()));
    assert!(BODY_OFFSET == GRANULE_BYTES);
    assert!(ENVELOPE_WORDS == 4);
    assert!(SEGMENT_PAGES == u64::BITS as usize);
    assert!(MAX_ARENAS <= u16::MAX as usize + 1);
    // A granule of a page plus one fits the 16 bits that free lists use.
    assert!(PAGE_GRANULES < u16::MAX as usize);
    assert!(size_of::<usize>() == 8);
};
