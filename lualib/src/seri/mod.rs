//! Serialisation: Lua values to bytes and back, in skynet's format and, inside one process, with large strings by
//! reference.
//!
//! The natives `pack`, `unpack`, `packstring` and the message dispatch call this; nothing here knows a service.
//!
//! * `format` names the bytes and reads them, without Lua.
//! * `pack` walks Lua values into a scratch buffer, by `writer`; `pairs` is its cold path through `__pairs`.
//! * `cache` remembers which Lua strings have a copy in the arena; `strings` makes Lua strings of received ones;
//!   `flat` puts attached strings back into the stream.
//! * `unpack` builds: a table when all that goes into it is on the stack, a large one at the size that `scan` finds by looking
//!   ahead. What repeats it finds in `recent`.
//!
//! **Errors.** Lua raises by a long jump. `pack` never does: whatever may run Lua code or allocate in the state goes
//! through a protected call, and the outcome is a `PackError` that owns nothing. `unpack` may (a full memory limit),
//! and keeps nothing with a destructor while it builds.
//!
//! **Re-entrance.** A `__pairs` metamethod or a finalizer may pack or unpack in the middle of either, on the same
//! `Packer`. Results therefore stack up in the scratch, each call above the one it interrupts, and no Rust reference
//! into the scratch is held while Lua runs.

mod cache;
mod flat;
mod format;
mod pack;
mod pairs;
mod recent;
mod scan;
mod strings;
mod unpack;
mod writer;

pub use flat::{flat_copy, flat_len, flatten};
pub use format::Malformed;
pub use pack::{ATTACH_MIN_BYTES, Attach, PackError, Packer};
pub use recent::RecentStrings;
pub use strings::ExternalStrings;
pub use unpack::{UnpackError, unpack};

#[cfg(test)]
mod tests;
