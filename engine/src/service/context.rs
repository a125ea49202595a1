//! What a service sees of the engine: its own address, and the ways to act.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;

use fulmar_arena::sync::Arc;
use fulmar_arena::sync::atomic::Ordering;
use fulmar_arena::{BufMut, LoanError};

use super::cell::ServiceCell;
use super::notice::Notice;
use super::request::Request;
use super::route::Route;
use crate::engine::Engine;
use crate::error::{SendError, SendFailure};
use crate::handle::Handle;
use crate::message::{Body, Message, MessageType, RemoteName};
use crate::net::OwnSockets;
use crate::session::SessionBlock;

/// A service's view of the engine.
///
/// Handed to every call of a [`Service`](super::Service); clone it to act in the service's name from elsewhere, another thread
/// included. It stays usable after the service ended: sends then carry the retired handle.
///
/// **Shape.** One pointer; cloning is one atomic increment.
#[derive(Clone)]
#[repr(transparent)]
pub struct Context {
    cell: Arc<ServiceCell>,
}

/// A service's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServiceStats {
    /// Processor time of its turns so far, in nanoseconds. Zero without profiling.
    pub cpu_ns: u64,
    /// Time since the running turn began, in nanoseconds; 0 between turns or without profiling.
    pub turn_ns: u64,
    /// Messages handled, the one in hand included.
    pub messages: u64,
}

impl Context {
    pub(crate) fn new(cell: Arc<ServiceCell>) -> Context {
        Context { cell }
    }

    /// A context for the length of a turn, without touching the count.
    pub(super) fn borrow(cell: &ServiceCell) -> BorrowedContext<'_> {
        // SAFETY: every cell lives in an `Arc`; the count that keeps it alive during the borrow is the one we pose as, and
        // `ManuallyDrop` keeps us from giving it up.
        let cell = unsafe { Arc::from_raw(cell) };
        BorrowedContext {
            context: ManuallyDrop::new(Context { cell }),
            _cell: std::marker::PhantomData,
        }
    }

    /// The service's address.
    pub fn handle(&self) -> Handle {
        self.cell.handle
    }

    /// The engine that runs it.
    pub fn engine(&self) -> &Engine {
        &self.cell.engine
    }

    /// The sockets of the node, with this service as their owner.
    pub fn sockets(&self) -> OwnSockets<'_> {
        OwnSockets::new(self.engine().sockets(), self.handle())
    }

    /// A fresh session number, from 1 to `i32::MAX` and then from 1 again.
    pub fn new_session(&self) -> i32 {
        self.cell.holder.sessions.next()
    }

    /// The next 64 session numbers of the service, for whoever draws them one by one without an atomic operation for each.
    pub fn session_block(&self) -> SessionBlock {
        self.cell.holder.sessions.block()
    }

    /// A block for a message body, charged to this service until it is sent. Its content is unspecified.
    ///
    /// # Errors
    /// As [`Arena::loan`](fulmar_arena::Arena::loan): too large, or the arena's limit is reached.
    pub fn loan(&self, len_bytes: usize) -> Result<BufMut, LoanError> {
        self.engine().arena().loan(len_bytes, self.handle().bits())
    }

    /// A copy of `bytes` as a body.
    ///
    /// # Errors
    /// As [`Context::loan`].
    pub fn bytes(&self, bytes: &[u8]) -> Result<Body, LoanError> {
        let mut block = self.loan(bytes.len())?;
        block.copy_from_slice(bytes);
        Ok(Body::Block(block))
    }

    /// Takes the request in hand on, to answer it now or later; `None` when the message wants no answer. Whatever it is dropped with, the
    /// end of the service or its panic included, its requester gets an error. To be called once for a message: each `Request` answers.
    ///
    /// ```
    /// use fulmar_engine::{Body, Context, Engine, Message, MessageType, Request, Service, ServiceOptions, StartError};
    ///
    /// /// Answers when there are two who ask.
    /// #[derive(Default)]
    /// struct Pair(Vec<Request>);
    ///
    /// impl Service for Pair {
    ///     fn receive(&mut self, cx: &Context, message: Message) {
    ///         self.0.extend(cx.request(&message));
    ///         if self.0.len() == 2 {
    ///             for request in self.0.drain(..) {
    ///                 // Who has gone in the meantime needs no answer.
    ///                 let _ = request.answer(Body::Empty);
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// /// Asks twice, and ends the engine's work with the second answer.
    /// struct Asker(fulmar_engine::Handle);
    ///
    /// impl Service for Asker {
    ///     fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
    ///         for session in 1..=2 {
    ///             cx.send(self.0, MessageType(20), session, Body::Empty)?;
    ///         }
    ///         Ok(())
    ///     }
    ///     fn receive(&mut self, cx: &Context, message: Message) {
    ///         assert_eq!(message.message_type(), MessageType::RESPONSE);
    ///         if message.session() == 2 {
    ///             cx.engine().abort();
    ///         }
    ///     }
    /// }
    ///
    /// let engine = Engine::builder().build()?;
    /// let pair = engine.spawn(Pair::default(), ServiceOptions::default())?;
    /// engine.spawn(Asker(pair), ServiceOptions::default())?;
    /// engine.start();
    /// engine.wait();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request(&self, message: &Message) -> Option<Request> {
        let request = Request::of(self.engine(), self.handle(), message)?;
        self.cell
            .holder
            .counters
            .take_on(request.source(), request.session());
        Some(request)
    }

    /// Tells the service named `.launcher`, if there is one, that this service does not start or is gone without a word: whoever waits for
    /// its start gets an error. The engine does so for one that panics.
    pub fn tell_launcher(&self) {
        if let Ok(body) = self.bytes(b"ERROR") {
            // Without a launcher there is nobody to tell.
            let _ = self.send_name(".launcher", MessageType::TEXT, 0, body);
        }
    }

    /// Whether a handle belongs to another node.
    pub fn is_remote(&self, handle: Handle) -> bool {
        self.engine().is_remote(handle)
    }

    /// Sends from this service. Returns at once; that the receiver exists is all that success says.
    ///
    /// Never blocks on a worker. On other threads it waits when the receiver's mailbox is bounded with
    /// [`Policy::Block`](crate::Policy::Block) and full.
    ///
    /// # Errors
    /// With the body: nobody there, a full mailbox, no harbor service for a remote handle, an exhausted arena.
    pub fn send(
        &self,
        to: Handle,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        self.send_as(self.handle(), to, message_type, session, body)
    }

    /// Sends in the name of `source`: for redirection, and for what acts on behalf of others.
    ///
    /// # Errors
    /// As [`Context::send`].
    pub fn send_as(
        &self,
        source: Handle,
        to: Handle,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        self.engine().send(source, to, message_type, session, body)
    }

    /// [`Context::send_as`] for who keeps sending to the same service: `route` remembers the way.
    ///
    /// # Errors
    /// As [`Context::send`].
    #[inline]
    pub fn send_along(
        &self,
        route: &mut Route,
        source: Handle,
        to: Handle,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        self.engine()
            .send_by(Some(route), source, to, message_type, session, body)
    }

    /// Sends to a name: `:hex`, `.local`, or a global name, which the harbor service resolves or keeps until it can.
    ///
    /// # Errors
    /// As [`Context::send`], and [`SendFailure::UnknownName`].
    pub fn send_name(
        &self,
        to: impl AsRef<[u8]>,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        self.send_name_as(self.handle(), to, message_type, session, body)
    }

    /// [`Context::send_name`] in the name of `source`.
    ///
    /// # Errors
    /// As [`Context::send_name`].
    pub fn send_name_as(
        &self,
        source: Handle,
        to: impl AsRef<[u8]>,
        message_type: MessageType,
        session: i32,
        body: Body,
    ) -> Result<(), SendError> {
        let to = to.as_ref();
        let handle = match to {
            [b':', ..] => Handle::parse(to),
            [b'.', name @ ..] => self.engine().names().query(name),
            _ => {
                let name = String::from_utf8_lossy(to);
                let name = RemoteName::Name(name.chars().take(GLOBAL_NAME_CHARS).collect());
                return self
                    .engine()
                    .send_remote(source, name, message_type, session, body);
            }
        };
        match handle {
            Some(handle) => self.send_as(source, handle, message_type, session, body),
            None => Err(SendError {
                reason: SendFailure::UnknownName,
                body,
            }),
        }
    }

    /// Asks for a RESPONSE with `session` from [`Handle::SYSTEM`] after `delay_cs` centiseconds. With a delay of 0 or less it is in
    /// the mailbox when this returns, behind what was there. A timer that expires while the arena is exhausted is told from a few
    /// blocks that are kept for that, and when these are used up, once there is room: when the next one expires, or at the monitor's
    /// next look ([`EngineBuilder::endless_after`](crate::EngineBuilder::endless_after)).
    ///
    /// # Errors
    /// With a delay of 0 or less: [`SendFailure::Exhausted`] when the arena has no block for it, [`SendFailure::Dead`] when the service
    /// has ended.
    pub fn timeout(&self, delay_cs: i32, session: i32) -> Result<(), SendError> {
        self.engine().timeout(self.handle(), delay_cs, session)
    }

    /// Makes a RESPONSE with `session`, to be sent to this service when something outside of it has happened.
    ///
    /// ```
    /// use fulmar_engine::{Context, Engine, Message, MessageType, Service, ServiceOptions};
    ///
    /// /// Has another thread do its work, and is told when that is done.
    /// struct Worker;
    ///
    /// impl Service for Worker {
    ///     fn receive(&mut self, context: &Context, message: Message) {
    ///         match message.message_type() {
    ///             MessageType::RESPONSE => context.exit(),
    ///             _ => {
    ///                 let done = context.notice(context.new_session()).expect("a small block");
    ///                 std::thread::spawn(move || done.send());
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// let engine = Engine::builder().build()?;
    /// let worker = engine.spawn(Worker, ServiceOptions::default())?;
    /// engine.send(worker, worker, MessageType::TEXT, 0, fulmar_engine::Body::Empty)?;
    /// engine.start();
    /// engine.wait();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Context::loan`].
    pub fn notice(&self, session: i32) -> Result<Notice, LoanError> {
        let (to, engine) = (self.handle(), self.engine().clone());
        Message::new(engine.arena(), to, session, MessageType::RESPONSE, Body::Empty)
            .map(|message| Notice::new(engine, to, message))
            .map_err(|(error, _)| error)
    }

    /// Runs a text command of skynet's table; `None` where that has no result. What is not UTF-8 in it is replaced.
    pub fn command(&self, name: &str, param: &str) -> Option<String> {
        self.command_bytes(name, param.as_bytes())
            .map(|result| String::from_utf8_lossy(&result).into_owned())
    }

    /// [`Context::command`] with a parameter and a result in whatever encoding.
    pub fn command_bytes(&self, name: &str, param: &[u8]) -> Option<Vec<u8>> {
        crate::command::run(self, name, param)
    }

    /// Sends a line, in whatever encoding, to the logger, in this service's name. Lost when there is no logger.
    pub fn log(&self, text: impl AsRef<[u8]>) {
        self.engine().log(self.handle(), text);
    }

    /// Centiseconds since the engine's start (plus the wall clock's fraction of a second then).
    pub fn now_cs(&self) -> u64 {
        self.engine().clock().now_cs()
    }

    /// Messages that wait in this service's mailbox, behind the one in hand.
    pub fn mailbox_len(&self) -> usize {
        self.cell.waiting() as usize
    }

    /// This service's figures.
    pub fn stats(&self) -> ServiceStats {
        self.cell.stats()
    }

    /// Whether the monitor reported this service as endless since the last call.
    pub fn take_endless(&self) -> bool {
        // Relaxed: a flag for people, it guards nothing.
        self.cell.holder.counters.endless.swap(false, Ordering::Relaxed)
    }

    /// Retires this service: `KILL self` in the log, notice to the exit monitor. The message in hand is finished.
    pub fn exit(&self) {
        self.log("KILL self");
        self.engine().retire_with_notice(self.handle());
    }

    /// Retires another service, or this one.
    pub fn kill(&self, handle: Handle) {
        self.log(format!("KILL :{:x}", handle.bits()));
        self.engine().retire_with_notice(handle);
    }

    /// Signals a service, in this thread. False when there is none, or it takes no signals.
    pub fn signal(&self, handle: Handle, number: i32) -> bool {
        self.engine().signal(handle, number)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("handle", &self.handle())
            .finish_non_exhaustive()
    }
}

/// A [`Context`] that borrows its cell.
pub(super) struct BorrowedContext<'a> {
    context: ManuallyDrop<Context>,
    _cell: std::marker::PhantomData<&'a ServiceCell>,
}

impl Deref for BorrowedContext<'_> {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

const GLOBAL_NAME_CHARS: usize = 16;
