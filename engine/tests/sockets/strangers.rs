//! What nobody asked for: ids of no socket, of others, and datagrams of strangers.

use std::net::UdpSocket;
use std::time::Duration;

use fulmar_engine::{EventKind, ListenOptions, ServiceOptions, SocketOptions, unpack_address};
use proptest::prelude::*;

use crate::harness::{Net, buf};

#[test]
fn ids_of_no_socket_do_nothing() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (stale, client) = net.accept(port);
    net.sockets().shutdown(net.owner, stale);
    net.expect(EventKind::Close);
    drop(client);
    let others = net.sockets().info();
    for id in [stale, 0, -1, i32::MIN, i32::MAX, 12345] {
        let sockets = net.sockets();
        assert!(!sockets.send(id, buf(b"x"), false));
        assert!(!sockets.send(id, buf(b"x"), true));
        assert_eq!(sockets.broadcast([id, id], &buf(b"x")), 0);
        assert!(!sockets.configure(id, &SocketOptions::default()));
        assert!(!sockets.udp_connect(id, "127.0.0.1", 1));
        assert!(!sockets.udp_send(id, ([127, 0, 0, 1], 1).into(), b"x"));
        sockets.pause(id);
        sockets.nodelay(id);
        sockets.close(net.owner, id);
        sockets.shutdown(net.owner, id);
        net.expect_silence();
        sockets.start(net.owner, id);
        let error = net.expect(EventKind::Error);
        assert_eq!((error.id, error.text()), (id, "invalid socket"));
    }
    let left = net.sockets().info();
    assert_eq!(left.len(), others.len());
    net.end(());
}

#[test]
fn calls_for_another_kind_of_socket_are_refused() {
    let net = Net::start();
    let (listener, port) = net.listen(&ListenOptions::default());
    let (tcp, client) = net.accept(port);
    let udp = net.sockets().udp(net.owner, "127.0.0.1", 0).unwrap();
    for id in [listener, tcp] {
        assert!(!net.sockets().udp_send(id, ([127, 0, 0, 1], 1).into(), b"x"));
        assert!(!net.sockets().udp_connect(id, "127.0.0.1", 1));
    }
    assert!(!net.sockets().send(listener, buf(b"x"), false));
    assert!(
        !net.sockets().send(udp, buf(b"x"), false),
        "it has no destination"
    );
    drop(client);
    net.expect(EventKind::Close);
    net.end(());
}

#[test]
fn a_closed_id_of_another_service_is_told_to_both() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let (id, client) = net.accept(port);
    struct Silent;
    impl fulmar_engine::Service for Silent {
        fn receive(&mut self, _: &fulmar_engine::Context, _: fulmar_engine::Message) {}
    }
    let other = net.engine.spawn(Silent, ServiceOptions::default()).unwrap();
    net.sockets().close(other, id);
    assert_eq!(net.expect(EventKind::Close).id, id);
    net.expect_silence();
    net.end(client);
}

#[test]
fn datagrams_of_strangers_come_with_their_senders() {
    let net = Net::start();
    let udp = net.sockets().udp(net.owner, "127.0.0.1", 0).unwrap();
    let me = UdpSocket::bind("127.0.0.1:0").unwrap();
    me.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let my_name = me.local_addr().unwrap();
    assert!(net.sockets().udp_send(udp, my_name, b"hello"));
    let mut read = [0; 9000];
    let (len, from) = me.recv_from(&mut read).unwrap();
    assert_eq!(&read[..len], b"hello");
    for len in [0, 1, 65507] {
        me.send_to(&vec![5; len], from).unwrap();
        let seen = net.expect(EventKind::Udp);
        assert_eq!(seen.ud as usize, len);
        assert!(seen.bytes[..len].iter().all(|byte| *byte == 5));
        assert_eq!(unpack_address(&seen.bytes[len..]), Some(my_name));
    }
    // A flood: what does not fit is lost, nothing else happens.
    for _ in 0..20_000 {
        let _ = me.send_to(&[1; 200], from);
    }
    while let Some(seen) = net.try_next() {
        assert_eq!((seen.kind, seen.ud), (EventKind::Udp, 200));
    }
    // Datagrams to nobody bring an error back from the system to some calls, and end nothing.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for _ in 0..10 {
        net.sockets().udp_send(udp, nobody, b"x");
    }
    me.send_to(b"still there", from).unwrap();
    assert_eq!(net.expect(EventKind::Udp).ud, 11);
    net.end(me);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Any order of calls on any ids: nothing is lost, and the engine ends as it should.
    #[test]
    fn any_calls_leave_nothing_behind(calls in proptest::collection::vec((0u8..11, 0i32..6), 0..60)) {
        let net = Net::start();
        let (_, port) = net.listen(&ListenOptions::default());
        let sockets = net.sockets();
        for (call, id) in calls {
            match call {
                0 => { let _ = sockets.connect(net.owner, "127.0.0.1", port, &SocketOptions::default()); }
                1 => sockets.start(net.owner, id),
                2 => sockets.pause(id),
                3 => sockets.close(net.owner, id),
                4 => sockets.shutdown(net.owner, id),
                5 => { sockets.send(id, buf(b"bytes"), id % 2 == 0); }
                6 => { sockets.udp(net.owner, "127.0.0.1", 0).unwrap(); }
                7 => { sockets.udp_connect(id, "127.0.0.1", port); }
                8 => { sockets.configure(id, &SocketOptions::default().idle_cs(1)); }
                9 => { sockets.bind(net.owner, id + 1000).unwrap(); }
                _ => sockets.nodelay(id),
            }
        }
        net.end(());
    }
}
