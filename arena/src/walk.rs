//! Walks over every block of an arena: by owner, by call site, and for what scripts left behind. Rare,
//! and never part of a message's path. Called by `arena` and `scripts`.
//!
//! The pool's lock is held over one segment at a time. Pages change their use only under it, so every word that is read
//! is a header's; the blocks themselves come and go meanwhile.

use std::collections::HashMap;

use crate::block::{Block, Snapshot};
use crate::core::Core;
use crate::layout::{PAGE_BYTES, SEGMENT_PAGES};
use crate::page::Shape;
use crate::sites::{self, CallSite};
use crate::sync::plain::Ordering;

/// Bytes of live blocks by owner, largest first.
pub(crate) fn bytes_by_owner(core: &'static Core) -> Vec<(u32, usize)> {
    let mut owners: HashMap<u32, usize> = HashMap::new();
    each_live(core, |_, word, bytes| {
        *owners.entry(word.owner()).or_default() += bytes
    });
    let mut owners: Vec<_> = owners.into_iter().collect();
    owners.sort_unstable_by_key(|&(owner, bytes)| (std::cmp::Reverse(bytes), owner));
    owners
}

/// Live blocks by the line that loaned them, most bytes first; empty in a release build.
pub(crate) fn call_sites(core: &'static Core) -> Vec<CallSite> {
    let mut numbers: HashMap<u16, (usize, usize)> = HashMap::new();
    each_live(core, |block, _, total| {
        // Relaxed: for information.
        let (blocks, bytes) = numbers
            .entry(block.header().site.load(Ordering::Relaxed))
            .or_default();
        *blocks += 1;
        *bytes += total;
    });
    let known = |(number, (blocks, bytes))| {
        Some(CallSite {
            location: sites::location(number)?,
            blocks,
            bytes,
        })
    };
    let mut sites: Vec<CallSite> = numbers.into_iter().filter_map(known).collect();
    sites.sort_unstable_by_key(|site| (std::cmp::Reverse(site.bytes), site.location.line()));
    sites
}

/// Every block with this word.
pub(crate) fn blocks_with(core: &'static Core, wanted: Snapshot) -> Vec<Block> {
    let mut blocks = Vec::new();
    each_live(core, |block, word, _| {
        if word == wanted {
            blocks.push(block);
        }
    });
    blocks
}

/// Shows every live block, with its word and size.
fn each_live(core: &'static Core, mut show: impl FnMut(Block, Snapshot, usize)) {
    let mut show_at = |page: usize, granule: u16, bytes: usize| {
        let block = core.block_at(page, granule);
        let word = block.header().word.snapshot();
        if word.is_live() {
            show(block, word, bytes);
        }
    };
    let pool = core.pool();
    let mut first = 0;
    loop {
        let inner = pool.lock();
        if first >= pool.grown_pages(&inner) {
            return;
        }
        for page in first..first + SEGMENT_PAGES {
            match core.page(page).meta().shape() {
                Shape::Unused => {}
                Shape::Large { pages } => show_at(page, 0, pages as usize * PAGE_BYTES),
                Shape::Small { class, ready } => {
                    (0..ready).for_each(|index| show_at(page, index * class.granules(), class.block_bytes()));
                }
            }
        }
        drop(inner);
        first += SEGMENT_PAGES;
    }
}
