//! Session numbers: what pairs an answer with its request.
//!
//! Numbers belong to the requester and run from 1 to `i32::MAX`, then from 1 again; 0 means that no answer is wanted. The
//! engine does not check whether an old number is still waiting: the layer that keeps the table of pending calls does.

use std::ops::Range;

use fulmar_arena::sync::atomic::{AtomicU64, Ordering};

/// A service's counter.
#[derive(Debug)]
pub(crate) struct Sessions(AtomicU64);

impl Sessions {
    pub(crate) fn new() -> Sessions {
        Sessions(AtomicU64::new(0))
    }

    /// The next number.
    pub(crate) fn next(&self) -> i32 {
        // Relaxed: numbers only have to differ. 64 bits do not wrap, so no two threads can meet at the seam.
        session_of(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// The next few numbers.
    pub(crate) fn block(&self) -> SessionBlock {
        // Relaxed: as in `next`.
        let first = self.0.fetch_add(BLOCK, Ordering::Relaxed);
        SessionBlock(first..first + BLOCK)
    }
}

/// Session numbers drawn ahead by one who needs many: 64 of a service's, which nobody else gets. See
/// [`Context::session_block`](crate::Context::session_block).
#[derive(Debug, Default)]
pub struct SessionBlock(Range<u64>);

impl Iterator for SessionBlock {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        self.0.next().map(session_of)
    }
}

const BLOCK: u64 = 64;

fn session_of(drawn: u64) -> i32 {
    (drawn % i32::MAX as u64) as i32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_one() {
        let sessions = Sessions::new();
        assert_eq!([sessions.next(), sessions.next()], [1, 2]);
    }

    #[test]
    fn a_block_is_nobody_elses() {
        let sessions = Sessions::new();
        let first = sessions.next();
        let mut block = sessions.block();
        assert_eq!(block.next(), Some(first + 1));
        assert_eq!(sessions.next(), first + 1 + BLOCK as i32);
        assert_eq!(block.last(), Some(first + BLOCK as i32));
    }

    #[test]
    fn numbers_return_to_one_after_the_last() {
        let last = i32::MAX as u64 - 1;
        assert_eq!(
            [session_of(last), session_of(last + 1), session_of(last + 2)],
            [i32::MAX, 1, 2]
        );
    }
}
