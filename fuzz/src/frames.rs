//! Streams of frames with a length of two bytes.

use fulmar_engine::{FramePrefix, FrameReader, Framing};

/// Splits the bytes in pieces whose lengths are their own: the frames are those of the whole stream, and with their headers
/// and what is left they are the stream again.
pub fn frames(data: &[u8]) {
    let whole = split(&[data]);
    let mut pieces = Vec::new();
    let mut rest = data;
    while let Some(byte) = rest.first() {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(byte % 8) + 1));
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(split(&pieces), whole);

    let mut stream = Vec::new();
    for frame in &whole {
        let len = u16::try_from(frame.len()).expect("a frame has a length of two bytes");
        stream.extend(len.to_be_bytes());
        stream.extend(frame);
    }
    let left = data.strip_prefix(&stream[..]).expect("frames are in the stream");
    if let [high, low, begun @ ..] = left {
        assert!(begun.len() < u16::from_be_bytes([*high, *low]).into());
    }
}

fn split(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut reader = FrameReader::new(Framing {
        prefix: FramePrefix::U16Be,
        limit_bytes: u16::MAX.into(),
    });
    let mut frames = Vec::new();
    for mut piece in pieces.iter().copied() {
        while let Ok(Some((frame, _))) = reader.poll(&mut piece, |len| Ok::<_, ()>(vec![0; len])) {
            frames.push(frame);
        }
        assert!(piece.is_empty(), "every byte is taken");
    }
    frames
}
