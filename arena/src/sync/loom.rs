//! The door under `--cfg loom`: the same names, explored by the model. Used by models only.

pub use ::loom::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Atomic words.
pub mod atomic {
    pub use ::loom::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
        Ordering, fence,
    };
}

/// Interior mutability whose accesses a model can see.
pub mod cell {
    pub use ::loom::cell::UnsafeCell;
}

/// Hints to the processor; the model takes them as a yield.
pub mod hint {
    pub use ::loom::hint::spin_loop;
}

/// Threads. `park_timeout` and `sleep` have no model: code that uses them is tested with real threads.
pub mod thread {
    pub use ::loom::thread::{Builder, JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};
    pub use ::std::thread::{park_timeout, sleep};
}
