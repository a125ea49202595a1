//! Frames out of a stream of bytes: a length of two bytes, the high one first, then so many bytes. Pure: no socket, no Lua.

use std::ops::DerefMut;

/// The longest frame.
pub const MAX_FRAME_BYTES: usize = u16::MAX as usize;

/// Takes the frames out of one connection's stream, however it is cut.
///
/// **Shape.** The part of a frame that has arrived; its buffer is made in the frame's size once the length is known, and is
/// handed out when it is full, so each byte is copied once.
///
/// ```
/// use fulmar_lualib::frames::Splitter;
///
/// let mut splitter = Splitter::<Vec<u8>>::default();
/// let mut next = |bytes: &mut &[u8]| splitter.next(bytes, |len| Ok::<_, ()>(vec![0; len])).unwrap();
/// let (mut first, mut second) = (&b"\0\x05he"[..], &b"llo\0\0"[..]);
/// assert_eq!(next(&mut first), None);
/// assert_eq!(next(&mut second).as_deref(), Some(&b"hello"[..]));
/// assert_eq!(next(&mut second).as_deref(), Some(&b""[..]));
/// ```
#[derive(Debug)]
pub struct Splitter<B> {
    state: State<B>,
}

#[derive(Debug)]
enum State<B> {
    /// Before a length.
    Between,
    /// Its high byte has come.
    Length(u8),
    /// So many bytes of the frame have come.
    Body { body: B, filled: usize },
    /// A buffer was refused, so nobody knows any more where frames begin.
    Broken,
}

impl<B: DerefMut<Target = [u8]>> Splitter<B> {
    /// Takes bytes off the front of `bytes` until a frame is whole; none when all are taken and none is. `loan` makes buffers.
    ///
    /// # Errors
    /// That of `loan`. Frames can no longer be told apart then: all further bytes are taken and dropped.
    pub fn next<E>(
        &mut self,
        bytes: &mut &[u8],
        mut loan: impl FnMut(usize) -> Result<B, E>,
    ) -> Result<Option<B>, E> {
        loop {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Between => {
                    let Some((high, rest)) = bytes.split_first() else {
                        self.state = State::Between;
                        return Ok(None);
                    };
                    *bytes = rest;
                    self.state = State::Length(*high);
                }
                State::Length(high) => {
                    let Some((low, rest)) = bytes.split_first() else {
                        self.state = State::Length(high);
                        return Ok(None);
                    };
                    *bytes = rest;
                    let body = loan(u16::from_be_bytes([high, *low]).into())?;
                    self.state = State::Body { body, filled: 0 };
                }
                State::Body { mut body, filled } => {
                    let missing = body.len() - filled;
                    let (part, rest) = bytes.split_at(missing.min(bytes.len()));
                    body[filled..][..part.len()].copy_from_slice(part);
                    *bytes = rest;
                    if part.len() == missing {
                        self.state = State::Between;
                        return Ok(Some(body));
                    }
                    let filled = filled + part.len();
                    self.state = State::Body { body, filled };
                    return Ok(None);
                }
                State::Broken => {
                    *bytes = &[];
                    return Ok(None);
                }
            }
        }
    }

    /// Whether the stream stands between two frames, so that nothing has to be kept of it.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }
}

impl<B> Default for Splitter<B> {
    fn default() -> Splitter<B> {
        Splitter {
            state: State::Between,
        }
    }
}

/// The two bytes before a frame of `len` bytes; none when it is too long.
pub fn header(len: usize) -> Option<[u8; 2]> {
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loan(len: usize) -> Result<Vec<u8>, ()> {
        Ok(vec![0; len])
    }

    proptest! {
        /// However the stream is cut, the frames are those that were written.
        #[test]
        fn frames_do_not_depend_on_cuts(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..12),
            cuts in proptest::collection::vec(0..3000usize, 0..12),
            tail in proptest::collection::vec(any::<u8>(), 0..2),
        ) {
            let mut stream = Vec::new();
            for frame in &frames {
                stream.extend(header(frame.len()).unwrap());
                stream.extend(frame);
            }
            stream.extend(&tail);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
            cuts.sort_unstable();
            let mut splitter = Splitter::default();
            let mut found = Vec::new();
            for cut in cuts.windows(2) {
                let mut part = &stream[cut[0]..cut[1]];
                while let Some(frame) = splitter.next(&mut part, loan).unwrap() {
                    found.push(frame);
                }
                prop_assert!(part.is_empty());
            }
            prop_assert_eq!(splitter.is_between(), tail.is_empty());
            prop_assert_eq!(found, frames);
        }
    }

    #[test]
    fn a_refused_buffer_ends_the_stream() {
        let mut splitter = Splitter::<Vec<u8>>::default();
        let mut bytes = &b"\0\x02ab\0\x01c"[..];
        assert_eq!(splitter.next(&mut bytes, |_| Err("none left")), Err("none left"));
        assert_eq!(splitter.next(&mut bytes, |_| Err("not asked")), Ok(None));
        assert!(bytes.is_empty() && !splitter.is_between());
    }

    #[test]
    fn lengths_have_two_bytes() {
        assert_eq!(header(300), Some([1, 44]));
        assert_eq!(header(MAX_FRAME_BYTES), Some([255, 255]));
        assert_eq!(header(MAX_FRAME_BYTES + 1), None);
    }
}
