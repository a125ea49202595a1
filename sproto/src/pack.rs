//! Zero-packing: bytes in groups of eight, of which the zeros vanish.
//!
//! A group is a mask byte, bit `i` set when byte `i` is not zero, and the bytes that are not. A group without zeros begins a
//! *run*: `ff`, the number of groups less one, and the groups as they are; groups with at least six bytes that are not zero
//! join it, up to 256.

use crate::MAX_MESSAGE_BYTES;
use crate::error::UnpackError;

/// The most bytes that packing `len` bytes can take.
pub const fn packed_bound(len: usize) -> usize {
    let len = len.next_multiple_of(GROUP);
    len + 2 * len.div_ceil(RUN * GROUP) + 2
}

/// Appends the packed form of `input` to `out`. The input counts as padded with zeros to a multiple of eight.
///
/// Shape: at most [`packed_bound`] bytes more; one pass, no branch on single bytes.
///
/// ```
/// let mut out = Vec::new();
/// fulmar_sproto::pack(&[8, 0, 0, 0, 3, 0, 2, 0, 0x19, 0, 0, 0, 0xaa, 1, 0, 0], &mut out);
/// assert_eq!(out, [0x51, 8, 3, 2, 0x31, 0x19, 0xaa, 1]);
/// ```
pub fn pack(input: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    // Room for the whole of the last group's unconditional stores.
    out.resize(start + packed_bound(input.len()) + GROUP, 0);
    let packed = out.get_mut(start..).unwrap_or_default();
    let (groups, tail) = input.as_chunks::<GROUP>();
    let mut at = 0;
    // Where the count of the open run stands, and how many groups it has.
    let mut run = 0;
    let mut run_groups = 0;
    for group in groups {
        at = pack_group(packed, at, *group, &mut run, &mut run_groups);
    }
    if !tail.is_empty() {
        let mut group = [0; GROUP];
        for (to, from) in group.iter_mut().zip(tail) {
            *to = *from;
        }
        at = pack_group(packed, at, group, &mut run, &mut run_groups);
    }
    out.truncate(start + at);
}

/// Packs one group to `packed[at..]`, which has room for ten bytes; gives the place behind it.
#[inline(always)]
fn pack_group(
    packed: &mut [u8],
    at: usize,
    group: [u8; GROUP],
    run: &mut usize,
    run_groups: &mut usize,
) -> usize {
    let word = u64::from_le_bytes(group);
    let mask = mask_of(word);
    let count = mask.count_ones() as usize;
    if count == GROUP || (count >= JOINS && *run_groups > 0) {
        let begins = *run_groups == 0;
        if begins && count < GROUP {
            return spread(packed, at, mask, group);
        }
        let mut at = at;
        if begins {
            packed[at] = FULL;
            *run = at + 1;
            at += 2;
        }
        packed[at..at + GROUP].copy_from_slice(&group);
        packed[*run] = *run_groups as u8;
        *run_groups = (*run_groups + 1) % RUN;
        return at + GROUP;
    }
    *run_groups = 0;
    spread(packed, at, mask, group)
}

/// Writes mask and non-zero bytes: every byte is stored, and the place moves on behind those that count.
#[inline(always)]
fn spread(packed: &mut [u8], at: usize, mask: u8, group: [u8; GROUP]) -> usize {
    let Some(to) = packed.get_mut(at..at + 1 + GROUP) else {
        return at;
    };
    to[0] = mask;
    let mut place = 1;
    for byte in group {
        // At most the ninth byte: seven have gone before the last.
        to[place & 15] = byte;
        place += usize::from(byte != 0);
    }
    at + place
}

/// Bit `i` of the result is set when byte `i` of the word is not zero.
#[inline(always)]
pub(crate) fn mask_of(word: u64) -> u8 {
    let mut any = word | (word >> 4);
    any |= any >> 2;
    any |= any >> 1;
    any &= 0x0101_0101_0101_0101;
    (any.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// Appends what was packed to `out`: a multiple of eight bytes. Zeros where the mask promises something else are accepted.
///
/// Shape: at most eight times the input; memory grows with what is read, not with what is announced.
///
/// # Errors
/// [`UnpackError::Truncated`] when the input ends within a group, [`UnpackError::TooLarge`] when the result passes
/// [`MAX_MESSAGE_BYTES`]; `out` then holds what came before.
///
/// ```
/// let mut out = Vec::new();
/// fulmar_sproto::unpack(&[0x51, 8, 3, 2], &mut out)?;
/// assert_eq!(out, [8, 0, 0, 0, 3, 0, 2, 0]);
/// # Ok::<(), fulmar_sproto::UnpackError>(())
/// ```
pub fn unpack(input: &[u8], out: &mut Vec<u8>) -> Result<(), UnpackError> {
    let limit = out.len() + MAX_MESSAGE_BYTES;
    let mut rest = input;
    while let Some(behind) = unpack_group(rest, out, limit)? {
        rest = behind;
    }
    Ok(())
}

/// Unpacks the group or run at the front of `input`; gives what is behind it, or none when there is nothing.
#[inline(always)]
pub(crate) fn unpack_group<'a>(
    input: &'a [u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<Option<&'a [u8]>, UnpackError> {
    let Some((&mask, behind)) = input.split_first() else {
        return Ok(None);
    };
    if out.len() + GROUP > limit {
        return Err(UnpackError::TooLarge);
    }
    if mask == FULL {
        let (&more, behind) = behind.split_first().ok_or(UnpackError::Truncated)?;
        let len = (usize::from(more) + 1) * GROUP;
        let (raw, behind) = behind.split_at_checked(len).ok_or(UnpackError::Truncated)?;
        if out.len() + len > limit {
            return Err(UnpackError::TooLarge);
        }
        out.extend_from_slice(raw);
        return Ok(Some(behind));
    }
    let len = mask.count_ones() as usize;
    let mut bytes = [0; GROUP];
    let behind = if let Some((whole, _)) = behind.split_first_chunk::<GROUP>() {
        bytes = *whole;
        behind.get(len..).unwrap_or_default()
    } else {
        let (some, behind) = behind.split_at_checked(len).ok_or(UnpackError::Truncated)?;
        for (to, from) in bytes.iter_mut().zip(some) {
            *to = *from;
        }
        behind
    };
    out.extend_from_slice(&gather(mask, bytes));
    Ok(Some(behind))
}

/// The group of a mask and the bytes behind it.
#[inline(always)]
fn gather(mask: u8, bytes: [u8; GROUP]) -> [u8; GROUP] {
    let mut group = [0; GROUP];
    let mut place = 0;
    for (bit, to) in group.iter_mut().enumerate() {
        let set = (mask >> bit) & 1;
        *to = bytes[place & 7] & set.wrapping_neg();
        place += usize::from(set);
    }
    group
}

/// Bytes of a group.
pub(crate) const GROUP: usize = 8;
/// Groups of a run.
pub(crate) const RUN: usize = 256;
/// Bytes that are not zero with which a group joins a run.
pub(crate) const JOINS: usize = 6;
/// The mask that begins a run.
pub(crate) const FULL: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        pack(input, &mut out);
        out
    }

    #[test]
    fn a_run_ends_at_256_groups() {
        let input = [0x8a; 257 * GROUP];
        let out = packed(&input);
        assert_eq!(out.len(), 2 + 256 * GROUP + 2 + GROUP);
        assert_eq!((out[0], out[1], out[2 + 256 * GROUP]), (0xff, 0xff, 0xff));
    }

    #[test]
    fn six_bytes_join_a_run_and_five_end_it() {
        let mut input = vec![1; GROUP];
        input.extend([1, 1, 1, 1, 1, 1, 0, 0]);
        input.extend([1, 1, 1, 1, 1, 0, 0, 0]);
        assert_eq!(packed(&input)[..2], [0xff, 1]);
        assert_eq!(packed(&input)[18..], [0x1f, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn the_bound_holds_for_the_worst_input() {
        // Every other group begins a run that the next one ends.
        let input: Vec<u8> = (0..4096)
            .map(|i| u8::from((i / GROUP).is_multiple_of(2) || i % GROUP < 5))
            .collect();
        for len in 0..input.len() {
            assert!(packed(&input[..len]).len() <= packed_bound(len), "{len}");
        }
    }

    #[test]
    fn memory_does_not_follow_a_promise() {
        let mut out = Vec::new();
        assert_eq!(
            unpack(&[0xff, 0xff, 1, 2, 3], &mut out),
            Err(UnpackError::Truncated)
        );
        assert_eq!(out.capacity(), 0);
        let bomb = vec![0; MAX_MESSAGE_BYTES / GROUP + 1];
        assert_eq!(unpack(&bomb, &mut out), Err(UnpackError::TooLarge));
    }
}
