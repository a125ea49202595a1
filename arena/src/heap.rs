//! A thread's heap: for each size class the page it loans from and the list of free blocks of that page. Called by
//! `core`; one thread at a time holds a heap, so nothing here is a read-modify-write.
//!
//! # Ownership
//!
//! A heap belongs to the thread that has it in its `MEMBERSHIPS`, or to the arena's list of idle heaps, which hands
//! it over under a lock. Its fields are atomics that only the holder writes, all relaxed: they are plain moves, and
//! `stats` may read the counts from any thread. When a thread ends, its heaps give up their pages and become idle; a
//! heap is never freed, so its counts stay in the sums.

use std::cell::{Cell, RefCell};

use crate::block::Block;
use crate::core::Core;
use crate::layout::GRANULE_BYTES;
use crate::page::{Chain, Limits, Link, Next, Page, PageSnapshot, Shape};
use crate::poison;
use crate::pool::Refused;
use crate::size_class::{CLASSES, Class};
use crate::sync::plain::Ordering::Relaxed;
use crate::sync::plain::{AtomicU16, AtomicU32, AtomicU64};

/// In cache lines of its own: heaps lie side by side, and each is written by its thread with every block.
#[repr(align(128))]
pub(crate) struct Heap {
    pub(crate) core: &'static Core,
    bins: [Bin; CLASSES],
}

/// One class of one heap.
#[derive(Default)]
struct Bin {
    /// The page this heap owns; 0 is none.
    page: AtomicU32,
    /// First free block of that page.
    free: AtomicU16,
    /// Blocks that this thread freed one after the other in one other page, not handed over yet: a flood that is freed in the
    /// order in which it was loaned costs one exchange per page, not per block. 0 blocks: none.
    away: Away,
    loans: AtomicU64,
    frees: AtomicU64,
}

/// A batch of freed blocks of a page that the heap does not own.
#[derive(Default)]
struct Away {
    page: AtomicU32,
    head: AtomicU16,
    tail: AtomicU16,
    blocks: AtomicU16,
}

impl Heap {
    pub(crate) fn new(core: &'static Core) -> Heap {
        Heap {
            core,
            bins: Default::default(),
        }
    }

    /// Takes a free block of the class.
    #[inline]
    pub(crate) fn loan(&self, class: Class) -> Result<Block, Refused> {
        let bin = &self.bins[class.index()];
        let mut free = bin.free.load(Relaxed);
        if free == 0 {
            free = self.refill(class)?;
        }
        let block = self.core.block_at(bin.page.load(Relaxed) as usize, free - 1);
        let next = self.core.link_of(block);
        if next.is_none() {
            self.corrupted(class, block);
        }
        bin.free.store(next.unwrap_or(0), Relaxed);
        add_one(&bin.loans);
        Ok(block)
    }

    /// Frees a block, whoever loaned it.
    #[inline]
    pub(crate) fn free(&self, class: Class, page: usize, block: Block, link: Link) {
        let bin = &self.bins[class.index()];
        add_one(&bin.frees);
        if bin.page.load(Relaxed) as usize == page {
            self.core.set_link(block, bin.free.load(Relaxed));
            bin.free.store(link, Relaxed);
            return;
        }
        let away = &bin.away;
        if away.page.load(Relaxed) as usize != page {
            self.hand_over(class);
            away.page.store(page as u32, Relaxed);
            away.tail.store(link, Relaxed);
        }
        self.core.set_link(block, away.head.load(Relaxed));
        away.head.store(link, Relaxed);
        away.blocks.store(away.blocks.load(Relaxed) + 1, Relaxed);
    }

    /// Loans and frees of a class. Frees first: a block freed between the two reads must not make a negative number.
    pub(crate) fn counts(&self, class: Class) -> (u64, u64) {
        let bin = &self.bins[class.index()];
        let frees = bin.frees.load(Relaxed);
        (bin.loans.load(Relaxed), frees)
    }

    /// Hands every batch over and gives every page up, free blocks and all.
    pub(crate) fn flush(&self) {
        for class in Class::all() {
            self.hand_over(class);
            let bin = &self.bins[class.index()];
            let page = bin.page.load(Relaxed) as usize;
            if page == 0 {
                continue;
            }
            let chain = self.chain(page, bin.free.load(Relaxed));
            bin.page.store(0, Relaxed);
            bin.free.store(0, Relaxed);
            self.detach(class, page, chain);
        }
    }

    /// Gives the batch of freed blocks to its page.
    fn hand_over(&self, class: Class) {
        let away = &self.bins[class.index()].away;
        let index = away.page.load(Relaxed) as usize;
        if index == 0 {
            return;
        }
        let (head, tail) = (away.head.load(Relaxed), away.tail.load(Relaxed));
        let chain = Chain {
            head,
            tail,
            blocks: away.blocks.load(Relaxed),
        };
        away.page.store(0, Relaxed);
        away.head.store(0, Relaxed);
        away.blocks.store(0, Relaxed);
        self.core.push(index, class, chain);
    }

    /// Finds free blocks when the list is empty: what others freed into our page, then blocks of it never used, then
    /// another page.
    #[cold]
    fn refill(&self, class: Class) -> Result<Link, Refused> {
        self.hand_over(class);
        let bin = &self.bins[class.index()];
        let index = bin.page.load(Relaxed) as usize;
        if index != 0 {
            let page = self.core.page(index);
            // Below the threshold it is not worth the exchange: the page goes on without us until it is.
            if page.word.snapshot().free >= class.threshold() {
                return Ok(self.adopt(class, index, page.word.take()));
            }
            if unready(page, class) != 0 {
                return Ok(self.make_ready(class, index));
            }
            bin.page.store(0, Relaxed);
            self.detach(class, index, Chain::default());
        }
        let pool = self.core.pool();
        let (index, taken) = pool
            .take_small(class)
            .or_else(|Refused| {
                // The pages of our other classes may be all that is missing.
                self.flush();
                pool.take_small(class)
            })
            .or_else(|Refused| {
                pool.scrape(class);
                pool.take_small(class)
            })?;
        bin.page.store(index as u32, Relaxed);
        Ok(self.adopt(class, index, taken))
    }

    fn adopt(&self, class: Class, index: usize, taken: PageSnapshot) -> Link {
        if taken.head == 0 {
            return self.make_ready(class, index);
        }
        self.bins[class.index()].free.store(taken.head, Relaxed);
        taken.head
    }

    /// Writes the headers of the next few blocks and chains them in order.
    fn make_ready(&self, class: Class, index: usize) -> Link {
        let page = self.core.page(index);
        let left = unready(page, class);
        let ready = class.capacity() - left;
        let end = ready + left.min(class.batch());
        for block in ready..end {
            let start = block * class.granules();
            let next = if block + 1 < end {
                start + class.granules() + 1
            } else {
                0
            };
            let block = self.core.block_at(index, start);
            poison::on_ready(block, class.block_bytes());
            block.header().word.set_free();
            self.core.set_link(block, next);
        }
        page.set_ready(class, end);
        let first = ready * class.granules() + 1;
        self.bins[class.index()].free.store(first, Relaxed);
        first
    }

    /// Walks a list to its end.
    fn chain(&self, page: usize, head: Link) -> Chain {
        let mut chain = Chain {
            head,
            tail: head,
            blocks: 0,
        };
        let mut at = head;
        while at != 0 {
            chain.tail = at;
            chain.blocks += 1;
            // A list that was written over ends here; what it held is lost, and the page is never wholly free.
            at = self.core.link_of(self.core.block_at(page, at - 1)).unwrap_or(0);
        }
        chain
    }

    fn detach(&self, class: Class, index: usize, own: Chain) {
        let page = self.core.page(index);
        let link = |next| self.core.set_link(self.core.block_at(index, own.tail - 1), next);
        let next = page
            .word
            .detach(own, unready(page, class), Limits::from(class), link);
        if next == Next::Settle {
            self.core.pool().settle(index);
        }
    }

    #[cold]
    fn corrupted(&self, class: Class, block: Block) -> ! {
        // The rest of the list cannot be believed: go on without it, so that the next loan is a sound one.
        self.bins[class.index()].free.store(0, Relaxed);
        panic!(
            "a free block of {} bytes at {:p} was written to: something uses memory after it was freed",
            class.granules() as usize * GRANULE_BYTES,
            block.address(),
        );
    }
}

/// The calling thread's heap of an arena; `None` while the thread's locals are being destroyed.
#[inline]
pub(crate) fn current(core: &'static Core) -> Option<&'static Heap> {
    match CURRENT.get() {
        Some(heap) if std::ptr::eq(heap.core, core) => Some(heap),
        _ => enter(core),
    }
}

/// The arena whose heap the calling thread used last.
#[inline]
pub(crate) fn last_core() -> Option<&'static Core> {
    CURRENT.get().map(|heap| heap.core)
}

/// Gives up the pages that the calling thread owns in an arena.
pub(crate) fn flush_current(core: &'static Core) {
    let _ = MEMBERSHIPS.try_with(|memberships| {
        if let Some(heap) = memberships
            .0
            .borrow()
            .iter()
            .find(|heap| std::ptr::eq(heap.core, core))
        {
            heap.flush();
        }
    });
}

#[cold]
fn enter(core: &'static Core) -> Option<&'static Heap> {
    let enter = |memberships: &Memberships| {
        let mut heaps = memberships.0.borrow_mut();
        let known = heaps.iter().copied().find(|heap| std::ptr::eq(heap.core, core));
        let heap = known.unwrap_or_else(|| {
            let heap = core.hire();
            heaps.push(heap);
            heap
        });
        CURRENT.set(Some(heap));
        heap
    };
    MEMBERSHIPS.try_with(enter).ok()
}

thread_local! {
    /// The heap used last. No destructor, so it costs one load.
    static CURRENT: Cell<Option<&'static Heap>> = const { Cell::new(None) };
    /// Every heap of this thread, one per arena.
    static MEMBERSHIPS: Memberships = const { Memberships(RefCell::new(Vec::new())) };
}

struct Memberships(RefCell<Vec<&'static Heap>>);

impl Drop for Memberships {
    fn drop(&mut self) {
        CURRENT.set(None);
        for heap in self.0.get_mut().drain(..) {
            heap.flush();
            heap.core.retire(heap);
        }
    }
}

/// Blocks of a page that have no header yet.
fn unready(page: &Page, class: Class) -> u16 {
    match page.meta().shape() {
        Shape::Small { ready, .. } => class.capacity() - ready,
        Shape::Unused | Shape::Large { .. } => 0,
    }
}

/// One more, by the only thread that writes the counter.
#[inline]
fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}
