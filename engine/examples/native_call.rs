//! What a call between two native services costs: request out, answer back, both handled.
//!
//! ```text
//!   one worker    caller <=> echo, both on worker 0: each wakes the other into the run-next slot
//!   two workers   caller on worker 0 <=> echo on worker 1
//!   two threads   the same exchange between bare threads over std's channels, for comparison
//!   two pairs     one pair pinned to each of two workers, calls per second against one pair on one
//! ```
//!
//! Beside the time by the clock stands the processor time that all threads spent: on a machine that does other work too, the latter says
//! more. Workers that share nothing spend as much on two pairs as on one pair twice.
//!
//! `cargo run --release -p fulmar-engine --example native_call [calls [one|two|pairs]]`

use std::sync::mpsc;
use std::time::{Duration, Instant};

use fulmar_engine::{
    Context, Engine, Handle, Message, MessageType, Placement, Service, ServiceOptions, StartError,
};
use rustix::time::{ClockId, clock_gettime};

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

/// What an exchange cost.
struct Cost {
    wall: Duration,
    cpu: Duration,
}

impl Cost {
    fn of(exchange: impl FnOnce() -> Duration) -> Cost {
        let before = cpu_time();
        let wall = exchange();
        Cost {
            wall,
            cpu: cpu_time() - before,
        }
    }
}

/// The processor time of this process so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("it counts up from zero")
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
    let any = Placement::Any;
    let print = |name: &str, calls: u64, cost: &Cost| {
        let per_call = |time: Duration| time.as_nanos() as f64 / calls as f64;
        let (wall, cpu) = (per_call(cost.wall), per_call(cost.cpu));
        println!("{name:<13}{wall:8.1} ns per call, {cpu:8.1} ns of processor time");
    };
    if wanted("one") {
        print("one worker", calls, &Cost::of(|| run(1, &[(any, any)], calls)));
    }
    if wanted("two") {
        print("two workers", calls, &Cost::of(|| run(2, &[(zero, one)], calls)));
        print("two threads", calls, &Cost::of(|| bare_threads(calls)));
    }
    if wanted("pairs") {
        let single = Cost::of(|| run(2, &[(zero, zero)], calls));
        print("one pair", calls, &single);
        for (name, pairs) in [
            ("two pairs", [(zero, zero), (one, one)]),
            ("two unpinned", [(any, any); 2]),
        ] {
            let double = Cost::of(|| run(2, &pairs, calls));
            print(name, 2 * calls, &double);
            let rate = 2.0 * single.wall.as_secs_f64() / double.wall.as_secs_f64();
            println!("{name:<13}{rate:8.2} times the rate of one");
        }
    }
}
