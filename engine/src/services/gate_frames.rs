//! Frames in a stream of bytes: a length, its highest byte first, then so many bytes. Pure: no socket.

/// How long a length is, and how long a frame may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framing {
    /// Bytes of a length, 1 to 4.
    pub(crate) header_bytes: usize,
    /// The first length that is refused.
    pub(crate) limit_bytes: usize,
}

/// A length that reaches the limit: nothing behind it is a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What has come of a frame that is not whole yet, with its length. Grows with what arrives, not with what a length claims.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Vec<u8>);

impl Framing {
    /// Takes the next piece of a stream, and shows each frame that is whole now, where it lies when it came in one piece.
    pub(crate) fn feed(
        self,
        begun: &mut Unfinished,
        mut bytes: &[u8],
        mut frame: impl FnMut(&[u8]),
    ) -> Result<(), TooLong> {
        if !begun.0.is_empty() {
            bytes = begun.take(bytes, self.header_bytes);
            let Some(end) = self.frame_end(&begun.0)? else {
                return Ok(());
            };
            bytes = begun.take(bytes, end);
            if begun.0.len() < end {
                return Ok(());
            }
            frame(&begun.0[self.header_bytes..]);
            begun.0 = Vec::new();
        }
        while let Some(end) = self.frame_end(bytes)?
            && end <= bytes.len()
        {
            frame(&bytes[self.header_bytes..end]);
            bytes = &bytes[end..];
        }
        begun.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Where the frame at the beginning of `bytes` ends; none while its length is not whole.
    fn frame_end(self, bytes: &[u8]) -> Result<Option<usize>, TooLong> {
        let Some(header) = bytes.get(..self.header_bytes) else {
            return Ok(None);
        };
        let len = header.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        if len >= self.limit_bytes {
            return Err(TooLong);
        }
        Ok(Some(self.header_bytes + len))
    }
}

impl Unfinished {
    /// Takes bytes until there are `until`; gives the rest.
    fn take<'a>(&mut self, bytes: &'a [u8], until: usize) -> &'a [u8] {
        let missing = until.saturating_sub(self.0.len());
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.0.extend_from_slice(taken);
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn feed(framing: Framing, begun: &mut Unfinished, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut frames = Vec::new();
        framing.feed(begun, bytes, |frame| frames.push(frame.to_vec()))?;
        Ok(frames)
    }

    proptest! {
        /// However the stream is cut, the frames are those that were written, and nothing is kept behind a whole one.
        #[test]
        fn frames_survive_any_cut(
            frames in vec(vec(any::<u8>(), 0..300), 0..20),
            cuts in vec(1..50usize, 1..200),
            header_bytes in 2..=4usize,
        ) {
            let framing = Framing { header_bytes, limit_bytes: 1 << 16 };
            let mut stream = Vec::new();
            for frame in &frames {
                stream.extend_from_slice(&(frame.len() as u32).to_be_bytes()[4 - header_bytes..]);
                stream.extend_from_slice(frame);
            }
            let (mut begun, mut seen, mut rest) = (Unfinished::default(), Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                seen.extend(feed(framing, &mut begun, piece).expect("below the limit"));
                rest = later;
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(begun.0.is_empty());
        }

        /// Anything may come: what is kept is no more than what came.
        #[test]
        fn any_bytes_are_taken(pieces in vec(vec(any::<u8>(), 0..40), 0..20)) {
            let framing = Framing { header_bytes: 4, limit_bytes: 1 << 24 };
            let (mut begun, mut sent) = (Unfinished::default(), 0);
            for piece in pieces {
                sent += piece.len();
                if feed(framing, &mut begun, &piece).is_err() {
                    break;
                }
                prop_assert!(begun.0.len() <= sent);
            }
        }
    }

    #[test]
    fn a_length_at_the_limit_is_refused_before_the_frame_comes() {
        let framing = Framing {
            header_bytes: 4,
            limit_bytes: 1 << 24,
        };
        let mut begun = Unfinished::default();
        assert_eq!(feed(framing, &mut begun, &[1, 0, 0]), Ok(vec![]));
        assert_eq!(feed(framing, &mut begun, &[0]), Err(TooLong));
        let mut begun = Unfinished::default();
        assert_eq!(feed(framing, &mut begun, &[0, 255, 255, 255]), Ok(vec![]));
    }
}
