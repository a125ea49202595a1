//! Appends values to a stream.
//!
//! Every value but a long string needs at most `VALUE_BYTES`, so room is looked for once per value and what lies in it is
//! written with stores of fixed sizes, past the end of the value where that is simpler.

#![allow(clippy::multiple_unsafe_ops_per_block)] // one note per store of head and payload

use std::ops::Deref;
use std::ptr;

use super::format::{
    BOOLEAN, F64, I32, I64, MANY_ITEMS, MAX_SHORT_STRING, NIL, NUMBER, POINTER, SHORT_STRING, TABLE, U8, U16,
    ZERO, head, long_string_head,
};

use crate::lines::PAIR_BYTES;

/// Room for any value that is not a long string.
const VALUE_BYTES: usize = 1 + MAX_SHORT_STRING + 1;
const _: () = assert!(PAIR_BYTES >= VALUE_BYTES);

/// A stream that grows.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn shrink_to(&mut self, capacity: usize) {
        self.bytes.shrink_to(capacity);
    }

    #[inline(always)]
    pub(super) fn nil(&mut self) {
        self.head(head(NIL, 0));
    }

    #[inline(always)]
    pub(super) fn boolean(&mut self, boolean: bool) {
        self.head(head(BOOLEAN, u8::from(boolean)));
    }

    #[inline(always)]
    pub(super) fn integer(&mut self, integer: i64) {
        let (cookie, len) = match i32::try_from(integer) {
            Ok(0) => (ZERO, 0),
            Ok(1..0x100) => (U8, 1),
            Ok(0x100..0x10000) => (U16, 2),
            Ok(_) => (I32, 4),
            Err(_) => (I64, 8),
        };
        self.word(head(NUMBER, cookie), integer.to_le_bytes(), len);
    }

    #[inline(always)]
    pub(super) fn float(&mut self, float: f64) {
        self.word(head(NUMBER, F64), float.to_le_bytes(), 8);
    }

    #[inline(always)]
    pub(super) fn pointer(&mut self, address: usize) {
        self.word(head(POINTER, 0), address.to_le_bytes(), 8);
    }

    /// The head of a table, its items and pairs follow.
    #[inline(always)]
    pub(super) fn table(&mut self, items: usize) {
        if items < usize::from(MANY_ITEMS) {
            self.head(head(TABLE, items as u8));
        } else {
            self.head(head(TABLE, MANY_ITEMS));
            self.integer(items as i64);
        }
    }

    /// A string; false if it is longer than the format can say.
    #[inline(always)]
    pub(super) fn string(&mut self, string: &[u8]) -> bool {
        if string.len() > MAX_SHORT_STRING {
            return self.long_string(string);
        }
        let room = self.room();
        // SAFETY: the head and at most `MAX_SHORT_STRING` bytes fit into `VALUE_BYTES`.
        let end = unsafe {
            room.write(head(SHORT_STRING, string.len() as u8));
            copy_short(string, room.add(1));
            self.bytes.len() + 1 + string.len()
        };
        // SAFETY: everything up to `end` has been written.
        unsafe { self.bytes.set_len(end) };
        true
    }

    #[inline(never)]
    fn long_string(&mut self, string: &[u8]) -> bool {
        let Some((head, head_len)) = long_string_head(string.len()) else {
            return false;
        };
        self.bytes.extend_from_slice(&head[..head_len]);
        self.bytes.extend_from_slice(string);
        true
    }

    /// A head without a payload.
    #[inline(always)]
    pub(super) fn head(&mut self, head: u8) {
        self.word(head, [0; 8], 0);
    }

    /// A head and the first `len` bytes of a payload.
    #[inline(always)]
    fn word(&mut self, head: u8, payload: [u8; 8], len: usize) {
        let room = self.room();
        // SAFETY: nine bytes fit into `VALUE_BYTES`.
        unsafe {
            room.write(head);
            room.add(1).cast::<[u8; 8]>().write(payload);
        }
        // SAFETY: `len` is at most eight, and that much has been written.
        unsafe { self.bytes.set_len(self.bytes.len() + 1 + len) };
    }

    /// Where the next value goes: at least `VALUE_BYTES` of room.
    #[inline(always)]
    fn room(&mut self) -> *mut u8 {
        if self.bytes.capacity() - self.bytes.len() < VALUE_BYTES {
            self.grow();
        }
        // SAFETY: the length is at most the capacity.
        unsafe { self.bytes.as_mut_ptr().add(self.bytes.len()) }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.bytes.reserve(PAIR_BYTES); // see `lines`
    }
}

impl Deref for Writer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Copies a string of at most `MAX_SHORT_STRING` bytes with two overlapping moves of a fixed size.
///
/// # Safety
/// `to` has room for the string.
#[inline(always)]
unsafe fn copy_short(string: &[u8], to: *mut u8) {
    /// The first and the last `N` bytes, which are all if there are no more than twice as many.
    ///
    /// # Safety
    /// `len` is at least `N`, and both have `len` bytes.
    #[inline(always)]
    unsafe fn ends<const N: usize>(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: by the caller.
        unsafe {
            let first = from.cast::<[u8; N]>().read();
            let last = from.add(len - N).cast::<[u8; N]>().read();
            to.cast::<[u8; N]>().write(first);
            to.add(len - N).cast::<[u8; N]>().write(last);
        }
    }
    let (from, len) = (string.as_ptr(), string.len());
    // SAFETY: each arm has the length it needs; `to` by this function's contract.
    unsafe {
        match len {
            16.. => ends::<16>(from, to, len),
            8.. => ends::<8>(from, to, len),
            4.. => ends::<4>(from, to, len),
            2.. => ends::<2>(from, to, len),
            1 => ptr::copy_nonoverlapping(from, to, 1),
            0 => {}
        }
    }
}
