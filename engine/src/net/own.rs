//! Sockets from within a service.

use std::io;
use std::os::fd::RawFd;

use fulmar_arena::Buf;

use super::options::{ListenOptions, SocketOptions};
use super::sockets::Sockets;
use crate::handle::Handle;

/// The sockets of a node, asked for in the name of a service: it becomes the owner, and gets the events.
///
/// Made by [`Context::sockets`](crate::Context::sockets). What needs no owner, such as options and datagrams, is at
/// [`Engine::sockets`](crate::Engine::sockets).
///
/// A service that answers each frame with its bytes in capitals, asked by a plain client:
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// use fulmar_engine::{
///     Context, Engine, Event, EventKind, FramePrefix, Framing, ListenOptions, Message, Service, ServiceOptions,
///     SocketOptions, StartError,
/// };
///
/// struct Shout(std::sync::mpsc::Sender<u16>);
///
/// impl Service for Shout {
///     fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
///         let framing = Framing { prefix: FramePrefix::U16Be, limit_bytes: 1000 };
///         let accepted = SocketOptions::default().framing(framing).idle_cs(60_00);
///         let listener = cx.sockets().listen("127.0.0.1", 0, &ListenOptions::default().accepted(accepted));
///         cx.sockets().start(listener.map_err(StartError::new)?);
///         Ok(())
///     }
///
///     fn receive(&mut self, cx: &Context, message: Message) {
///         let Some(event) = Event::parse(message.bytes()) else { return };
///         match event.kind {
///             EventKind::Connect if event.ud != 0 => self.0.send(event.ud as u16).unwrap(), // listening on this port
///             EventKind::Accept => cx.sockets().start(event.ud),
///             EventKind::Data => {
///                 let mut answer = cx.loan(event.bytes.len()).expect("there is memory");
///                 answer.copy_from_slice(&event.bytes.to_ascii_uppercase());
///                 cx.sockets().send(event.id, answer.freeze());
///             }
///             EventKind::Close | EventKind::Error => cx.sockets().close(event.id),
///             _ => {}
///         }
///     }
/// }
///
/// let engine = Engine::builder().threads(1).build()?;
/// let (tell, port) = std::sync::mpsc::channel();
/// engine.spawn(Shout(tell), ServiceOptions::named("shout"))?;
/// engine.start();
///
/// let mut client = TcpStream::connect(("127.0.0.1", port.recv()?))?;
/// client.write_all(b"\x00\x05hello")?;
/// let mut answer = [0; 7];
/// client.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"\x00\x05HELLO");
/// # engine.shutdown(std::time::Duration::from_secs(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct OwnSockets<'a> {
    sockets: &'a Sockets,
    owner: Handle,
}

impl<'a> OwnSockets<'a> {
    pub(crate) fn new(sockets: &'a Sockets, owner: Handle) -> OwnSockets<'a> {
        OwnSockets { sockets, owner }
    }

    /// [`Sockets::listen`].
    ///
    /// # Errors
    /// As there.
    pub fn listen(self, host: &str, port: u16, options: &ListenOptions) -> io::Result<i32> {
        self.sockets.listen(self.owner, host, port, options)
    }

    /// [`Sockets::connect`].
    ///
    /// # Errors
    /// As there.
    pub fn connect(self, host: &str, port: u16, options: &SocketOptions) -> io::Result<i32> {
        self.sockets.connect(self.owner, host, port, options)
    }

    /// [`Sockets::bind`].
    ///
    /// # Errors
    /// As there.
    pub fn bind(self, fd: RawFd) -> io::Result<i32> {
        self.sockets.bind(self.owner, fd)
    }

    /// [`Sockets::start`]: what arrives comes to this service from now on.
    pub fn start(self, id: i32) {
        self.sockets.start(self.owner, id);
    }

    /// [`Sockets::send`] with the usual priority.
    pub fn send(self, id: i32, buf: Buf) -> bool {
        self.sockets.send(id, buf, false)
    }

    /// [`Sockets::close`]: what waits is still sent.
    pub fn close(self, id: i32) {
        self.sockets.close(self.owner, id);
    }

    /// [`Sockets::shutdown`]: what waits is dropped.
    pub fn shutdown(self, id: i32) {
        self.sockets.shutdown(self.owner, id);
    }
}
