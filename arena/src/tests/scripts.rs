//! Addresses that come from scripts: none is believed.

use std::sync::Barrier;
use std::thread;

use super::{assert_empty, small_arena};
use crate::{BODY_OFFSET, BlockState, BufMut, ClaimError, PAGE_BYTES, Scripts};

#[test]
fn a_script_block_is_its_owners_until_it_is_claimed() {
    let arena = small_arena();
    let mut buf = arena.loan(5, 7).unwrap();
    buf.copy_from_slice(b"lua!!");
    let (mut mine, mut others) = (Scripts::new(arena, 7), Scripts::new(arena, 8));
    let mut namesakes = Scripts::new(arena, 7);
    let address = mine.lend(buf).as_ptr();
    let info = arena.inspect(address).unwrap();
    assert_eq!(
        (info.state, info.owner, info.len, info.capacity, info.references),
        (BlockState::Script, 7, 5, 63, 1)
    );
    assert_eq!(mine.view(address), Ok(&b"lua!!"[..]));
    for (other, expected) in [(&mut others, 8), (&mut namesakes, 7)] {
        let refused = ClaimError::NotOwner { expected, found: 7 };
        assert_eq!(other.view(address), Err(refused));
        assert_eq!(other.claim(address).unwrap_err(), refused);
    }
    drop((others, namesakes));
    assert_eq!(mine.held(), 1);
    let buf = mine.claim(address).unwrap();
    assert_eq!((&*buf, mine.held()), (&b"lua!!"[..], 0));
    assert_eq!(
        mine.claim(address).unwrap_err(),
        ClaimError::NotScript {
            state: BlockState::Loaned
        }
    );
    let frozen = buf.freeze();
    assert_eq!(
        mine.claim(address).unwrap_err(),
        ClaimError::NotScript {
            state: BlockState::Frozen
        }
    );
    drop(frozen);
    assert_eq!(mine.claim(address).unwrap_err(), ClaimError::NotABlock);
    assert_empty(arena);
}

#[test]
fn no_forged_stale_foreign_or_interior_address_is_a_block() {
    let (arena, other) = (small_arena(), small_arena());
    let (mut mine, mut others) = (Scripts::new(arena, 7), Scripts::new(other, 7));
    let small: Vec<BufMut> = (0..40).map(|index| arena.loan(index * 90, 7).unwrap()).collect();
    let large = arena.loan(3 * PAGE_BYTES, 7).unwrap();
    let scripts: Vec<*const u8> = small
        .into_iter()
        .chain([large])
        .map(|buf| mine.lend(buf).as_ptr().cast_const())
        .collect();
    let on_heap = Box::new(0u64);
    let forged = [
        std::ptr::null(),
        std::ptr::without_provenance(1),
        std::ptr::without_provenance(usize::MAX),
        std::ptr::without_provenance(usize::MAX - 63),
        std::ptr::without_provenance(0xDEAD_BEEF_0000),
        std::ptr::from_ref(&*on_heap).cast(),
        others.lend(other.loan(5, 7).unwrap()).as_ptr(),
    ];
    for address in forged {
        assert_eq!(arena.inspect(address), None, "{address:?}");
        assert_eq!(mine.claim(address).unwrap_err(), ClaimError::NotABlock);
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
            assert!(mine.claim(address).is_err());
        }
    }
    let mut expected = scripts.clone();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(mine.held(), scripts.len());
    drop(mine);
    let mut next = Scripts::new(arena, 7);
    assert!(scripts.iter().all(|address| next.claim(*address).is_err()));
    assert_empty(arena);
    assert_eq!(others.held(), 1);
    drop(others);
    assert_empty(other);
}

#[test]
fn a_recycled_page_shows_no_block_of_its_former_use() {
    let arena = small_arena();
    let mut mine = Scripts::new(arena, 7);
    let lent = mine.lend(arena.loan(1, 7).unwrap()).as_ptr();
    // SAFETY: the header lies below the body.
    let header = unsafe { lent.sub(BODY_OFFSET) };
    // SAFETY: it begins with the word.
    let word = unsafe { header.cast::<[u8; 8]>().read() };
    drop(mine.claim(lent));
    let mut old = Vec::new();
    for _ in 0..300 {
        // Bodies full of what the header of a block looks like that is lent to these scripts.
        let mut buf = arena.loan(1900, 7).unwrap();
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
        assert!(mine.claim(address).is_err());
    }
    drop((mine, new));
    assert_empty(arena);
}

#[test]
fn what_many_threads_try_stays_with_whom_it_is_lent_to() {
    const THREADS: usize = 4;
    let arena = small_arena();
    let (barrier, mut mine) = (Barrier::new(THREADS), Scripts::new(arena, 7));
    let addresses: Vec<usize> = (0..500)
        .map(|_| mine.lend(arena.loan(30, 7).unwrap()).as_ptr().expose_provenance())
        .collect();
    thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(|| {
                let mut others = Scripts::new(arena, 7);
                barrier.wait();
                for address in &addresses {
                    assert!(others.claim(std::ptr::without_provenance(*address)).is_err());
                }
            });
        }
        barrier.wait();
        for address in &addresses {
            assert!(mine.claim(std::ptr::without_provenance(*address)).is_ok());
        }
    });
    assert_eq!(mine.held(), 0);
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
    // Two of them have the same owner.
    let mut scripts = [0, 1, 1].map(|owner| Scripts::new(arena, owner));
    for index in 0..100 {
        let mut buf = arena.loan(index * 300, 5).unwrap();
        buf.attach(arena.loan(2000, 9).unwrap().freeze()).unwrap();
        scripts[index % 3].lend(buf);
    }
    let kept = arena.loan(10, 1).unwrap();
    let [first, second, third] = scripts;
    let live = || arena.stats().live_blocks;
    let before = live();
    drop(second);
    assert_eq!(before - live(), 2 * 33);
    assert_eq!((first.held(), third.held(), kept.owner()), (34, 33, 1));
    drop((first, third));
    assert_eq!(live(), 1);
    drop(kept);
    assert_empty(arena);
}

#[test]
#[should_panic(expected = "scripts hold blocks of one arena")]
fn a_block_of_another_arena_is_not_lent() {
    let (arena, other) = (small_arena(), small_arena());
    Scripts::new(arena, 7).lend(other.loan(5, 7).unwrap());
}
