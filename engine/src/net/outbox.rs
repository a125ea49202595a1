//! What waits to be sent on a connection. Pure.

use std::collections::VecDeque;

use fulmar_arena::Buf;

use super::frame::PrefixBytes;

/// Bytes that go out in one piece: a buffer, and the length prefix of its frame if it is one.
pub(super) struct Packet {
    prefix: PrefixBytes,
    body: Buf,
    /// Bytes of both that have gone.
    sent: usize,
}

impl Packet {
    pub(super) fn new(prefix: PrefixBytes, body: Buf) -> Packet {
        Packet {
            prefix,
            body,
            sent: 0,
        }
    }

    /// Bytes that have not gone.
    pub(super) fn len(&self) -> usize {
        self.prefix.len() + self.body.len() - self.sent
    }

    /// What has not gone, in order.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let prefix = self.sent.min(self.prefix.len());
        [&self.prefix[prefix..], &self.body[self.sent - prefix..]]
    }

    pub(super) fn handle_sent(&mut self, sent: usize) {
        debug_assert!(sent <= self.len());
        self.sent += sent;
    }
}

/// What waits to be sent, in two priorities. A packet that has begun is finished before anything else.
#[derive(Default)]
pub(super) struct Outbox {
    high: VecDeque<Packet>,
    low: VecDeque<Packet>,
    begun: Option<Packet>,
    bytes: usize,
    /// The next size that is worth a warning, when one was given already.
    warn_bytes: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Takes a packet of at least one byte.
    pub(super) fn push(&mut self, packet: Packet, low: bool) {
        debug_assert!(packet.len() > 0);
        let first = self.is_empty();
        self.bytes += packet.len();
        if low {
            self.low.push_back(packet);
        } else if first {
            self.begun = Some(packet); // at once, most likely: no queue is needed
        } else {
            self.high.push_back(packet);
        }
    }

    /// How many KiB wait, when that is worth a warning.
    pub(super) fn poll_warning(&mut self) -> Option<i32> {
        let due = self.warn_bytes.max(FIRST_WARNING_BYTES);
        if self.bytes < due {
            return None;
        }
        let mut next = due;
        while next <= self.bytes {
            next = next.saturating_mul(2);
        }
        self.warn_bytes = next;
        Some(i32::try_from(self.bytes.div_ceil(1024)).unwrap_or(i32::MAX))
    }

    /// The bytes that go next, in order; no part is empty.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let low = self.high.is_empty().then_some(&self.low);
        self.begun
            .iter()
            .chain(&self.high)
            .chain(low.into_iter().flatten())
            .flat_map(Packet::parts)
            .filter(|part| !part.is_empty())
    }

    /// `sent` bytes of what [`Outbox::parts`] gave have gone.
    pub(super) fn handle_sent(&mut self, mut sent: usize) {
        debug_assert!(sent <= self.bytes);
        self.bytes -= sent;
        while sent > 0 {
            let mut packet = self
                .begun
                .take()
                .or_else(|| self.high.pop_front())
                .or_else(|| self.low.pop_front())
                .expect("no more is sent than waits");
            let len = packet.len();
            if len > sent {
                packet.handle_sent(sent);
                self.begun = Some(packet);
                return;
            }
            sent -= len;
        }
    }

    /// Whether all has gone after a warning; says so once.
    pub(super) fn poll_drained(&mut self) -> bool {
        self.bytes == 0 && std::mem::take(&mut self.warn_bytes) > 0
    }

    pub(super) fn clear(&mut self) {
        *self = Outbox::default();
    }
}

const FIRST_WARNING_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use fulmar_arena::Arena;
    use proptest::prelude::*;

    use super::super::frame::FramePrefix;
    use super::*;

    fn buf(bytes: &[u8]) -> Buf {
        let mut block = Arena::process().loan(bytes.len(), 0).unwrap();
        block.copy_from_slice(bytes);
        block.freeze()
    }

    fn plain(bytes: &[u8]) -> Packet {
        Packet::new(PrefixBytes::default(), buf(bytes))
    }

    /// Sends `step` bytes at a time; what has gone.
    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut gone = Vec::new();
        while !outbox.is_empty() {
            let next: Vec<u8> = outbox.parts().take(16).flatten().copied().collect();
            let sent = step.min(next.len());
            gone.extend_from_slice(&next[..sent]);
            outbox.handle_sent(sent);
        }
        gone
    }

    proptest! {
        /// Nothing is lost, doubled or reordered within a priority, however little goes at a time.
        #[test]
        fn bytes_keep_their_order(packets in proptest::collection::vec((1usize..40, any::<bool>(), any::<bool>()), 0..60), step in 1usize..70) {
            let mut outbox = Outbox::default();
            let (mut high, mut low) = (Vec::new(), Vec::new());
            for (place, (len, is_low, framed)) in packets.into_iter().enumerate() {
                let bytes = vec![place as u8; len];
                let order = if is_low { &mut low } else { &mut high };
                let prefix = if framed { FramePrefix::U16Be.encode(len).unwrap() } else { PrefixBytes::default() };
                order.extend_from_slice(&prefix);
                order.extend_from_slice(&bytes);
                outbox.push(Packet::new(prefix, buf(&bytes)), is_low);
            }
            prop_assert_eq!(outbox.len(), high.len() + low.len());
            prop_assert_eq!(drain(&mut outbox, step), [high, low].concat());
        }
    }

    #[test]
    fn a_begun_low_packet_goes_before_a_high_one() {
        let mut outbox = Outbox::default();
        outbox.push(plain(b"lowlow"), true);
        outbox.handle_sent(3);
        outbox.push(plain(b"high"), false);
        assert_eq!(drain(&mut outbox, 2), b"lowhigh");
    }

    #[test]
    fn warnings_come_at_doublings_and_once_when_drained() {
        let mut outbox = Outbox::default();
        let block = buf(&vec![0; 512 << 10]);
        let told: Vec<_> = (0..8)
            .filter_map(|_| {
                outbox.push(Packet::new(PrefixBytes::default(), block.clone()), false);
                outbox.poll_warning()
            })
            .collect();
        assert_eq!(told, [1024, 2048, 4096]);
        assert!(!outbox.poll_drained());
        outbox.handle_sent(4 << 20);
        assert!(outbox.poll_drained());
        assert!(!outbox.poll_drained());
    }
}
