//! Sockets: events to services, and what services ask of them.
//!
//! # Ownership
//! A socket is an entry of one table, found by its id; its state is under one lock. Whoever calls works on it directly: connects,
//! starts, writes and closes happen on the caller's thread. Who hears from the system takes the same lock to read, to write on, or to
//! accept. Events are sent under that lock, so a service sees them in their order. Ids grow and come
//! back only after 2^31 others, so a stale id finds nothing.
//!
//! # Limits
//! What waits to be sent is capped for each connection ([`SocketOptions::queued_bytes`]). What arrives is not read while the owner's
//! mailbox is backed up: it waits in the system, and so at the peer. Events always get in, and nobody waits to put one there.
//!
//! | file | what it holds |
//! |---|---|
//! | `sockets`, `own` | the face: what programs ask for, and services in their own name |
//! | `shared` | what the parts work on; rounds of events; ends |
//! | `reactor` | the thread that waits for the system, and how workers do its errands |
//! | `connect`, `listen`, `read`, `write`, `udp`, `foreign` | what is done with a socket |
//! | `socket`, `table` | one socket and its lock; all of them by id |
//! | `driver` | mio: the waiting |
//! | `outbox`, `read_size`, `frame`, `deadlines`, `event`, `address`, `options` | pure: no socket, no clock |

mod address;
mod connect;
mod deadlines;
mod driver;
mod event;
mod foreign;
mod frame;
mod listen;
mod options;
mod outbox;
mod own;
mod reactor;
mod read;
mod read_size;
mod shared;
mod socket;
mod sockets;
mod table;
mod udp;
mod write;

pub use self::address::unpack_address;
pub use self::event::{Event, EventKind};
pub use self::frame::{FrameError, FramePrefix, FrameReader, FrameTooLong, Framing};
pub use self::options::{ListenOptions, SocketOptions};
pub use self::own::OwnSockets;
pub(crate) use self::reactor::Errand;
pub(crate) use self::shared::Owners;
pub use self::socket::SocketKind;
pub use self::sockets::{SocketInfo, Sockets};
