//! One 64-bit atomic word as a parameter, so the same protocol runs over mapped memory and inside a model.
//! Implemented by std's `AtomicU64` (the default everywhere) and, under loom, by loom's.

use super::plain;
use super::plain::Ordering;

/// What the block word and the page word ask of an atomic.
///
/// Shape: every method is the one instruction of the same name; nothing is added.
pub trait Word64 {
    /// A word with this value.
    fn new(value: u64) -> Self;
    /// Reads the word.
    fn load(&self, order: Ordering) -> u64;
    /// Writes the word.
    fn store(&self, value: u64, order: Ordering);
    /// Adds and gives what was there.
    fn fetch_add(&self, value: u64, order: Ordering) -> u64;
    /// Subtracts and gives what was there.
    fn fetch_sub(&self, value: u64, order: Ordering) -> u64;
    /// Replaces and gives what was there.
    fn swap(&self, value: u64, order: Ordering) -> u64;
    /// Replaces `current` by `new`; otherwise says what was found.
    ///
    /// # Errors
    /// The value that was there instead of `current`.
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
    /// A fence of the same memory model.
    fn fence(order: Ordering);
}

macro_rules! word64 {
    ($atomic:ty, $fence:path) => {
        impl Word64 for $atomic {
            fn new(value: u64) -> Self {
                <$atomic>::new(value)
            }
            #[inline]
            fn load(&self, order: Ordering) -> u64 {
                self.load(order)
            }
            #[inline]
            fn store(&self, value: u64, order: Ordering) {
                self.store(value, order);
            }
            #[inline]
            fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_add(value, order)
            }
            #[inline]
            fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_sub(value, order)
            }
            #[inline]
            fn swap(&self, value: u64, order: Ordering) -> u64 {
                self.swap(value, order)
            }
            #[inline]
            fn compare_exchange(&self, old: u64, new: u64, ok: Ordering, no: Ordering) -> Result<u64, u64> {
                self.compare_exchange(old, new, ok, no)
            }
            #[inline]
            fn fence(order: Ordering) {
                $fence(order);
            }
        }
    };
}

word64!(plain::AtomicU64, plain::fence);
#[cfg(loom)]
word64!(::loom::sync::atomic::AtomicU64, ::loom::sync::atomic::fence);
