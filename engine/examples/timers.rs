//! What timers cost: arming and firing 300,000 of one tick, and how late a single one is on an idle engine.
//!
//! ```text
//!   arm    one service arms them all in one turn
//!   fire   from the moment that they are due to the last response: the timer thread and the service
//! ```

use std::error::Error;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use fulmar_engine::{Context, Engine, Message, Service, ServiceOptions, StartError};

/// Arms `TIMERS` timers for one tick, several times over.
struct Burst {
    round: usize,
    fired: usize,
    due: Instant,
    report: Sender<(Duration, Duration)>,
    armed: Duration,
}

impl Burst {
    fn arm(&mut self, cx: &Context) {
        let began = Instant::now();
        self.due = begin_of_cs(cx, DELAY_CS);
        for _ in 0..TIMERS {
            cx.timeout(DELAY_CS as i32, cx.new_session())
                .expect("there is room");
        }
        self.armed = began.elapsed();
    }
}

impl Service for Burst {
    fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
        Ok(cx.timeout(0, cx.new_session())?)
    }

    fn receive(&mut self, cx: &Context, _message: Message) {
        if self.round == 0 {
            self.round = 1;
            return self.arm(cx);
        }
        self.fired += 1;
        if self.fired == TIMERS {
            self.report
                .send((self.armed, self.due.elapsed()))
                .expect("main waits");
            self.fired = 0;
            self.round += 1;
            if self.round <= ROUNDS {
                self.arm(cx);
            } else {
                cx.exit();
            }
        }
    }
}

/// Waits for one timer at a time and says how late it was.
struct Lateness {
    due: Instant,
    left: usize,
    report: Sender<Duration>,
}

impl Lateness {
    fn arm(&mut self, cx: &Context) {
        self.due = begin_of_cs(cx, 3);
        cx.timeout(3, cx.new_session()).expect("there is room");
    }
}

impl Service for Lateness {
    fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
        self.arm(cx);
        Ok(())
    }

    fn receive(&mut self, cx: &Context, _message: Message) {
        self.report
            .send(Instant::now().saturating_duration_since(self.due))
            .expect("main waits");
        self.left -= 1;
        if self.left == 0 { cx.exit() } else { self.arm(cx) }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::builder().threads(2).build()?;
    let (report, reports) = channel();
    let burst = Burst {
        round: 0,
        fired: 0,
        due: Instant::now(),
        report,
        armed: Duration::ZERO,
    };
    engine.spawn(burst, ServiceOptions::default())?;
    engine.start();
    for (armed, fired) in reports.iter() {
        println!(
            "arm {:4.0} ns    fire {:4.0} ns",
            per_timer(armed),
            per_timer(fired)
        );
    }
    engine.wait();

    let engine = Engine::builder().threads(2).build()?;
    let (report, reports) = channel();
    engine.spawn(
        Lateness {
            due: Instant::now(),
            left: 100,
            report,
        },
        ServiceOptions::default(),
    )?;
    engine.start();
    let mut late: Vec<Duration> = reports.iter().collect();
    late.sort();
    println!(
        "late by {:?} (median), {:?} (worst of {})",
        late[late.len() / 2],
        late[late.len() - 1],
        late.len()
    );
    engine.wait();
    Ok(())
}

/// When a timer of `delay_cs` that is armed now is due.
fn begin_of_cs(cx: &Context, delay_cs: u64) -> Instant {
    let into_cs_ns = cx.engine().clock().now_ns() % 10_000_000;
    Instant::now() + Duration::from_millis(10 * delay_cs) - Duration::from_nanos(into_cs_ns)
}

fn per_timer(time: Duration) -> f64 {
    time.as_nanos() as f64 / TIMERS as f64
}

const TIMERS: usize = 300_000;
const DELAY_CS: u64 = 100;
const ROUNDS: usize = 5;
