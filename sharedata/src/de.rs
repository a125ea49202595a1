//! From a value in place to any type that serde knows. Texts can be borrowed from the image.

use serde::de::{
    self, DeserializeSeed, Deserializer as _, IntoDeserializer, MapAccess, SeqAccess, Visitor, value,
};
use serde::forward_to_deserialize_any;

use crate::key::KeyRef;
use crate::layout::MAX_DEPTH;
use crate::run::Entries;
use crate::table::Table;
use crate::value::Value;

type Error = value::Error;

impl<'de> Value<'de> {
    /// Makes a value of type `T` of this one and all below it.
    ///
    /// A table that has an array part and nothing else is a sequence, also for types that describe themselves; any other is a map. A
    /// hole is nothing, `None`, and so is what a tuple has behind the end of the array part.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Row<'a> { name: &'a str, price: f64, tags: Vec<String>, note: Option<String> }
    ///
    /// let store = fulmar_sharedata::Store::new();
    /// let image = store.build(&serde_json::json!({ "row": { "name": "sword", "price": 3, "tags": ["old"] } }))?;
    /// let row: Row = image.get("row")?.deserialize()?;
    /// assert_eq!((row.name, row.price, &*row.tags, row.note), ("sword", 3.0, &["old".to_owned()][..], None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When it is not of that type, is nested deeper than any image that was built, or is damaged.
    pub fn deserialize<T: de::Deserialize<'de>>(self) -> Result<T, Error> {
        T::deserialize(Deserializer {
            value: self,
            depth: MAX_DEPTH,
        })
    }
}

#[derive(Clone, Copy)]
struct Deserializer<'de> {
    value: Value<'de>,
    /// How deep tables below may be nested.
    depth: usize,
}

impl<'de> Deserializer<'de> {
    /// What walks a table, one level further down.
    fn walk(self, table: Table<'de>) -> Result<Walk<'de>, Error> {
        let depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| de::Error::custom("tables nested too deep"))?;
        Ok(Walk {
            entries: table.entries(),
            value: None,
            depth,
        })
    }

    /// A table as a sequence of at least so many elements.
    fn sequence<V: Visitor<'de>>(self, at_least: usize, visitor: V) -> Result<V::Value, Error> {
        let Value::Table(table) = self.value else {
            return self.deserialize_any(visitor);
        };
        let depth = self.walk(table)?.depth;
        let array_len = table.array_len().map_err(de::Error::custom)?;
        if table.places().map_err(de::Error::custom)? != array_len {
            return Err(de::Error::custom("a key that is no place of a sequence"));
        }
        let mut sequence = Sequence {
            table,
            next: 0,
            len: array_len.max(at_least as u64),
            depth,
        };
        let result = visitor.visit_seq(&mut sequence)?;
        match sequence.next == sequence.len {
            true => Ok(result),
            false => Err(de::Error::custom("more than a sequence takes")),
        }
    }
}

fn visit_text<'de, V: Visitor<'de>>(text: &'de [u8], visitor: V) -> Result<V::Value, Error> {
    match std::str::from_utf8(text) {
        Ok(text) => visitor.visit_borrowed_str(text),
        Err(_) => visitor.visit_borrowed_bytes(text),
    }
}

impl<'de> de::Deserializer<'de> for Deserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Boolean(boolean) => visitor.visit_bool(boolean),
            Value::Integer(integer) => visitor.visit_i64(integer),
            Value::Float(float) => visitor.visit_f64(float),
            Value::Text(text) => visit_text(text, visitor),
            Value::Object(_) => Err(de::Error::custom("an object of the process is no data")),
            Value::Table(table) => {
                let array_len = table.array_len().map_err(de::Error::custom)?;
                let places = table.places().map_err(de::Error::custom)?;
                if array_len > 0 && array_len == places {
                    self.sequence(0, visitor)
                } else {
                    visitor.visit_map(self.walk(table)?)
                }
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Text(text) => visitor.visit_borrowed_bytes(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.sequence(0, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.sequence(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.sequence(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Table(table) => visitor.visit_map(self.walk(table)?),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Table(table) => {
                let mut walk = self.walk(table)?;
                let (name, depth) = (walk.step()?, walk.depth);
                match (name, walk.entries.next()) {
                    (Some((KeyRef::Text(name), value)), None) => visitor.visit_enum(Variant {
                        name,
                        inner: Deserializer { value, depth },
                    }),
                    _ => Err(de::Error::custom("a variant is one name with its content")),
                }
            }
            Value::Text(text) => {
                let name = std::str::from_utf8(text).map_err(de::Error::custom)?;
                visitor.visit_enum(name.into_deserializer())
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct identifier ignored_any
    }
}

/// The entries of a table, one after the other.
struct Walk<'de> {
    entries: Entries<'de>,
    value: Option<Value<'de>>,
    depth: usize,
}

impl<'de> Walk<'de> {
    fn step(&mut self) -> Result<Option<(KeyRef<'de>, Value<'de>)>, Error> {
        self.entries.next().transpose().map_err(de::Error::custom)
    }
}

impl<'de> MapAccess<'de> for Walk<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.step()? else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(KeyDeserializer(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(Deserializer {
                value,
                depth: self.depth,
            }),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

/// The places of an array part, and nothing behind them.
struct Sequence<'de> {
    table: Table<'de>,
    next: u64,
    len: u64,
    depth: usize,
}

impl<'de> SeqAccess<'de> for Sequence<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.next == self.len {
            return Ok(None);
        }
        let found = self.table.nth(self.next).map_err(de::Error::custom)?;
        self.next += 1;
        match found {
            Some((_, value)) => seed.deserialize(Deserializer {
                value,
                depth: self.depth,
            }),
            None => seed.deserialize(().into_deserializer()),
        }
        .map(Some)
    }
}

/// A key. An integer is also a text, where one is wanted.
struct KeyDeserializer<'de>(KeyRef<'de>);

impl<'de> de::Deserializer<'de> for KeyDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            KeyRef::Integer(integer) => visitor.visit_i64(integer),
            KeyRef::Text(text) => visit_text(text, visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            KeyRef::Integer(integer) => visitor.visit_string(integer.to_string()),
            KeyRef::Text(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            KeyRef::Text(text) => {
                let name = std::str::from_utf8(text).map_err(de::Error::custom)?;
                visitor.visit_enum(name.into_deserializer())
            }
            KeyRef::Integer(_) => Err(de::Error::custom("an integer is no variant")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant with content.
struct Variant<'de> {
    name: &'de [u8],
    inner: Deserializer<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Deserializer<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Deserializer<'de>), Error> {
        let name = seed.deserialize(KeyDeserializer(KeyRef::Text(self.name)))?;
        Ok((name, self.inner))
    }
}

impl<'de> de::VariantAccess<'de> for Deserializer<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Err(de::Error::custom("a variant without content"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.sequence(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }
}
