//! Many connections, and many one after the other. Slow, and in need of descriptors: `--ignored`, after `ulimit -n 20000`.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fulmar_engine::{EventKind, ListenOptions};
use socket2::SockRef;

use crate::harness::Net;

#[test]
#[ignore = "needs 20,000 descriptors"]
fn an_idle_connection_takes_less_than_two_kib() {
    const CONNECTIONS: usize = 9_900;
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let mut clients = Vec::with_capacity(CONNECTIONS);
    // What the first ones make the engine set up is not theirs alone.
    clients.extend((0..100).map(|_| net.accept(port).1));
    let before = resident_bytes();
    while clients.len() < CONNECTIONS {
        clients.push(net.accept(port).1);
    }
    let each = (resident_bytes() - before) / (CONNECTIONS - 100);
    println!("{each} bytes for each connection");
    assert!(each < 2048, "{each} bytes");
    // They are alive: the first and the last are heard.
    for client in [0, CONNECTIONS - 1] {
        clients[client].write_all(b"here").unwrap();
        assert_eq!(net.data(4), b"here");
    }
    net.end(clients);
}

#[test]
#[ignore = "takes a minute"]
fn a_thousand_opens_and_closes_per_second_leave_nothing() {
    const SECONDS: u32 = 60;
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let begun = Instant::now();
    let mut settled = 0;
    for opened in 0..SECONDS * 1000 {
        if opened == 1000 {
            settled = resident_bytes();
        }
        let (id, mut client): (i32, TcpStream) = net.accept(port);
        client.write_all(b"hello").unwrap();
        assert_eq!(net.data(5), b"hello");
        net.sockets().close(net.owner, id);
        assert_eq!(net.expect(EventKind::Close).id, id);
        // A reset, or the ports would run out.
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let due = Duration::from_millis((opened + 1).into());
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    let (took, grown) = (begun.elapsed(), resident_bytes().saturating_sub(settled));
    println!("{took:?} for {SECONDS},000 connections; {grown} bytes more than after the first thousand");
    assert!(
        took < Duration::from_secs(u64::from(SECONDS) * 11 / 10),
        "{took:?}"
    );
    assert!(grown < 1 << 20, "{grown} bytes");
    net.end(());
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
