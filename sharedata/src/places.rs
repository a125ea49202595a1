//! Tables by number, for a reader that can keep numbers only, such as a script.

use rustc_hash::FxHashMap;

use crate::block::Link;
use crate::error::Damaged;
use crate::image::Image;
use crate::key::KeyRef;
use crate::node::{Node, Slot};
use crate::run::Run;
use crate::table::Table;
use crate::value::Value;

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
    known: FxHashMap<usize, u32>,
    /// What the number of the first of `blocks` is.
    first: u32,
    /// The block asked for last, by its address: most tables of a block are touched one after the other.
    last: (usize, u32),
    /// Where the last walk is.
    walk: Option<Walk>,
}

/// Where a walk over a table is: the run of entries that it looks at, which is kept by itself.
struct Walk {
    table: Place,
    block: Link,
    at: u32,
    links: u32,
    first: u64,
    end: u64,
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
            known: FxHashMap::default(),
            first: 0,
            last: (0, 0),
            walk: None,
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
        self.walk = None;
        self.image = image;
    }

    /// The number of the table at the top; none when there are no numbers any more.
    ///
    /// # Errors
    /// As for [`Image::table`].
    pub fn root(&mut self) -> Result<Option<Place>, Damaged> {
        let spot = self.spot(self.image.table()?.0);
        Ok(self.number(spot))
    }

    /// What a table of this image has under a key. A table found there is not looked at yet.
    ///
    /// # Errors
    /// When its block is damaged.
    #[inline]
    pub fn find<'p>(&'p self, table: Table<'p>, key: KeyRef<'_>) -> Result<Option<Found<'p>>, Damaged> {
        Ok(match table.peek(key)? {
            Slot::Node(inner) => Some(Found::Table(self.spot(inner))),
            scalar => Value::scalar(scalar).map(Found::Scalar),
        })
    }

    fn spot(&self, node: Node<'_>) -> Spot {
        let Node { block, at, links } = node;
        let address = block.bytes.as_ptr().addr();
        let known = match self.last {
            (last, number) if last == address => Some(number),
            _ => self.known.get(&address).copied(),
        };
        Spot {
            first: self.first,
            address,
            at,
            links,
            is_one: node.is_one(),
            block: known.ok_or_else(|| block.link()),
        }
    }

    /// The number of a table; none when it cannot have one: numbers are exhausted after 2^30 blocks. None also when another image
    /// has taken the place of the table's.
    pub fn number(&mut self, spot: Spot) -> Option<Place> {
        if spot.first != self.first {
            return None;
        }
        let number = match spot.block {
            Ok(known) => known,
            Err(block) => {
                let next = u32::try_from(self.blocks.len()).ok()?;
                let number = *self.known.entry(spot.address).or_insert(next);
                if number == next {
                    self.blocks.push(block);
                }
                number
            }
        };
        self.last = (spot.address, number);
        let block = u64::from(self.first) + u64::from(number);
        let (at, links) = (u64::from(spot.at), u64::from(spot.links));
        (at >> AT_BITS == 0 && links >> LINKS_BITS == 0 && block >> BLOCK_BITS == 0)
            .then(|| (at | links << AT_BITS | block << (AT_BITS + LINKS_BITS)).cast_signed())
    }

    /// The table with this number; none when the number is of an image before, or of nothing.
    ///
    /// # Errors
    /// When its block is damaged, or the number was never given out.
    #[inline]
    pub fn table(&self, place: Place) -> Option<Result<Table<'_>, Damaged>> {
        let bits = place.cast_unsigned();
        let block = (bits >> (AT_BITS + LINKS_BITS)) as u32;
        let link = self.blocks.get(block.checked_sub(self.first)? as usize)?;
        let node = link.block().map(|block| Node {
            block,
            at: (bits & ((1 << AT_BITS) - 1)) as u32,
            links: (bits >> AT_BITS & ((1 << LINKS_BITS) - 1)) as u32,
        });
        Some(node.and_then(Table::at))
    }

    /// The first entry of a table at this place or behind it, as [`Table::nth`] counts. None when there is none, and when the table's
    /// number is stale. Made for walks: a step after another looks at one node.
    ///
    /// # Errors
    /// As for [`Places::table`].
    pub fn next_entry(&mut self, table: Place, from: u64) -> Result<Option<Step<'_>>, Damaged> {
        let mut place = from;
        loop {
            let walk = match &self.walk {
                Some(walk) if walk.table == table && (walk.first..walk.end).contains(&place) => walk,
                _ => {
                    let Some(table_at) = self.table(table) else {
                        return Ok(None);
                    };
                    let Some(run) = table_at?.run(place)? else {
                        return Ok(None);
                    };
                    let walk = Walk::new(table, run)?;
                    self.walk.insert(walk)
                }
            };
            let run = walk.run()?;
            while place < walk.end && run.is_hole(place)? {
                place += 1;
            }
            if place < walk.end {
                break;
            }
        }
        let Some(walk) = &self.walk else { return Ok(None) };
        let run = walk.run()?;
        let value = match run.peek(place)? {
            Slot::Node(inner) => Some(Found::Table(self.spot(inner))),
            scalar => Value::scalar(scalar).map(Found::Scalar),
        };
        let key = run.key(place)?;
        Ok(value.map(|value| Step { place, key, value }))
    }
}

/// What a reader has found.
#[derive(Debug)]
pub enum Found<'a> {
    /// No table.
    Scalar(Value<'a>),
    /// A table, which [`Places::number`] makes a number of.
    Table(Spot),
}

/// Where a table is, on its way to a number of the image that it is from.
pub struct Spot {
    /// The number of the image's first block.
    first: u32,
    address: usize,
    at: u32,
    links: u32,
    is_one: bool,
    /// The number of its block less `first`, or the block if it has none yet.
    block: Result<u32, Link>,
}

impl Spot {
    /// Whether the table has an [`identity`](Table::identity): its number stands for one and the same table, wherever it was found,
    /// while that of another may stand for several which are equal.
    #[inline]
    pub fn is_one(&self) -> bool {
        self.is_one
    }
}

/// An entry that a walk has come to.
#[derive(Debug)]
pub struct Step<'a> {
    /// Its place.
    pub place: u64,
    /// Its key.
    pub key: KeyRef<'a>,
    /// Its value.
    pub value: Found<'a>,
}

impl Walk {
    fn new(table: Place, run: Run<'_>) -> Result<Walk, Damaged> {
        Ok(Walk {
            table,
            block: run.node.block.link(),
            at: run.node.at,
            links: run.node.links,
            first: run.first,
            end: run.end()?,
        })
    }

    fn run(&self) -> Result<Run<'_>, Damaged> {
        let node = Node {
            block: self.block.block()?,
            at: self.at,
            links: self.links,
        };
        Ok(Run {
            node,
            first: self.first,
        })
    }
}

impl std::fmt::Debug for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spot")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places")
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}
