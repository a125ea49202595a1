//! How much to read at a time: follows the traffic. Pure.

/// Doubles while reads fill it, halves when they use less than half.
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

const LEAST_READ_BYTES: usize = 64;
const MOST_READ_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_follow_the_traffic() {
        let mut size = ReadSize::new();
        assert!(size.handle_read(64) && size.bytes() == 128);
        assert!(!size.handle_read(64) && size.bytes() == 128);
        assert!(!size.handle_read(63) && size.bytes() == 64);
        assert!(!size.handle_read(1) && size.bytes() == 64);
        (0..40).for_each(|_| {
            let all = size.bytes();
            size.handle_read(all);
        });
        assert_eq!(size.bytes(), MOST_READ_BYTES);
    }
}
