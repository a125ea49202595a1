//! Which pages are free: a bit map of 64 pages per segment, and where runs of them lie. Plain data under the pool's
//! lock; knows no memory and makes no system call, so `tests/prop_segment.rs` checks it against a simple model.
//!
//! First fit from the low end keeps the live part of the file dense. A page that has been used is *dirty* until it
//! is given back to the system: dirty free pages are the cache from which a freed run is loaned again without a fault.

use crate::layout::SEGMENT_PAGES;

/// A run of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) first: usize,
    pub(crate) pages: usize,
}

/// The page maps of one reservation.
pub(crate) struct Segments {
    /// Grown up to `limit` as they are needed.
    segments: Vec<Segment>,
    /// The longest free run in each group of 64 segments, so that a search skips what is full.
    longest_of_group: Vec<u8>,
    limit: usize,
    used_pages: usize,
    cached_pages: usize,
    /// No segment from here on has a dirty free page.
    dirty_end: usize,
}

#[derive(Clone, Copy)]
struct Segment {
    /// A bit per page that is not handed out.
    free: u64,
    /// A bit per free page that has memory behind it.
    dirty: u64,
    longest: u8,
}

const GROUP: usize = 64;

impl Segments {
    /// Maps for at most `limit` segments. Page 0 is never handed out.
    pub(crate) fn new(limit: usize) -> Segments {
        let mut segments = Segments {
            segments: Vec::new(),
            longest_of_group: Vec::new(),
            limit,
            used_pages: 0,
            cached_pages: 0,
            dirty_end: 0,
        };
        segments.grow();
        segments.segments[0].free &= !1;
        segments.refresh(0);
        segments
    }

    pub(crate) fn used_pages(&self) -> usize {
        self.used_pages
    }

    pub(crate) fn cached_pages(&self) -> usize {
        self.cached_pages
    }

    /// Segments looked at so far; pages beyond them were never used.
    pub(crate) fn grown(&self) -> usize {
        self.segments.len()
    }

    /// Takes a run; `None` when no free run is long enough.
    pub(crate) fn take(&mut self, pages: usize) -> Option<Span> {
        let first = if pages <= SEGMENT_PAGES {
            self.find_within(pages)
        } else {
            self.find_across(pages)
        }?;
        let span = Span { first, pages };
        for (index, mask) in parts(span) {
            let segment = &mut self.segments[index];
            self.cached_pages -= (segment.dirty & mask).count_ones() as usize;
            segment.free &= !mask;
            segment.dirty &= !mask;
            self.refresh(index);
        }
        self.used_pages += pages;
        Some(span)
    }

    /// Gives a run back; it stays cached.
    pub(crate) fn give(&mut self, span: Span) {
        self.used_pages -= span.pages;
        self.give_dirty(span);
    }

    /// Takes a run of at most `most` cached pages, the highest first, to give their memory to the system. It counts as neither used
    /// nor cached until `give_clean` or `give_dirty`.
    pub(crate) fn take_dirty(&mut self, most: usize) -> Option<Span> {
        let index = self.segments[..self.dirty_end]
            .iter()
            .rposition(|segment| segment.dirty != 0);
        let Some(index) = index else {
            self.dirty_end = 0;
            return None;
        };
        self.dirty_end = index + 1;
        let segment = &mut self.segments[index];
        let high = SEGMENT_PAGES - segment.dirty.leading_zeros() as usize;
        let pages = (segment.dirty << (SEGMENT_PAGES - high)).leading_ones() as usize;
        let pages = pages.min(most);
        let span = Span {
            first: index * SEGMENT_PAGES + high - pages,
            pages,
        };
        let mask = mask(high - pages, pages);
        segment.free &= !mask;
        segment.dirty &= !mask;
        self.cached_pages -= pages;
        self.refresh(index);
        Some(span)
    }

    /// The memory of a run from `take_dirty` is with the system.
    pub(crate) fn give_clean(&mut self, span: Span) {
        for (index, mask) in parts(span) {
            self.segments[index].free |= mask;
            self.refresh(index);
        }
    }

    /// The memory of a run from `take_dirty` could not be given back.
    pub(crate) fn give_dirty(&mut self, span: Span) {
        self.cached_pages += span.pages;
        for (index, mask) in parts(span) {
            self.segments[index].free |= mask;
            self.segments[index].dirty |= mask;
            self.dirty_end = self.dirty_end.max(index + 1);
            self.refresh(index);
        }
    }

    fn find_within(&mut self, pages: usize) -> Option<usize> {
        for group in 0..self.longest_of_group.len() {
            if (self.longest_of_group[group] as usize) < pages {
                continue;
            }
            let start = group * GROUP;
            let found = self.segments[start..]
                .iter()
                .position(|segment| segment.longest as usize >= pages);
            let index = start + found.expect("the group's longest run is in one of its segments");
            let Segment { free, dirty, .. } = self.segments[index];
            let bit = first_run(dirty, pages).or_else(|| first_run(free, pages));
            let bit = bit.expect("a segment's longest run is in its map");
            return Some(index * SEGMENT_PAGES + bit);
        }
        let index = self.grow()?;
        Some(index * SEGMENT_PAGES)
    }

    /// A run longer than a segment starts at one.
    fn find_across(&mut self, pages: usize) -> Option<usize> {
        let wanted = pages.div_ceil(SEGMENT_PAGES);
        let mut whole = 0;
        for index in 0..self.limit {
            if index == self.segments.len() {
                self.grow()?;
            }
            whole = if self.segments[index].free == u64::MAX {
                whole + 1
            } else {
                0
            };
            if whole == wanted {
                return Some((index + 1 - wanted) * SEGMENT_PAGES);
            }
        }
        None
    }

    fn grow(&mut self) -> Option<usize> {
        let index = self.segments.len();
        if index == self.limit {
            return None;
        }
        self.segments.push(Segment {
            free: u64::MAX,
            dirty: 0,
            longest: 0,
        });
        if index.is_multiple_of(GROUP) {
            self.longest_of_group.push(0);
        }
        self.refresh(index);
        Some(index)
    }

    /// Brings the longest runs up to date after a change of a segment's map.
    fn refresh(&mut self, index: usize) {
        let old = self.segments[index].longest;
        let new = longest_run(self.segments[index].free);
        self.segments[index].longest = new;
        let group = index / GROUP;
        if new >= self.longest_of_group[group] {
            self.longest_of_group[group] = new;
        } else if old == self.longest_of_group[group] {
            let end = self.segments.len().min((group + 1) * GROUP);
            let longest = self.segments[group * GROUP..end]
                .iter()
                .map(|segment| segment.longest)
                .max();
            self.longest_of_group[group] = longest.expect("a group has a segment");
        }
    }
}

/// A run's part of each segment it touches.
fn parts(span: Span) -> impl Iterator<Item = (usize, u64)> {
    let end = span.first + span.pages;
    let mut at = span.first;
    std::iter::from_fn(move || {
        if at == end {
            return None;
        }
        let (index, bit) = (at / SEGMENT_PAGES, at % SEGMENT_PAGES);
        let pages = (SEGMENT_PAGES - bit).min(end - at);
        at += pages;
        Some((index, mask(bit, pages)))
    })
}

fn mask(bit: usize, pages: usize) -> u64 {
    (u64::MAX >> (SEGMENT_PAGES - pages)) << bit
}

/// The lowest run of `pages` set bits: each step keeps the bits at which a run twice as long starts.
fn first_run(mut bits: u64, pages: usize) -> Option<usize> {
    let mut length = 1;
    while length < pages {
        let step = length.min(pages - length);
        bits &= bits >> step;
        length += step;
    }
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}

fn longest_run(mut bits: u64) -> u8 {
    if bits == u64::MAX {
        return SEGMENT_PAGES as u8;
    }
    let mut length = 0;
    while bits != 0 {
        bits &= bits << 1;
        length += 1;
    }
    length
}
