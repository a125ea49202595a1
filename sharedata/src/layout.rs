//! Every byte of a block, drawn. The same in memory and in a file.
//!
//! A *block* is a run of nodes and a list of links to other blocks. The first node lies at its start; the others lie inside
//! of the one that refers to them. All numbers are little-endian and nothing is aligned. With `n` slots, a *node* is
//!
//! ```text
//!   0        1        2            4          4 + n                   4 + 9 n
//!   +--------+--------+------------+----------+-----------------------+-----------------------------+
//!   | kind   | aux    | n: u16     | tag x n  | payload: 8 bytes x n  | texts and nodes of its own  |
//!   +--------+--------+------------+----------+-----------------------+-----------------------------+
//! ```
//!
//! | kind | aux | slots |
//! |---|---|---|
//! | `SMALL` | length `a` of the array part | `a` values, then `(n - a) / 2` keys, then as many values, ordered by the keys' hashes |
//! | `WIDE` | 0 | array tree, hash tree, length of the array part, number of other entries |
//! | `ARRAY` | level | up to 32 values at level 0, up to 32 nodes of the level below elsewhere |
//! | `BRANCH` | depth | bitmap of 16; for each bit, the number of entries in its tree and those before; for each bit, a hash tree: the hash's digit at this depth chooses it |
//! | `ONE` | 0 | a table inside, and a number |
//! | `LONG` | 0 | none: the rest of the block is a text |
//!
//! A hash tree is a `BRANCH` or a `SMALL` without array part. A table is a `SMALL` or a `WIDE`. A `ONE` is the first node of its block:
//! all links to it lead to one and the same table, and its number tells such tables apart whose content is equal. Other blocks are
//! shared by whatever is equal, and say nothing of that kind.
//!
//! | tag | payload |
//! |---|---|
//! | `NIL`, `FALSE`, `TRUE` | 0 |
//! | `INTEGER`, `FLOAT` | its bits |
//! | `TEXT` | where it begins, counted from its node: u32; its length: u16; the lowest bits of its hash if it is a key, else 0: u16 |
//! | `NODE` | where it begins, counted from the one that refers to it: u32; how many links of the block come before its own, counted likewise: u32 |
//! | `LINK` | which link, counted from the first of its node |
//! | `SHORT` + length | a text of up to 7 bytes, then zeros |
//! | `OBJECT` | as of `LINK`, but to an object of the process: never in a file |
//!
//! So a node with all that is inside of it can be moved into another as it is. What a node refers to lies behind it, and a
//! link of a file leads to a block before: neither can run in a circle.

/// Tables inside of tables.
pub const MAX_DEPTH: usize = 100;

/// The longest text.
pub const MAX_TEXT_BYTES: usize = 1 << 30;

pub(crate) const SMALL: u8 = 1;
pub(crate) const WIDE: u8 = 2;
pub(crate) const ARRAY: u8 = 3;
pub(crate) const BRANCH: u8 = 4;
pub(crate) const LONG: u8 = 5;
pub(crate) const ONE: u8 = 6;

pub(crate) const NIL: u8 = 0;
pub(crate) const FALSE: u8 = 1;
pub(crate) const TRUE: u8 = 2;
pub(crate) const INTEGER: u8 = 3;
pub(crate) const FLOAT: u8 = 4;
pub(crate) const TEXT: u8 = 5;
pub(crate) const NODE: u8 = 6;
pub(crate) const LINK: u8 = 7;
pub(crate) const SHORT: u8 = 8;
pub(crate) const MAX_SHORT: usize = 7;
pub(crate) const OBJECT: u8 = 16;

/// Before the tags of a node, and before the text of a `LONG`.
pub(crate) const HEAD: usize = 4;
/// A tag and a payload.
pub(crate) const SLOT: usize = 9;

/// Slots of a `WIDE`.
pub(crate) const WIDE_ARRAY: usize = 0;
pub(crate) const WIDE_HASH: usize = 1;
pub(crate) const WIDE_ARRAY_LEN: usize = 2;
pub(crate) const WIDE_HASH_LEN: usize = 3;
pub(crate) const WIDE_SLOTS: usize = 4;

/// Slots of a `BRANCH`: the counts come behind the bitmap.
pub(crate) const BRANCH_BITMAP: usize = 0;
pub(crate) const BRANCH_COUNTS: usize = 1;

/// Slots of a `ONE`: the table, which follows at once, and the number.
pub(crate) const ONE_SLOTS: usize = 2;
pub(crate) const ONE_AT: usize = HEAD + ONE_SLOTS * SLOT;

/// What a text in its node may be: its length has 16 bits.
const _: () = assert!(OWN_BLOCK_BYTES <= 1 << 16);

/// The most entries of a `SMALL`, in its array part and beside it. A leaf whose keys all have one hash may have more.
pub(crate) const SMALL_LEN: usize = 32;
/// Children of an `ARRAY`: 32.
pub(crate) const ARRAY_BITS: u32 = 5;
pub(crate) const ARRAY_LEN: usize = 1 << ARRAY_BITS;
/// An array tree of this level holds more than can be counted.
pub(crate) const MAX_LEVEL: u8 = 12;
/// Children of a `BRANCH`: 16.
pub(crate) const HASH_BITS: u32 = 4;
/// Digits of a hash.
pub(crate) const MAX_HASH_DEPTH: u8 = 16;

/// A node of at least so many bytes, with all that is inside of it, gets a block of its own.
pub(crate) const OWN_BLOCK_BYTES: usize = 2048;
/// So does one with more links.
pub(crate) const OWN_BLOCK_LINKS: usize = 255;
/// Nodes inside of nodes of one block: the smallest takes more than 4 bytes.
pub(crate) const MAX_NESTING: usize = OWN_BLOCK_BYTES / HEAD;

/// Which child of a `BRANCH` at this depth has a hash: its digits are taken from the top.
#[inline]
pub(crate) fn hash_digit(hash: u64, depth: u8) -> u32 {
    ((hash >> (64 - HASH_BITS * (u32::from(depth) + 1))) & ((1 << HASH_BITS) - 1)) as u32
}

/// Length and mark of a `TEXT` that is a key: the upper half of its payload.
#[inline]
pub(crate) fn text_mark(len: usize, hash: u64) -> u32 {
    len as u32 | (hash as u32) << 16
}
