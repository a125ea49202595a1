//! How plain Rust values are written and read: numbers, booleans, texts, bytes, and what holds one or many of them.

use std::marker::PhantomData;

use super::{Codec, Element, SchemaText, Sproto, read_struct, room, room_for, write_struct};
use crate::error::{DecodeCause, DecodeError, EncodeError};
use crate::wire::{Doubles, Integers, Record, Slot, push_item};

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
