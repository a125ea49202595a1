//! When sockets want to be looked at, whatever happens to them. Pure: now is a parameter.

use std::collections::BTreeSet;

/// Moments, in centiseconds of engine time, and the ids that wait for them: at most one for each socket that is there.
#[derive(Default)]
pub(super) struct Deadlines(BTreeSet<(u64, i32)>);

impl Deadlines {
    /// True when it is the first to be due now, so that whoever waits has to wait for less.
    pub(super) fn insert(&mut self, at_cs: u64, id: i32) -> bool {
        let first = self.next_cs().is_none_or(|next_cs| at_cs < next_cs);
        self.0.insert((at_cs, id));
        first
    }

    /// Nobody waits for it any more.
    pub(super) fn remove(&mut self, at_cs: u64, id: i32) {
        self.0.remove(&(at_cs, id));
    }

    pub(super) fn next_cs(&self) -> Option<u64> {
        self.0.first().map(|(at_cs, _)| *at_cs)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A moment that has come, and the id that waits for it.
    pub(super) fn poll(&mut self, now_cs: u64) -> Option<(u64, i32)> {
        let first = *self.0.first().filter(|(at_cs, _)| *at_cs <= now_cs)?;
        self.0.pop_first();
        Some(first)
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

    #[test]
    fn what_is_removed_is_not_due() {
        let mut deadlines = Deadlines::default();
        deadlines.insert(10, 1);
        deadlines.insert(10, 2);
        deadlines.remove(10, 1);
        deadlines.remove(10, 3); // was not there
        assert_eq!(deadlines.poll(10), Some((10, 2)));
        assert_eq!(deadlines.next_cs(), None);
    }
}
