//! Systems that take and give a few bytes at a time, and say "not now" in between.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;

use fulmar_engine::{EventKind, FramePrefix, Framing, ListenOptions, SocketOptions};
use socket2::SockRef;

use crate::harness::{Net, buf, wait_until};

/// Reads to the end, one to three bytes at a time.
fn sip(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 3];
    for len in [1, 3, 2].into_iter().cycle() {
        match from.read(&mut piece[..len]).unwrap() {
            0 => break,
            read => all.extend_from_slice(&piece[..read]),
        }
    }
    all
}

/// A connection that holds a few thousand bytes in each direction: its id, and the other end.
fn narrow(net: &Net) -> (i32, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    for end in [&ours, &theirs] {
        SockRef::from(end).set_send_buffer_size(1).unwrap();
    }
    let id = net.sockets().bind(net.owner, ours.as_raw_fd()).unwrap();
    net.expect(EventKind::Connect);
    (id, theirs)
}

fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_peer_that_sips_gets_everything_in_order() {
    let net = Net::start();
    let (id, peer) = narrow(&net);
    let sent = numbered(300_000);
    let reader = thread::spawn(move || sip(peer));
    for piece in sent.chunks(7001) {
        assert!(net.sockets().send(id, buf(piece), false));
    }
    assert!(
        net.sockets().info()[0].waiting_bytes > 100_000,
        "the system takes it all"
    );
    net.sockets().close(net.owner, id);
    assert_eq!(net.expect(EventKind::Close).id, id);
    assert!(reader.join().unwrap() == sent);
    net.end(());
}

#[test]
fn what_is_urgent_overtakes_only_whole_packets() {
    let net = Net::start();
    let (id, peer) = narrow(&net);
    for number in 0..100u8 {
        assert!(net.sockets().send(id, buf(&[number; 1000]), number % 2 == 0));
    }
    let reader = thread::spawn(move || sip(peer));
    net.sockets().close(net.owner, id);
    net.expect(EventKind::Close);
    let read = reader.join().unwrap();
    let packets: Vec<u8> = read
        .chunks(1000)
        .map(|packet| {
            assert!(packet.iter().all(|byte| *byte == packet[0]), "packets are mixed");
            packet[0]
        })
        .collect();
    for parity in [0, 1] {
        let of_kind: Vec<u8> = packets
            .iter()
            .copied()
            .filter(|number| number % 2 == parity)
            .collect();
        let all: Vec<u8> = (0..100).filter(|number| number % 2 == parity).collect();
        assert_eq!(of_kind, all);
    }
    let (urgent, patient): (Vec<_>, Vec<_>) = (0..packets.len()).partition(|place| packets[*place] % 2 == 1);
    assert!(urgent[30] < patient[30], "{packets:?}");
    net.end(());
}

#[test]
fn frames_that_come_a_few_bytes_at_a_time_are_whole() {
    let net = Net::start();
    let framing = Framing {
        prefix: FramePrefix::U32Be,
        limit_bytes: 100_000,
    };
    let (_, port) = net.listen(&ListenOptions::default().accepted(SocketOptions::default().framing(framing)));
    let (id, mut client) = net.accept(port);
    client.set_nodelay(true).unwrap();
    let frames: Vec<Vec<u8>> = [0, 1, 5000, 3, 30_000, 0].map(numbered).into();
    let stream: Vec<u8> = frames
        .iter()
        .flat_map(|frame| [&(frame.len() as u32).to_be_bytes(), &frame[..]].concat())
        .collect();
    let mut rest = &stream[..];
    for len in [1, 3, 2, 5, 1].into_iter().cycle() {
        let (piece, after) = rest.split_at(rest.len().min(len));
        client.write_all(piece).unwrap();
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    for frame in frames {
        let seen = net.expect(EventKind::Data);
        assert_eq!(seen.id, id);
        assert!(seen.bytes == frame);
    }
    net.expect_silence();
    net.end(client);
}

/// Both ends have hardly any room, both send much, and neither reads before it has to.
#[test]
fn two_full_directions_do_not_stop_each_other() {
    let net = Net::start();
    let (id, mut client) = narrow(&net);
    let all = numbered(200_000);
    assert!(net.sockets().send(id, buf(&all), false));
    client.set_nonblocking(true).unwrap();
    let (mut read, mut written) = (Vec::new(), 0);
    let mut piece = [0; 64];
    while read.len() < all.len() || written < all.len() {
        let mut stuck = true;
        match client.write(&all[written..all.len().min(written + 900)]) {
            Ok(more) => (written, stuck) = (written + more, more == 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        match client.read(&mut piece) {
            Ok(more) => {
                assert!(more > 0, "ended after {} bytes", read.len());
                read.extend_from_slice(&piece[..more]);
                stuck = false;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        if stuck {
            thread::yield_now();
        }
    }
    assert!(read == all);
    assert!(net.data(all.len()) == all);
    wait_until(
        || net.sockets().info()[0].waiting_bytes == 0,
        || "something still waits".into(),
    );
    net.end(client);
}
