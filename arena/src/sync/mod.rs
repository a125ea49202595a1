//! The one door to atomics, cells, locks and threads. Nothing else in the workspace names them directly.
//!
//! In a normal build these are std's. Under `--cfg loom` they are loom's, so a protocol written against this door
//! can be explored exhaustively. Two exceptions stand beside them:
//!
//! - [`plain`] is always std's, for words that lie in mapped or static memory, where loom's cannot stand;
//! - [`Word64`] lets one protocol run over either: the block word and the page word take it as a parameter.

#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod std;
mod word;

#[cfg(loom)]
pub use self::loom::*;
#[cfg(not(loom))]
pub use self::std::*;
pub use self::word::Word64;

/// Atomics and locks that are never modelled: for mapped memory, statics and process-wide tables.
pub mod plain {
    pub use ::std::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
        Ordering, fence,
    };
    pub use ::std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError, RwLock, Weak};
    pub use ::std::thread::yield_now;
}
