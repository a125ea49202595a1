//! Changing one place: the nodes on the way there are copied, all others are shared.

use crate::block::Store;
use crate::build::{Tree, array_of, branch, tree_of, wide};
use crate::error::{BuildError, Damaged, PatchError};
use crate::image::Image;
use crate::item::Item;
use crate::items::{Entry, Items};
use crate::key::{Key, KeyRef};
use crate::layout::*;
use crate::node::{Node, Slot};
use crate::table::Table;
use crate::tree::{Branch, Leaf, array_child, array_level, array_slot};
use crate::value::Value;
use crate::write::{node, reuse, reuse_node, reuse_slots};

impl Image {
    /// The image in which the last key of `path` has another value, or none. This one stays as it is.
    ///
    /// Cost: a few kilobytes and some microseconds, however large the image is.
    ///
    /// # Errors
    /// When the path is empty, when it leads through something else than a table, and when the value cannot be built.
    pub fn patch(&self, path: &[Key], value: Option<Item<'_>>) -> Result<Image, PatchError> {
        let value = value.unwrap_or(Item::NIL);
        if path.len() + usize::from(value.depth()) > MAX_DEPTH {
            return Err(BuildError::TooDeep.into());
        }
        let root = Patch { store: self.store() }.table(self.table()?, path, value)?;
        let root = root.into_block(self.store()).ok_or(BuildError::NotATable)?;
        Ok(Image::new(self.store().clone(), root))
    }
}

/// One change at work.
struct Patch<'s> {
    store: &'s Store,
}

impl<'s> Patch<'s> {
    fn table<'a>(&self, table: Table<'a>, path: &'a [Key], value: Item<'a>) -> Result<Item<'a>, PatchError> {
        let (key, rest) = path.split_first().ok_or(PatchError::EmptyPath)?;
        let value = match rest {
            [] => value,
            _ => match table.find(key)? {
                Some(Value::Table(inner)) => self.table(inner, rest, value)?,
                _ => return Err(PatchError::NotATable(key.clone())),
            },
        };
        Ok(self.set(table, key.as_ref(), value)?)
    }

    /// The table with another value for this key.
    fn set<'a>(&self, table: Table<'a>, key: KeyRef<'a>, value: Item<'a>) -> Result<Item<'a>, BuildError> {
        let root = table.0;
        let exists = table.find(key)?.is_some();
        if value.is_nil() && !exists {
            return Ok(reuse_node(root)?);
        }
        let array_len = table.array_len()?;
        let hash_len = table.places()? - array_len;
        let change = Change::of(table, key, array_len, value.is_nil())?;
        let (new_array_len, new_hash_len) = match change {
            Change::Append(_) => (array_len + 1, hash_len),
            Change::Pop => (array_len - 1, hash_len),
            Change::Array(_) => (array_len, hash_len),
            Change::Hash => (
                array_len,
                hash_len + u64::from(!value.is_nil()) - u64::from(exists),
            ),
            Change::Join(number, count) => return self.join(table, number, count, value),
            Change::Rebuild => return self.rebuild(table, key, value),
        };
        let is_small = new_array_len.max(new_hash_len) <= SMALL_LEN as u64;
        if is_small || root.kind()? == SMALL {
            return self.rebuild(table, key, value);
        }
        let array = match (change, root.slot(WIDE_ARRAY, WIDE_SLOTS)?) {
            (Change::Array(place) | Change::Append(place), Slot::Node(tree)) => {
                self.array(tree, place, value)?
            }
            (Change::Append(_), _) => array_of(self.store, value)?,
            (Change::Pop, Slot::Node(tree)) => self.truncate(tree, new_array_len)?,
            (Change::Hash, _) => {
                let array = reuse(root, WIDE_ARRAY, WIDE_SLOTS)?;
                let hash = match root.slot(WIDE_HASH, WIDE_SLOTS)? {
                    Slot::Node(tree) => self.hash(tree, 0, key, value)?.0,
                    _ => tree_of(self.store, &mut [Entry::new(key, value)], 0)?,
                };
                return wide(self.store, array, hash, new_array_len, new_hash_len);
            }
            _ => return Err(root.damaged("no array where one must be").into()),
        };
        wide(
            self.store,
            array,
            reuse(root, WIDE_HASH, WIDE_SLOTS)?,
            new_array_len,
            new_hash_len,
        )
    }

    /// The table with a value behind its array part, and with the `count` entries in it that then continue it: they leave the hash
    /// tree one after the other, and come back behind the value.
    fn join<'a>(
        &self,
        table: Table<'a>,
        number: i64,
        count: i64,
        value: Item<'a>,
    ) -> Result<Item<'a>, BuildError> {
        let behind = number + 1..=number + count;
        let mut joined = self.image(reuse_node(table.0)?)?;
        for number in behind.clone() {
            joined = self.image(self.set(joined.table()?, KeyRef::Integer(number), Item::NIL)?)?;
        }
        joined = self.image(self.set(joined.table()?, KeyRef::Integer(number), value)?)?;
        for number in behind {
            let value = match table.find(number)? {
                Some(value) => reuse_value(value)?,
                None => Item::NIL,
            };
            joined = self.image(self.set(joined.table()?, KeyRef::Integer(number), value)?)?;
        }
        let root = joined.table()?.0.own_block();
        Ok(Item::linked(root.ok_or(BuildError::NotATable)?))
    }

    fn image(&self, table: Item<'_>) -> Result<Image, BuildError> {
        self.store.image_of(table)
    }

    /// The table with another value for this key, made anew from its entries.
    fn rebuild<'a>(
        &self,
        table: Table<'a>,
        key: KeyRef<'a>,
        value: Item<'a>,
    ) -> Result<Item<'a>, BuildError> {
        let mut items = Items::new();
        for place in 0..table.places()? {
            match table.nth(place)? {
                Some((key, value)) => items.insert(key, reuse_value(value)?),
                None => items.push(Item::NIL),
            }
        }
        items.insert(key, value);
        self.store.table(items)
    }

    /// The array tree with another value at a place, which is at most one behind its end.
    fn array<'a>(&self, tree: Node<'a>, place: u64, value: Item<'a>) -> Result<Item<'a>, BuildError> {
        let level = array_level(tree)?;
        if place >> (ARRAY_BITS * (u32::from(level) + 1)) > 0 {
            // The tree is full: it becomes the first of two.
            let mut second = value;
            for level in 0..=level {
                second = node(self.store, ARRAY, level, vec![second])?;
            }
            let first = reuse_node(tree)?;
            return node(self.store, ARRAY, level + 1, vec![first, second]);
        }
        self.array_below(tree, level, place, value)
    }

    fn array_below<'a>(
        &self,
        tree: Node<'a>,
        level: u8,
        place: u64,
        value: Item<'a>,
    ) -> Result<Item<'a>, BuildError> {
        let len = tree.len()?;
        let slot = array_slot(place, level);
        let item = match level {
            0 => value,
            _ if slot < len => self.array_below(array_child(tree, level, slot)?, level - 1, place, value)?,
            _ => {
                let mut item = value;
                for level in 0..level {
                    item = node(self.store, ARRAY, level, vec![item])?;
                }
                item
            }
        };
        let mut slots = reuse_slots(tree)?;
        match slots.get_mut(slot) {
            Some(old) => *old = item,
            None => slots.push(item),
        }
        node(self.store, ARRAY, level, slots)
    }

    /// The array tree with its first `len` values, which are some.
    fn truncate<'a>(&self, tree: Node<'a>, len: u64) -> Result<Item<'a>, BuildError> {
        let level = array_level(tree)?;
        let last = array_slot(len - 1, level);
        if level > 0 && last == 0 {
            // The first child is enough.
            return self.truncate(array_child(tree, level, 0)?, len);
        }
        self.truncate_below(tree, level, len)
    }

    fn truncate_below<'a>(&self, tree: Node<'a>, level: u8, len: u64) -> Result<Item<'a>, BuildError> {
        let slots = tree.len()?;
        let last = array_slot(len - 1, level);
        let mut kept = (0..last)
            .map(|slot| reuse(tree, slot, slots))
            .collect::<Result<Vec<_>, Damaged>>()?;
        kept.push(match level {
            0 => reuse(tree, last, slots)?,
            _ => self.truncate_below(array_child(tree, level, last)?, level - 1, len)?,
        });
        node(self.store, ARRAY, level, kept)
    }

    /// The hash tree with another value for a key, or without it; and how many entries it has.
    fn hash<'a>(
        &self,
        tree: Node<'a>,
        depth: u8,
        key: KeyRef<'a>,
        value: Item<'a>,
    ) -> Result<(Item<'a>, u64), BuildError> {
        if tree.kind()? != BRANCH {
            let mut entries = Vec::new();
            gather(tree, &mut entries)?;
            entries.retain(|entry| entry.key() != key);
            if !value.is_nil() {
                let entry = Entry::new(key, value);
                let place = entries.partition_point(|other| other.key().order(key).is_lt());
                entries.insert(place, entry);
            }
            let len = entries.len() as u64;
            return Ok((tree_of(self.store, &mut entries, depth)?, len));
        }
        let branch_node = Branch::at(tree)?;
        let digit = hash_digit(key.hash(), depth);
        let mut trees = Vec::with_capacity(1 << HASH_BITS);
        let mut value = Some(value);
        for (place, other) in branch_node.digits().enumerate() {
            let (item, count) = if other == digit {
                let child = branch_node.tree(place)?;
                self.hash(child, depth + 1, key, value.take().unwrap_or(Item::NIL))?
            } else {
                branch_node.reuse(place)?
            };
            if count > 0 {
                trees.push(Tree {
                    digit: other,
                    count,
                    item,
                });
            }
        }
        if let Some(value) = value
            && !value.is_nil()
        {
            let item = tree_of(self.store, &mut [Entry::new(key, value)], depth + 1)?;
            let place = trees.partition_point(|tree| tree.digit < digit);
            trees.insert(
                place,
                Tree {
                    digit,
                    count: 1,
                    item,
                },
            );
        }
        let len = trees.iter().map(|tree| tree.count).sum();
        if len <= SMALL_LEN as u64 {
            // Only a removal leads here.
            let mut entries = Vec::new();
            gather(tree, &mut entries)?;
            entries.retain(|entry| entry.key() != key);
            return Ok((tree_of(self.store, &mut entries, depth)?, len));
        }
        Ok((branch(self.store, depth, trees)?, len))
    }
}

/// All entries of a hash tree, in the order of their hashes.
fn gather<'a>(tree: Node<'a>, into: &mut Vec<Entry<'a>>) -> Result<(), Damaged> {
    if tree.kind()? == BRANCH {
        let branch = Branch::at(tree)?;
        for place in 0..branch.len() {
            gather(branch.tree(place)?, into)?;
        }
        return Ok(());
    }
    let leaf = Leaf::at(tree)?;
    for place in 0..leaf.entries {
        let entry = Entry::new(leaf.key(place)?, leaf.reuse(place)?);
        // A damaged tree may be the same leaf many times over.
        if into
            .last()
            .is_some_and(|last| (last.hash, last.key()) >= (entry.hash, entry.key()))
        {
            return Err(tree.damaged("keys out of their order"));
        }
        into.push(entry);
    }
    Ok(())
}

/// What part of a table a change is about.
#[derive(Clone, Copy)]
enum Change {
    /// A place of the array part.
    Array(u64),
    /// The place behind its end.
    Append(u64),
    /// Its last value goes.
    Pop,
    Hash,
    /// The place behind its end, of this number, and so many entries behind that.
    Join(i64, i64),
    /// Entries move between the array part and the others.
    Rebuild,
}

impl Change {
    fn of(table: Table<'_>, key: KeyRef<'_>, array_len: u64, removes: bool) -> Result<Change, BuildError> {
        let KeyRef::Integer(number) = key else {
            return Ok(Change::Hash);
        };
        if number < 1 {
            return Ok(Change::Hash);
        }
        let place = number.cast_unsigned() - 1;
        Ok(if place == array_len && !removes {
            let mut count = 0;
            while table.find(number.saturating_add(count + 1))?.is_some() {
                count += 1;
                if count.cast_unsigned() > (array_len / COPIED).min(MOST_JOINED) {
                    return Ok(Change::Rebuild);
                }
            }
            match count {
                0 => Change::Append(place),
                _ => Change::Join(number, count),
            }
        } else if place >= array_len {
            Change::Hash
        } else if !removes || place + 1 < array_len {
            Change::Array(place)
        } else {
            match table.find(number - 1)? {
                Some(_) if place > 0 => Change::Pop,
                _ => Change::Rebuild,
            }
        })
    }
}

/// So many values of an array part are copied in the time that one entry takes to join it.
const COPIED: u64 = 256;
/// Not more entries join one by one: how long an array part is may be a file's word only.
const MOST_JOINED: u64 = 1024;

fn reuse_value(value: Value<'_>) -> Result<Item<'_>, Damaged> {
    Ok(match value {
        Value::Boolean(boolean) => boolean.into(),
        Value::Integer(integer) => integer.into(),
        Value::Float(float) => float.into(),
        Value::Text(text) => text.into(),
        Value::Object(object) => object.clone().into(),
        Value::Table(table) => reuse_node(table.0)?,
    })
}
