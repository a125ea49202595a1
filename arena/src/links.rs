//! Attachments: counted links from one block to frozen blocks of the same arena, and releasing a block with what
//! hangs on it. Called by `buf`.
//!
//! A link is a position. The first lies in the header; the others in the body of one more block, the link table. A
//! block is attached before it can be attached to, so links never form a circle. Releasing walks without recursion
//! and without memory: blocks that are to be freed form a list through their own `len`.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;

use crate::block::Block;
use crate::buf::{Buf, BufMut};
use crate::core::Core;
use crate::error::{AttachError, LoanError};
use crate::layout::Position;
use crate::sync::plain::Ordering::Relaxed;

/// The attached buffers of a block, in order.
pub struct Attachments<'a> {
    core: &'static Core,
    block: Block,
    next: u32,
    end: u32,
    holder: PhantomData<&'a Buf>,
}

/// An attached buffer, borrowed from the block that holds its count: a `&Buf`, but stored as a position. Clone the
/// `Buf` behind it to keep it.
///
/// ```
/// # let arena = fulmar_arena::Arena::new(fulmar_arena::ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
/// let mut message = arena.loan(1, 1)?;
/// message.attach(arena.loan(9, 1)?.freeze())?;
/// let kept = message.attachment(0).unwrap().clone();
/// drop(message);
/// assert_eq!(kept.len(), 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// ```compile_fail,E0505
/// # let arena = fulmar_arena::Arena::new(fulmar_arena::ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
/// let mut message = arena.loan(1, 1)?;
/// message.attach(arena.loan(9, 1)?.freeze())?;
/// let borrowed = message.attachment(0).unwrap();
/// drop(message);
/// assert_eq!(borrowed.len(), 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Attached<'a> {
    buf: ManuallyDrop<Buf>,
    holder: PhantomData<&'a Buf>,
}

const LINK_BYTES: usize = size_of::<u32>();

impl Attachments<'_> {
    pub(crate) fn new(block: Block) -> Self {
        let end = block.header().link_count.load(Relaxed);
        Attachments {
            core: Core::of(block),
            block,
            next: 0,
            end,
            holder: PhantomData,
        }
    }
}

impl<'a> Iterator for Attachments<'a> {
    type Item = Attached<'a>;

    fn next(&mut self) -> Option<Attached<'a>> {
        if self.next == self.end {
            return None;
        }
        let target = target(self.core, self.block, self.next);
        self.next += 1;
        // SAFETY: the block that the iterator borrows holds a count of its target for as long; it is never given
        // back through the `ManuallyDrop`.
        let buf = ManuallyDrop::new(unsafe { Buf::from_block(target) });
        Some(Attached {
            buf,
            holder: PhantomData,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }

    fn nth(&mut self, n: usize) -> Option<Attached<'a>> {
        self.next = self
            .next
            .saturating_add(u32::try_from(n).unwrap_or(u32::MAX))
            .min(self.end);
        self.next()
    }
}

impl ExactSizeIterator for Attachments<'_> {}

impl fmt::Debug for Attachments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachments")
            .field("left", &self.len())
            .finish_non_exhaustive()
    }
}

impl Deref for Attached<'_> {
    type Target = Buf;

    fn deref(&self) -> &Buf {
        &self.buf
    }
}

impl fmt::Debug for Attached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.buf.fmt(f)
    }
}

/// See `BufMut::attach`.
pub(crate) fn attach(to: &mut BufMut, buf: Buf) -> Result<(), AttachError> {
    let block = to.block();
    let core = Core::of(block);
    if !std::ptr::eq(core, Core::of(buf.block())) {
        return Err(AttachError::ForeignArena(buf));
    }
    if !buf.is_whole_body() {
        return Err(AttachError::Slice(buf));
    }
    let header = block.header();
    let count = header.link_count.load(Relaxed);
    let position = core.position(buf.block());
    if count == 0 {
        header.first_link.store(position.0, Relaxed);
    } else {
        let mut table = match table_with_room(core, block, count, to.owner()) {
            Ok(table) => table,
            Err(error) => return Err(AttachError::Loan { buf, error }),
        };
        table[at(count)].copy_from_slice(&position.0.to_ne_bytes());
    }
    header.link_count.store(count + 1, Relaxed);
    // The link holds the count now.
    let _ = buf.into_raw();
    Ok(())
}

/// See `BufMut::take_attachments`.
pub(crate) fn take_all(block: Block) -> Vec<Buf> {
    let core = Core::of(block);
    let header = block.header();
    let count = header.link_count.load(Relaxed);
    // SAFETY: each link's count moves into its `Buf`; the links are forgotten below.
    let bufs = (0..count)
        .map(|index| unsafe { Buf::from_block(target(core, block, index)) })
        .collect();
    header.link_count.store(0, Relaxed);
    drop(take_table(core, block));
    bufs
}

/// Frees a block that nobody holds any more, gives back the counts it holds, and so on for whatever that frees.
#[inline]
pub(crate) fn release(block: Block) {
    let core = Core::of(block);
    if block.header().link_count.load(Relaxed) == 0 {
        core.free(block);
    } else {
        release_linked(core, block);
    }
}

#[cold]
fn release_linked(core: &'static Core, block: Block) {
    let mut dying = Position::NONE;
    let condemn = |block: Block, dying: &mut Position| {
        block.header().len.store(u64::from(dying.0), Relaxed);
        *dying = core.position(block);
    };
    condemn(block, &mut dying);
    while dying != Position::NONE {
        let block = core.block(dying);
        dying = Position(block.header().len.load(Relaxed) as u32);
        for index in 0..block.header().link_count.load(Relaxed) {
            let target = target(core, block, index);
            if !target.header().word.drop_count() {
                continue;
            }
            if target.header().link_count.load(Relaxed) == 0 {
                core.free(target);
            } else {
                condemn(target, &mut dying);
            }
        }
        drop(take_table(core, block));
        core.free(block);
    }
}

/// The block that a held block's link names.
fn target(core: &'static Core, block: Block, index: u32) -> Block {
    let header = block.header();
    if index == 0 {
        return core.block(Position(header.first_link.load(Relaxed)));
    }
    let table = table(core, block).expect("more than one link means a table");
    let bytes = table[at(index)].try_into().expect("a link is four bytes");
    core.block(Position(u32::from_ne_bytes(bytes)))
}

/// The table, still held by its block.
fn table(core: &'static Core, block: Block) -> Option<ManuallyDrop<BufMut>> {
    let position = Position(block.header().link_table.load(Relaxed));
    // SAFETY: the block's holder holds the table too. Holders of a frozen block only read it.
    (position != Position::NONE)
        .then(|| ManuallyDrop::new(unsafe { BufMut::from_block(core.block(position)) }))
}

/// The table, taken from its block.
fn take_table(core: &'static Core, block: Block) -> Option<BufMut> {
    let table = table(core, block)?;
    block.header().link_table.store(Position::NONE.0, Relaxed);
    Some(ManuallyDrop::into_inner(table))
}

/// The table, grown so that it has link `index`.
fn table_with_room(
    core: &'static Core,
    block: Block,
    index: u32,
    owner: u32,
) -> Result<ManuallyDrop<BufMut>, LoanError> {
    let wanted = at(index).end;
    let old = table(core, block);
    match old {
        Some(table) if table.len() >= wanted => return Ok(table),
        _ => {}
    }
    // Twice what is needed, so that n links cost O(n).
    let mut new = BufMut::loan(core, (wanted * 2).next_multiple_of(LINK_BYTES), owner)?;
    new.set_len(new.capacity() / LINK_BYTES * LINK_BYTES);
    if let Some(old) = take_table(core, block) {
        new[..old.len()].copy_from_slice(&old);
    }
    block
        .header()
        .link_table
        .store(core.position(new.block()).0, Relaxed);
    Ok(ManuallyDrop::new(new))
}

/// Where link `index`, which is not the first, lies in the table.
fn at(index: u32) -> std::ops::Range<usize> {
    let start = (index as usize - 1) * LINK_BYTES;
    start..start + LINK_BYTES
}
