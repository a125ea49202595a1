//! The trees of tables, taken apart: leaves, branches, arrays.

use crate::error::Damaged;
use crate::item::Item;
use crate::key::KeyRef;
use crate::layout::*;
use crate::node::Node;
use crate::write::reuse;

/// A `SMALL`, taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    node: Node<'a>,
    pub(crate) array: usize,
    pub(crate) entries: usize,
    pub(crate) len: usize,
}

impl<'a> Leaf<'a> {
    #[inline]
    pub(crate) fn at(node: Node<'a>) -> Result<Leaf<'a>, Damaged> {
        let len = node.len()?;
        let array = usize::from(node.aux()?);
        match len.checked_sub(array) {
            Some(rest) if rest % 2 == 0 => Ok(Leaf {
                node,
                array,
                entries: rest / 2,
                len,
            }),
            _ => Err(node.damaged("a wrong number of slots")),
        }
    }

    pub(crate) fn key(self, place: usize) -> Result<KeyRef<'a>, Damaged> {
        self.node.key(self.array + place, self.len)
    }

    /// The slot of a value.
    pub(crate) fn value(self, place: usize) -> usize {
        self.array + self.entries + place
    }

    /// Whether the values of both at a place are the same bytes: then they are equal.
    pub(crate) fn looks_like(self, other: Leaf<'_>, place: usize) -> Result<bool, Damaged> {
        let (slot, other_slot) = (self.value(place), other.value(place));
        self.node
            .slot_looks_like(slot, self.len, other.node, other_slot, other.len)
    }

    /// The value of an entry, to be put into another node.
    pub(crate) fn reuse(self, place: usize) -> Result<Item<'a>, Damaged> {
        reuse(self.node, self.value(place), self.len)
    }

    /// The place of a key. Its hash is computed when it is needed and not given.
    pub(crate) fn find(self, key: KeyRef<'_>, hash: Option<u64>) -> Result<Option<usize>, Damaged> {
        let keys = HEAD + self.len + self.array * 8;
        let payloads = self.node.bytes(keys, self.entries * 8)?;
        let tags = self.node.bytes(HEAD + self.array, self.entries)?;
        // What a slot looks like that has this key or may have it, and which of its bits say so.
        let (tag, wanted, bits) = match key {
            KeyRef::Integer(integer) => (INTEGER, integer.cast_unsigned(), u64::MAX),
            KeyRef::Text(text) if text.len() <= MAX_SHORT => {
                let mut bytes = [0; 8];
                bytes[..text.len()].copy_from_slice(text);
                (SHORT + text.len() as u8, u64::from_le_bytes(bytes), u64::MAX)
            }
            KeyRef::Text(text) if text.len() < OWN_BLOCK_BYTES => {
                let mark = text_mark(text.len(), hash.unwrap_or_else(|| key.hash()));
                (TEXT, u64::from(mark) << 32, u64::MAX << 32)
            }
            KeyRef::Text(_) => (LINK, 0, 0),
        };
        for (place, (payload, found)) in payloads.chunks_exact(8).zip(tags).enumerate() {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(payload);
            if u64::from_le_bytes(bytes) & bits == wanted
                && *found == tag
                && (bits == u64::MAX || self.key(place)? == key)
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}

/// A `BRANCH`, taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Branch<'a> {
    node: Node<'a>,
    len: usize,
    pub(crate) depth: u8,
    pub(crate) bitmap: u64,
}

impl<'a> Branch<'a> {
    #[inline]
    pub(crate) fn at(node: Node<'a>) -> Result<Branch<'a>, Damaged> {
        let len = node.len()?;
        let depth = node.aux()?;
        let bitmap = node.count(BRANCH_BITMAP, len)?;
        if depth >= MAX_HASH_DEPTH
            || bitmap >= 1 << (1 << HASH_BITS)
            || bitmap.count_ones() as usize * 2 + BRANCH_COUNTS != len
        {
            return Err(node.damaged("a branch that cannot be"));
        }
        Ok(Branch {
            node,
            len,
            depth,
            bitmap,
        })
    }

    /// How many trees it has.
    pub(crate) fn len(self) -> usize {
        (self.len - BRANCH_COUNTS) / 2
    }

    /// Which of its trees has this digit, or would come after those with smaller ones.
    pub(crate) fn place(self, digit: u32) -> usize {
        (self.bitmap & ((1 << digit) - 1)).count_ones() as usize
    }

    pub(crate) fn has(self, digit: u32) -> bool {
        self.bitmap & 1 << digit != 0
    }

    /// The digits that it has trees for, in order.
    pub(crate) fn digits(self) -> impl Iterator<Item = u32> {
        (0..1u32 << HASH_BITS).filter(move |digit| self.has(*digit))
    }

    /// A tree, which is a branch further down or a leaf.
    #[inline]
    pub(crate) fn tree(self, place: usize) -> Result<Node<'a>, Damaged> {
        let tree = self.node.child(self.slot(place), self.len)?;
        match tree.kind()? {
            SMALL if tree.aux()? == 0 => Ok(tree),
            BRANCH if tree.aux()? == self.depth + 1 => Ok(tree),
            _ => Err(tree.damaged("no hash tree where one must be")),
        }
    }

    fn slot(self, place: usize) -> usize {
        BRANCH_COUNTS + self.len() + place
    }

    /// Whether a tree and one of another branch are the same bytes and blocks: then they are equal.
    pub(crate) fn looks_like(self, place: usize, other: Branch<'_>, at: usize) -> Result<bool, Damaged> {
        let (slot, other_slot) = (self.slot(place), other.slot(at));
        self.node
            .slot_looks_like(slot, self.len, other.node, other_slot, other.len)
    }

    /// A tree, to be put into another node, and how many entries it has: nothing of it is looked at.
    pub(crate) fn reuse(self, place: usize) -> Result<(Item<'a>, u64), Damaged> {
        let item = reuse(self.node, self.slot(place), self.len)?;
        let count = self
            .count_before(place + 1)?
            .checked_sub(self.count_before(place)?);
        Ok((
            item,
            count.ok_or_else(|| self.node.damaged("a wrong number of entries"))?,
        ))
    }

    /// How many entries the trees before this place have.
    pub(crate) fn count_before(self, place: usize) -> Result<u64, Damaged> {
        match place {
            0 => Ok(0),
            _ if place > self.len() => Err(self.node.damaged("a wrong number of entries")),
            _ => self.node.count(BRANCH_COUNTS + place - 1, self.len),
        }
    }
}

/// The level of an array tree.
pub(crate) fn array_level(tree: Node<'_>) -> Result<u8, Damaged> {
    match (tree.kind()?, tree.aux()?) {
        (ARRAY, level) if level < MAX_LEVEL => Ok(level),
        _ => Err(tree.damaged("no array where one must be")),
    }
}

/// A child of an array tree of this level, which is above 0.
pub(crate) fn array_child(tree: Node<'_>, level: u8, slot: usize) -> Result<Node<'_>, Damaged> {
    let child = tree.child(slot, tree.len()?)?;
    match array_level(child)? + 1 == level {
        true => Ok(child),
        false => Err(child.damaged("no array where one must be")),
    }
}

/// Which child of an array tree of this level leads to a place.
pub(crate) fn array_slot(place: u64, level: u8) -> usize {
    (place >> (ARRAY_BITS * u32::from(level))) as usize & (ARRAY_LEN - 1)
}
