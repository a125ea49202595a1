//! The inside of an arena: one mapping, its side table, and the two paths every block takes, loan and free. Called by
//! `arena`, `buf`, `links` and `walk`.

use std::ptr::NonNull;

use crate::block::Block;
use crate::error::{LoanError, ReserveError};
use crate::heap::{self, Heap};
use crate::layout::{
    BODY_OFFSET, GRANULE_BYTES, GRANULE_SHIFT, MAX_ARENAS, OVERHEAD_BYTES, PAGE_BYTES, PAGE_GRANULES,
    PAGE_SHIFT, Position, SEGMENT_BYTES,
};
use crate::os::Backing;
use crate::page::{Chain, Limits, Link, Meta, Next, Page, Shape};
use crate::poison;
use crate::pool::{Pool, Refused};
use crate::scripts::Numbers;
use crate::size_class::{CLASSES, Class, MAX_SMALL_GRANULES};
use crate::sync::plain::{AtomicPtr, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};

/// # Invariants
/// 1. `base` is the start of a mapping of `bytes`, whole segments, that is never unmapped.
/// 2. The core is in `CORES` at `id` and never freed.
pub(crate) struct Core {
    base: Base,
    bytes: usize,
    id: u16,
    pub(crate) requested_bytes: usize,
    max_body_bytes: usize,
    pool: Pool,
    heaps: Mutex<Heaps>,
    script_numbers: Mutex<Numbers>,
    /// Frees by threads that have no heap any more.
    strays: [AtomicU64; CLASSES],
}

/// The start of the mapping.
struct Base(NonNull<u8>);

// SAFETY: the pointer is only a number and a provenance; what lies behind it is governed by the rules of `block`.
unsafe impl Send for Base {}
// SAFETY: as for Send; the pointer itself never changes.
unsafe impl Sync for Base {}

/// Every heap of an arena.
#[derive(Default)]
struct Heaps {
    all: Vec<&'static Heap>,
    idle: Vec<&'static Heap>,
}

/// A block that an address was found to be the body of.
pub(crate) struct Located {
    pub(crate) block: Block,
    pub(crate) block_bytes: usize,
    meta: Meta,
    page: &'static Page,
}

static CORES: [AtomicPtr<Core>; MAX_ARENAS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_ARENAS];
static CORE_COUNT: AtomicUsize = AtomicUsize::new(0);

impl Core {
    /// An arena over this mapping, for the life of the process.
    pub(crate) fn create(
        backing: Backing,
        pages: &'static [Page],
        bytes: usize,
        requested_bytes: usize,
        limit_bytes: usize,
    ) -> Result<&'static Core, ReserveError> {
        // Relaxed: the number is only to be unique; the pointer below is what publishes.
        let claimed = CORE_COUNT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < MAX_ARENAS).then_some(count + 1)
        });
        let id = claimed.map_err(|_| ReserveError::TooMany)?;
        let segments = bytes / SEGMENT_BYTES;
        // Page 0 is never loaned, so a run of whole segments cannot start at the first.
        let longest_run = if segments > 1 {
            (segments - 1) * SEGMENT_BYTES
        } else {
            bytes - PAGE_BYTES
        };
        let core: &'static Core = Box::leak(Box::new(Core {
            base: Base(backing.base()),
            bytes,
            id: id as u16,
            requested_bytes,
            max_body_bytes: longest_run.min(limit_bytes).saturating_sub(OVERHEAD_BYTES),
            pool: Pool::new(backing, pages, limit_bytes / PAGE_BYTES),
            heaps: Mutex::default(),
            script_numbers: Mutex::default(),
            strays: [const { AtomicU64::new(0) }; CLASSES],
        }));
        // Release: pairs with the Acquire in `of`.
        CORES[id].store(std::ptr::from_ref(core).cast_mut(), Ordering::Release);
        Ok(core)
    }

    /// The arena that a held block is of.
    #[inline]
    pub(crate) fn of(block: Block) -> &'static Core {
        // Relaxed: the holder, or one before it, wrote the field.
        let id = block.header().arena.load(Ordering::Relaxed);
        // Nearly always the arena that this thread used last; to guess it keeps the look-up off the path of data.
        if let Some(core) = heap::last_core()
            && core.id == id
        {
            return core;
        }
        // Acquire: pairs with the Release in `create`.
        let core = CORES[id as usize % MAX_ARENAS].load(Ordering::Acquire);
        // SAFETY: null or a core that is never freed (2).
        unsafe { core.as_ref() }.expect("a held block names an arena of this process")
    }

    #[inline]
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    #[inline]
    pub(crate) fn page(&self, index: usize) -> &'static Page {
        self.pool.page(index)
    }

    /// The block that starts at a granule of a page.
    #[inline]
    pub(crate) fn block_at(&self, page: usize, granule: u16) -> Block {
        self.block_at_offset((page << PAGE_SHIFT) + ((granule as usize) << GRANULE_SHIFT))
    }

    /// The block at a position that was taken from a live block.
    pub(crate) fn block(&self, position: Position) -> Block {
        self.block_at_offset(position.offset())
    }

    #[inline]
    fn block_at_offset(&self, offset: usize) -> Block {
        assert!(offset < self.bytes);
        // SAFETY: inside the mapping (1), just asserted.
        let address = unsafe { self.base.0.add(offset) };
        // SAFETY: offsets come from positions and granules, whole granules both, and the mapping is page-aligned.
        unsafe { Block::new(address) }
    }

    #[inline]
    pub(crate) fn position(&self, block: Block) -> Position {
        Position::from_offset(block.address().addr().get() - self.base.0.addr().get())
    }

    /// The next free block that a free block names; `None` when the block was written to after it was freed.
    #[inline]
    pub(crate) fn link_of(&self, block: Block) -> Option<Link> {
        let header = block.header();
        // Relaxed: the caller holds the free block.
        let next = header.len.load(Ordering::Relaxed);
        (next <= PAGE_GRANULES as u64 && header.word.is_free()).then_some(next as Link)
    }

    #[inline]
    pub(crate) fn set_link(&self, block: Block, next: Link) {
        // Relaxed: the caller holds the free block; the list it goes on orders.
        block.header().len.store(u64::from(next), Ordering::Relaxed);
    }

    /// A block with room for a body of `len` bytes and the zero after it. Only its state is initialised.
    #[inline]
    pub(crate) fn loan(&'static self, len: usize) -> Result<Block, LoanError> {
        if len > self.max_body_bytes {
            return Err(self.too_large(len));
        }
        let granules = (len + OVERHEAD_BYTES).div_ceil(GRANULE_BYTES);
        if granules > MAX_SMALL_GRANULES {
            return self.loan_large(len);
        }
        let class = Class::for_granules(granules);
        let loaned = match heap::current(self) {
            Some(heap) => heap.loan(class),
            None => self.loan_without_heap(class),
        };
        match loaned {
            Ok(block) => {
                poison::on_loan(block, class.block_bytes());
                Ok(block)
            }
            Err(Refused) => Err(self.exhausted(len)),
        }
    }

    /// Gives a block, which nobody else can reach any more, to its free list or its pages to the pool.
    #[inline]
    pub(crate) fn free(&'static self, block: Block) {
        let offset = block.address().addr().get() - self.base.0.addr().get();
        let index = offset >> PAGE_SHIFT;
        let page = self.page(index);
        let Shape::Small { class, .. } = page.meta().shape() else {
            return self.free_large(block, index);
        };
        block.header().word.set_free();
        poison::on_free(block, class.block_bytes());
        let link = (offset >> GRANULE_SHIFT) as u16 % PAGE_GRANULES as u16 + 1;
        match heap::current(self) {
            Some(heap) => heap.free(class, index, block, link),
            None => self.free_without_heap(class, index, link),
        }
    }

    /// Gives freed blocks to a page that the caller does not own.
    pub(crate) fn push(&self, index: usize, class: Class, chain: Chain) {
        let link = |next| self.set_link(self.block_at(index, chain.tail - 1), next);
        if self.page(index).word.push(chain, Limits::from(class), link) == Next::Settle {
            self.pool.settle(index);
        }
    }

    /// Whether a held block is of this arena.
    #[inline]
    pub(crate) fn has(&self, block: Block) -> bool {
        block.header().arena.load(Ordering::Relaxed) == self.id // Relaxed: as in `of`
    }

    /// The numbers of the `Scripts` that lend its blocks.
    pub(crate) fn script_numbers(&self) -> MutexGuard<'_, Numbers> {
        self.script_numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the block whose body starts at an address; any address may be asked about.
    #[inline]
    pub(crate) fn locate(&self, address: *const u8) -> Option<Located> {
        let offset = address
            .addr()
            .wrapping_sub(self.base.0.addr().get() + BODY_OFFSET);
        if offset >= self.bytes || !offset.is_multiple_of(GRANULE_BYTES) {
            return None;
        }
        let page = self.page(offset >> PAGE_SHIFT);
        let meta = page.meta();
        let granule = (offset >> GRANULE_SHIFT) as u16 % PAGE_GRANULES as u16;
        let block_bytes = match meta.shape() {
            Shape::Unused => return None,
            Shape::Large { pages } => (granule == 0).then_some(pages as usize * PAGE_BYTES)?,
            Shape::Small { class, ready } => {
                class.block_at(granule).filter(|block| *block < ready)?;
                class.block_bytes()
            }
        };
        Some(Located {
            block: self.block_at_offset(offset),
            block_bytes,
            meta,
            page,
        })
    }

    /// Bytes of a held block.
    #[inline]
    pub(crate) fn block_bytes(&self, block: Block) -> usize {
        let offset = block.address().addr().get() - self.base.0.addr().get();
        match self.page(offset >> PAGE_SHIFT).meta().shape() {
            Shape::Small { class, .. } => class.block_bytes(),
            Shape::Large { pages } => pages as usize * PAGE_BYTES,
            Shape::Unused => unreachable!("a held block is in a used page"),
        }
    }

    /// Loans and frees of a class by everyone.
    pub(crate) fn class_counts(&self, class: Class) -> (u64, u64) {
        // Relaxed: a counter. Before the loans, as in `Heap::counts`.
        let strays = self.strays[class.index()].load(Ordering::Relaxed);
        let heaps = self.heaps.lock().unwrap_or_else(PoisonError::into_inner);
        // All frees before all loans: what one heap loaned another may free.
        let frees: u64 = heaps.all.iter().map(|heap| heap.counts(class).1).sum();
        let loans: u64 = heaps.all.iter().map(|heap| heap.counts(class).0).sum();
        (loans, frees + strays)
    }

    /// A heap for the calling thread.
    pub(crate) fn hire(&'static self) -> &'static Heap {
        let mut heaps = self.heaps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heap) = heaps.idle.pop() {
            return heap;
        }
        let heap: &'static Heap = Box::leak(Box::new(Heap::new(self)));
        heaps.all.push(heap);
        heap
    }

    /// A flushed heap back from its thread.
    pub(crate) fn retire(&self, heap: &'static Heap) {
        self.heaps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .idle
            .push(heap);
    }

    /// A thread whose locals are gone borrows an idle heap for one loan.
    #[cold]
    fn loan_without_heap(&'static self, class: Class) -> Result<Block, Refused> {
        let heap = self.hire();
        let loaned = heap.loan(class);
        heap.flush();
        self.retire(heap);
        loaned
    }

    /// A thread whose locals are gone frees block by block.
    #[cold]
    fn free_without_heap(&self, class: Class, index: usize, link: Link) {
        // Relaxed: a counter.
        self.strays[class.index()].fetch_add(1, Ordering::Relaxed);
        self.push(index, class, Chain::one(link));
    }

    #[cold]
    fn loan_large(&self, len: usize) -> Result<Block, LoanError> {
        let pages = (len + OVERHEAD_BYTES).div_ceil(PAGE_BYTES);
        let Ok(first) = self.pool.take_large(pages) else {
            return Err(self.exhausted(len));
        };
        let block = self.block_at(first, 0);
        poison::on_loan(block, pages * PAGE_BYTES);
        block.header().word.set_free();
        self.page(first).set_shape(Shape::Large { pages: pages as u32 });
        Ok(block)
    }

    #[cold]
    fn free_large(&self, block: Block, first: usize) {
        let pages = self.block_bytes(block) / PAGE_BYTES;
        block.header().word.set_free();
        poison::on_free(block, pages * PAGE_BYTES);
        self.pool.give_large(first, pages);
    }

    #[cold]
    fn too_large(&self, len: usize) -> LoanError {
        LoanError::TooLarge {
            requested_bytes: len,
            max_bytes: self.max_body_bytes,
        }
    }

    #[cold]
    fn exhausted(&self, len: usize) -> LoanError {
        let used_bytes = self.pool.counts(&self.pool.lock()).used * PAGE_BYTES;
        let limit_bytes = (self.pool.limit_pages() * PAGE_BYTES).min(self.bytes);
        LoanError::Exhausted {
            requested_bytes: len,
            used_bytes,
            limit_bytes,
        }
    }
}

impl Located {
    /// Whether the block has been there since it was located.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.page.meta().same_use(self.meta)
    }
}
