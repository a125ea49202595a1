//! Values without a Rust type of their own: trees that a schema gives their meaning.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{DecodeCause, DecodeError, EncodeError, WireError};
use crate::schema::{Field, Kind, Schema, Shape, Type};
use crate::wire::{Doubles, Fields, Integers, Item, Record, Slot, push_item};
use crate::{MAX_DEPTH, MAX_MESSAGE_BYTES};

/// A value of any type that a schema can describe.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `integer`.
    Integer(i64),
    /// `double` and `integer(n)`.
    Double(f64),
    /// `boolean`.
    Boolean(bool),
    /// `string` and `binary`: on the wire both are bytes.
    Bytes(Vec<u8>),
    /// A structure.
    Struct(Struct),
    /// `*T`.
    Array(Vec<Value>),
    /// `*T(key)`, from the key field's value to the structure, and `*T()`, from one field to the other. Keys do not repeat
    /// after decoding; a `*T(key)` is encoded by its values alone.
    Map(Vec<(Value, Value)>),
}

/// Fields by name, in no order that matters. Names that the schema does not know are ignored when it is encoded.
#[derive(Debug, Clone, Default)]
pub struct Struct {
    fields: Vec<(Arc<str>, Value)>,
}

impl Struct {
    /// One without fields.
    pub fn new() -> Struct {
        Struct::default()
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields
            .iter()
            .find(|(field, _)| &**field == name)
            .map(|(_, value)| value)
    }

    /// Sets a field.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.fields.iter_mut().find(|(field, _)| *field == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name, value)),
        }
    }

    /// The same with a field set.
    #[must_use]
    pub fn with(mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) -> Struct {
        self.set(name, value);
        self
    }

    #[cfg(feature = "serde")]
    pub(crate) fn into_fields(self) -> Vec<(Arc<str>, Value)> {
        self.fields
    }

    /// All fields.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (&**name, value))
    }
}

impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        self.fields.len() == other.fields.len()
            && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $made:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Value {
                $made
            }
        })*
    };
}
from! {
    i64 => |value| Value::Integer(value),
    i32 => |value| Value::Integer(value.into()),
    f64 => |value| Value::Double(value),
    bool => |value| Value::Boolean(value),
    &str => |value| Value::Bytes(value.into()),
    String => |value| Value::Bytes(value.into()),
    Vec<u8> => |value| Value::Bytes(value),
    Struct => |value| Value::Struct(value),
    Vec<Value> => |value| Value::Array(value),
}

impl Value {
    /// The integer, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The float, or the integer as one.
    pub fn as_double(&self) -> Option<f64> {
        match self {
            Value::Double(value) => Some(*value),
            Value::Integer(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The bytes of a string, if it is one.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// The text of a string, if it is one and UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The structure, if it is one.
    pub fn as_struct(&self) -> Option<&Struct> {
        match self {
            Value::Struct(value) => Some(value),
            _ => None,
        }
    }

    /// The elements of a list, if it is one.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The entries of a map, if it is one.
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// What it is, for errors.
    fn kind_name(&self) -> &'static str {
        match self {
            Value::Integer(_) => "integer",
            Value::Double(_) => "double",
            Value::Boolean(_) => "boolean",
            Value::Bytes(_) => "string",
            Value::Struct(_) => "structure",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
        }
    }
}

impl Schema {
    /// Appends a value of type `of` to `out`.
    ///
    /// Shape: one pass; no allocation but for `out`.
    ///
    /// # Errors
    /// [`EncodeError`] when a field does not fit its type, or the message becomes too large or too deep. `out` then holds what
    /// it held before.
    ///
    /// ```
    /// use fulmar_sproto::{Struct, parse};
    ///
    /// let schema = parse(".Person { name 0 : string  age 1 : integer }", "people.sproto")?;
    /// let person = schema.type_named("Person").expect("it is there");
    /// let alice = Struct::new().with("name", "Alice").with("age", 13);
    /// let mut out = Vec::new();
    /// schema.encode(person, &alice, &mut out)?;
    /// let (back, used) = schema.decode(person, &out)?;
    /// assert_eq!((back, used), (alice, out.len()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self, of: &Type, value: &Struct, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let mut encoder = Encoder {
            schema: self,
            limit: start + MAX_MESSAGE_BYTES,
            depth: 0,
        };
        let result = encoder.structure(of, value, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Decodes a value of type `of`, and says how many bytes it took: bytes behind it are allowed. Tags that the type does not
    /// have are skipped.
    ///
    /// Shape: memory in proportion to the input.
    ///
    /// # Errors
    /// [`DecodeError`], with the field where the fault is.
    pub fn decode(&self, of: &Type, message: &[u8]) -> Result<(Struct, usize), DecodeError> {
        let mut decoder = Decoder {
            schema: self,
            depth: 0,
        };
        let (value, rest) = decoder.structure(of, message)?;
        Ok((value, message.len() - rest.len()))
    }

    pub(crate) fn type_at(&self, index: usize) -> &Type {
        self.types()
            .get(index)
            .expect("indices of a schema are within it")
    }
}

struct Encoder<'a> {
    schema: &'a Schema,
    limit: usize,
    depth: usize,
}

impl Encoder<'_> {
    fn structure(&mut self, of: &Type, value: &Struct, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH && !of.fields.is_empty() {
            return Err(EncodeError::TooDeep);
        }
        let mut record = Record::begin(out, of.max_words());
        for field in &of.fields {
            if let Some(value) = value.get(&field.name) {
                self.field(of, field, value, &mut record, out)?;
            }
        }
        record.finish(out);
        self.depth -= 1;
        if out.len() > self.limit {
            return Err(EncodeError::TooLarge);
        }
        Ok(())
    }

    fn field(
        &mut self,
        of: &Type,
        field: &Field,
        value: &Value,
        record: &mut Record,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let wrong = |element, value: &Value| wrong_type(of, field, element, value);
        match (field.shape, value) {
            (Shape::One, value) => match (field.kind, value) {
                (Kind::Integer, Value::Integer(value)) => record.integer(out, field.tag, *value),
                (Kind::Decimal(_), value) => {
                    let value = decimal(field.kind, value).ok_or_else(|| wrong(0, value))?;
                    record.integer(out, field.tag, value);
                }
                (Kind::Boolean, Value::Boolean(value)) => record.boolean(out, field.tag, *value),
                (Kind::Double, Value::Double(value)) => record.double(out, field.tag, *value),
                (Kind::Double, Value::Integer(value)) => record.double(out, field.tag, *value as f64),
                (Kind::String | Kind::Binary, Value::Bytes(value)) => {
                    self.room(out, value.len())?;
                    record.bytes(out, field.tag, value);
                }
                (Kind::Struct(index), Value::Struct(value)) => {
                    let item = record.begin_item(out, field.tag);
                    self.structure(self.schema.type_at(index), value, out)?;
                    item.end(out);
                }
                (_, value) => return Err(wrong(0, value)),
            },
            (Shape::Array, Value::Array(values)) => {
                let item = record.begin_item(out, field.tag);
                self.array(of, field, values, out)?;
                item.end(out);
            }
            (Shape::Keyed { .. }, Value::Map(pairs)) => {
                let item = record.begin_item(out, field.tag);
                for (place, (_, value)) in pairs.iter().enumerate() {
                    self.element(of, field, place + 1, value, out)?;
                }
                item.end(out);
            }
            (Shape::Pairs, Value::Map(pairs)) => {
                let item = record.begin_item(out, field.tag);
                self.pairs(field, pairs, out)?;
                item.end(out);
            }
            (_, value) => return Err(wrong(0, value)),
        }
        Ok(())
    }

    fn array(
        &mut self,
        of: &Type,
        field: &Field,
        values: &[Value],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let wrong = |place: usize, value: &Value| wrong_type(of, field, place + 1, value);
        self.room(out, values.len())?;
        let mut integers = Integers::begin(out);
        let mut doubles = Doubles::default();
        for (place, value) in values.iter().enumerate() {
            match (field.kind, value) {
                (Kind::Integer, Value::Integer(value)) => integers.push(out, *value),
                (Kind::Decimal(_), value) => {
                    let value = decimal(field.kind, value).ok_or_else(|| wrong(place, value))?;
                    integers.push(out, value);
                }
                (Kind::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
                (Kind::Double, Value::Double(value)) => doubles.push(out, *value),
                (Kind::Double, Value::Integer(value)) => doubles.push(out, *value as f64),
                (Kind::String | Kind::Binary, Value::Bytes(value)) => {
                    self.room(out, value.len())?;
                    push_item(out, value);
                }
                (Kind::Struct(_), value) => self.element(of, field, place + 1, value, out)?,
                (_, value) => return Err(wrong(place, value)),
            }
        }
        Ok(())
    }

    /// A structure as an element of an array.
    fn element(
        &mut self,
        of: &Type,
        field: &Field,
        place: usize,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let (Kind::Struct(index), Value::Struct(value)) = (field.kind, value) else {
            return Err(wrong_type(of, field, place, value));
        };
        let item = Item::begin(out);
        self.structure(self.schema.type_at(index), value, out)?;
        item.end(out);
        Ok(())
    }

    fn pairs(
        &mut self,
        field: &Field,
        pairs: &[(Value, Value)],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let Kind::Struct(index) = field.kind else {
            return Ok(());
        };
        let element = self.schema.type_at(index);
        let [key_field, value_field] = element.fields.as_slice() else {
            return Ok(());
        };
        self.depth += 1;
        for (key, value) in pairs {
            if self.depth > MAX_DEPTH {
                return Err(EncodeError::TooDeep);
            }
            let item = Item::begin(out);
            let mut record = Record::begin(out, element.max_words());
            self.field(element, key_field, key, &mut record, out)?;
            self.field(element, value_field, value, &mut record, out)?;
            record.finish(out);
            item.end(out);
        }
        self.depth -= 1;
        self.room(out, 0)
    }

    /// Whether `len` more bytes may follow.
    fn room(&self, out: &[u8], len: usize) -> Result<(), EncodeError> {
        if out.len().saturating_add(len) > self.limit {
            return Err(EncodeError::TooLarge);
        }
        Ok(())
    }
}

/// The integer that stands for a number with decimal places: rounded, half away from zero.
fn decimal(kind: Kind, value: &Value) -> Option<i64> {
    let value = match value {
        Value::Integer(value) => *value as f64,
        Value::Double(value) => *value,
        _ => return None,
    };
    Some((value * kind.scale()).round() as i64)
}

#[cold]
fn wrong_type(of: &Type, field: &Field, element: usize, value: &Value) -> EncodeError {
    let expected = match (field.shape, field.kind) {
        (Shape::Array, _) if element == 0 => "an array",
        (Shape::Keyed { .. } | Shape::Pairs, _) if element == 0 => "a map",
        (_, Kind::Integer) => "an integer",
        (_, Kind::Decimal(_) | Kind::Double) => "a number",
        (_, Kind::Boolean) => "a boolean",
        (_, Kind::String | Kind::Binary) => "a string",
        (_, Kind::Struct(_)) => "a structure",
    };
    EncodeError::WrongType {
        within: of.name().to_owned(),
        field: field.name().to_owned(),
        element,
        expected,
        found: value.kind_name(),
    }
}

/// The value of one field, out of a message that was checked.
pub(crate) fn of_field(schema: &Schema, field: &Field, slot: Slot<'_>) -> Result<Value, DecodeError> {
    Decoder { schema, depth: 0 }.field(field, slot)
}

struct Decoder<'a> {
    schema: &'a Schema,
    depth: usize,
}

impl Decoder<'_> {
    /// A structure, and the bytes behind it.
    fn structure<'m>(&mut self, of: &Type, message: &'m [u8]) -> Result<(Struct, &'m [u8]), DecodeError> {
        self.depth += 1;
        let mut fields = Fields::new(message)?;
        let mut value = Struct::new();
        while let Some((tag, slot)) = fields.next_field()? {
            let Some((_, field)) = of.field_tagged(tag) else {
                continue;
            };
            if self.depth > MAX_DEPTH {
                return Err(DecodeCause::TooDeep.into());
            }
            let read = self
                .field(field, slot)
                .map_err(|error| error.within(&of.name, &field.name))?;
            value.fields.push((field.name.clone(), read));
        }
        self.depth -= 1;
        Ok((value, fields.rest()))
    }

    /// A structure that fills its item.
    fn whole(&mut self, of: &Type, item: &[u8]) -> Result<Struct, DecodeError> {
        let (value, rest) = self.structure(of, item)?;
        match rest.len() {
            0 => Ok(value),
            left => Err(WireError::Trailing { left }.into()),
        }
    }

    fn field(&mut self, field: &Field, slot: Slot<'_>) -> Result<Value, DecodeError> {
        let scaled = |value: i64| Value::Double(value as f64 / field.kind.scale());
        Ok(match (field.shape, field.kind) {
            (Shape::One, kind) => match kind {
                Kind::Integer => Value::Integer(slot.integer()?),
                Kind::Decimal(_) => scaled(slot.integer()?),
                Kind::Boolean => Value::Boolean(slot.boolean()?),
                Kind::Double => Value::Double(slot.double()?),
                Kind::String | Kind::Binary => Value::Bytes(slot.item()?.to_vec()),
                Kind::Struct(index) => Value::Struct(self.whole(self.schema.type_at(index), slot.item()?)?),
            },
            (Shape::Array, kind) => Value::Array(match kind {
                Kind::Integer => slot.numbers()?.map(Value::Integer).collect(),
                Kind::Decimal(_) => slot.numbers()?.map(scaled).collect(),
                Kind::Double => slot
                    .numbers()?
                    .map(|bits| Value::Double(f64::from_bits(bits as u64)))
                    .collect(),
                Kind::Boolean => slot.booleans()?.map(Value::Boolean).collect(),
                Kind::String | Kind::Binary => slot
                    .elements()?
                    .map(|element| Ok(Value::Bytes(element?.to_vec())))
                    .collect::<Result<_, DecodeError>>()?,
                Kind::Struct(index) => {
                    let of = self.schema.type_at(index);
                    slot.elements()?
                        .map(|element| Ok(Value::Struct(self.whole(of, element?)?)))
                        .collect::<Result<_, DecodeError>>()?
                }
            }),
            (Shape::Keyed { key }, Kind::Struct(index)) => {
                let of = self.schema.type_at(index);
                let name = of.field_tagged(key.into()).map_or("", |(_, field)| field.name());
                let mut map = Map::default();
                for element in slot.elements()? {
                    let value = self.whole(of, element?)?;
                    let key = value.get(name).cloned().ok_or(DecodeCause::NoKey { tag: key })?;
                    map.insert(key, Value::Struct(value));
                }
                Value::Map(map.pairs)
            }
            (Shape::Pairs, Kind::Struct(index)) => {
                let of = self.schema.type_at(index);
                let (key_name, value_name) = match of.fields.as_slice() {
                    [key, value] => (key.name(), value.name()),
                    _ => ("", ""),
                };
                let mut map = Map::default();
                for element in slot.elements()? {
                    let mut element = self.whole(of, element?)?;
                    let mut take = |name| {
                        let place = element.fields.iter().position(|(field, _)| &**field == name)?;
                        Some(element.fields.swap_remove(place).1)
                    };
                    let key = take(key_name).ok_or(DecodeCause::NoPairKey)?;
                    let value = take(value_name).ok_or(DecodeCause::NoPairValue)?;
                    map.insert(key, value);
                }
                Value::Map(map.pairs)
            }
            (Shape::Keyed { .. } | Shape::Pairs, _) => Value::Map(Vec::new()),
        })
    }
}

/// A map being decoded: the last of several elements with one key counts.
#[derive(Default)]
struct Map {
    pairs: Vec<(Value, Value)>,
    places: HashMap<Vec<u8>, usize>,
}

impl Map {
    fn insert(&mut self, key: Value, value: Value) {
        // Keys of one map have one kind, so their bytes tell them apart.
        let bytes = match &key {
            Value::Integer(key) => key.to_le_bytes().to_vec(),
            // The two zeros are one key.
            Value::Double(key) => (key + 0.0).to_le_bytes().to_vec(),
            Value::Boolean(key) => vec![u8::from(*key)],
            Value::Bytes(key) => key.clone(),
            other => format!("{other:?}").into_bytes(),
        };
        match self.places.entry(bytes) {
            std::collections::hash_map::Entry::Occupied(place) => {
                if let Some(pair) = self.pairs.get_mut(*place.get()) {
                    pair.1 = value;
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.pairs.len());
                self.pairs.push((key, value));
            }
        }
    }
}
