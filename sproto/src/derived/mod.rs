//! Rust types as messages: the trait [`Sproto`] and what its derive macro stands on.

mod maps;
mod text;
mod values;

use std::sync::Arc;

pub use self::maps::{KeyOf, Keyed, Map, Pairs};
pub use self::text::SchemaText;
pub use self::values::Decimals;
use crate::error::{DecodeCause, DecodeError, EncodeError, WireError};
use crate::wire::{Elements, Item, Record, Slot};
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
        text.into_text()
    }
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

/// A string that no message could hold is refused before its length could overflow.
#[inline]
fn room(len: usize) -> Result<(), EncodeError> {
    if len > MAX_MESSAGE_BYTES {
        return Err(EncodeError::TooLarge);
    }
    Ok(())
}

impl DecodeError {
    /// The same with the field where it was found, unless a deeper one is known. For derived code.
    #[cold]
    #[must_use]
    pub fn in_field(self, within: &str, field: &str) -> DecodeError {
        self.within(&Arc::from(within), &Arc::from(field))
    }
}
