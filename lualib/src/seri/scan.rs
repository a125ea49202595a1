//! A look ahead over one table: is it well formed, and how many pairs has each table in it?
//!
//! `unpack` runs this before it builds, so that a malformed stream costs no allocation and every table is created at
//! its final size. (Growing one pair at a time takes more than half of the time of unpacking small tables.)
//!
//! The counts go to a fixed window on the stack, in the order in which the tables open, because anything with a
//! destructor would leak when Lua raises. When the builder has used the window up, it scans on from where it is. The
//! bytes scanned in all are bounded by a small multiple of the stream, then tables are built without counts.

use super::format::{
    ATTACHMENT, BOOLEAN, F64, I32, I64, LONG_STRING, MAX_UNPACK_DEPTH, Malformed, NIL, NUMBER, POINTER,
    Reader, SHORT_STRING, TABLE, U8, U16, ZERO, split,
};

/// Tables whose counts one scan records.
const WINDOW: usize = 128;
/// How often each byte of the stream may be scanned on average.
const PASSES: usize = 4;

/// Pair counts of the tables ahead.
///
/// # Invariants
/// 1. `next <= recorded <= WINDOW`; `pairs[next..recorded]` belong to the tables that open next, in order.
pub(super) struct Hints {
    pairs: [u32; WINDOW],
    next: usize,
    recorded: usize,
    budget_bytes: usize,
}

impl Hints {
    pub(super) fn new(stream_bytes: usize) -> Self {
        Self {
            pairs: [0; WINDOW],
            next: 0,
            recorded: 0,
            budget_bytes: stream_bytes.saturating_mul(PASSES),
        }
    }

    /// The number of pairs in the table whose head (with this cookie) was just read from `reader`, which stays where
    /// it is. Zero when it is not worth knowing any more. A table that no table of this stream encloses is always
    /// scanned to its end, so its whole content is known to be well formed.
    #[inline]
    pub(super) fn pairs_of(&mut self, reader: &Reader<'_>, cookie: u8, depth: u32) -> Result<u32, Malformed> {
        if self.next == self.recorded {
            if depth > 0 && self.budget_bytes == 0 {
                return Ok(0);
            }
            self.next = 0;
            self.recorded = 0;
            let mut ahead = reader.clone();
            self.table(&mut ahead, cookie, depth)?;
            self.budget_bytes = self.budget_bytes.saturating_sub(reader.left() - ahead.left());
        }
        let pairs = self.pairs[self.next];
        self.next += 1;
        Ok(pairs)
    }

    #[inline(never)]
    fn table(&mut self, reader: &mut Reader<'_>, cookie: u8, depth: u32) -> Result<(), Malformed> {
        if depth >= MAX_UNPACK_DEPTH {
            return Err(reader.malformed());
        }
        let slot = self.recorded;
        self.recorded = WINDOW.min(slot + 1);
        for _ in 0..reader.item_count(cookie)? {
            let head = reader.head()?;
            self.value(reader, head, depth + 1)?;
        }
        let mut pairs = 0u32;
        loop {
            let key = reader.head()?;
            if split(key).0 == NIL {
                break;
            }
            self.value(reader, key, depth + 1)?;
            let value = reader.head()?;
            self.value(reader, value, depth + 1)?;
            pairs = pairs.saturating_add(1);
        }
        if let Some(count) = self.pairs.get_mut(slot) {
            *count = pairs;
        }
        Ok(())
    }

    #[inline(always)]
    fn value(&mut self, reader: &mut Reader<'_>, head: u8, depth: u32) -> Result<(), Malformed> {
        match LENGTHS[usize::from(head)] {
            UNKNOWN => self.other(reader, head, depth),
            len => reader.bytes(usize::from(len)).map(drop),
        }
    }

    /// A value whose head alone does not say how long it is.
    fn other(&mut self, reader: &mut Reader<'_>, head: u8, depth: u32) -> Result<(), Malformed> {
        let (kind, cookie) = split(head);
        match kind {
            LONG_STRING => reader.long_string(cookie).map(drop),
            TABLE => self.table(reader, cookie, depth),
            ATTACHMENT => reader.attachment(),
            _ => Err(reader.malformed()),
        }
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
