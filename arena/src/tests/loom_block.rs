//! Models of the block word: counts. What is protected is a loom cell, so a missing ordering is a data race
//! that the model reports. `ci/mutations` requires them to fail under `arena_refcount`.

use crate::block::{BlockState, BlockWord, Snapshot};
use crate::sync::atomic::AtomicU64;
use crate::sync::cell::UnsafeCell;
use crate::sync::{Arc, thread};

/// A block whose body is one number.
struct Model {
    word: BlockWord<AtomicU64>,
    body: UnsafeCell<u32>,
}

// SAFETY: the body is accessed by holders of the block, which is what the models check.
unsafe impl Sync for Model {}

impl Model {
    fn new(state: BlockState, count: u32) -> Arc<Model> {
        Arc::new(Model {
            word: BlockWord::new(Snapshot::new(7, state, count)),
            body: UnsafeCell::new(1),
        })
    }

    fn read(&self) -> u32 {
        // SAFETY: the model checks that nobody writes meanwhile.
        self.body.with(|body| unsafe { *body })
    }

    fn write(&self, value: u32) {
        // SAFETY: the model checks that nobody else has access.
        self.body.with_mut(|body| unsafe { *body = value });
    }

    /// What a `Buf` does with its count: read, then let go; the last one reuses the block.
    fn use_and_drop(&self) -> bool {
        assert_eq!(self.read(), 1);
        let last = self.word.drop_count();
        if last {
            self.word.set_free();
            self.write(2);
        }
        last
    }
}

#[test]
fn loom_the_last_of_three_counts_frees_after_every_read() {
    loom::model(|| {
        let block = Model::new(BlockState::Frozen, 3);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let block = block.clone();
                thread::spawn(move || block.use_and_drop())
            })
            .collect();
        let mine = block.use_and_drop();
        let lasts = others
            .into_iter()
            .map(|other| other.join().unwrap())
            .filter(|last| *last)
            .count();
        assert_eq!(lasts + usize::from(mine), 1);
        assert_eq!(block.read(), 2);
    });
}

#[test]
fn loom_a_count_added_while_another_is_dropped_keeps_the_block() {
    loom::model(|| {
        let block = Model::new(BlockState::Frozen, 2);
        let other = {
            let block = block.clone();
            thread::spawn(move || {
                block.word.add_count();
                let first = block.use_and_drop();
                let second = !first && block.use_and_drop();
                (first, second)
            })
        };
        let mine = block.use_and_drop();
        let (first, second) = other.join().unwrap();
        assert!(!first);
        assert!(mine ^ second);
    });
}
