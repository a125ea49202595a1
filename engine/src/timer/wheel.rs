//! A hierarchical timing wheel: the set of armed timers, ordered by deadline and then by arming order.
//!
//! Pure: it names no clock and no thread. The driver owns one and tells it the time; tests do the same with numbers.
//! The idea is Varghese and Lauck's ("Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7), with one bit per
//! slot so that crossing empty time costs nothing.
//!
//! # How it works
//! Time is a count of milliseconds, read as eleven digits of six bits. An entry lies on the level of the *highest digit
//! in which its deadline differs from the wheel's time*, in the slot of that digit (level 0 when nothing differs):
//!
//! ```text
//!   level 0    64 slots of 1 ms      deadlines that differ from now in the last digit only, or not at all
//!   level 1    64 slots of 64 ms     ... in the last two digits
//!   level 2    64 slots of 4.1 s     ...
//!   level 10   16 slots              all of u64: no delay is too long, and nothing needs a list of its own
//! ```
//!
//! When time reaches the start of an occupied slot of a higher level, the slot *cascades*: its entries move to the levels
//! below. A slot of level 0 holds one tick, so its entries expire together.
//!
//! # Invariants
//! 1. An entry in a slot has a deadline of `now_ms` or later and lies where the rule above says for that `now_ms`.
//!    Time therefore never steps over the start of an occupied slot.
//! 2. Two entries of one deadline share a slot (by 1 their place depends on nothing else) and stand in it in arming
//!    order: insertion appends, and a cascade moves a whole slot, in order, to slots that were empty, since until
//!    then everything in that range of time lay in the slot that cascades.
//! 3. Bit `s` of a level's `occupied` is set exactly when its slot `s` holds entries.
//! 4. The lowest level that holds anything holds the earliest deadline: an entry of level L agrees with `now_ms` in every
//!    digit above L, while one of a higher level is greater there.

/// The timers of one engine, as entries of type `T`.
///
/// **Shape.** 17 KiB when empty, then 8 bytes and a `T` for each entry. Inserting appends to a slot, expiring walks one;
/// an entry moves down at most ten times, about once per factor of 64 in its delay.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    levels: Box<[Level<T>; LEVELS]>,
    /// Entries whose deadline was past when they were armed; the next `advance` expires them first.
    overdue: Vec<Entry<T>>,
    now_ms: u64,
}

impl<T> Wheel<T> {
    /// Makes an empty wheel that stands at `now_ms`.
    pub(crate) fn new(now_ms: u64) -> Wheel<T> {
        Wheel {
            levels: Box::new(std::array::from_fn(|_| Level::new())),
            overdue: Vec::new(),
            now_ms,
        }
    }

    /// Arms `entry`. A deadline that is past, or now, expires with the next [`advance`](Self::advance).
    pub(crate) fn insert(&mut self, deadline_ms: u64, entry: T) {
        if deadline_ms < self.now_ms {
            self.overdue.push(Entry { deadline_ms, entry });
        } else {
            self.place(Entry { deadline_ms, entry });
        }
    }

    /// The earliest time at which [`advance`](Self::advance) has something to do, or `None` when nothing is armed.
    ///
    /// No entry expires before it. It may lie before the first deadline, when a slot has to cascade first, so whoever sleeps
    /// until then wakes at most once per level more often than there are expiries.
    pub(crate) fn next_event_ms(&self) -> Option<u64> {
        match self.overdue.is_empty() {
            true => self.next_slot().map(|next| next.start_ms),
            false => Some(self.now_ms),
        }
    }

    /// Moves time to `now_ms` and hands every entry due by then to `expire`: earliest deadline first, arming order within
    /// one deadline. A time before the last one counts as the last one.
    pub(crate) fn advance(&mut self, now_ms: u64, mut expire: impl FnMut(u64, T)) {
        let now_ms = now_ms.max(self.now_ms);
        if !self.overdue.is_empty() {
            let mut late = std::mem::take(&mut self.overdue);
            late.sort_by_key(|entry| entry.deadline_ms); // stable; one pass when they are in order already
            late.drain(..)
                .for_each(|late| expire(late.deadline_ms, late.entry));
        }
        while let Some(next) = self.next_slot().filter(|next| next.start_ms <= now_ms) {
            self.now_ms = next.start_ms;
            let mut entries = self.levels[next.level].take(next.slot);
            if next.level == 0 {
                entries.drain(|due| expire(due.deadline_ms, due.entry));
            } else {
                entries.drain(|entry| self.place(entry));
            }
            self.levels[next.level].recycle(next.slot, entries);
        }
        self.now_ms = now_ms;
    }

    /// How many entries are armed.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.levels
            .iter()
            .flat_map(|level| &level.slots)
            .flat_map(|slot| &slot.0)
            .map(Vec::len)
            .sum::<usize>()
            + self.overdue.len()
    }

    /// Puts an entry where invariant 1 wants it.
    fn place(&mut self, entry: Entry<T>) {
        let differing = entry.deadline_ms ^ self.now_ms;
        let level = differing
            .checked_ilog2()
            .map_or(0, |bit| (bit / DIGIT_BITS) as usize);
        let slot = (entry.deadline_ms >> shift(level)) as usize % SLOTS;
        self.levels[level].push(slot, entry);
    }

    /// The occupied slot that starts first. No occupied slot lies before the current digit (invariant 1), so the lowest bit
    /// of the lowest occupied level is the one (invariant 4).
    fn next_slot(&self) -> Option<NextSlot> {
        let (level, occupied) = self
            .levels
            .iter()
            .map(|level| level.occupied)
            .enumerate()
            .find(|&(_, occupied)| occupied != 0)?;
        let slot = occupied.trailing_zeros() as usize;
        let above = shift(level) + DIGIT_BITS;
        let prefix = self.now_ms.checked_shr(above).map_or(0, |digits| digits << above);
        Some(NextSlot {
            level,
            slot,
            start_ms: prefix | (slot as u64) << shift(level),
        })
    }
}

#[derive(Debug)]
struct Entry<T> {
    deadline_ms: u64,
    entry: T,
}

/// Where the next thing happens, and when.
struct NextSlot {
    level: usize,
    slot: usize,
    start_ms: u64,
}

#[derive(Debug)]
struct Level<T> {
    occupied: u64,
    slots: [Slot<T>; SLOTS],
}

impl<T> Level<T> {
    fn new() -> Level<T> {
        Level {
            occupied: 0,
            slots: std::array::from_fn(|_| Slot(Vec::new())),
        }
    }

    fn push(&mut self, slot: usize, entry: Entry<T>) {
        self.occupied |= 1 << slot;
        self.slots[slot].push(entry);
    }

    fn take(&mut self, slot: usize) -> Slot<T> {
        self.occupied &= !(1 << slot);
        Slot(std::mem::take(&mut self.slots[slot].0))
    }

    /// Gives a slot its emptied memory back.
    fn recycle(&mut self, slot: usize, emptied: Slot<T>) {
        self.slots[slot] = emptied;
    }
}

/// Entries in arming order, in pieces of growing length: what is there already is not copied when there is more. Fresh memory is what
/// arming many timers costs most.
#[derive(Debug)]
struct Slot<T>(Vec<Vec<Entry<T>>>);

impl<T> Slot<T> {
    fn push(&mut self, entry: Entry<T>) {
        match self.0.last_mut() {
            Some(last) if last.len() < last.capacity() => last.push(entry),
            last => {
                let len = last.map_or(FIRST_PIECE, |last| (last.len() * 2).min(LONGEST_PIECE));
                let mut piece = Vec::with_capacity(len);
                piece.push(entry);
                self.0.push(piece);
            }
        }
    }

    /// Hands all entries out. The first piece stays, so that steady timers allocate nothing; a burst leaves no memory behind.
    fn drain(&mut self, mut each: impl FnMut(Entry<T>)) {
        let Some(first) = self.0.first_mut() else { return };
        first.drain(..).for_each(&mut each);
        self.0.drain(1..).flatten().for_each(each);
        self.0.shrink_to(KEPT_PIECES);
    }
}

/// How far a digit of `level` is from the right, in bits.
fn shift(level: usize) -> u32 {
    level as u32 * DIGIT_BITS
}

const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;
/// Entries in the pieces of a slot.
const FIRST_PIECE: usize = 8;
const LONGEST_PIECE: usize = 4096;
/// Pieces that an empty slot keeps room for; it has one.
const KEPT_PIECES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(wheel: &mut Wheel<u32>, now_ms: u64) -> Vec<(u64, u32)> {
        let mut out = Vec::new();
        wheel.advance(now_ms, |deadline_ms, entry| out.push((deadline_ms, entry)));
        out
    }

    #[test]
    fn one_tick_keeps_arming_order_across_cascades() {
        // 4100 is three levels away from 0; the later entries are armed when it has come nearer, level by level.
        let mut wheel = Wheel::new(0);
        wheel.insert(4100, 1);
        wheel.insert(4100, 2);
        assert_eq!(expired(&mut wheel, 4095), []);
        wheel.insert(4100, 3);
        assert_eq!(expired(&mut wheel, 4096), []);
        wheel.insert(4100, 4);
        assert_eq!(expired(&mut wheel, 4099), []);
        wheel.insert(4100, 5);
        assert_eq!(
            expired(&mut wheel, 4100),
            (1..=5).map(|entry| (4100, entry)).collect::<Vec<_>>()
        );
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn nothing_fires_early_and_everything_fires_when_due() {
        for delay in [
            1,
            2,
            63,
            64,
            65,
            127,
            128,
            4095,
            4096,
            4097,
            262_143,
            262_144,
            21_474_836_470,
            u64::MAX - 41,
        ] {
            let mut wheel = Wheel::new(41);
            wheel.insert(41 + delay, 7);
            assert_eq!(expired(&mut wheel, 40 + delay), [], "delay {delay}");
            assert_eq!(
                expired(&mut wheel, 41 + delay),
                [(41 + delay, 7)],
                "delay {delay}"
            );
        }
    }

    #[test]
    fn following_the_next_event_reaches_each_deadline_in_a_few_steps() {
        let mut wheel = Wheel::new(5);
        assert_eq!(wheel.next_event_ms(), None);
        wheel.insert(3_600_000, 1);
        let mut steps = 0;
        let fired = loop {
            let next = wheel.next_event_ms().expect("the entry is still armed");
            assert!(next <= 3_600_000);
            let fired = expired(&mut wheel, next);
            steps += 1;
            if !fired.is_empty() {
                break fired;
            }
        };
        assert_eq!(fired, [(3_600_000, 1)]);
        assert!(steps <= LEVELS, "{steps} wake-ups");
    }

    #[test]
    fn past_deadlines_fire_with_the_next_advance_by_deadline() {
        let mut wheel = Wheel::new(1000);
        wheel.insert(990, 1);
        wheel.insert(980, 2);
        wheel.insert(1000, 3);
        wheel.insert(990, 4);
        assert_eq!(wheel.next_event_ms(), Some(1000));
        assert_eq!(
            expired(&mut wheel, 1000),
            [(980, 2), (990, 1), (990, 4), (1000, 3)]
        );
    }

    #[test]
    fn time_does_not_run_backwards() {
        let mut wheel = Wheel::new(100);
        wheel.insert(150, 1);
        assert_eq!(expired(&mut wheel, 140), []);
        assert_eq!(expired(&mut wheel, 90), []);
        wheel.insert(120, 2);
        assert_eq!(expired(&mut wheel, 90), [(120, 2)]);
        assert_eq!(expired(&mut wheel, 150), [(150, 1)]);
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let mut wheel = Wheel::new(0);
        (0..100_000).for_each(|entry| wheel.insert(5000, entry));
        assert_eq!(expired(&mut wheel, 5000).len(), 100_000);
        let kept: usize = wheel
            .levels
            .iter()
            .flat_map(|level| &level.slots)
            .flat_map(|slot| &slot.0)
            .map(Vec::capacity)
            .sum();
        assert!(
            kept + wheel.overdue.capacity() <= LEVELS * FIRST_PIECE,
            "room for {kept} entries is kept"
        );
    }
}
