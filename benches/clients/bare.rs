//! What `benches/lua/broadcast.lua` does, without an engine: a loop of system calls, to see what is the system's part.
//!
//! `bare CONNECTIONS ROUNDS TOGETHER`, with `HEAR` in the environment, writes `TOGETHER` rounds of 1 KiB at a time with one call for each
//! connection, and waits until all have heard them.

use std::env;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use socket2::{Domain, Socket, Type};

fn main() {
    let arguments: Vec<usize> = env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("arguments are numbers"))
        .collect();
    let [connections, rounds, together] = arguments[..] else {
        panic!("usage: bare CONNECTIONS ROUNDS TOGETHER");
    };
    let listener = listen();
    let port = listener.local_addr().expect("it is bound").port();
    let numbers = [port.into(), connections, rounds, BYTES].map(|number| number.to_string());
    let mut client = Command::new(env::var("HEAR").expect("HEAR is the client's binary"))
        .args(numbers)
        .spawn()
        .expect("the client starts");
    let mut peers: Vec<TcpStream> = (0..connections)
        .map(|_| listener.accept().expect("the client connects").0)
        .collect();

    let begun = Instant::now();
    for first in (1..=rounds).step_by(together) {
        let last = rounds.min(first + together - 1);
        let packets: Vec<[u8; BYTES]> = (first..=last).map(packet).collect();
        let parts: Vec<IoSlice<'_>> = packets.iter().map(|packet| IoSlice::new(packet)).collect();
        for peer in &mut peers {
            let sent = peer.write_vectored(&parts).expect("the client is there");
            assert_eq!(sent, packets.len() * BYTES, "fewer rounds together have room");
        }
        let mut heard = vec![0; packets.len()];
        peers[0].read_exact(&mut heard).expect("the client is there");
    }
    let elapsed_ns = begun.elapsed().as_nanos() as usize;
    println!(
        "BENCH bare.{connections}conn.together{together} ns_per_op={}",
        elapsed_ns / (connections * rounds)
    );
    assert!(client.wait().expect("the client ends").success());
}

fn listen() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("there are ports");
    socket.listen(4096).expect("it can");
    socket.into()
}

fn packet(round: usize) -> [u8; BYTES] {
    let mut packet = [b'x'; BYTES];
    packet[..4].copy_from_slice(&(round as u32).to_be_bytes());
    packet
}

const BYTES: usize = 1024;
