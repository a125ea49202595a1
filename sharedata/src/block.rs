//! Blocks: who owns them, and how those of equal content become one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::Damaged;
use crate::file::Mapping;

/// An immutable run of nodes.
pub(crate) struct Block {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) links: Box<[Link]>,
}

/// A counted reference to a block.
#[derive(Clone)]
pub(crate) enum Link {
    Heap(Arc<Block>),
    /// A block of a mapped file, by its number.
    File(Arc<Mapping>, u32),
}

impl Link {
    /// # Errors
    /// When it lies in a file and turns out to be damaged.
    #[inline]
    pub(crate) fn block(&self) -> Result<BlockRef<'_>, Damaged> {
        match self {
            Link::Heap(block) => Ok(BlockRef {
                bytes: &block.bytes,
                source: Source::Heap(block),
            }),
            Link::File(mapping, number) => Mapping::block(mapping, *number),
        }
    }

    /// Enters this block and all that it refers to, with their sizes.
    pub(crate) fn count_bytes(&self, seen: &mut HashMap<(usize, u32), u64>) -> Result<(), Damaged> {
        let block = self.block()?;
        let links = block.link_count();
        let bytes = block.bytes.len() as u64 + links * size_of::<Link>() as u64;
        if seen.insert(self.identity(), bytes).is_none() {
            for link in 0..links {
                block.follow(link)?.link().count_bytes(seen)?;
            }
        }
        Ok(())
    }

    /// A number that no other live block has.
    pub(crate) fn identity(&self) -> (usize, u32) {
        match self {
            Link::Heap(block) => (Arc::as_ptr(block).addr(), 0),
            Link::File(mapping, number) => (Arc::as_ptr(mapping).addr(), *number),
        }
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Link) -> bool {
        self.identity() == other.identity()
    }
}

/// A borrowed block.
#[derive(Clone, Copy)]
pub(crate) struct BlockRef<'a> {
    pub(crate) bytes: &'a [u8],
    source: Source<'a>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Heap(&'a Arc<Block>),
    File(&'a Arc<Mapping>, u32),
}

impl<'a> BlockRef<'a> {
    pub(crate) fn of_file(mapping: &'a Arc<Mapping>, number: u32, bytes: &'a [u8]) -> BlockRef<'a> {
        BlockRef {
            bytes,
            source: Source::File(mapping, number),
        }
    }

    /// The block behind a link.
    #[inline]
    pub(crate) fn follow(self, link: u64) -> Result<BlockRef<'a>, Damaged> {
        match self.source {
            Source::Heap(block) => match block.links.get(link as usize) {
                Some(link) => link.block(),
                None => Err(self.damaged("a link that is not there")),
            },
            Source::File(mapping, number) => mapping.follow(number, link),
        }
    }

    pub(crate) fn link_count(self) -> u64 {
        match self.source {
            Source::Heap(block) => block.links.len() as u64,
            Source::File(mapping, number) => mapping.link_count(number),
        }
    }

    /// A counted reference to this block.
    pub(crate) fn link(self) -> Link {
        match self.source {
            Source::Heap(block) => Link::Heap(Arc::clone(block)),
            Source::File(mapping, number) => Link::File(Arc::clone(mapping), number),
        }
    }

    pub(crate) fn damaged(self, what: &'static str) -> Damaged {
        let block = match self.source {
            Source::Heap(_) => 0,
            Source::File(_, number) => number,
        };
        Damaged { block, what }
    }

    pub(crate) fn is(self, other: BlockRef<'_>) -> bool {
        std::ptr::eq(self.bytes, other.bytes)
    }
}

/// Makes images, and keeps one copy of what is equal in them: blocks of a new image that an earlier one has are shared.
///
/// A clone is another handle to the same store. Images outlive the store.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<Known>>);

/// The blocks that live, by a hash of their content.
#[derive(Default)]
struct Known {
    blocks: HashMap<u64, Weak<Block>>,
    /// When so many are known, those that have died are forgotten.
    limit: usize,
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    /// How many blocks live in memory, of all images of this store.
    pub fn live_blocks(&self) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .blocks
            .values()
            .filter(|block| block.strong_count() > 0)
            .count()
    }

    /// A block with this content: the one that lives already, if there is one.
    pub(crate) fn block(&self, bytes: Vec<u8>, links: Vec<Link>) -> Link {
        let hash = links.iter().fold(xxh3_64(&bytes), |hash, link| {
            let (address, number) = link.identity();
            xxh3_64_with_seed(&address.to_le_bytes(), hash ^ u64::from(number))
        });
        // Nothing that can panic runs under the lock; a block that dies here has died before.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = known.blocks.get(&hash).and_then(Weak::upgrade) {
            // Another content of the same hash stays unshared.
            if *block.bytes == *bytes && *block.links == *links {
                return Link::Heap(block);
            }
        }
        let block = Arc::new(Block {
            bytes: bytes.into_boxed_slice(),
            links: links.into_boxed_slice(),
        });
        known.blocks.insert(hash, Arc::downgrade(&block));
        if known.blocks.len() > known.limit {
            known.blocks.retain(|_, block| block.strong_count() > 0);
            known.limit = known.blocks.len() * 2 + 64;
        }
        Link::Heap(block)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
