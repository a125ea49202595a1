//! Names: what is published together is seen together, watchers are told, old versions go.

use std::time::Duration;

use fulmar_sharedata::{Image, Key, Registry, Store};
use serde_json::json;

fn image(store: &Store, number: i64) -> Image {
    store
        .build(&json!({ "number": number, "same": [1, 2, 3] }))
        .unwrap()
}

fn number(image: &Image) -> i64 {
    image.get("number").unwrap().as_i64().unwrap()
}

#[test]
fn a_batch_is_seen_whole() {
    let store = Store::new();
    let registry = Registry::new();
    registry.publish_all([("a", Some(image(&store, 0))), ("b", Some(image(&store, 0)))]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while last < 2000 {
                    let snapshot = registry.snapshot();
                    let (a, b) = (snapshot.image("a").unwrap(), snapshot.image("b").unwrap());
                    assert_eq!(number(a), number(b));
                    assert!(number(a) >= last);
                    last = number(a);
                }
            });
        }
        for n in 1..=2000 {
            registry.publish_all([("a", Some(image(&store, n))), ("b", Some(image(&store, n)))]);
        }
    });
}

#[test]
fn a_watcher_is_told_what_has_changed() {
    let store = Store::new();
    let registry = Registry::new();
    let mut watcher = registry.watch("items");
    assert!(watcher.poll().is_none());
    assert!(watcher.wait(Duration::from_millis(1)).is_none());
    std::thread::scope(|scope| {
        scope.spawn(|| registry.publish("items", image(&store, 1)));
        let change = watcher.wait(Duration::from_secs(60)).expect("it is published");
        assert!(change.old.is_none());
        let mut keys = change.changed_keys().unwrap();
        keys.sort();
        assert_eq!(keys, [Key::from("number"), Key::from("same")]);
    });
    registry.publish("items", image(&store, 2));
    registry.publish("items", image(&store, 3));
    let change = watcher.poll().unwrap();
    assert_eq!(change.changed_keys().unwrap(), [Key::from("number")]);
    assert_eq!(number(watcher.image().unwrap()), 3);
    assert!(registry.remove("items"));
    assert!(!registry.remove("items"));
    assert!(watcher.poll().unwrap().new.is_none());
    registry.publish("other", image(&store, 1));
    assert!(watcher.poll().is_none());
}

#[test]
fn patches_of_several_threads_all_arrive() {
    let store = Store::new();
    let registry = Registry::new();
    registry.publish("items", image(&store, 0));
    std::thread::scope(|scope| {
        for thread in 0..3i64 {
            let registry = &registry;
            scope.spawn(move || {
                for n in 0..200 {
                    let path = [Key::Integer(thread * 1000 + n)];
                    registry
                        .patch("items", &path, Some(n.into()))
                        .unwrap()
                        .expect("it is there");
                }
            });
        }
    });
    let items = registry.current("items").unwrap();
    assert_eq!(items.table().unwrap().places().unwrap(), 602);
    assert_eq!(items.get(2199).unwrap().as_i64(), Some(199));
    assert!(registry.patch("none", &["a".into()], None).unwrap().is_none());
}

#[test]
fn an_old_version_goes_with_its_last_reader() {
    let store = Store::new();
    let registry = Registry::new();
    registry.publish("items", image(&store, 1));
    let reader = registry.current("items").unwrap();
    registry.publish("items", image(&store, 2));
    assert_eq!(store.live_blocks(), 2);
    assert_eq!(number(&reader), 1);
    drop(reader);
    assert_eq!(store.live_blocks(), 1);
    // A writer that ends before it publishes.
    drop(image(&store, 9));
    assert_eq!(store.live_blocks(), 1);
}

#[test]
fn patches_leave_no_block_behind() {
    let store = Store::new();
    let registry = Registry::new();
    let rows: Vec<_> = (0..5000)
        .map(|n| json!({ "n": n, "name": format!("row {n}") }))
        .collect();
    registry.publish("rows", store.build(&rows).unwrap());
    let before = store.live_blocks();
    for n in 1..=1000i64 {
        let path = [Key::Integer(n * 7 % 5000 + 1), "n".into()];
        let version = registry.patch("rows", &path, Some((-n).into())).unwrap();
        assert_eq!(version, Some(1 + n as u64));
        assert_eq!(store.live_blocks(), before, "after patch {n}");
    }
    let reader = registry.current("rows").unwrap();
    registry.remove("rows");
    assert_eq!(store.live_blocks(), before);
    drop(reader);
    assert_eq!(store.live_blocks(), 0);
}

#[test]
fn equal_blocks_that_come_and_go_on_several_threads_are_forgotten() {
    let store = Store::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let mut held = Vec::new();
                for n in 0..4000 {
                    let image = image(store, (n + thread) % 5);
                    assert_eq!(number(&image), (n + thread) % 5);
                    held.push(image);
                    if n % 3 == 0 {
                        held.clear();
                    }
                }
            });
        }
    });
    assert_eq!(store.live_blocks(), 0);
}
