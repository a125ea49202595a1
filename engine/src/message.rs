//! Messages: one arena block each, envelope and payload together, moved between services by pointer.
//!
//! The envelope is the 32 bytes that the arena keeps below a block's body. What lies in the body depends on the kind:
//!
//! ```text
//!   envelope                                     body
//!  | link to the next message  u64 |            kind Empty    nothing
//!  | source u32 | session i32      |            kind Block    the payload itself
//!  | type u8 | kind u8 | 0         |            kind Shared   a `Buf`: one frozen body, many envelopes
//!  | 0                         u64 |            kind Typed    a `Box<dyn Any + Send>`: a Rust value, by pointer
//! ```
//!
//! The link belongs to the mailbox queue while the message is in one, and to nobody otherwise. It is a process-local address:
//! a queue is never walked from another mapping.

use std::any::Any;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ptr::NonNull;

use fulmar_arena::sync::atomic::Ordering;
use fulmar_arena::sync::plain::AtomicPtr;
use fulmar_arena::{Arena, Buf, BufMut, ENVELOPE_WORDS, LoanError, prefetch};

use crate::handle::Handle;
use crate::mailbox::Link;

/// What a message is about: skynet's PTYPE numbers, which applications extend from 13 on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct MessageType(pub u8);

impl MessageType {
    /// Text commands to native services, and log lines.
    pub const TEXT: MessageType = MessageType(0);
    /// The answer to a request, with the request's session; also the expiry of a timer.
    pub const RESPONSE: MessageType = MessageType(1);
    /// A multicast package.
    pub const MULTICAST: MessageType = MessageType(2);
    /// Packets of a gate; notice of a service's end to the exit monitor.
    pub const CLIENT: MessageType = MessageType(3);
    /// From the engine to harbor and logger.
    pub const SYSTEM: MessageType = MessageType(4);
    /// Commands to the harbor service.
    pub const HARBOR: MessageType = MessageType(5);
    /// Socket events.
    pub const SOCKET: MessageType = MessageType(6);
    /// "Your request failed"; with session 0 "the source is gone". Never answered by another error.
    pub const ERROR: MessageType = MessageType(7);
    /// skynet's deprecated queue library.
    pub const QUEUE: MessageType = MessageType(8);
    /// The debug protocol.
    pub const DEBUG: MessageType = MessageType(9);
    /// The standard call between Lua services.
    pub const LUA: MessageType = MessageType(10);
    /// Calls between snax services.
    pub const SNAX: MessageType = MessageType(11);
    /// The trace tag of the request that follows.
    pub const TRACE: MessageType = MessageType(12);

    /// Whether messages of this type answer something, so that their receiver waits for them.
    pub const fn is_reply(self) -> bool {
        matches!(self, MessageType::RESPONSE | MessageType::ERROR)
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageType({})", self.0)
    }
}

/// What a sender hands over. A failed send gives it back.
pub enum Body {
    /// No data.
    Empty,
    /// Bytes in a block of their own, which becomes the message: nothing is copied.
    Block(BufMut),
    /// Frozen bytes that others may hold too: a small envelope refers to them.
    Shared(Buf),
    /// A Rust value, for a native service that takes it by type.
    Typed(Box<dyn Any + Send>),
}

impl Body {
    /// A Rust value as a body.
    pub fn typed<T: Any + Send>(value: T) -> Body {
        Body::Typed(Box::new(value))
    }

    /// The length in bytes; 0 for a typed value.
    pub fn len(&self) -> usize {
        match self {
            Body::Empty | Body::Typed(_) => 0,
            Body::Block(block) => block.len(),
            Body::Shared(buf) => buf.len(),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Block(block) => write!(f, "Block({} bytes)", block.len()),
            Body::Shared(buf) => write!(f, "Shared({} bytes)", buf.len()),
            Body::Typed(_) => f.write_str("Typed"),
        }
    }
}

/// A view of what a message carries.
pub enum Payload<'a> {
    /// Bytes, possibly none.
    Bytes(&'a [u8]),
    /// Frozen bytes; clone the `Buf` to keep them.
    Shared(&'a Buf),
    /// A Rust value.
    Typed(&'a (dyn Any + Send)),
}

/// A message that a service received, or is about to.
///
/// **Shape.** One pointer wide, `Send`, owns one arena block. Dropping it frees the block and what it refers to; no reply is sent.
///
/// # Invariants
/// 1. `block` is the message's own, and in no queue.
/// 2. The kind in the envelope says what the body holds; for `Shared` and `Typed` exactly one initialised value of that type at
///    its start.
pub struct Message {
    block: ManuallyDrop<BufMut>,
}

// SAFETY: the block and everything that a kind can hold (`BufMut`, `Buf`, `Box<dyn Any + Send>`) may move between threads.
// Not `Sync`: a typed value need not be.
unsafe impl Send for Message {}

impl Message {
    /// Wraps `body` in an envelope. The body comes back when the arena has no block for it.
    #[inline]
    pub(crate) fn new(
        arena: Arena,
        source: Handle,
        session: i32,
        message_type: MessageType,
        body: Body,
    ) -> Result<Message, (LoanError, Body)> {
        let (block, kind) = match body {
            Body::Block(block) => (block, Kind::Block),
            Body::Empty => match arena.loan(0, source.bits()) {
                Ok(block) => (block, Kind::Empty),
                Err(error) => return Err((error, Body::Empty)),
            },
            Body::Shared(buf) => match arena.loan(size_of::<Buf>(), source.bits()) {
                Ok(block) => (put(block, buf), Kind::Shared),
                Err(error) => return Err((error, Body::Shared(buf))),
            },
            Body::Typed(value) => match arena.loan(size_of::<Box<dyn Any + Send>>(), source.bits()) {
                Ok(block) => (put(block, value), Kind::Typed),
                Err(error) => return Err((error, Body::Typed(value))),
            },
        };
        Ok(Message::seal(block, source, session, message_type, kind))
    }

    /// An empty message in a block of no bytes.
    pub(crate) fn in_block(
        block: BufMut,
        source: Handle,
        session: i32,
        message_type: MessageType,
    ) -> Message {
        Message::seal(block, source, session, message_type, Kind::Empty)
    }

    fn seal(
        mut block: BufMut,
        source: Handle,
        session: i32,
        message_type: MessageType,
        kind: Kind,
    ) -> Message {
        *block.envelope_mut() = [
            0,
            u64::from(source.bits()) | u64::from(session.cast_unsigned()) << 32,
            u64::from(message_type.0) | (kind as u64) << KIND_SHIFT,
            0,
        ];
        Message {
            block: ManuallyDrop::new(block),
        }
    }

    /// Who sent it; [`Handle::SYSTEM`] for timers.
    pub fn source(&self) -> Handle {
        Handle::from_bits(self.block.envelope()[SOURCE_SESSION] as u32)
    }

    /// The session that an answer must carry; 0 when none is wanted.
    pub fn session(&self) -> i32 {
        ((self.block.envelope()[SOURCE_SESSION] >> 32) as u32).cast_signed()
    }

    /// What it is about.
    pub fn message_type(&self) -> MessageType {
        MessageType(self.block.envelope()[TYPE_KIND] as u8)
    }

    /// A look at what it carries.
    pub fn payload(&self) -> Payload<'_> {
        match self.kind() {
            Kind::Empty | Kind::Block => Payload::Bytes(&self.block),
            // SAFETY: the kind says that a `Buf` is there (2), and it stays while we are borrowed.
            Kind::Shared => Payload::Shared(unsafe { self.body_as::<Buf>().as_ref() }),
            // SAFETY: the kind says that a box is there (2), and it stays while we are borrowed.
            Kind::Typed => Payload::Typed(unsafe { self.body_as::<Box<dyn Any + Send>>().as_ref() }.as_ref()),
        }
    }

    /// The bytes, wherever they lie; none for a typed value.
    pub fn bytes(&self) -> &[u8] {
        match self.payload() {
            Payload::Bytes(bytes) => bytes,
            Payload::Shared(buf) => buf,
            Payload::Typed(_) => &[],
        }
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The block that holds an inline payload, with its attachments. `None` for the other kinds.
    pub fn block(&self) -> Option<&BufMut> {
        (self.kind() == Kind::Block).then_some(&self.block)
    }

    /// Takes the message apart: what the sender handed over, in the form it did.
    pub fn into_body(self) -> Body {
        let kind = self.kind();
        let mut message = ManuallyDrop::new(self);
        // SAFETY: `message` is not used again, and its own drop does not run.
        let mut block = unsafe { ManuallyDrop::take(&mut message.block) };
        match kind {
            Kind::Empty => Body::Empty,
            Kind::Block => Body::Block(block),
            // SAFETY: the kind says that one is there (2), and the block goes.
            Kind::Shared => Body::Shared(unsafe { take(&mut block) }),
            // SAFETY: the kind says that one is there (2), and the block goes.
            Kind::Typed => Body::Typed(unsafe { take(&mut block) }),
        }
    }

    /// Takes the Rust value, if it is a `T`; the untouched message otherwise.
    ///
    /// # Errors
    /// The message itself, when it carries no value or one of another type.
    pub fn take_typed<T: Any + Send>(self) -> Result<Box<T>, Message> {
        match self.payload() {
            Payload::Typed(value) if value.is::<T>() => {}
            _ => return Err(self),
        }
        match self.into_body() {
            Body::Typed(value) => Ok(value.downcast().expect("the type was looked at above")),
            _ => unreachable!("the kind was looked at above"),
        }
    }

    /// Turns the message into an empty one of another type and source, in its own block: an answer needs no memory.
    pub(crate) fn into_empty(self, source: Handle, message_type: MessageType) -> Message {
        let session = self.session();
        let kind = self.kind();
        let mut message = ManuallyDrop::new(self);
        // SAFETY: `message` is not used again, and its own drop does not run.
        let mut block = unsafe { ManuallyDrop::take(&mut message.block) };
        match kind {
            Kind::Empty | Kind::Block => {}
            // SAFETY: the kind says that one is there (2), and the block goes.
            Kind::Shared => drop(unsafe { take::<Buf>(&mut block) }),
            // SAFETY: the kind says that one is there (2), and the block goes.
            Kind::Typed => drop(unsafe { take::<Box<dyn Any + Send>>(&mut block) }),
        }
        block.set_len(0);
        Message::seal(block, source, session, message_type, Kind::Empty)
    }

    /// Gives the message to a queue: its link, through which [`Message::from_link`] finds it again.
    pub(crate) fn into_link(self) -> NonNull<EnvelopeLink> {
        let mut message = ManuallyDrop::new(self);
        // SAFETY: `message` is not used again, and its own drop does not run.
        let block = unsafe { ManuallyDrop::take(&mut message.block) };
        let body = block.into_raw();
        // SAFETY: the envelope lies directly below the body, inside the same block.
        unsafe { body.sub(ENVELOPE_LEN) }.cast()
    }

    /// Takes a message back from the queue that held it.
    ///
    /// # Safety
    /// `link` came from [`Message::into_link`], and is given back at most once.
    pub(crate) unsafe fn from_link(link: NonNull<EnvelopeLink>) -> Message {
        // SAFETY: the body lies directly above the envelope.
        let body = unsafe { link.cast::<u8>().add(ENVELOPE_LEN) };
        // SAFETY: `into_link` took this very block apart, and by the caller's promise nobody put it together since.
        let block = unsafe { BufMut::from_raw(body) };
        Message {
            block: ManuallyDrop::new(block),
        }
    }

    fn kind(&self) -> Kind {
        match (self.block.envelope()[TYPE_KIND] >> KIND_SHIFT) as u8 {
            0 => Kind::Empty,
            1 => Kind::Block,
            2 => Kind::Shared,
            _ => Kind::Typed,
        }
    }

    fn body_as<T>(&self) -> NonNull<T> {
        NonNull::from(&**self.block).cast()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let kind = self.kind();
        // SAFETY: we are being dropped, so the block is not used again.
        let mut block = unsafe { ManuallyDrop::take(&mut self.block) };
        match kind {
            Kind::Empty | Kind::Block => {}
            // SAFETY: the kind says that one is there (2), and the block goes.
            Kind::Shared => drop(unsafe { take::<Buf>(&mut block) }),
            // SAFETY: the kind says that one is there (2), and the block goes.
            Kind::Typed => drop(unsafe { take::<Box<dyn Any + Send>>(&mut block) }),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("source", &self.source())
            .field("session", &self.session())
            .field("message_type", &self.message_type())
            .field("len", &self.len())
            .finish()
    }
}

/// The first word of an envelope while its message is in a queue.
#[repr(transparent)]
pub(crate) struct EnvelopeLink(AtomicPtr<EnvelopeLink>);

impl Link for EnvelopeLink {
    fn next(&self, order: Ordering) -> *mut EnvelopeLink {
        self.0.load(order)
    }

    fn set_next(&self, next: *mut EnvelopeLink, order: Ordering) {
        self.0.store(next, order);
    }

    /// Header and envelope are in one cache line, a short body in the next.
    fn ask_for(envelope: *const EnvelopeLink) {
        prefetch(envelope);
        prefetch(envelope.wrapping_byte_add(ENVELOPE_LEN));
    }
}

/// What a remote destination is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteName {
    /// A service of another node.
    Handle(Handle),
    /// A global name, at most 16 bytes of it.
    Name(String),
}

/// The typed payload with which the engine hands a message for another node to the harbor service.
///
/// The envelope around it repeats source and session; the message inside carries type and payload.
#[derive(Debug)]
pub struct RemoteMessage {
    /// Where it shall go.
    pub destination: RemoteName,
    /// What shall go there.
    pub message: Message,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Empty = 0,
    Block = 1,
    Shared = 2,
    Typed = 3,
}

/// Moves `value` to the start of the body.
fn put<T>(mut block: BufMut, value: T) -> BufMut {
    const { assert!(align_of::<T>() <= BODY_ALIGN) };
    debug_assert!(block.len() >= size_of::<T>());
    // SAFETY: the body is long enough (each caller loaned it for this type), aligned more strictly than `T`, and ours.
    unsafe { block.as_mut_ptr().cast::<T>().write(value) };
    block
}

/// Moves a value out of the body where [`put`] left it.
///
/// # Safety
/// A `T` is there, and it is not taken again.
unsafe fn take<T>(block: &mut BufMut) -> T {
    // SAFETY: the caller's promise; the body is aligned more strictly than `T`.
    unsafe { block.as_ptr().cast::<T>().read() }
}

const ENVELOPE_LEN: usize = ENVELOPE_WORDS * size_of::<u64>();
const SOURCE_SESSION: usize = 1;
const TYPE_KIND: usize = 2;
const KIND_SHIFT: u32 = 8;
/// Bodies start on a cache line.
const BODY_ALIGN: usize = 64;

const _: () = assert!(size_of::<Message>() == size_of::<usize>());
const _: () = assert!(size_of::<EnvelopeLink>() == 8 && ENVELOPE_LEN == 32);
const _: () = assert!(mem::offset_of!(EnvelopeLink, 0) == 0);
