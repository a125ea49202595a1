//! The block header and its state word: who may touch a block, and how that changes hands. Called by `buf`, `core`
//! and `walk`; modelled in tests/loom_block.rs.
//!
//! # Ownership
//!
//! | state | held by | word (owner, count) | body | header fields | who moves it on |
//! |---|---|---|---|---|---|
//! | Free | the allocator | 0, 0 | nobody | free list link in `len` | the heap that loans it |
//! | Loaned | one `BufMut` | owner, 1 | that `BufMut` | that `BufMut` | that `BufMut` |
//! | Script | a script, by way of its `Scripts` | owner, number | the script | that `Scripts` reads | that `Scripts` |
//! | Frozen | `count` `Buf`s and attachments | owner, n | everyone reads | everyone reads | the last to release |
//!
//! Rules:
//! 1. The word is read by anyone at any time (`inspect`); all other header fields only by the holder, except `len`,
//!    which `inspect` reads for information and nobody trusts without holding the block.
//! 2. Loaned, Script and Free are exclusive: their holder changes the word by a plain store.
//! 3. Many may know the address of a Script block, but only the `Scripts` of that number changes its word. Whoever else comes with the
//!    address only reads it.
//! 4. Frozen never becomes writable again: its count only falls to zero, and then the block is Free.
//! 5. A count is only added by someone who holds one. Counts abort the process at 2^29, far from touching `state`.
//!
//! ```text
//!            loan                freeze               last release
//!   Free ----------> Loaned -------------> Frozen ------------------> Free
//!                     |  ^
//!                lend v  | claim
//!                    Script
//! ```

use std::ptr::NonNull;

use crate::layout::{BODY_OFFSET, ENVELOPE_OFFSET, GRANULE_BYTES};
use crate::sync::Word64;
use crate::sync::plain::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// What a block is used for at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockState {
    /// With the allocator.
    Free,
    /// Held by one [`BufMut`](crate::BufMut).
    Loaned,
    /// Held by a script of its owner as a bare address.
    Script,
    /// Shared by [`Buf`](crate::Buf)s.
    Frozen,
}

/// The first 32 bytes of every block. Every field is atomic because an inspector may look at any time; all but
/// `word` are used relaxed, by the holder (rule 1).
#[repr(C)]
pub(crate) struct Header {
    pub(crate) word: BlockWord,
    pub(crate) len: AtomicU64,
    pub(crate) first_link: AtomicU32,
    pub(crate) link_table: AtomicU32,
    pub(crate) link_count: AtomicU32,
    pub(crate) arena: AtomicU16,
    pub(crate) site: AtomicU16,
}

/// Where a block starts, or could start.
///
/// # Invariants
/// 1. The address is that of a granule of an arena's mapping, with the mapping's provenance; mappings stay for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Block(NonNull<u8>);

impl Block {
    /// # Safety
    /// `address` is a granule's, derived from the mapping's pointer.
    #[inline]
    pub(crate) unsafe fn new(address: NonNull<u8>) -> Block {
        debug_assert_eq!(address.addr().get() % GRANULE_BYTES, 0);
        Block(address)
    }

    /// The block of a body.
    ///
    /// # Safety
    /// `body` is the start of a block's body, derived from the mapping's pointer.
    #[inline]
    pub(crate) unsafe fn of_body(body: NonNull<u8>) -> Block {
        // SAFETY: the header and the envelope of the same block, in the same mapping, precede the body.
        Block(unsafe { body.sub(BODY_OFFSET) })
    }

    #[inline]
    pub(crate) fn address(self) -> NonNull<u8> {
        self.0
    }

    /// The header. Meaningful to whoever holds the block, and for information to anyone (rule 1).
    #[inline]
    pub(crate) fn header(self) -> &'static Header {
        // SAFETY: mapped for ever and aligned by (1); every field is an atomic, for which any bytes are valid.
        unsafe { self.0.cast().as_ref() }
    }

    #[inline]
    pub(crate) fn body(self) -> NonNull<u8> {
        // SAFETY: a mapping is whole pages, so the granule that starts at (1) lies inside it.
        unsafe { self.0.add(BODY_OFFSET) }
    }

    /// The bytes of the body.
    ///
    /// # Safety
    /// The caller holds the block, and nobody writes to the body while the bytes are borrowed.
    #[inline]
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        let len = self.header().len.load(Ordering::Relaxed) as usize; // Relaxed: the holder's (rule 1)
        // SAFETY: `len` bytes lie inside the block and are initialised, and the caller promises the rest.
        unsafe { std::slice::from_raw_parts(self.body().as_ptr(), len) }
    }

    #[inline]
    pub(crate) fn envelope(self) -> NonNull<u8> {
        // SAFETY: as for `body`.
        unsafe { self.0.add(ENVELOPE_OFFSET) }
    }
}

/// The state word: `owner << 32 | state << 30 | count`. In the place of the count a Script block has the number of its `Scripts`.
#[repr(transparent)]
pub(crate) struct BlockWord<W = AtomicU64>(W);

/// A value of the word at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot(u64);

const STATE_SHIFT: u32 = 30;
const COUNT_MASK: u64 = (1 << STATE_SHIFT) - 1;
const COUNT_LIMIT: u64 = 1 << 29;

/// Release: what this holder read or wrote happens before the block is reused or its body freed; pairs with the
/// Acquire fence of whoever takes the count to zero. The mutation shows that the model sees it missing.
const RELEASE_COUNT: Ordering = if cfg!(fulmar_mutation = "arena_refcount") {
    Ordering::Relaxed
} else {
    Ordering::Release
};

impl Snapshot {
    /// The largest number of a `Scripts`.
    pub(crate) const LAST_NUMBER: u32 = COUNT_LIMIT as u32;

    /// A block that is lent to scripts.
    pub(crate) fn script(owner: u32, number: u32) -> Snapshot {
        Snapshot::new(owner, BlockState::Script, number)
    }

    pub(crate) fn new(owner: u32, state: BlockState, count: u32) -> Snapshot {
        Snapshot(u64::from(owner) << 32 | (state as u64) << STATE_SHIFT | u64::from(count))
    }

    pub(crate) fn owner(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn state(self) -> BlockState {
        match self.0 >> STATE_SHIFT & 3 {
            0 => BlockState::Free,
            1 => BlockState::Loaned,
            2 => BlockState::Script,
            _ => BlockState::Frozen,
        }
    }

    /// How many hold the block. A script is one, whatever the number of its `Scripts`.
    pub(crate) fn count(self) -> u32 {
        match self.state() {
            BlockState::Script => 1,
            _ => (self.0 & COUNT_MASK) as u32,
        }
    }

    /// Whether somebody holds the block. A count that has just reached zero is on its way to Free.
    pub(crate) fn is_live(self) -> bool {
        self.state() != BlockState::Free && self.count() != 0
    }
}

impl<W: Word64> BlockWord<W> {
    #[cfg(all(test, loom))]
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        BlockWord(W::new(snapshot.0))
    }

    /// The word for information. Relaxed: whoever does something by it holds the block.
    #[inline]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn is_free(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// The holder of an exclusive block gives it to the allocator. Relaxed: who loans it next is ordered behind us
    /// by the free list (same thread, or `PageWord::push` and `take`).
    #[inline]
    pub(crate) fn set_free(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The allocator, or the unique holder, makes or renames a loan. Relaxed: exclusive by rule 2.
    #[inline]
    pub(crate) fn set_loaned(&self, owner: u32) {
        self.0
            .store(Snapshot::new(owner, BlockState::Loaned, 1).0, Ordering::Relaxed);
    }

    /// Loaned -> Frozen with one count. Relaxed: other threads learn of the block through something that
    /// synchronises, never through this word.
    #[inline]
    pub(crate) fn set_frozen(&self, owner: u32) {
        self.0
            .store(Snapshot::new(owner, BlockState::Frozen, 1).0, Ordering::Relaxed);
    }

    /// Loaned -> Script. Relaxed: as for `set_loaned`; it comes back to the one who lent it.
    #[inline]
    pub(crate) fn set_script(&self, lent: Snapshot) {
        self.0.store(lent.0, Ordering::Relaxed);
    }

    /// The word of what may be no header any more. Acquire: a look at the page's use that comes after this in the program comes after it.
    #[inline]
    pub(crate) fn snapshot_before_look(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// One more count of a Frozen block. Relaxed: the caller holds a count (rule 5), so the block cannot go away,
    /// and reading it needs no more than what let the caller read it.
    #[inline]
    pub(crate) fn add_count(&self) {
        if self.0.fetch_add(1, Ordering::Relaxed) & COUNT_MASK >= COUNT_LIMIT {
            // Nobody can clone half a billion times by accident; to go on would run into the state bits.
            std::process::abort();
        }
    }

    /// Gives one count of a Frozen block up; true when it was the last, and then the block is the caller's.
    #[inline]
    #[must_use = "the last holder frees the block"]
    pub(crate) fn drop_count(&self) -> bool {
        // Acquire: pairs with RELEASE_COUNT of the holders before us. A count of one is ours, and only a holder can
        // add another (rule 5), so nobody else can touch the word any more and no read-modify-write is needed.
        if self.0.load(Ordering::Acquire) & COUNT_MASK == 1 {
            return true;
        }
        if self.0.fetch_sub(1, RELEASE_COUNT) & COUNT_MASK != 1 {
            return false;
        }
        // Pairs with RELEASE_COUNT: every other holder's reads happen before the block is reused.
        W::fence(Ordering::Acquire);
        true
    }
}
