//! Blocks: who owns them, and how those of equal content become one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::Damaged;
use crate::file::Mapping;
use crate::object::Object;

/// An immutable run of nodes.
pub(crate) struct Block {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) links: Box<[Link]>,
    /// The store that knows it, and under which hash.
    store: Store,
    hash: u64,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.store.forget(self);
    }
}

/// A counted reference to a block, or to what is none.
#[derive(Clone)]
pub(crate) enum Link {
    Heap(Arc<Block>),
    /// A block of a mapped file, by its number.
    File(Arc<Mapping>, u32),
    Object(Object),
}

impl Link {
    /// # Errors
    /// When it lies in a file and turns out to be damaged, and when it is none.
    #[inline]
    pub(crate) fn block(&self) -> Result<BlockRef<'_>, Damaged> {
        match self {
            Link::Heap(block) => Ok(BlockRef {
                bytes: &block.bytes,
                source: Source::Heap(block),
            }),
            Link::File(mapping, number) => Mapping::block(mapping, *number),
            Link::Object(_) => Err(Damaged {
                block: 0,
                what: "no block where one must be",
            }),
        }
    }

    /// Enters this block and all that it refers to, with their sizes.
    pub(crate) fn count_bytes(&self, seen: &mut HashMap<(usize, u32), u64>) -> Result<(), Damaged> {
        // No recursion: a stranger's file may be one chain of blocks.
        let mut open = vec![self.clone()];
        while let Some(link) = open.pop() {
            if link.is_object() {
                continue;
            }
            let block = link.block()?;
            let links = block.link_count();
            let bytes = block.bytes.len() as u64 + links * size_of::<Link>() as u64;
            if seen.insert(link.identity(), bytes).is_none() {
                for inner in 0..links {
                    open.push(block.link_at(inner)?);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Link::Object(_))
    }

    /// A number that no other live block or object has.
    pub(crate) fn identity(&self) -> (usize, u32) {
        match self {
            Link::Heap(block) => (Arc::as_ptr(block).addr(), 0),
            Link::File(mapping, number) => (Arc::as_ptr(mapping).addr(), *number),
            Link::Object(object) => (object.identity(), 0),
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

    /// The object behind a link.
    pub(crate) fn object(self, link: u64) -> Result<&'a Object, Damaged> {
        match self.source {
            Source::Heap(block) => match block.links.get(link as usize) {
                Some(Link::Object(object)) => Ok(object),
                _ => Err(self.damaged("no object where one must be")),
            },
            Source::File(..) => Err(self.damaged("an object in a file")),
        }
    }

    /// The link itself: what it leads to is not looked at.
    pub(crate) fn link_at(self, link: u64) -> Result<Link, Damaged> {
        let found = match self.source {
            Source::Heap(block) => block.links.get(link as usize).cloned(),
            Source::File(mapping, number) => {
                let target = mapping.target(number, link)?;
                Some(Link::File(Arc::clone(mapping), target))
            }
        };
        found.ok_or_else(|| self.damaged("a link that is not there"))
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
pub struct Store(Arc<Shelves>);

/// The blocks that live, by a hash of their content, in so many maps that none grows for long under its lock. A block leaves its map
/// when it dies.
struct Shelves([Mutex<Shelf>; SHELVES]);

type Shelf = HashMap<u64, Weak<Block>>;

const SHELVES: usize = 256;

impl Default for Shelves {
    fn default() -> Shelves {
        Shelves(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    /// How many blocks live in memory, of all images of this store. A block whose hash another has is not counted.
    pub fn live_blocks(&self) -> usize {
        let shelves = &self.0.0;
        shelves.iter().map(|shelf| lock(shelf).len()).sum()
    }

    fn shelf(&self, hash: u64) -> MutexGuard<'_, Shelf> {
        lock(&self.0.0[(hash >> 32) as usize % SHELVES])
    }

    /// A block with this content: the one that lives already, if there is one.
    pub(crate) fn block(&self, bytes: Vec<u8>, links: Vec<Link>) -> Link {
        let hash = links.iter().fold(xxh3_64(&bytes), |hash, link| {
            let (address, number) = link.identity();
            xxh3_64_with_seed(&address.to_le_bytes(), hash ^ u64::from(number))
        });
        let fresh = Arc::new(Block {
            bytes: bytes.into_boxed_slice(),
            links: links.into_boxed_slice(),
            store: self.clone(),
            hash,
        });
        // A block that dies takes the lock: so none is dropped under it.
        let known = {
            let mut shelf = self.shelf(hash);
            let known = shelf.get(&hash).and_then(Weak::upgrade);
            if known.is_none() {
                shelf.insert(hash, Arc::downgrade(&fresh));
            }
            known
        };
        // Another content of the same hash stays unshared.
        let same = known.filter(|known| known.bytes == fresh.bytes && known.links == fresh.links);
        Link::Heap(same.unwrap_or(fresh))
    }

    /// A block has died.
    fn forget(&self, block: &Block) {
        let mut shelf = self.shelf(block.hash);
        // Another of the same hash may stand there, and may be newer.
        if shelf
            .get(&block.hash)
            .is_some_and(|known| std::ptr::eq(known.as_ptr(), block))
        {
            shelf.remove(&block.hash);
        }
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // Nothing that can panic runs under the lock.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
