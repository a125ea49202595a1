//! Real threads: what readers see while writers commit, and what is left afterwards.

use std::sync::Arc;
use std::thread;

use fulmar_arena::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use fulmar_arena::{Arena, ArenaConfig, Buf};

use crate::{Snapshot, Writer};

fn arena() -> Arena {
    Arena::new(ArenaConfig {
        reserve_bytes: 64 << 20,
        ..Default::default()
    })
    .expect("64 MiB of address space")
}

/// Bytes that all say which version they are.
fn stamped(arena: Arena, number: u64) -> Buf {
    let mut draft = arena.loan(256, 1).expect("old versions are freed");
    for word in draft.chunks_exact_mut(8) {
        word.copy_from_slice(&number.to_le_bytes());
    }
    draft.freeze()
}

fn check(snapshot: &Snapshot<Buf>) -> u64 {
    let number = snapshot.version().number();
    for word in snapshot.chunks_exact(8) {
        assert_eq!(word, number.to_le_bytes());
    }
    number
}

#[test]
fn readers_see_whole_versions_in_order_and_old_ones_are_freed() {
    const COMMITS: u64 = 100_000;
    const READERS: usize = 4;
    let arena = arena();
    let writer = Writer::new(stamped(arena, 1));
    let most = AtomicUsize::new(0);
    thread::scope(|scope| {
        for index in 0..READERS {
            let mut reader = writer.copy();
            scope.spawn(move || {
                let mut last = 0;
                loop {
                    // Half of them rest between versions, the others ask all the time.
                    let number = if index % 2 == 0 {
                        let Ok(snapshot) = reader.wait() else { break };
                        check(snapshot)
                    } else {
                        if reader.is_closed() && !reader.has_new() {
                            break;
                        }
                        let Some(snapshot) = reader.update() else {
                            continue;
                        };
                        check(snapshot)
                    };
                    assert!(number > last, "{number} after {last}");
                    last = number;
                }
                assert_eq!(check(reader.latest()), COMMITS);
            });
        }
        for number in 2..=COMMITS {
            let version = writer.commit(stamped(arena, number));
            assert_eq!(version.number(), number);
            if number % 1000 == 0 {
                most.fetch_max(arena.stats().live_blocks as usize, Ordering::Relaxed);
            }
        }
        drop(writer);
    });
    // The newest, one in each reader's hands, and those on their way in and out.
    let most = most.into_inner();
    assert!(most <= 2 + 2 * READERS, "{most} versions at once");
    assert_eq!(arena.stats().live_blocks, 0);
}

#[test]
fn no_increment_of_several_writers_is_lost() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 5_000;
    let counter = Writer::new(0u64);
    let conflicts = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (counter, conflicts) = (counter.clone(), &conflicts);
            scope.spawn(move || {
                for _ in 0..EACH {
                    let mut seen = counter.snapshot();
                    while counter.commit_if(seen.version(), *seen + 1).is_err() {
                        conflicts.fetch_add(1, Ordering::Relaxed);
                        seen = counter.snapshot();
                    }
                }
            });
        }
    });
    let last = counter.snapshot();
    assert_eq!(*last, WRITERS * EACH);
    assert_eq!(last.version().number(), WRITERS * EACH + 1);
}

#[test]
fn a_reader_that_waits_misses_no_end() {
    for _ in 0..2_000 {
        let writer = Writer::new(0);
        let mut reader = writer.copy();
        let waiting = thread::spawn(move || {
            let mut last = 0;
            while let Ok(snapshot) = reader.wait() {
                last = **snapshot;
            }
            last
        });
        writer.commit(1);
        drop(writer);
        assert_eq!(waiting.join().unwrap(), 1);
    }
}

#[test]
fn wakers_that_come_and_go_are_all_accounted_for() {
    struct Bell(AtomicUsize);
    impl std::task::Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let writer = Writer::new(0);
    let bell = Arc::new(Bell(AtomicUsize::new(0)));
    let done = AtomicBool::new(false);
    let (left, withdrawn) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let waker = std::task::Waker::from(bell.clone());
                let mut reader = writer.copy();
                while !done.load(Ordering::Relaxed) {
                    let polled = reader.poll_update(&mut std::task::Context::from_waker(&waker));
                    if polled.is_pending() {
                        left.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                        if reader.forget_waker() {
                            withdrawn.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        for value in 0..50_000 {
            writer.commit(value);
        }
        done.store(true, Ordering::Relaxed);
    });
    let rings = bell.0.load(Ordering::Relaxed);
    let [left, withdrawn] = [left, withdrawn].map(AtomicUsize::into_inner);
    // A waker may ring although its reader saw the version itself, at its second look.
    assert!(
        rings + withdrawn >= left,
        "{left} left, {withdrawn} withdrawn, {rings} rings"
    );
    assert_eq!(Arc::strong_count(&bell), 1);
}
