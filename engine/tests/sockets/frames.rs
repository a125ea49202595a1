//! Frames over real connections.

use std::io::{Read, Write};

use fulmar_arena::Arena;
use fulmar_engine::{EventKind, FramePrefix, Framing, ListenOptions, SocketOptions};

use crate::harness::{Net, buf, wait_until};

fn framed(prefix: FramePrefix, limit_bytes: usize) -> SocketOptions {
    SocketOptions::default().framing(Framing { prefix, limit_bytes })
}

#[test]
fn frames_go_out_and_come_in_whole() {
    for prefix in [
        FramePrefix::U8,
        FramePrefix::U16Be,
        FramePrefix::U16Le,
        FramePrefix::U32Be,
        FramePrefix::U32Le,
    ] {
        let most = prefix.most_bytes().min(3 << 20);
        let net = Net::start();
        let (_, port) = net.listen(&ListenOptions::default().accepted(framed(prefix, most)));
        let near = net
            .sockets()
            .connect(net.owner, "127.0.0.1", port, &framed(prefix, most))
            .unwrap();
        let two = [net.next(), net.next()];
        let far = two.iter().find(|seen| seen.kind == EventKind::Accept).unwrap().ud;
        net.sockets().start(net.owner, far);
        net.expect(EventKind::Connect);
        let frames: Vec<Vec<u8>> = [0, 1, 2, 255, 1000, 70_000, 0, 3 << 20, 5]
            .into_iter()
            .filter(|len| *len <= most)
            .map(|len| vec![len as u8; len])
            .collect();
        for frame in &frames {
            assert!(net.sockets().send(near, buf(frame), false));
        }
        for frame in &frames {
            let mut seen = net.next();
            while seen.kind == EventKind::Warning {
                seen = net.next();
            }
            assert_eq!(
                (seen.kind, seen.id, seen.ud as usize),
                (EventKind::Data, far, frame.len())
            );
            assert!(seen.bytes == *frame, "a frame of {} bytes", frame.len());
        }
        assert!(
            !net.sockets().send(near, buf(&vec![0; most + 1]), false),
            "too long for the framing"
        );
        net.end(());
    }
}

#[test]
fn a_frame_beyond_the_limit_ends_the_connection() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default().accepted(framed(FramePrefix::U32Be, 1000)));
    let (id, mut client) = net.accept(port);
    client.write_all(b"\0\0\0\x02ok\xff\xff\xff\xffgarbage").unwrap();
    assert_eq!(net.expect(EventKind::Data).bytes, b"ok");
    let error = net.expect(EventKind::Error);
    assert_eq!(
        (error.id, error.text()),
        (id, "a frame of 4294967295 bytes where 1000 are allowed")
    );
    net.expect(EventKind::Close);
    let _ = client.read(&mut [0]);
    assert_eq!(net.sockets().info().len(), 1);
    net.end(client);
}

#[test]
fn a_length_is_a_claim_that_costs_little() {
    const CLAIMED: usize = 1 << 30;
    const CONNECTIONS: usize = 50;
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default().accepted(framed(FramePrefix::U32Be, CLAIMED)));
    let before = Arena::process().stats().live_bytes;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let (_, mut client) = net.accept(port);
        client.write_all(&(CLAIMED as u32).to_be_bytes()).unwrap();
        client.write_all(&[1; 10_000]).unwrap();
        clients.push(client);
    }
    let received = || {
        net.sockets()
            .info()
            .iter()
            .map(|socket| socket.received)
            .sum::<u64>()
    };
    let all = (CONNECTIONS * 10_005) as u64; // the listener counts connections
    wait_until(|| received() == all, || format!("{} bytes arrive", received()));
    let held = Arena::process().stats().live_bytes - before;
    assert!(held < 8 * all, "{held} bytes are held");
    net.expect_silence();
    drop(clients);
    for _ in 0..CONNECTIONS {
        net.expect(EventKind::Close);
    }
    net.end(());
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_a_close() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default().accepted(framed(FramePrefix::U16Be, 1000)));
    for part in [&b"\x00"[..], b"\x00\x05", b"\x00\x05hal"] {
        let (id, mut client) = net.accept(port);
        client.write_all(part).unwrap();
        drop(client);
        assert_eq!(net.expect(EventKind::Close).id, id);
        net.sockets().close(net.owner, id);
    }
    net.end(());
}

#[test]
fn framing_begins_between_bytes_and_ends_between_frames() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, mut client) = net.accept(port);
    client.write_all(b"hello").unwrap();
    assert_eq!(net.data(5), b"hello");
    let frames = framed(FramePrefix::U8, 100);
    assert!(net.sockets().configure(id, &frames));
    client.write_all(b"\x04half").unwrap();
    assert_eq!(net.expect(EventKind::Data).bytes, b"half");
    client.write_all(b"\x04ha").unwrap();
    let received = || net.sockets().info().last().unwrap().received;
    wait_until(|| received() == 13, || format!("{} bytes arrive", received()));
    assert!(
        !net.sockets().configure(id, &SocketOptions::default()),
        "in the middle of a frame"
    );
    drop(client);
    net.expect(EventKind::Close);
    net.end(());
}
