//! Links from block to block.

use super::{assert_empty, small_arena};
use crate::{AttachError, Buf, LoanError};

#[test]
fn many_attachments_come_back_in_order() {
    let arena = small_arena();
    let mut message = arena.loan(4, 1).unwrap();
    for index in 0..500u32 {
        let mut part = arena.loan(4, 1).unwrap();
        part.copy_from_slice(&index.to_ne_bytes());
        message.attach(part.freeze()).unwrap();
        assert_eq!(message.attachments().len(), index as usize + 1);
    }
    assert_eq!(message.attachment(321).unwrap()[..], 321u32.to_ne_bytes());
    assert!(message.attachment(500).is_none());
    let kept = message.attachment(77).unwrap().clone();
    let mut ordered = message.attachments().enumerate();
    assert!(ordered.all(|(index, part)| part[..] == (index as u32).to_ne_bytes()));
    drop(message);
    assert_eq!(kept[..], 77u32.to_ne_bytes());
    assert_eq!(arena.stats().live_blocks, 1);
    drop(kept);
    assert_empty(arena);
}

#[test]
fn attachments_can_be_taken_out_and_put_back() {
    let arena = small_arena();
    let mut message = arena.loan(0, 1).unwrap();
    (0..3).for_each(|len| message.attach(arena.loan(len, 1).unwrap().freeze()).unwrap());
    let parts = message.take_attachments();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(
        (message.attachments().len(), message.take_attachments().len()),
        (0, 0)
    );
    parts
        .into_iter()
        .rev()
        .for_each(|part| message.attach(part).unwrap());
    assert_eq!(
        message.attachments().map(|part| part.len()).collect::<Vec<_>>(),
        [2, 1, 0]
    );
    // Through a frozen message they can be read by many at once.
    let message = message.freeze();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let message = message.clone();
            std::thread::spawn(move || message.attachments().map(|part| part.len()).sum::<usize>())
        })
        .collect();
    drop(message);
    assert!(readers.into_iter().all(|reader| reader.join().unwrap() == 3));
    assert_empty(arena);
}

#[test]
fn a_long_chain_is_released_without_deep_recursion() {
    let arena = small_arena();
    let mut chain = arena.loan(1, 1).unwrap();
    for index in 0..200_000 {
        let link = chain.freeze();
        chain = arena.loan(1, 1).unwrap();
        if index % 1000 == 0 {
            // With a table now and then.
            chain.attach(link.clone()).unwrap();
        }
        chain.attach(link).unwrap();
    }
    let small_stack = std::thread::Builder::new().stack_size(64 << 10);
    small_stack.spawn(move || drop(chain)).unwrap().join().unwrap();
    assert_empty(arena);
}

#[test]
fn what_cannot_be_attached_comes_back() {
    let (arena, other) = (small_arena(), small_arena());
    let mut message = arena.loan(1, 1).unwrap();
    let part = arena.loan(10, 1).unwrap().freeze();
    let refused = message.attach(part.slice(2..5)).unwrap_err();
    assert!(matches!(refused, AttachError::Slice(_)));
    assert_eq!(refused.into_buf().len(), 3);
    let refused = message.attach(other.loan(7, 1).unwrap().freeze()).unwrap_err();
    assert!(matches!(refused, AttachError::ForeignArena(_)));
    assert_eq!(refused.into_buf().len(), 7);
    drop((message, part));
    assert_empty(arena);
    assert_empty(other);
}

#[test]
fn without_room_for_the_list_the_buffer_comes_back() {
    // One page, for the class of the messages; the list is of another class.
    let config = crate::ArenaConfig {
        reserve_bytes: 4 << 20,
        limit_bytes: 64 << 10,
    };
    let arena = crate::Arena::new(config).unwrap();
    let part = arena.loan(1000, 1).unwrap().freeze();
    let mut message = arena.loan(1000, 1).unwrap();
    message.attach(part.clone()).unwrap();
    let refused = message.attach(part.clone()).unwrap_err();
    let AttachError::Loan {
        buf,
        error: LoanError::Exhausted { .. },
    } = refused
    else {
        panic!("{refused}")
    };
    assert_eq!(message.attachments().len(), 1);
    assert_eq!(arena.inspect(part.body_ptr().as_ptr()).unwrap().references, 3);
    drop((buf, part, message));
    assert_empty(arena);
}

#[test]
fn the_same_buffer_can_hang_on_many_blocks() {
    let arena = small_arena();
    let shared = arena.loan(2000, 9).unwrap().freeze();
    let holders: Vec<Buf> = (0..50)
        .map(|_| {
            let mut holder = arena.loan(1, 1).unwrap();
            holder.attach(shared.clone()).unwrap();
            holder.freeze()
        })
        .collect();
    assert_eq!(arena.inspect(shared.body_ptr().as_ptr()).unwrap().references, 51);
    drop(shared);
    assert_eq!(holders[49].attachments().next().unwrap().owner(), 9);
    drop(holders);
    assert_empty(arena);
}
