//! Clients that only hear: the other side of `benches/lua/broadcast.lua`, in a process of its own.
//!
//! `hear PORT CONNECTIONS ROUNDS BYTES` opens that many connections and reads from each of them `ROUNDS` packets of `BYTES` bytes, of
//! which the first four are the number of the round, from 1, big-endian. Each time a round has come to all of them, it writes one byte
//! on the first connection. It fails when a packet is not the next one.

use std::io::{Read, Write};
use std::net::TcpStream;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd;

struct Ear {
    stream: TcpStream,
    /// Bytes that have come.
    heard: usize,
}

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("arguments are numbers"))
        .collect();
    let [port, connections, rounds, bytes] = arguments[..] else {
        panic!("usage: hear PORT CONNECTIONS ROUNDS BYTES");
    };
    let port = u16::try_from(port).expect("a port");
    let mut poll = Poll::new().expect("the system has epoll");
    let mut ears: Vec<Ear> = (0..connections)
        .map(|token| {
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
            stream.set_nonblocking(true).expect("a socket can");
            poll.registry()
                .register(
                    &mut SourceFd(&stream.as_raw_fd()),
                    Token(token),
                    Interest::READABLE,
                )
                .expect("a socket can be watched");
            Ear { stream, heard: 0 }
        })
        .collect();
    // How many have heard a round, by round.
    let mut heard_by = vec![0; rounds + 1];
    let mut told = 0;
    let mut room = vec![0; 256 << 10];
    let mut events = Events::with_capacity(1024);
    while told < rounds {
        poll.poll(&mut events, None).expect("epoll waits");
        for event in &events {
            let ear = &mut ears[event.token().0];
            // The edge says that there is something; when it does not fill the room, it is all there was.
            loop {
                let read = match ear.stream.read(&mut room) {
                    Ok(0) => panic!("the server has hung up"),
                    Ok(read) => read,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                };
                ear.take(&room[..read], bytes, &mut heard_by);
                if read < room.len() {
                    break;
                }
            }
        }
        while told < rounds && heard_by[told + 1] == connections {
            told += 1;
            ears[0].stream.write_all(b".").expect("one byte has room");
        }
    }
}

impl Ear {
    /// Checks what has come, and counts the rounds that it ends.
    fn take(&mut self, read: &[u8], bytes: usize, heard_by: &mut [usize]) {
        let before = self.heard;
        self.heard += read.len();
        // The heads of packets that begin in here, unless they are cut; those are checked by their length alone.
        let first = before.next_multiple_of(bytes);
        for begin in (first..self.heard.saturating_sub(3)).step_by(bytes) {
            let head = &read[begin - before..][..4];
            let round = u32::from_be_bytes(head.try_into().expect("four bytes"));
            assert_eq!(round as usize, begin / bytes + 1, "a packet is not the next one");
        }
        for count in &mut heard_by[before / bytes + 1..=self.heard / bytes] {
            *count += 1;
        }
    }
}
