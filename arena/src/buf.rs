//! The two handles of a block: `BufMut`, unique and writable, and `Buf`, shared and immutable. Everything outside the
//! crate holds memory through one of them, or as a script's address (`Scripts`).

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Bound, Deref, DerefMut, RangeBounds};
use std::ptr::NonNull;

use crate::block::Block;
use crate::core::Core;
use crate::error::{AttachError, LoanError};
use crate::layout::{ENVELOPE_WORDS, OVERHEAD_BYTES};
use crate::links::{self, Attached, Attachments};
use crate::sites;
use crate::sync::plain::Ordering::Relaxed;

/// A loaned block: unique, writable, returned when dropped.
///
/// Shape: one pointer, with a niche. Dropping it on the thread that loaned it costs no read-modify-write while the
/// block's page is that thread's current one, one compare-exchange otherwise.
///
/// # Invariants
/// 1. The pointer is the body of a Loaned block, and no other handle of that block exists.
/// 2. `len` bytes of the body and the zero after them lie inside the block and are initialised (the mapping is).
#[repr(transparent)]
pub struct BufMut(NonNull<u8>);

/// A frozen block, or a range of one: shared and immutable. Cloning adds a count, dropping gives it back.
///
/// Shape: three words, with a niche. Clone is one relaxed increment; the last drop frees the block and what is
/// attached to it.
///
/// Nobody writes to a frozen block:
///
/// ```
/// # let arena = fulmar_arena::Arena::new(fulmar_arena::ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
/// let mut buf = arena.loan(1, 1)?;
/// buf[0] = 1;
/// let buf = buf.freeze();
/// assert_eq!(buf[0], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// ```compile_fail,E0594
/// # let arena = fulmar_arena::Arena::new(fulmar_arena::ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
/// let mut buf = arena.loan(1, 1)?.freeze();
/// buf[0] = 1;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Invariants
/// 1. `body` is the body of a Frozen block of which this `Buf` holds one count.
/// 2. `data..data + len` lies inside that body, is initialised, and is written by nobody.
pub struct Buf {
    body: NonNull<u8>,
    data: NonNull<u8>,
    len: usize,
}

// SAFETY: a `BufMut` is the only handle of plain bytes and plain words; the counts it may hold on attached blocks are
// atomic, and freeing works from any thread.
unsafe impl Send for BufMut {}
// SAFETY: a shared `BufMut` only reads bytes and the envelope, and gives out attached `Buf`s, which are Sync.
unsafe impl Sync for BufMut {}
// SAFETY: the bytes are immutable and the count is atomic; freeing works from any thread.
unsafe impl Send for Buf {}
// SAFETY: as for Send; nothing is reachable through `&Buf` that changes other than the count.
unsafe impl Sync for Buf {}

impl BufMut {
    /// Makes a loan of a block; see `Arena::loan`.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(crate) fn loan(core: &'static Core, len: usize, owner: u32) -> Result<BufMut, LoanError> {
        let block = core.loan(len)?;
        let header = block.header();
        header.word.set_loaned(owner);
        header.first_link.store(0, Relaxed);
        header.link_table.store(0, Relaxed);
        header.link_count.store(0, Relaxed);
        header.arena.store(core.id(), Relaxed);
        header.site.store(sites::here(), Relaxed);
        let mut buf = BufMut(block.body());
        buf.write_len(len);
        Ok(buf)
    }

    /// # Safety
    /// The block is Loaned and no other handle of it exists.
    pub(crate) unsafe fn from_block(block: Block) -> BufMut {
        BufMut(block.body())
    }

    #[inline]
    pub(crate) fn block(&self) -> Block {
        // SAFETY: by (1).
        unsafe { Block::of_body(self.0) }
    }

    /// Bytes of the body.
    #[inline]
    pub fn len(&self) -> usize {
        self.block().header().len.load(Relaxed) as usize
    }

    /// Whether the body has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest body that this block can hold.
    ///
    /// Units: bytes; at least the length that was loaned, up to the next size class.
    pub fn capacity(&self) -> usize {
        let block = self.block();
        Core::of(block).block_bytes(block) - OVERHEAD_BYTES
    }

    /// Changes the length. Bytes that come into view hold anything; the zero after the body moves along.
    ///
    /// # Panics
    /// When `len` is above the capacity.
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        // Shrinking needs no look at the side table.
        if len > self.len() {
            let capacity = self.capacity();
            assert!(
                len <= capacity,
                "a body of {len} bytes does not fit the {capacity} bytes of its block"
            );
        }
        self.write_len(len);
    }

    /// The service the block is charged to.
    pub fn owner(&self) -> u32 {
        self.block().header().word.snapshot().owner()
    }

    /// Charges the block to another service.
    pub fn set_owner(&mut self, owner: u32) {
        self.block().header().word.set_loaned(owner);
    }

    /// The words between header and body, which belong to the layer above. A loan leaves in them whatever was there.
    #[inline]
    pub fn envelope(&self) -> &[u64; ENVELOPE_WORDS] {
        // SAFETY: inside the block, aligned, initialised (any bytes are), and ours alone by (1).
        unsafe { self.block().envelope().cast().as_ref() }
    }

    /// The envelope, for writing.
    #[inline]
    pub fn envelope_mut(&mut self) -> &mut [u64; ENVELOPE_WORDS] {
        // SAFETY: as for `envelope`, and borrowed uniquely.
        unsafe { self.block().envelope().cast().as_mut() }
    }

    /// Where the body starts. Valid for `len` bytes and a zero for as long as this `BufMut` lives.
    #[inline]
    pub fn body_ptr(&self) -> NonNull<u8> {
        self.0
    }

    /// Makes the block shared and immutable.
    ///
    /// Cost: one store.
    #[inline]
    pub fn freeze(self) -> Buf {
        let this = ManuallyDrop::new(self);
        let word = &this.block().header().word;
        word.set_frozen(word.snapshot().owner());
        Buf {
            body: this.0,
            data: this.0,
            len: this.len(),
        }
    }

    /// Attaches a whole frozen buffer: its count moves into this block and is given back with the block.
    ///
    /// Shape: the first attachment costs no memory; more of them share one further block.
    ///
    /// ```
    /// # let arena = fulmar_arena::Arena::new(fulmar_arena::ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
    /// let long = arena.loan(2000, 1)?.freeze();
    /// let mut message = arena.loan(10, 1)?;
    /// message.attach(long.clone())?;
    /// assert_eq!(message.attachments().next().unwrap().len(), 2000);
    /// drop(message);
    /// assert_eq!(arena.stats().live_blocks, 1);
    /// # drop(long);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `AttachError::Slice` for a part of a body, `ForeignArena` for a block of another arena, `Loan` when there is no
    /// room for the list. Each hands the buffer back.
    pub fn attach(&mut self, buf: Buf) -> Result<(), AttachError> {
        links::attach(self, buf)
    }

    /// Whether anything is attached.
    #[inline]
    pub fn has_attachments(&self) -> bool {
        self.block().header().link_count.load(Relaxed) != 0
    }

    /// The attached buffers, in the order in which they were attached.
    pub fn attachments(&self) -> Attachments<'_> {
        Attachments::new(self.block())
    }

    /// The attached buffer with this index.
    pub fn attachment(&self, index: usize) -> Option<Attached<'_>> {
        self.attachments().nth(index)
    }

    /// Takes all attachments out, in order.
    pub fn take_attachments(&mut self) -> Vec<Buf> {
        links::take_all(self.block())
    }

    /// Gives the handle up as a pointer to the body; [`from_raw`](BufMut::from_raw) is the way back.
    #[inline]
    pub fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).0
    }

    /// The handle that [`into_raw`](BufMut::into_raw) gave up.
    ///
    /// # Safety
    /// `body` comes from `into_raw`, and each such pointer comes back once.
    #[inline]
    pub unsafe fn from_raw(body: NonNull<u8>) -> BufMut {
        BufMut(body)
    }

    #[inline]
    fn write_len(&mut self, len: usize) {
        self.block().header().len.store(len as u64, Relaxed);
        // SAFETY: a block has room for its longest body and a zero.
        let end = unsafe { self.0.add(len) };
        // SAFETY: inside the block, which is ours alone by (1).
        unsafe { end.write(0) };
    }
}

impl Deref for BufMut {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the block is ours alone by (1), and we are borrowed.
        unsafe { self.block().bytes() }
    }
}

impl DerefMut for BufMut {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        // SAFETY: inside the block and initialised by (2), ours alone by (1), and borrowed uniquely.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), len) }
    }
}

impl AsRef<[u8]> for BufMut {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for BufMut {
    #[inline]
    fn drop(&mut self) {
        links::release(self.block());
    }
}

impl fmt::Debug for BufMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufMut")
            .field("owner", &self.owner())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Buf {
    /// The whole body of a frozen block.
    ///
    /// # Safety
    /// The block is Frozen, and the caller gives one count of it.
    pub(crate) unsafe fn from_block(block: Block) -> Buf {
        let body = block.body();
        Buf {
            body,
            data: body,
            len: block.header().len.load(Relaxed) as usize,
        }
    }

    #[inline]
    pub(crate) fn block(&self) -> Block {
        // SAFETY: by (1).
        unsafe { Block::of_body(self.body) }
    }

    /// A part of this buffer. It shares the block and keeps all of it alive.
    ///
    /// Cost: one relaxed increment.
    ///
    /// # Panics
    /// When the range does not lie inside the buffer.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Buf {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last + 1,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len,
        };
        assert!(
            start <= end && end <= self.len,
            "range {start}..{end} of a buffer of {} bytes",
            self.len
        );
        let mut part = self.clone();
        // SAFETY: `start` is at most the length, so the pointer stays inside the body or one past it.
        part.data = unsafe { self.data.add(start) };
        part.len = end - start;
        part
    }

    /// Whether this is the whole body, which a zero byte follows; a slice may not be.
    #[inline]
    pub fn is_whole_body(&self) -> bool {
        self.data == self.body && self.len == self.block().header().len.load(Relaxed) as usize
    }

    /// Where the block's body starts, also for a slice.
    #[inline]
    pub fn body_ptr(&self) -> NonNull<u8> {
        self.body
    }

    /// The service the block was charged to when it was frozen.
    pub fn owner(&self) -> u32 {
        self.block().header().word.snapshot().owner()
    }

    /// Bytes that the block takes in the arena, header and slack included.
    pub fn block_bytes(&self) -> usize {
        Core::of(self.block()).block_bytes(self.block())
    }

    /// What was attached to the block before it was frozen.
    pub fn attachments(&self) -> Attachments<'_> {
        Attachments::new(self.block())
    }

    /// Gives this count up as a pointer to the block's body. A slice forgets its range.
    #[inline]
    pub fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).body
    }

    /// The whole body behind a count that was given up.
    ///
    /// # Safety
    /// `body` comes from [`into_raw`](Buf::into_raw), and each such pointer comes back once.
    #[inline]
    pub unsafe fn from_raw(body: NonNull<u8>) -> Buf {
        // SAFETY: a body by the caller's promise.
        let block = unsafe { Block::of_body(body) };
        // SAFETY: the count that `into_raw` gave up.
        unsafe { Buf::from_block(block) }
    }
}

impl Clone for Buf {
    #[inline]
    fn clone(&self) -> Buf {
        self.block().header().word.add_count();
        Buf {
            body: self.body,
            data: self.data,
            len: self.len,
        }
    }
}

impl Deref for Buf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: in bounds, initialised and unchanging by (2); alive for the borrow of `self` by (1).
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Buf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<BufMut> for Buf {
    fn from(buf: BufMut) -> Buf {
        buf.freeze()
    }
}

impl Drop for Buf {
    #[inline]
    fn drop(&mut self) {
        let block = self.block();
        if block.header().word.drop_count() {
            links::release(block);
        }
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buf")
            .field("owner", &self.owner())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
