//! The memory that a state made from an image begins in.
//!
//! What comes later lies elsewhere, but for what fits into a place that has become free: much of it is garbage soon, and would
//! leave gaps that no other state can use.
//!
//! # Invariants
//! 1. A word of the region is in use or in one free place.
//! 2. A free place is in the list of its class, and begins with a [`Link`].

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use super::WORD;
use super::shelves::Shelves;

/// One piece of memory, and the free places in it: lists by class of length, linked through the places themselves.
pub(crate) struct Region {
    base: NonNull<u64>,
    shelves: Arc<Shelves>,
    shelf: u32,
    /// Bit `n` is set when there are free places of class `n`.
    classes: u16,
    /// The length of all.
    words: u16,
    /// The first free place of each class; meaningless when there is none.
    first: [u16; CLASSES],
}

/// What a free place begins with.
#[derive(Clone, Copy)]
struct Link {
    /// The next of its class, if there is one.
    next: u16,
    words: u16,
    has_next: bool,
}

/// Places of one to fifteen words, and longer ones.
const CLASSES: usize = u16::BITS as usize;
const LONG: usize = CLASSES - 1;
/// How many long places are looked at for one that is long enough.
const MOST_TRIES: usize = 8;

impl Region {
    /// The place at `base` on a shelf, of which `used` words are.
    pub(super) fn new(base: NonNull<u64>, used: u16, shelves: Arc<Shelves>, shelf: u32) -> Region {
        let words = shelves.region_words();
        let mut region = Region {
            base,
            shelves,
            shelf,
            classes: 0,
            words,
            first: [0; CLASSES],
        };
        region.put(used, words - used);
        region
    }

    pub(super) fn base(&self) -> *mut u64 {
        self.base.as_ptr()
    }

    pub(crate) fn contains(&self, block: *mut c_void) -> bool {
        block.addr().wrapping_sub(self.base.addr().get()) < self.words as usize * WORD
    }

    /// A block, if there is a place for it.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<*mut c_void> {
        let place = self.take_place(u16::try_from(bytes.div_ceil(WORD)).ok()?)?;
        // SAFETY: (1).
        Some(unsafe { self.base.add(place as usize) }.as_ptr().cast())
    }

    fn take_place(&mut self, words: u16) -> Option<u16> {
        let class = class_of(words)?;
        let larger = self.classes >> class << class;
        // Every place of a class of one length will do; among the long ones, one of the first may.
        let (place, found) = match larger.trailing_zeros() as usize {
            LONG => self.unlink_long(words)?,
            class @ ..LONG => {
                let place = self.first[class];
                let link = self.read(place);
                self.unlink(class, link);
                (place, link.words)
            }
            _ => return None,
        };
        self.put(place + words, found - words);
        Some(place)
    }

    /// Takes a place of at least `words` out of the list of long ones.
    fn unlink_long(&mut self, words: u16) -> Option<(u16, u16)> {
        let mut place = self.first[LONG];
        let mut link = self.read(place);
        if link.words >= words {
            self.unlink(LONG, link);
            return Some((place, link.words));
        }
        for _ in 0..MOST_TRIES {
            if !link.has_next {
                return None;
            }
            let next = self.read(link.next);
            if next.words >= words {
                let found = link.next;
                self.write(
                    place,
                    Link {
                        words: link.words,
                        ..next
                    },
                );
                return Some((found, next.words));
            }
            (place, link) = (link.next, next);
        }
        None
    }

    /// The first place of a class is taken: the next one is its first.
    fn unlink(&mut self, class: usize, link: Link) {
        self.first[class] = link.next;
        if !link.has_next {
            self.classes &= !(1 << class);
        }
    }

    /// Adds a free place.
    fn put(&mut self, place: u16, words: u16) {
        let Some(class) = class_of(words) else { return };
        let link = Link {
            next: self.first[class],
            words,
            has_next: self.classes >> class & 1 == 1,
        };
        self.write(place, link);
        self.first[class] = place;
        self.classes |= 1 << class;
    }

    fn read(&self, place: u16) -> Link {
        // SAFETY: (2).
        unsafe { self.base.add(place as usize).cast::<Link>().read() }
    }

    fn write(&mut self, place: u16, link: Link) {
        // SAFETY: (1): a free place has a word at least and belongs to nobody.
        unsafe { self.base.add(place as usize).cast::<Link>().write(link) }
    }

    /// Takes the end of a block back, from byte `keep` on.
    #[inline(never)]
    pub(crate) fn give_back(&mut self, block: *mut c_void, bytes: usize, keep: usize) {
        let (words, keep) = (bytes.div_ceil(WORD) as u16, keep.div_ceil(WORD) as u16);
        let place = ((block.addr() - self.base.addr().get()) / WORD) as u16;
        self.put(place + keep, words - keep);
    }
}

/// The class of places of this length; none for none.
fn class_of(words: u16) -> Option<usize> {
    Some((words.checked_sub(1)? as usize).min(LONG))
}

impl Drop for Region {
    fn drop(&mut self) {
        self.shelves.give_back(self.shelf, self.base);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Take(usize),
        Free(usize),
        Shrink(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let size = prop_oneof![4 => 1_usize..200, 1 => 200_usize..3000];
        prop_oneof![
            3 => size.clone().prop_map(Step::Take),
            2 => any::<usize>().prop_map(Step::Free),
            1 => (any::<usize>(), size).prop_map(|(which, size)| Step::Shrink(which, size)),
        ]
    }

    /// Blocks with what has been written into them.
    fn check(blocks: &[(*mut c_void, usize, u8)]) {
        for &(block, bytes, mark) in blocks {
            // SAFETY: the block is in use.
            let content = unsafe { std::slice::from_raw_parts(block.cast::<u8>(), bytes) };
            assert!(
                content.iter().all(|&byte| byte == mark),
                "a block was overwritten"
            );
        }
    }

    proptest! {
        #[test]
        fn blocks_keep_what_is_written_into_them(steps in prop::collection::vec(step(), 1..300)) {
            let image = vec![u64::MAX; 100];
            let shelves = Shelves::for_words(1000).expect("short enough");
            let mut region = shelves.region(&image).expect("there is memory");
            let mut blocks = vec![(region.base().cast(), 800, 0xff)];
            for (mark, step) in (0..).map(|number| number as u8).zip(steps) {
                match step {
                    Step::Take(bytes) => {
                        if let Some(block) = region.take(bytes) {
                            prop_assert!(region.contains(block) && region.contains(block.wrapping_byte_add(bytes - 1)));
                            // SAFETY: the block is ours.
                            unsafe { block.cast::<u8>().write_bytes(mark, bytes) };
                            blocks.push((block, bytes, mark));
                        }
                    }
                    Step::Free(which) if !blocks.is_empty() => {
                        let (block, bytes, _) = blocks.swap_remove(which % blocks.len());
                        region.give_back(block, bytes, 0);
                    }
                    Step::Shrink(which, keep) if !blocks.is_empty() => {
                        let which = which % blocks.len();
                        let (block, bytes, _) = blocks[which];
                        if keep < bytes {
                            region.give_back(block, bytes, keep);
                            blocks[which].1 = keep;
                        }
                    }
                    _ => {}
                }
                check(&blocks);
            }
        }
    }

    #[test]
    fn free_places_are_used_again() {
        let shelves = Shelves::for_words(64).expect("short enough");
        let mut region = shelves.region(&[]).expect("there is memory");
        let all: Vec<_> = std::iter::from_fn(|| region.take(128)).collect();
        assert_eq!(all.len(), 64 / 16);
        for &block in &all {
            region.give_back(block, 128, 0);
        }
        let again: Vec<_> = std::iter::from_fn(|| region.take(8)).collect();
        assert_eq!(again.len(), 64);
    }
}
