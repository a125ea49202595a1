//! Messages as bytes, without a schema: the reader and the writer below every codec of this crate, and for codecs elsewhere.
//!
//! ```text
//! u16  n               number of field words            all integers little-endian
//! u16  word[n]         even, not 0: the value word/2 - 1; 0: the next data item; odd: skip (word+1)/2 tags
//! items                u32 length, bytes; in the order of their fields
//! ```
//!
//! Reading borrows and allocates nothing; a length is believed only after it was compared with the bytes that are there.

use crate::error::WireError;

/// A field's value as it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot<'a> {
    /// In the field word itself: 0 to 32766.
    Inline(u16),
    /// In a data item.
    Item(&'a [u8]),
}

/// The fields of a message, one after the other.
///
/// ```
/// use fulmar_sproto::wire::{Fields, Slot};
///
/// let mut fields = Fields::new(&[2, 0, 4, 0, 0, 0, 1, 0, 0, 0, b'x'])?;
/// assert_eq!(fields.next_field()?, Some((0, Slot::Inline(1))));
/// assert_eq!(fields.next_field()?, Some((1, Slot::Item(b"x"))));
/// assert_eq!(fields.next_field()?, None);
/// # Ok::<(), fulmar_sproto::WireError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    words: &'a [u8],
    data: &'a [u8],
    next_tag: u32,
}

impl<'a> Fields<'a> {
    /// Starts at the first byte of a message.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the field words run past the end.
    #[inline]
    pub fn new(message: &'a [u8]) -> Result<Self, WireError> {
        let Some((count, rest)) = message.split_first_chunk::<2>() else {
            return Err(truncated(2, message.len()));
        };
        let len = 2 * usize::from(u16::from_le_bytes(*count));
        let Some((words, data)) = rest.split_at_checked(len) else {
            return Err(truncated(len, rest.len()));
        };
        Ok(Fields {
            words,
            data,
            next_tag: 0,
        })
    }

    /// How many field words are left, skips included: at least as many as there are fields.
    #[inline]
    pub fn words_left(&self) -> usize {
        self.words.len() / 2
    }

    /// The tag and the value of the next field; none after the last.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when a data item runs past the end.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, Slot<'a>)>, WireError> {
        while let Some((word, words)) = self.words.split_first_chunk::<2>() {
            self.words = words;
            let word = u16::from_le_bytes(*word);
            let tag = self.next_tag;
            self.next_tag += 1;
            if word & 1 == 1 {
                self.next_tag += u32::from(word / 2);
            } else if word == 0 {
                return Ok(Some((tag, Slot::Item(self.item()?))));
            } else {
                return Ok(Some((tag, Slot::Inline(word / 2 - 1))));
            }
        }
        Ok(None)
    }

    #[inline]
    fn item(&mut self) -> Result<&'a [u8], WireError> {
        let (item, rest) = split_item(self.data)?;
        self.data = rest;
        Ok(item)
    }

    /// The bytes behind the last field that was read; after the last one: those behind the message.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.data
    }

    /// Ends a structure that has to fill its data item.
    ///
    /// # Errors
    /// [`WireError::Trailing`] when bytes are left.
    #[inline]
    pub fn finish(&self) -> Result<(), WireError> {
        match self.data.len() {
            0 => Ok(()),
            left => Err(WireError::Trailing { left }),
        }
    }
}

/// A data item at the front of `data`, and what is behind it.
#[inline]
fn split_item(data: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let Some((len, rest)) = data.split_first_chunk::<4>() else {
        return Err(truncated(4, data.len()));
    };
    let len = u32::from_le_bytes(*len) as usize;
    rest.split_at_checked(len)
        .ok_or_else(|| truncated(len, rest.len()))
}

#[cold]
fn truncated(needed: usize, available: usize) -> WireError {
    WireError::Truncated { needed, available }
}

impl<'a> Slot<'a> {
    /// An integer.
    ///
    /// # Errors
    /// [`WireError::Width`] for a data item that has neither 4 nor 8 bytes.
    #[inline]
    pub fn integer(self) -> Result<i64, WireError> {
        match self {
            Slot::Inline(value) => Ok(value.into()),
            Slot::Item(item) => number(item),
        }
    }

    /// A boolean: any inline value that is not 0 is true.
    ///
    /// # Errors
    /// [`WireError::Slot`] for a data item.
    #[inline]
    pub fn boolean(self) -> Result<bool, WireError> {
        match self {
            Slot::Inline(value) => Ok(value != 0),
            Slot::Item(_) => Err(WireError::Slot {
                expected: "an inline value",
                found: "a data item",
            }),
        }
    }

    /// A float. A data item of 4 bytes is taken as the reference takes it: its bits are extended by its sign.
    ///
    /// # Errors
    /// [`WireError::Slot`] for an inline value, [`WireError::Width`] for another length than 4 or 8.
    #[inline]
    pub fn double(self) -> Result<f64, WireError> {
        Ok(f64::from_bits(number(self.item()?)? as u64))
    }

    /// The bytes of a string, a structure, or an array.
    ///
    /// # Errors
    /// [`WireError::Slot`] for an inline value.
    #[inline]
    pub fn item(self) -> Result<&'a [u8], WireError> {
        match self {
            Slot::Item(item) => Ok(item),
            Slot::Inline(_) => Err(WireError::Slot {
                expected: "a data item",
                found: "inline",
            }),
        }
    }

    /// The elements of an array of numbers, as 64 bits each: integers, or the bits of floats.
    ///
    /// # Errors
    /// [`WireError::Width`] when the elements have neither 4 nor 8 bytes, [`WireError::Ragged`] when they do not fill the item,
    /// [`WireError::Slot`] for an inline value.
    #[inline]
    pub fn numbers(self) -> Result<Numbers<'a>, WireError> {
        let item = self.item()?;
        let Some((&width, elements)) = item.split_first() else {
            return Ok(Numbers {
                elements: &[],
                width: 4,
            });
        };
        if elements.is_empty() {
            return Ok(Numbers { elements, width: 4 });
        }
        if width != 4 && width != 8 {
            return Err(WireError::Width { len: width.into() });
        }
        if elements.len() % usize::from(width) != 0 {
            return Err(WireError::Ragged {
                len: elements.len(),
                width,
            });
        }
        Ok(Numbers {
            elements,
            width: width.into(),
        })
    }

    /// The elements of an array of booleans.
    ///
    /// # Errors
    /// [`WireError::Slot`] for an inline value.
    #[inline]
    pub fn booleans(self) -> Result<impl ExactSizeIterator<Item = bool> + 'a, WireError> {
        Ok(self.item()?.iter().map(|byte| *byte != 0))
    }

    /// The elements of an array of strings or structures.
    ///
    /// # Errors
    /// [`WireError::Slot`] for an inline value.
    #[inline]
    pub fn elements(self) -> Result<Elements<'a>, WireError> {
        Ok(Elements { data: self.item()? })
    }
}

#[inline]
fn number(item: &[u8]) -> Result<i64, WireError> {
    if let Ok(bytes) = <[u8; 4]>::try_from(item) {
        Ok(i32::from_le_bytes(bytes).into())
    } else if let Ok(bytes) = <[u8; 8]>::try_from(item) {
        Ok(i64::from_le_bytes(bytes))
    } else {
        Err(WireError::Width { len: item.len() })
    }
}

/// The elements of an array of numbers. See [`Slot::numbers`].
#[derive(Debug, Clone)]
pub struct Numbers<'a> {
    elements: &'a [u8],
    /// 4 or 8; `elements` is a multiple of it.
    width: usize,
}

impl Iterator for Numbers<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        let (element, rest) = self.elements.split_at_checked(self.width)?;
        self.elements = rest;
        // Four or eight bytes, as `Slot::numbers` has seen to.
        number(element).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.elements.len() / self.width;
        (len, Some(len))
    }
}

impl ExactSizeIterator for Numbers<'_> {}

/// The elements of an array of strings or structures. See [`Slot::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    data: &'a [u8],
}

impl<'a> Elements<'a> {
    /// At most this many elements are left: each takes at least four bytes.
    #[inline]
    pub fn at_most(&self) -> usize {
        self.data.len() / 4
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.data.is_empty() {
            return None;
        }
        match split_item(self.data) {
            Ok((element, rest)) => {
                self.data = rest;
                Some(Ok(element))
            }
            Err(error) => {
                self.data = &[];
                Some(Err(error))
            }
        }
    }
}

/// A message being written at the end of a buffer: fields in ascending order of their tags, then [`Record::finish`].
///
/// The buffer is handed to every call, so that a structure within a structure can be written in place, and so that a codec may
/// keep it where an abandoned message does no harm. Everything behind the start belongs to the message.
///
/// ```
/// use fulmar_sproto::wire::Record;
///
/// let mut out = Vec::new();
/// let mut record = Record::begin(&mut out, 2);
/// record.integer(&mut out, 0, 13);
/// record.bytes(&mut out, 1, b"abc");
/// record.finish(&mut out);
/// assert_eq!(out, [2, 0, 28, 0, 0, 0, 3, 0, 0, 0, b'a', b'b', b'c']);
/// ```
#[derive(Debug)]
pub struct Record {
    start: usize,
    next_word: usize,
    data: usize,
    next_tag: u32,
}

/// A data item being written. See [`Record::begin_item`].
#[derive(Debug)]
#[must_use = "a data item that is not ended has no length"]
pub struct Item(usize);

impl Record {
    /// Begins a message behind what `out` holds, with room for `words` field words: one a field, and one more for each
    /// field whose tag does not follow that of the field before.
    #[inline]
    pub fn begin(out: &mut Vec<u8>, words: usize) -> Record {
        let start = out.len();
        let data = start + 2 + 2 * words;
        out.resize(data, 0);
        Record {
            start,
            next_word: start + 2,
            data,
            next_tag: 0,
        }
    }

    /// Writes the word of field `tag`.
    ///
    /// # Panics
    /// When the tags do not ascend, or there is no room for another word.
    #[inline]
    fn word(&mut self, out: &mut [u8], tag: u16, word: u16) {
        let gap = u32::from(tag)
            .checked_sub(self.next_tag)
            .expect("fields are written in ascending order of their tags");
        if gap > 0 {
            self.raw_word(out, (2 * (gap - 1) + 1) as u16);
        }
        self.raw_word(out, word);
        self.next_tag = u32::from(tag) + 1;
    }

    #[inline]
    fn raw_word(&mut self, out: &mut [u8], word: u16) {
        out[..self.data][self.next_word..][..2].copy_from_slice(&word.to_le_bytes());
        self.next_word += 2;
    }

    /// Writes an integer.
    ///
    /// # Panics
    /// When the tags do not ascend, or there are more fields than there is room for.
    #[inline]
    pub fn integer(&mut self, out: &mut Vec<u8>, tag: u16, value: i64) {
        if (0..=0x7ffe).contains(&value) {
            self.word(out, tag, 2 * (value as u16 + 1));
        } else if let Ok(value) = i32::try_from(value) {
            self.bytes(out, tag, &value.to_le_bytes());
        } else {
            self.bytes(out, tag, &value.to_le_bytes());
        }
    }

    /// Writes a boolean.
    ///
    /// # Panics
    /// As [`Record::integer`].
    #[inline]
    pub fn boolean(&mut self, out: &mut [u8], tag: u16, value: bool) {
        self.word(out, tag, if value { 4 } else { 2 });
    }

    /// Writes a float.
    ///
    /// # Panics
    /// As [`Record::integer`].
    #[inline]
    pub fn double(&mut self, out: &mut Vec<u8>, tag: u16, value: f64) {
        self.bytes(out, tag, &value.to_le_bytes());
    }

    /// Writes a string.
    ///
    /// # Panics
    /// As [`Record::integer`], and when it is larger than 4 GiB.
    #[inline]
    pub fn bytes(&mut self, out: &mut Vec<u8>, tag: u16, value: &[u8]) {
        self.word(out, tag, 0);
        push_item(out, value);
    }

    /// Begins the data item of field `tag`: what is appended to `out` until [`Item::end`] is its content.
    ///
    /// # Panics
    /// As [`Record::integer`].
    #[inline]
    pub fn begin_item(&mut self, out: &mut Vec<u8>, tag: u16) -> Item {
        self.word(out, tag, 0);
        Item::begin(out)
    }

    /// Ends the message: the words that are not used vanish.
    #[inline]
    pub fn finish(self, out: &mut Vec<u8>) {
        let words = (self.next_word - self.start - 2) / 2;
        out[self.start..][..2].copy_from_slice(&(words as u16).to_le_bytes());
        if self.next_word < self.data {
            out.copy_within(self.data.., self.next_word);
            out.truncate(out.len() - (self.data - self.next_word));
        }
    }
}

impl Item {
    /// Begins an element of an array of strings or structures.
    #[inline]
    pub fn begin(out: &mut Vec<u8>) -> Item {
        out.extend_from_slice(&[0; 4]);
        Item(out.len())
    }

    /// Ends the item: everything that was appended is its content.
    ///
    /// # Panics
    /// When it is larger than 4 GiB.
    #[inline]
    pub fn end(self, out: &mut [u8]) {
        let len = u32::try_from(out.len() - self.0).expect("a data item is at most 4 GiB");
        out[self.0 - 4..self.0].copy_from_slice(&len.to_le_bytes());
    }
}

/// Appends a data item, or an element of an array of strings.
///
/// # Panics
/// When it is larger than 4 GiB.
#[inline]
pub fn push_item(out: &mut Vec<u8>, item: &[u8]) {
    let len = u32::try_from(item.len()).expect("a data item is at most 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(item);
}

/// An array of integers being written into a data item: four bytes each, until one needs eight.
#[derive(Debug, Default)]
pub struct Integers {
    start: usize,
    wide: bool,
}

impl Integers {
    /// Begins right behind [`Record::begin_item`].
    #[inline]
    pub fn begin(out: &[u8]) -> Integers {
        Integers {
            start: out.len(),
            wide: false,
        }
    }

    /// Appends an element.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, value: i64) {
        if out.len() == self.start {
            out.push(4);
        }
        if self.wide {
            out.extend_from_slice(&value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            out.extend_from_slice(&value.to_le_bytes());
        } else {
            self.widen(out);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }

    #[cold]
    fn widen(&mut self, out: &mut Vec<u8>) {
        let narrow = out.split_off(self.start + 1);
        out[self.start] = 8;
        self.wide = true;
        for element in narrow.chunks_exact(4) {
            out.extend_from_slice(&number(element).unwrap_or_default().to_le_bytes());
        }
    }
}

/// An array of floats being written into a data item.
#[derive(Debug, Default)]
pub struct Doubles {
    begun: bool,
}

impl Doubles {
    /// Appends an element; the first begins right behind [`Record::begin_item`].
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, value: f64) {
        if !self.begun {
            out.push(8);
            self.begun = true;
        }
        out.extend_from_slice(&value.to_le_bytes());
    }
}
