//! An engine with one service that owns sockets and writes down their events.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fulmar_arena::{Arena, Buf};
use fulmar_engine::{
    Context, Engine, Event, EventKind, Handle, ListenOptions, Message, MessageType, Service, ServiceOptions,
    SocketOptions, Sockets, StartError,
};

/// An event that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: EventKind,
    pub(crate) id: i32,
    pub(crate) ud: i32,
    pub(crate) bytes: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("a text")
    }
}

/// A running engine, and its owner of sockets.
pub(crate) struct Net {
    pub(crate) engine: Engine,
    pub(crate) owner: Handle,
    seen: Receiver<Seen>,
    before: (usize, u64),
    _alone: MutexGuard<'static, ()>,
}

impl Net {
    pub(crate) fn start() -> Net {
        Net::with(ServiceOptions::default())
    }

    pub(crate) fn with(options: ServiceOptions) -> Net {
        let alone = alone();
        let live_blocks = Arena::process().stats().live_blocks; // opens the arena, if it is the first
        let before = (descriptors(), live_blocks);
        let engine = Engine::builder().threads(2).build().unwrap();
        let (tell, seen) = mpsc::channel();
        let owner = engine.spawn(Owner(tell), options).unwrap();
        engine.start();
        Net {
            engine,
            owner,
            seen,
            before,
            _alone: alone,
        }
    }

    pub(crate) fn sockets(&self) -> &Sockets {
        self.engine.sockets()
    }

    /// The next event.
    pub(crate) fn next(&self) -> Seen {
        self.seen
            .recv_timeout(Duration::from_secs(20))
            .expect("an event comes")
    }

    /// The next event, if one comes soon.
    pub(crate) fn try_next(&self) -> Option<Seen> {
        self.seen.recv_timeout(Duration::from_millis(50)).ok()
    }

    /// The next event, which is of this kind.
    pub(crate) fn expect(&self, kind: EventKind) -> Seen {
        let seen = self.next();
        assert_eq!(seen.kind, kind, "{seen:?}");
        seen
    }

    /// No event comes for a while.
    pub(crate) fn expect_silence(&self) {
        assert_eq!(self.try_next(), None);
    }

    /// A started listener: its id and port.
    pub(crate) fn listen(&self, options: &ListenOptions) -> (i32, u16) {
        let id = self
            .sockets()
            .listen(self.owner, "127.0.0.1", 0, options)
            .unwrap();
        let listening = self.expect(EventKind::Connect);
        assert_eq!((listening.id, listening.text()), (id, "127.0.0.1"));
        self.sockets().start(self.owner, id);
        assert_eq!(self.expect(EventKind::Connect).text(), "start");
        (id, u16::try_from(listening.ud).unwrap())
    }

    /// A started connection that a raw client has made: its id and the client.
    pub(crate) fn accept(&self, port: u16) -> (i32, TcpStream) {
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let accepted = self.expect(EventKind::Accept);
        assert_eq!(accepted.text(), client.local_addr().unwrap().to_string());
        self.sockets().start(self.owner, accepted.ud);
        assert_eq!(self.expect(EventKind::Connect).text(), "start");
        (accepted.ud, client)
    }

    /// A connection with these options to a raw server: its id and the server's end.
    pub(crate) fn connect(&self, options: &SocketOptions) -> (i32, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let id = self
            .sockets()
            .connect(self.owner, "127.0.0.1", port, options)
            .unwrap();
        let (peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(self.expect(EventKind::Connect).id, id);
        (id, peer)
    }

    /// The bytes of DATA events until there are as many as that.
    pub(crate) fn data(&self, len: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < len {
            data.extend(self.expect(EventKind::Data).bytes);
        }
        data
    }

    /// Ends the engine, and what the test holds open: nothing is left.
    pub(crate) fn end<T>(self, open: T) {
        drop(open);
        assert!(self.engine.shutdown(Duration::from_secs(20)));
        while self.seen.try_recv().is_ok() {}
        let after = || (descriptors(), Arena::process().stats().live_blocks);
        // The resolvers let go of the engine's sockets a moment later.
        wait_until(
            || after() == self.before,
            || format!("{:?} before, {:?} after", self.before, after()),
        );
    }
}

pub(crate) fn buf(bytes: &[u8]) -> Buf {
    let mut block = Arena::process().loan(bytes.len(), 0).unwrap();
    block.copy_from_slice(bytes);
    block.freeze()
}

/// Waits until something holds.
pub(crate) fn wait_until(holds: impl Fn() -> bool, explain: impl Fn() -> String) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", explain());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps others from counting what the caller opens.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    // One of them is that of the listing.
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

struct Owner(Sender<Seen>);

impl Service for Owner {
    fn start(&mut self, _cx: &Context, _args: &str) -> Result<(), StartError> {
        Ok(())
    }

    fn receive(&mut self, _cx: &Context, message: Message) {
        if message.message_type() != MessageType::SOCKET {
            // Any other message is a rest: its session is the length in milliseconds.
            return thread::sleep(Duration::from_millis(message.session() as u64));
        }
        let event = Event::parse(message.bytes()).expect("an event");
        // The test may have ended.
        let _ = self.0.send(Seen {
            kind: event.kind,
            id: event.id,
            ud: event.ud,
            bytes: event.bytes.to_vec(),
        });
    }
}

/// Descriptors are counted, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());
