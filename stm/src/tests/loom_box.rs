//! Models of a box, over a mock of arc-swap. A lost wake-up shows as a deadlock: the reader parks for ever. `ci/mutations`
//! requires them to fail under `stm_announce_relaxed`, `stm_no_commit_fence` and `stm_no_wait_fence`.

use fulmar_arena::sync::thread;

use crate::{Closed, Writer};

#[test]
fn an_announced_version_is_there() {
    loom::model(|| {
        let writer = Writer::new(1u64);
        let mut reader = writer.copy();
        let thread = thread::spawn(move || {
            writer.commit(2);
            writer.commit(3);
            writer
        });
        let mut last = 0;
        for _ in 0..3 {
            if let Some(snapshot) = reader.update() {
                assert!(**snapshot > last, "{} after {last}", **snapshot);
                assert_eq!(snapshot.version().number(), **snapshot);
                last = **snapshot;
            }
        }
        let writer = thread.join().unwrap();
        assert_eq!(**reader.latest(), 3);
        assert!(reader.update().is_none());
        drop(writer);
    });
}

#[test]
fn of_two_writers_who_expect_the_same_version_one_commits() {
    loom::model(|| {
        let writer = Writer::new(0u64);
        let seen = writer.snapshot().version();
        let other = {
            let writer = writer.clone();
            thread::spawn(move || writer.commit_if(seen, 1).is_ok())
        };
        let mine = writer.commit_if(seen, 2).is_ok();
        let others = other.join().unwrap();
        assert!(mine ^ others);
        assert_eq!(*writer.snapshot(), if mine { 2 } else { 1 });
    });
}

#[test]
fn a_commit_reaches_a_reader_that_is_about_to_wait() {
    loom::model(|| {
        let writer = Writer::new(1u64);
        let mut reader = writer.copy();
        reader.latest();
        let thread = thread::spawn(move || {
            writer.commit(2);
            writer
        });
        assert_eq!(**reader.wait().unwrap(), 2);
        drop(thread.join().unwrap());
    });
}

#[test]
fn the_end_of_the_writers_reaches_a_reader_that_is_about_to_wait() {
    loom::model(|| {
        let writer = Writer::new(1u64);
        let mut reader = writer.copy();
        reader.latest();
        let thread = thread::spawn(move || drop(writer));
        assert_eq!(reader.wait().unwrap_err(), Closed);
        thread.join().unwrap();
    });
}

#[test]
fn the_last_version_is_there_before_the_box_is_closed() {
    loom::model(|| {
        let writer = Writer::new(1u64);
        let mut reader = writer.copy();
        reader.latest();
        let thread = thread::spawn(move || {
            writer.commit(2);
        });
        if reader.is_closed() {
            assert_eq!(**reader.latest(), 2);
        }
        thread.join().unwrap();
    });
}
