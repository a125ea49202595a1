//! A look ahead over a table that is too large to be held on the stack before it is made: is it well formed, and how many pairs
//! are to come? Such a table is then made at its final size. (Growing one pair at a time takes more than half of the time.)
//!
//! The bytes looked at in all are bounded by a small multiple of the stream; then tables are made without knowing.

use super::format::{
    ATTACHMENT, BOOLEAN, F64, I32, I64, LONG_STRING, MAX_UNPACK_DEPTH, Malformed, NIL, NUMBER, POINTER,
    Reader, SHORT_STRING, TABLE, U8, U16, ZERO, split,
};

/// How often each byte of the stream may be looked at on average.
const PASSES: usize = 4;

/// What may still be looked at.
pub(super) struct Ahead {
    budget_bytes: usize,
}

impl Ahead {
    pub(super) fn new(stream_bytes: usize) -> Self {
        Self {
            budget_bytes: stream_bytes.saturating_mul(PASSES),
        }
    }

    /// How many pairs are to come in a table of which `reader` has `items` items and some pairs before it; it stays where it
    /// is. None when that is not worth knowing any more. Whatever is to come is well formed then.
    #[cold]
    pub(super) fn pairs(
        &mut self,
        reader: &Reader<'_>,
        items: u32,
        depth: u32,
    ) -> Result<Option<u32>, Malformed> {
        if self.budget_bytes == 0 {
            return Ok(None);
        }
        let mut ahead = reader.clone();
        let pairs = rest(&mut ahead, items, depth)?;
        self.budget_bytes = self.budget_bytes.saturating_sub(reader.left() - ahead.left());
        Ok(Some(pairs))
    }
}

/// Reads the rest of a table, and counts its pairs.
fn rest(reader: &mut Reader<'_>, items: u32, depth: u32) -> Result<u32, Malformed> {
    for _ in 0..items {
        let head = reader.head()?;
        value(reader, head, depth + 1)?;
    }
    let mut pairs = 0u32;
    loop {
        let key = reader.head()?;
        if split(key).0 == NIL {
            return Ok(pairs);
        }
        value(reader, key, depth + 1)?;
        let head = reader.head()?;
        value(reader, head, depth + 1)?;
        pairs = pairs.saturating_add(1);
    }
}

#[inline(always)]
fn value(reader: &mut Reader<'_>, head: u8, depth: u32) -> Result<(), Malformed> {
    match LENGTHS[usize::from(head)] {
        UNKNOWN => other(reader, head, depth),
        len => reader.bytes(usize::from(len)).map(drop),
    }
}

/// A value whose head alone does not say how long it is.
fn other(reader: &mut Reader<'_>, head: u8, depth: u32) -> Result<(), Malformed> {
    let (kind, cookie) = split(head);
    match kind {
        LONG_STRING => reader.long_string(cookie).map(drop),
        TABLE if depth < MAX_UNPACK_DEPTH => {
            let items = reader.item_count(cookie)?;
            rest(reader, items, depth).map(drop)
        }
        ATTACHMENT => reader.attachment(),
        _ => Err(reader.malformed()),
    }
}

/// How many bytes follow a head, where that is all there is to know.
static LENGTHS: [u8; 256] = {
    let mut lengths = [UNKNOWN; 256];
    let mut head = 0;
    while head < lengths.len() {
        let (kind, cookie) = split(head as u8);
        lengths[head] = match kind {
            NIL | BOOLEAN => 0,
            NUMBER => match cookie {
                ZERO => 0,
                U8 => 1,
                U16 => 2,
                I32 => 4,
                I64 | F64 => 8,
                _ => UNKNOWN,
            },
            POINTER => 8,
            SHORT_STRING => cookie,
            _ => UNKNOWN,
        };
        head += 1;
    }
    lengths
};

const UNKNOWN: u8 = u8::MAX;
