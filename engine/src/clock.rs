//! The engine's time: one monotonic counter that begins inside the second in which the engine was made.
//!
//! Whoever needs the time asks the [`Clock`] it was given; nothing else reads one. A real clock costs one monotonic
//! read (about 27 ns) and needs no thread to keep it fresh, so an idle engine sleeps; a virtual one stands still until a
//! test, or the deterministic engine, moves it.
//!
//! # Units
//! The counter starts at the sub-second part of the wall clock, so that `starttime + now / 100` approximates the wall time. Wall
//! clock changes during the run do not touch it. A tick of the timer is 1 ms; skynet's unit, the centisecond (`cs`), is 10.
//! All three are cuts of the same nanosecond counter, so whoever sees `now_cs() == t` and then waits for millisecond
//! `10 * t'` is sure to see `now_cs() >= t'`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time to one engine; clones tell the same time.
///
/// **Shape.** 40 bytes, no allocation for a real clock. `Send` and `Sync`.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    starttime: u64,
    offset_ns: u64,
}

impl Clock {
    /// The machine's monotonic clock, starting at the wall clock's second and sub-second part.
    pub fn real() -> Clock {
        // A wall clock set before 1970 reads as 1970: only the text of dates depends on it.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock {
            source: Source::Real(Instant::now()),
            starttime: wall.as_secs(),
            offset_ns: u64::from(wall.subsec_nanos()),
        }
    }

    /// Nanoseconds of engine time. Never decreases, on any thread.
    pub fn now_ns(&self) -> u64 {
        let elapsed_ns = match &self.source {
            Source::Real(origin) => u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Source::Virtual(elapsed_ns) => elapsed_ns.load(Ordering::SeqCst),
        };
        self.offset_ns.saturating_add(elapsed_ns)
    }

    /// Whole milliseconds of engine time: the timer's ticks.
    pub fn now_ms(&self) -> u64 {
        self.now_ns() / NS_PER_MS
    }

    /// Whole centiseconds of engine time, which is what `skynet.now()` returns.
    pub fn now_cs(&self) -> u64 {
        self.now_ns() / NS_PER_CS
    }

    /// The wall-clock second at which the engine was made, as Unix time.
    pub fn starttime(&self) -> u64 {
        self.starttime
    }

    /// How long it is until millisecond `at_ms` begins; zero when it has begun.
    pub(crate) fn until_ms(&self, at_ms: u64) -> Duration {
        Duration::from_nanos(at_ms.saturating_mul(NS_PER_MS).saturating_sub(self.now_ns()))
    }
}

/// A clock that only moves when told to.
///
/// Clones, and the [`Clock`]s made of it, share one time.
///
/// ```
/// use fulmar_engine::{Clock, VirtualClock};
/// use std::time::Duration;
///
/// let hand = VirtualClock::new(1_700_000_000, Duration::from_millis(250));
/// let clock: Clock = hand.clock();
/// assert_eq!((clock.starttime(), clock.now_cs()), (1_700_000_000, 25));
/// hand.advance(Duration::from_millis(19));
/// assert_eq!((clock.now_ms(), clock.now_cs()), (269, 26));
/// ```
#[derive(Clone, Debug)]
pub struct VirtualClock(Clock);

impl VirtualClock {
    /// A clock that stands at `starttime` (Unix seconds) and `subsecond` past it. Whole seconds in `subsecond` count as
    /// engine time that has already passed.
    pub fn new(starttime: u64, subsecond: Duration) -> VirtualClock {
        let offset_ns = u64::try_from(subsecond.as_nanos()).unwrap_or(u64::MAX);
        VirtualClock(Clock {
            source: Source::Virtual(Arc::default()),
            starttime,
            offset_ns,
        })
    }

    /// The same time, to be handed to an engine.
    pub fn clock(&self) -> Clock {
        self.0.clone()
    }

    /// Moves time forward by `step`.
    pub fn advance(&self, step: Duration) {
        let step_ns = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed().fetch_add(step_ns, Ordering::SeqCst);
    }

    /// Moves time forward to the beginning of millisecond `at_ms`; does nothing when that has passed.
    pub fn advance_to_ms(&self, at_ms: u64) {
        let elapsed_ns = at_ms.saturating_mul(NS_PER_MS).saturating_sub(self.0.offset_ns);
        self.elapsed().fetch_max(elapsed_ns, Ordering::SeqCst);
    }

    fn elapsed(&self) -> &AtomicU64 {
        match &self.0.source {
            Source::Virtual(elapsed_ns) => elapsed_ns,
            Source::Real(_) => unreachable!("a VirtualClock is only made around a virtual source"),
        }
    }
}

#[derive(Clone, Debug)]
enum Source {
    Real(Instant),
    /// Nanoseconds since the start. SeqCst throughout: a test that moves time and then looks at the engine must find no
    /// surprise, and nothing that is measured uses it.
    Virtual(Arc<AtomicU64>),
}

pub(crate) const NS_PER_MS: u64 = 1_000_000;
pub(crate) const MS_PER_CS: u64 = 10;
const NS_PER_CS: u64 = NS_PER_MS * MS_PER_CS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_clock_begins_inside_the_current_second() {
        let before = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is past 1970");
        let clock = Clock::real();
        let (starttime, now_ns) = (clock.starttime(), clock.now_ns());
        let after = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is past 1970");
        assert!((before.as_secs()..=after.as_secs()).contains(&starttime));
        assert!(clock.offset_ns < 1_000_000_000, "now starts at 0..99 cs");
        assert!(now_ns >= clock.offset_ns);
    }

    #[test]
    fn units_are_cuts_of_one_counter() {
        let hand = VirtualClock::new(0, Duration::from_nanos(9_999_999));
        let clock = hand.clock();
        assert_eq!(
            (clock.now_ns(), clock.now_ms(), clock.now_cs()),
            (9_999_999, 9, 0)
        );
        assert_eq!(clock.until_ms(10), Duration::from_nanos(1));
        hand.advance(Duration::from_nanos(1));
        assert_eq!((clock.now_ms(), clock.now_cs()), (10, 1));
        assert_eq!(clock.until_ms(10), Duration::ZERO);
    }

    #[test]
    fn virtual_time_never_goes_back() {
        let hand = VirtualClock::new(0, Duration::from_millis(500));
        let clock = hand.clock();
        hand.advance_to_ms(700);
        assert_eq!(clock.now_ms(), 700);
        hand.advance_to_ms(600);
        assert_eq!(clock.now_ms(), 700);
        hand.advance_to_ms(100);
        assert_eq!(clock.now_ms(), 700);
    }
}
