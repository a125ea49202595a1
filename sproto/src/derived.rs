//! Rust types as messages: the trait [`Sproto`] and what its derive macro stands on.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{DecodeCause, DecodeError, EncodeError, WireError};
use crate::wire::{Doubles, Elements, Fields, Integers, Item, Record, Slot, push_item};
use crate::{MAX_DEPTH, MAX_MESSAGE_BYTES};

/// A Rust structure that is a sproto message. Derived:
///
/// ```
/// use std::collections::BTreeMap;
/// use fulmar_sproto::Sproto;
///
/// #[derive(Sproto, Debug, Default, Clone, PartialEq)]
/// struct Item {
///     #[sproto(tag = 0)]
///     id: i64,
///     #[sproto(tag = 1)]
///     name: String,
///     /// Kept as an integer with two decimal places.
///     #[sproto(tag = 2, decimals = 2)]
///     price: f64,
/// }
///
/// #[derive(Sproto, Debug, Default, PartialEq)]
/// struct Bag {
///     #[sproto(tag = 0)]
///     owner: Option<String>,
///     #[sproto(tag = 1, key = "id")]
///     items: BTreeMap<i64, Item>,
///     #[sproto(tag = 5)]
///     scores: Vec<i32>,
/// }
///
/// let axe = Item { id: 7, name: "axe".into(), price: 12.5 };
/// let bag = Bag { owner: None, items: BTreeMap::from([(7, axe)]), scores: vec![1, -2] };
/// let bytes = bag.to_bytes()?;
/// assert_eq!(Bag::decode(&bytes)?, (bag, bytes.len()));
/// assert!(Bag::schema_text().contains("items 1 : *Item(id)"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | attribute of a field | means |
/// |---|---|
/// | `tag = n` | its tag; needed |
/// | `name = "..."` | its name in the schema, if that is another |
/// | `decimals = n` | a float that is kept as `integer(n)` |
/// | `key = "field"` | a map of structures that carry their key in that field: `*T(field)` |
/// | `pairs` | a map from a plain value to anything: `*T()`, with an element type of its own |
///
/// A type may have `name = "..."` too.
///
/// | Rust | sproto |
/// |---|---|
/// | `i8` to `i64`, `u8` to `u64` | `integer`; decoding fails when the value does not fit |
/// | `f64`, `f32` | `double` |
/// | `bool` | `boolean` |
/// | `String` | `string`; decoding fails when it is not UTF-8 |
/// | `Vec<u8>` | `binary` |
/// | a derived type, in a `Box` if need be | its type |
/// | `Vec` of any of these but `u8` | an array |
/// | `HashMap`, `BTreeMap` | a map, see above |
/// | `Option` of any | absent when it is `None` |
///
/// A field that is no `Option` is always written, and becomes its default when it is absent. Tags that the type does not have
/// are skipped.
pub trait Sproto: Sized {
    /// The name of the type in a schema.
    const NAME: &'static str;
    /// The names of the fields, in Rust and in a schema.
    const FIELDS: &'static [(&'static str, &'static str)];

    /// Appends the message to `out`; `level` counts structures inside each other from 1.
    ///
    /// # Errors
    /// As for [`Sproto::encode`]. `out` may then hold a part of the message.
    fn encode_at(&self, out: &mut Vec<u8>, level: usize) -> Result<(), EncodeError>;

    /// Reads a message, and gives the bytes behind it; `level` counts structures inside each other from 1.
    ///
    /// # Errors
    /// As for [`Sproto::decode`].
    fn decode_at(message: &[u8], level: usize) -> Result<(Self, &[u8]), DecodeError>;

    /// Adds the type, and those it mentions, to a schema.
    fn describe(text: &mut SchemaText);

    /// Appends the message to `out`.
    ///
    /// Shape: one pass; no allocation but for `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`], [`EncodeError::TooDeep`]; `out` then holds what it held before.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let mut result = self.encode_at(out, 1);
        if result.is_ok() && out.len() - start > MAX_MESSAGE_BYTES {
            result = Err(EncodeError::TooLarge);
        }
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// The message alone.
    ///
    /// # Errors
    /// As for [`Sproto::encode`].
    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        self.encode(&mut out)?;
        Ok(out)
    }

    /// Reads a message, and says how many bytes it took: bytes behind it are allowed.
    ///
    /// Shape: one pass; memory in proportion to the input.
    ///
    /// # Errors
    /// [`DecodeError`], with the field where the fault is.
    fn decode(message: &[u8]) -> Result<(Self, usize), DecodeError> {
        let (value, rest) = Self::decode_at(message, 1)?;
        Ok((value, message.len() - rest.len()))
    }

    /// The schema of this type and those it mentions. Nested types stand beside each other: `Outer.Inner` as `Outer_Inner`.
    fn schema_text() -> String {
        let mut text = SchemaText::default();
        Self::describe(&mut text);
        text.types.into_iter().map(|(_, body)| body).collect()
    }
}

/// A schema being written down by types that describe themselves.
#[derive(Debug, Default)]
pub struct SchemaText {
    /// Name and text of each type that is begun or done.
    types: Vec<(String, String)>,
    /// The types that are begun.
    open: Vec<usize>,
}

impl SchemaText {
    /// Begins a type; false when it is there already.
    pub fn begin(&mut self, name: &str) -> bool {
        let name = &flat(name);
        if self.types.iter().any(|(known, _)| known == name) {
            return false;
        }
        self.open.push(self.types.len());
        self.types.push((name.clone(), format!(".{name} {{\n")));
        true
    }

    /// Adds a field to the type begun last.
    pub fn field(&mut self, name: &str, tag: u16, kind: &str) {
        if let Some((_, body)) = self.open.last().and_then(|open| self.types.get_mut(*open)) {
            let _ = writeln!(body, "\t{name} {tag} : {kind}");
        }
    }

    /// Ends the type begun last.
    pub fn end(&mut self) {
        if let Some((_, body)) = self.open.pop().and_then(|open| self.types.get_mut(open)) {
            body.push_str("}\n");
        }
    }

    /// The name of a type, which is added when it is not there.
    pub fn mention<T: Sproto>(&mut self) -> String {
        T::describe(self);
        flat(T::NAME)
    }

    /// The name of an element type of pairs, which is added when it is not there.
    fn pair(&mut self, key: &str, value: &str) -> String {
        let name: String = format!("{key}_{value}")
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let name = format!("pair_{name}");
        if self.begin(&name) {
            self.field("key", 0, key);
            self.field("value", 1, value);
            self.end();
        }
        name
    }
}

/// A nested type's name as that of a type of its own.
fn flat(name: &str) -> String {
    name.replace('.', "_")
}

/// How a field is written and read.
pub trait Codec {
    /// What the field holds.
    type Value;

    /// Writes the field, or nothing when it is absent.
    ///
    /// # Errors
    /// As for [`Sproto::encode`].
    fn write(
        value: &Self::Value,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError>;

    /// Reads the field.
    ///
    /// # Errors
    /// As for [`Sproto::decode`].
    fn read(slot: Slot<'_>, level: usize) -> Result<Self::Value, DecodeError>;

    /// Its type, as a schema writes it.
    fn describe(text: &mut SchemaText) -> String;
}

/// What an array can hold.
pub trait Element: Codec + Sized {
    /// Writes the elements into the data item that has begun.
    ///
    /// # Errors
    /// As for [`Sproto::encode`].
    fn write_all<'a>(
        values: impl Iterator<Item = &'a Self>,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError>
    where
        Self: 'a;

    /// Reads all elements.
    ///
    /// # Errors
    /// As for [`Sproto::decode`].
    fn read_all(slot: Slot<'_>, level: usize) -> Result<Vec<Self>, DecodeError>;
}

/// Refuses to go deeper than messages may.
///
/// # Errors
/// [`EncodeError::TooDeep`].
#[inline]
pub fn enter_encode(level: usize) -> Result<(), EncodeError> {
    if level > MAX_DEPTH {
        return Err(EncodeError::TooDeep);
    }
    Ok(())
}

/// Refuses to go deeper than messages may.
///
/// # Errors
/// [`DecodeCause::TooDeep`].
#[inline]
pub fn enter_decode(level: usize) -> Result<(), DecodeError> {
    if level > MAX_DEPTH {
        return Err(DecodeCause::TooDeep.into());
    }
    Ok(())
}

/// Writes a structure as a field.
///
/// # Errors
/// As for [`Sproto::encode`].
#[inline]
pub fn write_struct<T: Sproto>(
    value: &T,
    tag: u16,
    record: &mut Record,
    out: &mut Vec<u8>,
    level: usize,
) -> Result<(), EncodeError> {
    let item = record.begin_item(out, tag);
    value.encode_at(out, level + 1)?;
    item.end(out);
    Ok(())
}

/// Reads a structure that has to fill its item.
///
/// # Errors
/// As for [`Sproto::decode`].
#[inline]
pub fn read_struct<T: Sproto>(item: &[u8], level: usize) -> Result<T, DecodeError> {
    // Before anything is read: a type that contains itself would else be followed as deep as the message goes.
    enter_decode(level)?;
    let (value, rest) = T::decode_at(item, level + 1)?;
    match rest.len() {
        0 => Ok(value),
        left => Err(WireError::Trailing { left }.into()),
    }
}

/// Writes structures as the elements of an array.
///
/// # Errors
/// As for [`Sproto::encode`].
#[inline]
pub fn write_structs<'a, T: Sproto + 'a>(
    values: impl Iterator<Item = &'a T>,
    out: &mut Vec<u8>,
    level: usize,
) -> Result<(), EncodeError> {
    for value in values {
        let item = Item::begin(out);
        value.encode_at(out, level + 1)?;
        item.end(out);
    }
    Ok(())
}

/// Reads structures that are the elements of an array.
///
/// # Errors
/// As for [`Sproto::decode`].
#[inline]
pub fn read_structs<T: Sproto>(slot: Slot<'_>, level: usize) -> Result<Vec<T>, DecodeError> {
    let elements = slot.elements()?;
    let mut values = room_for(&elements);
    for element in elements {
        values.push(read_struct(element?, level)?);
    }
    Ok(values)
}

/// Room for all elements, or for the first few thousand bytes of them: more is only made for what turns out to be sound.
#[inline]
fn room_for<T>(elements: &Elements<'_>) -> Vec<T> {
    let few = 1 + 4096 / size_of::<T>().max(1);
    Vec::with_capacity(elements.clone().take(few).count())
}

macro_rules! integers {
    ($($integer:ty),*) => {
        $(impl Codec for $integer {
            type Value = $integer;

            #[inline]
            fn write(value: &Self, tag: u16, record: &mut Record, out: &mut Vec<u8>, _: usize) -> Result<(), EncodeError> {
                record.integer(out, tag, to_wire(*value)?);
                Ok(())
            }

            #[inline]
            fn read(slot: Slot<'_>, _: usize) -> Result<Self, DecodeError> {
                from_wire(slot.integer()?)
            }

            fn describe(_: &mut SchemaText) -> String {
                "integer".to_owned()
            }
        })*
    };
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! integer_elements {
    ($($integer:ty),*) => {
        $(impl Element for $integer {
            fn write_all<'a>(values: impl Iterator<Item = &'a Self>, out: &mut Vec<u8>, _: usize) -> Result<(), EncodeError> {
                let mut integers = Integers::begin(out);
                for value in values {
                    integers.push(out, to_wire(*value)?);
                }
                Ok(())
            }

            fn read_all(slot: Slot<'_>, _: usize) -> Result<Vec<Self>, DecodeError> {
                slot.numbers()?.map(from_wire).collect()
            }
        })*
    };
}
// Not u8: Vec<u8> is binary.
integer_elements!(i8, i16, i32, i64, u16, u32, u64);

#[inline]
fn to_wire<T: TryInto<i64>>(value: T) -> Result<i64, EncodeError> {
    value.try_into().map_err(|_| EncodeError::OutOfRange)
}

#[inline]
fn from_wire<T: TryFrom<i64>>(value: i64) -> Result<T, DecodeError> {
    T::try_from(value).map_err(|_| DecodeCause::OutOfRange { value }.into())
}

macro_rules! floats {
    ($($float:ty),*) => {
        $(impl Codec for $float {
            type Value = $float;

            #[inline]
            fn write(value: &Self, tag: u16, record: &mut Record, out: &mut Vec<u8>, _: usize) -> Result<(), EncodeError> {
                record.double(out, tag, f64::from(*value));
                Ok(())
            }

            #[inline]
            fn read(slot: Slot<'_>, _: usize) -> Result<Self, DecodeError> {
                Ok(slot.double()? as $float)
            }

            fn describe(_: &mut SchemaText) -> String {
                "double".to_owned()
            }
        }

        impl Element for $float {
            fn write_all<'a>(values: impl Iterator<Item = &'a Self>, out: &mut Vec<u8>, _: usize) -> Result<(), EncodeError> {
                let mut doubles = Doubles::default();
                for value in values {
                    doubles.push(out, f64::from(*value));
                }
                Ok(())
            }

            fn read_all(slot: Slot<'_>, _: usize) -> Result<Vec<Self>, DecodeError> {
                Ok(slot.numbers()?.map(|bits| f64::from_bits(bits as u64) as $float).collect())
            }
        })*
    };
}
floats!(f64, f32);

impl Codec for bool {
    type Value = bool;

    #[inline]
    fn write(
        value: &Self,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        _: usize,
    ) -> Result<(), EncodeError> {
        record.boolean(out, tag, *value);
        Ok(())
    }

    #[inline]
    fn read(slot: Slot<'_>, _: usize) -> Result<Self, DecodeError> {
        Ok(slot.boolean()?)
    }

    fn describe(_: &mut SchemaText) -> String {
        "boolean".to_owned()
    }
}

impl Element for bool {
    fn write_all<'a>(
        values: impl Iterator<Item = &'a Self>,
        out: &mut Vec<u8>,
        _: usize,
    ) -> Result<(), EncodeError> {
        out.extend(values.map(|value| u8::from(*value)));
        Ok(())
    }

    fn read_all(slot: Slot<'_>, _: usize) -> Result<Vec<Self>, DecodeError> {
        Ok(slot.booleans()?.collect())
    }
}

macro_rules! strings {
    ($($string:ty: $name:literal, |$bytes:ident| $read:expr);* $(;)?) => {
        $(impl Codec for $string {
            type Value = $string;

            #[inline]
            fn write(value: &Self, tag: u16, record: &mut Record, out: &mut Vec<u8>, _: usize) -> Result<(), EncodeError> {
                room(value.len())?;
                record.bytes(out, tag, value.as_ref());
                Ok(())
            }

            #[inline]
            fn read(slot: Slot<'_>, _: usize) -> Result<Self, DecodeError> {
                let $bytes = slot.item()?;
                $read
            }

            fn describe(_: &mut SchemaText) -> String {
                $name.to_owned()
            }
        }

        impl Element for $string {
            fn write_all<'a>(values: impl Iterator<Item = &'a Self>, out: &mut Vec<u8>, _: usize) -> Result<(), EncodeError> {
                for value in values {
                    room(value.len())?;
                    push_item(out, value.as_ref());
                }
                Ok(())
            }

            fn read_all(slot: Slot<'_>, _: usize) -> Result<Vec<Self>, DecodeError> {
                let elements = slot.elements()?;
                let mut values = room_for(&elements);
                for element in elements {
                    let $bytes = element?;
                    let read: Result<Self, DecodeError> = $read;
                    values.push(read?);
                }
                Ok(values)
            }
        })*
    };
}
strings! {
    String: "string", |bytes| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(DecodeCause::Utf8.into()),
    };
    Vec<u8>: "binary", |bytes| Ok(bytes.to_vec());
}

/// A string that no message could hold is refused before its length could overflow.
#[inline]
fn room(len: usize) -> Result<(), EncodeError> {
    if len > MAX_MESSAGE_BYTES {
        return Err(EncodeError::TooLarge);
    }
    Ok(())
}

impl<T: Codec<Value = T>> Codec for Option<T> {
    type Value = Option<T>;

    #[inline]
    fn write(
        value: &Self,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => T::write(value, tag, record, out, level),
            None => Ok(()),
        }
    }

    #[inline]
    fn read(slot: Slot<'_>, level: usize) -> Result<Self, DecodeError> {
        T::read(slot, level).map(Some)
    }

    fn describe(text: &mut SchemaText) -> String {
        T::describe(text)
    }
}

impl<T: Sproto> Codec for Box<T> {
    type Value = Box<T>;

    fn write(
        value: &Self,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError> {
        write_struct(&**value, tag, record, out, level)
    }

    fn read(slot: Slot<'_>, level: usize) -> Result<Self, DecodeError> {
        read_struct(slot.item()?, level).map(Box::new)
    }

    fn describe(text: &mut SchemaText) -> String {
        text.mention::<T>()
    }
}

impl<T: Element> Codec for Vec<T> {
    type Value = Vec<T>;

    #[inline]
    fn write(
        value: &Self,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError> {
        let item = record.begin_item(out, tag);
        T::write_all(value.iter(), out, level)?;
        room(out.len())?;
        item.end(out);
        Ok(())
    }

    #[inline]
    fn read(slot: Slot<'_>, level: usize) -> Result<Self, DecodeError> {
        T::read_all(slot, level)
    }

    fn describe(text: &mut SchemaText) -> String {
        format!("*{}", T::describe(text))
    }
}

/// A number that is kept as an integer with `DIGITS` decimal places.
#[derive(Debug)]
pub struct Decimals<const DIGITS: u8, T>(PhantomData<T>);

/// 10 to the number of digits.
const fn scale(digits: u8) -> f64 {
    10i64.pow(digits as u32) as f64
}

impl<const DIGITS: u8> Codec for Decimals<DIGITS, f64> {
    type Value = f64;

    fn write(
        value: &f64,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        _: usize,
    ) -> Result<(), EncodeError> {
        record.integer(out, tag, (value * const { scale(DIGITS) }).round() as i64);
        Ok(())
    }

    fn read(slot: Slot<'_>, _: usize) -> Result<f64, DecodeError> {
        Ok(slot.integer()? as f64 / const { scale(DIGITS) })
    }

    fn describe(_: &mut SchemaText) -> String {
        format!("integer({DIGITS})")
    }
}

impl<const DIGITS: u8> Codec for Decimals<DIGITS, Option<f64>> {
    type Value = Option<f64>;

    fn write(
        value: &Option<f64>,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        level: usize,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => Decimals::<DIGITS, f64>::write(value, tag, record, out, level),
            None => Ok(()),
        }
    }

    fn read(slot: Slot<'_>, level: usize) -> Result<Option<f64>, DecodeError> {
        Decimals::<DIGITS, f64>::read(slot, level).map(Some)
    }

    fn describe(text: &mut SchemaText) -> String {
        Decimals::<DIGITS, f64>::describe(text)
    }
}

impl<const DIGITS: u8> Codec for Decimals<DIGITS, Vec<f64>> {
    type Value = Vec<f64>;

    fn write(
        values: &Vec<f64>,
        tag: u16,
        record: &mut Record,
        out: &mut Vec<u8>,
        _: usize,
    ) -> Result<(), EncodeError> {
        let item = record.begin_item(out, tag);
        let mut integers = Integers::begin(out);
        for value in values {
            integers.push(out, (value * const { scale(DIGITS) }).round() as i64);
        }
        item.end(out);
        Ok(())
    }

    fn read(slot: Slot<'_>, _: usize) -> Result<Vec<f64>, DecodeError> {
        Ok(slot
            .numbers()?
            .map(|value| value as f64 / const { scale(DIGITS) })
            .collect())
    }

    fn describe(_: &mut SchemaText) -> String {
        format!("*integer({DIGITS})")
    }
}

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
        enter_encode(level + 1)?;
        let item = record.begin_item(out, tag);
        for (key, value) in map.entries() {
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
        enter_decode(level + 1)?;
        let mut map = M::default();
        for element in slot.elements()? {
            let (mut key, mut value) = (None, None);
            let mut fields = Fields::new(element?)?;
            while let Some((tag, slot)) = fields.next_field()? {
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

impl DecodeError {
    /// The same with the field where it was found, unless a deeper one is known. For derived code.
    #[cold]
    #[must_use]
    pub fn in_field(self, within: &str, field: &str) -> DecodeError {
        self.within(&Arc::from(within), &Arc::from(field))
    }
}
