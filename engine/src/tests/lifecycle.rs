//! Start, turns and end of services, on a deterministic engine: what callers see, and what is left behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fulmar_arena::{Arena, ArenaConfig, BODY_OFFSET};

use super::probe::Probe;
use crate::{
    Body, Context, Engine, Handle, LaunchError, Message, MessageType, Module, Request, SendFailure, Service,
    ServiceOptions, StartError,
};

const REQUEST: MessageType = MessageType(20);

fn engine() -> Engine {
    Engine::builder().deterministic(1).build().expect("a sane engine")
}

/// Does what a request tells it: `exit`, `panic`, `keep` (and never answers), or echoes.
#[derive(Default)]
struct Obedient {
    /// What happened, in order: `stop`, `drop`.
    diary: Arc<Mutex<Vec<&'static str>>>,
}

impl Service for Obedient {
    fn start(&mut self, cx: &Context, args: &str) -> Result<(), StartError> {
        match args {
            "refuse" => Err(StartError::new("not today")),
            "panic" => panic!("at the start"),
            "die" => {
                cx.exit();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn receive(&mut self, cx: &Context, message: Message) {
        match message.bytes() {
            b"exit" => cx.exit(),
            b"panic" => panic!("as told"),
            b"keep" => {}
            _ => {
                let (source, session) = (message.source(), message.session());
                cx.send(source, MessageType::RESPONSE, session, message.into_body())
                    .expect("the probe lives");
            }
        }
    }

    fn stop(&mut self, cx: &Context) {
        assert!(!cx.engine().is_live(cx.handle()), "retired before it stops");
        self.diary.lock().unwrap().push("stop");
        cx.log("last words");
    }
}

impl Drop for Obedient {
    fn drop(&mut self) {
        self.diary.lock().unwrap().push("drop");
    }
}

fn ask(probe: &Probe, to: Handle, session: i32, text: &str) -> Result<(), SendFailure> {
    let body = probe.cx.bytes(text.as_bytes()).expect("the arena has room");
    probe
        .cx
        .send(to, REQUEST, session, body)
        .map_err(|error| error.reason)
}

/// Type, session and source of what the probe got.
fn got(probe: &Probe) -> Vec<(MessageType, i32, Handle)> {
    probe
        .take()
        .into_iter()
        .map(|seen| (seen.message_type, seen.session, seen.source))
        .collect()
}

#[test]
fn requests_are_answered_in_order() {
    let engine = engine();
    let probe = Probe::spawn(&engine);
    let echo = engine
        .spawn(Obedient::default(), ServiceOptions::default())
        .unwrap();
    (1..=100).for_each(|session| ask(&probe, echo, session, "hi").unwrap());
    engine.run_until_idle();
    assert_eq!(
        got(&probe),
        (1..=100)
            .map(|session| (MessageType::RESPONSE, session, echo))
            .collect::<Vec<_>>()
    );
}

#[test]
fn what_waits_in_a_dying_service_is_answered_with_errors() {
    let engine = engine();
    let (log, probe) = (Probe::logger(&engine), Probe::spawn(&engine));
    let service = Obedient::default();
    let diary = Arc::clone(&service.diary);
    let victim = engine.spawn(service, ServiceOptions::default()).unwrap();
    ask(&probe, victim, 1, "exit").unwrap();
    ask(&probe, victim, 2, "hi").unwrap();
    ask(&probe, victim, 0, "one way").unwrap();
    // Neither is answered: an error never, the system never.
    probe.cx.send(victim, MessageType::ERROR, 3, Body::Empty).unwrap();
    engine
        .send(Handle::SYSTEM, victim, MessageType::RESPONSE, 4, Body::Empty)
        .unwrap();
    engine.run_until_idle();
    assert_eq!(
        got(&probe),
        [(MessageType::ERROR, 2, victim), (MessageType::ERROR, 0, victim)]
    );
    assert_eq!(log.take_texts(), ["KILL self", "last words"]);
    assert_eq!(*diary.lock().unwrap(), ["stop", "drop"]);
    assert_eq!(ask(&probe, victim, 5, "hi"), Err(SendFailure::Dead(victim)));
}

#[test]
fn a_kill_takes_effect_at_once_for_senders() {
    let engine = engine();
    let probe = Probe::spawn(&engine);
    let victim = engine
        .spawn(Obedient::default(), ServiceOptions::default())
        .unwrap();
    engine.names().register("victim", victim);
    ask(&probe, victim, 1, "hi").unwrap();
    probe.cx.kill(victim);
    assert!(!engine.is_live(victim));
    assert_eq!(engine.names().query("victim"), None);
    let error = probe
        .cx
        .send(victim, REQUEST, 2, probe.cx.bytes(b"back").unwrap())
        .unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead(victim));
    assert!(matches!(error.body, Body::Block(block) if &block[..] == b"back"));
    engine.run_until_idle();
    assert_eq!(got(&probe), [(MessageType::ERROR, 1, victim)]);
}

#[test]
fn a_panic_ends_the_service_and_nothing_else() {
    let engine = engine();
    let (log, probe) = (Probe::logger(&engine), Probe::spawn(&engine));
    let service = Obedient::default();
    let diary = Arc::clone(&service.diary);
    let victim = engine.spawn(service, ServiceOptions::default()).unwrap();
    ask(&probe, victim, 1, "panic").unwrap();
    ask(&probe, victim, 2, "hi").unwrap();
    engine.run_until_idle();
    assert_eq!(
        got(&probe),
        [(MessageType::ERROR, 1, victim), (MessageType::ERROR, 2, victim)]
    );
    assert_eq!(log.take_texts(), ["error: panic: as told"]);
    assert_eq!(
        *diary.lock().unwrap(),
        ["drop"],
        "its state is not trusted with a goodbye"
    );
    assert!(!engine.is_live(victim));
}

#[test]
fn requests_that_were_taken_on_are_answered_once_whatever_becomes_of_the_service() {
    struct Keeper(Vec<Request>);
    impl Service for Keeper {
        fn receive(&mut self, cx: &Context, message: Message) {
            self.0.extend(cx.request(&message));
            match message.bytes() {
                b"panic" => panic!("as told"),
                b"exit" => cx.exit(),
                b"answer" => {
                    let first = self.0.remove(0);
                    first.answer(Body::Empty).expect("the probe lives");
                }
                _ => {}
            }
        }
    }
    let (response, error) = (MessageType::RESPONSE, MessageType::ERROR);
    for end in ["panic", "exit"] {
        let engine = engine();
        let probe = Probe::spawn(&engine);
        let keeper = engine
            .spawn(Keeper(Vec::new()), ServiceOptions::default())
            .unwrap();
        for (session, text) in [(0, "keep"), (1, "keep"), (2, "keep"), (3, "answer"), (4, end)] {
            ask(&probe, keeper, session, text).unwrap();
        }
        engine.run_until_idle();
        let mut seen = got(&probe);
        seen.sort_by_key(|(_, session, _)| *session);
        let expected = [(response, 1), (error, 2), (error, 3), (error, 4)];
        assert_eq!(
            seen,
            expected.map(|(kind, session)| (kind, session, keeper)),
            "{end}"
        );
    }
}

#[test]
fn a_request_like_one_that_was_taken_on_before_is_answered_by_itself() {
    /// Takes the first request on and answers it; panics at the second.
    #[derive(Default)]
    struct Once(bool);
    impl Service for Once {
        fn receive(&mut self, cx: &Context, message: Message) {
            assert!(!self.0, "as told");
            self.0 = true;
            let request = cx.request(&message).expect("it wants an answer");
            request.answer(Body::Empty).expect("the probe lives");
        }
    }
    let engine = engine();
    let probe = Probe::spawn(&engine);
    let once = engine.spawn(Once::default(), ServiceOptions::default()).unwrap();
    (0..2).for_each(|_| ask(&probe, once, 1, "").unwrap());
    engine.run_until_idle();
    assert_eq!(
        got(&probe),
        [(MessageType::RESPONSE, 1, once), (MessageType::ERROR, 1, once)]
    );
}

/// An engine with 8 MiB for messages.
fn narrow_engine() -> Engine {
    let arena = Arena::new(ArenaConfig {
        reserve_bytes: 64 << 20,
        limit_bytes: 8 << 20,
    })
    .expect("64 MiB of address space");
    Engine::builder()
        .deterministic(1)
        .arena(arena)
        .build()
        .expect("a sane engine")
}

/// Takes all blocks that are left.
fn exhaust(cx: &Context, hoard: &mut Vec<Body>) {
    for len in [1 << 20, 1 << 10, 1] {
        while let Ok(block) = cx.loan(len) {
            hoard.push(Body::Block(block));
        }
    }
}

#[test]
fn timers_expire_in_an_exhausted_arena() {
    let engine = narrow_engine();
    let (probe, mut hoard) = (Probe::spawn(&engine), Vec::new());
    exhaust(&probe.cx, &mut hoard);
    let sessions = 1..=200; // more than there are blocks in reserve
    for session in sessions.clone() {
        probe.cx.timeout(1, session).expect("arming needs no block");
    }
    engine.run_until_idle();
    let told: Vec<_> = sessions
        .map(|session| (MessageType::RESPONSE, session, Handle::SYSTEM))
        .collect();
    assert_eq!(got(&probe), told);
}

#[test]
fn what_is_owed_is_told_in_order_when_there_is_room() {
    let engine = narrow_engine();
    let (probe, mut hoard) = (Probe::spawn(&engine), Vec::new());
    exhaust(&probe.cx, &mut hoard);
    let expire = |session| engine.expire(probe.handle(), session);
    (0..70).for_each(expire);
    assert!(!engine.settle_owed(), "there is no room");
    hoard.clear();
    expire(70);
    expire(71);
    engine.run_until_idle();
    let told = (0..72).map(|session| (MessageType::RESPONSE, session, Handle::SYSTEM));
    assert_eq!(got(&probe), told.collect::<Vec<_>>());
    // And what is kept for such times is there again.
    exhaust(&probe.cx, &mut hoard);
    (0..64).for_each(expire);
    engine.run_until_idle();
    assert_eq!(got(&probe).len(), 64);
}

/// What a C module may do. The arena notices when it comes to the block, and gives up the list.
#[test]
fn a_timer_expires_though_a_program_has_written_to_a_free_block() {
    let engine = narrow_engine();
    let probe = Probe::spawn(&engine);
    let block = probe.cx.loan(0).expect("a block");
    let body = block.body_ptr();
    drop(block);
    // SAFETY: the header lies below the body.
    let link = unsafe { body.sub(BODY_OFFSET - 8) }.cast::<u64>();
    // SAFETY: nobody uses the block; its second word is the link to the next free one.
    unsafe { link.write(u64::MAX) };
    engine.expire(probe.handle(), 1);
    engine.expire(probe.handle(), 2);
    engine.run_until_idle();
    let told = [1, 2].map(|session| (MessageType::RESPONSE, session, Handle::SYSTEM));
    assert_eq!(got(&probe), told);
}

#[test]
fn a_panic_in_an_exhausted_arena_is_answered() {
    type Hoard = Arc<Mutex<Vec<Body>>>;
    struct Hoarder(Hoard);
    impl Service for Hoarder {
        fn receive(&mut self, cx: &Context, message: Message) {
            let mut hoard = self.0.lock().unwrap();
            hoard.push(message.into_body());
            exhaust(cx, &mut hoard);
            drop(hoard);
            panic!("nothing is left");
        }
    }
    let engine = narrow_engine();
    let probe = Probe::spawn(&engine);
    let hoard = Hoard::default();
    let victim = engine
        .spawn(Hoarder(Arc::clone(&hoard)), ServiceOptions::default())
        .unwrap();
    ask(&probe, victim, 1, "panic").unwrap();
    engine.run_until_idle();
    assert_eq!(got(&probe), [(MessageType::ERROR, 1, victim)]);
}

#[test]
fn a_service_that_does_not_start_leaves_nothing() {
    let engine = engine();
    let log = Probe::logger(&engine);
    let options = |args| ServiceOptions::named("obedient").args(args);
    let refused = engine.spawn(Obedient::default(), options("refuse"));
    assert!(matches!(refused, Err(LaunchError::Refused(reason)) if reason.to_string() == "not today"));
    assert!(matches!(
        engine.spawn(Obedient::default(), options("panic")),
        Err(LaunchError::Panicked)
    ));
    assert_eq!(engine.handles(), [log.handle()]);
    engine.run_until_idle();
    let failed = "error: launch obedient FAILED";
    assert_eq!(log.take_texts(), [failed, "error: panic: at the start", failed]);
}

#[test]
fn messages_wait_until_the_start_is_over() {
    /// Sends itself a request from `start`, and remembers whether it was handled too early.
    struct Eager(bool);
    impl Service for Eager {
        fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
            cx.send(cx.handle(), REQUEST, 1, Body::Empty)?;
            cx.engine().run_until_idle();
            self.0 = true;
            Ok(())
        }
        fn receive(&mut self, cx: &Context, _message: Message) {
            assert!(self.0);
            cx.exit();
        }
    }
    let engine = engine();
    let handle = engine.spawn(Eager(false), ServiceOptions::default()).unwrap();
    engine.run_until_idle();
    assert!(!engine.is_live(handle));
}

#[test]
fn a_service_may_end_in_its_start() {
    let engine = engine();
    let log = Probe::logger(&engine);
    let handle = engine
        .spawn(Obedient::default(), ServiceOptions::named("brief").args("die"))
        .unwrap();
    assert!(!engine.is_live(handle));
    engine.run_until_idle();
    assert_eq!(log.take_texts(), ["KILL self", "LAUNCH brief die", "last words"]);
}

#[test]
fn the_exit_monitor_hears_of_exit_and_kill_but_not_of_abort() {
    let engine = engine();
    let (monitor, probe) = (Probe::spawn(&engine), Probe::spawn(&engine));
    engine.set_exit_monitor(Some(monitor.handle()));
    let services = [(); 3].map(|()| {
        engine
            .spawn(Obedient::default(), ServiceOptions::default())
            .unwrap()
    });
    ask(&probe, services[0], 0, "exit").unwrap();
    engine.run_until_idle();
    probe.cx.kill(services[1]);
    engine.run_until_idle();
    let notice = |handle| (MessageType::CLIENT, 0, handle);
    assert_eq!(got(&monitor), [notice(services[0]), notice(services[1])]);
    engine.abort();
    engine.run_until_idle();
    assert_eq!(got(&monitor), []);
    assert_eq!(engine.handles(), []);
}

#[test]
fn typed_and_shared_bodies_arrive_and_are_dropped_once() {
    /// Counts its drops.
    struct Canary(Arc<AtomicUsize>);
    impl Drop for Canary {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    struct Taker(Arc<Mutex<Vec<Vec<u8>>>>);
    impl Service for Taker {
        fn receive(&mut self, _cx: &Context, message: Message) {
            match message.session() {
                1 => drop(message.take_typed::<Canary>().expect("a canary")),
                2 => assert!(message.take_typed::<u32>().is_err(), "not a number"),
                _ => self.0.lock().unwrap().push(message.bytes().to_vec()),
            }
        }
    }
    let arena = Arena::new(ArenaConfig {
        reserve_bytes: 64 << 20,
        ..ArenaConfig::default()
    })
    .unwrap();
    let engine = Engine::builder().deterministic(1).arena(arena).build().unwrap();
    let before = arena.stats().live_blocks;
    let (drops, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let probe = Probe::spawn(&engine);
    let taker = engine
        .spawn(Taker(Arc::clone(&bytes)), ServiceOptions::default())
        .unwrap();
    let canary = || Body::typed(Canary(Arc::clone(&drops)));
    probe.cx.send(taker, REQUEST, 1, canary()).unwrap();
    probe.cx.send(taker, REQUEST, 2, canary()).unwrap();
    let mut block = probe.cx.loan(6).unwrap();
    block.copy_from_slice(b"shared");
    let shared = block.freeze();
    probe
        .cx
        .send(taker, REQUEST, 3, Body::Shared(shared.clone()))
        .unwrap();
    probe
        .cx
        .send(taker, REQUEST, 3, Body::Shared(shared.slice(1..3)))
        .unwrap();
    engine.run_until_idle();
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    assert_eq!(*bytes.lock().unwrap(), [b"shared".to_vec(), b"ha".to_vec()]);
    // The third is refused and comes back, the fourth is never handled.
    assert!(
        probe
            .cx
            .send(Handle::new(0, 0xffff), REQUEST, 1, canary())
            .is_err()
    );
    assert_eq!(drops.load(Ordering::Relaxed), 3);
    probe.cx.send(taker, REQUEST, 1, canary()).unwrap();
    probe.cx.send(taker, REQUEST, 3, Body::Shared(shared)).unwrap();
    engine.abort();
    engine.run_until_idle();
    assert_eq!(drops.load(Ordering::Relaxed), 4);
    assert_eq!(arena.stats().live_blocks, before);
}

#[test]
fn modules_are_launched_by_name() {
    struct Factory;
    impl Module for Factory {
        fn create(&self) -> Box<dyn Service> {
            Box::new(Obedient::default())
        }
    }
    let engine = Engine::builder()
        .deterministic(1)
        .harbor(2)
        .module("obedient", Factory)
        .build()
        .unwrap();
    let log = Probe::logger(&engine);
    let handle = engine.launch("obedient", "a b").unwrap();
    assert_eq!(handle, Handle::new(2, 2));
    assert!(matches!(engine.launch("nobody", ""), Err(LaunchError::UnknownModule(name)) if name == "nobody"));
    assert!(engine.launch("obedient", "refuse").is_err());
    engine.launch("obedient", "").unwrap();
    engine.run_until_idle();
    let lines = [
        "LAUNCH obedient a b",
        "error: launch obedient FAILED",
        "LAUNCH obedient",
    ];
    assert_eq!(log.take_texts(), lines);
}

#[test]
fn a_flood_is_reported_as_skynet_does() {
    let engine = engine();
    let (log, probe) = (Probe::logger(&engine), Probe::spawn(&engine));
    let sink = engine
        .spawn(Obedient::default(), ServiceOptions::default())
        .unwrap();
    (0..3000).for_each(|_| ask(&probe, sink, 0, "keep").unwrap());
    engine.run_until_idle();
    assert_eq!(
        log.take_texts(),
        ["error: May overload, message queue length = 2999"]
    );
    (0..1500).for_each(|_| ask(&probe, sink, 0, "keep").unwrap());
    engine.run_until_idle();
    assert_eq!(
        log.take_texts(),
        ["error: May overload, message queue length = 1499"],
        "the mailbox was empty in between"
    );
}

#[test]
fn shutdown_goes_by_its_steps() {
    let engine = engine();
    let log = Probe::logger(&engine);
    let service = Obedient::default();
    let diary = Arc::clone(&service.diary);
    engine.spawn(service, ServiceOptions::default()).unwrap();
    let hooked = Arc::clone(&diary);
    engine.on_shutdown(move |engine| {
        assert!(matches!(
            engine.spawn(Obedient::default(), ServiceOptions::default()),
            Err(LaunchError::ShuttingDown)
        ));
        hooked.lock().unwrap().push("first hook");
    });
    let hooked = Arc::clone(&diary);
    engine.on_shutdown(move |_| hooked.lock().unwrap().push("second hook"));
    assert!(engine.shutdown(std::time::Duration::from_secs(60)));
    assert_eq!(
        *diary.lock().unwrap(),
        ["second hook", "first hook", "stop", "drop"]
    );
    assert_eq!(log.take_texts(), ["last words"], "the logger outlives the others");
    assert_eq!(engine.handles(), []);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let engine = Engine::builder().deterministic(seed).build().unwrap();
        let probe = Probe::spawn(&engine);
        let echoes = [(); 5].map(|()| {
            engine
                .spawn(Obedient::default(), ServiceOptions::default())
                .unwrap()
        });
        (1..=20).for_each(|session| {
            echoes
                .iter()
                .for_each(|echo| ask(&probe, *echo, session, "hi").unwrap())
        });
        engine.run_until_idle();
        got(&probe)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8), "five services have more than one order");
}

#[test]
fn names_go_with_their_service_however_it_is_addressed() {
    let engine = Engine::builder().deterministic(1).harbor(1).build().unwrap();
    let (probe, victim) = (Probe::spawn(&engine), Probe::spawn(&engine));
    let (full, short) = (victim.handle(), Handle::new(0, victim.handle().local()));
    assert!(engine.register_name("first", full));
    assert!(engine.register_name("second", short));
    assert_eq!(engine.names().query("second"), Some(full));
    probe.cx.kill(short);
    assert_eq!(engine.names().list(), []);
    assert!(!engine.register_name("late", full), "it is gone");
    assert_eq!(probe.cx.command("NAME", &format!(".late {full}")), None);
    assert_eq!(victim.cx.command("REG", ".late"), None);
    assert_eq!(engine.names().list(), []);
}

#[test]
fn nobody_is_launched_after_an_abort() {
    /// Would outlive everything.
    struct Hydra;
    impl Service for Hydra {
        fn receive(&mut self, _cx: &Context, _message: Message) {}
        fn stop(&mut self, cx: &Context) {
            let head = cx.engine().spawn(Hydra, ServiceOptions::default());
            assert!(matches!(head, Err(LaunchError::ShuttingDown)), "{head:?}");
        }
    }
    let engine = engine();
    let logger = Probe::logger(&engine);
    engine.spawn(Hydra, ServiceOptions::default()).unwrap();
    engine.abort();
    engine.run_until_idle();
    assert_eq!(engine.handles(), []);
    assert_eq!(logger.take_texts(), Vec::<String>::new(), "no panic");
}

#[test]
fn a_value_that_cannot_be_dropped_in_peace_ends_nobody() {
    struct Sore;
    impl Drop for Sore {
        fn drop(&mut self) {
            panic!("ouch");
        }
    }
    let engine = engine();
    let (logger, probe) = (Probe::logger(&engine), Probe::spawn(&engine));
    let victim = engine
        .spawn(Obedient::default(), ServiceOptions::default())
        .unwrap();
    probe.cx.send(victim, REQUEST, 0, Body::typed(Sore)).unwrap();
    ask(&probe, victim, 1, "hi").unwrap();
    engine.retire(victim);
    engine.run_until_idle();
    assert_eq!(got(&probe), [(MessageType::ERROR, 1, victim)]);
    assert_eq!(logger.take_texts(), ["last words", "error: panic: ouch"]);
    assert_eq!(engine.handles(), [logger.handle(), probe.handle()]);
}
