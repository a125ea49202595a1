//! The engine with its real threads: placement, limits, the monitor, shutdown, and a stress in which every message counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use fulmar_arena::{Arena, ArenaConfig};

use super::probe::Probe;
use crate::{
    Body, Context, Engine, Handle, LaunchError, MailboxLimit, Message, MessageType, Placement, Policy,
    SendFailure, Service, ServiceOptions, SignalTarget, StartError,
};

const REQUEST: MessageType = MessageType(20);

fn engine(threads: usize) -> Engine {
    let engine = Engine::builder().threads(threads).build().expect("a sane engine");
    engine.start();
    engine
}

fn end(engine: &Engine) {
    engine.abort();
    engine.wait();
}

/// A service made of one function.
struct Each<F>(F);

impl<F: FnMut(&Context, Message) + Send> Service for Each<F> {
    fn receive(&mut self, cx: &Context, message: Message) {
        (self.0)(cx, message);
    }
}

fn answer(cx: &Context, message: Message) {
    let (source, session) = (message.source(), message.session());
    // Whoever asked may have gone.
    let _ = cx.send(source, MessageType::RESPONSE, session, message.into_body());
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn services_run_where_they_asked_to() {
    let engine = engine(3);
    let (tell, told) = mpsc::channel();
    let placements = [Placement::Worker(0), Placement::Worker(2), Placement::OwnThread];
    for placement in placements {
        let tell = tell.clone();
        let service = Each(move |_: &Context, _| tell.send((placement, thread_name())).unwrap());
        let handle = engine
            .spawn(service, ServiceOptions::default().placement(placement))
            .unwrap();
        (0..10).for_each(|_| {
            engine
                .send(Handle::SYSTEM, handle, REQUEST, 0, Body::Empty)
                .unwrap()
        });
    }
    for _ in 0..30 {
        let (placement, name) = told.recv().unwrap();
        match placement {
            Placement::Worker(index) => assert_eq!(name, format!("worker-{index}")),
            _ => assert!(name.starts_with("service-"), "{name}"),
        }
    }
    let refused = engine.spawn(
        Each(answer),
        ServiceOptions::default().placement(Placement::Worker(3)),
    );
    assert!(matches!(
        refused,
        Err(LaunchError::NoWorker { asked: 3, workers: 3 })
    ));
    end(&engine);
}

#[test]
fn a_thread_of_its_own_ends_with_its_service() {
    struct Refuses;
    impl Service for Refuses {
        fn start(&mut self, _cx: &Context, _args: &str) -> Result<(), StartError> {
            Err(StartError::new("no"))
        }
        fn receive(&mut self, _cx: &Context, _message: Message) {}
    }
    let options = || ServiceOptions::default().placement(Placement::OwnThread);
    // Before the start of the engine, and never started: `shutdown` joins what is left.
    let engine = Engine::builder().threads(1).build().unwrap();
    engine.spawn(Each(answer), options()).unwrap();
    assert!(engine.spawn(Refuses, options()).is_err());
    assert!(engine.shutdown(Duration::from_secs(60)));

    let engine = self::engine(1);
    let handle = engine.spawn(Each(answer), options()).unwrap();
    assert!(engine.spawn(Refuses, options()).is_err());
    engine.retire(handle);
    engine.wait();
}

#[test]
fn short_turns_spread_over_the_workers() {
    let engine = engine(2);
    let (tell, told) = mpsc::channel();
    let spin = || {
        let tell = tell.clone();
        let mut last = String::new();
        let service = Each(move |cx: &Context, _| {
            let now = thread_name();
            if now != last {
                last.clone_from(&now);
                let _ = tell.send(now); // the test may have seen enough
            }
            // The end of the engine ends this too.
            let _ = cx.send(cx.handle(), MessageType::TEXT, 0, Body::Empty);
        });
        engine.spawn(service, ServiceOptions::default()).unwrap()
    };
    let spinners: Vec<Handle> = (0..4).map(|_| spin()).collect();
    // All of them are woken on one worker.
    let first = Each(move |cx: &Context, _| {
        for spinner in &spinners {
            cx.send(*spinner, MessageType::TEXT, 0, Body::Empty).unwrap();
        }
    });
    let first = engine.spawn(first, ServiceOptions::default()).unwrap();
    engine
        .send(Handle::SYSTEM, first, MessageType::TEXT, 0, Body::Empty)
        .unwrap();
    let home = told.recv().unwrap();
    let other = told.iter().find(|name| *name != home);
    assert!(other.is_some_and(|name| name.starts_with("worker-")));
    end(&engine);
}

#[test]
fn a_stuck_worker_strands_nobody() {
    let engine = engine(2);
    let (tell, told) = mpsc::channel();
    let release = Arc::new(Barrier::new(2));
    let waiting = Arc::clone(&release);
    let woken = engine
        .spawn(
            Each(move |_: &Context, _| tell.send(()).unwrap()),
            ServiceOptions::default(),
        )
        .unwrap();
    let stuck = Each(move |cx: &Context, _| {
        // Into the run-next slot of this worker, which does not come to it before the barrier opens.
        cx.send(woken, REQUEST, 0, Body::Empty).unwrap();
        waiting.wait();
    });
    let stuck = engine.spawn(stuck, ServiceOptions::default()).unwrap();
    engine
        .send(Handle::SYSTEM, stuck, REQUEST, 0, Body::Empty)
        .unwrap();
    told.recv().unwrap();
    release.wait();
    end(&engine);
}

#[test]
fn a_blocked_sender_waits_for_room_and_a_worker_never_does() {
    let engine = engine(1);
    let log = Probe::logger(&engine);
    let gate = Arc::new(Barrier::new(2));
    let (waiting, handled) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&handled);
    let limit = MailboxLimit {
        capacity: 2,
        policy: Policy::Block,
    };
    let slow = Each(move |_: &Context, message: Message| {
        if message.session() == 1 {
            waiting.wait();
        }
        count.fetch_add(1, Ordering::Relaxed);
    });
    let slow = engine
        .spawn(
            slow,
            ServiceOptions::default()
                .mailbox(limit)
                .placement(Placement::OwnThread),
        )
        .unwrap();
    log.cx.send(slow, REQUEST, 1, Body::Empty).unwrap();
    let sender = {
        let cx = log.cx.clone();
        thread::spawn(move || {
            (2..=100).for_each(|session| cx.send(slow, REQUEST, session, Body::Empty).unwrap())
        })
    };
    // The same from a service: refused once the mailbox is full, which it stays while the gate is closed.
    let (tell, told) = mpsc::channel();
    let from_worker = Each(move |cx: &Context, _| {
        let refused = (0..10).find_map(|_| cx.send(slow, REQUEST, 0, Body::Empty).err());
        tell.send(refused.map(|error| error.reason)).unwrap();
    });
    let from_worker = engine.spawn(from_worker, ServiceOptions::default()).unwrap();
    engine
        .send(Handle::SYSTEM, from_worker, REQUEST, 0, Body::Empty)
        .unwrap();
    assert_eq!(told.recv().unwrap(), Some(SendFailure::Full(slow, Policy::Block)));
    gate.wait();
    sender.join().unwrap();
    engine.retire(slow);
    end(&engine);
    assert!(
        handled.load(Ordering::Relaxed) >= 98,
        "all but what still waited when it was retired"
    );
}

#[test]
fn a_blocked_sender_learns_of_the_end() {
    let engine = engine(1);
    let gate = Arc::new(Barrier::new(2));
    let (waiting, (tell, told)) = (Arc::clone(&gate), mpsc::channel());
    let limit = MailboxLimit {
        capacity: 1,
        policy: Policy::Block,
    };
    let stuck = Each(move |_: &Context, _| {
        tell.send(()).unwrap();
        waiting.wait();
    });
    let stuck = engine
        .spawn(stuck, ServiceOptions::default().mailbox(limit))
        .unwrap();
    let sender = {
        let engine = engine.clone();
        thread::spawn(move || {
            let send = |session| engine.send(Handle::SYSTEM, stuck, REQUEST, session, Body::Empty);
            (1..)
                .find_map(|session| send(session).err())
                .expect("the service ends")
                .reason
        })
    };
    told.recv().unwrap();
    engine.retire(stuck);
    gate.wait();
    assert_eq!(sender.join().unwrap(), SendFailure::Dead(stuck));
    engine.wait();
}

#[test]
fn drop_policies_answer_requests_and_only_those() {
    for (policy, dropped) in [(Policy::DropOldest, 1), (Policy::DropNewest, 3)] {
        let engine = Engine::builder().deterministic(1).build().unwrap();
        let probe = Probe::spawn(&engine);
        let limit = MailboxLimit { capacity: 2, policy };
        let full = engine
            .spawn(Each(answer), ServiceOptions::default().mailbox(limit))
            .unwrap();
        for session in [1, 2, 3] {
            probe.cx.send(full, REQUEST, session, Body::Empty).unwrap();
        }
        engine.run_until_idle();
        let mut got: Vec<_> = probe
            .take()
            .iter()
            .map(|seen| (seen.session, seen.message_type))
            .collect();
        got.sort();
        let kind = |session| {
            if session == dropped {
                MessageType::ERROR
            } else {
                MessageType::RESPONSE
            }
        };
        assert_eq!(got, [1, 2, 3].map(|session| (session, kind(session))));
        for _ in 0..5 {
            probe.cx.send(full, REQUEST, 0, Body::Empty).unwrap();
        }
        engine.run_until_idle();
        assert_eq!(probe.take().len(), 2, "one-way messages are dropped in silence");
        end(&engine);
    }
}

/// Spins until it gets its signal, and then does what comes `after`.
struct Endless<F> {
    interrupt: Interrupt,
    after: F,
}

/// Waits for one signal.
#[derive(Clone)]
struct Interrupt {
    signal: i32,
    has_come: Arc<AtomicBool>,
}

impl<F: FnMut(&Context) + Send> Endless<F> {
    fn until(signal: i32, after: F) -> Endless<F> {
        let has_come = Arc::default();
        let interrupt = Interrupt { signal, has_come };
        Endless { interrupt, after }
    }
}

impl<F: FnMut(&Context) + Send> Service for Endless<F> {
    fn receive(&mut self, cx: &Context, _message: Message) {
        while !self.interrupt.has_come.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        (self.after)(cx);
    }

    fn signal_target(&self) -> Option<Arc<dyn SignalTarget>> {
        Some(Arc::new(self.interrupt.clone()))
    }
}

impl SignalTarget for Interrupt {
    fn signal(&self, _cx: &Context, number: i32) {
        assert_eq!(number, self.signal);
        self.has_come.store(true, Ordering::Relaxed);
    }

    fn name(&self) -> Option<String> {
        Some("looper".to_owned())
    }
}

fn on_worker(index: usize) -> ServiceOptions {
    ServiceOptions::default().placement(Placement::Worker(index))
}

/// An engine with two workers, not started, whose monitor looks all the time and whose log goes to `lines`; and its logger.
fn watched_engine(lines: mpsc::Sender<String>) -> (Engine, Handle) {
    let engine = Engine::builder()
        .threads(2)
        .endless_after(Duration::from_millis(1))
        .build()
        .unwrap();
    let log = Each(move |_: &Context, line: Message| {
        let _ = lines.send(String::from_utf8(line.bytes().to_vec()).unwrap()); // the test may have heard enough
    });
    let log = engine.spawn(log, on_worker(0)).unwrap();
    engine.names().register("logger", log);
    (engine, log)
}

#[test]
fn an_endless_message_is_reported_and_can_be_interrupted() {
    let (tell, told) = mpsc::channel();
    let (engine, log) = watched_engine(tell);
    let endless = Endless::until(9, |cx: &Context| {
        assert!(cx.take_endless(), "flagged before it was reported");
        assert!(!cx.take_endless(), "reading clears it");
        cx.exit();
    });
    let endless = engine.spawn(endless, on_worker(1)).unwrap();
    engine.start();
    let source = Handle::new(0, 77);
    engine.send(source, endless, REQUEST, 0, Body::Empty).unwrap();
    let line = told.recv().unwrap();
    let expected =
        format!("error: A message from [ {source} ] to [ {endless} ] maybe in an endless loop (version = ");
    assert!(line.starts_with(&expected), "{line}");
    assert_eq!(
        engine.with_running_thread(endless, |thread| thread != 0),
        Some(true)
    );
    assert_eq!(engine.with_running_thread(Handle::new(0, 99), |_| ()), None);
    assert!(engine.signal(endless, 9));
    assert!(!engine.signal(log, 9), "takes none");
    while engine.is_live(endless) {
        thread::yield_now();
    }
    assert!(!engine.signal(endless, 9));
    end(&engine);
}

#[test]
fn a_killed_service_that_loops_is_interrupted_and_its_caller_told() {
    let (tell, told) = mpsc::channel();
    let (engine, _) = watched_engine(tell.clone());
    let asker = Each(move |_: &Context, message: Message| {
        tell.send(format!("{:?} {}", message.message_type(), message.session()))
            .unwrap();
    });
    let asker = engine.spawn(asker, on_worker(0)).unwrap();
    let endless = Endless::until(0, |_: &Context| panic!("interrupted"));
    let endless = engine.spawn(endless, on_worker(1)).unwrap();
    engine.start();
    engine.send(asker, endless, REQUEST, 5, Body::Empty).unwrap();
    let reported = told.recv().unwrap();
    assert!(reported.ends_with(" : looper"), "{reported}");
    assert!(engine.retire(endless));
    let answer = format!("{:?} 5", MessageType::ERROR);
    while told.recv().unwrap() != answer {}
    end(&engine);
}

#[test]
fn a_shutdown_does_not_wait_for_the_stuck() {
    let engine = engine(2);
    let release = Arc::new(Barrier::new(2));
    let (waiting, (tell, told)) = (Arc::clone(&release), mpsc::channel());
    let stuck = Each(move |_: &Context, _| {
        tell.send(()).unwrap();
        waiting.wait();
    });
    let stuck = engine.spawn(stuck, ServiceOptions::default()).unwrap();
    engine
        .send(Handle::SYSTEM, stuck, REQUEST, 0, Body::Empty)
        .unwrap();
    told.recv().unwrap();
    /// Takes its time to say goodbye.
    struct Polite(mpsc::Sender<()>);
    impl Service for Polite {
        fn receive(&mut self, _cx: &Context, _message: Message) {}
        fn stop(&mut self, _cx: &Context) {
            thread::sleep(Duration::from_millis(50));
            self.0.send(()).unwrap();
        }
    }
    let (goodbye, said) = mpsc::channel();
    let logger = engine.spawn(Polite(goodbye), ServiceOptions::default()).unwrap();
    assert!(engine.register_name("logger", logger));
    assert!(!engine.shutdown(Duration::from_millis(5)));
    assert_eq!(said.try_recv(), Ok(()), "the logger ends in order all the same");
    release.wait();
}

#[test]
fn a_shutdown_may_have_all_the_time_there_is() {
    let engine = engine(1);
    Probe::spawn(&engine);
    assert!(engine.shutdown(Duration::MAX));
}

#[test]
fn a_service_may_end_the_engine() {
    let engine = engine(2);
    let handle = engine.spawn(
        Each(|cx: &Context, _| assert!(!cx.engine().shutdown(Duration::from_secs(60)))),
        ServiceOptions::default(),
    );
    engine
        .send(Handle::SYSTEM, handle.unwrap(), REQUEST, 0, Body::Empty)
        .unwrap();
    engine.wait();
}

#[test]
fn two_engines_do_not_mix() {
    let engines = [engine(1), engine(1)];
    let (tell, told) = mpsc::channel();
    let target = Each(move |_: &Context, _| tell.send(thread::current().id()).unwrap());
    let target = engines[1].spawn(target, ServiceOptions::default()).unwrap();
    // A service of the first sends into the second, from a worker that is not the second's.
    let other = engines[1].clone();
    let (tell_sender, told_sender) = mpsc::channel();
    let sender = Each(move |_: &Context, _| {
        other
            .send(Handle::SYSTEM, target, REQUEST, 0, Body::Empty)
            .unwrap();
        tell_sender.send(thread::current().id()).unwrap();
    });
    let sender = engines[0].spawn(sender, ServiceOptions::default()).unwrap();
    engines[0]
        .send(Handle::SYSTEM, sender, REQUEST, 0, Body::Empty)
        .unwrap();
    assert_ne!(told.recv().unwrap(), told_sender.recv().unwrap());
    engines.iter().for_each(end);
}

#[test]
fn time_is_charged_to_who_used_it() {
    let engine = engine(1);
    let (tell, told) = mpsc::channel();
    let busy = Each(move |cx: &Context, message: Message| match message.session() {
        1 => while cx.stats().turn_ns < 1_000_000 {},
        _ => tell.send(cx.stats()).unwrap(),
    });
    let busy = engine.spawn(busy, ServiceOptions::default()).unwrap();
    engine
        .send(Handle::SYSTEM, busy, REQUEST, 1, Body::Empty)
        .unwrap();
    let stats = loop {
        // Apart from the first turn, or it would be the same one.
        engine
            .send(Handle::SYSTEM, busy, REQUEST, 2, Body::Empty)
            .unwrap();
        let stats = told.recv().unwrap();
        if stats.cpu_ns > 0 {
            break stats;
        }
    };
    assert!(stats.cpu_ns >= 500_000 && stats.messages >= 2, "{stats:?}");
    end(&engine);
}

/// Threads and services send to services that are launched and killed all the while. Every request is answered exactly once, every body is
/// dropped exactly once, and nothing is left.
#[test]
fn under_stress_every_message_counts_once() {
    const SENDERS: usize = 3;
    const ROUNDS: usize = if cfg!(miri) { 10 } else { 3_000 };

    struct Canary(Arc<AtomicUsize>);
    impl Drop for Canary {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    /// Counts answers.
    struct Counter(Arc<AtomicUsize>, mpsc::Sender<()>);
    impl Service for Counter {
        fn receive(&mut self, _cx: &Context, message: Message) {
            assert!(message.message_type().is_reply());
            self.0.fetch_add(1, Ordering::Relaxed);
            let _ = self.1.send(()); // the test may be over
        }
    }

    let arena = Arena::new(ArenaConfig {
        reserve_bytes: 256 << 20,
        ..ArenaConfig::default()
    })
    .unwrap();
    let engine = Engine::builder().threads(3).arena(arena).build().unwrap();
    engine.start();
    let (drops, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (tell, told) = mpsc::channel();
    let counter = engine
        .spawn(Counter(Arc::clone(&answers), tell), ServiceOptions::default())
        .unwrap();
    let victims: Arc<Mutex<Vec<Handle>>> = Arc::default();
    let launch = |index: usize| {
        let placement = [Placement::Any, Placement::Worker(index % 3), Placement::Any][index % 3];
        let limit = index.is_multiple_of(4).then_some(MailboxLimit {
            capacity: 3,
            policy: Policy::DropOldest,
        });
        let options = ServiceOptions {
            placement,
            mailbox: limit,
            ..ServiceOptions::default()
        };
        engine.spawn(Each(answer), options).unwrap()
    };
    victims.lock().unwrap().extend((0..8).map(launch));
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|seed| {
            let (engine, victims, drops) = (engine.clone(), Arc::clone(&victims), Arc::clone(&drops));
            thread::spawn(move || {
                (0..ROUNDS)
                    .filter(|round| {
                        let victim = { victims.lock().unwrap()[(round * 7 + seed) % 8] };
                        let body = Body::typed(Canary(Arc::clone(&drops)));
                        engine
                            .send(counter, victim, REQUEST, 1 + *round as i32, body)
                            .is_ok()
                    })
                    .count()
            })
        })
        .collect();
    let killer = {
        let (engine, victims, stop) = (engine.clone(), Arc::clone(&victims), Arc::clone(&stop));
        let launch = move |index: usize| {
            engine
                .spawn(
                    Each(answer),
                    ServiceOptions {
                        placement: [Placement::Any, Placement::Worker(1)][index % 2],
                        ..ServiceOptions::default()
                    },
                )
                .map(|new| (new, engine.clone()))
                .unwrap()
        };
        thread::spawn(move || {
            let mut index = 0;
            while !stop.load(Ordering::Relaxed) {
                let (new, engine) = launch(index);
                let old = std::mem::replace(&mut victims.lock().unwrap()[index % 8], new);
                assert!(engine.retire(old));
                index += 1;
            }
        })
    };
    let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    stop.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    for _ in 0..sent {
        told.recv().unwrap();
    }
    end(&engine);
    assert_eq!(answers.load(Ordering::Relaxed), sent);
    assert_eq!(drops.load(Ordering::Relaxed), SENDERS * ROUNDS);
    assert_eq!(arena.stats().live_blocks, 0);
    assert_eq!(engine.handles(), []);
}
