//! From anything that serde knows to keys.

use serde::ser::{self, Impossible, Serialize};

use crate::error::BuildError;
use crate::key::Key;

/// Keys: integers and texts.
pub(super) struct KeySerializer;

impl ser::Serializer for KeySerializer {
    type Ok = Key;
    type Error = BuildError;
    type SerializeSeq = Impossible<Key, BuildError>;
    type SerializeTuple = Impossible<Key, BuildError>;
    type SerializeTupleStruct = Impossible<Key, BuildError>;
    type SerializeTupleVariant = Impossible<Key, BuildError>;
    type SerializeMap = Impossible<Key, BuildError>;
    type SerializeStruct = Impossible<Key, BuildError>;
    type SerializeStructVariant = Impossible<Key, BuildError>;

    fn serialize_i8(self, value: i8) -> Result<Key, BuildError> {
        Ok(Key::Integer(value.into()))
    }
    fn serialize_i16(self, value: i16) -> Result<Key, BuildError> {
        Ok(Key::Integer(value.into()))
    }
    fn serialize_i32(self, value: i32) -> Result<Key, BuildError> {
        Ok(Key::Integer(value.into()))
    }
    fn serialize_i64(self, value: i64) -> Result<Key, BuildError> {
        Ok(Key::Integer(value))
    }
    fn serialize_u8(self, value: u8) -> Result<Key, BuildError> {
        Ok(Key::Integer(value.into()))
    }
    fn serialize_u16(self, value: u16) -> Result<Key, BuildError> {
        Ok(Key::Integer(value.into()))
    }
    fn serialize_u32(self, value: u32) -> Result<Key, BuildError> {
        Ok(Key::Integer(value.into()))
    }
    fn serialize_u64(self, value: u64) -> Result<Key, BuildError> {
        i64::try_from(value)
            .map(Key::Integer)
            .map_err(|_| BuildError::IntegerTooLarge)
    }
    fn serialize_char(self, value: char) -> Result<Key, BuildError> {
        Ok(Key::Text(value.to_string().into_bytes().into()))
    }
    fn serialize_str(self, value: &str) -> Result<Key, BuildError> {
        Ok(value.into())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Key, BuildError> {
        Ok(Key::Text(value.into()))
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Key, BuildError> {
        Ok(variant.into())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Key, BuildError> {
        value.serialize(self)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Key, BuildError> {
        value.serialize(self)
    }
    fn serialize_bool(self, _: bool) -> Result<Key, BuildError> {
        Err(BuildError::Key("a boolean"))
    }
    fn serialize_f32(self, _: f32) -> Result<Key, BuildError> {
        Err(BuildError::Key("a float"))
    }
    fn serialize_f64(self, _: f64) -> Result<Key, BuildError> {
        Err(BuildError::Key("a float"))
    }
    fn serialize_none(self) -> Result<Key, BuildError> {
        Err(BuildError::Key("nothing"))
    }
    fn serialize_unit(self) -> Result<Key, BuildError> {
        Err(BuildError::Key("nothing"))
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Key, BuildError> {
        Err(BuildError::Key("nothing"))
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Key, BuildError> {
        Err(BuildError::Key("a table"))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, BuildError> {
        Err(BuildError::Key("a table"))
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, BuildError> {
        Err(BuildError::Key("a table"))
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, BuildError> {
        Err(BuildError::Key("a table"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, BuildError> {
        Err(BuildError::Key("a table"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, BuildError> {
        Err(BuildError::Key("a table"))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, BuildError> {
        Err(BuildError::Key("a table"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, BuildError> {
        Err(BuildError::Key("a table"))
    }
}
