//! Addresses that come from scripts: none is believed.

use std::sync::Barrier;
use std::thread;

use super::{assert_empty, small_arena};
use crate::{BODY_OFFSET, BlockState, BufMut, ClaimError, PAGE_BYTES};

#[test]
fn a_script_block_is_its_owners_until_it_is_claimed() {
    let arena = small_arena();
    let mut buf = arena.loan(5, 7).unwrap();
    buf.copy_from_slice(b"lua!!");
    let address = buf.into_script().as_ptr();
    let info = arena.inspect(address).unwrap();
    assert_eq!(
        (info.state, info.owner, info.len, info.capacity),
        (BlockState::Script, 7, 5, 63)
    );
    assert_eq!(
        arena.script_view(address, 7, <[u8]>::to_vec),
        Ok(b"lua!!".to_vec())
    );
    assert_eq!(
        arena.script_view(address, 8, |_| ()),
        Err(ClaimError::NotOwner {
            expected: 8,
            found: 7
        })
    );
    let nested = arena.script_view(address, 7, |_| arena.claim(address, 7).map(drop));
    assert_eq!(
        nested,
        Ok(Err(ClaimError::NotScript {
            state: BlockState::Loaned
        }))
    );
    let buf = arena.claim(address, 7).unwrap();
    assert_eq!(&*buf, b"lua!!");
    assert_eq!(
        arena.claim(address, 7).unwrap_err(),
        ClaimError::NotScript {
            state: BlockState::Loaned
        }
    );
    let frozen = buf.freeze();
    assert_eq!(
        arena.claim(address, 7).unwrap_err(),
        ClaimError::NotScript {
            state: BlockState::Frozen
        }
    );
    drop(frozen);
    assert_eq!(arena.claim(address, 7).unwrap_err(), ClaimError::NotABlock);
    assert_empty(arena);
}

#[test]
fn no_forged_stale_foreign_or_interior_address_is_a_block() {
    let (arena, other) = (small_arena(), small_arena());
    let small: Vec<BufMut> = (0..40).map(|index| arena.loan(index * 90, 7).unwrap()).collect();
    let large = arena.loan(3 * PAGE_BYTES, 7).unwrap();
    let scripts: Vec<*const u8> = small
        .into_iter()
        .chain([large])
        .map(|buf| buf.into_script().as_ptr().cast_const())
        .collect();
    let on_heap = Box::new(0u64);
    let forged = [
        std::ptr::null(),
        std::ptr::without_provenance(1),
        std::ptr::without_provenance(usize::MAX),
        std::ptr::without_provenance(usize::MAX - 63),
        std::ptr::without_provenance(0xDEAD_BEEF_0000),
        std::ptr::from_ref(&*on_heap).cast(),
        other.loan(5, 7).unwrap().into_script().as_ptr(),
    ];
    for address in forged {
        assert_eq!(arena.inspect(address), None, "{address:?}");
        assert_eq!(arena.claim(address, 7).unwrap_err(), ClaimError::NotABlock);
        // SAFETY: no frozen block is there.
        assert!(unsafe { arena.shared(address) }.is_none());
    }
    // Every address of the used pages and around: exactly the bodies are found.
    let low = scripts.iter().min().unwrap().wrapping_sub(2 * PAGE_BYTES);
    let mut found = Vec::new();
    for offset in 0..64 * PAGE_BYTES {
        let address = low.wrapping_add(offset);
        if arena.inspect(address).is_some() {
            found.push(address);
        } else if offset.is_multiple_of(16) {
            assert!(arena.claim(address, 7).is_err());
        }
    }
    let mut expected = scripts.clone();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(arena.release_owner(7), scripts.len());
    assert!(scripts.iter().all(|address| arena.claim(*address, 7).is_err()));
    assert_empty(arena);
    assert_eq!(other.release_owner(7), 1);
}

#[test]
fn a_recycled_page_shows_no_block_of_its_former_use() {
    let arena = small_arena();
    let mut old = Vec::new();
    for _ in 0..300 {
        // Bodies full of what a header of a script's block of owner 7 looks like.
        let mut buf = arena.loan(1900, 7).unwrap();
        let word = (7u64 << 32 | 2 << 30 | 1).to_ne_bytes();
        buf.chunks_exact_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&word));
        old.push(buf);
    }
    let mut addresses: Vec<*const u8> = old
        .iter()
        .map(|buf| buf.body_ptr().as_ptr().cast_const())
        .collect();
    drop(old);
    arena.flush_thread();
    // The same pages, now of another class, and used only in part.
    let new: Vec<BufMut> = (0..100).map(|_| arena.loan(100, 8).unwrap()).collect();
    let live: Vec<*const u8> = new
        .iter()
        .map(|buf| buf.body_ptr().as_ptr().cast_const())
        .collect();
    addresses.sort_unstable();
    let first = addresses[0].wrapping_sub(BODY_OFFSET);
    for granule in 0..20 * PAGE_BYTES / 64 {
        let address = first.wrapping_add(granule * 64);
        assert_eq!(arena.inspect(address).is_some(), live.contains(&address));
        assert!(arena.claim(address, 7).is_err());
    }
    assert_eq!(arena.release_owner(7), 0);
    drop(new);
    assert_empty(arena);
}

#[test]
fn of_many_threads_that_claim_one_gets_it() {
    const THREADS: usize = 4;
    let arena = small_arena();
    let barrier = Barrier::new(THREADS);
    let addresses: Vec<usize> = (0..500)
        .map(|_| {
            arena
                .loan(30, 7)
                .unwrap()
                .into_script()
                .as_ptr()
                .expose_provenance()
        })
        .collect();
    let claimed: usize = thread::scope(|scope| {
        let claimers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let claim = |address: &usize| arena.claim(std::ptr::without_provenance(*address), 7);
                    addresses.iter().filter_map(|address| claim(address).ok()).count()
                })
            })
            .collect();
        claimers.into_iter().map(|claimer| claimer.join().unwrap()).sum()
    });
    assert_eq!(claimed, addresses.len());
    assert_empty(arena);
}

#[test]
fn a_panic_while_viewing_frees_the_block() {
    let arena = small_arena();
    let address = arena.loan(5, 7).unwrap().into_script().as_ptr();
    let viewed = std::panic::catch_unwind(|| arena.script_view(address, 7, |_| panic!("in the view")));
    assert!(viewed.is_err());
    assert_eq!(arena.claim(address, 7).unwrap_err(), ClaimError::NotABlock);
    assert_empty(arena);
}

#[test]
fn a_frozen_block_is_shared_by_address() {
    let arena = small_arena();
    let buf = arena.loan(12, 7).unwrap().freeze();
    let address = buf.body_ptr().as_ptr();
    // SAFETY: `buf` holds a count.
    let again = unsafe { arena.shared(address) }.unwrap();
    drop(buf);
    assert_eq!(again.len(), 12);
    // SAFETY: nothing frozen starts there.
    assert!(unsafe { arena.shared(address.wrapping_add(64)) }.is_none());
    drop(again);
    assert_empty(arena);
}

#[test]
fn what_a_script_leaves_behind_is_freed_with_its_attachments() {
    let arena = small_arena();
    for index in 0..100u32 {
        let mut buf = arena.loan(index as usize * 300, index % 3).unwrap();
        buf.attach(arena.loan(2000, 9).unwrap().freeze()).unwrap();
        let _ = buf.into_script();
    }
    let kept = arena.loan(10, 1).unwrap();
    assert_eq!(arena.release_owner(1), 33);
    assert_eq!(arena.release_owner(1), 0);
    assert_eq!(kept.owner(), 1);
    assert_eq!(arena.release_owner(0) + arena.release_owner(2), 67);
    drop(kept);
    assert_empty(arena);
}
