//! Overload: noticing that a mailbox grows faster than its service reads, as skynet does.
//!
//! The first report comes above 1024 waiting messages, then the threshold doubles past the length each time; it returns to 1024
//! when the mailbox has been found empty.

/// Looked at once per batch by whoever runs the service.
#[derive(Debug)]
pub(crate) struct Overload {
    threshold: u64,
}

impl Overload {
    pub(crate) const fn new() -> Overload {
        Overload {
            threshold: FIRST_THRESHOLD,
        }
    }

    /// Takes note of the length that waits behind the message about to be handled; the length to report, if it is news.
    pub(crate) fn observe(&mut self, waiting: u64) -> Option<u64> {
        if waiting <= self.threshold {
            return None;
        }
        while self.threshold < waiting {
            self.threshold = self.threshold.saturating_mul(2);
        }
        Some(waiting)
    }

    /// The mailbox was found empty.
    pub(crate) fn reset(&mut self) {
        self.threshold = FIRST_THRESHOLD;
    }
}

const FIRST_THRESHOLD: u64 = 1024;
