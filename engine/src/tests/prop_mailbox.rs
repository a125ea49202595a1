//! The message queue against a `VecDeque`, the bounded one against its rules, and the overload watch against a plain restatement.

use std::collections::VecDeque;

use fulmar_arena::Arena;
use proptest::prelude::*;

use crate::mailbox::{
    Bounded, Mailbox, MailboxLimit, MessageHead, MessageQueue, Overload, Policy, Popped, Pushed,
};
use crate::{Body, Handle, Message, MessageType};

const REQUEST: MessageType = MessageType(20);

fn message(session: i32, message_type: MessageType) -> Message {
    Message::new(
        Arena::process(),
        Handle::new(0, 1),
        session,
        message_type,
        Body::Empty,
    )
    .expect("the arena has room")
}

fn session_of(popped: Popped<Message>) -> Option<i32> {
    match popped {
        Popped::Node(message) => Some(message.session()),
        Popped::Empty => None,
        Popped::Busy => panic!("nobody else pushes"),
    }
}

proptest! {
    #[test]
    fn the_queue_is_first_in_first_out(pushes in prop::collection::vec(prop::option::weighted(0.6, 1..i32::MAX), 0..200)) {
        let (queue, mut head, mut model) = (MessageQueue::new(), MessageHead::new(), VecDeque::new());
        for push in pushes {
            match push {
                Some(session) => {
                    queue.push(message(session, REQUEST));
                    model.push_back(session);
                }
                // SAFETY: this thread is the only consumer.
                None => prop_assert_eq!(session_of(unsafe { queue.pop(&mut head) }), model.pop_front()),
            }
        }
        // SAFETY: as above.
        while let Some(session) = session_of(unsafe { queue.pop(&mut head) }) {
            prop_assert_eq!(Some(session), model.pop_front());
        }
        prop_assert!(model.is_empty());
    }

    #[test]
    fn a_bounded_mailbox_keeps_its_rules(
        capacity in 1usize..6,
        policy in prop::sample::select(vec![Policy::Reject, Policy::DropOldest, Policy::DropNewest, Policy::Block]),
        steps in prop::collection::vec((0u8..3, 1..i32::MAX), 0..100),
    ) {
        let (mailbox, mut head) = (Mailbox::new(), MessageHead::new());
        let bounded = Bounded::new(MailboxLimit { capacity, policy });
        let bounded = Some(&bounded);
        let mut model: VecDeque<(i32, bool)> = VecDeque::new();
        let mut added = 0;
        for (step, session) in steps {
            if step == 0 {
                // SAFETY: this thread holds the turn of a starting service.
                let popped = session_of(unsafe { mailbox.pop(bounded, &mut head) });
                prop_assert_eq!(popped, model.pop_front().map(|(session, _)| session));
                continue;
            }
            let reply = step == 1;
            let pushed = mailbox.push(bounded, message(session, if reply { MessageType::RESPONSE } else { REQUEST }));
            if model.len() < capacity || reply {
                prop_assert!(matches!(pushed, Pushed::In(_)));
                model.push_back((session, reply));
                added += 1;
                continue;
            }
            let oldest = model.iter().position(|(_, reply)| !reply);
            match (policy, pushed) {
                (Policy::Reject | Policy::Block, Pushed::Full(back)) => prop_assert_eq!(back.session(), session),
                (Policy::DropNewest, Pushed::Dropped(out)) => prop_assert_eq!(out.session(), session),
                (Policy::DropOldest, Pushed::Dropped(out)) => match oldest.and_then(|index| model.remove(index)) {
                    Some((oldest, _)) => {
                        prop_assert_eq!(out.session(), oldest);
                        model.push_back((session, false));
                    }
                    None => prop_assert_eq!(out.session(), session),
                },
                _ => prop_assert!(false, "{:?} did something else", policy),
            }
        }
        // One for the start; a message that replaced another took over its unit.
        prop_assert_eq!(mailbox.state.snapshot().units, 1 + added);
    }

    #[test]
    fn overload_is_reported_once_per_doubling(lengths in prop::collection::vec(0u64..100_000, 0..50)) {
        let (mut overload, mut threshold) = (Overload::new(), 1024);
        for waiting in lengths {
            let expected = (waiting > threshold).then_some(waiting);
            while threshold < waiting {
                threshold *= 2;
            }
            prop_assert_eq!(overload.observe(waiting), expected);
            if waiting == 0 {
                overload.reset();
                threshold = 1024;
            }
        }
    }
}
