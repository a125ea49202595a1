//! The native harbor of a single node.

use super::probe::{Probe, Seen};
use crate::services::harbor::Harbor;
use crate::{Body, Engine, Handle, MessageType};

/// An engine whose node is 0, with a log, a slave, and the harbor that serves it.
struct Node {
    engine: Engine,
    log: Probe,
    slave: Probe,
    harbor: Handle,
}

fn node() -> Node {
    let engine = Engine::builder()
        .harbor(0)
        .deterministic(1)
        .module("harbor", Harbor)
        .build()
        .expect("an engine");
    let log = Probe::logger(&engine);
    let slave = Probe::spawn(&engine);
    let harbor = engine
        .launch("harbor", &format!("0 {}", slave.handle().bits()))
        .expect("the harbor starts");
    engine.run_until_idle();
    log.take();
    Node {
        engine,
        log,
        slave,
        harbor,
    }
}

impl Node {
    /// As cdummy does it: the name shall belong to `owner`.
    fn register(&self, name: &str, owner: &Probe) {
        let text = format!("N {name}");
        owner
            .cx
            .send(
                self.harbor,
                MessageType::HARBOR,
                0,
                owner.cx.bytes(text.as_bytes()).expect("there is room"),
            )
            .expect("the harbor is there");
    }

    fn send(&self, from: &Probe, name: &str, session: i32, text: &str) {
        from.cx
            .send_name(
                name,
                MessageType::LUA,
                session,
                from.cx.bytes(text.as_bytes()).expect("there is room"),
            )
            .expect("the harbor takes it");
    }
}

#[test]
fn a_message_to_another_node_is_dropped_and_answered() {
    let node = node();
    let sender = Probe::spawn(&node.engine);
    let far = Handle::new(5, 0xa);
    sender
        .cx
        .send(
            far,
            MessageType::LUA,
            7,
            sender.cx.bytes(b"12345678").expect("there is room"),
        )
        .expect("the harbor takes it");
    node.engine.run_until_idle();
    assert_eq!(
        sender.take(),
        [Seen {
            source: far,
            message_type: MessageType::ERROR,
            session: 7,
            bytes: Vec::new()
        }]
    );
    let log = node.log.take();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].source, node.harbor);
    let from = sender.handle().bits();
    assert_eq!(
        log[0].text(),
        format!("Drop message to harbor 5 from {from:x} to 500000a (session = 7, msgsz = 8)")
    );
}

#[test]
fn an_error_to_another_node_is_not_answered() {
    let node = node();
    let sender = Probe::spawn(&node.engine);
    sender
        .cx
        .send(Handle::new(5, 1), MessageType::ERROR, 7, Body::Empty)
        .expect("the harbor takes it");
    node.engine.run_until_idle();
    assert_eq!(sender.take(), []);
}

#[test]
fn messages_wait_for_their_name_in_order() {
    let node = node();
    let (sender, other, owner) = (
        Probe::spawn(&node.engine),
        Probe::spawn(&node.engine),
        Probe::spawn(&node.engine),
    );
    node.send(&sender, "STORE", 1, "first");
    node.engine.run_until_idle();
    node.send(&other, "STORE", 2, "second");
    node.engine.run_until_idle();
    node.send(&sender, "STORE", 3, "third");
    node.send(&sender, "OTHER", 4, "never");
    node.engine.run_until_idle();
    assert_eq!(owner.take(), []);
    assert_eq!(
        node.slave.take_texts(),
        ["Q STORE", "Q OTHER"],
        "each unknown name is asked for once"
    );

    node.register("STORE", &owner);
    node.engine.run_until_idle();
    let seen = owner.take();
    let expected = [
        (&sender, 1, "first"),
        (&other, 2, "second"),
        (&sender, 3, "third"),
    ];
    assert_eq!(seen.len(), expected.len());
    for (seen, (from, session, text)) in seen.iter().zip(expected) {
        assert_eq!(
            (seen.source, seen.session, seen.text()),
            (from.handle(), session, text)
        );
        assert_eq!(seen.message_type, MessageType::LUA);
    }

    node.send(&sender, "STORE", 5, "fourth");
    node.engine.run_until_idle();
    assert_eq!(owner.take_texts(), ["fourth"]);
    assert_eq!(node.slave.take_texts(), Vec::<String>::new());
}

#[test]
fn who_asks_a_name_whose_owner_is_gone_gets_an_error() {
    let node = node();
    let (sender, owner) = (Probe::spawn(&node.engine), Probe::spawn(&node.engine));
    node.register("STORE", &owner);
    node.engine.run_until_idle();
    let gone = owner.handle();
    owner.cx.exit();
    node.engine.run_until_idle();
    node.send(&sender, "STORE", 6, "anyone?");
    node.engine.run_until_idle();
    assert_eq!(
        sender.take(),
        [Seen {
            source: gone,
            message_type: MessageType::ERROR,
            session: 6,
            bytes: Vec::new()
        }]
    );
}

#[test]
fn what_still_waits_when_the_harbor_ends_is_answered() {
    let node = node();
    let sender = Probe::spawn(&node.engine);
    node.send(&sender, "STORE", 8, "hello?");
    node.engine.run_until_idle();
    sender.cx.kill(node.harbor);
    node.engine.run_until_idle();
    let seen = sender.take();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].message_type, seen[0].session), (MessageType::ERROR, 8));
}

#[test]
fn a_name_that_nobody_can_register_is_an_error_at_once() {
    let node = node();
    let sender = Probe::spawn(&node.engine);
    node.send(&sender, "sixteen bytes!!!", 9, "hello?");
    node.engine.run_until_idle();
    assert_eq!(
        sender.take(),
        [Seen {
            source: node.harbor,
            message_type: MessageType::ERROR,
            session: 9,
            bytes: Vec::new()
        }]
    );
    assert_eq!(node.log.take_texts(), ["Invalid global name sixteen bytes!!!"]);
    assert_eq!(node.slave.take(), [], "nobody is asked");
}

#[test]
fn bad_commands_are_logged_and_change_nothing() {
    let node = node();
    let owner = Probe::spawn(&node.engine);
    node.register("exactly15bytes!", &owner);
    node.register("sixteen bytes!!!", &owner);
    for text in ["N", "S 7 2", "A", "Z some args", "", "\u{fffd}"] {
        let body = owner.cx.bytes(text.as_bytes()).expect("there is room");
        owner
            .cx
            .send(node.harbor, MessageType::HARBOR, 0, body)
            .expect("the harbor is there");
    }
    node.engine.run_until_idle();
    assert_eq!(
        node.log.take_texts(),
        [
            "Invalid global name sixteen bytes!!!",
            "Invalid global name ",
            "Invalid command S 7 2",
            "Invalid command A ",
            "Unknown command Z some args",
            "Unknown command ",
            "Unknown command \u{fffd}",
        ]
    );
    node.send(&owner, "exactly15bytes!", 1, "it works");
    node.engine.run_until_idle();
    assert_eq!(owner.take_texts(), ["it works"]);
}

#[test]
fn it_does_not_start_without_its_arguments() {
    let node = node();
    for args in ["", "0", "x 4", "0 y", "300 4"] {
        assert!(node.engine.launch("harbor", args).is_err(), "{args:?}");
    }
}
