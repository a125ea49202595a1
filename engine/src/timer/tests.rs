//! The timer with a hand-moved clock, and with its thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::Timer;
use crate::clock::{Clock, NS_PER_MS};
use crate::handle::Handle;

/// What has expired: whose it is, its session, and the time in ms and cs that its service sees.
type Expired = (u32, i32, u64, u64);

struct Fixture {
    clock: Clock,
    timer: Timer,
    expired: Receiver<Expired>,
}

fn fixture(clock: Clock) -> Fixture {
    let (tell, expired) = channel();
    let seen_by = clock.clone();
    let expire = move |to: Handle, session| {
        // The test may have ended.
        let _ = tell.send((to.bits(), session, seen_by.now_ms(), seen_by.now_cs()));
    };
    let timer = Timer::new(clock.clone(), Arc::new(expire));
    Fixture {
        clock,
        timer,
        expired,
    }
}

impl Fixture {
    fn arm(&self, session: i32, delay_cs: u32) {
        self.timer.arm(Handle::from_bits(9), session, delay_cs);
    }

    /// Goes to `at_ms` and says what expires there.
    fn sessions_at(&self, at_ms: u64) -> Vec<i32> {
        self.clock.advance_to_ns(at_ms * NS_PER_MS);
        self.timer.poll();
        self.expired.try_iter().map(|(_, session, ..)| session).collect()
    }

    fn next(&self) -> Expired {
        self.expired.recv_timeout(PATIENCE).expect("the timer expires")
    }
}

#[test]
fn a_delay_counts_from_the_current_centisecond() {
    let fixture = fixture(Clock::manual(0));
    assert_eq!(fixture.sessions_at(1009), []);
    fixture.arm(1, 1); // at 100 cs: due at 101 cs, which is 1 ms away
    fixture.arm(2, 2);
    assert_eq!(fixture.timer.next_event_ns(), Some(1010 * NS_PER_MS));
    assert_eq!(fixture.sessions_at(1009), []);
    assert_eq!(fixture.sessions_at(1010), [1]);
    assert_eq!(fixture.sessions_at(1019), []);
    assert_eq!(fixture.sessions_at(1020), [2]);
    assert_eq!(fixture.timer.next_event_ns(), None);
}

#[test]
fn one_tick_expires_in_arming_order() {
    let fixture = fixture(Clock::manual(0));
    let mut armed = Vec::new();
    // All for 50 cs, armed at different distances, with others in between.
    for (session, at_cs) in (1..).zip([0u64, 0, 17, 40, 43, 49, 49]) {
        assert_eq!(fixture.sessions_at(at_cs * 10), []);
        fixture.arm(session, 50 - at_cs as u32);
        fixture.arm(100 + session, 60 - at_cs as u32);
        armed.push(session);
    }
    assert_eq!(fixture.sessions_at(500), armed);
    assert_eq!(
        fixture.sessions_at(600),
        armed.iter().map(|session| session + 100).collect::<Vec<_>>()
    );
}

#[test]
fn after_a_stall_everything_expires_by_deadline() {
    let fixture = fixture(Clock::manual(0));
    fixture.arm(1, 300);
    fixture.arm(2, 100);
    fixture.arm(3, 200);
    fixture.arm(4, 100);
    assert_eq!(fixture.sessions_at(1_000_000), [2, 4, 3, 1]);
}

#[test]
fn the_longest_delay_is_kept() {
    let fixture = fixture(Clock::manual(0));
    fixture.arm(1, i32::MAX as u32);
    fixture.arm(2, u32::MAX);
    assert_eq!(fixture.sessions_at(u64::from(i32::MAX as u32) * 10 - 1), []);
    assert_eq!(fixture.sessions_at(u64::from(i32::MAX as u32) * 10), [1]);
    assert_eq!(fixture.sessions_at(u64::from(u32::MAX) * 10), [2]);
}

#[test]
fn the_thread_wakes_for_an_earlier_deadline() {
    let fixture = fixture(Clock::system());
    fixture.timer.start().expect("a thread");
    fixture.arm(1, 360_000); // an hour
    for session in 2..50 {
        // Each time the thread is asleep, or about to be, until the hour is over.
        let armed_at_cs = fixture.clock.now_cs();
        fixture.arm(session, 1);
        let (_, expired, _, seen_cs) = fixture.next();
        assert_eq!(expired, session);
        assert!(
            seen_cs > armed_at_cs,
            "armed at {armed_at_cs} cs for 1 cs, seen at {seen_cs} cs"
        );
    }
    fixture.timer.stop();
    assert_eq!(fixture.expired.try_recv().ok(), None);
}

#[test]
fn many_threads_lose_nothing_and_nothing_is_early() {
    let fixture = fixture(Clock::system());
    fixture.timer.start().expect("a thread");
    let late_enough: Vec<(u32, HashMap<i32, u64>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|owner| {
                let fixture = &fixture;
                let (timer, clock) = (&fixture.timer, fixture.clock.clone());
                scope.spawn(move || {
                    let arm = |session: i32| {
                        let delay_cs = session as u32 * 7 % 5 + 1;
                        let due_ms = (clock.now_cs() + u64::from(delay_cs)) * 10;
                        timer.arm(Handle::from_bits(owner), session, delay_cs);
                        (session, due_ms)
                    };
                    (owner, (1..=PER_THREAD).map(arm).collect())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("arming does not panic"))
            .collect()
    });
    let mut due: HashMap<u32, HashMap<i32, u64>> = late_enough.into_iter().collect();
    for _ in 0..THREADS * PER_THREAD as u32 {
        let (owner, session, seen_ms, _) = fixture.next();
        let due_ms = due
            .get_mut(&owner)
            .expect("a known owner")
            .remove(&session)
            .expect("expires once");
        assert!(
            seen_ms >= due_ms,
            "{session} of {owner}: due at {due_ms} ms, seen at {seen_ms} ms"
        );
    }
    assert!(due.values().all(HashMap::is_empty));
}

#[test]
fn expiring_may_arm_again_and_stop_the_timer() {
    static ROUNDS: AtomicUsize = AtomicUsize::new(0);
    let (tell, told) = channel();
    let own: Arc<OnceLock<Weak<Timer>>> = Arc::default();
    let timer = Arc::new({
        let own = own.clone();
        Timer::new(
            Clock::system(),
            Arc::new(move |to, session| {
                let timer = own
                    .get()
                    .and_then(Weak::upgrade)
                    .expect("the test holds the timer");
                let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
                assert_eq!(
                    timer.next_event_ns(),
                    None,
                    "this one has left the wheel, whose lock is free"
                );
                if round < 3 {
                    timer.arm(to, session, 1);
                } else {
                    timer.stop();
                    let _ = tell.send(());
                }
            }),
        )
    });
    own.set(Arc::downgrade(&timer)).expect("set once");
    timer.start().expect("a thread");
    timer.arm(Handle::from_bits(1), 1, 1);
    told.recv_timeout(PATIENCE)
        .expect("the fourth expiry stops the timer");
    assert_eq!(ROUNDS.load(Ordering::Relaxed), 4);
}

/// Longer than any machine stalls; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const THREADS: u32 = 3;
const PER_THREAD: i32 = 2_000;
