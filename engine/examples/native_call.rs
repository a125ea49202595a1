//! What a call between two native services costs: request out, answer back, both handled.
//!
//! ```text
//!   one worker    caller <=> echo, both on worker 0: each wakes the other into the run-next slot
//!   two workers   caller on worker 0 <=> echo on worker 1
//!   two threads   the same exchange between bare threads over std's channels, for comparison
//!   two pairs     one pair pinned to each of two workers, calls per second against one pair on one
//! ```
//!
//! `cargo run --release -p fulmar-engine --example native_call [calls [one|two|pairs]]`

use std::sync::mpsc;
use std::time::{Duration, Instant};

use fulmar_engine::{
    Context, Engine, Handle, Message, MessageType, Placement, Service, ServiceOptions, StartError,
};

const REQUEST: MessageType = MessageType(20);

struct Echo;

impl Service for Echo {
    fn receive(&mut self, cx: &Context, message: Message) {
        let (source, session) = (message.source(), message.session());
        cx.send(source, MessageType::RESPONSE, session, message.into_body())
            .expect("the caller waits for this");
    }
}

struct Caller {
    echo: Handle,
    calls: u64,
    done: u64,
    began: Instant,
    report: mpsc::Sender<Duration>,
}

impl Service for Caller {
    fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
        Ok(cx.timeout(0, 0)?)
    }

    fn receive(&mut self, cx: &Context, message: Message) {
        if message.source() == Handle::SYSTEM {
            self.began = Instant::now();
        } else {
            assert_eq!(message.bytes(), b"ping");
            self.done += 1;
        }
        if self.done == self.calls {
            self.report
                .send(self.began.elapsed())
                .expect("main waits for this");
            return;
        }
        let body = cx.bytes(b"ping").expect("the arena has room for four bytes");
        cx.send(self.echo, REQUEST, cx.new_session(), body)
            .expect("echo lives");
    }
}

/// Runs one pair per element of `pairs`, each on the workers given, and returns the time that the slowest took.
fn run(threads: usize, pairs: &[(Placement, Placement)], calls: u64) -> Duration {
    let engine = Engine::builder()
        .threads(threads)
        .build()
        .expect("a sane number of threads");
    let (report, reports) = mpsc::channel();
    for (caller, echo) in pairs {
        let echo = engine
            .spawn(Echo, ServiceOptions::default().placement(*echo))
            .expect("echo starts");
        let service = Caller {
            echo,
            calls,
            done: 0,
            began: Instant::now(),
            report: report.clone(),
        };
        engine
            .spawn(service, ServiceOptions::default().placement(*caller))
            .expect("the caller starts");
    }
    engine.start();
    let slowest = pairs
        .iter()
        .map(|_| reports.recv().expect("every pair reports"))
        .max();
    engine.abort();
    engine.wait();
    slowest.unwrap_or_default()
}

fn bare_threads(calls: u64) -> Duration {
    let (to_echo, requests) = mpsc::channel::<Box<[u8; 4]>>();
    let (to_caller, answers) = mpsc::channel();
    let echo = std::thread::spawn(move || {
        for request in requests {
            if to_caller.send(request).is_err() {
                return;
            }
        }
    });
    let began = Instant::now();
    for _ in 0..calls {
        to_echo.send(Box::new(*b"ping")).expect("echo lives");
        assert_eq!(&*answers.recv().expect("echo answers"), b"ping");
    }
    let took = began.elapsed();
    drop(to_echo);
    echo.join().expect("echo ends well");
    took
}

fn main() {
    let mut args = std::env::args().skip(1);
    let calls = args.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000u64);
    let only = args.next();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let (zero, one) = (Placement::Worker(0), Placement::Worker(1));
    let per_call = |took: Duration| took.as_nanos() as f64 / calls as f64;
    if wanted("one") {
        println!(
            "one worker   {:8.1} ns per call",
            per_call(run(1, &[(Placement::Any, Placement::Any)], calls))
        );
    }
    if wanted("two") {
        println!(
            "two workers  {:8.1} ns per call",
            per_call(run(2, &[(zero, one)], calls))
        );
        println!("two threads  {:8.1} ns per call", per_call(bare_threads(calls)));
    }
    if wanted("pairs") {
        let single = run(2, &[(zero, zero)], calls).as_secs_f64();
        let double = run(2, &[(zero, zero), (one, one)], calls).as_secs_f64();
        println!("two pairs    {:8.2} times the rate of one", 2.0 * single / double);
        let double = run(2, &[(Placement::Any, Placement::Any); 2], calls).as_secs_f64();
        println!("two unpinned {:8.2} times the rate of one", 2.0 * single / double);
    }
}
