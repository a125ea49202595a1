//! Frames: pieces of a stream, each behind a prefix that tells its length. Pure.

use std::ops::{Deref, DerefMut};

use thiserror::Error;

/// How a frame's length stands before it. The length counts the body alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramePrefix {
    /// One byte.
    U8,
    /// Two bytes, the high one first: what skynet's gate speaks.
    U16Be,
    /// Two bytes, the low one first.
    U16Le,
    /// Four bytes, the highest first.
    U32Be,
    /// Four bytes, the lowest first.
    U32Le,
}

/// How a stream is cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// The length prefix.
    pub prefix: FramePrefix,
    /// The longest body that is taken, and sent. A peer that announces more is cut off. What it announces costs nothing: the reader
    /// holds a small multiple of what has come.
    pub limit_bytes: usize,
}

/// A frame is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frame of {found_bytes} bytes where {limit_bytes} are allowed")]
pub struct FrameTooLong {
    /// Its length.
    pub found_bytes: usize,
    /// What is allowed.
    pub limit_bytes: usize,
}

/// Why [`FrameReader::poll`] gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError<E> {
    /// The peer announces more than is allowed.
    #[error(transparent)]
    TooLong(#[from] FrameTooLong),
    /// No buffer for a body.
    #[error("no buffer for a frame")]
    Loan(E),
}

impl FramePrefix {
    /// The number of bytes.
    pub fn width(self) -> usize {
        match self {
            FramePrefix::U8 => 1,
            FramePrefix::U16Be | FramePrefix::U16Le => 2,
            FramePrefix::U32Be | FramePrefix::U32Le => 4,
        }
    }

    /// The longest body that it can announce.
    pub fn most_bytes(self) -> usize {
        match self {
            FramePrefix::U8 => u8::MAX.into(),
            FramePrefix::U16Be | FramePrefix::U16Le => u16::MAX.into(),
            FramePrefix::U32Be | FramePrefix::U32Le => u32::MAX as usize,
        }
    }

    /// The prefix of a body; none when the body is too long for it.
    pub(super) fn encode(self, body_bytes: usize) -> Option<PrefixBytes> {
        let length = u32::try_from(body_bytes)
            .ok()
            .filter(|_| body_bytes <= self.most_bytes())?;
        let bytes = match self {
            FramePrefix::U8 | FramePrefix::U16Le | FramePrefix::U32Le => length.to_le_bytes(),
            FramePrefix::U16Be => (length << 16).to_be_bytes(),
            FramePrefix::U32Be => length.to_be_bytes(),
        };
        Some(PrefixBytes {
            bytes,
            len: self.width() as u8,
        })
    }

    /// The length that a whole prefix announces; what follows the prefix in `bytes` is not looked at.
    fn decode(self, bytes: [u8; 4]) -> usize {
        let [a, b, ..] = bytes;
        match self {
            FramePrefix::U8 => a.into(),
            FramePrefix::U16Be => u16::from_be_bytes([a, b]).into(),
            FramePrefix::U16Le => u16::from_le_bytes([a, b]).into(),
            FramePrefix::U32Be => u32::from_be_bytes(bytes) as usize,
            FramePrefix::U32Le => u32::from_le_bytes(bytes) as usize,
        }
    }
}

impl Framing {
    /// The prefix of a body.
    pub(super) fn encode(self, body_bytes: usize) -> Result<PrefixBytes, FrameTooLong> {
        self.check(body_bytes)?;
        self.prefix.encode(body_bytes).ok_or(FrameTooLong {
            found_bytes: body_bytes,
            limit_bytes: self.prefix.most_bytes(),
        })
    }

    fn check(self, body_bytes: usize) -> Result<(), FrameTooLong> {
        match body_bytes <= self.limit_bytes {
            true => Ok(()),
            false => Err(FrameTooLong {
                found_bytes: body_bytes,
                limit_bytes: self.limit_bytes,
            }),
        }
    }
}

/// A prefix as it goes out; none by default.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PrefixBytes {
    bytes: [u8; 4],
    len: u8,
}

impl Deref for PrefixBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }
}

/// Cuts a stream into frames.
///
/// Bytes come in two ways. What [`room`](FrameReader::room) gives is the unread rest of the frame at hand, in its buffer: a read
/// straight into it copies nothing. Everything else goes through [`poll`](FrameReader::poll).
///
/// A length is only a claim. A buffer begins with room for four times what has come of its frame (at least 4 KiB, and no more than the
/// frame), and is exchanged for such a one when it is full; so a body of up to 4 KiB, or one of which a quarter comes at once, never
/// moves.
///
/// ```
/// use fulmar_engine::{FramePrefix, FrameReader, Framing};
///
/// let mut frames = FrameReader::new(Framing { prefix: FramePrefix::U16Be, limit_bytes: 100 });
/// let loan = |len| Ok::<_, ()>(vec![0; len]);
/// let mut read: &[u8] = b"\x00\x02hi\x00\x05wo";
/// assert_eq!(frames.poll(&mut read, loan)?, Some((b"hi".to_vec(), 2)));
/// assert_eq!(frames.poll(&mut read, loan)?, None);
///
/// frames.room().copy_from_slice(b"rld");
/// assert_eq!(frames.handle_room(3), Some((b"world".to_vec(), 5)));
/// # Ok::<(), fulmar_engine::FrameError<()>>(())
/// ```
pub struct FrameReader<B> {
    framing: Framing,
    prefix: [u8; 4],
    /// Bytes of the prefix that are there.
    have: usize,
    body: Option<Body<B>>,
}

struct Body<B> {
    buffer: B,
    /// Bytes of the buffer that are used: all of the frame, or so far.
    room: usize,
    len: usize,
    have: usize,
}

impl<B: DerefMut<Target = [u8]>> FrameReader<B> {
    /// At the beginning of a frame.
    pub fn new(framing: Framing) -> FrameReader<B> {
        FrameReader {
            framing,
            prefix: [0; 4],
            have: 0,
            body: None,
        }
    }

    /// Whether nothing of a frame is there.
    pub fn is_between_frames(&self) -> bool {
        self.have == 0
    }

    /// How the stream is cut.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Where more of the frame at hand goes; empty when none has begun.
    pub fn room(&mut self) -> &mut [u8] {
        match &mut self.body {
            Some(body) => &mut body.buffer[body.have..body.room],
            None => &mut [],
        }
    }

    /// The first `read` bytes of the room have been filled. The frame, once it is whole: its buffer, and the length of its body.
    ///
    /// # Panics
    /// When that is more than there was room for.
    pub fn handle_room(&mut self, read: usize) -> Option<(B, usize)> {
        let Some(body) = &mut self.body else {
            assert_eq!(read, 0, "there was no room");
            return None;
        };
        assert!(read <= body.room - body.have, "more than there was room for");
        body.have += read;
        self.finish()
    }

    /// The next whole frame of `bytes`, which moves on behind what was used: to its end when the result is none; then there is room
    /// for more of a frame that has begun. `loan` makes a buffer for so many bytes; it may be longer.
    ///
    /// # Errors
    /// [`FrameError`]: the stream cannot be read further.
    pub fn poll<E>(
        &mut self,
        bytes: &mut &[u8],
        mut loan: impl FnMut(usize) -> Result<B, E>,
    ) -> Result<Option<(B, usize)>, FrameError<E>> {
        if self.body.is_none() {
            let width = self.framing.prefix.width();
            let part = take(bytes, width - self.have);
            self.prefix[self.have..][..part.len()].copy_from_slice(part);
            self.have += part.len();
            if self.have < width {
                return Ok(None);
            }
            let len = self.framing.prefix.decode(self.prefix);
            self.framing.check(len)?;
            let room = room_for(bytes.len(), len);
            let buffer = loan(room).map_err(FrameError::Loan)?;
            self.body = Some(Body {
                buffer,
                room,
                len,
                have: 0,
            });
        }
        if let Some(body) = &mut self.body
            && body.room < body.len
            && body.room - body.have <= bytes.len()
        {
            body.grow(bytes.len(), loan).map_err(FrameError::Loan)?;
        }
        let part = take(bytes, self.room().len());
        self.room()[..part.len()].copy_from_slice(part);
        Ok(self.handle_room(part.len()))
    }

    fn finish(&mut self) -> Option<(B, usize)> {
        let body = self.body.take_if(|body| body.have == body.len)?;
        self.have = 0;
        Some((body.buffer, body.len))
    }
}

impl<B: DerefMut<Target = [u8]>> Body<B> {
    /// Exchanges the buffer for a larger one; `more` bytes come at once.
    fn grow<E>(&mut self, more: usize, loan: impl FnOnce(usize) -> Result<B, E>) -> Result<(), E> {
        let room = room_for(self.have + more, self.len);
        let mut larger = loan(room)?;
        larger[..self.have].copy_from_slice(&self.buffer[..self.have]);
        self.buffer = larger;
        self.room = room;
        Ok(())
    }
}

/// How large a buffer is for a frame of `len` bytes of which so many have come.
fn room_for(come: usize, len: usize) -> usize {
    len.min(come.saturating_mul(ROOM_FOR_EACH).max(LEAST_ROOM_BYTES))
}

/// Takes `len` bytes off the front, or all.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(len.min(bytes.len()));
    *bytes = rest;
    part
}

/// Bytes of room for each that has come.
const ROOM_FOR_EACH: usize = 4;
/// What a frame gets of which nothing has come but its length.
const LEAST_ROOM_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFIXES: [FramePrefix; 5] = [
        FramePrefix::U8,
        FramePrefix::U16Be,
        FramePrefix::U16Le,
        FramePrefix::U32Be,
        FramePrefix::U32Le,
    ];

    fn loan(len: usize) -> Result<Vec<u8>, ()> {
        Ok(vec![0; len + 3])
    }

    /// Reads a stream in pieces, each first into the room as a vectored read does. What is held is a small multiple of what has come.
    fn read(framing: Framing, mut stream: &[u8], pieces: &[usize]) -> Result<Vec<Vec<u8>>, FrameError<()>> {
        let mut frames: FrameReader<Vec<u8>> = FrameReader::new(framing);
        let mut found = Vec::new();
        let mut pieces = pieces.iter().cycle();
        let whole_len = stream.len();
        while !stream.is_empty() {
            let mut piece = take(&mut stream, *pieces.next().unwrap());
            let come = whole_len - stream.len();
            let loan = |len| {
                assert!(
                    len <= (come * ROOM_FOR_EACH).max(LEAST_ROOM_BYTES),
                    "{len} bytes where {come} have come"
                );
                loan(len)
            };
            let room = frames.room();
            let direct = take(&mut piece, room.len());
            room[..direct.len()].copy_from_slice(direct);
            let mut whole = frames.handle_room(direct.len());
            loop {
                found.extend(whole.map(|(buffer, len)| buffer[..len].to_vec()));
                whole = frames.poll(&mut piece, loan)?;
                if whole.is_none() {
                    break;
                }
            }
            assert!(piece.is_empty());
        }
        Ok(found)
    }

    proptest! {
        /// Frames come out as they went in, however the stream is split.
        #[test]
        fn frames_do_not_depend_on_splits(
            prefix in 0usize..5,
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20),
            pieces in proptest::collection::vec(1usize..40, 1..8),
        ) {
            let prefix = PREFIXES[prefix];
            let mut stream = Vec::new();
            for body in &bodies {
                stream.extend_from_slice(&prefix.encode(body.len()).unwrap());
                stream.extend_from_slice(body);
            }
            let framing = Framing { prefix, limit_bytes: 80 };
            prop_assert_eq!(read(framing, &stream, &pieces), Ok(bodies));
        }

        /// Buffers that grow lose nothing.
        #[test]
        fn large_frames_do_not_depend_on_splits(
            lens in proptest::collection::vec(0usize..200_000, 1..5),
            pieces in proptest::collection::vec(1usize..70_000, 1..8),
        ) {
            let framing = Framing { prefix: FramePrefix::U32Le, limit_bytes: 200_000 };
            let bodies: Vec<Vec<u8>> = lens.iter().map(|len| (0..*len).map(|at| (at % 251) as u8).collect()).collect();
            let mut stream = Vec::new();
            for body in &bodies {
                stream.extend_from_slice(&framing.encode(body.len()).unwrap());
                stream.extend_from_slice(body);
            }
            prop_assert!(read(framing, &stream, &pieces) == Ok(bodies));
        }

        /// Any bytes are frames within the limit or an error; never a buffer beyond the limit.
        #[test]
        fn garbage_is_frames_or_an_error(prefix in 0usize..5, bytes in proptest::collection::vec(any::<u8>(), 0..200), limit_bytes in 0usize..50) {
            let framing = Framing { prefix: PREFIXES[prefix], limit_bytes };
            let mut frames: FrameReader<Vec<u8>> = FrameReader::new(framing);
            let mut rest = &bytes[..];
            loop {
                let loan = |len| { assert!(len <= limit_bytes); loan(len) };
                match frames.poll(&mut rest, loan) {
                    Ok(Some((_, len))) => prop_assert!(len <= limit_bytes),
                    Ok(None) => { prop_assert!(rest.is_empty()); break }
                    Err(FrameError::TooLong(error)) => { prop_assert!(error.found_bytes > limit_bytes); break }
                    Err(FrameError::Loan(())) => unreachable!(),
                }
            }
        }
    }

    #[test]
    fn a_prefix_holds_no_more_than_it_can() {
        for prefix in PREFIXES {
            let framing = Framing {
                prefix,
                limit_bytes: usize::MAX,
            };
            assert_eq!(framing.encode(200).unwrap().len(), prefix.width());
            let error = framing.encode(prefix.most_bytes() + 1).unwrap_err();
            assert_eq!(error.limit_bytes, prefix.most_bytes());
        }
        assert_eq!(&*FramePrefix::U16Be.encode(0x0102).unwrap(), [1, 2]);
        assert_eq!(&*FramePrefix::U16Le.encode(0x0102).unwrap(), [2, 1]);
        assert_eq!(&*FramePrefix::U32Be.encode(0x0102).unwrap(), [0, 0, 1, 2]);
    }
}
