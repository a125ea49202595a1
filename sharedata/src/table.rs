//! What readers see: tables and values, in place.

use std::collections::HashMap;

use crate::build::Item;
use crate::error::{Damaged, ReadError};
use crate::key::{KeyRef, lossy};
use crate::layout::*;
use crate::node::{Node, Slot};
use crate::write::reuse;

/// A value of an image, in place. Copying it copies nothing of the image.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A text of any bytes.
    Text(&'a [u8]),
    /// A table.
    Table(Table<'a>),
}

/// A table of an image, in place: an array part, whose keys are 1 to its length, and other entries.
///
/// Shape: 40 bytes, no allocation. Cost of a look-up: a scan of at most 32 keys, after a step for each power of 16 entries
/// of a large table.
#[derive(Clone, Copy)]
pub struct Table<'a>(pub(crate) Node<'a>);

impl<'a> Value<'a> {
    /// The value of a key of this table.
    ///
    /// # Errors
    /// When this is no table, when it has no such key, and when the image's file is damaged.
    pub fn get<'k>(self, key: impl Into<KeyRef<'k>>) -> Result<Value<'a>, ReadError> {
        let key = key.into();
        match self {
            Value::Table(table) => table.get(key),
            _ => Err(ReadError::NotATable(key.to_key())),
        }
    }

    /// The integer.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    /// The number, as a float.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Value::Integer(integer) => Some(integer as f64),
            Value::Float(float) => Some(float),
            _ => None,
        }
    }

    /// The boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Value::Boolean(boolean) => Some(boolean),
            _ => None,
        }
    }

    /// The bytes of the text.
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, when it is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        self.as_bytes().and_then(|text| std::str::from_utf8(text).ok())
    }

    /// The table.
    pub fn as_table(self) -> Option<Table<'a>> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    fn of(node: Node<'a>, slot: usize, len: usize) -> Result<Option<Value<'a>>, Damaged> {
        Ok(match node.slot(slot, len)? {
            Slot::Node(node) => Some(Value::Table(Table::at(node)?)),
            scalar => Value::scalar(scalar),
        })
    }

    /// What is in a slot, if it is a value and no table.
    #[inline]
    pub(crate) fn scalar(slot: Slot<'a>) -> Option<Value<'a>> {
        Some(match slot {
            Slot::Nil | Slot::Node(_) => return None,
            Slot::Boolean(boolean) => Value::Boolean(boolean),
            Slot::Integer(integer) => Value::Integer(integer),
            Slot::Float(float) => Value::Float(float),
            Slot::Text(text) => Value::Text(text),
        })
    }
}

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
        Entries {
            table: self,
            next: 0,
            run: None,
        }
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

    /// Whether both are the same place of the same block.
    pub(crate) fn is(self, other: Table<'_>) -> bool {
        self.0.is(other.0)
    }
}

impl std::fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Shown(Value::Table(*self), MAX_DEPTH).fmt(f)
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Shown(*self, MAX_DEPTH).fmt(f)
    }
}

/// A value to be printed, and how deep tables may be nested in it: a damaged image may have more.
struct Shown<'a>(Value<'a>, usize);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = match self.0 {
            Value::Boolean(boolean) => return boolean.fmt(f),
            Value::Integer(integer) => return integer.fmt(f),
            Value::Float(float) => return float.fmt(f),
            Value::Text(text) => return lossy(text).fmt(f),
            Value::Table(table) => table,
        };
        let Some(depth) = self.1.checked_sub(1) else {
            return f.write_str("nested too deep");
        };
        let mut map = f.debug_map();
        for entry in table.entries() {
            match entry {
                Ok((key, value)) => map.entry(&format_args!("{key}"), &Shown(value, depth)),
                Err(error) => map.entry(&"damaged", &error),
            };
        }
        map.finish()
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

/// Entries of a table that lie in one node, one place after the other.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) node: Node<'a>,
    /// The place of the first of them.
    pub(crate) first: u64,
}

impl<'a> Run<'a> {
    /// The place behind the last of them.
    pub(crate) fn end(self) -> Result<u64, Damaged> {
        let len = match self.node.kind()? {
            ARRAY => self.node.len()?,
            _ => {
                let leaf = Leaf::at(self.node)?;
                leaf.array + leaf.entries
            }
        };
        Ok(self.first + len as u64)
    }

    /// Whether nothing is at a place, which is one of the run.
    pub(crate) fn is_hole(self, place: u64) -> Result<bool, Damaged> {
        let (_, slot, len) = self.slot(place)?;
        Ok(self.node.raw(slot, len)?.0 == NIL)
    }

    /// The entry at a place, which is one of the run; none at a hole.
    fn entry(self, place: u64) -> Result<Option<(KeyRef<'a>, Value<'a>)>, Damaged> {
        match self.value(place)? {
            Some(value) => Ok(Some((self.key(place)?, value))),
            None => Ok(None),
        }
    }

    /// The key of a place, which is one of the run.
    pub(crate) fn key(self, place: u64) -> Result<KeyRef<'a>, Damaged> {
        match self.slot(place)? {
            (Some(key), _, len) => self.node.key(key, len),
            (None, ..) => Ok(KeyRef::Integer((place + 1).cast_signed())),
        }
    }

    /// What is at a place, which is one of the run, as it lies there.
    pub(crate) fn peek(self, place: u64) -> Result<Slot<'a>, Damaged> {
        let (_, slot, len) = self.slot(place)?;
        self.node.slot(slot, len)
    }

    /// The value at a place, which is one of the run; none at a hole.
    fn value(self, place: u64) -> Result<Option<Value<'a>>, Damaged> {
        let (_, slot, len) = self.slot(place)?;
        Value::of(self.node, slot, len)
    }

    /// Slots of the key, if it has one, and of the value at a place, and the number of all slots.
    fn slot(self, place: u64) -> Result<(Option<usize>, usize, usize), Damaged> {
        let nth = (place - self.first) as usize;
        if self.node.kind()? == ARRAY {
            return Ok((None, nth, self.node.len()?));
        }
        let leaf = Leaf::at(self.node)?;
        Ok(match nth.checked_sub(leaf.array) {
            Some(entry) => (Some(leaf.array + entry), leaf.value(entry), leaf.len),
            None => (None, nth, leaf.len),
        })
    }
}

/// The entries of a [`Table`].
#[derive(Clone)]
pub struct Entries<'a> {
    table: Table<'a>,
    next: u64,
    /// What the last entry was in, and where it ends.
    run: Option<(Run<'a>, u64)>,
}

impl<'a> Entries<'a> {
    /// The entry at the next place, none at a hole; ends behind the last place.
    fn step(&mut self) -> Result<Option<Option<(KeyRef<'a>, Value<'a>)>>, Damaged> {
        let run = match self.run {
            Some((run, end)) if self.next < end => run,
            _ => {
                let Some(run) = self.table.run(self.next)? else {
                    return Ok(None);
                };
                self.run = Some((run, run.end()?));
                run
            }
        };
        self.next += 1;
        run.entry(self.next - 1).map(Some)
    }
}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(KeyRef<'a>, Value<'a>), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Ok(None) => return None,
                Ok(Some(None)) => {}
                Ok(Some(Some(entry))) => return Some(Ok(entry)),
                Err(error) => {
                    // Nothing is read after damage.
                    self.next = u64::MAX;
                    self.run = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A `SMALL`, taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    node: Node<'a>,
    pub(crate) array: usize,
    pub(crate) entries: usize,
    len: usize,
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

    fn value(self, place: usize) -> usize {
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
    fn find(self, key: KeyRef<'_>, hash: Option<u64>) -> Result<Option<usize>, Damaged> {
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
