//! How much of the cached pages goes back to the system, and when. Plain data under the pool's lock; the time is handed in.

use std::time::{Duration, Instant};

use crate::layout::{PAGE_BYTES, SEGMENT_PAGES};

/// Free pages that keep their memory, so that what was just freed is loaned again without a fault.
const MAX_CACHED_PAGES: usize = (64 << 20) / PAGE_BYTES;
/// How long what is cached beyond that has to be wanted by nobody: a flood that comes again meanwhile finds its memory warm.
const IDLE: Duration = Duration::from_secs(1);
/// How much goes at once: a fraction of a millisecond for who frees a page.
const STEP_PAGES: usize = SEGMENT_PAGES;

/// Watches the cache while it is too large.
#[derive(Default)]
pub(crate) struct Surplus(Option<Watch>);

struct Watch {
    since: Instant,
    /// The fewest pages that were cached since then: nobody has wanted those. After a flood they are few at first, and all of them a
    /// second later.
    least: usize,
    /// What is on its way to the system, step by step.
    due: usize,
}

impl Surplus {
    /// So many pages are cached now.
    pub(crate) fn note(&mut self, cached: usize) {
        if cached <= MAX_CACHED_PAGES {
            self.0 = None;
        } else if let Some(watch) = &mut self.0 {
            watch.least = watch.least.min(cached);
        }
    }

    /// How many of the cached pages have to go now. The time is asked for when there are too many.
    pub(crate) fn step(&mut self, cached: usize, now: impl FnOnce() -> Instant) -> usize {
        if cached <= MAX_CACHED_PAGES {
            self.0 = None;
            return 0;
        }
        let now = now();
        let watch = self.0.get_or_insert(Watch {
            since: now,
            least: cached,
            due: 0,
        });
        if now.duration_since(watch.since) >= IDLE {
            *watch = Watch {
                since: now,
                least: cached,
                due: watch.least - MAX_CACHED_PAGES,
            };
        }
        let step = watch.due.min(STEP_PAGES).min(cached - MAX_CACHED_PAGES);
        watch.due -= step;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORE: usize = MAX_CACHED_PAGES + 10 * STEP_PAGES;

    /// Lets what is due go, and tells how many pages that is.
    fn go(surplus: &mut Surplus, cached: &mut usize, now: Instant) -> usize {
        let before = *cached;
        while *cached > MAX_CACHED_PAGES {
            let step = surplus.step(*cached, || now);
            assert!(step <= STEP_PAGES);
            if step == 0 {
                break;
            }
            *cached -= step;
            surplus.note(*cached);
        }
        before - *cached
    }

    #[test]
    fn what_nobody_wants_for_a_while_goes() {
        let (mut surplus, mut cached, start) = (Surplus::default(), MORE, Instant::now());
        assert_eq!(go(&mut surplus, &mut cached, start), 0);
        assert_eq!(go(&mut surplus, &mut cached, start + IDLE / 2), 0);
        assert_eq!(go(&mut surplus, &mut cached, start + IDLE), 10 * STEP_PAGES);
        assert!(surplus.0.is_none());
    }

    #[test]
    fn what_a_load_that_comes_and_goes_wants_stays() {
        let (mut surplus, mut cached, start) = (Surplus::default(), MORE, Instant::now());
        for round in 0..100 {
            let now = start + IDLE * round / 10;
            // All but a step of the surplus is in use for a moment.
            surplus.note(MAX_CACHED_PAGES + STEP_PAGES);
            let gone = go(&mut surplus, &mut cached, now);
            assert!(
                gone == 0 || gone == STEP_PAGES && round % 10 == 0,
                "{round}: {gone}"
            );
        }
        assert!(cached >= MORE - 10 * STEP_PAGES);
    }

    #[test]
    fn a_cache_that_was_small_in_between_is_watched_anew() {
        let (mut surplus, mut cached, start) = (Surplus::default(), MORE, Instant::now());
        assert_eq!(go(&mut surplus, &mut cached, start), 0);
        surplus.note(MAX_CACHED_PAGES);
        assert_eq!(go(&mut surplus, &mut cached, start + IDLE), 0);
    }
}
