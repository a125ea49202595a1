//! Owners that do not keep up.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use fulmar_arena::Arena;
use fulmar_engine::{
    Body, Context, EventKind, Handle, ListenOptions, MailboxLimit, Message, MessageType, Policy, Service,
    ServiceOptions, SocketOptions,
};

use socket2::SockRef;

use crate::harness::{Net, buf, wait_until};

fn limited(capacity: usize, policy: Policy) -> Net {
    Net::with(ServiceOptions::default().mailbox(MailboxLimit { capacity, policy }))
}

fn rest(net: &Net, ms: i32) {
    net.engine
        .send(Handle::SYSTEM, net.owner, MessageType::TEXT, ms, Body::Empty)
        .unwrap();
}

#[test]
fn streams_are_whole_whatever_a_mailbox_does_when_it_is_full() {
    for policy in [
        Policy::Block,
        Policy::Reject,
        Policy::DropOldest,
        Policy::DropNewest,
    ] {
        let net = limited(2, policy);
        let (_, port) = net.listen(&ListenOptions::default());
        let (_, mut client) = net.accept(port);
        rest(&net, 30);
        let sent: Vec<u8> = (0..400_000u32).map(|n| (n % 251) as u8).collect();
        let writer = {
            let sent = sent.clone();
            thread::spawn(move || {
                sent.chunks(1000)
                    .for_each(|chunk| client.write_all(chunk).unwrap());
                client
            })
        };
        assert_eq!(net.data(sent.len()), sent, "{policy:?}");
        drop(writer.join().unwrap());
        net.expect(EventKind::Close);
        net.end(());
    }
}

#[test]
fn a_mailbox_that_blocks_does_not_stop_the_other_sockets() {
    let net = limited(1, Policy::Block);
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    rest(&net, 300);
    // The owner is busy and its mailbox full; more comes for it.
    wait_until(
        || {
            net.engine
                .send(Handle::SYSTEM, net.owner, MessageType::RESPONSE, 0, Body::Empty)
                .is_ok()
        },
        String::new,
    );
    client.write_all(b"for the one that is busy").unwrap();
    thread::sleep(Duration::from_millis(20));
    // The socket's lock is free: others can write to it meanwhile.
    let begun = std::time::Instant::now();
    assert!(net.sockets().send(id, buf(b"hello"), false));
    assert_eq!(net.sockets().info().len(), 2);
    assert!(
        begun.elapsed() < Duration::from_millis(200),
        "waited for the owner"
    );
    assert_eq!(net.data(24), b"for the one that is busy");
    net.end(client);
}

#[test]
fn what_has_arrived_is_read_after_a_write_has_failed() {
    let net = limited(1, Policy::Block);
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    rest(&net, 300);
    rest(&net, 0);
    client.write_all(b"arrived").unwrap();
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    thread::sleep(Duration::from_millis(50));
    assert!(net.sockets().send(id, buf(b"into the void"), false));
    assert!(!net.sockets().send(id, buf(b"once more"), false));
    assert_eq!(net.expect(EventKind::Data).bytes, b"arrived");
    assert_eq!(net.expect(EventKind::Error).id, id);
    assert_eq!(net.expect(EventKind::Close).id, id);
    assert_eq!(net.sockets().info().len(), 1);
    net.end(());
}

#[test]
fn what_an_owner_does_not_handle_waits_in_the_system() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    rest(&net, 500);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = net.sockets().udp(net.owner, "127.0.0.1", 0).unwrap();
    drop((stranger, udp));
    client
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    client.set_nodelay(true).unwrap();
    let blocks = Arena::process().stats().live_blocks;
    // Tiny pieces, each an event as long as there is room for events.
    let mut sent = 0;
    while sent < 20_000 && client.write(b"x").is_ok() {
        sent += 1;
        if sent % 16 == 0 {
            thread::yield_now();
        }
    }
    // Other tests, beside this one, may have given blocks back.
    let held = Arena::process().stats().live_blocks.saturating_sub(blocks);
    assert!(held <= 1100, "{held} events wait");
    assert_eq!(net.data(sent).len(), sent);
    net.sockets().close(net.owner, id);
    net.expect(EventKind::Close);
    net.end(client);
}

#[test]
fn a_connection_is_accepted_when_there_is_room() {
    let net = limited(1, Policy::Reject);
    let (_, port) = net.listen(&ListenOptions::default());
    rest(&net, 50);
    let clients: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    for _ in &clients {
        let id = net.expect(EventKind::Accept).ud;
        assert!(
            net.sockets()
                .configure(id, &SocketOptions::default().nodelay(true))
        );
    }
    net.end(clients);
}

#[test]
fn workers_that_are_stuck_do_not_stop_the_sockets() {
    const LEN: usize = 8 << 20;
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    // Traffic, so that workers have looked after sockets just now.
    for _ in 0..100 {
        client.write_all(b"x").unwrap();
        net.expect(EventKind::Data);
    }
    let stuck = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let sleeper = net
            .engine
            .spawn(Sleeper(Arc::clone(&stuck)), ServiceOptions::default())
            .unwrap();
        net.engine
            .send(Handle::SYSTEM, sleeper, MessageType::TEXT, 0, Body::Empty)
            .unwrap();
    }
    wait_until(|| stuck.load(SeqCst) == 2, || "a worker is free".into());
    assert!(net.sockets().send(id, buf(&vec![1; LEN]), false));
    client.read_exact(&mut vec![0; LEN]).unwrap();
    assert_eq!(stuck.load(SeqCst), 2, "it took as long as the workers");
    wait_until(|| stuck.load(SeqCst) == 0, || "still asleep".into());
    while net.try_next().is_some() {} // warnings
    net.end(client);
}

/// Keeps its worker for a while.
struct Sleeper(Arc<AtomicUsize>);

impl Service for Sleeper {
    fn receive(&mut self, _cx: &Context, _message: Message) {
        self.0.fetch_add(1, SeqCst);
        thread::sleep(Duration::from_secs(1));
        self.0.fetch_sub(1, SeqCst);
    }
}
