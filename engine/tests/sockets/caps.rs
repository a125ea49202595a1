//! What a connection may hold, and for how long.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use fulmar_arena::Arena;
use fulmar_engine::{EventKind, FramePrefix, Framing, ListenOptions, SocketOptions};

use crate::harness::{Net, buf, wait_until};

#[test]
fn a_slow_reader_is_warned_of_and_then_cut_off_at_the_cap() {
    const CAP: usize = 5 << 20;
    let net = Net::start();
    let (id, mut peer) = net.connect(&SocketOptions::default().queued_bytes(CAP));
    let mut most = 0;
    let mut sent = 0;
    let packets = Arena::process().stats().live_blocks;
    while net.sockets().send(id, buf(&[7; 100_000]), false) {
        sent += 1;
        let waiting = net
            .sockets()
            .info()
            .iter()
            .map(|socket| socket.waiting_bytes)
            .max();
        most = most.max(waiting.unwrap_or(0));
        assert!(sent < 1000, "the cap does nothing");
    }
    assert!((CAP - 100_000..=CAP).contains(&most), "{most}");
    for kib in [1, 2, 4] {
        let warning = net.expect(EventKind::Warning);
        assert!((kib << 10..(kib << 10) + 98).contains(&warning.ud), "{warning:?}");
    }
    assert_eq!(net.expect(EventKind::Error).text(), "too much waits to be sent");
    assert_eq!(net.expect(EventKind::Close).id, id);
    wait_until(
        || Arena::process().stats().live_blocks <= packets,
        || "what waited is still held".into(),
    );
    assert_eq!(net.sockets().info().len(), 0);
    // The peer gets what the system had taken, and the end.
    let mut rest = Vec::new();
    let _ = peer.read_to_end(&mut rest);
    assert!(rest.len() < sent * 100_000);
    net.end(peer);
}

#[test]
fn a_slow_hearer_is_cut_off_and_a_quick_one_is_not() {
    const CAP: usize = 1 << 20;
    let net = Net::start();
    let accepted = SocketOptions::default().queued_bytes(CAP);
    let (_, port) = net.listen(&ListenOptions::default().accepted(accepted));
    let (slow, unread) = net.accept(port);
    let (quick, mut read) = net.accept(port);
    let before = Arena::process().stats().live_bytes;
    let mut chunk = [0; 10_000];
    let mut rounds = 0;
    while net.sockets().broadcast([slow, quick], &buf(&[9; 10_000])) == 2 {
        read.read_exact(&mut chunk).unwrap();
        let held = Arena::process().stats().live_bytes.saturating_sub(before);
        assert!(held < 2 * CAP as u64, "{held} bytes are held");
        rounds += 1;
        assert!(rounds < 5000, "the cap does nothing");
    }
    read.read_exact(&mut chunk).unwrap();
    let ids: Vec<i32> = net.sockets().info().iter().map(|socket| socket.id).collect();
    assert!(ids.contains(&quick) && !ids.contains(&slow));
    assert_eq!(net.expect(EventKind::Error).id, slow);
    assert_eq!(net.expect(EventKind::Close).id, slow);
    net.end((unread, read));
}

#[test]
fn many_writers_together_stay_below_the_cap() {
    const CAP: usize = 2 << 20;
    let net = Net::start();
    let (id, peer) = net.connect(&SocketOptions::default().queued_bytes(CAP));
    let sockets = net.sockets();
    let before = Arena::process().stats().live_bytes;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| while sockets.send(id, buf(&[1; 10_000]), false) {});
        }
        for _ in 0..50 {
            let held = Arena::process().stats().live_bytes.saturating_sub(before) as usize;
            assert!(held < CAP * 2, "{held} bytes are held");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(net.expect(EventKind::Warning).ud >= 1024);
    net.expect(EventKind::Error);
    net.end(peer);
}

#[test]
fn a_reader_that_catches_up_is_told_of() {
    let net = Net::start();
    let (id, mut peer) = net.connect(&SocketOptions::default());
    let len = 12 << 20;
    assert!(net.sockets().send(id, buf(&vec![3; len]), false));
    assert!(net.expect(EventKind::Warning).ud > 1024);
    let mut all = vec![0; len];
    peer.read_exact(&mut all).unwrap();
    assert!(all.iter().all(|byte| *byte == 3));
    assert_eq!(net.expect(EventKind::Warning).ud, 0);
    net.end(peer);
}

#[test]
fn who_says_nothing_is_cut_off() {
    let net = Net::start();
    let options = ListenOptions::default().accepted(SocketOptions::default().idle_cs(20));
    let (_, port) = net.listen(&options);
    let (id, mut client) = net.accept(port);
    let begun = Instant::now();
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(100));
        client.write_all(b"x").unwrap();
        assert_eq!(net.expect(EventKind::Data).id, id);
    }
    let error = net.expect(EventKind::Error);
    assert_eq!((error.id, error.text()), (id, "nothing received for too long"));
    assert_eq!(net.expect(EventKind::Close).id, id);
    assert!(begun.elapsed() >= Duration::from_millis(580));
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    net.end(client);
}

#[test]
fn a_slow_loris_does_not_count_as_alive() {
    let net = Net::start();
    let framing = Framing {
        prefix: FramePrefix::U16Be,
        limit_bytes: 1000,
    };
    let accepted = SocketOptions::default().idle_cs(30).framing(framing);
    let (_, port) = net.listen(&ListenOptions::default().accepted(accepted));
    let (id, mut client) = net.accept(port);
    client.write_all(&[0, 200]).unwrap();
    let begun = Instant::now();
    // One byte at a time, without end.
    while client.write_all(b"x").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5), "still alive");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(net.expect(EventKind::Error).id, id);
    net.expect(EventKind::Close);
    net.end(client);
}

#[test]
fn a_limit_can_be_set_and_shortened_and_lifted_later() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, client) = net.accept(port);
    assert!(
        net.sockets()
            .configure(id, &SocketOptions::default().idle_cs(10_000))
    );
    assert!(net.sockets().configure(id, &SocketOptions::default().idle_cs(5)));
    assert!(net.sockets().configure(id, &SocketOptions::default()));
    std::thread::sleep(Duration::from_millis(150));
    net.expect_silence();
    assert!(net.sockets().configure(id, &SocketOptions::default().idle_cs(5)));
    net.expect(EventKind::Error);
    net.expect(EventKind::Close);
    assert!(!net.sockets().configure(id, &SocketOptions::default()));
    net.end(client);
}

#[test]
fn a_pause_is_not_the_peers_silence() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default().accepted(SocketOptions::default().idle_cs(5)));
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let id = net.expect(EventKind::Accept).ud;
    // Not started yet: nobody listens.
    std::thread::sleep(Duration::from_millis(100));
    net.sockets().start(net.owner, id);
    assert_eq!(net.expect(EventKind::Connect).text(), "start");
    net.sockets().pause(id);
    std::thread::sleep(Duration::from_millis(150));
    net.expect_silence();
    net.sockets().start(net.owner, id);
    assert_eq!(net.expect(EventKind::Connect).text(), "transfer");
    net.expect(EventKind::Error);
    net.expect(EventKind::Close);
    drop(client);
    net.end(());
}

#[test]
fn a_peer_that_sends_without_reading_its_own_does_no_harm() {
    // Both sides only write: the system pushes back to both, and only ours queues.
    let net = Net::start();
    let (id, mut peer) = net.connect(&SocketOptions::default().queued_bytes(2 << 20));
    net.sockets().pause(id);
    peer.set_nonblocking(true).unwrap();
    let mut written = 0usize;
    let error = loop {
        match peer.write(&[1; 65536]) {
            Ok(more) => written += more,
            Err(error) => break error,
        }
        assert!(written < 64 << 20, "a paused socket is read");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    while net.sockets().send(id, buf(&[2; 65536]), false) {}
    let kinds = [net.next().kind, net.next().kind, net.next().kind];
    assert_eq!(kinds, [EventKind::Warning, EventKind::Error, EventKind::Close]);
    net.end(peer);
}

#[test]
fn a_broadcast_longer_than_the_cap_is_written_at_once() {
    let net = Net::start();
    let (id, mut peer) = net.connect(&SocketOptions::default().queued_bytes(10));
    assert_eq!(net.sockets().broadcast([id], &buf(&[3; 50])), 1);
    let mut heard = [0; 50];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(heard, [3; 50]);
    assert!(net.sockets().send(id, buf(b"still there"), false));
    net.end(peer);
}
