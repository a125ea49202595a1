//! What a box does on one thread.

use std::cell::Cell;
use std::rc::Rc;

use crate::{Conflict, Writer};

/// Counts how often values are dropped.
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn the_first_update_gives_the_version_that_is_there() {
    let writer = Writer::new("a");
    let mut reader = writer.copy();
    assert!(reader.snapshot().is_none());
    assert!(reader.has_new());
    assert_eq!(reader.update().map(|snapshot| **snapshot), Some("a"));
    assert!(reader.update().is_none());
    assert_eq!(reader.snapshot().map(|snapshot| **snapshot), Some("a"));
}

#[test]
fn of_several_commits_a_reader_sees_the_last() {
    let writer = Writer::new(0);
    let mut reader = writer.copy();
    reader.latest();
    for value in 1..=50 {
        writer.commit(value);
    }
    let snapshot = reader.update().unwrap();
    assert_eq!((**snapshot, snapshot.version().number()), (50, 51));
    assert!(reader.update().is_none());
}

#[test]
fn a_snapshot_stays_what_it_is() {
    let writer = Writer::new(String::from("old"));
    let mut reader = writer.copy();
    let old = reader.latest().clone();
    writer.commit("new".to_owned());
    assert_eq!(*old, "old");
    assert_eq!(**reader.snapshot().unwrap(), "old");
    assert_eq!(**reader.latest(), "new");
    assert!(old.version() < reader.latest().version());
}

#[test]
fn a_clone_moves_on_by_itself() {
    let writer = Writer::new(1);
    let mut one = writer.copy();
    one.latest();
    let mut two = one.clone();
    assert!(two.update().is_none(), "it holds what the first one held");
    writer.commit(2);
    assert!(one.update().is_some());
    assert!(two.update().is_some());
}

#[test]
fn a_version_is_freed_when_the_last_reader_moves_on() {
    let drops = Rc::new(Cell::new(0));
    let writer = Writer::new(Counted(drops.clone()));
    let mut one = writer.copy();
    let mut two = writer.copy();
    one.latest();
    two.latest();
    writer.commit(Counted(drops.clone()));
    one.latest();
    assert_eq!(drops.get(), 0);
    two.latest();
    assert_eq!(drops.get(), 1);
    writer.commit(Counted(drops.clone()));
    writer.commit(Counted(drops.clone()));
    assert_eq!(drops.get(), 2, "nobody took the third");
    drop((one, two));
    assert_eq!(drops.get(), 3);
    drop(writer);
    assert_eq!(drops.get(), 4);
}

#[test]
fn a_reader_that_takes_nothing_keeps_nothing() {
    let drops = Rc::new(Cell::new(0));
    let writer = Writer::new(Counted(drops.clone()));
    let _readers = [writer.copy(), writer.copy()];
    writer.commit(Counted(drops.clone()));
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_late_commit_gets_its_value_back() {
    let writer = Writer::new(1);
    let first = writer.snapshot().version();
    let second = writer.commit_if(first, 2).unwrap();
    let conflict = writer.commit_if(first, 3).unwrap_err();
    assert_eq!(
        conflict,
        Conflict {
            value: 3,
            expected: first,
            found: second
        }
    );
    assert_eq!(conflict.to_string(), "the newest version is 2, not 1");
    assert_eq!(*writer.snapshot(), 2);
}

#[test]
fn readers_outlive_their_writers() {
    let writer = Writer::new(1);
    let other = writer.clone();
    let mut reader = writer.copy();
    drop(writer);
    assert!(!reader.is_closed(), "there is another one");
    other.commit(2);
    drop(other);
    assert!(reader.is_closed());
    assert_eq!(reader.update().map(|snapshot| **snapshot), Some(2));
    assert!(reader.update().is_none());
    assert_eq!(**reader.latest(), 2);
}

#[test]
fn a_writer_that_dies_while_it_builds_publishes_nothing() {
    let writer = Writer::new(vec![1]);
    let mut reader = writer.copy();
    reader.latest();
    let died = std::thread::spawn(move || {
        let build = || -> Vec<i32> { panic!("half-way") };
        writer.commit(build());
    });
    assert!(died.join().is_err());
    assert!(reader.is_closed());
    assert!(reader.update().is_none());
    assert_eq!(**reader.snapshot().unwrap(), [1]);
}

#[test]
fn a_value_may_use_its_box_when_it_is_dropped() {
    struct Nosy(Option<Writer<Nosy>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            if let Some(writer) = self.0.take() {
                writer.commit(Nosy(None));
            }
        }
    }
    let writer = Writer::new(Nosy(None));
    writer.commit(Nosy(Some(writer.clone())));
    writer.commit(Nosy(None));
    assert_eq!(writer.snapshot().version().number(), 4);
}
