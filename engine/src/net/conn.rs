//! The parts of a connection that need no socket: what waits to be sent, and how much to read at a time. Pure.

use std::collections::VecDeque;

use fulmar_arena::Buf;

/// What waits to be sent, in two priorities. A packet that has begun is finished before anything else.
#[derive(Default)]
pub(super) struct Outbox {
    high: VecDeque<Buf>,
    low: VecDeque<Buf>,
    /// The unsent rest of a packet that has begun.
    begun: Option<Buf>,
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

    /// Takes a packet of at least one byte. A size in KiB when a warning is due.
    pub(super) fn push(&mut self, buf: Buf, low: bool) -> Option<i32> {
        if buf.is_empty() {
            return None;
        }
        self.bytes += buf.len();
        if low {
            self.low.push_back(buf)
        } else {
            self.high.push_back(buf)
        }
        self.poll_warning()
    }

    /// Takes the rest of a packet whose beginning has been sent.
    pub(super) fn push_begun(&mut self, rest: Buf) -> Option<i32> {
        debug_assert!(self.begun.is_none() && !rest.is_empty());
        self.bytes += rest.len();
        self.begun = Some(rest);
        self.poll_warning()
    }

    fn poll_warning(&mut self) -> Option<i32> {
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

    /// The packets that go next, in order, as many as one call writes.
    pub(super) fn next(&self) -> impl Iterator<Item = &Buf> {
        let low = if self.high.is_empty() {
            Some(&self.low)
        } else {
            None
        };
        self.begun
            .iter()
            .chain(&self.high)
            .chain(low.into_iter().flatten())
            .take(VECTORED)
    }

    /// `sent` bytes of what [`Outbox::next`] gave have gone.
    pub(super) fn handle_sent(&mut self, mut sent: usize) {
        debug_assert!(sent <= self.bytes);
        self.bytes -= sent;
        while sent > 0 {
            let packet = self
                .begun
                .take()
                .or_else(|| self.high.pop_front())
                .or_else(|| self.low.pop_front())
                .expect("no more is sent than waits");
            if packet.len() > sent {
                self.begun = Some(packet.slice(sent..));
                return;
            }
            sent -= packet.len();
        }
    }

    /// Whether all has gone after a warning; says so once.
    pub(super) fn poll_drained(&mut self) -> bool {
        self.bytes == 0 && std::mem::take(&mut self.warn_bytes) > 0
    }

    pub(super) fn clear(&mut self) {
        *self = Outbox {
            warn_bytes: self.warn_bytes,
            ..Outbox::default()
        };
    }
}

/// How much to read at a time: doubles while reads fill it, halves when they use less than half.
pub(super) struct ReadSize(usize);

impl ReadSize {
    pub(super) fn new() -> ReadSize {
        ReadSize(LEAST_READ_BYTES)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0
    }

    /// True when the read filled the buffer, so that more may be there.
    pub(super) fn handle_read(&mut self, read: usize) -> bool {
        let filled = read >= self.0;
        if filled {
            self.0 = (self.0 * 2).min(MOST_READ_BYTES);
        } else if read * 2 < self.0 {
            self.0 = (self.0 / 2).max(LEAST_READ_BYTES);
        }
        filled
    }
}

const FIRST_WARNING_BYTES: usize = 1 << 20;
const VECTORED: usize = 16;
const LEAST_READ_BYTES: usize = 64;
const MOST_READ_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use fulmar_arena::Arena;
    use proptest::prelude::*;

    use super::*;

    fn buf(bytes: &[u8]) -> Buf {
        let mut block = Arena::process().loan(bytes.len(), 0).unwrap();
        block.copy_from_slice(bytes);
        block.freeze()
    }

    /// Sends `step` bytes at a time; what has gone.
    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut gone = Vec::new();
        while !outbox.is_empty() {
            let next: Vec<u8> = outbox.next().flat_map(|buf| buf.to_vec()).collect();
            let sent = step.min(next.len());
            gone.extend_from_slice(&next[..sent]);
            outbox.handle_sent(sent);
        }
        gone
    }

    proptest! {
        /// Nothing is lost, doubled or reordered within a priority, however little goes at a time.
        #[test]
        fn bytes_keep_their_order(packets in proptest::collection::vec((1usize..40, any::<bool>()), 0..60), step in 1usize..70) {
            let mut outbox = Outbox::default();
            let (mut high, mut low) = (Vec::new(), Vec::new());
            for (place, (len, is_low)) in packets.into_iter().enumerate() {
                let bytes = vec![place as u8; len];
                outbox.push(buf(&bytes), is_low);
                if is_low { low.extend(bytes) } else { high.extend(bytes) }
            }
            prop_assert_eq!(drain(&mut outbox, step), [high, low].concat());
        }
    }

    #[test]
    fn a_begun_low_packet_goes_before_a_high_one() {
        let mut outbox = Outbox::default();
        outbox.push(buf(b"lowlow"), true);
        outbox.handle_sent(3);
        outbox.push(buf(b"high"), false);
        assert_eq!(drain(&mut outbox, 2), b"lowhigh");
    }

    #[test]
    fn warnings_come_at_doublings_and_once_when_drained() {
        let mut outbox = Outbox::default();
        let block = buf(&vec![0; 512 << 10]);
        let told: Vec<_> = (0..8).filter_map(|_| outbox.push(block.clone(), false)).collect();
        assert_eq!(told, [1024, 2048, 4096]);
        assert!(!outbox.poll_drained());
        outbox.handle_sent(4 << 20);
        assert!(outbox.poll_drained());
        assert!(!outbox.poll_drained());
    }

    #[test]
    fn reads_follow_the_traffic() {
        let mut size = ReadSize::new();
        assert!(size.handle_read(64) && size.bytes() == 128);
        assert!(!size.handle_read(64) && size.bytes() == 128);
        assert!(!size.handle_read(63) && size.bytes() == 64);
        assert!(!size.handle_read(1) && size.bytes() == 64);
    }
}
