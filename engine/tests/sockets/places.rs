//! Where sockets are: names, IPv6, Unix domain sockets, shared ports, foreign descriptors.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};

use fulmar_engine::{EventKind, ListenOptions, SocketOptions};
use socket2::SockRef;

use crate::harness::{Net, buf};

#[test]
fn a_name_is_resolved_and_one_that_is_none_is_an_error() {
    let net = Net::start();
    let (_, port) = net.listen(&ListenOptions::default());
    let id = net
        .sockets()
        .connect(net.owner, "localhost", port, &SocketOptions::default())
        .unwrap();
    let two = [net.next(), net.next()];
    assert!(
        two.iter()
            .any(|seen| seen.kind == EventKind::Connect && seen.id == id)
    );
    let id = net
        .sockets()
        .connect(net.owner, "no such name.invalid", 1, &SocketOptions::default())
        .unwrap();
    let error = net.expect(EventKind::Error);
    assert_eq!(error.id, id);
    assert!(!error.text().is_empty());
    assert_eq!(
        net.sockets().resolve("127.0.0.1").unwrap(),
        [std::net::IpAddr::from([127, 0, 0, 1])]
    );
    assert!(net.sockets().resolve("no such name.invalid").is_err());
    net.end(());
}

#[test]
fn a_unix_socket_is_listened_on_and_connected_to() {
    let net = Net::start();
    let path = std::env::temp_dir().join(format!("fulmar-{}.sock", std::process::id()));
    let host = format!("unix:{}", path.display());
    let listener = net
        .sockets()
        .listen(net.owner, &host, 0, &ListenOptions::default())
        .unwrap();
    assert_eq!(net.expect(EventKind::Connect).text(), host);
    net.sockets().start(net.owner, listener);
    net.expect(EventKind::Connect);
    let mut client = UnixStream::connect(&path).unwrap();
    let id = net.expect(EventKind::Accept).ud;
    net.sockets().start(net.owner, id);
    net.expect(EventKind::Connect);
    client.write_all(b"over the path").unwrap();
    assert_eq!(net.data(13), b"over the path");
    assert!(net.sockets().send(id, buf(b"and back"), false));
    let mut back = [0; 8];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"and back");
    let own = net
        .sockets()
        .connect(net.owner, &host, 0, &SocketOptions::default())
        .unwrap();
    let mut kinds = [net.next(), net.next()].map(|seen| seen.kind as i32);
    kinds.sort_unstable();
    assert_eq!(kinds, [EventKind::Connect as i32, EventKind::Accept as i32]);
    net.sockets().shutdown(net.owner, own);
    std::fs::remove_file(&path).unwrap();
    let refused = net
        .sockets()
        .connect(net.owner, "unix:/no/such/path", 0, &SocketOptions::default());
    assert!(refused.is_ok());
    net.expect(EventKind::Close);
    assert_eq!(net.expect(EventKind::Error).text(), "No such file or directory");
    assert!(
        net.sockets()
            .listen(
                net.owner,
                &format!("unix:{}", "x".repeat(300)),
                0,
                &ListenOptions::default()
            )
            .is_err()
    );
    net.end(client);
}

#[test]
fn a_peer_that_refuses_to_read_is_told_of_while_it_sends() {
    let net = Net::start();
    let path = std::env::temp_dir().join(format!("fulmar-refuses-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let host = format!("unix:{}", path.display());
    let id = net
        .sockets()
        .connect(net.owner, &host, 0, &SocketOptions::default())
        .unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    net.expect(EventKind::Connect);
    peer.shutdown(Shutdown::Read).unwrap();
    peer.write_all(b"said").unwrap();
    assert_eq!(net.data(4), b"said");
    assert!(net.sockets().send(id, buf(b"unheard"), false));
    let error = net.expect(EventKind::Error);
    assert_eq!((error.id, error.text()), (id, "Broken pipe"));
    assert_eq!(net.expect(EventKind::Close).id, id);
    peer.write_all(b"still there").unwrap_err();
    std::fs::remove_file(&path).unwrap();
    net.end((listener, peer));
}

#[test]
fn ipv6_has_its_own_names() {
    let net = Net::start();
    let listener = net
        .sockets()
        .listen(net.owner, "::1", 0, &ListenOptions::default());
    let Ok(listener) = listener else {
        return net.end(()); // a machine without IPv6
    };
    let seen = net.expect(EventKind::Connect);
    assert_eq!(seen.text(), "::1");
    net.sockets().start(net.owner, listener);
    net.expect(EventKind::Connect);
    let client = std::net::TcpStream::connect(("::1", seen.ud as u16)).unwrap();
    assert!(net.expect(EventKind::Accept).text().starts_with("::1:"));
    net.end(client);
}

#[test]
fn a_port_is_shared_when_both_ask_for_it() {
    let net = Net::start();
    let shared = ListenOptions::default().reuse_port(true).backlog(4);
    let (_, port) = net.listen(&shared);
    let again = net
        .sockets()
        .listen(net.owner, "127.0.0.1", port, &shared)
        .unwrap();
    assert_eq!(net.expect(EventKind::Connect).id, again);
    let alone = net
        .sockets()
        .listen(net.owner, "127.0.0.1", port, &ListenOptions::default());
    assert!(alone.is_err());
    net.end(());
}

#[test]
fn the_system_is_told_the_options() {
    let net = Net::start();
    let accepted = SocketOptions::default().nodelay(true).keepalive(false);
    let (_, port) = net.listen(&ListenOptions::default().accepted(accepted));
    let (id, client) = net.accept(port);
    let name = client.local_addr().unwrap();
    let fd = || our_end(name);
    assert!(SockRef::from(&fd()).tcp_nodelay().unwrap());
    assert!(!SockRef::from(&fd()).keepalive().unwrap());
    assert!(net.sockets().configure(id, &SocketOptions::default()));
    assert!(!SockRef::from(&fd()).tcp_nodelay().unwrap());
    assert!(SockRef::from(&fd()).keepalive().unwrap());
    net.sockets().nodelay(id);
    assert!(SockRef::from(&fd()).tcp_nodelay().unwrap());
    drop(client);
    net.expect(EventKind::Close);
    net.end(());
}

/// A descriptor of the engine's end of a connection with this peer.
fn our_end(peer: std::net::SocketAddr) -> std::os::fd::OwnedFd {
    use std::os::fd::BorrowedFd;
    let found = std::fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let fd: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        // SAFETY: a descriptor of this process; asked for its peer and duplicated, at worst in vain.
        let own = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().ok()?;
        let is_it = SockRef::from(&own).peer_addr().ok()?.as_socket() == Some(peer);
        is_it.then_some(own)
    });
    found.expect("the engine's end is open")
}

#[test]
fn a_pipe_that_is_read_still_blocks_for_others() {
    let net = Net::start();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let id = net.sockets().bind(net.owner, reader.as_raw_fd()).unwrap();
    assert_eq!(net.expect(EventKind::Connect).text(), "binding");
    writer.write_all(b"through the pipe").unwrap();
    assert_eq!(net.data(16), b"through the pipe");
    let flags = rustix::fs::fcntl_getfl(&reader).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    drop(writer);
    assert_eq!(net.expect(EventKind::Close).id, id);
    net.end(reader);
}

#[test]
fn a_foreign_descriptor_is_read_and_stays_open() {
    let net = Net::start();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let id = net.sockets().bind(net.owner, ours.as_raw_fd()).unwrap();
    assert_eq!(net.expect(EventKind::Connect).text(), "binding");
    theirs.write_all(b"in").unwrap();
    assert_eq!(net.data(2), b"in");
    assert!(net.sockets().send(id, buf(b"out"), false));
    let mut out = [0; 3];
    theirs.read_exact(&mut out).unwrap();
    net.sockets().close(net.owner, id);
    net.expect(EventKind::Close);
    (&ours).write_all(b"still open").unwrap();
    for fd in [-1, 1 << 20] {
        let id = net.sockets().bind(net.owner, fd).unwrap();
        let error = net.expect(EventKind::Error);
        assert_eq!((error.id, error.text()), (id, "Bad file descriptor"));
    }
    // What the system cannot watch is an error.
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let id = net.sockets().bind(net.owner, file.as_raw_fd()).unwrap();
    assert_eq!(net.expect(EventKind::Error).id, id);
    net.end((ours, theirs, file));
}
