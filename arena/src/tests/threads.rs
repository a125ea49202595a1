//! Several threads, and what is left of them. The long ones are `#[ignore]`d.

use std::sync::mpsc;
use std::thread;

use super::{assert_consistent, assert_empty, small_arena};
use crate::{Arena, Buf, BufMut, PAGE_BYTES};

#[test]
fn a_flood_is_given_back_though_both_its_threads_sleep() {
    flood(60_000);
}

#[test]
#[ignore = "long: a million messages"]
fn a_million_message_flood_is_given_back_though_both_its_threads_sleep() {
    flood(1_000_000);
}

/// One thread loans, another frees, and both only sleep while the memory must come back.
fn flood(messages: usize) {
    let arena = small_arena();
    let (to_consumer, inbox) = mpsc::channel::<BufMut>();
    let (to_main, freed) = mpsc::channel::<u64>();
    let (stop_producer, producer_sleeps) = mpsc::channel::<()>();
    let (stop_consumer, consumer_sleeps) = mpsc::channel::<()>();
    let producer = thread::spawn(move || {
        for index in 0..messages {
            let mut buf = arena.loan(8 + index % 90, 1).unwrap();
            buf[..8].copy_from_slice(&(index as u64).to_ne_bytes());
            to_consumer.send(buf).unwrap();
        }
        drop(to_consumer);
        producer_sleeps.recv().unwrap_err();
    });
    let consumer = thread::spawn(move || {
        let all: Vec<BufMut> = inbox.into_iter().collect();
        let high = arena.stats();
        assert_eq!(high.live_blocks, messages as u64);
        for (index, buf) in all.into_iter().enumerate() {
            assert_eq!(buf[..8], (index as u64).to_ne_bytes());
        }
        to_main.send(high.used_bytes).unwrap();
        consumer_sleeps.recv().unwrap_err();
    });
    let high = freed.recv().unwrap();
    arena.trim();
    let low = arena.stats();
    // For each of the two classes: the page that the producer loans from, and the one of the consumer's last batch.
    assert!(low.used_bytes <= 4 * PAGE_BYTES as u64, "{low:?}");
    assert!(
        low.system_bytes <= low.used_bytes && low.cached_bytes == 0,
        "{low:?}"
    );
    assert!(low.used_bytes * 10 < high);
    drop((stop_producer, stop_consumer));
    producer.join().unwrap();
    consumer.join().unwrap();
    arena.trim();
    let end = arena.stats();
    assert_eq!((end.used_bytes, end.system_bytes), (0, 0), "{end:?}");
    assert_empty(arena);
}

#[test]
fn threads_that_end_leave_no_pages_behind() {
    let arena = small_arena();
    for _ in 0..50 {
        let kept = thread::spawn(move || {
            let bufs: Vec<BufMut> = (0..40).map(|index| arena.loan(index * 30, 2).unwrap()).collect();
            bufs
        });
        drop(kept.join().unwrap());
    }
    arena.trim();
    assert_eq!(arena.stats().used_bytes, 0);
    assert_empty(arena);
}

#[test]
fn loans_and_frees_work_while_a_thread_is_torn_down() {
    struct Late(Arena, Option<BufMut>);
    impl Drop for Late {
        fn drop(&mut self) {
            drop(self.1.take());
            let again = self.0.loan(30, 3).expect("a loan from a destructor");
            assert_eq!(again.len(), 30);
        }
    }
    thread_local! {
        static EARLY: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
    }
    let arena = small_arena();
    let torn_down = thread::spawn(move || {
        // Registered before the heap's own destructor or after it, depending on the platform's order; both must work.
        EARLY.with(|early| *early.borrow_mut() = Some(Late(arena, None)));
        EARLY.with(|early| early.borrow_mut().as_mut().unwrap().1 = Some(arena.loan(30, 3).unwrap()));
    });
    torn_down.join().unwrap();
    arena.trim();
    assert_eq!(arena.stats().used_bytes, 0);
    assert_empty(arena);
}

#[test]
fn two_arenas_in_one_thread_do_not_mix() {
    let (one, two) = (small_arena(), small_arena());
    let mut held = Vec::new();
    for index in 0..2000 {
        let arena = if index % 2 == 0 { one } else { two };
        held.push(arena.loan(index % 300, 1).unwrap());
        if index % 3 == 0 {
            held.swap_remove(index / 2 % held.len());
        }
    }
    let (a, b) = (one.stats().live_blocks, two.stats().live_blocks);
    assert_eq!((a + b) as usize, held.len());
    assert!(a > 100 && b > 100);
    drop(held);
    assert_empty(one);
    assert_empty(two);
}

#[test]
fn buffers_shared_among_threads_are_freed_once() {
    share(4, 2_000);
}

#[test]
#[ignore = "long"]
fn buffers_shared_among_threads_are_freed_once_for_long() {
    share(8, 200_000);
}

/// Every thread passes clones and slices on to the next and checks what it gets.
fn share(threads: usize, rounds: usize) {
    let arena = small_arena();
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::sync_channel::<Buf>(64)).unzip();
    let workers: Vec<_> = inboxes
        .into_iter()
        .enumerate()
        .map(|(me, inbox)| {
            let next = senders[(me + 1) % threads].clone();
            thread::spawn(move || {
                for round in 0..rounds {
                    let mut fresh = arena.loan(16 + round * 37 % 3000, me as u32).unwrap();
                    let mark = (me * 31 + round) as u8;
                    fresh.fill(mark);
                    let fresh = fresh.freeze();
                    let _ = next.try_send(fresh.slice(1..));
                    if let Ok(got) = inbox.try_recv() {
                        assert!(got.iter().all(|byte| *byte == got[0]));
                        if got.len() > 8 {
                            let _ = next.try_send(got.slice(4..));
                        }
                    }
                    assert!(fresh.iter().all(|byte| *byte == mark));
                }
                drop(next);
                inbox.into_iter().for_each(drop);
            })
        })
        .collect();
    drop(senders);
    for worker in workers {
        worker.join().unwrap();
    }
    assert_empty(arena);
    arena.trim();
    assert_eq!(arena.stats().used_bytes, 0);
}

#[test]
fn pages_are_reused_across_threads_while_one_trims() {
    churn(3, 20_000);
}

#[test]
#[ignore = "long"]
fn pages_are_reused_across_threads_while_one_trims_for_long() {
    churn(6, 2_000_000);
}

/// Threads loan, swap through a shared table, and free each other's blocks; one keeps trimming.
fn churn(threads: usize, rounds: usize) {
    use std::sync::Mutex;
    const SLOTS: usize = 3000;
    let arena = small_arena();
    let table: Vec<Mutex<Option<BufMut>>> = (0..SLOTS).map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        let table = &table;
        let swap = move |me: usize| {
            let mut seed = me as u64 + 1;
            for _ in 0..rounds {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let (slot, shape) = ((seed >> 33) as usize % SLOTS, seed >> 20 & 0x3FF);
                let len = if shape == 0 { 70_000 } else { shape as usize * 3 };
                let mut buf = arena.loan(len, me as u32).unwrap();
                let mark = slot as u8;
                buf.fill(mark);
                let old = table[slot].lock().unwrap().replace(buf);
                assert!(old.is_none_or(|old| old.iter().all(|byte| *byte == mark)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|me| scope.spawn(move || swap(me))).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            arena.trim();
            thread::yield_now();
        }
        // The scope alone does not wait for the destructors of a thread's locals, which give its pages up.
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    assert_consistent(arena);
    drop(table);
    assert_empty(arena);
    arena.trim();
    let end = arena.stats();
    assert_eq!(
        (end.used_bytes, end.cached_bytes, end.system_bytes),
        (0, 0, 0),
        "{end:?}"
    );
}
