//! From a stream with attachments to skynet's format, for wherever bytes leave the engine.

use fulmar_arena::{Arena, Attached, Attachments, BufMut, LoanError};

use super::format::{
    ATTACHMENT, LONG_STRING, Malformed, NUMBER, POINTER, Reader, SHORT_STRING, TABLE, beside_bytes,
    long_string_head, split,
};

/// Length of a packed message in skynet's format: what Lua sees as its size.
///
/// Cost: one step for each attachment; the stream is not read.
pub fn flat_len(stream: &[u8], attachments: Attachments<'_>) -> usize {
    stream.len() + attachments.map(|buf| beside_bytes(buf.len())).sum::<usize>()
}

/// The same message with its attachments in the stream. A block that has none is returned as it is.
///
/// # Errors
/// [`LoanError`] when the arena has no room; the block is released.
pub fn flatten(arena: Arena, block: BufMut, owner: u32) -> Result<BufMut, LoanError> {
    if block.attachments().len() == 0 {
        return Ok(block);
    }
    flat_copy(arena, &block, block.attachments(), owner)
}

/// A copy of a packed message in skynet's format.
///
/// A stream that does not refer to each of its attachments once, in order, is not a packer's: it is copied as it is,
/// and refused by whoever unpacks it.
///
/// # Errors
/// [`LoanError`] when the arena has no room.
pub fn flat_copy(
    arena: Arena,
    stream: &[u8],
    attachments: Attachments<'_>,
    owner: u32,
) -> Result<BufMut, LoanError> {
    let attached: Vec<Attached<'_>> = attachments.collect();
    let beside: usize = attached.iter().map(|buf| beside_bytes(buf.len())).sum();
    let mut flat = arena.loan(stream.len() + beside, owner)?;
    if write_flat(&mut flat, stream, &attached).is_none() {
        flat.set_len(stream.len());
        flat.copy_from_slice(stream);
    }
    Ok(flat)
}

/// Fills `flat`, exactly.
fn write_flat(mut flat: &mut [u8], stream: &[u8], attached: &[Attached<'_>]) -> Option<()> {
    let mut append = |bytes: &[u8]| {
        flat.split_off_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(())
    };
    let mut reader = Reader::new(stream, attached.len());
    let mut strings = attached.iter();
    let mut copied = 0;
    while let Some(head) = reader.next_head() {
        let before = stream.len() - reader.left() - 1;
        if skip(&mut reader, head).ok()? {
            let string = strings.next()?;
            let (head, head_len) = long_string_head(string.len())?;
            append(&stream[copied..before])?;
            append(&head[..head_len])?;
            append(string)?;
            copied = before + 1;
        }
    }
    append(&stream[copied..])?;
    (flat.is_empty() && strings.next().is_none()).then_some(())
}

/// Reads over the payload behind a head; tables need no nesting here, because their values follow as any others do.
/// True for an attachment.
fn skip(reader: &mut Reader<'_>, head: u8) -> Result<bool, Malformed> {
    let (kind, cookie) = split(head);
    match kind {
        NUMBER => reader.number(cookie).map(drop)?,
        POINTER => reader.pointer().map(drop)?,
        SHORT_STRING => reader.bytes(usize::from(cookie)).map(drop)?,
        LONG_STRING => reader.long_string(cookie).map(drop)?,
        TABLE => reader.item_count(cookie).map(drop)?,
        ATTACHMENT => reader.attachment()?,
        _ => {}
    }
    Ok(kind == ATTACHMENT)
}
