//! How connections end: resets in every state, half-open peers, no descriptors.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use fulmar_engine::{EventKind, ListenOptions, SocketKind, SocketOptions};
use socket2::SockRef;

use crate::harness::{Net, alone, buf, descriptors, wait_until};

/// Ends a connection with a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// An error and then a close of this socket are told, and its id is free.
fn expect_failed(net: &Net, id: i32, reason: &str) {
    let error = net.expect(EventKind::Error);
    assert_eq!((error.id, error.text()), (id, reason));
    expect_gone(net, id);
}

/// The close of this socket is told, and its id is free.
fn expect_gone(net: &Net, id: i32) {
    assert_eq!(net.expect(EventKind::Close).id, id);
    expect_free(net, id);
}

/// Nothing more is told, and the id is free.
fn expect_free(net: &Net, id: i32) {
    net.expect_silence();
    assert!(!net.sockets().info().iter().any(|socket| socket.id == id));
    assert!(!net.sockets().send(id, buf(b"late"), false));
    net.sockets().close(net.owner, id);
    net.expect_silence();
}

#[test]
fn a_reset_of_an_open_connection_is_an_error_and_a_close() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, client) = net.accept(port);
    reset(client);
    expect_failed(&net, id, "Connection reset by peer");
    net.end(());
}

#[test]
fn what_came_before_a_reset_is_read() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    client.write_all(&[5; 100_000]).unwrap();
    reset(client);
    assert_eq!(net.data(100_000).len(), 100_000);
    expect_failed(&net, id, "Connection reset by peer");
    net.end(());
}

#[test]
fn a_reset_is_told_to_those_who_do_not_read() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let id = net.expect(EventKind::Accept).ud;
    reset(client);
    expect_failed(&net, id, "Connection reset by peer");
    net.sockets().start(net.owner, id);
    assert_eq!(net.expect(EventKind::Error).text(), "invalid socket");

    let (id, client) = net.accept(port);
    net.sockets().pause(id);
    reset(client);
    expect_failed(&net, id, "Connection reset by peer");
    net.end(());
}

#[test]
fn a_reset_in_the_backlog_disturbs_no_listener() {
    let net = Net::start();
    let (listener, port) = net.listen(&ListenOptions::default());
    for _ in 0..50 {
        reset(TcpStream::connect(("127.0.0.1", port)).unwrap());
    }
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let name = client.local_addr().unwrap().to_string();
    // Some of the others never show, some are accepted and fail.
    let id = loop {
        let seen = net.next();
        if seen.kind == EventKind::Accept && seen.text() == name {
            break seen.ud;
        }
    };
    while net.try_next().is_some() {}
    net.sockets().start(net.owner, id);
    net.expect(EventKind::Connect);
    client.write_all(b"alive").unwrap();
    assert_eq!(net.data(5), b"alive");
    assert!(net.sockets().info().iter().any(|socket| socket.id == listener));
    net.end(client);
}

#[test]
fn a_reset_while_much_waits_frees_all_of_it() {
    let net = Net::start();
    let (id, peer) = net.connect(&SocketOptions::default());
    assert!(net.sockets().send(id, buf(&vec![1; 32 << 20]), false));
    net.expect(EventKind::Warning);
    reset(peer);
    expect_failed(&net, id, "Connection reset by peer");
    net.end(());
}

#[test]
fn a_reset_while_closing_frees_the_id() {
    let net = Net::start();
    let (id, peer) = net.connect(&SocketOptions::default());
    assert!(net.sockets().send(id, buf(&vec![1; 32 << 20]), false));
    net.expect(EventKind::Warning);
    net.sockets().close(net.owner, id);
    net.expect(EventKind::Close);
    assert_eq!(net.sockets().info()[0].kind, SocketKind::Closing);
    reset(peer);
    wait_until(|| net.sockets().info().is_empty(), || "it stays".into());
    net.expect_silence();
    net.end(());
}

#[test]
fn a_closed_connection_waits_for_a_peer_that_reads_and_for_no_other() {
    let net = Net::start();
    let all = 64 << 20;
    let much = buf(&vec![1; all]);
    for options in [
        SocketOptions::default().linger_cs(100),
        SocketOptions::default().idle_cs(100),
    ] {
        let (id, mut peer) = net.connect(&options);
        assert!(net.sockets().send(id, much.clone(), false));
        net.expect(EventKind::Warning);
        net.sockets().close(net.owner, id);
        net.expect(EventKind::Close);
        // A little now and then, for longer than the limit.
        let mut read = 0;
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(150));
            peer.read_exact(&mut vec![0; 2 << 20]).unwrap();
            read += 2 << 20;
        }
        assert_eq!(net.sockets().info()[0].kind, SocketKind::Closing);
        wait_until(|| net.sockets().info().is_empty(), || "it stays".into());
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest);
        assert!(read + rest.len() < all);
        net.expect_silence();
    }
    net.end(much);
}

#[test]
fn a_closed_connection_without_a_limit_stays_until_it_is_shut_down() {
    let net = Net::start();
    let (id, peer) = net.connect(&SocketOptions::default().linger_cs(0));
    assert!(net.sockets().send(id, buf(&vec![1; 32 << 20]), false));
    net.expect(EventKind::Warning);
    net.sockets().close(net.owner, id);
    net.expect(EventKind::Close);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(net.sockets().info()[0].kind, SocketKind::Closing);
    assert!(!net.sockets().send(id, buf(b"more"), false));
    net.sockets().start(net.owner, id);
    assert_eq!(net.expect(EventKind::Error).text(), "socket closed");
    net.sockets().shutdown(net.owner, id);
    expect_free(&net, id);
    net.end(peer);
}

#[test]
fn a_reset_after_the_peers_end_is_an_error_of_the_writer() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, client) = net.accept(port);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(net.expect(EventKind::Close).id, id);
    assert_eq!(net.sockets().info()[1].kind, SocketKind::Closing);
    reset(client);
    assert_eq!(net.expect(EventKind::Error).id, id);
    expect_free(&net, id); // its end was told
    net.end(());
}

#[test]
fn a_write_that_fails_after_the_peers_end_frees_the_id() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, client) = net.accept(port);
    drop(client);
    assert_eq!(net.expect(EventKind::Close).id, id);
    let written = || net.sockets().send(id, buf(b"anybody?"), false);
    wait_until(|| !written(), || "writes go nowhere in silence".into());
    assert_eq!(net.expect(EventKind::Error).id, id);
    expect_free(&net, id);
    net.end(());
}

#[test]
fn a_half_closed_peer_still_gets_its_answer() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(net.data(8), b"question");
    assert_eq!(net.expect(EventKind::Close).id, id);
    assert!(net.sockets().send(id, buf(&vec![9; 5 << 20]), false));
    net.sockets().close(net.owner, id);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), 5 << 20);
    net.end(client);
}

#[test]
fn nobody_there_frees_the_id() {
    let net = Net::start();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let id = net
        .sockets()
        .connect(net.owner, "127.0.0.1", port, &SocketOptions::default())
        .unwrap();
    let error = net.expect(EventKind::Error);
    assert_eq!((error.id, error.text()), (id, "Connection refused"));
    assert!(net.sockets().info().is_empty());
    net.end(());
}

#[test]
fn closing_while_connecting_ends_it() {
    let net = Net::start();
    for _ in 0..20 {
        let id = net
            .sockets()
            .connect(net.owner, "localhost", 9, &SocketOptions::default())
            .unwrap();
        net.sockets().close(net.owner, id);
        let told = net.next();
        assert!(
            matches!(told.kind, EventKind::Close | EventKind::Error),
            "{told:?}"
        );
    }
    assert!(net.sockets().info().is_empty());
    net.end(());
}

#[test]
fn connections_come_and_go_and_leave_nothing() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    for round in 0..300 {
        let (id, mut client) = net.accept(port);
        client.write_all(b"hi").unwrap();
        assert_eq!(net.data(2), b"hi");
        match round % 3 {
            0 => drop(client),
            1 => reset(client),
            _ => net.sockets().close(net.owner, id),
        }
        if round % 3 == 1 {
            net.expect(EventKind::Error);
        }
        net.expect(EventKind::Close);
        net.sockets().close(net.owner, id);
    }
    assert_eq!(net.sockets().info().len(), 1);
    net.end(());
}

/// In a process of its own, whose limit of descriptors is low.
#[test]
fn accepting_survives_the_last_descriptor() {
    let _alone = alone();
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "ulimit -n 64; exec {} --exact ends::without_descriptors --ignored --nocapture",
        test.display()
    );
    let run = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "needs a low limit of descriptors: see `accepting_survives_the_last_descriptor`"]
fn without_descriptors() {
    let net = Net::start();
    let (listener, port) = net.listen(&ListenOptions::default());
    // One socket for the client to come, one for its connection.
    let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    let to: std::net::SocketAddr = ([127, 0, 0, 1], port).into();
    client.connect(&to.into()).unwrap();
    let error = net.expect(EventKind::Error);
    assert_eq!((error.id, error.text()), (listener, "Too many open files"));
    // The one that found no place was turned away.
    let mut client = TcpStream::from(client);
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    net.expect_silence();
    // A connect fails with its own error.
    let id = net
        .sockets()
        .connect(net.owner, "127.0.0.1", port, &SocketOptions::default())
        .unwrap();
    let error = net.expect(EventKind::Error);
    assert_eq!((error.id, error.text()), (id, "Too many open files"));
    // With descriptors again, it goes on.
    hoard.clear();
    drop(client);
    let (id, mut client) = net.accept(port);
    client.write_all(b"back").unwrap();
    assert_eq!(net.data(4), b"back");
    net.sockets().close(net.owner, id);
    net.expect(EventKind::Close);
    assert!(descriptors() < 64);
    net.end(client);
}
