//! The handle table: local index to service, read by every send without a lock.
//!
//! An open table of a power of two slots; index `i` lives in slot `i & mask` and nowhere else, so a lookup is two loads and a
//! comparison. Writers (creation, retirement, growth) take a mutex. What a reader may still be looking at is freed through
//! the collector that the reader is pinned to: arrays by the table itself, entries by whoever removed them.
//!
//! # Invariants
//! 1. `slots` points to a live array; a replaced array is freed only after every reader pinned at that time has let go.
//! 2. A non-null slot owns one count of the entry's `Arc`. `remove` hands that count to its caller, who must keep it until every
//!    reader pinned at the removal has let go.
//! 3. The entry in slot `s` has a local index `i` with `i & mask == s`.

use fulmar_arena::sync::atomic::{AtomicPtr, Ordering};
use fulmar_arena::sync::{Arc, Mutex};
use std::ptr::{self, NonNull};

use super::Handle;

/// What a table holds: something that knows its own handle.
pub(crate) trait Entry {
    fn handle(&self) -> Handle;
}

/// A pinned reader, as far as the table needs to know: crossbeam's guard, or a model's.
pub(crate) trait Collector {
    /// Runs `free` once every reader that is pinned now has let go.
    ///
    /// # Safety
    /// No reader that pins later can reach what `free` frees.
    unsafe fn defer(&self, free: impl FnOnce() + Send + 'static);
}

impl Collector for crossbeam_epoch::Guard {
    unsafe fn defer(&self, free: impl FnOnce() + Send + 'static) {
        // SAFETY: the caller's promise is the one that crossbeam asks for.
        unsafe { self.defer_unchecked(free) }
    }
}

/// Every local index is taken.
#[derive(Debug)]
pub(crate) struct TableFull;

pub(crate) struct Table<T> {
    harbor: u8,
    slots: AtomicPtr<Slots<T>>,
    writer: Mutex<Writer>,
}

struct Slots<T> {
    mask: u32,
    slots: Box<[AtomicPtr<T>]>,
}

struct Writer {
    /// The index to try next.
    next: u32,
    live: usize,
}

impl<T: Entry + Send + Sync + 'static> Table<T> {
    /// An empty table for handles of node `harbor`.
    pub(crate) fn new(harbor: u8) -> Table<T> {
        Table {
            harbor,
            slots: AtomicPtr::new(Slots::allocate(FIRST_SLOTS)),
            writer: Mutex::new(Writer { next: 1, live: 0 }),
        }
    }

    /// The entry of `handle`. Harbor bits of zero mean this node.
    pub(crate) fn lookup<'g, C: Collector>(&self, handle: Handle, _pinned: &'g C) -> Option<&'g T> {
        // Acquire: the array's content happens before its use; pairs with the Release in `grow`.
        let array = self.slots.load(Ordering::Acquire);
        // SAFETY: alive while we are pinned (1).
        let array = unsafe { &*array };
        // Acquire: the entry is whole before it is seen; pairs with the Release in `insert` and the one in `grow`.
        let entry = array.slot(handle.local()).load(LOOKUP);
        // SAFETY: a slot's count is not given up while we are pinned (2).
        let entry = unsafe { entry.as_ref() }?;
        names(handle, entry).then_some(entry)
    }

    /// Adds what `make` builds for the next free handle.
    pub(crate) fn insert(
        &self,
        pinned: &impl Collector,
        make: impl FnOnce(Handle) -> Arc<T>,
    ) -> Result<Arc<T>, TableFull> {
        let mut writer = lock(&self.writer);
        if writer.live >= Handle::MAX_LOCAL as usize {
            return Err(TableFull);
        }
        // Half full at most, so that runs of taken slots stay short and a table of long-lived services skips few numbers.
        if (writer.live + 1) * 2 > self.current().slots.len() && self.current().mask < Handle::MAX_LOCAL {
            self.grow(pinned);
        }
        let array = self.current();
        let mut local = writer.next;
        // Relaxed: only writers change slots, and we hold their lock. Ends because fewer than all slots are taken.
        while !array.slot(local).load(Ordering::Relaxed).is_null() {
            local = following(local);
        }
        let entry = make(Handle::new(self.harbor, local));
        debug_assert_eq!(entry.handle().local(), local);
        // Release: the entry is written before it can be found; pairs with the Acquire in `lookup`.
        array
            .slot(local)
            .store(Arc::into_raw(Arc::clone(&entry)).cast_mut(), PUBLISH);
        writer.next = following(local);
        writer.live += 1;
        Ok(entry)
    }

    /// Takes `handle` out, so that nobody finds it from now on, and hands over the count that the table held (invariant 2).
    /// `None` when it is not there: of several callers one wins.
    pub(crate) fn remove(&self, handle: Handle) -> Option<NonNull<T>> {
        let mut writer = lock(&self.writer);
        let slot = self.current().slot(handle.local());
        // Relaxed: written under the lock that we hold.
        let entry = NonNull::new(slot.load(Ordering::Relaxed))?;
        // SAFETY: the slot owns a count (2).
        if !names(handle, unsafe { entry.as_ref() }) {
            return None;
        }
        // Relaxed: publishes nothing; who still holds the entry is the collector's concern.
        slot.store(ptr::null_mut(), Ordering::Relaxed);
        writer.live -= 1;
        Some(entry)
    }

    /// The handles that are live now, in slot order.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        let _writer = lock(&self.writer);
        let array = self.current();
        array
            .slots
            .iter()
            .filter_map(|slot| NonNull::new(slot.load(Ordering::Relaxed))) // Relaxed: we hold the writers' lock
            // SAFETY: a non-null slot owns a count (2), and cannot be emptied while we hold the lock.
            .map(|entry| unsafe { entry.as_ref() }.handle())
            .collect()
    }

    /// The array as writers see it.
    fn current(&self) -> &Slots<T> {
        // Relaxed: replaced under the writers' lock only, which the caller holds.
        let array = self.slots.load(Ordering::Relaxed);
        // SAFETY: alive (1), and not replaced while the caller holds the lock; `grow` ends its borrow first.
        unsafe { &*array }
    }

    /// Moves everything into an array of twice the size.
    fn grow(&self, pinned: &impl Collector) {
        let old = self.current();
        let new = Slots::allocate((old.mask + 1) * 2);
        for slot in &old.slots {
            let entry = slot.load(Ordering::Relaxed); // Relaxed: we hold the writers' lock
            // SAFETY: a non-null slot owns a count (2).
            if let Some(occupied) = unsafe { entry.as_ref() } {
                // SAFETY: ours alone until it is published below.
                let new = unsafe { &*new };
                new.slot(occupied.handle().local())
                    .store(entry, Ordering::Relaxed); // Relaxed: published with the array
            }
        }
        let old = self.slots.load(Ordering::Relaxed);
        // Release: the copied slots, and the entries they lead to, happen before; pairs with the Acquire in `lookup`.
        self.slots.store(new, PUBLISH);
        let old = SendPtr(old);
        // SAFETY: no later reader finds the old array; its slots are plain words, their counts moved with the copies.
        unsafe { pinned.defer(move || old.free()) };
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        let array = self.slots.load(Ordering::Relaxed); // Relaxed: we are the last owner
        // SAFETY: made by `allocate`, owned by us alone now.
        let array = unsafe { Box::from_raw(array) };
        for slot in &array.slots {
            let entry = slot.load(Ordering::Relaxed); // Relaxed: as above
            if !entry.is_null() {
                // SAFETY: the slot owned a count (2), which ends here.
                drop(unsafe { Arc::from_raw(entry) });
            }
        }
    }
}

impl<T> Slots<T> {
    fn allocate(count: u32) -> *mut Slots<T> {
        let slots = (0..count).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        Box::into_raw(Box::new(Slots {
            mask: count - 1,
            slots,
        }))
    }

    fn slot(&self, local: u32) -> &AtomicPtr<T> {
        &self.slots[(local & self.mask) as usize]
    }
}

/// An array on its way to the collector.
struct SendPtr<T>(*mut Slots<T>);

// SAFETY: the array is freed as plain memory, its entries are not touched.
unsafe impl<T> Send for SendPtr<T> {}

impl<T> SendPtr<T> {
    fn free(self) {
        // SAFETY: made by `Slots::allocate`; whoever deferred this gave it up.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Whether `handle` means `entry`, which was found in its slot.
#[inline]
fn names(handle: Handle, entry: &impl Entry) -> bool {
    let own = entry.handle();
    handle == own || handle == Handle::new(0, own.local())
}

fn following(local: u32) -> u32 {
    if local >= Handle::MAX_LOCAL { 1 } else { local + 1 }
}

fn lock<T>(mutex: &Mutex<T>) -> fulmar_arena::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A real table starts large enough that the services of a boot skip no number; a model wants to see growth.
const FIRST_SLOTS: u32 = if cfg!(loom) { 2 } else { 64 };

const PUBLISH: Ordering = if cfg!(fulmar_mutation = "table_publish_relaxed") {
    Ordering::Relaxed
} else {
    Ordering::Release
};
const LOOKUP: Ordering = Ordering::Acquire;
