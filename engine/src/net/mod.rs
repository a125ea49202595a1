//! Sockets: events to services, and what services ask of them.
//!
//! # Ownership
//! A socket is an entry of one table, found by its id; its state is under one lock. Whoever calls works on it directly: connects,
//! starts, writes and closes happen on the caller's thread. The reactor thread only waits for the system and takes the same lock to
//! read, to write on, or to accept. Events are sent under that lock, so a service sees them in their order. Ids grow and come
//! back only after 2^31 others, so a stale id finds nothing.
//!
//! | file | what it holds |
//! |---|---|
//! | `event` | the message of an event |
//! | `conn` | what waits to be sent, how much to read: pure |
//! | `frame` | frames in a stream: pure |
//! | `address` | addresses as text and packed |
//! | `driver` | mio, sockets, the reactor thread |

mod address;
mod conn;
mod driver;
mod event;
mod frame;

pub use self::address::unpack_address;
pub use self::driver::{SocketInfo, SocketKind, Sockets};
pub use self::event::{Event, EventKind};
pub(crate) use self::frame::{Framing, TooLong, Unfinished};
