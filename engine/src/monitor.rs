//! The monitor: notices a thread that stays in one message for too long.
//!
//! Every thread that runs services shows in a [`Slot`] what it is at. The monitor's thread looks at all of them once per period; a slot
//! that still shows the same message is reported in the log, and its service is flagged, each period anew. What is retired already is
//! interrupted (`engine::endless`). The same thread is the scheduler's watch (`scheduler::watch`), sends what found no room in the arena,
//! and gives back to the system what the arena does not need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fulmar_arena::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::engine::Engine;
use crate::handle::Handle;

/// What a thread is at, written by it alone: a few plain stores per message.
///
/// Two cache lines of its own (processors fetch them in pairs), so that workers do not take each other's away with every message.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Slot {
    version: AtomicU64,
    source: AtomicU32,
    /// The service that runs; zero between turns.
    destination: AtomicU32,
}

impl Slot {
    pub(crate) fn new() -> Slot {
        Slot {
            version: AtomicU64::new(0),
            source: AtomicU32::new(0),
            destination: AtomicU32::new(0),
        }
    }

    /// A message from `source` goes to `destination` now.
    #[inline]
    pub(crate) fn begin(&self, source: Handle, destination: Handle) {
        // Relaxed: a glance by the monitor may mix two messages; it acts only on a version that stays for a period.
        self.source.store(source.bits(), Ordering::Relaxed);
        self.destination.store(destination.bits(), Ordering::Relaxed);
        self.bump();
    }

    /// The batch is done.
    #[inline]
    pub(crate) fn end(&self) {
        // Relaxed: as in `begin`.
        self.source.store(0, Ordering::Relaxed);
        self.destination.store(0, Ordering::Relaxed);
        self.bump();
    }

    #[inline]
    fn bump(&self) {
        // Relaxed: as in `begin`; one writer, so no addition is lost.
        self.version
            .store(self.version.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed) // Relaxed: as in `begin`
    }

    /// The service that runs, if one does.
    pub(crate) fn destination(&self) -> Handle {
        Handle::from_bits(self.destination.load(Ordering::Relaxed)) // Relaxed: as in `begin`
    }

    fn source(&self) -> Handle {
        Handle::from_bits(self.source.load(Ordering::Relaxed)) // Relaxed: as in `begin`
    }
}

/// The monitor's thread: runs until the scheduler stops.
pub(crate) fn run(engine: &Engine, period: Duration) {
    let watch = &engine.scheduler().watch;
    let mut looks = Looks::default();
    let mut versions = Vec::new();
    let mut last_look = Instant::now();
    while watch.wait(period.saturating_sub(last_look.elapsed())) {
        engine.scheduler().rescue(&mut versions);
        watch.disarm_if(|| engine.scheduler().all_asleep());
        if last_look.elapsed() >= period {
            last_look = Instant::now();
            looks.look(engine, engine.slots());
            engine.settle_owed();
            while engine.arena().shrink() {
                engine.scheduler().rescue(&mut versions);
            }
        }
    }
}

/// What the last look found.
#[derive(Default)]
pub(crate) struct Looks {
    seen: Vec<(Arc<Slot>, u64)>,
}

impl Looks {
    /// Compares with the last look, and reports what has not moved.
    pub(crate) fn look(&mut self, engine: &Engine, slots: Vec<Arc<Slot>>) {
        let now: Vec<_> = slots
            .into_iter()
            .map(|slot| (Arc::clone(&slot), slot.version()))
            .collect();
        for (slot, version) in &now {
            let unmoved = self
                .seen
                .iter()
                .any(|(old, seen)| Arc::ptr_eq(old, slot) && seen == version);
            let (source, destination) = (slot.source(), slot.destination());
            // The message may have ended since: then what was read belongs to the next one.
            if unmoved && !destination.is_system() && slot.version() == *version {
                engine.report_endless(source, destination, *version);
            }
        }
        self.seen = now;
    }
}
