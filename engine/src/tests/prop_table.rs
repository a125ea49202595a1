//! The handle table against a `HashMap`.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_epoch as epoch;
use proptest::prelude::*;

use crate::Handle;
use crate::handle::{Entry, Table};

struct Stub(Handle);

impl Entry for Stub {
    fn handle(&self) -> Handle {
        self.0
    }
}

/// Takes an entry out and gives its count up.
fn remove(table: &Table<Stub>, handle: Handle) -> Option<Handle> {
    let stub = table.remove(handle)?;
    // SAFETY: the count that the table hands over; no other thread reads.
    Some(unsafe { Arc::from_raw(stub.as_ptr()) }.0)
}

proptest! {
    #[test]
    fn it_holds_what_a_map_holds(steps in prop::collection::vec((prop::bool::weighted(0.7), 0usize..1000), 0..600)) {
        let table = Table::new(3);
        let (mut model, mut last) = (HashMap::new(), 0);
        for (insert, index) in steps {
            let guard = epoch::pin();
            if insert {
                let stub = table.insert(&guard, |handle| Arc::new(Stub(handle))).expect("there is room");
                prop_assert!(stub.0.local() > last, "{} after {last}: no number comes again", stub.0);
                last = stub.0.local();
                prop_assert!(model.insert(stub.0, Arc::downgrade(&stub)).is_none());
            } else if !model.is_empty() {
                let handle = *model.keys().nth(index % model.len()).expect("within the length");
                prop_assert_eq!(remove(&table, handle), Some(handle));
                prop_assert_eq!(remove(&table, handle), None);
                let stub = model.remove(&handle).expect("it was there");
                prop_assert!(stub.upgrade().is_none(), "the table keeps a count");
            }
            for local in 0..=last + 1 {
                let handle = Handle::new(3, local);
                let found = table.lookup(handle, &guard).map(|stub| stub.0);
                prop_assert_eq!(found, model.contains_key(&handle).then_some(handle));
                let unqualified = table.lookup(Handle::new(0, local), &guard).map(|stub| stub.0);
                prop_assert_eq!(unqualified, found);
                prop_assert!(table.lookup(Handle::new(4, local), &guard).is_none(), "another node's");
            }
        }
        let mut handles = table.handles();
        handles.sort();
        let mut expected: Vec<_> = model.keys().copied().collect();
        expected.sort();
        prop_assert_eq!(handles, expected);
    }
}

#[test]
fn numbers_wrap_around_and_skip_what_is_live() {
    let table = Table::new(0);
    let guard = epoch::pin();
    let insert = || {
        table
            .insert(&guard, |handle| Arc::new(Stub(handle)))
            .expect("there is room")
            .0
    };
    let first = insert();
    let second = insert();
    assert_eq!((first.local(), second.local()), (1, 2));
    assert_eq!(remove(&table, second), Some(second));
    loop {
        let handle = insert();
        if handle.local() == Handle::MAX_LOCAL {
            break;
        }
        assert_eq!(remove(&table, handle), Some(handle));
    }
    assert_eq!(
        insert().local(),
        2,
        "1 is live, 2 has been free for a whole round"
    );
}
