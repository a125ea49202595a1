//! From anything that serde knows to items and images.

mod key;

use serde::ser::{self, Serialize};

use crate::block::Store;
use crate::error::BuildError;
use crate::image::Image;
use crate::item::Item;
use crate::items::Items;
use crate::key::Key;

use self::key::KeySerializer;

impl ser::Error for BuildError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        BuildError::Custom(text.to_string().into())
    }
}

impl Store {
    /// Makes an image of a value: a structure, a map with keys that are integers or texts, a sequence.
    ///
    /// Sequences become arrays, whose keys begin at 1. Nothing, `None` and `null`, becomes no entry, and a hole in an array. A
    /// variant of an enum becomes its name, or a table with its name as the only key. A char becomes a text, bytes become one.
    ///
    /// # Errors
    /// When the value is no table, is nested too deep, or has other keys or integers beyond 64 bits.
    pub fn build<T: Serialize + ?Sized>(&self, value: &T) -> Result<Image, BuildError> {
        self.image_of(self.item(value)?)
    }

    /// Makes an item of a value, as [`Store::build`] does.
    ///
    /// # Errors
    /// As for [`Store::build`], but that it may be no table.
    pub fn item<T: Serialize + ?Sized>(&self, value: &T) -> Result<Item<'static>, BuildError> {
        value.serialize(Serializer {
            store: self,
            depth: 0,
        })
    }
}

#[derive(Clone, Copy)]
struct Serializer<'s> {
    store: &'s Store,
    depth: usize,
}

impl<'s> Serializer<'s> {
    fn table(
        self,
        variant: Option<&'static str>,
        array: usize,
        others: usize,
    ) -> Result<Table<'s>, BuildError> {
        // Before anything below is visited: a value may be deeper than the stack.
        let depth = self.depth + 1;
        if depth > crate::MAX_DEPTH {
            return Err(BuildError::TooDeep);
        }
        // A size that a stranger may have written is not believed.
        let cautious = |len: usize| len.min(4096);
        Ok(Table {
            inner: Serializer {
                store: self.store,
                depth,
            },
            items: Items::with_capacity(cautious(array), cautious(others)),
            key: None,
            variant,
        })
    }

    fn variant(self, name: &'static str, value: Item<'static>) -> Result<Item<'static>, BuildError> {
        let mut items = Items::new();
        items.insert(name, value);
        self.store.table(items)
    }
}

impl<'s> ser::Serializer for Serializer<'s> {
    type Ok = Item<'static>;
    type Error = BuildError;
    type SerializeSeq = Table<'s>;
    type SerializeTuple = Table<'s>;
    type SerializeTupleStruct = Table<'s>;
    type SerializeTupleVariant = Table<'s>;
    type SerializeMap = Table<'s>;
    type SerializeStruct = Table<'s>;
    type SerializeStructVariant = Table<'s>;

    fn serialize_bool(self, value: bool) -> Result<Self::Ok, BuildError> {
        Ok(value.into())
    }
    fn serialize_i8(self, value: i8) -> Result<Self::Ok, BuildError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<Self::Ok, BuildError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<Self::Ok, BuildError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<Self::Ok, BuildError> {
        Ok(value.into())
    }
    fn serialize_u8(self, value: u8) -> Result<Self::Ok, BuildError> {
        self.serialize_i64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<Self::Ok, BuildError> {
        self.serialize_i64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<Self::Ok, BuildError> {
        self.serialize_i64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<Self::Ok, BuildError> {
        self.serialize_i64(i64::try_from(value).map_err(|_| BuildError::IntegerTooLarge)?)
    }
    fn serialize_f32(self, value: f32) -> Result<Self::Ok, BuildError> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<Self::Ok, BuildError> {
        Ok(value.into())
    }
    fn serialize_char(self, value: char) -> Result<Self::Ok, BuildError> {
        Ok(value.to_string().into())
    }
    fn serialize_str(self, value: &str) -> Result<Self::Ok, BuildError> {
        Ok(value.to_owned().into())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Self::Ok, BuildError> {
        Ok(value.to_vec().into())
    }
    fn serialize_none(self) -> Result<Self::Ok, BuildError> {
        Ok(Item::NIL)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, BuildError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Self::Ok, BuildError> {
        Ok(Item::NIL)
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Result<Self::Ok, BuildError> {
        Ok(Item::NIL)
    }
    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Self::Ok, BuildError> {
        Ok(variant.into())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Self::Ok, BuildError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Self::Ok, BuildError> {
        let inner = self.table(None, 0, 0)?.inner;
        self.variant(variant, value.serialize(inner)?)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Table<'s>, BuildError> {
        self.table(None, len.unwrap_or(0), 0)
    }
    fn serialize_tuple(self, len: usize) -> Result<Table<'s>, BuildError> {
        self.table(None, len, 0)
    }
    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Table<'s>, BuildError> {
        self.table(None, len, 0)
    }
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Table<'s>, BuildError> {
        self.table(Some(variant), len, 0)
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Table<'s>, BuildError> {
        self.table(None, 0, len.unwrap_or(0))
    }
    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Table<'s>, BuildError> {
        self.table(None, 0, len)
    }
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Table<'s>, BuildError> {
        self.table(Some(variant), 0, len)
    }
}

/// A table whose entries arrive one by one.
struct Table<'s> {
    inner: Serializer<'s>,
    items: Items<'static>,
    key: Option<Key>,
    /// What the finished table is the only value of.
    variant: Option<&'static str>,
}

impl Table<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BuildError> {
        self.items.push(value.serialize(self.inner)?);
        Ok(())
    }

    fn insert<T: Serialize + ?Sized>(&mut self, key: Key, value: &T) -> Result<(), BuildError> {
        self.items.insert_owned(key, value.serialize(self.inner)?);
        Ok(())
    }

    fn finish(self) -> Result<Item<'static>, BuildError> {
        let table = self.inner.store.table(self.items)?;
        match self.variant {
            Some(variant) => self.inner.variant(variant, table),
            None => Ok(table),
        }
    }
}

impl ser::SerializeSeq for Table<'_> {
    type Ok = Item<'static>;
    type Error = BuildError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BuildError> {
        self.push(value)
    }
    fn end(self) -> Result<Self::Ok, BuildError> {
        self.finish()
    }
}

impl ser::SerializeTuple for Table<'_> {
    type Ok = Item<'static>;
    type Error = BuildError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BuildError> {
        self.push(value)
    }
    fn end(self) -> Result<Self::Ok, BuildError> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Table<'_> {
    type Ok = Item<'static>;
    type Error = BuildError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BuildError> {
        self.push(value)
    }
    fn end(self) -> Result<Self::Ok, BuildError> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Table<'_> {
    type Ok = Item<'static>;
    type Error = BuildError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BuildError> {
        self.push(value)
    }
    fn end(self) -> Result<Self::Ok, BuildError> {
        self.finish()
    }
}

impl ser::SerializeMap for Table<'_> {
    type Ok = Item<'static>;
    type Error = BuildError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), BuildError> {
        self.key = Some(key.serialize(KeySerializer)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BuildError> {
        match self.key.take() {
            Some(key) => self.insert(key, value),
            None => Err(ser::Error::custom("a value came before its key")),
        }
    }
    fn end(self) -> Result<Self::Ok, BuildError> {
        self.finish()
    }
}

impl ser::SerializeStruct for Table<'_> {
    type Ok = Item<'static>;
    type Error = BuildError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), BuildError> {
        self.insert(key.into(), value)
    }
    fn end(self) -> Result<Self::Ok, BuildError> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Table<'_> {
    type Ok = Item<'static>;
    type Error = BuildError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), BuildError> {
        self.insert(key.into(), value)
    }
    fn end(self) -> Result<Self::Ok, BuildError> {
        self.finish()
    }
}
