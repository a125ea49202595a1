//! Tables by number, for a reader that can keep numbers only, such as a script.

use std::collections::HashMap;

use crate::block::Link;
use crate::error::Damaged;
use crate::image::Image;
use crate::node::Node;
use crate::table::Table;

/// The number of a table of one reader's image. Any number may be asked for: one that was never given out names some table of that
/// image, or none.
pub type Place = i64;

/// An image in the hands of one reader, and numbers for the tables that it has touched.
///
/// A number stays good for as long as the image; when another takes its place, all old numbers name nothing.
pub struct Places {
    image: Image,
    /// Blocks that tables were found in.
    blocks: Vec<Link>,
    /// Their numbers less `first`, by where they are.
    known: HashMap<usize, u32>,
    /// What the number of the first of `blocks` is.
    first: u32,
    /// The block asked for last, by its address: most tables of a block are touched one after the other.
    last: (usize, u32),
}

// A place: where in its block (18 bits), links of the block before its own (15), the block's number (30).
const AT_BITS: u32 = 18;
const LINKS_BITS: u32 = 15;
const BLOCK_BITS: u32 = 30;

impl Places {
    /// A reader of this image.
    pub fn new(image: Image) -> Places {
        Places {
            image,
            blocks: Vec::new(),
            known: HashMap::new(),
            first: 0,
            last: (0, 0),
        }
    }

    /// The image.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Puts another image in its place: every number given out so far is stale.
    pub fn replace(&mut self, image: Image) {
        self.first = self.first.saturating_add(self.blocks.len() as u32);
        self.blocks.clear();
        self.known.clear();
        self.last = (0, 0);
        self.image = image;
    }

    /// The number of a table of this image; none when it cannot have one: numbers are exhausted after 2^30 blocks.
    pub fn place(&mut self, table: Table<'_>) -> Option<Place> {
        let node = table.0;
        let (at, links) = (u64::from(node.at), u64::from(node.links));
        let block = self.block(node)?;
        (at >> AT_BITS == 0 && links >> LINKS_BITS == 0 && block >> BLOCK_BITS == 0)
            .then(|| (at | links << AT_BITS | block << (AT_BITS + LINKS_BITS)).cast_signed())
    }

    /// The number of the block that a node is in.
    fn block(&mut self, node: Node<'_>) -> Option<u64> {
        let address = node.block.bytes.as_ptr().addr();
        if self.last.0 != address {
            let next = u32::try_from(self.blocks.len()).ok()?;
            let number = *self.known.entry(address).or_insert(next);
            if number == next {
                self.blocks.push(node.block.link());
            }
            self.last = (address, number);
        }
        Some(u64::from(self.first) + u64::from(self.last.1))
    }

    /// The table with this number; none when the number is of an image before, or of nothing.
    pub fn table(&self, place: Place) -> Option<Held> {
        let bits = place.cast_unsigned();
        let block = (bits >> (AT_BITS + LINKS_BITS)) as u32;
        let link = self.blocks.get(block.checked_sub(self.first)? as usize)?;
        Some(Held {
            block: link.clone(),
            at: (bits & ((1 << AT_BITS) - 1)) as u32,
            links: (bits >> AT_BITS & ((1 << LINKS_BITS) - 1)) as u32,
        })
    }
}

/// A table that is kept by itself, whatever becomes of its image.
///
/// Shape: 24 bytes. It keeps its block, and what that refers to.
pub struct Held {
    block: Link,
    at: u32,
    links: u32,
}

impl Held {
    /// The table.
    ///
    /// # Errors
    /// When its block is damaged.
    pub fn table(&self) -> Result<Table<'_>, Damaged> {
        Table::at(Node {
            block: self.block.block()?,
            at: self.at,
            links: self.links,
        })
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places")
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.table().fmt(f)
    }
}
