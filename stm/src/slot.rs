//! Where the newest version of a box stands: an arc-swap. arc-swap has no loom build, so models get a mock that gives no more
//! than arc-swap promises: whoever loads a pointer sees what was written before that pointer was stored.

use std::sync::Arc;

#[cfg(not(loom))]
pub(crate) use arc_swap::ArcSwap as Slot;

/// The mock. Values are kept until the slot goes; which of them is the newest is one word.
#[cfg(loom)]
pub(crate) struct Slot<T> {
    values: fulmar_arena::sync::Mutex<Vec<Arc<T>>>,
    newest: fulmar_arena::sync::atomic::AtomicUsize,
}

#[cfg(loom)]
impl<T> Slot<T> {
    pub(crate) fn new(value: Arc<T>) -> Slot<T> {
        Slot {
            values: fulmar_arena::sync::Mutex::new(vec![value]),
            newest: fulmar_arena::sync::atomic::AtomicUsize::new(0),
        }
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        // Acquire, as arc-swap's load; pairs with `swap`.
        let newest = self.newest.load(fulmar_arena::sync::atomic::Ordering::Acquire);
        let values = self.values.lock().expect("models do not panic");
        Arc::clone(&values[newest])
    }

    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        let (place, old) = {
            let mut values = self.values.lock().expect("models do not panic");
            values.push(value);
            (values.len() - 1, Arc::clone(&values[values.len() - 2]))
        };
        // Release, as arc-swap's swap; pairs with `load_full`.
        self.newest
            .store(place, fulmar_arena::sync::atomic::Ordering::Release);
        old
    }
}

/// The slot of a first value.
pub(crate) fn slot<T>(value: T) -> Slot<T> {
    Slot::new(Arc::new(value))
}
