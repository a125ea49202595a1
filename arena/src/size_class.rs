//! Request length to size class, and a class's geometry inside a page. Pure tables; called by `core` and `heap`.
//!
//! Sizes are whole granules of 64 bytes: every 64 up to 512, then four steps per doubling up to 16 KiB, so a block
//! wastes at most a fifth. Anything larger takes pages of its own.

use crate::layout::{GRANULE_BYTES, PAGE_GRANULES};

/// Number of size classes.
pub(crate) const CLASSES: usize = 27;

/// Largest block, in granules, that comes from a class.
pub(crate) const MAX_SMALL_GRANULES: usize = 256;

/// Granules per block of each class.
const GRANULES: [u16; CLASSES] = [
    2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256,
];

/// A size class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class(u8);

impl Class {
    /// The smallest class that holds this many granules.
    ///
    /// # Panics
    /// Above `MAX_SMALL_GRANULES`.
    #[inline]
    pub(crate) fn for_granules(granules: usize) -> Class {
        Class(CLASS_OF[granules])
    }

    #[inline]
    pub(crate) fn from_index(index: u8) -> Class {
        debug_assert!((index as usize) < CLASSES);
        Class(index)
    }

    pub(crate) fn all() -> impl Iterator<Item = Class> {
        (0..CLASSES as u8).map(Class)
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    #[inline]
    pub(crate) fn granules(self) -> u16 {
        GRANULES[self.index()]
    }

    pub(crate) fn block_bytes(self) -> usize {
        self.granules() as usize * GRANULE_BYTES
    }

    /// Blocks in a page.
    #[inline]
    pub(crate) fn capacity(self) -> u16 {
        PAGE_GRANULES as u16 / self.granules()
    }

    /// Free blocks that make an unowned page worth loaning from again: an eighth, at least one.
    #[inline]
    pub(crate) fn threshold(self) -> u16 {
        (self.capacity() / 8).max(1)
    }

    /// Blocks that a page makes ready at a time: about 4 KiB, so a page is committed as it is used.
    pub(crate) fn batch(self) -> u16 {
        (64 / self.granules()).max(1)
    }

    /// The index of the block that starts at `granule` of its page; `None` for an interior granule.
    #[inline]
    pub(crate) fn block_at(self, granule: u16) -> Option<u16> {
        let index = (u32::from(granule) * RECIPROCAL[self.index()]) >> RECIPROCAL_SHIFT;
        (index as u16 * self.granules() == granule).then_some(index as u16)
    }
}

const RECIPROCAL_SHIFT: u32 = 20;

/// `ceil(2^20 / granules)`: exact for every granule of a page, which the test checks one by one.
const RECIPROCAL: [u32; CLASSES] = {
    let mut table = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        table[class] = (1u32 << RECIPROCAL_SHIFT).div_ceil(GRANULES[class] as u32);
        class += 1;
    }
    table
};

const CLASS_OF: [u8; MAX_SMALL_GRANULES + 1] = {
    let mut table = [0; MAX_SMALL_GRANULES + 1];
    let mut class = 0;
    let mut granules = 0;
    while granules <= MAX_SMALL_GRANULES {
        if granules > GRANULES[class] as usize {
            class += 1;
        }
        table[granules] = class as u8;
        granules += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_gets_the_smallest_class_that_holds_it() {
        for granules in 1..=MAX_SMALL_GRANULES {
            let class = Class::for_granules(granules);
            assert!(class.granules() as usize >= granules);
            if class.index() > 0 {
                assert!((GRANULES[class.index() - 1] as usize) < granules);
            }
        }
    }

    #[test]
    fn the_reciprocal_is_the_division() {
        for class in Class::all() {
            for granule in 0..PAGE_GRANULES as u16 {
                let expected = (granule % class.granules() == 0).then_some(granule / class.granules());
                assert_eq!(class.block_at(granule), expected, "{class:?} {granule}");
            }
        }
    }

    #[test]
    fn a_class_wastes_at_most_a_fifth() {
        for pair in GRANULES.windows(2).filter(|pair| pair[0] >= 8) {
            assert!(pair[1] - pair[0] - 1 <= pair[1] / 5 + 1, "{pair:?}");
        }
    }
}
