//! Clients that ask and wait: the other side of `benches/lua/echo.lua`, in a process of its own.
//!
//! `ask PORT CONNECTIONS QUESTIONS BYTES PAUSE` opens that many connections. On each, again and again, it writes `BYTES` bytes and reads
//! them back, until that many questions have been answered in all, and prints how long answers took. The first tenth is not counted.
//! With a pause (microseconds) it asks on all at once, and again that long after all have been answered.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

struct Asker {
    stream: TcpStream,
    asked: Instant,
    /// Bytes of the answer that have come.
    read: usize,
}

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("arguments are numbers"))
        .collect();
    let [port, connections, questions, bytes, pause_us] = arguments[..] else {
        panic!("usage: ask PORT CONNECTIONS QUESTIONS BYTES PAUSE");
    };
    let port = u16::try_from(port).expect("a port");
    let mut poll = Poll::new().expect("the system has epoll");
    let mut askers: Vec<Asker> = (0..connections)
        .map(|token| {
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
            stream.set_nonblocking(true).expect("a socket can");
            stream.set_nodelay(true).expect("a socket can");
            let fd = stream.as_raw_fd();
            poll.registry()
                .register(&mut SourceFd(&fd), Token(token), Interest::READABLE)
                .expect("a socket can be watched");
            Asker {
                stream,
                asked: Instant::now(),
                read: 0,
            }
        })
        .collect();
    let question: Vec<u8> = (0..bytes).map(|place| (place % 251) as u8).collect();
    let mut answer = vec![0; bytes];
    let mut times_ns = Histogram::<u64>::new(3).expect("three digits are allowed");
    let mut events = Events::with_capacity(1024);
    let begun = Instant::now();
    let mut answered = 0;
    let mut asked = connections;
    askers.iter_mut().for_each(|asker| asker.ask(&question));
    while answered < questions.max(connections) {
        poll.poll(&mut events, None).expect("epoll waits");
        for event in &events {
            let asker = &mut askers[event.token().0];
            if !asker.has_answer(&question, &mut answer) {
                continue;
            }
            answered += 1;
            if answered > questions / 10 {
                times_ns += asker.asked.elapsed().as_nanos() as u64;
            }
            if asked < questions && pause_us == 0 {
                asked += 1;
                asker.ask(&question);
            }
        }
        if answered == asked && asked < questions {
            thread::sleep(Duration::from_micros(pause_us as u64));
            asked += connections;
            askers.iter_mut().for_each(|asker| asker.ask(&question));
        }
    }
    let elapsed_ns = begun.elapsed().as_nanos() as usize;
    let at = |quantile| times_ns.value_at_quantile(quantile);
    println!(
        "BENCH ask.{connections}conn n={answered} ns_per_op={}",
        elapsed_ns / answered
    );
    println!(
        "BENCH ask.{connections}conn.latency_ns p50={} p90={} p99={} p999={} max={}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        times_ns.max()
    );
}

impl Asker {
    fn ask(&mut self, question: &[u8]) {
        self.asked = Instant::now();
        self.read = 0;
        self.stream.write_all(question).expect("a question has room");
    }

    /// Reads; whether the whole answer is there now.
    fn has_answer(&mut self, question: &[u8], answer: &mut [u8]) -> bool {
        while self.read < answer.len() {
            match self.stream.read(&mut answer[self.read..]) {
                Ok(0) => panic!("the server has hung up"),
                Ok(read) => self.read += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(answer, question, "the answer is not the question");
        true
    }
}
