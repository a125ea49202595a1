//! The text commands, against a running engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::probe::Probe;
use crate::{
    Clock, Context, Engine, Handle, Message, MessageType, Module, Service, ServiceOptions, SignalTarget,
    StartError,
};

fn engine() -> Engine {
    let env = BTreeMap::from([
        ("thread".to_owned(), "8".to_owned()),
        ("empty".to_owned(), String::new()),
    ]);
    Engine::builder()
        .harbor(0)
        .clock(Clock::manual(1_700_000_000))
        .env(env)
        .module("picky", Picky)
        .deterministic(1)
        .build()
        .expect("an engine")
}

/// Starts when its arguments are `a  b`.
struct Picky;

impl Module for Picky {
    fn create(&self) -> Box<dyn Service> {
        Box::new(Picky)
    }
}

impl Service for Picky {
    fn start(&mut self, _cx: &Context, args: &str) -> Result<(), StartError> {
        if args == "a  b" {
            Ok(())
        } else {
            Err(StartError::new(format!("`{args}`")))
        }
    }

    fn receive(&mut self, _cx: &Context, _message: Message) {}
}

/// An engine with a log and a service to give commands as.
fn probes() -> (Engine, Probe, Probe) {
    let engine = engine();
    let log = Probe::logger(&engine);
    let probe = Probe::spawn(&engine);
    engine.run_until_idle();
    log.take();
    (engine, log, probe)
}

fn hex(handle: Handle) -> String {
    format!(":{:x}", handle.bits())
}

#[test]
fn timeout_counts_sessions_and_answers_in_time() {
    let (engine, _, probe) = probes();
    let first: i32 = probe
        .cx
        .command("TIMEOUT", "5")
        .expect("a session")
        .parse()
        .expect("a number");
    assert_eq!(probe.cx.command("TIMEOUT", "3"), Some((first + 1).to_string()));
    assert_eq!(probe.cx.command("TIMEOUT", "0"), Some((first + 2).to_string()));
    assert_eq!(probe.cx.command("TIMEOUT", "-7"), Some((first + 3).to_string()));
    assert_eq!(probe.cx.command("TIMEOUT", "junk"), Some((first + 4).to_string()));
    let start_cs = engine.now_cs();
    engine.run_until_idle();
    let seen = probe.take();
    assert!(
        seen.iter()
            .all(|seen| seen.source == Handle::SYSTEM && seen.message_type == MessageType::RESPONSE)
    );
    let sessions: Vec<i32> = seen.iter().map(|seen| seen.session - first).collect();
    assert_eq!(sessions, [2, 3, 4, 1, 0]);
    assert_eq!(engine.now_cs(), start_cs + 5);
}

#[test]
fn names_are_first_come_and_go_with_their_owner() {
    let (engine, log, probe) = probes();
    let other = Probe::spawn(&engine);
    let own = hex(probe.handle());
    assert_eq!(probe.cx.command("REG", ""), Some(own.clone()));
    assert_eq!(probe.cx.command("REG", ".one"), Some("one".to_owned()));
    assert_eq!(probe.cx.command("REG", ".one"), None);
    assert_eq!(other.cx.command("REG", ".one"), None);
    assert_eq!(other.cx.command("QUERY", ".one"), Some(own.clone()));
    assert_eq!(
        other.cx.command("NAME", &format!(".two {own}")),
        Some("two".to_owned())
    );
    assert_eq!(
        other.cx.command("NAME", &format!(".two {}", hex(other.handle()))),
        None
    );
    assert_eq!(other.cx.command("QUERY", ".two"), Some(own.clone()));
    assert_eq!(probe.cx.command("NAME", ".free :0"), None);
    assert_eq!(probe.cx.command("NAME", ".free 8"), None);
    assert_eq!(probe.cx.command("NAME", ".free"), None);
    assert_eq!(probe.cx.command("QUERY", ".free"), None);
    assert_eq!(probe.cx.command("QUERY", "one"), None);
    assert_eq!(probe.cx.command("QUERY", &own), None);
    engine.run_until_idle();
    assert_eq!(log.take_texts(), Vec::<String>::new());

    assert_eq!(probe.cx.command("REG", "GLOBAL"), None);
    assert_eq!(probe.cx.command("NAME", &format!("GLOBAL {own}")), None);
    assert_eq!(probe.cx.command("EXIT", ""), None);
    assert_eq!(other.cx.command("QUERY", ".one"), None);
    assert_eq!(other.cx.command("REG", ".one"), Some("one".to_owned()));
    engine.run_until_idle();
    assert_eq!(
        log.take_texts(),
        [
            "error: Can't register global name GLOBAL in C",
            "error: Can't set global name GLOBAL in C",
            "KILL self"
        ]
    );
}

#[test]
fn kill_takes_addresses_and_names_and_says_so() {
    let (engine, log, probe) = probes();
    let (first, second) = (Probe::spawn(&engine), Probe::spawn(&engine));
    second.cx.command("REG", ".second");
    for target in [
        &*hex(first.handle()),
        ".second",
        ":ffff",
        ".nobody",
        ":0",
        "",
        "second",
    ] {
        assert_eq!(probe.cx.command("KILL", target), None);
    }
    engine.run_until_idle();
    for gone in [first.handle(), second.handle()] {
        assert!(
            probe
                .cx
                .send(gone, MessageType::TEXT, 0, crate::Body::Empty)
                .is_err()
        );
    }
    let log = log.take();
    assert!(log.iter().all(|line| line.source == probe.handle()));
    let texts: Vec<&str> = log.iter().map(|line| line.text()).collect();
    let kill = |handle: Handle| format!("KILL :{:x}", handle.bits());
    assert_eq!(
        texts,
        [
            &kill(first.handle()),
            &kill(second.handle()),
            "KILL :ffff",
            "error: Can't convert  to handle",
            "error: Can't convert second to handle"
        ]
    );
}

#[test]
fn launch_gives_eight_upper_case_digits() {
    let (engine, log, probe) = probes();
    let address = probe
        .cx
        .command("LAUNCH", "picky a  b\nand no more")
        .expect("it starts");
    let handle = Handle::parse(&address).expect("an address");
    assert_eq!(address, format!(":{:08X}", handle.bits()));
    assert_eq!(probe.cx.command("LAUNCH", "picky"), None);
    assert_eq!(probe.cx.command("LAUNCH", "picky\ta b"), None);
    assert_eq!(probe.cx.command("LAUNCH", "unknown"), None);
    assert_eq!(probe.cx.command("LAUNCH", ""), None);
    engine.run_until_idle();
    assert_eq!(
        log.take_texts(),
        [
            "LAUNCH picky a  b",
            "error: launch picky FAILED",
            "error: launch picky FAILED",
            "error: launch unknown FAILED: no module `unknown`",
            "error: launch  FAILED: no module ``",
        ]
    );
}

#[test]
fn the_environment_is_written_once() {
    let (engine, log, probe) = probes();
    assert_eq!(probe.cx.command("GETENV", "thread"), Some("8".to_owned()));
    assert_eq!(probe.cx.command("GETENV", "empty"), Some(String::new()));
    assert_eq!(probe.cx.command("GETENV", "missing"), None);
    assert_eq!(probe.cx.command("SETENV", "missing"), None);
    assert_eq!(probe.cx.command("GETENV", "missing"), None);
    assert_eq!(probe.cx.command("SETENV", "key  a value"), None);
    assert_eq!(probe.cx.command("GETENV", "key"), Some(" a value".to_owned()));
    engine.run_until_idle();
    assert_eq!(log.take_texts(), Vec::<String>::new());
    assert_eq!(probe.cx.command("SETENV", "thread 9"), None);
    assert_eq!(probe.cx.command("GETENV", "thread"), Some("8".to_owned()));
    engine.run_until_idle();
    assert_eq!(
        log.take_texts(),
        ["error: Can't change environment thread, it is set already"]
    );
}

#[test]
fn the_exit_monitor_is_told_who_goes() {
    let (engine, log, probe) = probes();
    let (monitor, first, second) = (
        Probe::spawn(&engine),
        Probe::spawn(&engine),
        Probe::spawn(&engine),
    );
    assert_eq!(probe.cx.command("MONITOR", ""), None);
    monitor.cx.command("REG", ".monitor");
    assert_eq!(probe.cx.command("MONITOR", ".monitor"), None);
    assert_eq!(probe.cx.command("MONITOR", ""), Some(hex(monitor.handle())));
    first.cx.command("EXIT", "");
    probe.cx.command("KILL", &hex(second.handle()));
    engine.run_until_idle();
    let seen: Vec<_> = monitor
        .take()
        .into_iter()
        .map(|seen| (seen.source, seen.message_type, seen.session))
        .collect();
    assert_eq!(
        seen,
        [
            (first.handle(), MessageType::CLIENT, 0),
            (second.handle(), MessageType::CLIENT, 0)
        ]
    );
    log.take();
    assert_eq!(probe.cx.command("MONITOR", "nobody"), None);
    assert_eq!(probe.cx.command("MONITOR", ""), None);
    engine.run_until_idle();
    assert_eq!(log.take_texts(), ["error: Can't convert nobody to handle"]);
}

#[test]
fn stat_answers_each_figure_and_empty_text_to_others() {
    let (engine, _, probe) = probes();
    let stat = |what: &str| probe.cx.command("STAT", what).expect("always a text");
    let before: u64 = stat("message").parse().expect("a number");
    assert_eq!(stat("mqlen"), "0");
    for _ in 0..3 {
        probe
            .cx
            .send(probe.handle(), MessageType::TEXT, 0, crate::Body::Empty)
            .expect("it is there");
    }
    assert_eq!(stat("mqlen"), "3");
    engine.run_until_idle();
    assert_eq!(stat("mqlen"), "0");
    assert_eq!(stat("message"), (before + 3).to_string());
    assert_eq!(stat("endless"), "0");
    let cpu = stat("cpu");
    assert!(
        cpu.split_once('.')
            .is_some_and(|(_, decimals)| decimals.len() == 6),
        "{cpu}"
    );
    assert_eq!(stat("nonsense"), "");
    assert_eq!(stat(""), "");
}

/// A service whose signals arrive in a list.
struct Signalled(Arc<Signals>);

#[derive(Default)]
struct Signals(Mutex<Vec<i32>>);

impl SignalTarget for Signals {
    fn signal(&self, _cx: &Context, number: i32) {
        self.0.lock().expect("no test panics with it").push(number);
    }
}

impl Service for Signalled {
    fn receive(&mut self, _cx: &Context, _message: Message) {}

    fn signal_target(&self) -> Option<Arc<dyn SignalTarget>> {
        Some(self.0.clone())
    }
}

#[test]
fn signals_arrive_in_the_callers_thread() {
    let (engine, log, probe) = probes();
    let signals = Arc::<Signals>::default();
    let target = engine
        .spawn(Signalled(signals.clone()), ServiceOptions::default())
        .expect("it starts");
    probe.cx.command("NAME", &format!(".target {}", hex(target)));
    for param in [
        &*hex(target),
        ".target",
        ".target 3",
        &format!("{} 0x10", hex(target)),
        ".nobody 5",
        ":ffff 6",
    ] {
        assert_eq!(probe.cx.command("SIGNAL", param), None);
    }
    assert_eq!(*signals.0.lock().expect("no test panics with it"), [0, 0, 3, 16]);
    engine.run_until_idle();
    log.take();
    assert_eq!(
        probe.cx.command("SIGNAL", &hex(probe.handle())),
        None,
        "a service without a target ignores signals"
    );
    assert_eq!(probe.cx.command("SIGNAL", "nobody 1"), None);
    engine.run_until_idle();
    assert_eq!(log.take_texts(), ["error: Can't convert nobody to handle"]);
}

#[test]
fn the_rest() {
    let (engine, _, probe) = probes();
    assert_eq!(probe.cx.command("STARTTIME", ""), Some("1700000000".to_owned()));
    assert_eq!(probe.cx.command("NO SUCH COMMAND", "x"), None);
    assert_eq!(probe.cx.command("timeout", "1"), None);
    assert_eq!(probe.cx.command("ABORT", ""), None);
    engine.run_until_idle();
    assert!(
        probe
            .cx
            .send(probe.handle(), MessageType::TEXT, 0, crate::Body::Empty)
            .is_err()
    );
}
