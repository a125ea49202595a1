//! From items to tables.

use std::borrow::Cow;

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
#[derive(Default)]
pub struct Items<'a> {
    pub(crate) array: Vec<Item<'a>>,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// A key and a value that do not lie in the array part.
pub(crate) struct Entry<'a> {
    pub(crate) hash: u64,
    key: EntryKey<'a>,
    pub(crate) value: Item<'a>,
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
            value,
            order: 0,
        }
    }

    pub(crate) fn key(&self) -> KeyRef<'_> {
        match &self.key {
            EntryKey::Borrowed(key) => *key,
            EntryKey::Owned(key) => key.as_ref(),
        }
    }

    fn take(&mut self) -> Item<'a> {
        std::mem::replace(&mut self.value, Item::NIL)
    }

    /// As for an [`Item`], with the key.
    fn bytes_behind(&self) -> usize {
        let key = match self.key() {
            KeyRef::Integer(_) => 0,
            KeyRef::Text(text) => text_behind(text),
        };
        key + self.value.bytes_behind()
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

    /// Makes room for so many values of the array part, and so many others.
    pub fn with_capacity(array: usize, others: usize) -> Items<'a> {
        Items {
            array: Vec::with_capacity(array),
            entries: Vec::with_capacity(others),
        }
    }

    /// Appends a value to the array part. [`Item::NIL`] makes a hole.
    pub fn push(&mut self, value: impl Into<Item<'a>>) {
        self.array.push(value.into());
    }

    /// Sets a key. The last value of a key counts; that of an integer which the array part covers goes there.
    pub fn insert(&mut self, key: impl Into<KeyRef<'a>>, value: impl Into<Item<'a>>) {
        let key = key.into();
        match self.place_of(key) {
            Some(place) => self.array[place] = value.into(),
            None => self.put(key.hash(), EntryKey::Borrowed(key), value.into()),
        }
    }

    /// [`insert`](Items::insert), for a key that lives shorter than the content does.
    pub fn insert_owned(&mut self, key: Key, value: impl Into<Item<'a>>) {
        match self.place_of(key.as_ref()) {
            Some(place) => self.array[place] = value.into(),
            None => self.put(key.as_ref().hash(), EntryKey::Owned(key), value.into()),
        }
    }

    fn put(&mut self, hash: u64, key: EntryKey<'a>, value: Item<'a>) {
        self.entries.push(Entry {
            hash,
            key,
            value,
            order: self.entries.len() as u32,
        });
    }

    /// The place in the array part that this key has; makes one at its end.
    fn place_of(&mut self, key: KeyRef<'_>) -> Option<usize> {
        let KeyRef::Integer(number) = key else { return None };
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        if place == self.array.len() {
            self.array.push(Item::NIL);
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
            .retain(|entry| !entry.value.is_nil() && !entry.is_covered(covered));
        while self.array.pop_if(|value| value.is_nil()).is_some() {}
        let len = self.array.len();
        while let Some(place) = self.next_of_array() {
            let value = self.entries[place].take();
            self.array.push(value);
        }
        if self.array.len() > len {
            self.entries.retain(|entry| !entry.value.is_nil());
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

    fn depth(&self) -> u8 {
        let values = self.entries.iter().map(|entry| &entry.value);
        self.array
            .iter()
            .chain(values)
            .map(Item::depth)
            .max()
            .unwrap_or(0)
    }
}

impl Store {
    /// Makes a table that becomes part of another.
    ///
    /// # Errors
    /// When it is nested too deep or holds a text that is too long.
    pub fn table<'a>(&self, mut items: Items<'a>) -> Result<Item<'a>, BuildError> {
        let depth = items.depth() + 1;
        if usize::from(depth) > MAX_DEPTH {
            return Err(BuildError::TooDeep);
        }
        items.settle();
        let item = if items.array.len() <= SMALL_LEN && items.entries.len() <= SMALL_LEN {
            small(self, items.array, &mut items.entries)?
        } else {
            let array_len = items.array.len() as u64;
            let hash_len = items.entries.len() as u64;
            let array = array_tree(self, items.array)?;
            let hash = hash_tree(self, &mut items.entries, 0)?;
            wide(self, array, hash, array_len, hash_len)?
        };
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

/// A `SMALL` of settled content. The values are taken out of the entries.
pub(crate) fn small<'a>(
    store: &Store,
    array: Vec<Item<'a>>,
    entries: &mut [Entry<'a>],
) -> Result<Item<'a>, BuildError> {
    let behind = entries.iter().map(Entry::bytes_behind);
    let behind = behind.chain(array.iter().map(Item::bytes_behind)).sum();
    let len = array.len() + entries.len() * 2;
    let mut writer = Writer::new(store, SMALL, array.len() as u8, len, behind)?;
    for item in array {
        writer.item(item)?;
    }
    for entry in &*entries {
        writer.key(entry.key(), entry.hash)?;
    }
    for entry in entries {
        writer.item(entry.take())?;
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

/// The tree of an array part; nil when it is empty.
pub(crate) fn array_tree<'a>(store: &Store, mut values: Vec<Item<'a>>) -> Result<Item<'a>, BuildError> {
    let mut level = 0;
    if values.is_empty() {
        return Ok(Item::NIL);
    }
    loop {
        let mut nodes = Vec::with_capacity(values.len().div_ceil(ARRAY_LEN));
        let mut rest = values.into_iter();
        while rest.len() > 0 {
            let chunk: Vec<Item<'a>> = rest.by_ref().take(ARRAY_LEN).collect();
            nodes.push(node(store, ARRAY, level, chunk)?);
        }
        if nodes.len() == 1 {
            return Ok(nodes.remove(0));
        }
        values = nodes;
        level += 1;
    }
}

/// The tree of entries that are in the order of their hashes and agree in the digits above `depth`. The values are taken out of them.
pub(crate) fn hash_tree<'a>(
    store: &Store,
    entries: &mut [Entry<'a>],
    depth: u8,
) -> Result<Item<'a>, BuildError> {
    if entries.len() <= SMALL_LEN || depth == MAX_HASH_DEPTH {
        return small(store, Vec::new(), entries);
    }
    let mut trees = Vec::with_capacity(1 << HASH_BITS);
    for group in entries.chunk_by_mut(|a, b| hash_digit(a.hash, depth) == hash_digit(b.hash, depth)) {
        trees.push(Tree {
            digit: hash_digit(group[0].hash, depth),
            count: group.len() as u64,
            item: hash_tree(store, group, depth + 1)?,
        });
    }
    branch(store, depth, trees)
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
