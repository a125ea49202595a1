//! Values of an image, in place.

use crate::error::{Damaged, ReadError};
use crate::key::{KeyRef, lossy};
use crate::layout::MAX_DEPTH;
use crate::node::{Node, Slot};
use crate::object::Object;
use crate::table::Table;

/// A value of an image, in place. Copying it copies nothing of the image.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A text of any bytes.
    Text(&'a [u8]),
    /// Something of this process.
    Object(&'a Object),
    /// A table.
    Table(Table<'a>),
}

impl<'a> Value<'a> {
    /// The value of a key of this table.
    ///
    /// # Errors
    /// When this is no table, when it has no such key, and when the image's file is damaged.
    pub fn get<'k>(self, key: impl Into<KeyRef<'k>>) -> Result<Value<'a>, ReadError> {
        let key = key.into();
        match self {
            Value::Table(table) => table.get(key),
            _ => Err(ReadError::NotATable(key.to_key())),
        }
    }

    /// The integer.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    /// The number, as a float.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Value::Integer(integer) => Some(integer as f64),
            Value::Float(float) => Some(float),
            _ => None,
        }
    }

    /// The boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Value::Boolean(boolean) => Some(boolean),
            _ => None,
        }
    }

    /// The bytes of the text.
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, when it is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        self.as_bytes().and_then(|text| std::str::from_utf8(text).ok())
    }

    /// The object.
    pub fn as_object(self) -> Option<&'a Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The table.
    pub fn as_table(self) -> Option<Table<'a>> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn of(node: Node<'a>, slot: usize, len: usize) -> Result<Option<Value<'a>>, Damaged> {
        Ok(match node.slot(slot, len)? {
            Slot::Node(node) => Some(Value::Table(Table::at(node)?)),
            scalar => Value::scalar(scalar),
        })
    }

    /// What is in a slot, if it is a value and no table.
    #[inline]
    pub(crate) fn scalar(slot: Slot<'a>) -> Option<Value<'a>> {
        Some(match slot {
            Slot::Nil | Slot::Node(_) => return None,
            Slot::Boolean(boolean) => Value::Boolean(boolean),
            Slot::Integer(integer) => Value::Integer(integer),
            Slot::Float(float) => Value::Float(float),
            Slot::Text(text) => Value::Text(text),
            Slot::Object(object) => Value::Object(object),
        })
    }
}

impl std::fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Shown(Value::Table(*self), MAX_DEPTH).fmt(f)
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Shown(*self, MAX_DEPTH).fmt(f)
    }
}

/// A value to be printed, and how deep tables may be nested in it: a damaged image may have more.
struct Shown<'a>(Value<'a>, usize);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = match self.0 {
            Value::Boolean(boolean) => return boolean.fmt(f),
            Value::Integer(integer) => return integer.fmt(f),
            Value::Float(float) => return float.fmt(f),
            Value::Text(text) => return lossy(text).fmt(f),
            Value::Object(object) => return object.fmt(f),
            Value::Table(table) => table,
        };
        let Some(depth) = self.1.checked_sub(1) else {
            return f.write_str("nested too deep");
        };
        let mut map = f.debug_map();
        for entry in table.entries() {
            match entry {
                Ok((key, value)) => map.entry(&format_args!("{key}"), &Shown(value, depth)),
                Err(error) => map.entry(&"damaged", &error),
            };
        }
        map.finish()
    }
}
