//! What sockets tell their owners: one message of type SOCKET per event, text or data and behind it a trailer.
//!
//! ```text
//!  | text or data ... | kind i32 | id i32 | ud i32 | 0 |
//! ```
//! Data stands first so that its block can be handed on as it is.

use fulmar_arena::{Arena, BufMut, LoanError};

use crate::handle::Handle;

/// What happened: skynet's SKYNET_SOCKET_TYPE numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum EventKind {
    /// Bytes arrived; `ud` is their number.
    Data = 1,
    /// Connected, listening (`ud` is the port) or started; the text says which.
    Connect = 2,
    /// The connection has ended. Once per socket.
    Close = 3,
    /// A listener has a new connection; `ud` is its id, the text its peer.
    Accept = 4,
    /// Something failed; the text says what.
    Error = 5,
    /// A datagram; `ud` bytes of data, then the packed address of the sender.
    Udp = 6,
    /// `ud` KiB wait to be sent; 0 when they have drained.
    Warning = 7,
}

/// A socket event, as read from the bytes of its message.
///
/// ```
/// use fulmar_engine::Event;
/// assert!(Event::parse(b"short").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// To which socket.
    pub id: i32,
    /// A number whose meaning depends on the kind.
    pub ud: i32,
    /// Text, or data.
    pub bytes: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads an event; none when these bytes are none.
    pub fn parse(message: &'a [u8]) -> Option<Event<'a>> {
        let (bytes, trailer) = message.split_at_checked(message.len().wrapping_sub(EVENT_BYTES))?;
        let word =
            |place: usize| i32::from_ne_bytes(trailer[place * 4..][..4].try_into().expect("four bytes"));
        let kind = match word(0) {
            1 => EventKind::Data,
            2 => EventKind::Connect,
            3 => EventKind::Close,
            4 => EventKind::Accept,
            5 => EventKind::Error,
            6 => EventKind::Udp,
            7 => EventKind::Warning,
            _ => return None,
        };
        let ud = word(2);
        if matches!(kind, EventKind::Data | EventKind::Udp)
            && !usize::try_from(ud).is_ok_and(|ud| ud <= bytes.len())
        {
            return None;
        }
        Some(Event {
            kind,
            id: word(1),
            ud,
            bytes,
        })
    }
}

/// A block for `len` bytes of text or data and the trailer.
pub(super) fn loan(arena: Arena, owner: Handle, len: usize) -> Result<BufMut, LoanError> {
    arena.loan(len + EVENT_BYTES, owner.bits())
}

/// Writes the trailer behind the first `len` bytes, and cuts the block off there.
pub(super) fn seal(block: &mut BufMut, len: usize, kind: EventKind, id: i32, ud: i32) {
    block.set_len(len + EVENT_BYTES);
    for (place, word) in [kind as i32, id, ud, 0].into_iter().enumerate() {
        block[len + place * 4..][..4].copy_from_slice(&word.to_ne_bytes());
    }
}

/// Bytes behind text or data.
pub(super) const EVENT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any bytes are an event or none, and never more data than there is.
        #[test]
        fn parse_takes_anything(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(event) = Event::parse(&bytes) {
                prop_assert_eq!(event.bytes.len(), bytes.len() - EVENT_BYTES);
                if event.kind == EventKind::Data {
                    prop_assert!(event.ud as usize <= event.bytes.len());
                }
            }
        }
    }
}
