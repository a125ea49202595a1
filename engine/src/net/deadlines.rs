//! When sockets want to be looked at, whatever happens to them. Pure: now is a parameter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Moments, in centiseconds of engine time, and the ids that wait for them. Entries of sockets that are gone stay until they are due.
#[derive(Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(u64, i32)>>);

impl Deadlines {
    /// True when it is the first to be due now, so that whoever waits has to wait for less.
    pub(super) fn insert(&mut self, at_cs: u64, id: i32) -> bool {
        let first = self.next_cs().is_none_or(|next_cs| at_cs < next_cs);
        self.0.push(Reverse((at_cs, id)));
        first
    }

    pub(super) fn next_cs(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((at_cs, _))| *at_cs)
    }

    /// A moment that has come, and the id that waits for it.
    pub(super) fn poll(&mut self, now_cs: u64) -> Option<(u64, i32)> {
        let Reverse((at_cs, id)) = *self.0.peek()?;
        if at_cs > now_cs {
            return None;
        }
        self.0.pop();
        Some((at_cs, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_due_first() {
        let mut deadlines = Deadlines::default();
        assert!(deadlines.insert(20, 1));
        assert!(deadlines.insert(10, 2));
        assert!(!deadlines.insert(30, 3));
        assert_eq!(deadlines.next_cs(), Some(10));
        assert_eq!(deadlines.poll(9), None);
        let due: Vec<_> = std::iter::from_fn(|| deadlines.poll(25)).collect();
        assert_eq!(due, [(10, 2), (20, 1)]);
        assert_eq!(deadlines.next_cs(), Some(30));
    }
}
