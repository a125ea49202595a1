//! Where regions come from: mappings that hold several side by side, because what an allocator would round up for each is
//! most of a page.
//!
//! A mapping is made with its pages present: a page fault costs more than the rest of making a copy.

use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::{MmapOptions, MmapRaw};

use super::WORD;
use super::draft::SKEW_BYTES;
use super::region::Region;

/// Memory for regions: taken from the system a shelf at a time, and given back when a shelf is empty.
pub(super) struct Shelves {
    region_words: u16,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    /// By number; a number whose shelf is gone is used again.
    shelves: Vec<Option<Shelf>>,
    vacant: Vec<u32>,
    /// Shelves with a free place. The first one is filled first, so that the last ones become empty.
    with_room: BTreeSet<u32>,
}

struct Shelf {
    memory: MmapRaw,
    /// A bit for each place.
    free: u8,
}

/// A region begins at a multiple of this.
const ALIGNMENT: usize = SKEW_BYTES;
const PLACES: usize = u8::BITS as usize;

impl Shelves {
    /// Shelves for regions of at least `words`. None when that is too long for a region.
    pub(super) fn for_words(words: usize) -> Option<Arc<Shelves>> {
        let region_words = (words * WORD).next_multiple_of(ALIGNMENT) / WORD;
        Some(Arc::new(Shelves {
            region_words: u16::try_from(region_words).ok()?,
            content: Mutex::default(),
        }))
    }

    pub(super) fn region_words(&self) -> u16 {
        self.region_words
    }

    /// A region that begins with these words. None when there is no memory.
    pub(super) fn region(self: &Arc<Self>, words: &[u64]) -> Option<Region> {
        let used = u16::try_from(words.len())
            .ok()
            .filter(|&used| used <= self.region_words)?;
        let (shelf, base) = self.take()?;
        // SAFETY: the place is ours and not shorter than what is copied.
        unsafe {
            base.as_ptr()
                .copy_from_nonoverlapping(words.as_ptr(), words.len());
        }
        Some(Region::new(base, used, Arc::clone(self), shelf))
    }

    fn take(&self) -> Option<(u32, NonNull<u64>)> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match content.with_room.first() {
            Some(&number) => number,
            None => self.add_shelf(&mut content)?,
        };
        let shelf = content.shelves[number as usize].as_mut()?;
        let place = shelf.free.trailing_zeros() as usize;
        shelf.free &= shelf.free - 1;
        let bytes = self.region_words as usize * WORD;
        // SAFETY: the place lies on the shelf.
        let base = unsafe { NonNull::new_unchecked(shelf.memory.as_mut_ptr().add(place * bytes)) }.cast();
        if shelf.free == 0 {
            content.with_room.remove(&number);
        }
        Some((number, base))
    }

    fn add_shelf(&self, content: &mut Content) -> Option<u32> {
        let shelf = Some(Shelf::new(self.region_words as usize * WORD)?);
        let number = match content.vacant.pop() {
            Some(number) => {
                content.shelves[number as usize] = shelf;
                number
            }
            None => {
                content.shelves.push(shelf);
                content.shelves.len() as u32 - 1
            }
        };
        content.with_room.insert(number);
        Some(number)
    }

    /// The region at `base` on this shelf is no longer used.
    pub(super) fn give_back(&self, number: u32, base: NonNull<u64>) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shelf) = content.shelves[number as usize].as_mut() else {
            return;
        };
        let offset = base.addr().get() - shelf.memory.as_ptr().addr();
        shelf.free |= 1 << (offset / (self.region_words as usize * WORD));
        let is_empty = shelf.free == u8::MAX;
        content.with_room.insert(number);
        // The only one with room stays: services come and go.
        if is_empty && content.with_room.len() > 1 {
            content.with_room.remove(&number);
            content.shelves[number as usize] = None;
            content.vacant.push(number);
        }
    }
}

impl Shelf {
    /// A shelf of free places. None when there is no memory.
    fn new(place_bytes: usize) -> Option<Shelf> {
        let memory = MmapOptions::new()
            .len(place_bytes * PLACES)
            .populate()
            .map_anon()
            .ok()?;
        Some(Shelf {
            memory: memory.into(),
            free: u8::MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_apart_and_empty_shelves_go() {
        let shelves = Shelves::for_words(4000).expect("short enough");
        let images: Vec<_> = (0..10 * PLACES as u64 + 1).map(|number| [number; 4000]).collect();
        let regions: Vec<_> = images
            .iter()
            .map(|image| shelves.region(image).expect("there is memory"))
            .collect();
        for (region, image) in regions.iter().zip(&images) {
            assert!(region.base().addr().is_multiple_of(ALIGNMENT));
            // SAFETY: the region begins with its image.
            assert_eq!(unsafe { std::slice::from_raw_parts(region.base(), 4000) }, image);
        }
        let count = || {
            let content = shelves.content.lock().expect("nobody has panicked");
            content.shelves.iter().flatten().count()
        };
        assert_eq!(count(), 11);
        drop(regions);
        assert_eq!(count(), 1);
    }

    #[test]
    fn the_lowest_shelf_is_filled_first() {
        let shelves = Shelves::for_words(100).expect("short enough");
        let mut regions: Vec<_> = (0..3 * PLACES)
            .map(|_| shelves.region(&[]).expect("there is memory"))
            .collect();
        regions.truncate(2 * PLACES);
        let freed = regions.swap_remove(1).base();
        assert_eq!(shelves.region(&[]).expect("there is memory").base(), freed);
    }
}
