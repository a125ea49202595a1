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
    /// The counter and the clock at the same moment, if there was one.
    base: Cell<Option<(u64, u64)>>,
    /// Nanoseconds per tick, in 1 / 2^32; zero while unknown.
    rate: Cell<u64>,
}

impl Stamp {
    pub(super) fn new(clock: Clock) -> Stamp {
        let usable = clock.is_system() && counter::is_steady();
        let stamp = Stamp {
            clock,
            usable,
            base: Cell::new(None),
            rate: Cell::new(0),
        };
        stamp.set();
        stamp
    }

    /// The engine's time, perhaps a little off.
    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        let (Some((base_ticks, base_ns)), rate @ 1..) = (self.base.get(), self.rate.get()) else {
            return self.clock.now_ns();
        };
        // Another processor's counter may be a few ticks behind.
        let ticks = counter::read().saturating_sub(base_ticks);
        base_ns + ((u128::from(ticks) * u128::from(rate)) >> RATE_BITS) as u64
    }

    /// Reads the clock, and takes the counter's rate from the time since the last call; the time by the clock.
    pub(super) fn set(&self) -> u64 {
        if !self.usable {
            return self.clock.now_ns();
        }
        let before = counter::read();
        let now_ns = self.clock.now_ns();
        let now_ticks = counter::read();
        let base = self
            .base
            .replace((now_ticks.saturating_sub(before) < TORN_TICKS).then_some((now_ticks, now_ns)));
        let rate = base.map_or(0, |(ticks, ns)| {
            rate(now_ticks.saturating_sub(ticks), now_ns - ns)
        });
        if rate > 0 || self.base.get().is_none() {
            self.rate.set(rate);
        }
        now_ns
    }
}

/// Nanoseconds per tick, in 1 / 2^32; zero when the stretch is too short to say, or too long to compute.
fn rate(ticks: u64, ns: u64) -> u64 {
    if ticks > 0 && (SHORT_NS..LONG_NS).contains(&ns) {
        (ns << RATE_BITS) / ticks
    } else {
        0
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
/// When two readings with one of the clock in between are further apart, the thread lost its processor there.
const TORN_TICKS: u64 = 1 << 14;
/// Over less, the reads' own time would blur the rate; over more, the shift would overflow.
const SHORT_NS: u64 = 1_000_000;
const LONG_NS: u64 = 1 << (63 - RATE_BITS);
