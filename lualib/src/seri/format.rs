//! The bytes of a packed message: heads, numbers, lengths, and a cursor that reads them.
//!
//! ```text
//! value  := head payload          head: bits 0..2 type, bits 3..7 cookie
//! 0 nil      -                    4 short string   cookie = length, bytes
//! 1 boolean  cookie 0 or 1        5 long string    cookie 2: u16 length, cookie 4: u32 length, bytes
//! 2 number   0: zero   1: u8      6 table          cookie = items (31: a number follows), items,
//!            2: u16    4: i32                      key and value pairs, nil
//!            6: i64    8: f64     7 attachment     - (inside one process only)
//! 3 pointer  8 bytes
//! ```
//! All little-endian. A message is its values one after the other. Type 7 does not exist on any wire: it stands for
//! the next of the long strings that travel beside the stream, and is malformed where none is left.

use std::panic::Location;

use thiserror::Error;

/// Type of a nil, also of the byte that closes a table's pairs.
pub(super) const NIL: u8 = 0;
/// Type of a boolean.
pub(super) const BOOLEAN: u8 = 1;
/// Type of an integer or a float.
pub(super) const NUMBER: u8 = 2;
/// Type of a light userdata.
pub(super) const POINTER: u8 = 3;
/// Type of a string whose length is its cookie.
pub(super) const SHORT_STRING: u8 = 4;
/// Type of a string whose length follows the head.
pub(super) const LONG_STRING: u8 = 5;
/// Type of a table.
pub(super) const TABLE: u8 = 6;

/// Type of a long string that travels beside the stream.
pub(super) const ATTACHMENT: u8 = 7;

/// Number cookies: how the payload is written.
pub(super) const ZERO: u8 = 0;
pub(super) const U8: u8 = 1;
pub(super) const U16: u8 = 2;
pub(super) const I32: u8 = 4;
pub(super) const I64: u8 = 6;
pub(super) const F64: u8 = 8;

/// Long-string cookies: the width of the length.
pub(super) const LENGTH_U16: u8 = 2;
pub(super) const LENGTH_U32: u8 = 4;

/// Longest string that takes the short form.
pub(super) const MAX_SHORT_STRING: usize = 31;
/// Table cookie that says: the number of items follows as a number.
pub(super) const MANY_ITEMS: u8 = 31;
/// How many tables may enclose a value that is packed.
pub(super) const MAX_PACK_DEPTH: u32 = 32;
/// How many tables may enclose a value that is unpacked. The writer stops at 32, skynet's reader at the end of its C
/// stack; this bound keeps a hostile stream from the end of ours.
pub(super) const MAX_UNPACK_DEPTH: u32 = 1024;

/// The head byte of a value.
pub(super) const fn head(kind: u8, cookie: u8) -> u8 {
    kind | cookie << 3
}

/// Type and cookie of a head byte.
pub(super) const fn split(head: u8) -> (u8, u8) {
    (head & 7, head >> 3)
}

/// Head and length of a string in the long form: the first so many of these bytes. None if the length does not fit.
#[inline(always)]
pub(super) fn long_string_head(len: usize) -> Option<([u8; 5], usize)> {
    let [a, b, c, d] = u32::try_from(len).ok()?.to_le_bytes();
    Some(match u16::try_from(len) {
        Ok(_) => ([head(LONG_STRING, LENGTH_U16), a, b, 0, 0], 3),
        Err(_) => ([head(LONG_STRING, LENGTH_U32), a, b, c, d], 5),
    })
}

/// By how much an attached string of this length lengthens the stream that it goes into.
pub(super) fn beside_bytes(len: usize) -> usize {
    let marker = 1;
    let head = if len <= usize::from(u16::MAX) { 3 } else { 5 };
    head + len - marker
}

/// A stream that no packer wrote.
///
/// Displays as skynet does; `line` is the place in our source that found out.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("Invalid serialize stream {left} (line:{line})")]
pub struct Malformed {
    /// Bytes not yet consumed where reading failed.
    pub left: usize,
    /// Line of the check that failed.
    pub line: u32,
}

/// A number as it stands in a stream.
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

/// A cursor over a stream. Nothing it returns reaches past the bytes it was made from.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Attachments that the stream has not referred to yet.
    attachments: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which came with this many attachments.
    pub(super) fn new(bytes: &'a [u8], attachments: usize) -> Self {
        Self {
            rest: bytes,
            attachments,
        }
    }

    /// Bytes not yet consumed.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// What to report when the bytes at this place are wrong.
    #[cold]
    #[track_caller]
    pub(super) fn malformed(&self) -> Malformed {
        Malformed {
            left: self.rest.len(),
            line: Location::caller().line(),
        }
    }

    /// The next head byte, or none at the end.
    #[inline(always)]
    pub(super) fn next_head(&mut self) -> Option<u8> {
        let (&head, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(head)
    }

    /// The next head byte where there must be one.
    #[inline(always)]
    #[track_caller]
    pub(super) fn head(&mut self) -> Result<u8, Malformed> {
        match self.next_head() {
            Some(head) => Ok(head),
            None => Err(self.malformed()),
        }
    }

    /// The next `len` bytes.
    #[inline(always)]
    #[track_caller]
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.malformed()),
        }
    }

    /// The next `N` bytes.
    #[inline(always)]
    #[track_caller]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.malformed()),
        }
    }

    /// Takes the next attachment, which is beside the stream.
    #[inline]
    pub(super) fn attachment(&mut self) -> Result<(), Malformed> {
        match self.attachments.checked_sub(1) {
            Some(left) => {
                self.attachments = left;
                Ok(())
            }
            None => Err(self.malformed()),
        }
    }

    /// The payload of a number with this cookie.
    #[inline]
    pub(super) fn number(&mut self, cookie: u8) -> Result<Number, Malformed> {
        Ok(Number::Integer(match cookie {
            ZERO => 0,
            U8 => i64::from(u8::from_le_bytes(self.array()?)),
            U16 => i64::from(u16::from_le_bytes(self.array()?)),
            I32 => i64::from(i32::from_le_bytes(self.array()?)),
            I64 => i64::from_le_bytes(self.array()?),
            F64 => return Ok(Number::Float(f64::from_le_bytes(self.array()?))),
            _ => return Err(self.malformed()),
        }))
    }

    /// The payload of a pointer: an address, never followed here.
    #[inline]
    pub(super) fn pointer(&mut self) -> Result<usize, Malformed> {
        Ok(usize::from_le_bytes(self.array()?))
    }

    /// The bytes of a long string with this cookie.
    #[inline]
    pub(super) fn long_string(&mut self, cookie: u8) -> Result<&'a [u8], Malformed> {
        let len = match cookie {
            LENGTH_U16 => usize::from(u16::from_le_bytes(self.array()?)),
            LENGTH_U32 => u32::from_le_bytes(self.array()?) as usize,
            _ => return Err(self.malformed()),
        };
        self.bytes(len)
    }

    /// How many items a table with this cookie has. Sizes that no Lua table can have are malformed.
    #[inline]
    pub(super) fn item_count(&mut self, cookie: u8) -> Result<u32, Malformed> {
        if cookie != MANY_ITEMS {
            return Ok(u32::from(cookie));
        }
        let (kind, cookie) = split(self.head()?);
        if kind != NUMBER || cookie == F64 {
            return Err(self.malformed());
        }
        match self.number(cookie)? {
            Number::Integer(count) if (0..=i64::from(i32::MAX)).contains(&count) => Ok(count as u32),
            _ => Err(self.malformed()),
        }
    }
}
