//! Limits, refusals, and memory that goes back to the system.

use std::thread;
use std::time::Duration;

use super::{assert_consistent, assert_empty, small_arena};
use crate::layout::MAX_RESERVE_BYTES;
use crate::{Arena, ArenaConfig, BufMut, LoanError, PAGE_BYTES, ReserveError, SEGMENT_BYTES};

fn limited(limit_bytes: usize) -> Arena {
    Arena::new(ArenaConfig {
        reserve_bytes: 64 << 20,
        limit_bytes,
    })
    .unwrap()
}

/// Loans until it is refused.
fn fill(arena: Arena, len: usize) -> (Vec<BufMut>, LoanError) {
    let mut held = Vec::new();
    loop {
        match arena.loan(len, 1) {
            Ok(buf) => held.push(buf),
            Err(error) => return (held, error),
        }
    }
}

#[test]
fn the_limit_is_reached_exactly_and_room_comes_back() {
    let limit = 20 * PAGE_BYTES;
    for len in [10, 900, 16_000, 50_000, 200_000] {
        let arena = limited(limit);
        for _ in 0..3 {
            let (mut held, error) = fill(arena, len);
            let expected_used = arena.stats().used_bytes as usize;
            let LoanError::Exhausted {
                requested_bytes,
                used_bytes,
                limit_bytes,
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!(
                (requested_bytes, used_bytes, limit_bytes),
                (len, expected_used, limit)
            );
            assert!(limit - used_bytes < len + 65 + PAGE_BYTES, "{len}: {used_bytes}");
            assert!(
                error.to_string().contains(&format!("{used_bytes} of {limit}")),
                "{error}"
            );
            assert_consistent(arena);
            held.pop();
            held.push(arena.loan(len, 1).unwrap());
            drop(held);
            assert_empty(arena);
        }
        assert!(arena.stats().high_water_bytes as usize <= limit);
    }
}

#[test]
fn cached_pages_count_and_give_way() {
    let arena = limited(40 * PAGE_BYTES);
    drop(arena.loan(30 * PAGE_BYTES, 1).unwrap());
    assert_eq!(arena.stats().cached_bytes as usize, 31 * PAGE_BYTES);
    let (small, _) = fill(arena, 100);
    let stats = arena.stats();
    assert_eq!(stats.used_bytes as usize, 40 * PAGE_BYTES);
    assert!(stats.committed_bytes <= stats.limit_bytes);
    drop(small);
    assert_empty(arena);
}

#[test]
fn pages_of_one_class_serve_another_when_nothing_else_is_left() {
    let arena = limited(PAGE_BYTES);
    drop(arena.loan(100, 1).unwrap());
    drop(arena.loan(5000, 1).unwrap());
    drop(arena.loan(300, 1).unwrap());
    assert_eq!(arena.stats().used_bytes as usize, PAGE_BYTES);
}

#[test]
fn a_limit_of_nothing_loans_nothing() {
    let arena = limited(0);
    assert!(matches!(
        arena.loan(0, 1),
        Err(LoanError::Exhausted { limit_bytes: 0, .. })
    ));
    assert!(matches!(
        arena.loan(1, 1),
        Err(LoanError::TooLarge { max_bytes: 0, .. })
    ));
}

#[test]
fn the_whole_reservation_can_be_used() {
    let arena = Arena::new(ArenaConfig {
        reserve_bytes: 2 * SEGMENT_BYTES,
        ..Default::default()
    })
    .unwrap();
    let (held, error) = fill(arena, PAGE_BYTES - 65);
    assert_eq!(held.len(), 127);
    assert!(matches!(error, LoanError::Exhausted { limit_bytes, .. } if limit_bytes == 2 * SEGMENT_BYTES));
    drop(held);
    // Fragments merge: the longest run is there again.
    drop(arena.loan(SEGMENT_BYTES - 65, 1).unwrap());
    assert_empty(arena);
}

#[test]
fn what_is_freed_stays_cached_up_to_a_bound_and_goes_with_a_trim() {
    let arena = small_arena();
    let mut big: Vec<BufMut> = (0..20).map(|_| arena.loan(8 << 20, 1).unwrap()).collect();
    big.iter_mut().for_each(|buf| buf.fill(1));
    let full = arena.stats();
    assert!(
        full.system_bytes >= 160 << 20 && full.live_bytes >= 160 << 20,
        "{full:?}"
    );
    drop(big);
    let freed = arena.stats();
    // Who comes back soon finds all of it, or nearly so where freeing it took long; then the surplus goes.
    assert_eq!(freed.used_bytes, 0);
    assert!(freed.cached_bytes > 100 << 20, "{freed:?}");
    // One second after another: in the first, the cache was small at its beginning.
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1100));
        drop(arena.loan(PAGE_BYTES, 1).unwrap());
        while arena.shrink() {}
    }
    let cached = arena.stats();
    let wanted = 2 * PAGE_BYTES as u64;
    assert!(
        (64 << 20..=(64 << 20) + wanted).contains(&cached.cached_bytes),
        "{cached:?}"
    );
    assert!(cached.system_bytes <= cached.cached_bytes);
    // Warm memory is loaned again.
    let warm = arena.loan(8 << 20, 1).unwrap();
    assert!(arena.stats().cached_bytes < cached.cached_bytes);
    drop(warm);
    arena.trim();
    let trimmed = arena.stats();
    assert_eq!((trimmed.cached_bytes, trimmed.system_bytes), (0, 0));
    assert_eq!(trimmed.high_water_bytes, full.used_bytes);
    assert_empty(arena);
}

#[test]
fn an_untouched_loan_takes_no_memory() {
    let arena = small_arena();
    let buf = arena.loan(100 << 20, 1).unwrap();
    assert!(arena.stats().system_bytes < 1 << 20);
    drop(buf);
    assert_empty(arena);
}

#[test]
fn a_reservation_beyond_what_positions_address_is_refused() {
    let beyond = Arena::new(ArenaConfig {
        reserve_bytes: MAX_RESERVE_BYTES + 1,
        ..Default::default()
    });
    assert!(matches!(
        beyond,
        Err(ReserveError::TooLarge {
            max_bytes: MAX_RESERVE_BYTES,
            ..
        })
    ));
    let granted = small_arena().stats();
    assert_eq!(
        (granted.requested_bytes, granted.reserved_bytes),
        (256 << 20, 256 << 20)
    );
}
