//! How maps are written and read: by a key that their elements carry, or as pairs.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

use super::{Codec, SchemaText, Sproto, enter_decode, enter_encode, read_struct, room, write_structs};
use crate::error::{DecodeCause, DecodeError, EncodeError};
use crate::wire::{Fields, Item, Record, Slot};

/// A map of the standard library.
pub trait Map: Default {
    /// Its keys.
    type Key;
    /// Its values.
    type Value;

    /// Adds an entry; a later one with the same key takes its place.
    fn put(&mut self, key: Self::Key, value: Self::Value);

    /// All entries.
    fn entries<'a>(&'a self) -> impl Iterator<Item = (&'a Self::Key, &'a Self::Value)>
    where
        Self::Key: 'a,
        Self::Value: 'a;
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> Map for HashMap<K, V, S> {
    type Key = K;
    type Value = V;

    fn put(&mut self, key: K, value: V) {
        self.insert(key, value);
    }

    fn entries<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: 'a,
        V: 'a,
    {
        self.iter()
    }
}

impl<K: Ord, V> Map for BTreeMap<K, V> {
    type Key = K;
    type Value = V;

    fn put(&mut self, key: K, value: V) {
        self.insert(key, value);
    }

    fn entries<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: 'a,
        V: 'a,
    {
        self.iter()
    }
}

/// Where the elements of a map have their key.
pub trait KeyOf<M: Map> {
    /// The name of the field, in Rust.
    const NAME: &'static str;

    /// Its value.
    fn key(value: &M::Value) -> M::Key;
}

/// A map whose elements carry their key: `*T(key)`.
#[derive(Debug)]
pub struct Keyed<K, M>(PhantomData<(K, M)>);

impl<K: KeyOf<M>, M: Map<Value: Sproto>> Codec for Keyed<K, M> {
    type Value = M;

    fn write(
        map: &M,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError> {
        let item = record.begin_item(out, tag);
        write_structs(map.entries().map(|(_, value)| value), out, level)?;
        room(out.len())?;
        item.end(out);
        Ok(())
    }

    fn read(slot: Slot<'_>, level: usize) -> Result<M, DecodeError> {
        let mut map = M::default();
        for element in slot.elements()? {
            let value = read_struct(element?, level)?;
            map.put(K::key(&value), value);
        }
        Ok(map)
    }

    fn describe(text: &mut SchemaText) -> String {
        let key = M::Value::FIELDS.iter().find(|(field, _)| *field == K::NAME);
        let key = key.map_or(K::NAME, |(_, name)| name);
        format!("*{}({key})", text.mention::<M::Value>())
    }
}

/// A map of elements with two fields: `*T()`.
#[derive(Debug)]
pub struct Pairs<M>(PhantomData<M>);

impl<M, K, V> Codec for Pairs<M>
where
    M: Map<Key = K, Value = V>,
    K: Codec<Value = K>,
    V: Codec<Value = V>,
{
    type Value = M;

    fn write(
        map: &M,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError> {
        let item = record.begin_item(out, tag);
        for (key, value) in map.entries() {
            enter_encode(level + 1)?;
            let item = Item::begin(out);
            let mut record = Record::begin(out, 2);
            K::write(key, 0, &mut record, out, level + 1)?;
            V::write(value, 1, &mut record, out, level + 1)?;
            record.finish(out);
            item.end(out);
        }
        room(out.len())?;
        item.end(out);
        Ok(())
    }

    fn read(slot: Slot<'_>, level: usize) -> Result<M, DecodeError> {
        let mut map = M::default();
        for element in slot.elements()? {
            let (mut key, mut value) = (None, None);
            let mut fields = Fields::new(element?)?;
            while let Some((tag, slot)) = fields.next_field()? {
                enter_decode(level + 1)?;
                match tag {
                    0 => key = Some(K::read(slot, level + 1)?),
                    1 => value = Some(V::read(slot, level + 1)?),
                    _ => {}
                }
            }
            fields.finish()?;
            let key = key.ok_or(DecodeCause::NoPairKey)?;
            map.put(key, value.ok_or(DecodeCause::NoPairValue)?);
        }
        Ok(map)
    }

    fn describe(text: &mut SchemaText) -> String {
        let (key, value) = (K::describe(text), V::describe(text));
        format!("*{}()", text.pair(&key, &value))
    }
}
