//! Models of the page word: frees by other threads against the owner's take and detach, and against the pool. Links
//! and block contents are loom cells. `ci/mutations` requires failures under `arena_remote_free`, `arena_remote_take`,
//! `arena_detach` and `arena_settle`.

use crate::page::{Chain, Limits, Link, Next, PageSnapshot, PageState, PageWord, Verdict};
use crate::sync::atomic::AtomicU64;
use crate::sync::cell::UnsafeCell;
use crate::sync::{Arc, Mutex, thread};

/// A page of three blocks, named 1 to 3 by their links, and the pool's side of it.
struct Model {
    word: PageWord<AtomicU64>,
    links: [UnsafeCell<Link>; 4],
    contents: [UnsafeCell<u32>; 4],
    pool: Mutex<PoolSide>,
    limits: Limits,
}

#[derive(Default)]
struct PoolSide {
    listed: bool,
    released: bool,
}

// SAFETY: cells are accessed by whoever holds the block, which is what the models check.
unsafe impl Sync for Model {}

impl Model {
    fn new(threshold: u16) -> Arc<Model> {
        Arc::new(Model {
            word: PageWord::new(),
            links: Default::default(),
            contents: Default::default(),
            pool: Mutex::default(),
            limits: Limits {
                capacity: 3,
                threshold,
            },
        })
    }

    fn set_link(&self, block: Link, next: Link) {
        // SAFETY: the model checks that nobody else has access.
        self.links[block as usize].with_mut(|link| unsafe { *link = next });
    }

    /// A holder's last use of a block.
    fn touch(&self, block: Link) {
        // SAFETY: the model checks that nobody else has access.
        self.contents[block as usize].with_mut(|content| unsafe { *content += 1 });
    }

    fn push(&self, block: Link) {
        self.touch(block);
        let next = self
            .word
            .push(Chain::one(block), self.limits, |next| self.set_link(block, next));
        self.follow(next);
    }

    fn detach(&self, own: Chain) {
        let next = self
            .word
            .detach(own, 0, self.limits, |next| self.set_link(own.tail, next));
        self.follow(next);
    }

    fn follow(&self, next: Next) {
        if next == Next::Settle {
            self.settle();
        }
    }

    /// `Pool::settle` for this page.
    fn settle(&self) {
        let mut pool = self.pool.lock().unwrap();
        if pool.released {
            return;
        }
        match self.word.snapshot().verdict(self.limits.capacity, pool.listed) {
            Verdict::Leave => {}
            Verdict::List => pool.listed = true,
            Verdict::Release => {
                pool.listed = false;
                pool.released = true;
                // The memory is somebody else's now.
                (1..=3).for_each(|block| self.touch(block));
            }
        }
    }

    /// `Pool::take_small`, when the page is listed.
    fn take_listed(&self) -> Option<PageSnapshot> {
        let mut pool = self.pool.lock().unwrap();
        if !pool.listed {
            return None;
        }
        pool.listed = false;
        assert_eq!(self.word.snapshot().state, PageState::Listed);
        Some(self.word.take())
    }

    /// `Pool::scrape` for this page.
    fn scrape(&self) {
        let mut pool = self.pool.lock().unwrap();
        if !pool.released && self.word.list_early() {
            assert!(!pool.listed);
            pool.listed = true;
        }
    }

    /// The blocks of a taken list, used by their new holder.
    fn walk(&self, taken: PageSnapshot) -> Vec<Link> {
        let mut blocks = Vec::new();
        let mut at = taken.head;
        while at != 0 {
            blocks.push(at);
            self.touch(at);
            // SAFETY: the model checks that nobody writes meanwhile.
            at = self.links[at as usize].with(|link| unsafe { *link });
        }
        assert_eq!(blocks.len(), taken.free as usize);
        blocks
    }

    #[track_caller]
    fn assert_released(&self) {
        let pool = self.pool.lock().unwrap();
        assert!(pool.released && !pool.listed);
    }
}

fn free_elsewhere(page: &Arc<Model>, block: Link) -> thread::JoinHandle<()> {
    let page = page.clone();
    thread::spawn(move || page.push(block))
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn loom_the_owner_takes_every_block_that_others_free_once() {
    explore(|| {
        let page = Model::new(3);
        let others = [free_elsewhere(&page, 1), free_elsewhere(&page, 2)];
        let mut blocks = page.walk(page.word.take());
        others.into_iter().for_each(|other| other.join().unwrap());
        blocks.extend(page.walk(page.word.take()));
        blocks.sort_unstable();
        assert_eq!(blocks, [1, 2]);
    });
}

#[test]
fn loom_a_page_given_up_while_others_free_is_released_once() {
    for threshold in [1, 2, 3] {
        explore(move || {
            let page = Model::new(threshold);
            let others = [free_elsewhere(&page, 1), free_elsewhere(&page, 2)];
            page.touch(3);
            page.detach(Chain::one(3));
            others.into_iter().for_each(|other| other.join().unwrap());
            page.assert_released();
        });
    }
}

#[test]
fn loom_a_full_page_given_up_is_released_by_the_last_free() {
    explore(|| {
        let page = Model::new(2);
        let others = [free_elsewhere(&page, 1), free_elsewhere(&page, 2)];
        page.detach(Chain::default());
        page.push(3);
        others.into_iter().for_each(|other| other.join().unwrap());
        page.assert_released();
    });
}

#[test]
fn loom_a_page_scraped_while_others_free_is_released_once() {
    explore(|| {
        let page = Model::new(2);
        page.detach(Chain::default());
        let others = [free_elsewhere(&page, 1), free_elsewhere(&page, 2)];
        page.scrape();
        page.push(3);
        others.into_iter().for_each(|other| other.join().unwrap());
        page.assert_released();
    });
}

#[test]
fn loom_a_listed_page_goes_to_a_heap_or_is_released_but_not_both() {
    explore(|| {
        let page = Model::new(1);
        page.detach(Chain::default());
        let others = [free_elsewhere(&page, 1), free_elsewhere(&page, 2)];
        page.push(3);
        if let Some(taken) = page.take_listed() {
            let mut blocks = page.walk(taken);
            others.into_iter().for_each(|other| other.join().unwrap());
            {
                let pool = page.pool.lock().unwrap();
                assert!(!pool.listed && !pool.released);
            }
            blocks.extend(page.walk(page.word.take()));
            blocks.sort_unstable();
            assert_eq!(blocks, [1, 2, 3]);
        } else {
            others.into_iter().for_each(|other| other.join().unwrap());
            page.assert_released();
        }
    });
}
