//! Models of the handle table: what a reader finds is whole, and stays while it is pinned.

use std::ptr::NonNull;

use fulmar_arena::sync::atomic::{AtomicUsize, Ordering, fence};
use fulmar_arena::sync::cell::UnsafeCell;
use fulmar_arena::sync::{Arc, Mutex, thread};
use loom::model::Builder;

use crate::handle::{Collector, Entry, Handle, Table};

/// A stand-in for a service: its content is written before it is published and once more, as the destructor would, when it is freed.
struct Stub {
    handle: Handle,
    content: UnsafeCell<u32>,
}

impl Stub {
    fn new(handle: Handle) -> Arc<Stub> {
        let stub = Arc::new(Stub {
            handle,
            content: UnsafeCell::new(0),
        });
        // SAFETY: not shared yet.
        stub.content
            .with_mut(|content| unsafe { *content = handle.local() });
        stub
    }

    fn read(&self) -> u32 {
        // SAFETY: nobody writes while a reader is pinned; the model checks that.
        self.content.with(|content| unsafe { *content })
    }
}

impl Entry for Stub {
    fn handle(&self) -> Handle {
        self.handle
    }
}

// SAFETY: `content` is written only while nobody else has the stub; the model checks that.
unsafe impl Sync for Stub {}
// SAFETY: as above.
unsafe impl Send for Stub {}

/// A collector that frees when nobody is pinned at all.
#[derive(Default)]
struct Garbage {
    pins: AtomicUsize,
    bags: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

struct Pin(Arc<Garbage>);

impl Garbage {
    fn pin(garbage: &Arc<Garbage>) -> Pin {
        garbage.pins.fetch_add(1, Ordering::Relaxed); // Relaxed: ordered by the fence
        // Pairs with the fence in `collect`: either it counts us, or we see what was taken out.
        fence(Ordering::SeqCst);
        Pin(Arc::clone(garbage))
    }

    fn collect(&self) {
        fence(Ordering::SeqCst);
        // Acquire: what the readers read happens before the free.
        let nobody = self.pins.load(Ordering::Acquire) == 0;
        if nobody || cfg!(fulmar_mutation = "table_free_while_pinned") {
            let bags = std::mem::take(&mut *self.bags.lock().expect("nobody panics"));
            bags.into_iter().for_each(|free| free());
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::Release); // Release: pairs with the Acquire in `collect`
    }
}

impl Collector for Pin {
    unsafe fn defer(&self, free: impl FnOnce() + Send + 'static) {
        self.0.bags.lock().expect("nobody panics").push(Box::new(free));
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

#[test]
fn what_is_found_is_whole_while_the_table_grows() {
    check(|| {
        let (table, garbage) = (Arc::new(Table::<Stub>::new(0)), Arc::new(Garbage::default()));
        let reader = {
            let (table, garbage) = (Arc::clone(&table), Arc::clone(&garbage));
            thread::spawn(move || {
                let pin = Garbage::pin(&garbage);
                if let Some(stub) = table.lookup(Handle::new(0, 2), &pin) {
                    assert_eq!(stub.read(), 2);
                }
                if let Some(stub) = table.lookup(Handle::new(0, 1), &pin) {
                    assert_eq!(stub.read(), 1);
                }
            })
        };
        for local in 1..=2 {
            let pin = Garbage::pin(&garbage);
            let stub = table.insert(&pin, Stub::new).expect("there is room");
            assert_eq!(stub.handle().local(), local);
        }
        reader.join().expect("the reader ends well");
        garbage.collect();
    });
}

#[test]
fn what_is_found_stays_while_it_is_pinned() {
    check(|| {
        let (table, garbage) = (Arc::new(Table::<Stub>::new(0)), Arc::new(Garbage::default()));
        let handle = table
            .insert(&Garbage::pin(&garbage), Stub::new)
            .expect("there is room")
            .handle();
        let reader = {
            let (table, garbage) = (Arc::clone(&table), Arc::clone(&garbage));
            thread::spawn(move || {
                let pin = Garbage::pin(&garbage);
                if let Some(stub) = table.lookup(handle, &pin) {
                    assert_eq!(stub.read(), 1);
                }
            })
        };
        let stub = table
            .remove(handle)
            .expect("it is there, and nobody else removes it");
        assert!(table.remove(handle).is_none());
        let stub = SendPtr(stub);
        // SAFETY: out of the table.
        unsafe { Garbage::pin(&garbage).defer(move || stub.free()) };
        garbage.collect();
        reader.join().expect("the reader ends well");
        garbage.collect();
    });
}

struct SendPtr(NonNull<Stub>);

// SAFETY: a count of an `Arc` of something that is `Send`.
unsafe impl Send for SendPtr {}

impl SendPtr {
    fn free(self) {
        // SAFETY: the table's count, handed over by `remove`.
        let stub = unsafe { Arc::from_raw(self.0.as_ptr()) };
        // SAFETY: nobody reads any more; the model checks that.
        stub.content.with_mut(|content| unsafe { *content = u32::MAX });
    }
}
