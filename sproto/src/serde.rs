//! Any type that serde knows as a message, by a schema: for programs that have such types already, and for JSON. Types made for
//! sproto are faster with [`Sproto`](crate::Sproto).
//!
//! ```
//! use fulmar_sproto::{parse, serde};
//!
//! let schema = parse(".Person { name 0 : string  age 1 : integer  friends 2 : *Person(name) }", "people.sproto")?;
//! let person = schema.type_named("Person").expect("it is there");
//! let json = serde_json::json!({ "name": "Bob", "friends": { "Alice": { "name": "Alice", "age": 13 } } });
//!
//! let bytes = serde::to_vec(&schema, person, &json)?;
//! let back: serde_json::Value = serde::from_slice(&schema, person, &bytes)?;
//! assert_eq!(back, json);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | serde | sproto |
//! |---|---|
//! | structures, maps with texts as keys | structures: fields by name; a name that the type lacks is an error |
//! | sequences, tuples | arrays |
//! | maps; sequences of elements with their key | `*T(key)`, `*T()` |
//! | integers, floats, texts, bytes, booleans | what the schema says, where that loses nothing |
//! | `None`, unit | an absent field |
//! | enums | a text for a variant without content; else a structure with one field |
//!
//! Reading gives texts where the bytes are UTF-8, and bytes elsewhere.

use std::fmt;
use std::sync::Arc;

use ::serde::de::value::{MapDeserializer, SeqDeserializer};
use ::serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use ::serde::ser::{self, Serialize};

use crate::error::{DecodeError, EncodeError};
use crate::schema::{Field, Kind, Schema, Shape, Type};
use crate::value::{Struct, Value};

/// Why a value does not go through serde.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerdeError {
    /// A type's own complaint, or a value that a schema cannot express.
    #[error("{0}")]
    Message(Box<str>),
    /// A value that the schema cannot express in this field.
    #[error("{within}.{field}: {text}")]
    Field {
        /// The type.
        within: Box<str>,
        /// The field.
        field: Box<str>,
        /// What is wrong with the value.
        text: Box<str>,
    },
    /// The value does not fit the schema.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The bytes are no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl ser::Error for SerdeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        SerdeError::Message(message.to_string().into())
    }
}

impl de::Error for SerdeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        SerdeError::Message(message.to_string().into())
    }
}

/// A value as a message of type `of`.
///
/// # Errors
/// [`SerdeError`], with the field that does not fit.
pub fn to_vec<T: Serialize + ?Sized>(schema: &Schema, of: &Type, value: &T) -> Result<Vec<u8>, SerdeError> {
    let mut out = Vec::new();
    schema.encode(of, &to_struct(schema, of, value)?, &mut out)?;
    Ok(out)
}

/// A value out of a message of type `of`; bytes behind the message are ignored.
///
/// # Errors
/// [`SerdeError`]: the bytes are no message, or the type does not take what is in it.
pub fn from_slice<T: DeserializeOwned>(schema: &Schema, of: &Type, message: &[u8]) -> Result<T, SerdeError> {
    let (value, _) = schema.decode(of, message)?;
    from_struct(value)
}

/// A value as a tree of type `of`.
///
/// # Errors
/// [`SerdeError::Message`], with the field that does not fit.
pub fn to_struct<T: Serialize + ?Sized>(schema: &Schema, of: &Type, value: &T) -> Result<Struct, SerdeError> {
    match value.serialize(ToValue)? {
        Some(value) => structure(schema, of, value, 0),
        None => Ok(Struct::new()),
    }
}

/// A value out of a tree.
///
/// # Errors
/// [`SerdeError::Message`] when the type does not take what is in the tree.
pub fn from_struct<T: DeserializeOwned>(value: Struct) -> Result<T, SerdeError> {
    T::deserialize(FromValue(Value::Struct(value)))
}

/// What serde gave as what the schema says.
fn structure(schema: &Schema, of: &Type, value: Value, depth: usize) -> Result<Struct, SerdeError> {
    let entries: Vec<(Arc<str>, Value)> = match value {
        Value::Struct(value) => value.into_fields(),
        Value::Map(pairs) => pairs
            .into_iter()
            .map(|(key, value)| match key.as_str() {
                Some(name) => Ok((Arc::from(name), value)),
                None => Err(refuse(format!(
                    "{} has fields by name, not by {key:?}",
                    of.name()
                ))),
            })
            .collect::<Result<_, _>>()?,
        other => return Err(refuse(format!("{} is a structure, not {other:?}", of.name()))),
    };
    let mut result = Struct::new();
    for (name, value) in entries {
        let Some(field) = of.field_named(&name) else {
            return Err(refuse(format!("{} has no field {name}", of.name())));
        };
        let value = field_value(schema, field, value, depth).map_err(|error| match error {
            SerdeError::Message(text) => SerdeError::Field {
                within: of.name().into(),
                field: field.name().into(),
                text,
            },
            error => error,
        })?;
        result.set(name, value);
    }
    Ok(result)
}

fn field_value(schema: &Schema, field: &Field, value: Value, depth: usize) -> Result<Value, SerdeError> {
    if depth > crate::MAX_DEPTH {
        return Err(EncodeError::TooDeep.into());
    }
    let one = |value| single(schema, field.kind(), value, depth);
    match (field.shape(), value) {
        (Shape::One, value) => one(value),
        (Shape::Array, Value::Bytes(bytes)) => bytes
            .into_iter()
            .map(|byte| one(Value::Integer(byte.into())))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        (Shape::Array, Value::Array(values)) => values
            .into_iter()
            .map(one)
            .collect::<Result<_, _>>()
            .map(Value::Array),
        (Shape::Keyed { .. }, Value::Array(values)) => values
            .into_iter()
            .map(|value| Ok((Value::Boolean(true), one(value)?)))
            .collect::<Result<_, SerdeError>>()
            .map(Value::Map),
        (Shape::Keyed { .. }, value) => pairs_of(value)?
            .into_iter()
            .map(|(key, value)| Ok((key, one(value)?)))
            .collect::<Result<_, SerdeError>>()
            .map(Value::Map),
        (Shape::Pairs, value) => {
            let Kind::Struct(index) = field.kind() else {
                return Err(refuse("a map of plain values".to_owned()));
            };
            let [key_field, value_field] = schema.type_at(index).fields() else {
                return Err(refuse("a map whose elements have not two fields".to_owned()));
            };
            pairs_of(value)?
                .into_iter()
                .map(|(key, value)| {
                    let key = field_value(schema, key_field, key_of(key_field, key), depth + 1)?;
                    Ok((key, field_value(schema, value_field, value, depth + 1)?))
                })
                .collect::<Result<_, SerdeError>>()
                .map(Value::Map)
        }
        (Shape::Array, value) => Err(refuse(format!("a list is needed, not {value:?}"))),
    }
}

fn pairs_of(value: Value) -> Result<Vec<(Value, Value)>, SerdeError> {
    match value {
        Value::Map(pairs) => Ok(pairs),
        Value::Struct(value) => Ok(value
            .into_fields()
            .into_iter()
            .map(|(name, value)| (Value::from(&*name), value))
            .collect()),
        other => Err(refuse(format!("a map is needed, not {other:?}"))),
    }
}

/// JSON has only texts as keys: a number or a boolean comes as its text.
fn key_of(field: &Field, key: Value) -> Value {
    let parsed = match (field.kind(), key.as_str()) {
        (Kind::Integer, Some(text)) => text.parse().ok().map(Value::Integer),
        (Kind::Decimal(_) | Kind::Double, Some(text)) => text.parse().ok().map(Value::Double),
        (Kind::Boolean, Some(text)) => text.parse().ok().map(Value::Boolean),
        _ => None,
    };
    parsed.unwrap_or(key)
}

fn single(schema: &Schema, kind: Kind, value: Value, depth: usize) -> Result<Value, SerdeError> {
    match (kind, value) {
        (Kind::Struct(index), value) => {
            structure(schema, schema.type_at(index), value, depth + 1).map(Value::Struct)
        }
        (Kind::Integer, Value::Double(value)) if value.fract() == 0.0 && value.abs() < 9e15 => {
            Ok(Value::Integer(value as i64))
        }
        // A list of small numbers is how JSON writes bytes.
        (Kind::String | Kind::Binary, Value::Array(values)) => values
            .iter()
            .map(|value| value.as_integer().and_then(|value| u8::try_from(value).ok()))
            .collect::<Option<Vec<u8>>>()
            .map(Value::Bytes)
            .ok_or_else(|| refuse("a text or a list of bytes is needed".to_owned())),
        (_, value) => Ok(value),
    }
}

#[cold]
fn refuse(text: String) -> SerdeError {
    SerdeError::Message(text.into())
}

/// Makes trees without a schema; none for what is absent.
#[derive(Clone, Copy)]
struct ToValue;

/// A list or a map under way.
struct Gather {
    values: Vec<Value>,
    pairs: Vec<(Value, Value)>,
    fields: Struct,
    /// The variant of an enum that it is the content of.
    variant: Option<&'static str>,
}

impl Gather {
    fn new(variant: Option<&'static str>) -> Gather {
        Gather {
            values: Vec::new(),
            pairs: Vec::new(),
            fields: Struct::new(),
            variant,
        }
    }

    fn wrap(variant: Option<&'static str>, value: Value) -> Option<Value> {
        Some(match variant {
            Some(variant) => Struct::new().with(variant, value).into(),
            None => value,
        })
    }
}

macro_rules! scalars {
    ($($method:ident($from:ty) => |$value:ident| $made:expr;)*) => {
        $(fn $method(self, $value: $from) -> Result<Self::Ok, SerdeError> {
            $made
        })*
    };
}

impl ser::Serializer for ToValue {
    type Ok = Option<Value>;
    type Error = SerdeError;
    type SerializeSeq = Gather;
    type SerializeTuple = Gather;
    type SerializeTupleStruct = Gather;
    type SerializeTupleVariant = Gather;
    type SerializeMap = Gather;
    type SerializeStruct = Gather;
    type SerializeStructVariant = Gather;

    scalars! {
        serialize_bool(bool) => |value| Ok(Some(Value::Boolean(value)));
        serialize_i8(i8) => |value| Ok(Some(Value::Integer(value.into())));
        serialize_i16(i16) => |value| Ok(Some(Value::Integer(value.into())));
        serialize_i32(i32) => |value| Ok(Some(Value::Integer(value.into())));
        serialize_i64(i64) => |value| Ok(Some(Value::Integer(value)));
        serialize_u8(u8) => |value| Ok(Some(Value::Integer(value.into())));
        serialize_u16(u16) => |value| Ok(Some(Value::Integer(value.into())));
        serialize_u32(u32) => |value| Ok(Some(Value::Integer(value.into())));
        serialize_u64(u64) => |value| match i64::try_from(value) {
            Ok(value) => Ok(Some(Value::Integer(value))),
            Err(_) => Err(EncodeError::OutOfRange.into()),
        };
        serialize_f32(f32) => |value| Ok(Some(Value::Double(value.into())));
        serialize_f64(f64) => |value| Ok(Some(Value::Double(value)));
        serialize_char(char) => |value| Ok(Some(Value::from(value.to_string())));
        serialize_str(&str) => |value| Ok(Some(Value::from(value)));
        serialize_bytes(&[u8]) => |value| Ok(Some(Value::Bytes(value.to_vec())));
    }

    fn serialize_none(self) -> Result<Self::Ok, SerdeError> {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, SerdeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Self::Ok, SerdeError> {
        Ok(None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Self::Ok, SerdeError> {
        Ok(Some(Struct::new().into()))
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Self::Ok, SerdeError> {
        Ok(Some(variant.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Self::Ok, SerdeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Self::Ok, SerdeError> {
        Ok(value
            .serialize(self)?
            .and_then(|value| Gather::wrap(Some(variant), value)))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Gather, SerdeError> {
        Ok(Gather::new(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Gather, SerdeError> {
        Ok(Gather::new(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Gather, SerdeError> {
        Ok(Gather::new(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Gather, SerdeError> {
        Ok(Gather::new(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Gather, SerdeError> {
        Ok(Gather::new(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Gather, SerdeError> {
        Ok(Gather::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Gather, SerdeError> {
        Ok(Gather::new(Some(variant)))
    }
}

macro_rules! lists {
    ($($of:ident: $method:ident),*) => {
        $(impl ser::$of for Gather {
            type Ok = Option<Value>;
            type Error = SerdeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
                match value.serialize(ToValue)? {
                    Some(value) => self.values.push(value),
                    None => return Err(refuse("a list cannot hold what is absent".to_owned())),
                }
                Ok(())
            }

            fn end(self) -> Result<Option<Value>, SerdeError> {
                Ok(Gather::wrap(self.variant, Value::Array(self.values)))
            }
        })*
    };
}
lists!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

macro_rules! structures {
    ($($of:ident),*) => {
        $(impl ser::$of for Gather {
            type Ok = Option<Value>;
            type Error = SerdeError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), SerdeError> {
                if let Some(value) = value.serialize(ToValue)? {
                    self.fields.set(name, value);
                }
                Ok(())
            }

            fn end(self) -> Result<Option<Value>, SerdeError> {
                Ok(Gather::wrap(self.variant, self.fields.into()))
            }
        })*
    };
}
structures!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Gather {
    type Ok = Option<Value>;
    type Error = SerdeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerdeError> {
        let key = key.serialize(ToValue)?;
        self.values
            .push(key.ok_or_else(|| refuse("a key cannot be absent".to_owned()))?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        let key = self.values.pop();
        if let (Some(key), Some(value)) = (key, value.serialize(ToValue)?) {
            self.pairs.push((key, value));
        }
        Ok(())
    }

    fn end(self) -> Result<Option<Value>, SerdeError> {
        Ok(Gather::wrap(self.variant, Value::Map(self.pairs)))
    }
}

/// Gives a tree to a type of serde.
struct FromValue(Value);

impl<'de> IntoDeserializer<'de, SerdeError> for FromValue {
    type Deserializer = FromValue;

    fn into_deserializer(self) -> FromValue {
        self
    }
}

impl<'de> de::Deserializer<'de> for FromValue {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.0 {
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Double(value) => visitor.visit_f64(value),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Bytes(value) => match String::from_utf8(value) {
                Ok(text) => visitor.visit_string(text),
                Err(error) => visitor.visit_byte_buf(error.into_bytes()),
            },
            Value::Array(values) => {
                visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(FromValue)))
            }
            Value::Struct(value) => {
                let fields = value.into_fields().into_iter();
                visitor.visit_map(MapDeserializer::new(
                    fields.map(|(name, value)| (FromValue((&*name).into()), FromValue(value))),
                ))
            }
            Value::Map(pairs) => {
                let pairs = pairs.into_iter();
                visitor.visit_map(MapDeserializer::new(
                    pairs.map(|(key, value)| (FromKey(key), FromValue(value))),
                ))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.0 {
            Value::Bytes(value) => visitor.visit_byte_buf(value),
            other => FromValue(other).deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.0 {
            // A list of bytes, for a type that knows no bytes.
            Value::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(
                bytes.into_iter().map(|byte| FromValue(i64::from(byte).into())),
            )),
            // The elements of a map, for a type that has a list of them.
            Value::Map(pairs) => visitor.visit_seq(SeqDeserializer::new(
                pairs.into_iter().map(|(_, value)| FromValue(value)),
            )),
            other => FromValue(other).deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        match self.0 {
            Value::Bytes(value) => {
                let text = String::from_utf8(value).map_err(|_| refuse("a variant is a text".to_owned()))?;
                text.into_deserializer().deserialize_enum(name, variants, visitor)
            }
            Value::Struct(value) => {
                let fields = value.into_fields().into_iter();
                let fields = fields.map(|(name, value)| (FromValue((&*name).into()), FromValue(value)));
                visitor.visit_enum(de::value::MapAccessDeserializer::new(MapDeserializer::new(
                    fields,
                )))
            }
            other => Err(refuse(format!("{name} is one of {variants:?}, not {other:?}"))),
        }
    }

    ::serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// A key: numbers and booleans also as texts, for formats whose keys are texts.
struct FromKey(Value);

impl<'de> IntoDeserializer<'de, SerdeError> for FromKey {
    type Deserializer = FromKey;

    fn into_deserializer(self) -> FromKey {
        self
    }
}

impl<'de> de::Deserializer<'de> for FromKey {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        FromValue(self.0).deserialize_any(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.0 {
            Value::Integer(key) => visitor.visit_string(key.to_string()),
            Value::Double(key) => visitor.visit_string(key.to_string()),
            Value::Boolean(key) => visitor.visit_string(key.to_string()),
            other => FromValue(other).deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.deserialize_string(visitor)
    }

    ::serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}
