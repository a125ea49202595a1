//! The pages of an arena behind one lock: handing them out, the lists of unowned pages worth loaning from, and giving
//! memory back to the system. Called by `heap` and `core` on their slow paths: once per page of blocks, not per block.

use std::time::Instant;

use crate::layout::{PAGE_BYTES, SEGMENT_PAGES};
use crate::os::Backing;
use crate::page::{Page, PageSnapshot, Shape, Verdict};
use crate::segment::{Segments, Span};
use crate::size_class::{CLASSES, Class};
use crate::surplus::Surplus;
use crate::sync::plain::{Mutex, MutexGuard, Ordering, PoisonError};

/// No page can be had under the limit and within the reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refused;

pub(crate) struct Pool {
    backing: Backing,
    pages: &'static [Page],
    limit_pages: usize,
    inner: Mutex<Inner>,
}

/// What the lock protects, together with the `next`, `prev` and `listed` of every page.
pub(crate) struct Inner {
    segments: Segments,
    /// First page of each class's list; 0 is none.
    lists: [u32; CLASSES],
    /// Runs that are being given to the system, by how many threads.
    discarding: usize,
    surplus: Surplus,
    high_water_pages: usize,
    pub(crate) large: LargeCounts,
}

/// Large blocks, which no heap counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct LargeCounts {
    pub(crate) loans: u64,
    pub(crate) frees: u64,
    pub(crate) pages: usize,
}

/// The page counts at one moment.
#[derive(Clone, Copy)]
pub(crate) struct PageCounts {
    pub(crate) used: usize,
    pub(crate) cached: usize,
    pub(crate) high_water: usize,
}

impl Inner {
    fn note_cached(&mut self) {
        self.surplus.note(self.segments.cached_pages());
    }
}

impl Pool {
    pub(crate) fn new(backing: Backing, pages: &'static [Page], limit_pages: usize) -> Pool {
        let inner = Inner {
            segments: Segments::new(pages.len() / SEGMENT_PAGES),
            lists: [0; CLASSES],
            discarding: 0,
            surplus: Surplus::default(),
            high_water_pages: 0,
            large: LargeCounts::default(),
        };
        Pool {
            backing,
            pages,
            limit_pages,
            inner: Mutex::new(inner),
        }
    }

    #[inline]
    pub(crate) fn page(&self, index: usize) -> &'static Page {
        &self.pages[index]
    }

    pub(crate) fn limit_pages(&self) -> usize {
        self.limit_pages
    }

    pub(crate) fn backing(&self) -> &Backing {
        &self.backing
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under the lock leaves it half changed before a panic that a caller could survive.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self, inner: &Inner) -> PageCounts {
        PageCounts {
            used: inner.segments.used_pages(),
            cached: inner.segments.cached_pages(),
            high_water: inner.high_water_pages,
        }
    }

    /// Pages that may have been used: `walk` looks no further.
    pub(crate) fn grown_pages(&self, inner: &Inner) -> usize {
        inner.segments.grown() * SEGMENT_PAGES
    }

    /// A page for a heap to own: a listed one, or a fresh one. With it come the blocks that are free in it.
    pub(crate) fn take_small(&self, class: Class) -> Result<(usize, PageSnapshot), Refused> {
        let mut inner = self.lock();
        let listed = inner.lists[class.index()] as usize;
        if listed != 0 {
            self.unlink(&mut inner, class, listed);
            return Ok((listed, self.page(listed).word.take()));
        }
        let (_inner, span) = self.take_span(inner, 1)?;
        let page = self.page(span.first);
        page.set_shape(Shape::Small { class, ready: 0 });
        Ok((span.first, page.word.take()))
    }

    /// When nothing else is left: lists every unowned page of the class with a free block, however few.
    pub(crate) fn scrape(&self, class: Class) {
        let mut inner = self.lock();
        for index in 1..self.grown_pages(&inner) {
            let page = self.page(index);
            let of_class = matches!(page.meta().shape(), Shape::Small { class: other, .. } if other == class);
            if of_class && page.word.list_early() {
                self.link(&mut inner, class, index);
            }
        }
    }

    /// Pages for one large block. The caller writes its header and then gives the first page its shape.
    pub(crate) fn take_large(&self, pages: usize) -> Result<usize, Refused> {
        let (mut inner, span) = self.take_span(self.lock(), pages)?;
        inner.large.loans += 1;
        inner.large.pages += pages;
        Ok(span.first)
    }

    /// Gives a large block's pages back.
    pub(crate) fn give_large(&self, first: usize, pages: usize) {
        self.page(first).set_shape(Shape::Unused);
        let mut inner = self.lock();
        inner.large.frees += 1;
        inner.large.pages -= pages;
        inner.segments.give(Span { first, pages });
        self.bound_cache(inner);
    }

    /// Looks at a page that `push` or `detach` asked to settle: an unowned page is listed when it is worth it, and
    /// released when it is wholly free. Whatever else is found is in order already (rule 2 of `page`).
    pub(crate) fn settle(&self, index: usize) {
        let mut inner = self.lock();
        let page = self.page(index);
        let Shape::Small { class, .. } = page.meta().shape() else {
            return;
        };
        // Relaxed, here and in `link` and `unlink`: under the lock.
        let listed = page.listed.load(Ordering::Relaxed) != 0;
        match page.word.snapshot().verdict(class.capacity(), listed) {
            Verdict::Leave => {}
            Verdict::List => self.link(&mut inner, class, index),
            Verdict::Release => {
                if listed {
                    self.unlink(&mut inner, class, index);
                }
                page.word.reset();
                page.set_shape(Shape::Unused);
                inner.segments.give(Span {
                    first: index,
                    pages: 1,
                });
                self.bound_cache(inner);
            }
        }
    }

    /// Gives the memory of cached pages to the system until at most `keep` pages are cached.
    pub(crate) fn discard(&self, keep: usize) {
        let mut inner = self.lock();
        while inner.segments.cached_pages() > keep {
            let most = inner.segments.cached_pages() - keep;
            let Some(span) = inner.segments.take_dirty(most) else {
                return;
            };
            inner.discarding += 1;
            // Not under the lock: the system takes microseconds per page.
            drop(inner);
            let discarded = self
                .backing
                .discard(span.first * PAGE_BYTES, span.pages * PAGE_BYTES);
            inner = self.lock();
            inner.discarding -= 1;
            if discarded.is_err() {
                // This system cannot; what is cached stays with us and is loaned again.
                inner.segments.give_dirty(span);
                return;
            }
            inner.segments.give_clean(span);
            inner.note_cached();
        }
    }

    /// Gives a step of the cache's surplus to the system; false when there is none.
    pub(crate) fn shrink(&self) -> bool {
        self.bound_cache(self.lock())
    }

    fn bound_cache(&self, mut inner: MutexGuard<'_, Inner>) -> bool {
        let cached = inner.segments.cached_pages();
        let step = inner.surplus.step(cached, Instant::now);
        drop(inner);
        if step > 0 {
            self.discard(cached - step);
        }
        step > 0
    }

    fn take_span<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        pages: usize,
    ) -> Result<(MutexGuard<'a, Inner>, Span), Refused> {
        loop {
            let room = self.limit_pages.saturating_sub(inner.segments.used_pages());
            if pages > room {
                return Err(Refused);
            }
            // What is cached counts against the limit too, but gives way.
            let cached = inner.segments.cached_pages();
            if cached > room - pages {
                drop(inner);
                self.discard(room - pages);
                inner = self.lock();
                if inner.segments.cached_pages() < cached {
                    continue;
                }
            }
            if let Some(span) = inner.segments.take(pages) {
                inner.high_water_pages = inner.high_water_pages.max(inner.segments.used_pages());
                inner.note_cached();
                return Ok((inner, span));
            }
            if inner.discarding == 0 {
                return Err(Refused);
            }
            // Free pages are on their way to the system and come back in a moment.
            drop(inner);
            crate::sync::plain::yield_now();
            inner = self.lock();
        }
    }

    fn link(&self, inner: &mut Inner, class: Class, index: usize) {
        let head = &mut inner.lists[class.index()];
        let page = self.page(index);
        page.listed.store(1, Ordering::Relaxed);
        page.prev.store(0, Ordering::Relaxed);
        page.next.store(*head, Ordering::Relaxed);
        if *head != 0 {
            self.page(*head as usize)
                .prev
                .store(index as u32, Ordering::Relaxed);
        }
        *head = index as u32;
    }

    fn unlink(&self, inner: &mut Inner, class: Class, index: usize) {
        let page = self.page(index);
        let (prev, next) = (
            page.prev.load(Ordering::Relaxed),
            page.next.load(Ordering::Relaxed),
        );
        page.listed.store(0, Ordering::Relaxed);
        if prev == 0 {
            inner.lists[class.index()] = next;
        } else {
            self.page(prev as usize).next.store(next, Ordering::Relaxed);
        }
        if next != 0 {
            self.page(next as usize).prev.store(prev, Ordering::Relaxed);
        }
    }
}
