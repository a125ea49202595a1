//! How connections end: resets in every state, half-open peers, no descriptors.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use fulmar_engine::{EventKind, ListenOptions, SocketKind, SocketOptions};
use socket2::SockRef;

use crate::harness::{Net, alone, buf, descriptors, wait_until};

/// Ends a connection with a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_of_an_open_connection_is_one_error() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, client) = net.accept(port);
    reset(client);
    let error = net.expect(EventKind::Error);
    assert_eq!((error.id, error.text()), (id, "Connection reset by peer"));
    net.expect_silence();
    assert!(!net.sockets().send(id, buf(b"late"), false));
    // The id is the owner's until it closes it.
    assert!(net.sockets().info().iter().any(|socket| socket.id == id));
    net.sockets().close(net.owner, id);
    assert_eq!(net.expect(EventKind::Close).id, id);
    assert!(!net.sockets().info().iter().any(|socket| socket.id == id));
    net.end(());
}

#[test]
fn a_reset_before_the_start_is_told_when_it_starts() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let id = net.expect(EventKind::Accept).ud;
    reset(client);
    net.expect_silence();
    net.sockets().start(net.owner, id);
    assert_eq!(net.expect(EventKind::Connect).text(), "start");
    assert_eq!(net.expect(EventKind::Error).text(), "Connection reset by peer");
    net.sockets().shutdown(net.owner, id);
    net.expect(EventKind::Close);
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
    // Some of the others never show, some are accepted and fail later.
    let id = loop {
        let accepted = net.expect(EventKind::Accept);
        if accepted.text() == name {
            break accepted.ud;
        }
    };
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
    net.expect(EventKind::Error);
    let waiting = || net.sockets().info()[0].waiting_bytes;
    wait_until(|| waiting() == 0, || format!("{} bytes wait", waiting()));
    net.sockets().close(net.owner, id);
    net.expect(EventKind::Close);
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
fn a_reset_after_the_peers_end_is_an_error_of_the_writer() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, client) = net.accept(port);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(net.expect(EventKind::Close).id, id);
    reset(client);
    let written = || net.sockets().send(id, buf(b"anybody?"), false);
    wait_until(|| !written(), || "writes go nowhere in silence".into());
    assert_eq!(net.expect(EventKind::Error).id, id);
    net.sockets().close(net.owner, id);
    net.expect_silence(); // its end was told
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
            _ => {}
        }
        if round % 3 < 2 {
            net.next();
        }
        net.sockets().close(net.owner, id);
        if round % 3 > 0 {
            net.expect(EventKind::Close);
        }
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
