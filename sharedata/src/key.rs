//! Keys of tables: integers and texts.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// A key: an integer, or a text of any bytes. Arrays begin at 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(Box<[u8]>),
}

/// A borrowed [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyRef<'a> {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(&'a [u8]),
}

impl Key {
    /// The key, borrowed.
    pub fn as_ref(&self) -> KeyRef<'_> {
        match self {
            Key::Integer(integer) => KeyRef::Integer(*integer),
            Key::Text(text) => KeyRef::Text(text),
        }
    }
}

impl KeyRef<'_> {
    /// A copy that owns its text.
    pub fn to_key(self) -> Key {
        match self {
            KeyRef::Integer(integer) => Key::Integer(integer),
            KeyRef::Text(text) => Key::Text(text.into()),
        }
    }

    /// Part of the format: the trees of an image are ordered by it.
    pub(crate) fn hash(self) -> u64 {
        match self {
            // Of another length than a text can have the same bytes: a text's hash covers its bytes alone.
            KeyRef::Integer(integer) => xxh3_64(&integer.to_le_bytes()).rotate_left(32),
            KeyRef::Text(text) => xxh3_64(text),
        }
    }

    pub(crate) fn order(self, other: KeyRef<'_>) -> Ordering {
        self.hash().cmp(&other.hash()).then_with(|| self.cmp(&other))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::Text(text.as_bytes().into())
    }
}

impl From<i64> for Key {
    fn from(integer: i64) -> Key {
        Key::Integer(integer)
    }
}

impl<'a> From<&'a str> for KeyRef<'a> {
    fn from(text: &'a str) -> KeyRef<'a> {
        KeyRef::Text(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for KeyRef<'a> {
    fn from(text: &'a [u8]) -> KeyRef<'a> {
        KeyRef::Text(text)
    }
}

impl From<i64> for KeyRef<'_> {
    fn from(integer: i64) -> Self {
        KeyRef::Integer(integer)
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> KeyRef<'a> {
        key.as_ref()
    }
}

impl fmt::Display for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyRef::Integer(integer) => write!(f, "{integer}"),
            KeyRef::Text(text) => f.write_str(&lossy(text)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

pub(crate) fn lossy(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}
