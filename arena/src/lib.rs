//! Fulmar's memory core: one shared, sparse mapping, cut into reference-counted blocks.
//!
//! A [`Arena`] reserves a large virtual range over a memory file and loans blocks from it. A loan is a
//! [`BufMut`]: unique and writable. [`BufMut::freeze`] makes it a [`Buf`]: shared, immutable, counted, sliceable.
//! Between the two stands a third owner, the script: a body pointer handed to Lua, which comes back as an address
//! that is never believed ([`Scripts`], [`Arena::inspect`]).
//!
//! ```
//! use fulmar_arena::{Arena, ArenaConfig};
//!
//! let arena = Arena::new(ArenaConfig { reserve_bytes: 64 << 20, ..ArenaConfig::default() })?;
//! let mut draft = arena.loan(5, 7)?;
//! draft.copy_from_slice(b"hello");
//! let shared = draft.freeze();
//! let tail = shared.slice(1..);
//! std::thread::spawn(move || assert_eq!(&tail[..], b"ello")).join().unwrap();
//! assert_eq!(&shared[..], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where things are: `layout` draws the bytes, `block` owns the state word and its rules, `page` and `heap` the free
//! lists, `segment` and `pool` the pages, `os` the calls to the system. Nothing here knows of actors or Lua.

mod arena;
mod block;
mod buf;
mod core;
mod error;
mod heap;
mod layout;
mod links;
mod os;
mod page;
mod poison;
mod pool;
mod prefetch;
mod scripts;
mod segment;
mod sites;
mod size_class;
mod stats;
mod surplus;
pub mod sync;
mod walk;

#[cfg(test)]
mod tests;

pub use arena::{Arena, ArenaConfig, BlockInfo};
pub use block::BlockState;
pub use buf::{Buf, BufMut};
pub use error::{AttachError, ClaimError, ConfigureError, LoanError, ReserveError};
pub use layout::{
    BODY_OFFSET, ENVELOPE_LEN, ENVELOPE_WORDS, MAX_ARENAS, MAX_RESERVE_BYTES, PAGE_BYTES, SEGMENT_BYTES,
};
pub use links::{Attached, Attachments};
pub use prefetch::prefetch;
pub use scripts::Scripts;
pub use sites::CallSite;
pub use stats::{ClassStats, Stats};
