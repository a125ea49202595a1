//! A page's entry in the side table, and the word through which threads that do not own a page free its blocks.
//! Called by `heap` (the owner), `core` (everyone else) and `pool` (under its lock); modelled in tests/loom_page.rs.
//!
//! # Ownership
//!
//! A small page is *owned* by the one heap that loans from it, or by nobody. A heap gives a page up as soon as the
//! page has nothing left to loan, so a heap owns at most one page per class, and blocks freed anywhere else go
//! through the page's word, a batch at a time. The last such batch finds the page wholly free and hands it back without
//! its former owner doing anything: a thread that sleeps holds back its own page and one batch per class, no more.
//!
//! | state | means | who may loan from it | who may free into the word |
//! |---|---|---|---|
//! | Owned | a heap's current page | that heap, from its own list | every other thread |
//! | Detached | nobody's, too full to be worth taking | nobody | every thread |
//! | Listed | nobody's, on the pool's list or about to be | nobody | every thread |
//!
//! Word: `state << 32 | free << 16 | head`. `head` is the granule + 1 of the first freed block, each free block's
//! `len` field names the next. `free` counts what a taker would get: blocks on this list, and in an unowned page
//! those never made ready.
//!
//! Rules:
//! 1. `push` only adds; `take` and `detach` act on the whole list at once. So a block's link is written by its freer
//!    before the block is visible and read by the taker after, and no A-B-A can arise: whatever happened in
//!    between, a head that compares equal is a head the pushed link is right for.
//! 2. `push` and `detach` say `Settle` when the page has become worth listing or wholly free. Who is told so calls
//!    `Pool::settle`, which decides under the lock by what it finds there. It is idempotent, so callers may come late,
//!    twice, or find the page taken, released or in other use.
//! 3. Owned -> Detached/Listed: the owner. Detached -> Listed: the push that crosses the threshold, or the pool under
//!    its lock. Listed -> Owned, and Listed with every block free -> unused: under the pool's lock.
//! 4. `meta` changes shape only under the pool's lock and while no heap owns the page; the owner raises `ready`.

use crate::layout::PAGE_GRANULES;
use crate::size_class::Class;
use crate::sync::Word64;
use crate::sync::plain::{AtomicU32, AtomicU64, Ordering};

/// A page's entry in the side table. All zeros is an unused page.
///
/// Shape: one cache line, so that frees into neighbouring pages do not disturb each other.
#[repr(C, align(64))]
pub(crate) struct Page {
    meta: AtomicU64,
    pub(crate) word: PageWord,
    /// Neighbours on the pool's list of this class, and whether the page is on it. Under the pool's lock.
    pub(crate) next: AtomicU32,
    pub(crate) prev: AtomicU32,
    pub(crate) listed: AtomicU32,
}

/// What a page holds, as one word that inspectors read: `generation << 40 | extent << 8 | kind`, where kind is
/// 0 unused, 1 large, 2 + class small; extent is a large block's pages or the blocks made ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Meta(u64);

/// A page's use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// Free, or inside a large block.
    Unused,
    /// The first page of a block over this many pages.
    Large { pages: u32 },
    /// Blocks of a class, of which the first `ready` have a header.
    Small { class: Class, ready: u16 },
}

const LARGE: u8 = 1;
const SMALL: u8 = 2;
const GENERATION_SHIFT: u32 = 40;

impl Meta {
    #[inline]
    pub(crate) fn shape(self) -> Shape {
        match self.0 as u8 {
            0 => Shape::Unused,
            LARGE => Shape::Large {
                pages: (self.0 >> 8) as u32,
            },
            kind => Shape::Small {
                class: Class::from_index(kind - SMALL),
                ready: (self.0 >> 8) as u16,
            },
        }
    }

    /// Whether the page has had this use since `other` was read. `ready` may have grown.
    pub(crate) fn same_use(self, other: Meta) -> bool {
        self.0 >> GENERATION_SHIFT == other.0 >> GENERATION_SHIFT && self.0 as u8 == other.0 as u8
    }
}

impl Page {
    /// Acquire: headers of ready blocks are written before we look at them; pairs with the Release in `set_meta`.
    #[inline]
    pub(crate) fn meta(&self) -> Meta {
        Meta(self.meta.load(Ordering::Acquire))
    }

    /// Changes the use, in a new generation. Rule 4.
    pub(crate) fn set_shape(&self, shape: Shape) {
        // Relaxed: only a holder of the pool's lock changes the shape.
        let generation = (self.meta.load(Ordering::Relaxed) >> GENERATION_SHIFT) + 1;
        self.set_meta(generation, shape);
    }

    /// Makes more blocks known. Rule 4: by the owner.
    pub(crate) fn set_ready(&self, class: Class, ready: u16) {
        // Relaxed: the owner is the only one to change it.
        let generation = self.meta.load(Ordering::Relaxed) >> GENERATION_SHIFT;
        self.set_meta(generation, Shape::Small { class, ready });
    }

    fn set_meta(&self, generation: u64, shape: Shape) {
        let low = match shape {
            Shape::Unused => 0,
            Shape::Large { pages } => u64::from(pages) << 8 | u64::from(LARGE),
            Shape::Small { class, ready } => {
                u64::from(ready) << 8 | (class.index() as u64 + u64::from(SMALL))
            }
        };
        // Release: pairs with the Acquire in `meta`.
        self.meta
            .store(generation << GENERATION_SHIFT | low, Ordering::Release);
    }
}

/// The word of one page; see the module's page.
#[repr(transparent)]
pub(crate) struct PageWord<W = AtomicU64>(W);

/// A granule of the page plus one; 0 ends a list. What lies in a free block's `len`.
pub(crate) type Link = u16;

/// A free list that changes hands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) head: Link,
    pub(crate) tail: Link,
    pub(crate) blocks: u16,
}

/// What the caller of `push` or `detach` does next.
#[must_use = "a page that nobody settles is lost"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Nothing.
    Done,
    /// Call `Pool::settle` for the page.
    Settle,
}

/// What to do with a page that somebody was told to settle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is in order.
    Leave,
    /// Put it on the list.
    List,
    /// Every block is free: take it off the list, if it is on it, and release it.
    Release,
}

/// The numbers of a page that the transitions depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) capacity: u16,
    pub(crate) threshold: u16,
}

impl Chain {
    /// One block.
    #[inline]
    pub(crate) fn one(link: Link) -> Chain {
        Chain {
            head: link,
            tail: link,
            blocks: 1,
        }
    }
}

impl From<Class> for Limits {
    #[inline]
    fn from(class: Class) -> Limits {
        Limits {
            capacity: class.capacity(),
            threshold: class.threshold(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PageState {
    Owned,
    Detached,
    Listed,
}

/// The word at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageSnapshot {
    pub(crate) state: PageState,
    pub(crate) free: u16,
    pub(crate) head: Link,
}

/// Release: the freed block's link, and every use of the block before, happen before it is loaned again; pairs with
/// `TAKE` and the Acquire in `snapshot`.
const PUSH: Ordering = if cfg!(fulmar_mutation = "arena_remote_free") {
    Ordering::Relaxed
} else {
    Ordering::Release
};

/// Acquire: the links and the last uses of the taken blocks are visible; pairs with `PUSH`. The pushes behind the
/// newest are covered too, because each is a read-modify-write that continues the release sequence of the one before.
const TAKE: Ordering = if cfg!(fulmar_mutation = "arena_remote_take") {
    Ordering::Relaxed
} else {
    Ordering::Acquire
};

impl PageSnapshot {
    fn unpack(word: u64) -> PageSnapshot {
        let state = match word >> 32 {
            0 => PageState::Owned,
            1 => PageState::Detached,
            _ => PageState::Listed,
        };
        PageSnapshot {
            state,
            free: (word >> 16) as u16,
            head: word as u16,
        }
    }

    /// Rule 2, under the pool's lock.
    pub(crate) fn verdict(self, capacity: u16, listed: bool) -> Verdict {
        if self.state != PageState::Listed && !cfg!(fulmar_mutation = "arena_settle") {
            Verdict::Leave
        } else if self.free == capacity {
            // No heap can take the page while we hold the lock, and there is no block left to free: nobody else can
            // reach it.
            Verdict::Release
        } else if listed {
            Verdict::Leave
        } else {
            Verdict::List
        }
    }

    fn pack(self) -> u64 {
        (self.state as u64) << 32 | u64::from(self.free) << 16 | u64::from(self.head)
    }
}

impl<W: Word64> PageWord<W> {
    #[cfg(all(test, loom))]
    pub(crate) fn new() -> Self {
        PageWord(W::new(0))
    }

    /// Acquire: who finds every block free is about to reuse the memory; pairs with `PUSH`.
    #[inline]
    pub(crate) fn snapshot(&self) -> PageSnapshot {
        PageSnapshot::unpack(self.0.load(Ordering::Acquire))
    }

    /// Frees blocks into a page that the caller does not own. `link` stores its argument as the next of the chain's
    /// last block.
    #[inline]
    pub(crate) fn push(&self, chain: Chain, limits: Limits, link: impl Fn(Link)) -> Next {
        // Relaxed: only compared; the exchange orders.
        let mut found = self.0.load(Ordering::Relaxed);
        loop {
            let old = PageSnapshot::unpack(found);
            link(old.head);
            let mut new = PageSnapshot {
                free: old.free + chain.blocks,
                head: chain.head,
                ..old
            };
            let next = match old.state {
                PageState::Detached if new.free >= limits.threshold => {
                    new.state = PageState::Listed;
                    Next::Settle
                }
                PageState::Listed if new.free == limits.capacity => Next::Settle,
                _ => Next::Done,
            };
            match self
                .0
                .compare_exchange(found, new.pack(), PUSH, Ordering::Relaxed)
            {
                Ok(_) => return next,
                Err(now) => found = now,
            }
        }
    }

    /// The owner takes everything that others have freed; under the pool's lock, a heap makes a listed page its own
    /// and takes what is free.
    pub(crate) fn take(&self) -> PageSnapshot {
        let owned = PageSnapshot {
            state: PageState::Owned,
            free: 0,
            head: 0,
        };
        PageSnapshot::unpack(self.0.swap(owned.pack(), TAKE))
    }

    /// The owner gives the page up together with its own list and the blocks it never made ready. `link` stores its
    /// argument as the next of the list's last block.
    pub(crate) fn detach(&self, own: Chain, unready: u16, limits: Limits, link: impl Fn(Link)) -> Next {
        // Relaxed: only compared; the exchange orders.
        let mut found = self.0.load(Ordering::Relaxed);
        loop {
            let old = PageSnapshot::unpack(found);
            let free = old.free + own.blocks + unready;
            let head = if own.blocks == 0 {
                old.head
            } else {
                link(old.head);
                own.head
            };
            let worth_it = free >= limits.threshold;
            let state = if worth_it {
                PageState::Listed
            } else {
                PageState::Detached
            };
            let new = PageSnapshot { state, free, head };
            if cfg!(fulmar_mutation = "arena_detach") {
                // A plain store loses what is pushed in between.
                self.0.store(new.pack(), Ordering::Release);
                return if worth_it { Next::Settle } else { Next::Done };
            }
            // Release: as `PUSH`, for our own list.
            match self
                .0
                .compare_exchange(found, new.pack(), Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) if worth_it => return Next::Settle,
                Ok(_) => return Next::Done,
                Err(now) => found = now,
            }
        }
    }

    /// Makes an unowned page with anything free worth listing, threshold or not; true when it was not before. Under the
    /// pool's lock, when there is nothing else left to loan from.
    pub(crate) fn list_early(&self) -> bool {
        // Relaxed: only compared. Nothing is taken yet, so the exchange orders nothing either; as a
        // read-modify-write it keeps the release sequence of the pushes before it.
        let mut found = self.0.load(Ordering::Relaxed);
        loop {
            let old = PageSnapshot::unpack(found);
            if old.state != PageState::Detached || old.free == 0 {
                return false;
            }
            let new = PageSnapshot {
                state: PageState::Listed,
                ..old
            };
            match self
                .0
                .compare_exchange(found, new.pack(), Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => found = now,
            }
        }
    }

    /// The page is unused. Under the pool's lock, when every block is free.
    pub(crate) fn reset(&self) {
        // Relaxed: nobody else holds a block of the page; the lock orders its next use.
        self.0.store(0, Ordering::Relaxed);
    }
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Page>() == 64);
    assert!(offset_of!(Page, meta) == 0);
    assert!(offset_of!(Page, word) == 8);
    assert!(offset_of!(Page, next) == 16);
    assert!(offset_of!(Page, prev) == 20);
    assert!(offset_of!(Page, listed) == 24);
    // `free` and `head` cannot overflow their 16 bits.
    assert!(PAGE_GRANULES < u16::MAX as usize);
};
