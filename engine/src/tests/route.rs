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
    let mut found = 0;
    let stretches = [(&one, 8), (&two, 1), (&one, 1), (&two, 8), (&one, 2)];
    let receivers = stretches
        .into_iter()
        .flat_map(|(to, sends)| std::iter::repeat_n(to, sends));
    for (session, to) in (1..).zip(receivers) {
        found += u32::from(route.to(&engine, to.handle()).is_some());
        send(&sender, &mut route, to.handle(), session).unwrap();
    }
    assert_eq!(
        found,
        3 + 1 + 3,
        "from the sixth send in a row, and behind a short stretch to another"
    );
    engine.run_until_idle();
    assert_eq!(sessions(&one), [1, 2, 3, 4, 5, 6, 7, 8, 10, 19, 20]);
    assert_eq!(sessions(&two), [9, 11, 12, 13, 14, 15, 16, 17, 18]);
}

#[test]
fn a_route_does_not_lead_to_the_dead() {
    let engine = engine();
    let [sender, receiver] = std::array::from_fn(|_| Probe::spawn(&engine));
    let to = receiver.handle();
    let mut route = Route::default();
    (1..=8).for_each(|session| send(&sender, &mut route, to, session).unwrap());
    engine.run_until_idle();
    assert!(engine.retire(to));
    // Before and after its closing turn.
    assert_eq!(send(&sender, &mut route, to, 9), Err(SendFailure::Dead(to)));
    engine.run_until_idle();
    assert_eq!(send(&sender, &mut route, to, 10), Err(SendFailure::Dead(to)));
    assert_eq!(sessions(&receiver), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(sessions(&sender), []);
}

#[test]
fn a_route_of_one_engine_is_none_of_another() {
    let engines = [engine(), engine()];
    let senders = engines.each_ref().map(Probe::spawn);
    let receivers = engines.each_ref().map(Probe::spawn);
    assert_eq!(receivers[0].handle(), receivers[1].handle());
    let mut route = Route::default();
    for session in 1..=8 {
        for (sender, receiver) in senders.iter().zip(&receivers) {
            send(sender, &mut route, receiver.handle(), session).unwrap();
        }
    }
    engines.iter().for_each(Engine::run_until_idle);
    for receiver in &receivers {
        assert_eq!(sessions(receiver), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn a_route_to_a_full_mailbox_gives_the_message_back() {
    let engine = engine();
    let sender = Probe::spawn(&engine);
    let limit = MailboxLimit {
        capacity: 8,
        policy: Policy::Reject,
    };
    let receiver = Probe::spawn_with(&engine, ServiceOptions::default().mailbox(limit));
    let (to, mut route) = (receiver.handle(), Route::default());
    (1..=8).for_each(|session| send(&sender, &mut route, to, session).unwrap());
    assert!(matches!(
        send(&sender, &mut route, to, 9),
        Err(SendFailure::Full(..))
    ));
    engine.run_until_idle();
    assert_eq!(sessions(&receiver), [1, 2, 3, 4, 5, 6, 7, 8]);
}
