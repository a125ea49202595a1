//! Comparing images. What two images share is not looked at, and what is shared within them not twice.

use std::collections::HashSet;

use crate::error::Damaged;
use crate::image::Image;
use crate::key::{Key, KeyRef};
use crate::layout::*;
use crate::node::{Node, Slot};
use crate::table::Table;
use crate::tree::{Branch, Leaf, array_child, array_level};
use crate::value::Value;

impl Image {
    /// The keys of the table at the top whose values differ in `old`, or are in one of both only.
    ///
    /// Cost: by the size of what differs, when one image was made from the other or in the same store.
    ///
    /// # Errors
    /// When one of the images is damaged.
    pub fn changed_keys(&self, old: &Image) -> Result<Vec<Key>, Damaged> {
        let mut changed = Vec::new();
        self.table()?.each_change(old.table()?, |key, _, _| {
            changed.push(key.to_key());
            Ok(())
        })?;
        Ok(changed)
    }
}

impl<'a> Table<'a> {
    /// Calls `tell` with each key whose value differs from that in `old`: the key, the old value, the new one.
    ///
    /// # Errors
    /// When one of the images is damaged, and what `tell` gives.
    pub fn each_change<E: From<Damaged>>(
        self,
        old: Table<'a>,
        mut tell: impl FnMut(KeyRef<'a>, Option<Value<'a>>, Option<Value<'a>>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.is(old) {
            return Ok(());
        }
        let mut differing = Vec::new();
        if let (Some((old_array, old_hash)), Some((array, hash))) = (trees(old)?, trees(self)?) {
            differing_array(old_array, array, 0, &mut differing)?;
            differing_hash(old_hash, hash, &mut differing)?;
        } else {
            let entries = self.entries().chain(old.entries());
            for entry in entries {
                differing.push(entry?.0);
            }
        }
        differing.sort_unstable();
        differing.dedup();
        let mut known = Known::default();
        for key in differing {
            let (before, now) = (old.find(key)?, self.find(key)?);
            let same = match (before, now) {
                (Some(before), Some(now)) => before.equals_below(now, MAX_DEPTH, &mut known)?,
                (None, None) => true,
                _ => false,
            };
            if !same {
                tell(key, before, now)?;
            }
        }
        Ok(())
    }

    /// Whether both have equal content. Integers and floats differ.
    ///
    /// # Errors
    /// When one of the images is damaged.
    pub fn equals(self, other: Table<'_>) -> Result<bool, Damaged> {
        self.equals_below(other, MAX_DEPTH, &mut Known::default())
    }

    fn equals_below(self, other: Table<'_>, depth: usize, known: &mut Known) -> Result<bool, Damaged> {
        if known.has(self.0, other.0) || self.0.looks_like(other.0)? {
            return Ok(true);
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.0.damaged("tables nested too deep"));
        };
        // Places do not tell: an array part may have holes.
        let mut entries = 0i64;
        for entry in self.entries() {
            let (key, value) = entry?;
            entries += 1;
            match other.find(key)? {
                Some(other) if value.equals_below(other, depth, known)? => {}
                _ => return Ok(false),
            }
        }
        for entry in other.entries() {
            entry?;
            entries -= 1;
        }
        if entries == 0 {
            known.insert(self.0, other.0);
        }
        Ok(entries == 0)
    }
}

impl Value<'_> {
    /// Whether both are equal. Integers and floats differ, and so do floats of different bits.
    ///
    /// # Errors
    /// When one of the images is damaged.
    pub fn equals(self, other: Value<'_>) -> Result<bool, Damaged> {
        self.equals_below(other, MAX_DEPTH, &mut Known::default())
    }

    fn equals_below(self, other: Value<'_>, depth: usize, known: &mut Known) -> Result<bool, Damaged> {
        Ok(match (self, other) {
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Object(a), Value::Object(b)) => a.is(b),
            (Value::Table(a), Value::Table(b)) => return a.equals_below(b, depth, known),
            _ => false,
        })
    }
}

/// Pairs of tables that were found equal, by their addresses. Without them two small files that refer to each of their tables twice
/// would be compared for ever. Only a block can be referred to more than once: pairs inside of blocks on both sides are not kept.
#[derive(Default)]
struct Known(HashSet<(usize, usize)>);

impl Known {
    fn pair(a: Node<'_>, b: Node<'_>) -> Option<(usize, usize)> {
        (a.is_own_block() || b.is_own_block()).then(|| (a.address(), b.address()))
    }

    fn has(&self, a: Node<'_>, b: Node<'_>) -> bool {
        Known::pair(a, b).is_some_and(|pair| self.0.contains(&pair))
    }

    fn insert(&mut self, a: Node<'_>, b: Node<'_>) {
        self.0.extend(Known::pair(a, b));
    }
}

/// Array tree and hash tree of a `WIDE`.
type Trees<'a> = (Slot<'a>, Slot<'a>);

fn trees(table: Table<'_>) -> Result<Option<Trees<'_>>, Damaged> {
    let node = table.0;
    Ok(match node.kind()? {
        WIDE => Some((
            node.slot(WIDE_ARRAY, WIDE_SLOTS)?,
            node.slot(WIDE_HASH, WIDE_SLOTS)?,
        )),
        _ => None,
    })
}

/// Adds the keys of two array trees that may differ. `first` is the place of their first value.
fn differing_array<'a>(
    old: Slot<'a>,
    new: Slot<'a>,
    first: u64,
    into: &mut Vec<KeyRef<'a>>,
) -> Result<(), Damaged> {
    let (old, new) = match (old, new) {
        (Slot::Node(old), Slot::Node(new)) => (old, new),
        (Slot::Node(node), _) | (_, Slot::Node(node)) => return gather_array(node, first, into),
        _ => return Ok(()),
    };
    if old.is(new) {
        return Ok(());
    }
    let level = array_level(new)?;
    if level == 0 || array_level(old)? != level {
        gather_array(old, first, into)?;
        return gather_array(new, first, into);
    }
    let (old_len, new_len) = (old.len()?, new.len()?);
    for slot in 0..old_len.max(new_len) {
        let old = (slot < old_len)
            .then(|| array_child(old, level, slot))
            .transpose()?;
        let new = (slot < new_len)
            .then(|| array_child(new, level, slot))
            .transpose()?;
        let as_slot = |node: Option<Node<'a>>| node.map_or(Slot::Nil, Slot::Node);
        differing_array(as_slot(old), as_slot(new), place_below(first, level, slot), into)?;
    }
    Ok(())
}

/// Adds all keys of an array tree.
fn gather_array<'a>(tree: Node<'a>, first: u64, into: &mut Vec<KeyRef<'a>>) -> Result<(), Damaged> {
    let level = array_level(tree)?;
    for slot in 0..tree.len()? {
        let place = place_below(first, level, slot);
        match level {
            0 => into.push(KeyRef::Integer(place.cast_signed() + 1)),
            _ => gather_array(array_child(tree, level, slot)?, place, into)?,
        }
    }
    Ok(())
}

/// The place of the first value below a slot: below 2^60, by the greatest level.
fn place_below(first: u64, level: u8, slot: usize) -> u64 {
    first + ((slot as u64 & (ARRAY_LEN as u64 - 1)) << (ARRAY_BITS * u32::from(level)))
}

/// Adds the keys of two hash trees that may differ.
fn differing_hash<'a>(old: Slot<'a>, new: Slot<'a>, into: &mut Vec<KeyRef<'a>>) -> Result<(), Damaged> {
    let (old, new) = match (old, new) {
        (Slot::Node(old), Slot::Node(new)) => (old, new),
        (Slot::Node(node), _) | (_, Slot::Node(node)) => return gather(node, into.len(), into),
        _ => return Ok(()),
    };
    if old.is(new) {
        return Ok(());
    }
    match (old.kind()?, new.kind()?) {
        (BRANCH, BRANCH) => {}
        (BRANCH, _) | (_, BRANCH) => {
            gather(old, into.len(), into)?;
            return gather(new, into.len(), into);
        }
        _ => return differing_leaf(Leaf::at(old)?, Leaf::at(new)?, into),
    }
    let (old, new) = (Branch::at(old)?, Branch::at(new)?);
    for digit in 0..1 << HASH_BITS {
        let places = (
            old.has(digit).then(|| old.place(digit)),
            new.has(digit).then(|| new.place(digit)),
        );
        if let (Some(before), Some(now)) = places
            && old.looks_like(before, new, now)?
        {
            continue;
        }
        let tree = |branch: Branch<'a>, place: Option<usize>| match place {
            Some(place) => branch.tree(place).map(Slot::Node),
            None => Ok(Slot::Nil),
        };
        differing_hash(tree(old, places.0)?, tree(new, places.1)?, into)?;
    }
    Ok(())
}

/// Adds the keys of two leaves, but for those that stand at the same place and have what lies there in the same bytes.
fn differing_leaf<'a>(old: Leaf<'a>, new: Leaf<'a>, into: &mut Vec<KeyRef<'a>>) -> Result<(), Damaged> {
    for place in 0..old.entries.max(new.entries) {
        if place >= old.entries {
            into.push(new.key(place)?);
        } else if place >= new.entries {
            into.push(old.key(place)?);
        } else {
            let keys = (old.key(place)?, new.key(place)?);
            if keys.0 != keys.1 || !old.looks_like(new, place)? {
                into.extend([keys.0, keys.1]);
            }
        }
    }
    Ok(())
}

/// Adds all keys of a hash tree, whose first one has this place in the list.
fn gather<'a>(tree: Node<'a>, first: usize, into: &mut Vec<KeyRef<'a>>) -> Result<(), Damaged> {
    if tree.kind()? == BRANCH {
        let branch = Branch::at(tree)?;
        for place in 0..branch.len() {
            gather(branch.tree(place)?, first, into)?;
        }
        return Ok(());
    }
    let leaf = Leaf::at(tree)?;
    for place in 0..leaf.entries {
        let key = leaf.key(place)?;
        // A damaged tree may be the same leaf many times over.
        if into[first..].last().is_some_and(|last| last.order(key).is_ge()) {
            return Err(tree.damaged("keys out of their order"));
        }
        into.push(key);
    }
    Ok(())
}
