//! The life of a buffer on one thread.

use super::{assert_consistent, assert_empty, small_arena};
use crate::{Arena, BODY_OFFSET, BufMut, ConfigureError, LoanError, PAGE_BYTES, SEGMENT_BYTES};

/// Lengths around every edge: granules, classes, pages, segments.
const LENGTHS: [usize; 22] = [
    0, 1, 62, 63, 64, 127, 128, 448, 1000, 4031, 8191, 16_319, 16_320, 65_471, 65_472, 65_536, 131_007,
    131_008, 1_048_576, 4_194_239, 4_194_240, 9_000_000,
];

fn byte_after(buf: &BufMut) -> u8 {
    // SAFETY: a block has room for its body and one byte more.
    let after = unsafe { buf.body_ptr().add(buf.len()) };
    // SAFETY: as above.
    unsafe { after.read() }
}

#[test]
fn every_length_can_be_written_to_its_end_and_ends_in_a_zero() {
    let arena = small_arena();
    for len in LENGTHS {
        let mut buf = arena.loan(len, 1).unwrap();
        assert_eq!(buf.len(), len);
        assert!(buf.capacity() >= len);
        buf.fill(0xFF);
        assert!(buf.body_ptr().addr().get().is_multiple_of(BODY_OFFSET));
        assert_eq!(byte_after(&buf), 0, "{len}");
        let frozen = buf.freeze();
        assert!(frozen.is_whole_body());
        assert!(frozen.iter().all(|byte| *byte == 0xFF));
    }
    assert_empty(arena);
}

#[test]
fn two_buffers_never_share_a_byte() {
    let arena = small_arena();
    let mut all = Vec::new();
    for round in 0..3 {
        for (index, len) in LENGTHS.into_iter().chain(0..700).enumerate() {
            let mut buf = arena.loan(len, 1).unwrap();
            let mark = (index * 7 + round) as u8;
            buf.fill(mark);
            buf.envelope_mut().fill(u64::from(mark));
            all.push((mark, buf));
        }
        // Free every third, so that the next round reuses.
        let mut index = 0;
        all.retain(|_| {
            index += 1;
            index % 3 != 0
        });
    }
    assert_consistent(arena);
    for (mark, buf) in &all {
        assert!(buf.iter().all(|byte| byte == mark));
        assert_eq!(*buf.envelope(), [u64::from(*mark); 4]);
    }
    drop(all);
    assert_empty(arena);
}

#[test]
fn set_len_keeps_the_zero_and_stops_at_the_capacity() {
    let arena = small_arena();
    let mut buf = arena.loan(10, 1).unwrap();
    buf.fill(9);
    let capacity = buf.capacity();
    assert_eq!(capacity, 63);
    for len in [3, 0, capacity, 7] {
        buf.set_len(len);
        assert_eq!(buf.len(), len);
        assert_eq!(byte_after(&buf), 0, "{len}");
    }
    let beyond = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| buf.set_len(capacity + 1)));
    assert!(beyond.is_err());
    assert_eq!(buf.len(), 7);
}

#[test]
fn slices_share_the_block_and_keep_it() {
    let arena = small_arena();
    let mut buf = arena.loan(10, 1).unwrap();
    buf.copy_from_slice(b"0123456789");
    let whole = buf.freeze();
    let middle = whole.slice(2..=6);
    let last = middle.slice(4..);
    let none = whole.slice(10..);
    assert_eq!(
        (&middle[..], &last[..], &none[..]),
        (&b"23456"[..], &b"6"[..], &b""[..])
    );
    assert!(!middle.is_whole_body());
    assert!(whole.slice(..).is_whole_body());
    assert_eq!(arena.inspect(whole.body_ptr().as_ptr()).unwrap().references, 4);
    drop((whole, middle, none));
    assert_eq!(&last[..], b"6");
    assert_eq!(arena.stats().live_blocks, 1);
    drop(last);
    assert_empty(arena);
}

#[test]
#[should_panic(expected = "range 3..5 of a buffer of 4 bytes")]
fn a_slice_stays_inside() {
    let _ = small_arena().loan(4, 1).unwrap().freeze().slice(3..5);
}

#[test]
fn raw_pointers_carry_the_handle() {
    let arena = small_arena();
    let raw = arena.loan(5, 1).unwrap().into_raw();
    assert_eq!(arena.stats().live_blocks, 1);
    // SAFETY: from `into_raw`, once.
    let buf = unsafe { BufMut::from_raw(raw) };
    let shared = buf.freeze();
    let raw = shared.clone().slice(1..2).into_raw();
    drop(shared);
    // SAFETY: from `into_raw`, once.
    let again = unsafe { crate::Buf::from_raw(raw) };
    assert_eq!(again.len(), 5);
    drop(again);
    assert_empty(arena);
}

#[test]
fn handles_are_as_small_as_promised() {
    assert_eq!(size_of::<Option<BufMut>>(), 8);
    assert_eq!(size_of::<Option<crate::Buf>>(), 24);
    assert_eq!(size_of::<Arena>(), 8);
}

#[test]
fn owners_are_charged_and_recharged() {
    let arena = small_arena();
    let mut buf = arena.loan(1000, 5).unwrap();
    buf.set_owner(6);
    let other = arena.loan(10, 5).unwrap();
    assert_eq!(arena.bytes_by_owner(), [(6, 1280), (5, 128)]);
    assert_eq!((buf.owner(), other.freeze().owner()), (6, 5));
}

#[test]
fn the_process_arena_is_one() {
    let config = crate::ArenaConfig {
        reserve_bytes: 64 << 20,
        limit_bytes: 32 << 20,
    };
    assert_eq!(Arena::configure(config), Ok(()));
    let arena = Arena::process();
    assert_eq!(
        (arena.stats().reserved_bytes, arena.stats().limit_bytes),
        (64 << 20, 32 << 20)
    );
    assert_eq!(arena, Arena::process());
    assert_ne!(arena, small_arena());
    assert_eq!(Arena::configure(Default::default()), Err(ConfigureError::InUse));
    assert_eq!(&*arena.loan(0, 0).unwrap(), b"");
}

#[test]
fn the_longest_body_is_known() {
    let arena = Arena::new(crate::ArenaConfig {
        reserve_bytes: 3 * SEGMENT_BYTES,
        ..Default::default()
    })
    .unwrap();
    let error = arena.loan(usize::MAX, 0).unwrap_err();
    let LoanError::TooLarge {
        requested_bytes: usize::MAX,
        max_bytes,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        arena.loan(max_bytes + 1, 0).unwrap_err(),
        LoanError::TooLarge {
            requested_bytes: max_bytes + 1,
            max_bytes
        }
    );
    let longest = arena.loan(max_bytes, 0).unwrap();
    assert_eq!(longest.capacity(), max_bytes);
    assert_eq!(max_bytes, 2 * SEGMENT_BYTES - 65);
    drop(longest);
    assert_empty(arena);

    let single = Arena::new(crate::ArenaConfig {
        reserve_bytes: 1,
        ..Default::default()
    })
    .unwrap();
    assert_eq!(single.stats().reserved_bytes as usize, SEGMENT_BYTES);
    assert_eq!(
        single
            .loan(SEGMENT_BYTES - PAGE_BYTES - 65, 0)
            .unwrap()
            .capacity(),
        SEGMENT_BYTES - PAGE_BYTES - 65
    );
}

#[cfg(debug_assertions)]
#[test]
fn a_debug_build_overwrites_what_is_freed_and_knows_who_loaned() {
    let arena = small_arena();
    let mut buf = arena.loan(20, 1).unwrap();
    buf.fill(1);
    let line = line!() - 2;
    let sites = arena.call_sites();
    assert_eq!(
        (
            sites.len(),
            sites[0].location.line(),
            sites[0].blocks,
            sites[0].bytes
        ),
        (1, line, 1, 128)
    );
    assert!(sites[0].to_string().contains("buffers.rs"), "{}", sites[0]);
    let body = buf.body_ptr();
    drop(buf);
    // SAFETY: mapped for ever; nobody loans meanwhile. (An AddressSanitizer build forbids exactly this.)
    #[cfg(not(fulmar_asan))]
    assert_eq!(unsafe { body.read() }, crate::poison::FREED);
    let _ = body;
    assert!(arena.call_sites().is_empty());
}

#[test]
fn a_write_after_free_into_the_header_is_noticed_and_survived() {
    let arena = small_arena();
    let first = arena.loan(20, 1).unwrap();
    let header = first.block().header();
    drop(first);
    header.len.store(1 << 40, crate::sync::plain::Ordering::Relaxed);
    let loaned = std::panic::catch_unwind(|| arena.loan(20, 1));
    let message = *loaned.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("was written to"), "{message}");
    assert_eq!(arena.loan(20, 1).unwrap().len(), 20);
    assert_empty(arena);
}
