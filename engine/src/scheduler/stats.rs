//! Accounting: what the turns of a worker cost, charged to the services that ran them.
//!
//! One read of the time ends a turn and begins the next. That is wall time; a worker that lost its processor in between would charge for
//! it. So when a worker parks, and now and then under load, it reads its thread's processor clock and learns which part of the time since
//! the last read it really had; later turns are charged at that rate.

use std::cell::Cell;

use fulmar_arena::sync::atomic::{AtomicU64, Ordering};
use rustix::time::{ClockId, clock_gettime};

use super::stamp::Stamp;
use crate::clock::Clock;
use crate::service::Counters;

/// One thread's stopwatch.
pub(crate) struct Meter {
    stamp: Stamp,
    enabled: bool,
    /// When the running turn began, or the last one ended.
    lap_ns: Cell<u64>,
    /// Wall time charged since the last settlement.
    charged_ns: Cell<u64>,
    settled_ns: Cell<u64>,
    settled_cpu_ns: Cell<u64>,
    /// The share of wall time that the thread had, in 1/65536.
    rate: Cell<u64>,
}

impl Meter {
    pub(crate) fn new(clock: Clock, enabled: bool) -> Meter {
        let meter = Meter {
            stamp: Stamp::new(clock),
            enabled,
            lap_ns: Cell::new(0),
            charged_ns: Cell::new(0),
            settled_ns: Cell::new(0),
            settled_cpu_ns: Cell::new(0),
            rate: Cell::new(FULL_RATE),
        };
        meter.resume();
        meter
    }

    /// After a pause: time starts counting now.
    pub(crate) fn resume(&self) {
        if self.enabled {
            let now_ns = self.stamp.set();
            self.lap_ns.set(now_ns);
            self.settled_ns.set(now_ns);
            self.settled_cpu_ns.set(thread_cpu_ns());
            self.charged_ns.set(0);
        }
    }

    /// After a search: its time is nobody's.
    pub(crate) fn lap(&self) {
        if self.enabled {
            self.lap_ns.set(self.stamp.now_ns());
        }
    }

    /// A turn begins.
    #[inline]
    pub(crate) fn begin(&self, counters: &Counters) {
        if self.enabled {
            // Relaxed: the turn is the only writer, readers want a figure.
            counters.turn_began_ns.store(self.lap_ns.get(), Ordering::Relaxed);
        }
    }

    /// A batch ends, and with it perhaps the turn: charges it. While the turn is still held.
    #[inline]
    pub(crate) fn end(&self, counters: &Counters) {
        if !self.enabled {
            return;
        }
        let now_ns = self.stamp.now_ns();
        // What the stamp said may be a little ahead of what the clock says since.
        let spent_ns = now_ns.saturating_sub(self.lap_ns.replace(now_ns));
        self.charged_ns.set(self.charged_ns.get() + spent_ns);
        // Relaxed: as above.
        // In 128 bits: a service with a thread of its own may stay in one message for days.
        let cpu_ns = u128::from(spent_ns) * u128::from(self.rate.get()) / u128::from(FULL_RATE);
        add(&counters.cpu_ns, cpu_ns as u64);
        counters.turn_began_ns.store(0, Ordering::Relaxed);
        if now_ns.saturating_sub(self.settled_ns.get()) > SETTLE_EVERY_NS {
            self.settle();
        }
    }

    /// Compares what was charged with what the thread had.
    pub(crate) fn settle(&self) {
        if !self.enabled {
            return;
        }
        let cpu_ns = thread_cpu_ns();
        let had_ns = cpu_ns - self.settled_cpu_ns.replace(cpu_ns);
        self.settled_ns.set(self.stamp.set());
        let charged_ns = self.charged_ns.replace(0);
        if charged_ns >= MEANINGFUL_NS {
            self.rate
                .set((had_ns.saturating_mul(FULL_RATE) / charged_ns).min(FULL_RATE));
        }
    }
}

/// Adds without an atomic addition: for figures with one writer.
fn add(figure: &AtomicU64, amount: u64) {
    // Relaxed: one writer, and readers only want a figure.
    figure.store(figure.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

const FULL_RATE: u64 = 1 << 16;
const SETTLE_EVERY_NS: u64 = 20_000_000;
/// Shorter stretches say nothing about the rate: the clocks' own cost is part of them.
const MEANINGFUL_NS: u64 = 1_000_000;
