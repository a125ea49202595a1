//! The content of a table that is being built, and the one shape that it is stored in.

use crate::item::Item;
use crate::key::{Key, KeyRef};
use crate::write::text_behind;

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
/// Values may also be what items can be made of, when [`Store::table_of`](crate::Store::table_of) comes to them.
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
    pub(crate) value: Option<V>,
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
    pub(crate) fn bytes_behind(&self) -> usize {
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

    #[inline]
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
    #[inline]
    fn place_of(&mut self, key: KeyRef<'_>) -> Option<usize> {
        let KeyRef::Integer(number) = key else { return None };
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        if place == self.array.len() {
            self.array.push(None);
        }
        (place < self.array.len()).then_some(place)
    }

    /// The content in the one shape that it is stored in: the array part, and the entries in the order of their hashes.
    pub(crate) fn settle(mut self) -> (Vec<Option<V>>, Vec<Entry<'a, V>>) {
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
        (self.array, self.entries)
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

/// What comes after a value that [`Store::table_of`](crate::Store::table_of) asks for.
pub struct Following<'f, 'a, V>(Rest<'f, 'a, V>);

enum Rest<'f, 'a, V> {
    Array(&'f [Option<V>]),
    Entries(&'f [Entry<'a, V>]),
}

impl<'f, 'a, V> Following<'f, 'a, V> {
    pub(crate) fn in_array(rest: &'f [Option<V>]) -> Following<'f, 'a, V> {
        Following(Rest::Array(rest))
    }

    pub(crate) fn among(rest: &'f [Entry<'a, V>]) -> Following<'f, 'a, V> {
        Following(Rest::Entries(rest))
    }

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
