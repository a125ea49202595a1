//! The door in a normal build: std's types, and a cell with loom's closure interface. Used by everyone.

pub use ::std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Atomic words.
pub mod atomic {
    pub use ::std::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
        Ordering, fence,
    };
}

/// Interior mutability whose accesses a model can see.
pub mod cell {
    /// `std::cell::UnsafeCell` behind loom's interface: pointers are handed to a closure, so a model knows how long
    /// an access lasts.
    ///
    /// Shape: the size and alignment of `T`; no cost.
    #[derive(Debug, Default)]
    pub struct UnsafeCell<T: ?Sized>(::std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Wraps `value`.
        pub const fn new(value: T) -> Self {
            UnsafeCell(::std::cell::UnsafeCell::new(value))
        }

        /// The value, when the cell is owned.
        pub fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }

    impl<T: ?Sized> UnsafeCell<T> {
        /// Runs `f` with a pointer for reading.
        #[inline]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Runs `f` with a pointer for writing.
        #[inline]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// Hints to the processor.
pub mod hint {
    pub use ::std::hint::spin_loop;
}

/// Threads.
pub mod thread {
    pub use ::std::thread::{
        Builder, JoinHandle, Thread, ThreadId, current, park, park_timeout, sleep, spawn, yield_now,
    };
}
