//! Waiting for the next version: wakers, time limits, ends.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use fulmar_arena::sync::atomic::{AtomicUsize, Ordering};

use crate::{Closed, Reader, WaitError, Writer};

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether the reader had nothing and left this bell.
    fn is_left(self: &Arc<Self>, reader: &mut Reader<i32>) -> bool {
        let waker = Waker::from(self.clone());
        reader.poll_update(&mut Context::from_waker(&waker)).is_pending()
    }
}

#[test]
fn a_waker_is_woken_once() {
    let writer = Writer::new(1);
    let mut reader = writer.copy();
    let bell = Arc::new(Bell::default());
    assert!(!bell.is_left(&mut reader), "the first version is new");
    assert!(bell.is_left(&mut reader));
    writer.commit(2);
    writer.commit(3);
    assert_eq!(bell.rings(), 1);
    assert_eq!(reader.update().map(|snapshot| **snapshot), Some(3));
}

#[test]
fn the_last_waker_counts() {
    let writer = Writer::new(1);
    let mut reader = writer.copy();
    reader.latest();
    let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
    assert!(bells.iter().all(|bell| bell.is_left(&mut reader)));
    writer.commit(2);
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [0, 1]);
}

#[test]
fn a_waker_can_be_taken_back() {
    let writer = Writer::new(1);
    let mut reader = writer.copy();
    reader.latest();
    let bell = Arc::new(Bell::default());
    assert!(!reader.forget_waker());
    assert!(bell.is_left(&mut reader));
    assert!(reader.forget_waker());
    writer.commit(2);
    assert_eq!(bell.rings(), 0);
    reader.latest();
    assert!(bell.is_left(&mut reader));
    writer.commit(3);
    assert!(!reader.forget_waker(), "it has been woken");
}

#[test]
fn readers_that_go_leave_no_waker() {
    let writer = Writer::new(1);
    let bell = Arc::new(Bell::default());
    let mut readers: Vec<_> = (0..100).map(|_| writer.copy()).collect();
    for reader in &mut readers {
        reader.latest();
        assert!(bell.is_left(reader));
    }
    assert_eq!(Arc::strong_count(&bell), 101);
    readers.truncate(10);
    assert_eq!(Arc::strong_count(&bell), 11);
    writer.commit(2);
    assert_eq!(bell.rings(), 10);
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[test]
fn the_end_of_the_writers_wakes_and_is_told_every_time() {
    let writer = Writer::new(1);
    let mut reader = writer.copy();
    reader.latest();
    let bell = Arc::new(Bell::default());
    assert!(bell.is_left(&mut reader));
    drop(writer);
    assert_eq!(bell.rings(), 1);
    for _ in 0..2 {
        let waker = Waker::from(bell.clone());
        let polled = reader.poll_update(&mut Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Ready(Err(Closed))));
        assert_eq!(reader.wait().unwrap_err(), Closed);
    }
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[test]
fn a_closed_box_still_gives_its_last_version() {
    let writer = Writer::new(1);
    let mut reader = writer.copy();
    drop(writer);
    assert_eq!(reader.wait().map(|snapshot| **snapshot), Ok(1));
    assert_eq!(
        reader.wait_timeout(Duration::MAX).unwrap_err(),
        WaitError::Closed(Closed)
    );
}

#[test]
fn a_time_limit_ends_a_wait() {
    let writer = Writer::new(1);
    let mut reader = writer.copy();
    reader.latest();
    let begin = Instant::now();
    let limit = Duration::from_millis(20);
    assert_eq!(reader.wait_timeout(limit).unwrap_err(), WaitError::TimedOut);
    assert!(begin.elapsed() >= limit);
    assert_eq!(
        reader.wait_timeout(Duration::ZERO).unwrap_err(),
        WaitError::TimedOut
    );
    writer.commit(2);
    assert_eq!(
        reader.wait_timeout(Duration::ZERO).map(|snapshot| **snapshot),
        Ok(2)
    );
}
