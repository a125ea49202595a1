//! One buffer to many, and two priorities.

use std::io::Read;
use std::time::Duration;

use fulmar_arena::Arena;
use fulmar_engine::{
    Body, Context, EventKind, Handle, ListenOptions, Message, MessageType, Service, ServiceOptions,
    SocketOptions,
};

use crate::harness::{Net, buf};

/// Sends what it gets to sockets that are not its own.
struct Crier(Vec<i32>);

impl Service for Crier {
    fn receive(&mut self, cx: &Context, message: Message) {
        let Body::Shared(buf) = message.into_body() else {
            panic!("a buffer is sent");
        };
        assert_eq!(
            cx.engine().sockets().broadcast(self.0.iter().copied(), &buf),
            self.0.len()
        );
    }
}

#[test]
fn one_copy_goes_to_all_whoever_owns_them() {
    const LEN: usize = 1 << 20;
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let mut clients = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..30 {
        let (id, client) = net.accept(port);
        ids.push(id);
        clients.push(client);
    }
    let crier = net.engine.spawn(Crier(ids), ServiceOptions::default()).unwrap();
    let before = Arena::process().stats().live_bytes as usize;
    // So much that most of it waits for its reader.
    for byte in 0..8 {
        let body = Body::Shared(buf(&vec![byte; LEN]));
        net.engine
            .send(Handle::SYSTEM, crier, MessageType::TEXT, 0, body)
            .unwrap();
    }
    for _ in &clients {
        net.expect(EventKind::Warning);
    }
    let held = Arena::process().stats().live_bytes as usize - before;
    assert!(held < 10 * LEN, "{held} bytes for 8 MiB to 30 clients");
    for client in &mut clients {
        let mut all = vec![0; 8 * LEN];
        client.read_exact(&mut all).unwrap();
        assert!(
            all.chunks(LEN)
                .enumerate()
                .all(|(byte, chunk)| chunk.iter().all(|b| *b as usize == byte))
        );
    }
    net.end(clients);
}

#[test]
fn a_broadcast_keeps_its_place_among_other_writes() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (ids, mut clients): (Vec<i32>, Vec<_>) = (0..20).map(|_| net.accept(port)).unzip();
    let mut expected = Vec::new();
    for round in 0..500u32 {
        // Sizes on both sides of what may wait.
        let all = vec![round as u8; if round % 50 == 0 { 70_000 } else { 100 }];
        assert_eq!(net.sockets().broadcast(ids.iter().copied(), &buf(&all)), 20);
        expected.extend(&all);
        if round % 3 == 0 {
            let one = [b'-', round as u8];
            assert!(ids.iter().all(|id| net.sockets().send(*id, buf(&one), false)));
            expected.extend(one);
        }
    }
    for client in &mut clients {
        let mut all = vec![0; expected.len()];
        client.read_exact(&mut all).unwrap();
        assert!(all == expected, "out of order");
    }
    while net.try_next().is_some() {} // warnings of what waited
    net.end(clients);
}

#[test]
fn what_was_broadcast_before_an_end_still_arrives() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let heard = |end: &dyn Fn(i32)| {
        let (id, mut client) = net.accept(port);
        assert_eq!(net.sockets().broadcast([id, id], &buf(b"farewell")), 2);
        end(id);
        let mut all = String::new();
        client.read_to_string(&mut all).unwrap();
        assert_eq!(all, "farewellfarewell");
    };
    heard(&|id| {
        net.sockets().close(net.owner, id);
        net.expect(EventKind::Close);
    });
    heard(&|id| {
        net.sockets().shutdown(net.owner, id);
        net.expect(EventKind::Close);
    });
    heard(&|_| assert!(net.engine.shutdown(Duration::from_secs(20))));
    net.end(());
}

#[test]
fn a_connection_that_was_not_started_hears_too() {
    const LEN: usize = 16 << 20;
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let id = net.expect(EventKind::Accept).ud;
    assert_eq!(net.sockets().broadcast([id], &buf(&vec![5; LEN])), 1);
    let mut all = vec![0; LEN];
    client.read_exact(&mut all).unwrap();
    assert!(all.iter().all(|byte| *byte == 5));
    net.end(client);
}

#[test]
fn low_priority_goes_last_but_is_not_torn() {
    let net = Net::start();
    let (id, mut peer) = net.connect(&SocketOptions::default());
    // The first packet fills the system's buffers, and is in the middle when the others come.
    let first = 16 << 20;
    assert!(net.sockets().send(id, buf(&vec![b'a'; first]), true));
    assert!(net.sockets().send(id, buf(b"low"), true));
    assert!(net.sockets().send(id, buf(b"high"), false));
    let mut all = vec![0; first + 7];
    peer.read_exact(&mut all).unwrap();
    assert!(all[..first].iter().all(|byte| *byte == b'a'));
    assert_eq!(&all[first..], b"highlow");
    net.end(peer);
}

#[test]
fn an_owner_can_give_a_socket_away() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    struct Taker(i32);
    impl Service for Taker {
        fn start(&mut self, cx: &Context, _: &str) -> Result<(), fulmar_engine::StartError> {
            cx.engine().sockets().start(cx.handle(), self.0);
            Ok(())
        }
        fn receive(&mut self, cx: &Context, message: Message) {
            let event = fulmar_engine::Event::parse(message.bytes()).expect("an event");
            if event.kind == EventKind::Data {
                let answer = buf(&event.bytes.to_ascii_uppercase());
                cx.engine().sockets().send(self.0, answer, false);
            }
        }
    }
    let taker = net.engine.spawn(Taker(id), ServiceOptions::default()).unwrap();
    std::io::Write::write_all(&mut client, b"hello").unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HELLO");
    assert_eq!(
        net.sockets()
            .info()
            .iter()
            .find(|socket| socket.id == id)
            .unwrap()
            .owner,
        taker
    );
    net.expect_silence();
    net.end(client);
}
