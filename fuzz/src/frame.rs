//! Streams of frames.

use fulmar_engine::{FrameError, FramePrefix, FrameReader, FrameTooLong, Framing};

/// The first three bytes choose the framing and how the rest is split; however that is, the same frames come out.
pub fn frame(data: &[u8]) {
    let &[prefix, limit, piece, ref stream @ ..] = data else {
        return;
    };
    let prefix = [
        FramePrefix::U8,
        FramePrefix::U16Be,
        FramePrefix::U16Le,
        FramePrefix::U32Be,
        FramePrefix::U32Le,
    ][usize::from(prefix) % 5];
    let framing = Framing {
        prefix,
        limit_bytes: limit.into(),
    };
    let whole = read(framing, stream, stream.len().max(1));
    assert_eq!(whole, read(framing, stream, usize::from(piece).max(1)));
}

/// The frames of a stream that comes in pieces, and why it ended early.
fn read(framing: Framing, stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<FrameTooLong>) {
    let mut reader: FrameReader<Vec<u8>> = FrameReader::new(framing);
    let mut frames = Vec::new();
    for mut piece in stream.chunks(piece) {
        let room = reader.room();
        let direct = room.len().min(piece.len());
        room[..direct].copy_from_slice(&piece[..direct]);
        piece = &piece[direct..];
        let mut whole = reader.handle_room(direct);
        loop {
            if let Some((buffer, len)) = whole {
                frames.push(buffer[..len].to_vec());
            }
            let loan = |len| {
                assert!(len <= framing.limit_bytes, "a buffer beyond the limit");
                Ok::<_, ()>(vec![0; len])
            };
            whole = match reader.poll(&mut piece, loan) {
                Ok(Some(whole)) => Some(whole),
                Ok(None) => break,
                Err(FrameError::TooLong(error)) => return (frames, Some(error)),
                Err(FrameError::Loan(())) => unreachable!("every loan is granted"),
            };
        }
        assert!(piece.is_empty(), "bytes are left behind");
    }
    (frames, None)
}
