//! Handles: how a service is addressed, the table that finds it, and the local names.
//!
//! A [`Handle`] is skynet's 32-bit address. Everything that sends looks one up in the [`table`]; people and scripts use
//! [`name`]s. Numbers grow and are not used again before they wrap, so a stale handle finds nothing rather than a stranger.

mod name;
mod table;

use std::fmt;

pub use name::Names;
pub(crate) use table::{Collector, Entry, Table};

/// The address of a service: 8 bits of harbor (node) and 24 bits of local index.
///
/// ```text
///   31      24 23                      0
///  | harbor   | local index, from 1     |
/// ```
///
/// The zero handle is never a service: as a source it means "the system" (timer, sockets, signals), as a destination it is an
/// error.
///
/// **Shape.** 4 bytes, passed by value. Prints as skynet's eight lower-case digits.
///
/// ```
/// use fulmar_engine::Handle;
/// let handle = Handle::new(1, 0x0a);
/// assert_eq!(handle.to_string(), ":0100000a");
/// assert_eq!(Handle::parse(":100000A"), Some(handle));
/// assert_eq!((handle.harbor(), handle.local()), (1, 10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Handle(u32);

impl Handle {
    /// The system: source of timer expiries and of everything that no service sent.
    pub const SYSTEM: Handle = Handle(0);
    /// The largest local index.
    pub const MAX_LOCAL: u32 = LOCAL_MASK;

    /// Puts a handle together; `local` is cut to 24 bits.
    pub const fn new(harbor: u8, local: u32) -> Handle {
        Handle((harbor as u32) << HARBOR_SHIFT | local & LOCAL_MASK)
    }

    /// The handle with exactly these bits.
    pub const fn from_bits(bits: u32) -> Handle {
        Handle(bits)
    }

    /// All 32 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The node it belongs to; 0 means this one.
    pub const fn harbor(self) -> u8 {
        (self.0 >> HARBOR_SHIFT) as u8
    }

    /// The index inside its node.
    pub const fn local(self) -> u32 {
        self.0 & LOCAL_MASK
    }

    /// Whether this is [`Handle::SYSTEM`].
    pub const fn is_system(self) -> bool {
        self.0 == 0
    }

    /// Reads the text form: a colon and any number of hexadecimal digits that fits.
    ///
    /// Like C's `strtoul`, what follows the digits is ignored and no digits read as zero.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Handle> {
        let digits = text.as_ref().strip_prefix(b":")?;
        let digits = match digits {
            [b'0', b'x' | b'X', digits @ ..] => digits,
            digits => digits,
        };
        digits
            .iter()
            .map_while(|digit| char::from(*digit).to_digit(16))
            .try_fold(0u32, |bits, digit| bits.checked_mul(16)?.checked_add(digit))
            .map(Handle)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{:08x}", self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const HARBOR_SHIFT: u32 = 24;
const LOCAL_MASK: u32 = 0x00ff_ffff;
