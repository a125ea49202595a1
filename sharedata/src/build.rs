//! From items to tables.

use std::collections::HashMap;
use std::ops::Range;

use crate::block::{Link, Store};
use crate::error::BuildError;
use crate::image::Image;
use crate::item::Item;
use crate::items::{Entry, Following, Items};
use crate::layout::*;
use crate::write::{Fragment, Writer, node};

impl Store {
    /// Makes a table that becomes part of another.
    ///
    /// # Errors
    /// When it is nested too deep or holds a text that is too long.
    pub fn table<'a>(&self, items: Items<'a>) -> Result<Item<'a>, BuildError> {
        self.table_of(items, |item, _| Ok(item))
    }

    /// [`table`](Store::table), of values that become items one after the other, in the order that they are stored in: what one is
    /// made of can be forgotten before the next is made. None may become [`Item::NIL`].
    ///
    /// # Errors
    /// As for [`table`](Store::table), and the first of `make`.
    pub fn table_of<'a, V, E: From<BuildError>>(
        &self,
        items: Items<'a, V>,
        mut make: impl FnMut(V, Following<'_, 'a, V>) -> Result<Item<'a>, E>,
    ) -> Result<Item<'a>, E> {
        let (mut array, mut entries) = items.settle();
        let mut depth = 1;
        let mut make = |value, following: Following<'_, 'a, V>| {
            let item = make(value, following)?;
            depth = depth.max(item.depth() + 1);
            Ok::<_, E>(item)
        };
        let (array_len, hash_len) = (array.len(), entries.len());
        let item = if array_len <= SMALL_LEN && hash_len <= SMALL_LEN {
            small(self, &mut array, &mut entries, 0..hash_len, &mut make)?
        } else {
            let array = array_tree(self, array, &mut make)?;
            let hash = hash_tree(self, &mut entries, 0..hash_len, 0, &mut make)?;
            wide(self, array, hash, array_len as u64, hash_len as u64)?
        };
        if usize::from(depth) > MAX_DEPTH {
            return Err(BuildError::TooDeep.into());
        }
        Ok(item.with_depth(depth))
    }

    /// Makes of a table one that is the same wherever it is put, as [`Table::identity`](crate::Table::identity) tells: put clones of
    /// the result into several places of an image, all of whose such tables are made with the same `ones`.
    ///
    /// ```
    /// use fulmar_sharedata::{Items, Ones, Store};
    ///
    /// let (store, mut ones) = (Store::new(), Ones::default());
    /// let mut sword = Items::new();
    /// sword.insert("price", 12);
    /// let sword = store.one(store.table(sword)?, &mut ones)?;
    /// let mut items = Items::new();
    /// items.insert("best", sword.clone());
    /// items.insert("cheapest", sword);
    /// let image = store.image(items)?;
    /// let identity = |name| image.get(name).unwrap().as_table().unwrap().identity();
    /// assert!(identity("best").is_some());
    /// assert_eq!(identity("best"), identity("cheapest"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BuildError::NotATable`] for anything else, one that was made so included.
    pub fn one(&self, table: Item<'_>, ones: &mut Ones) -> Result<Item<'static>, BuildError> {
        let depth = table.depth();
        let table = table.into_fragment()?.ok_or(BuildError::NotATable)?;
        let first = self.one_of(table.clone(), 0)?;
        let count = ones.0.entry(first.identity()).or_default();
        let link = match *count {
            0 => first,
            number => self.one_of(table, number)?,
        };
        *count += 1;
        Ok(Item::linked(link).with_depth(depth))
    }

    /// A `ONE`.
    fn one_of(&self, table: Fragment, number: i64) -> Result<Link, BuildError> {
        let mut writer = Writer::new(self, ONE, 0, ONE_SLOTS, table.len())?;
        writer.item(Item::inner(table))?;
        writer.item(number.into())?;
        Ok(writer.seal())
    }

    /// Makes an image of this content.
    ///
    /// # Errors
    /// As for [`Store::table`].
    pub fn image(&self, items: Items<'_>) -> Result<Image, BuildError> {
        let root = self.table(items)?;
        self.image_of(root)
    }

    /// Makes an image of a table that [`Store::table`] has made.
    ///
    /// # Errors
    /// [`BuildError::NotATable`] for anything else.
    pub fn image_of(&self, root: Item<'_>) -> Result<Image, BuildError> {
        let root = root.into_block(self).ok_or(BuildError::NotATable)?;
        Ok(Image::new(self.clone(), root))
    }
}

/// What [`Store::one`] has made for one image: how many of each content, by the block of the first.
#[derive(Debug, Default)]
pub struct Ones(HashMap<(usize, u32), i64>);

/// A `SMALL` of a whole array part and a range of entries. The values are taken out of both.
fn small<'a, V, E: From<BuildError>>(
    store: &Store,
    array: &mut [Option<V>],
    entries: &mut [Entry<'a, V>],
    range: Range<usize>,
    make: &mut impl FnMut(V, Following<'_, 'a, V>) -> Result<Item<'a>, E>,
) -> Result<Item<'a>, E> {
    let behind = entries[range.clone()].iter().map(Entry::bytes_behind).sum();
    let len = array.len() + range.len() * 2;
    let mut writer = Writer::new(store, SMALL, array.len() as u8, len, behind)?;
    for place in 0..array.len() {
        writer.item(array_item(array, place, make)?)?;
    }
    for entry in &entries[range.clone()] {
        writer.key(entry.key(), entry.hash)?;
    }
    for place in range {
        let (done, rest) = entries.split_at_mut(place + 1);
        writer.item(match done[place].value.take() {
            Some(value) => make(value, Following::among(rest))?,
            None => Item::NIL,
        })?;
    }
    Ok(writer.finish())
}

pub(crate) fn wide<'a>(
    store: &Store,
    array: Item<'a>,
    hash: Item<'a>,
    array_len: u64,
    hash_len: u64,
) -> Result<Item<'a>, BuildError> {
    let counts = [array_len, hash_len].map(|count| Item::from(count.cast_signed()));
    let [array_len, hash_len] = counts;
    node(store, WIDE, 0, vec![array, hash, array_len, hash_len])
}

/// A value of an array part, which is taken out of it.
fn array_item<'a, V, E>(
    values: &mut [Option<V>],
    place: usize,
    make: &mut impl FnMut(V, Following<'_, 'a, V>) -> Result<Item<'a>, E>,
) -> Result<Item<'a>, E> {
    let (done, rest) = values.split_at_mut(place + 1);
    match done[place].take() {
        Some(value) => make(value, Following::in_array(rest)),
        None => Ok(Item::NIL),
    }
}

/// The tree of an array part; nil when it is empty.
fn array_tree<'a, V, E: From<BuildError>>(
    store: &Store,
    mut values: Vec<Option<V>>,
    make: &mut impl FnMut(V, Following<'_, 'a, V>) -> Result<Item<'a>, E>,
) -> Result<Item<'a>, E> {
    let mut nodes = Vec::with_capacity(values.len().div_ceil(ARRAY_LEN));
    for start in (0..values.len()).step_by(ARRAY_LEN) {
        let end = values.len().min(start + ARRAY_LEN);
        let slots = (start..end).map(|place| array_item(&mut values, place, make));
        nodes.push(node(store, ARRAY, 0, slots.collect::<Result<_, E>>()?)?);
    }
    let mut level = 1;
    while nodes.len() > 1 {
        let mut above = Vec::with_capacity(nodes.len().div_ceil(ARRAY_LEN));
        let mut rest = nodes.into_iter();
        while rest.len() > 0 {
            let chunk = rest.by_ref().take(ARRAY_LEN).collect();
            above.push(node(store, ARRAY, level, chunk)?);
        }
        nodes = above;
        level += 1;
    }
    Ok(nodes.pop().unwrap_or(Item::NIL))
}

/// The tree of an array part of one value.
pub(crate) fn array_of<'a>(store: &Store, value: Item<'a>) -> Result<Item<'a>, BuildError> {
    node(store, ARRAY, 0, vec![value])
}

/// The tree of entries that are in the order of their hashes and agree in the digits above `depth`.
pub(crate) fn tree_of<'a>(
    store: &Store,
    entries: &mut [Entry<'a>],
    depth: u8,
) -> Result<Item<'a>, BuildError> {
    let range = 0..entries.len();
    hash_tree(store, entries, range, depth, &mut |item, _| Ok(item))
}

/// [`tree_of`] a range of entries. The values are taken out of them.
fn hash_tree<'a, V, E: From<BuildError>>(
    store: &Store,
    entries: &mut [Entry<'a, V>],
    range: Range<usize>,
    depth: u8,
    make: &mut impl FnMut(V, Following<'_, 'a, V>) -> Result<Item<'a>, E>,
) -> Result<Item<'a>, E> {
    if range.len() <= SMALL_LEN || depth == MAX_HASH_DEPTH {
        return small(store, &mut [], entries, range, make);
    }
    let mut trees = Vec::with_capacity(1 << HASH_BITS);
    let mut start = range.start;
    while start < range.end {
        let digit = hash_digit(entries[start].hash, depth);
        let rest = &entries[start..range.end];
        let end = start + rest.partition_point(|entry| hash_digit(entry.hash, depth) == digit);
        trees.push(Tree {
            digit,
            count: (end - start) as u64,
            item: hash_tree(store, entries, start..end, depth + 1, make)?,
        });
        start = end;
    }
    Ok(branch(store, depth, trees)?)
}

/// A tree of a `BRANCH`.
pub(crate) struct Tree<'a> {
    pub(crate) digit: u32,
    pub(crate) count: u64,
    pub(crate) item: Item<'a>,
}

/// A `BRANCH` with these trees, in the order of their digits.
pub(crate) fn branch<'a>(store: &Store, depth: u8, trees: Vec<Tree<'a>>) -> Result<Item<'a>, BuildError> {
    let bitmap = trees.iter().fold(0i64, |bitmap, tree| bitmap | 1 << tree.digit);
    let mut slots = Vec::with_capacity(BRANCH_COUNTS + 2 * trees.len());
    slots.push(bitmap.into());
    let mut sum = 0;
    for tree in &trees {
        sum += tree.count;
        slots.push(sum.cast_signed().into());
    }
    slots.extend(trees.into_iter().map(|tree| tree.item));
    node(store, BRANCH, depth, slots)
}
