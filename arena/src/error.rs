//! What can go wrong, one enum per operation.

use crate::block::BlockState;
use crate::buf::Buf;
use crate::layout::MAX_ARENAS;

/// Why [`Arena::new`](crate::Arena::new) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The system refused the reservation, and every halving of it down to one segment.
    #[error(
        "the system refused to reserve {requested_bytes} bytes of address space, and even one segment of it"
    )]
    Refused {
        /// What was asked for.
        requested_bytes: usize,
        /// What the system said to the last attempt.
        source: std::io::Error,
    },
    /// The reservation is larger than positions can address.
    #[error("a reservation of {requested_bytes} bytes is above the limit of {max_bytes}")]
    TooLarge {
        /// What was asked for.
        requested_bytes: usize,
        /// [`MAX_RESERVE_BYTES`](crate::MAX_RESERVE_BYTES).
        max_bytes: usize,
    },
    /// The process already has [`MAX_ARENAS`] arenas.
    #[error("a process has at most {MAX_ARENAS} arenas")]
    TooMany,
}

/// Why [`Arena::configure`](crate::Arena::configure) failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigureError {
    /// The process arena has been used, with the settings it had.
    #[error("the process arena is already in use; configure it before the first engine starts")]
    InUse,
}

/// Why a loan was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoanError {
    /// No block of this arena can ever be that long.
    #[error("a buffer of {requested_bytes} bytes is above this arena's maximum of {max_bytes}")]
    TooLarge {
        /// The body that was asked for.
        requested_bytes: usize,
        /// The longest body.
        max_bytes: usize,
    },
    /// The limit, or the reservation, is used up; a retry after releases can succeed.
    #[error("no room for {requested_bytes} bytes: the arena uses {used_bytes} of {limit_bytes} bytes")]
    Exhausted {
        /// The body that was asked for.
        requested_bytes: usize,
        /// Bytes of pages that are handed out.
        used_bytes: usize,
        /// The limit, or the reservation when that is smaller.
        limit_bytes: usize,
    },
}

/// Why an address was not accepted as a script's block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The address is not the start of a live block's body: forged, stale, interior or foreign.
    #[error("not a buffer: no live buffer starts at this address")]
    NotABlock,
    /// The block is a script's, but one of other [`Scripts`](crate::Scripts): of another owner, or of the same.
    #[error("the buffer belongs to {found:#010x}, not to {expected:#010x}")]
    NotOwner {
        /// Who asked.
        expected: u32,
        /// Whose it is.
        found: u32,
    },
    /// The block is in use by the engine or frozen.
    #[error("the buffer is no longer the script's: it is {state:?}")]
    NotScript {
        /// What it is instead.
        state: BlockState,
    },
}

/// Why an attachment was refused; the buffer comes back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// A slice: an attachment is a count of a whole block, and the range would be lost.
    #[error("only a whole buffer can be attached, not a slice of one")]
    Slice(Buf),
    /// A buffer of another arena: an attachment is a position in the same file.
    #[error("a buffer of another arena cannot be attached")]
    ForeignArena(Buf),
    /// No room for the list of attachments.
    #[error("{error}")]
    Loan {
        /// The buffer.
        buf: Buf,
        /// Why there is no room.
        error: LoanError,
    },
}

impl AttachError {
    /// The buffer that was not attached.
    pub fn into_buf(self) -> Buf {
        match self {
            AttachError::Slice(buf) | AttachError::ForeignArena(buf) | AttachError::Loan { buf, .. } => buf,
        }
    }
}
