//! The engine's time: one monotonic counter that begins inside the second in which the engine was made.
//!
//! Whoever needs the time asks the [`Clock`] it was given; nothing else reads one. The system's clock costs one monotonic
//! read (about 27 ns) and needs no thread to keep it fresh, so an idle engine sleeps; a manual one stands still until a
//! test, or the deterministic engine, moves it.
//!
//! # Units
//! The counter starts at the sub-second part of the wall clock, so that `start_time + now / 100` approximates the wall time. Wall
//! clock changes during the run do not touch it. A tick of the timer is 1 ms; skynet's unit, the centisecond (`cs`), is 10.
//! All three are cuts of the same nanosecond counter, so whoever sees `now_cs() == t` and then waits for millisecond
//! `10 * t'` is sure to see `now_cs() >= t'`.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fulmar_arena::sync::atomic::{AtomicU64, Ordering};

/// Tells the time to one engine; clones tell the same time.
///
/// **Shape.** 40 bytes, no allocation for the system's clock. Reading costs one monotonic read.
///
/// ```
/// use fulmar_engine::Clock;
///
/// let clock = Clock::manual(1_700_000_000);
/// assert_eq!((clock.start_time(), clock.now_cs()), (1_700_000_000, 0));
/// clock.advance_to_ns(19_000_000);
/// assert_eq!((clock.now_ms(), clock.now_cs()), (19, 1));
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    start_time: u64,
    offset_ns: u64,
}

impl Clock {
    /// The machine's monotonic clock, starting at the wall clock's second and sub-second part.
    pub fn system() -> Clock {
        // A wall clock set before 1970 reads as 1970: only the text of dates depends on it.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock {
            source: Source::System(Instant::now()),
            start_time: wall.as_secs(),
            offset_ns: u64::from(wall.subsec_nanos()),
        }
    }

    /// A clock that stands at zero, at the beginning of the Unix second `start_time`, and moves only when told to.
    pub fn manual(start_time: u64) -> Clock {
        Clock {
            source: Source::Manual(Arc::default()),
            start_time,
            offset_ns: 0,
        }
    }

    /// Nanoseconds of engine time. Never decreases, on any thread.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        match &self.source {
            // 584 years fit.
            Source::System(origin) => self.offset_ns + origin.elapsed().as_nanos() as u64,
            Source::Manual(now_ns) => now_ns.load(Ordering::SeqCst),
        }
    }

    /// Whole milliseconds of engine time: the timer's ticks.
    pub fn now_ms(&self) -> u64 {
        self.now_ns() / NS_PER_MS
    }

    /// Whole centiseconds of engine time, which is what `skynet.now()` returns.
    pub fn now_cs(&self) -> u64 {
        self.now_ns() / NS_PER_CS
    }

    /// The wall-clock second in which engine time began, as Unix time.
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// Whether this is the machine's clock, which goes by itself.
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.source, Source::System(_))
    }

    /// Moves a manual clock forward to `now_ns`; does nothing when that has passed.
    ///
    /// # Panics
    /// When this is the system's clock, whose time is not ours to set.
    pub fn advance_to_ns(&self, now_ns: u64) {
        match &self.source {
            Source::Manual(now) => now.fetch_max(now_ns, Ordering::SeqCst),
            Source::System(_) => panic!("only a manual clock can be moved"),
        };
    }
}

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    /// Nanoseconds. SeqCst throughout: a test that moves time and then looks at the engine must find no surprise, and
    /// nothing that is measured uses it.
    Manual(Arc<AtomicU64>),
}

pub(crate) const NS_PER_MS: u64 = 1_000_000;
pub(crate) const MS_PER_CS: u64 = 10;
const NS_PER_CS: u64 = NS_PER_MS * MS_PER_CS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_begins_inside_the_current_second() {
        let before = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is past 1970");
        let clock = Clock::system();
        let now_ns = clock.now_ns();
        let after = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is past 1970");
        assert!((before.as_secs()..=after.as_secs()).contains(&clock.start_time()));
        assert!(clock.offset_ns < 1_000_000_000, "now starts at 0..99 cs");
        assert!(now_ns >= clock.offset_ns);
    }

    #[test]
    fn units_are_cuts_of_one_counter() {
        let clock = Clock::manual(0);
        clock.advance_to_ns(9_999_999);
        assert_eq!(
            (clock.now_ns(), clock.now_ms(), clock.now_cs()),
            (9_999_999, 9, 0)
        );
        clock.advance_to_ns(10_000_000);
        assert_eq!((clock.now_ms(), clock.now_cs()), (10, 1));
    }

    #[test]
    fn a_manual_clock_is_shared_and_never_goes_back() {
        let clock = Clock::manual(5);
        let other = clock.clone();
        clock.advance_to_ns(700);
        other.advance_to_ns(600);
        assert_eq!((clock.now_ns(), other.now_ns()), (700, 700));
    }

    #[test]
    #[should_panic(expected = "only a manual clock can be moved")]
    fn the_system_clock_cannot_be_moved() {
        Clock::system().advance_to_ns(u64::MAX);
    }
}
