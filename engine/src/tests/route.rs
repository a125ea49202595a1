//! Sends along a route, on a deterministic engine: they go where a look-up would lead.

use super::probe::Probe;
use crate::{Body, Engine, Handle, MailboxLimit, MessageType, Policy, Route, SendFailure, ServiceOptions};

const NOTE: MessageType = MessageType(20);

fn engine() -> Engine {
    Engine::builder().deterministic(1).build().expect("a sane engine")
}

fn send(from: &Probe, route: &mut Route, to: Handle, session: i32) -> Result<(), SendFailure> {
    from.cx
        .send_along(route, from.handle(), to, NOTE, session, Body::Empty)
        .map_err(|error| error.reason)
}

fn sessions(probe: &Probe) -> Vec<i32> {
    probe.take().iter().map(|seen| seen.session).collect()
}

#[test]
fn a_route_follows_its_sender() {
    let engine = engine();
    let [sender, one, two] = std::array::from_fn(|_| Probe::spawn(&engine));
    let mut route = Route::default();
    for (session, to) in [&one, &one, &one, &two, &one, &two, &two, &one]
        .iter()
        .enumerate()
    {
        send(&sender, &mut route, to.handle(), session as i32).unwrap();
    }
    engine.run_until_idle();
    assert_eq!(sessions(&one), [0, 1, 2, 4, 7]);
    assert_eq!(sessions(&two), [3, 5, 6]);
}

#[test]
fn a_route_does_not_lead_to_the_dead() {
    let engine = engine();
    let [sender, receiver] = std::array::from_fn(|_| Probe::spawn(&engine));
    let to = receiver.handle();
    let mut route = Route::default();
    (1..=3).for_each(|session| send(&sender, &mut route, to, session).unwrap());
    engine.run_until_idle();
    assert!(engine.retire(to));
    // Before and after its closing turn.
    assert_eq!(send(&sender, &mut route, to, 4), Err(SendFailure::Dead(to)));
    engine.run_until_idle();
    assert_eq!(send(&sender, &mut route, to, 5), Err(SendFailure::Dead(to)));
    assert_eq!(sessions(&receiver), [1, 2, 3]);
    assert_eq!(sessions(&sender), []);
}

#[test]
fn a_route_of_one_engine_is_none_of_another() {
    let engines = [engine(), engine()];
    let senders = engines.each_ref().map(Probe::spawn);
    let receivers = engines.each_ref().map(Probe::spawn);
    assert_eq!(receivers[0].handle(), receivers[1].handle());
    let mut route = Route::default();
    for session in 1..=3 {
        for (sender, receiver) in senders.iter().zip(&receivers) {
            send(sender, &mut route, receiver.handle(), session).unwrap();
        }
    }
    engines.iter().for_each(Engine::run_until_idle);
    for receiver in &receivers {
        assert_eq!(sessions(receiver), [1, 2, 3]);
    }
}

#[test]
fn a_route_to_a_full_mailbox_gives_the_message_back() {
    let engine = engine();
    let sender = Probe::spawn(&engine);
    let limit = MailboxLimit {
        capacity: 2,
        policy: Policy::Reject,
    };
    let receiver = Probe::spawn_with(&engine, ServiceOptions::default().mailbox(limit));
    let (to, mut route) = (receiver.handle(), Route::default());
    (1..=2).for_each(|session| send(&sender, &mut route, to, session).unwrap());
    assert!(matches!(
        send(&sender, &mut route, to, 3),
        Err(SendFailure::Full(..))
    ));
    engine.run_until_idle();
    assert_eq!(sessions(&receiver), [1, 2]);
}
