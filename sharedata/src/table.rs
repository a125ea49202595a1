//! Tables of an image, in place.

use std::collections::HashMap;

use crate::error::{Damaged, ReadError};
use crate::key::KeyRef;
use crate::layout::*;
use crate::node::{Node, Slot};
use crate::run::{Entries, Run};
use crate::tree::{Branch, Leaf, array_child, array_level, array_slot};
use crate::value::Value;

/// A table of an image, in place: an array part, whose keys are 1 to its length, and other entries.
///
/// Shape: 40 bytes, no allocation. Cost of a look-up: a scan of at most 32 keys, after a step for each power of 16 entries
/// of a large table.
#[derive(Clone, Copy)]
pub struct Table<'a>(pub(crate) Node<'a>);

impl<'a> Table<'a> {
    /// The table that this node is.
    pub(crate) fn at(node: Node<'a>) -> Result<Table<'a>, Damaged> {
        match node.kind()? {
            SMALL | WIDE => Ok(Table(node)),
            _ => Err(node.damaged("no table where one must be")),
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When there is none, and when the image's file is damaged.
    pub fn get<'k>(self, key: impl Into<KeyRef<'k>>) -> Result<Value<'a>, ReadError> {
        let key = key.into();
        self.find(key)?.ok_or_else(|| ReadError::Missing(key.to_key()))
    }

    /// The value of a key, or none.
    ///
    /// # Errors
    /// When the image's file is damaged.
    pub fn find<'k>(self, key: impl Into<KeyRef<'k>>) -> Result<Option<Value<'a>>, Damaged> {
        match self.seek::<false>(key.into())? {
            Some((node, slot, len, _)) => Value::of(node, slot, len),
            None => Ok(None),
        }
    }

    /// What is under a key, as it lies there.
    #[inline]
    pub(crate) fn peek(self, key: KeyRef<'_>) -> Result<Slot<'a>, Damaged> {
        match self.seek::<false>(key)? {
            Some((node, slot, len, _)) => node.slot(slot, len),
            None => Ok(Slot::Nil),
        }
    }

    /// How many entries come before that of this key, as [`nth`](Table::nth) counts; none when it has no place.
    ///
    /// # Errors
    /// When the image's file is damaged.
    pub fn position<'k>(self, key: impl Into<KeyRef<'k>>) -> Result<Option<u64>, Damaged> {
        Ok(self.seek::<true>(key.into())?.map(|(_, _, _, position)| position))
    }

    /// Where the value of a key is: node, slot, number of slots, and how many places come before, which takes looking at more of
    /// the branches.
    fn seek<const COUNT: bool>(
        self,
        key: KeyRef<'_>,
    ) -> Result<Option<(Node<'a>, usize, usize, u64)>, Damaged> {
        let array_len = self.array_len()?;
        if let KeyRef::Integer(number) = key
            && number >= 1
            && number.cast_unsigned() <= array_len
        {
            let place = number.cast_unsigned() - 1;
            let (node, slot, len) = self.array_place(place)?;
            return Ok(Some((node, slot, len, place)));
        }
        let mut node = self.0;
        let mut before = array_len;
        let mut known_hash = None;
        if node.kind()? == WIDE {
            if node.count(WIDE_HASH_LEN, WIDE_SLOTS)? == 0 {
                return Ok(None);
            }
            node = node.child(WIDE_HASH, WIDE_SLOTS)?;
            let hash = key.hash();
            known_hash = Some(hash);
            while node.kind()? == BRANCH {
                let branch = Branch::at(node)?;
                let digit = hash_digit(hash, branch.depth);
                if !branch.has(digit) {
                    return Ok(None);
                }
                let place = branch.place(digit);
                if COUNT {
                    before += branch.count_before(place)?;
                }
                node = branch.tree(place)?;
            }
            if node.kind()? != SMALL {
                return Err(node.damaged("no leaf where one must be"));
            }
        }
        let leaf = Leaf::at(node)?;
        let found = leaf.find(key, known_hash)?;
        Ok(found.map(|place| (node, leaf.value(place), leaf.len, before + place as u64)))
    }

    /// The length of the array part: its last value, if it has one, is there.
    ///
    /// # Errors
    /// When the image's file is damaged.
    pub fn array_len(self) -> Result<u64, Damaged> {
        match self.0.kind()? {
            WIDE => self.0.count(WIDE_ARRAY_LEN, WIDE_SLOTS),
            _ => Ok(Leaf::at(self.0)?.array.min(self.0.len()?) as u64),
        }
    }

    /// The number of places: the length of the array part, holes included, and the number of other entries.
    ///
    /// # Errors
    /// When the image's file is damaged.
    pub fn places(self) -> Result<u64, Damaged> {
        Ok(match self.0.kind()? {
            WIDE => self.array_len()? + self.0.count(WIDE_HASH_LEN, WIDE_SLOTS)?,
            _ => {
                let leaf = Leaf::at(self.0)?;
                (leaf.array + leaf.entries) as u64
            }
        })
    }

    /// The entry at a place from 0: the array part first. None at a hole and behind the last place.
    ///
    /// # Errors
    /// When the image's file is damaged.
    pub fn nth(self, place: u64) -> Result<Option<(KeyRef<'a>, Value<'a>)>, Damaged> {
        match self.run(place)? {
            Some(run) => run.entry(place),
            None => Ok(None),
        }
    }

    /// The run that a place is in; none behind the last place.
    pub(crate) fn run(self, place: u64) -> Result<Option<Run<'a>>, Damaged> {
        if place >= self.places()? {
            return Ok(None);
        }
        let run = self.run_of(place)?;
        match (run.first..run.end()?).contains(&place) {
            true => Ok(Some(run)),
            false => Err(self.0.damaged("a wrong number of entries")),
        }
    }

    fn run_of(self, place: u64) -> Result<Run<'a>, Damaged> {
        if self.0.kind()? != WIDE {
            return Ok(Run {
                node: self.0,
                first: 0,
            });
        }
        let array_len = self.array_len()?;
        if place < array_len {
            let (node, slot, _) = self.array_place(place)?;
            let first = place - slot as u64;
            return Ok(Run { node, first });
        }
        let mut node = self.0.child(WIDE_HASH, WIDE_SLOTS)?;
        let mut rest = place - array_len;
        while node.kind()? == BRANCH {
            let branch = Branch::at(node)?;
            let mut tree = 0;
            while branch.count_before(tree + 1)? <= rest {
                tree += 1;
            }
            rest -= branch.count_before(tree)?;
            node = branch.tree(tree)?;
        }
        Ok(Run {
            node,
            first: place - rest,
        })
    }

    /// All entries, the array part first.
    pub fn entries(self) -> Entries<'a> {
        Entries::of(self)
    }

    /// The bytes that it takes with all below it; what several places share counts once.
    ///
    /// Cost: a walk over all of it.
    ///
    /// # Errors
    /// When the image is damaged.
    pub fn bytes(self) -> Result<u64, Damaged> {
        let mut blocks = HashMap::new();
        let inside = bytes_inside(self.0, &mut blocks)?;
        Ok(inside + blocks.values().sum::<u64>())
    }

    /// Where a value of the array part is: node, slot, number of slots.
    fn array_place(self, place: u64) -> Result<(Node<'a>, usize, usize), Damaged> {
        if self.0.kind()? != WIDE {
            return Ok((self.0, place as usize, self.0.len()?));
        }
        let mut node = self.0.child(WIDE_ARRAY, WIDE_SLOTS)?;
        let mut level = array_level(node)?;
        if place >> (ARRAY_BITS * (u32::from(level) + 1)) > 0 {
            return Err(node.damaged("a wrong length of the array part"));
        }
        while level > 0 {
            node = array_child(node, level, array_slot(place, level))?;
            level -= 1;
        }
        Ok((node, array_slot(place, 0), node.len()?))
    }

    /// A number that no other table has while the image lives, wherever in the image it was found; none when
    /// [`Store::one`](crate::Store::one) has not made it: such tables may lie in one place for no other reason than that they are equal.
    pub fn identity(self) -> Option<usize> {
        self.0.is_one().then(|| self.0.address())
    }

    /// Whether both are the same place of the same block.
    pub(crate) fn is(self, other: Table<'_>) -> bool {
        self.0.is(other.0)
    }
}

/// The bytes of a node in its block; enters the blocks that it refers to.
fn bytes_inside(node: Node<'_>, blocks: &mut HashMap<(usize, u32), u64>) -> Result<u64, Damaged> {
    let len = node.len()?;
    let mut bytes = (HEAD + len * SLOT) as u64;
    for slot in 0..len {
        bytes += match (node.raw(slot, len)?, node.slot(slot, len)?) {
            ((TEXT, _), Slot::Text(text)) => text.len() as u64,
            ((LINK, payload), _) => {
                node.linked_block(payload)?.link().count_bytes(blocks)?;
                0
            }
            (_, Slot::Node(inner)) => bytes_inside(inner, blocks)?,
            _ => 0,
        };
    }
    Ok(bytes)
}
