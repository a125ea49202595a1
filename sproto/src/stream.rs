//! Zero-packing of bytes that come in pieces: the same bytes as [`pack`](crate::pack) and [`unpack`](crate::unpack) give for
//! all of them at once, with a bounded amount kept between pieces.

use crate::MAX_MESSAGE_BYTES;
use crate::error::UnpackError;
use crate::pack::{FULL, GROUP, JOINS, RUN, mask_of, unpack_group};

/// Packs bytes piece by piece. Keeps at most a run: two kilobytes.
///
/// ```
/// use fulmar_sproto::Packer;
///
/// let (mut packer, mut out) = (Packer::new(), Vec::new());
/// packer.push(&[8, 0, 0, 0, 3], &mut out);
/// packer.push(&[0, 2], &mut out);
/// packer.finish(&mut out);
/// assert_eq!(out, [0x51, 8, 3, 2]);
/// ```
#[derive(Debug, Default)]
pub struct Packer {
    /// Less than a group of input.
    rest: Vec<u8>,
    /// The groups of the open run.
    run: Vec<u8>,
}

impl Packer {
    /// One that has seen nothing.
    pub fn new() -> Packer {
        Packer::default()
    }

    /// Takes more input, and appends what is packed for good to `out`.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            let (some, behind) = input.split_at((GROUP - self.rest.len()).min(input.len()));
            self.rest.extend_from_slice(some);
            input = behind;
            let Ok(group) = <[u8; GROUP]>::try_from(self.rest.as_slice()) else {
                return;
            };
            self.rest.clear();
            self.group(group, out);
        }
        let (groups, rest) = input.as_chunks::<GROUP>();
        for group in groups {
            self.group(*group, out);
        }
        self.rest.extend_from_slice(rest);
    }

    /// Ends the input, which counts as padded with zeros, and begins anew.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            let padding = GROUP - self.rest.len();
            self.push(&[0; GROUP][..padding], out);
        }
        self.close(out);
    }

    fn group(&mut self, group: [u8; GROUP], out: &mut Vec<u8>) {
        let mask = mask_of(u64::from_le_bytes(group));
        let count = mask.count_ones() as usize;
        if count == GROUP || (count >= JOINS && !self.run.is_empty()) {
            self.run.extend_from_slice(&group);
            if self.run.len() == RUN * GROUP {
                self.close(out);
            }
            return;
        }
        self.close(out);
        out.push(mask);
        out.extend(group.iter().filter(|byte| **byte != 0));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if !self.run.is_empty() {
            out.extend_from_slice(&[FULL, (self.run.len() / GROUP - 1) as u8]);
            out.append(&mut self.run);
        }
    }
}

/// Unpacks bytes piece by piece. Keeps at most a run: two kilobytes.
///
/// ```
/// use fulmar_sproto::Unpacker;
///
/// let (mut unpacker, mut out) = (Unpacker::new(), Vec::new());
/// unpacker.push(&[0x51, 8, 3], &mut out)?;
/// assert!(unpacker.finish().is_err());
/// unpacker.push(&[2], &mut out)?;
/// unpacker.finish()?;
/// assert_eq!(out, [8, 0, 0, 0, 3, 0, 2, 0]);
/// # Ok::<(), fulmar_sproto::UnpackError>(())
/// ```
#[derive(Debug, Default)]
pub struct Unpacker {
    /// The beginning of a group or a run.
    rest: Vec<u8>,
    written: usize,
}

impl Unpacker {
    /// One that has seen nothing.
    pub fn new() -> Unpacker {
        Unpacker::default()
    }

    /// Takes more input, and appends what it gives to `out`.
    ///
    /// # Errors
    /// [`UnpackError::TooLarge`] when all of it would pass [`MAX_MESSAGE_BYTES`].
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), UnpackError> {
        // What is kept is moved out and back, so that single bytes do not copy it again and again.
        let mut kept = std::mem::take(&mut self.rest);
        let mut rest = if kept.is_empty() {
            input
        } else {
            kept.extend_from_slice(input);
            &kept
        };
        let before = out.len();
        let limit = before + (MAX_MESSAGE_BYTES - self.written);
        let result = loop {
            match unpack_group(rest, out, limit) {
                Ok(Some(behind)) => rest = behind,
                Ok(None) | Err(UnpackError::Truncated) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let left = rest.len();
        if kept.is_empty() {
            kept.extend_from_slice(input.split_at(input.len() - left).1);
        } else {
            kept.drain(..kept.len() - left);
        }
        if result.is_ok() {
            self.rest = kept;
        }
        self.written += out.len() - before;
        result
    }

    /// Whether the input ended where it may.
    ///
    /// # Errors
    /// [`UnpackError::Truncated`] when it ended within a group.
    pub fn finish(&self) -> Result<(), UnpackError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(UnpackError::Truncated)
        }
    }
}
