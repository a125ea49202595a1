//! From items to tables.

use std::borrow::Cow;
use std::ops::Range;

use crate::block::{Link, Store};
use crate::error::BuildError;
use crate::image::Image;
use crate::key::{Key, KeyRef};
use crate::layout::*;
use crate::write::{Content, Fragment, Writer, node, text_behind};

/// A value that is to become part of an image: a scalar, a text, or a table that [`Store::table`] has made.
///
/// Made by `into()`: `3.into()`, `1.5.into()`, `true.into()`, `"text".into()`.
#[derive(Clone)]
pub struct Item<'a>(Form<'a>);

#[derive(Clone)]
enum Form<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// A text, and the lowest bits of its hash if it is a key.
    Text(Cow<'a, [u8]>, u16),
    Inner(Fragment, u8),
    Linked(Link, u8),
}

impl<'a> Item<'a> {
    /// Nothing: as a value of a key it means that there is no such key.
    pub const NIL: Item<'static> = Item(Form::Nil);

    /// How deep tables are nested in it.
    pub(crate) fn depth(&self) -> u8 {
        match self.0 {
            Form::Inner(_, depth) | Form::Linked(_, depth) => depth,
            _ => 0,
        }
    }

    fn with_depth(self, depth: u8) -> Item<'a> {
        Item(match self.0 {
            Form::Inner(fragment, _) => Form::Inner(fragment, depth),
            Form::Linked(link, _) => Form::Linked(link, depth),
            other => other,
        })
    }

    /// Whether it is a table with a block of its own: a clone of it is another reference to that, and no copy.
    pub fn is_block(&self) -> bool {
        matches!(self.0, Form::Linked(..))
    }

    /// The bytes that it takes behind the slots of the node that it goes into.
    pub(crate) fn bytes_behind(&self) -> usize {
        match &self.0 {
            Form::Text(text, _) => text_behind(text),
            Form::Inner(fragment, _) => fragment.len(),
            _ => 0,
        }
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self.0, Form::Nil)
    }

    /// None for nothing.
    fn present(self) -> Option<Item<'a>> {
        (!self.is_nil()).then_some(self)
    }

    pub(crate) fn marked(self, mark: u16) -> Item<'a> {
        match self.0 {
            Form::Text(text, _) => Item(Form::Text(text, mark)),
            _ => self,
        }
    }

    pub(crate) fn inner(fragment: Fragment) -> Item<'a> {
        Item(Form::Inner(fragment, 0))
    }

    pub(crate) fn linked(link: Link) -> Item<'a> {
        Item(Form::Linked(link, 0))
    }

    pub(crate) fn into_content(self) -> Content<'a> {
        match self.0 {
            Form::Nil => Content::Nil,
            Form::Boolean(boolean) => Content::Boolean(boolean),
            Form::Integer(integer) => Content::Integer(integer),
            Form::Float(float) => Content::Float(float),
            Form::Text(text, mark) => Content::Text(text, mark),
            Form::Inner(fragment, _) => Content::Inner(fragment),
            Form::Linked(link, _) => Content::Linked(link),
        }
    }

    /// A block that is this table and nothing else; none when it is no table.
    pub(crate) fn into_block(self, store: &Store) -> Option<Link> {
        match self.0 {
            Form::Inner(fragment, _) => Some(fragment.seal(store)),
            Form::Linked(link, _) => Some(link),
            _ => None,
        }
    }
}

impl From<bool> for Item<'_> {
    fn from(boolean: bool) -> Self {
        Item(Form::Boolean(boolean))
    }
}

impl From<i64> for Item<'_> {
    fn from(integer: i64) -> Self {
        Item(Form::Integer(integer))
    }
}

impl From<i32> for Item<'_> {
    fn from(integer: i32) -> Self {
        Item(Form::Integer(integer.into()))
    }
}

impl From<f64> for Item<'_> {
    fn from(float: f64) -> Self {
        Item(Form::Float(float))
    }
}

impl<'a> From<&'a [u8]> for Item<'a> {
    fn from(text: &'a [u8]) -> Self {
        Item(Form::Text(Cow::Borrowed(text), 0))
    }
}

impl<'a> From<&'a str> for Item<'a> {
    fn from(text: &'a str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Item<'_> {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for Item<'_> {
    fn from(text: Vec<u8>) -> Self {
        Item(Form::Text(Cow::Owned(text), 0))
    }
}

/// The content of a table that is being built.
///
/// ```
/// use fulmar_sharedata::{Items, Store};
///
/// let store = Store::new();
/// let mut tags = Items::new();
/// tags.push("rare");
/// tags.push("old");
/// let mut row = Items::new();
/// row.insert("price", 12.5);
/// row.insert("tags", store.table(tags)?);
/// let image = store.image(row)?;
/// assert_eq!(image.get("tags")?.get(1)?.as_str(), Some("rare"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Values may also be what items can be made of, when [`Store::table_of`] comes to them.
pub struct Items<'a, V = Item<'a>> {
    /// None is a hole.
    array: Vec<Option<V>>,
    entries: Vec<Entry<'a, V>>,
}

/// A key and a value that do not lie in the array part.
pub(crate) struct Entry<'a, V = Item<'a>> {
    pub(crate) hash: u64,
    key: EntryKey<'a>,
    /// None when it was taken, and when there is no such key.
    value: Option<V>,
    /// Which one it was: the last of equal keys counts.
    order: u32,
}

/// A key, borrowed or owned.
enum EntryKey<'a> {
    Borrowed(KeyRef<'a>),
    Owned(Key),
}

impl<'a> Entry<'a> {
    pub(crate) fn new(key: KeyRef<'a>, value: Item<'a>) -> Entry<'a> {
        Entry {
            hash: key.hash(),
            key: EntryKey::Borrowed(key),
            value: value.present(),
            order: 0,
        }
    }
}

impl<V> Entry<'_, V> {
    pub(crate) fn key(&self) -> KeyRef<'_> {
        match &self.key {
            EntryKey::Borrowed(key) => *key,
            EntryKey::Owned(key) => key.as_ref(),
        }
    }

    /// What the key takes behind the slots of its node.
    fn bytes_behind(&self) -> usize {
        match self.key() {
            KeyRef::Integer(_) => 0,
            KeyRef::Text(text) => text_behind(text),
        }
    }

    /// Whether an array part of this length has a place for the key.
    fn is_covered(&self, array_len: u64) -> bool {
        match self.key() {
            KeyRef::Integer(number) => number >= 1 && number.cast_unsigned() <= array_len,
            KeyRef::Text(_) => false,
        }
    }
}

impl<'a> Items<'a> {
    /// No content.
    pub fn new() -> Items<'a> {
        Items::default()
    }

    /// Appends a value to the array part. [`Item::NIL`] makes a hole.
    pub fn push(&mut self, value: impl Into<Item<'a>>) {
        self.push_value(value.into().present());
    }

    /// Sets a key. The last value of a key counts; that of an integer which the array part covers goes there.
    pub fn insert(&mut self, key: impl Into<KeyRef<'a>>, value: impl Into<Item<'a>>) {
        self.put(EntryKey::Borrowed(key.into()), value.into().present());
    }

    /// [`insert`](Items::insert), for a key that lives shorter than the content does.
    pub fn insert_owned(&mut self, key: Key, value: impl Into<Item<'a>>) {
        self.put(EntryKey::Owned(key), value.into().present());
    }
}

impl<V> Default for Items<'_, V> {
    fn default() -> Self {
        Items::with_capacity(0, 0)
    }
}

impl<'a, V> Items<'a, V> {
    /// Makes room for so many values of the array part, and so many others.
    pub fn with_capacity(array: usize, others: usize) -> Items<'a, V> {
        Items {
            array: Vec::with_capacity(array),
            entries: Vec::with_capacity(others),
        }
    }

    /// Appends a value to the array part, or a hole.
    pub fn push_value(&mut self, value: Option<V>) {
        self.array.push(value);
    }

    /// Sets a key, as [`insert`](Items::insert) does.
    pub fn insert_value(&mut self, key: KeyRef<'a>, value: V) {
        self.put(EntryKey::Borrowed(key), Some(value));
    }

    fn put(&mut self, key: EntryKey<'a>, value: Option<V>) {
        let known = match &key {
            EntryKey::Borrowed(key) => *key,
            EntryKey::Owned(key) => key.as_ref(),
        };
        match self.place_of(known) {
            Some(place) => self.array[place] = value,
            None => self.entries.push(Entry {
                hash: known.hash(),
                order: self.entries.len() as u32,
                key,
                value,
            }),
        }
    }

    /// The place in the array part that this key has; makes one at its end.
    fn place_of(&mut self, key: KeyRef<'_>) -> Option<usize> {
        let KeyRef::Integer(number) = key else { return None };
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        if place == self.array.len() {
            self.array.push(None);
        }
        (place < self.array.len()).then_some(place)
    }

    /// Brings the content into the one shape that it is stored in.
    fn settle(&mut self) {
        self.entries.sort_unstable_by(|a, b| {
            let by_hash = a.hash.cmp(&b.hash);
            by_hash
                .then_with(|| a.key().cmp(&b.key()))
                .then(a.order.cmp(&b.order))
        });
        self.entries.dedup_by(|later, earlier| {
            let same = later.hash == earlier.hash && later.key() == earlier.key();
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        // An array part that has grown over a key since has the later value.
        let covered = self.array.len() as u64;
        self.entries
            .retain(|entry| entry.value.is_some() && !entry.is_covered(covered));
        while self.array.pop_if(|value| value.is_none()).is_some() {}
        let len = self.array.len();
        while let Some(place) = self.next_of_array() {
            let value = self.entries[place].value.take();
            self.array.push(value);
        }
        if self.array.len() > len {
            self.entries.retain(|entry| entry.value.is_some());
        }
    }

    /// Where the entry is that continues the array part.
    fn next_of_array(&self) -> Option<usize> {
        let key = KeyRef::Integer(i64::try_from(self.array.len() + 1).ok()?);
        let hash = key.hash();
        let place = self.entries.partition_point(|entry| entry.hash < hash);
        self.entries[place..]
            .iter()
            .take_while(|entry| entry.hash == hash)
            .position(|entry| entry.key() == key)
            .map(|found| place + found)
    }
}

/// What comes after a value that [`Store::table_of`] asks for.
pub struct Following<'f, 'a, V>(Rest<'f, 'a, V>);

enum Rest<'f, 'a, V> {
    Array(&'f [Option<V>]),
    Entries(&'f [Entry<'a, V>]),
}

impl<V> Following<'_, '_, V> {
    /// The value so many steps ahead, 1 for the next.
    #[inline]
    pub fn value(&self, distance: usize) -> Option<&V> {
        let place = distance.checked_sub(1)?;
        match self.0 {
            Rest::Array(values) => values.get(place)?.as_ref(),
            Rest::Entries(entries) => entries.get(place)?.value.as_ref(),
        }
    }

    /// The key so many steps ahead, outside of the array part.
    #[inline]
    pub fn key(&self, distance: usize) -> Option<KeyRef<'_>> {
        match self.0 {
            Rest::Array(_) => None,
            Rest::Entries(entries) => Some(entries.get(distance.checked_sub(1)?)?.key()),
        }
    }
}

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
        mut items: Items<'a, V>,
        mut make: impl FnMut(V, Following<'_, 'a, V>) -> Result<Item<'a>, E>,
    ) -> Result<Item<'a>, E> {
        items.settle();
        let mut depth = 1;
        let mut make = |value, following: Following<'_, 'a, V>| {
            let item = make(value, following)?;
            depth = depth.max(item.depth() + 1);
            Ok::<_, E>(item)
        };
        let (array_len, hash_len) = (items.array.len(), items.entries.len());
        let item = if array_len <= SMALL_LEN && hash_len <= SMALL_LEN {
            small(self, &mut items.array, &mut items.entries, 0..hash_len, &mut make)?
        } else {
            let array = array_tree(self, items.array, &mut make)?;
            let hash = hash_tree(self, &mut items.entries, 0..hash_len, 0, &mut make)?;
            wide(self, array, hash, array_len as u64, hash_len as u64)?
        };
        if usize::from(depth) > MAX_DEPTH {
            return Err(BuildError::TooDeep.into());
        }
        Ok(item.with_depth(depth))
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
            Some(value) => make(value, Following(Rest::Entries(rest)))?,
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
        Some(value) => make(value, Following(Rest::Array(rest))),
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
