//! The processor's time-stamp counter as a cheap stand-in for the clock, between two reads of the clock.
//!
//! Reading the clock is the largest single cost of a short turn; the counter costs a third of it. It is used where it runs at a
//! constant rate and never stops, which the processor says of itself, and is set by the clock anew with every settlement of the
//! [`Meter`](super::Meter), so that neither its rate nor its zero is ever trusted for long.

use std::cell::Cell;

use crate::clock::Clock;

pub(super) struct Stamp {
    clock: Clock,
    usable: bool,
    /// The counter and the clock at the same moment.
    base_ticks: Cell<u64>,
    base_ns: Cell<u64>,
    /// Nanoseconds per tick, in 1 / 2^32; zero while unknown.
    rate: Cell<u64>,
}

impl Stamp {
    pub(super) fn new(clock: Clock) -> Stamp {
        let usable = clock.is_system() && counter::is_steady();
        let stamp = Stamp {
            clock,
            usable,
            base_ticks: Cell::new(0),
            base_ns: Cell::new(0),
            rate: Cell::new(0),
        };
        stamp.set();
        stamp
    }

    /// The engine's time, perhaps a little off.
    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        let rate = self.rate.get();
        if rate == 0 {
            return self.clock.now_ns();
        }
        // Another processor's counter may be a few ticks behind.
        let ticks = counter::read().saturating_sub(self.base_ticks.get());
        self.base_ns.get() + ((u128::from(ticks) * u128::from(rate)) >> RATE_BITS) as u64
    }

    /// Reads the clock, and takes the counter's rate from the time since the last call; the time by the clock.
    pub(super) fn set(&self) -> u64 {
        let now_ns = self.clock.now_ns();
        if self.usable {
            let now_ticks = counter::read();
            let passed_ns = now_ns - self.base_ns.replace(now_ns);
            let passed_ticks = now_ticks.saturating_sub(self.base_ticks.replace(now_ticks));
            if (SHORT_NS..LONG_NS).contains(&passed_ns) && passed_ticks > 0 {
                self.rate.set((passed_ns << RATE_BITS) / passed_ticks);
            }
        }
        now_ns
    }
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};

    /// Whether the counter runs at a constant rate in all states of the processor ("invariant TSC").
    pub(super) fn is_steady() -> bool {
        __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0
    }

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and the system lets programs use it.
        unsafe { _rdtsc() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub(super) fn is_steady() -> bool {
        false
    }

    pub(super) fn read() -> u64 {
        unreachable!("not used where it is not steady")
    }
}

const RATE_BITS: u32 = 32;
/// Over less, the reads' own time would blur the rate; over more, the shift would overflow.
const SHORT_NS: u64 = 1_000_000;
const LONG_NS: u64 = 1 << (63 - RATE_BITS);
