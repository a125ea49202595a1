//! Images beside a model: a tree of ordered maps. What is built, patched, saved and mapped reads as the model does.

use std::collections::BTreeMap;

use fulmar_sharedata::{
    BuildError, Found, Image, Item, Items, Key, Object, Ones, Place, Places, SaveError, Store, Table, Value,
};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
enum Model {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(Vec<u8>),
    Table(BTreeMap<Key, Model>),
}

fn item<'a>(store: &Store, model: &'a Model) -> Item<'a> {
    match model {
        Model::Boolean(boolean) => (*boolean).into(),
        Model::Integer(integer) => (*integer).into(),
        Model::Float(float) => (*float).into(),
        Model::Text(text) => text.as_slice().into(),
        Model::Table(entries) => store.table(items(store, entries)).expect("it is small"),
    }
}

fn items<'a>(store: &Store, entries: &'a BTreeMap<Key, Model>) -> Items<'a> {
    let mut items = Items::new();
    for (key, value) in entries {
        items.insert(key, item(store, value));
    }
    items
}

fn image(store: &Store, entries: &BTreeMap<Key, Model>) -> Image {
    store.image(items(store, entries)).expect("it is small")
}

fn check(value: Value<'_>, model: &Model) {
    match (value, model) {
        (Value::Boolean(a), Model::Boolean(b)) => assert_eq!(a, *b),
        (Value::Integer(a), Model::Integer(b)) => assert_eq!(a, *b),
        (Value::Float(a), Model::Float(b)) => assert_eq!(a.to_bits(), b.to_bits()),
        (Value::Text(a), Model::Text(b)) => assert_eq!(a, b),
        (Value::Table(a), Model::Table(b)) => check_table(a, b),
        _ => panic!("{value:?} for {model:?}"),
    }
}

fn check_places_of(image: &Image, model: &BTreeMap<Key, Model>) {
    let mut places = Places::new(image.clone());
    let root = places.root().unwrap().unwrap();
    check_places(&mut places, root, model);
}

/// The same table by number: every key, and a walk from entry to entry.
fn check_places(places: &mut Places, place: Place, model: &BTreeMap<Key, Model>) {
    for (key, value) in model {
        let table = places.table(place).unwrap().unwrap();
        let inner = match places.find(table, key.as_ref()).unwrap().unwrap() {
            Found::Scalar(scalar) => {
                check(scalar, value);
                continue;
            }
            Found::Table(spot) => places.number(spot).unwrap(),
        };
        match value {
            Model::Table(value) => check_places(places, inner, value),
            _ => panic!("a table for {value:?}"),
        }
    }
    let (mut walked, mut from) = (Vec::new(), 0);
    while let Some(step) = places.next_entry(place, from).unwrap() {
        from = step.place + 1;
        walked.push(step.key.to_key());
        match (step.value, &model[&walked[walked.len() - 1]]) {
            (Found::Scalar(scalar), value) => check(scalar, value),
            // The walk goes on behind a visit elsewhere.
            (Found::Table(spot), Model::Table(value)) => {
                let inner = places.number(spot).unwrap();
                check_places(places, inner, value);
            }
            (found, value) => panic!("{found:?} for {value:?}"),
        }
    }
    walked.sort();
    assert!(
        walked.iter().eq(model.keys()),
        "{walked:?} for {:?}",
        model.keys()
    );
}

fn check_table(table: Table<'_>, model: &BTreeMap<Key, Model>) {
    let mut found = Vec::new();
    for entry in table.entries() {
        let (key, value) = entry.unwrap();
        check(value, &model[&key.to_key()]);
        found.push(key.to_key());
        let position = table.position(key).unwrap().unwrap();
        assert_eq!(table.nth(position).unwrap().unwrap().0, key);
    }
    found.sort();
    assert!(found.iter().eq(model.keys()), "{found:?} for {:?}", model.keys());
    for (key, value) in model {
        check(table.get(key).unwrap(), value);
    }
    let len = table.array_len().unwrap();
    assert!(
        !model.contains_key(&Key::Integer(len as i64 + 1)),
        "#table is no border"
    );
    assert!(
        len == 0 || model.contains_key(&Key::Integer(len as i64)),
        "#table is no border"
    );
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => (1..120i64).prop_map(Key::Integer),
        1 => any::<i64>().prop_map(Key::Integer),
        4 => (0..120u32).prop_map(|n| Key::from(format!("k{n}").as_str())),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(|text| Key::Text(text.into())),
        1 => (0..3usize).prop_map(|n| Key::Text(vec![b'x'; 2040 + 8 * n].into())),
    ]
}

fn value() -> impl Strategy<Value = Model> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Model::Boolean),
        any::<i64>().prop_map(Model::Integer),
        any::<f64>().prop_map(Model::Float),
        prop::collection::vec(any::<u8>(), 0..30).prop_map(Model::Text),
        (0..4usize).prop_map(|n| Model::Text(vec![b'y'; 2046 + n])),
    ];
    scalar.prop_recursive(4, 60, 12, |inner| {
        prop::collection::btree_map(key(), inner, 0..12).prop_map(Model::Table)
    })
}

fn table() -> impl Strategy<Value = BTreeMap<Key, Model>> {
    prop_oneof![
        prop::collection::btree_map(key(), value(), 0..40),
        // Wide ones.
        prop::collection::btree_map(key(), value(), 60..200),
        (0..1200i64).prop_map(|n| (1..=n).map(|i| (Key::Integer(i), Model::Integer(i))).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_built_is_read_back(model in table()) {
        let store = Store::new();
        let image = image(&store, &model);
        check_table(image.table().unwrap(), &model);
        check_places_of(&image, &model);
        prop_assert!(image.is(&self::image(&store, &model)), "equal content is one block");
    }

    #[test]
    fn any_table_can_be_one(model in table()) {
        let store = Store::new();
        let image = twins(&store, || items(&store, &model));
        check_twins(&image);
        check_table(table_at(&image, "b"), &model);
        let folder = Folder::new();
        let path = folder.0.join("image");
        image.save(&path).unwrap();
        check_twins(&store.map(&path).unwrap());
    }

    #[test]
    fn the_last_value_of_a_key_counts(steps in prop::collection::vec((-1..9i64, prop::option::of(any::<bool>())), 0..40)) {
        let store = Store::new();
        let (mut items, mut model) = (Items::new(), BTreeMap::new());
        for (key, value) in steps {
            items.insert(key, value.map_or(Item::NIL, Item::from));
            match value {
                Some(value) => drop(model.insert(Key::Integer(key), Model::Boolean(value))),
                None => drop(model.remove(&Key::Integer(key))),
            }
        }
        check_table(store.image(items).unwrap().table().unwrap(), &model);
    }

    #[test]
    fn patches_read_as_the_model_does(
        model in table(),
        changes in prop::collection::vec((key(), prop::option::of(value())), 1..60),
    ) {
        let store = Store::new();
        let mut now = image(&store, &model);
        let mut places = Places::new(now.clone());
        let mut root = places.root().unwrap().unwrap();
        let mut model = model;
        for (key, value) in changes {
            let before = model.clone();
            let next = now.patch(std::slice::from_ref(&key), value.as_ref().map(|value| item(&store, value))).unwrap();
            match value {
                Some(value) => drop(model.insert(key, value)),
                None => drop(model.remove(&key)),
            }
            check_table(next.table().unwrap(), &model);
            check_table(now.table().unwrap(), &before);
            places.replace(next.clone());
            assert!(places.table(root).is_none(), "a stale number names a table");
            root = places.root().unwrap().unwrap();
            check_places(&mut places, root, &model);
            let mut changed = next.changed_keys(&now).unwrap();
            changed.sort();
            let keys = before.keys().chain(model.keys());
            let mut expected: Vec<Key> = keys.filter(|key| !same(before.get(key), model.get(key))).cloned().collect();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(changed, expected);
            now = next;
        }
    }

    #[test]
    fn arrays_grow_and_shrink_at_their_end(len in 0..1100i64, steps in prop::collection::vec(any::<bool>(), 1..80)) {
        let store = Store::new();
        let mut model: BTreeMap<Key, Model> = (1..=len).map(|i| (Key::Integer(i), Model::Integer(i))).collect();
        model.insert("other".into(), Model::Boolean(true));
        let mut image = image(&store, &model);
        let mut len = len;
        for grows in steps {
            let (key, value) = match grows {
                true => { len += 1; (len, Some(Model::Integer(-len))) }
                false => { len = (len - 1).max(0); (len + 1, None) }
            };
            let key = Key::Integer(key);
            image = image.patch(std::slice::from_ref(&key), value.as_ref().map(|value| item(&store, value))).unwrap();
            match value {
                Some(value) => drop(model.insert(key, value)),
                None => drop(model.remove(&key)),
            }
            prop_assert_eq!(image.table().unwrap().array_len().unwrap(), len as u64);
        }
        check_table(image.table().unwrap(), &model);
        let shape = self::image(&store, &model);
        prop_assert!(image.is(&shape), "one content has one shape, whatever its history");
    }

    #[test]
    fn what_is_saved_is_mapped_back(model in table(), changes in prop::collection::vec((key(), value()), 0..4)) {
        let folder = Folder::new();
        let path = folder.0.join("image");
        let store = Store::new();
        image(&store, &model).save(&path).unwrap();
        let mut model = model;
        let mut mapped = Store::new().map(&path).unwrap();
        check_table(mapped.table().unwrap(), &model);
        check_places_of(&mapped, &model);
        prop_assert!(mapped.table().unwrap().equals(image(&store, &model).table().unwrap()).unwrap());
        for (key, value) in changes {
            mapped = mapped.patch(std::slice::from_ref(&key), Some(item(&store, &value))).unwrap();
            model.insert(key, value);
        }
        check_table(mapped.table().unwrap(), &model);
        // Over the file that is mapped.
        mapped.save(&path).unwrap();
        check_table(Store::new().map(&path).unwrap().table().unwrap(), &model);
        check_table(mapped.table().unwrap(), &model);
    }
}

fn same(a: Option<&Model>, b: Option<&Model>) -> bool {
    match (a, b) {
        (Some(Model::Float(a)), Some(Model::Float(b))) => a.to_bits() == b.to_bits(),
        (Some(Model::Table(a)), Some(Model::Table(b))) => {
            a.len() == b.len() && a.iter().all(|(key, value)| same(Some(value), b.get(key)))
        }
        (a, b) => a == b,
    }
}

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Folder {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "fulmar-sharedata-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wide(rows: i64) -> BTreeMap<Key, Model> {
    (1..=rows)
        .map(|i| {
            let row = BTreeMap::from([
                (Key::from("id"), Model::Integer(i)),
                (Key::from("name"), Model::Text(format!("item-{i}").into_bytes())),
            ]);
            (Key::from(format!("item{i}").as_str()), Model::Table(row))
        })
        .collect()
}

#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing() {
    let folder = Folder::new();
    let path = folder.0.join("image");
    let mut model = wide(60);
    model.insert(Key::Integer(1), Model::Text(vec![b'z'; 3000]));
    model.insert(
        "list".into(),
        Model::Table((1..50).map(|i| (Key::Integer(i), Model::Integer(i))).collect()),
    );
    image(&Store::new(), &model).save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(
        bytes.len() < 20_000,
        "small enough to flip them all: {}",
        bytes.len()
    );
    let mut refused = 0;
    let flipped = folder.0.join("flipped");
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&flipped, &bytes).unwrap();
        match read_all(&flipped) {
            Err(_) => refused += 1,
            Ok(text) => panic!("byte {place} is not missed: {text}"),
        }
        std::fs::remove_file(&flipped).unwrap();
    }
    assert_eq!(refused, bytes.len());
}

#[test]
fn a_file_cut_short_is_refused() {
    let folder = Folder::new();
    let path = folder.0.join("image");
    image(&Store::new(), &wide(100)).save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for len in (0..bytes.len()).step_by(7) {
        let cut = folder.0.join("cut");
        std::fs::write(&cut, &bytes[..len]).unwrap();
        assert!(Store::new().map(&cut).is_err(), "{len} bytes of {}", bytes.len());
        std::fs::remove_file(&cut).unwrap();
    }
}

/// Reads everything: by key, by place, by serde.
fn read_all(path: &std::path::Path) -> Result<String, Box<dyn std::error::Error>> {
    fn walk(table: Table<'_>) -> Result<(), Box<dyn std::error::Error>> {
        for entry in table.entries() {
            let (key, value) = entry?;
            // A forged file may hide a key; it may not do more.
            if let Some(found) = table.find(key)? {
                found.equals(value)?;
            }
            if let Value::Table(inner) = value {
                walk(inner)?;
            }
        }
        Ok(())
    }
    let image = Store::new().map(path)?;
    walk(image.table()?)?;
    Ok(format!(
        "{:?}",
        image.at([] as [&str; 0])?.deserialize::<serde_json::Value>()
    ))
}

#[test]
fn a_changed_structure_with_a_right_hash_never_crashes() {
    // What a stranger would write: every byte changed, and the hashes made to fit.
    let folder = Folder::new();
    let path = folder.0.join("image");
    let store = Store::new();
    let (row, mut ones) = (wide(3), Ones::default());
    let one = store
        .one(store.table(items(&store, &row)).unwrap(), &mut ones)
        .unwrap();
    let model = wide(40);
    let mut items = items(&store, &model);
    items.insert("one", one.clone());
    items.insert("again", one);
    store.image(items).unwrap().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let forged = folder.0.join("forged");
    let mut accepted = 0;
    for place in 40..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[place] ^= change;
            forge(&mut bytes);
            std::fs::write(&forged, &bytes).unwrap();
            accepted += usize::from(read_all(&forged).is_ok());
            std::fs::remove_file(&forged).unwrap();
        }
    }
    assert!(accepted > 0, "other data is no fault");
}

/// Makes every hash of the file right.
fn forge(bytes: &mut [u8]) {
    use xxhash_rust::xxh3::{Xxh3, xxh3_64};
    let u32_at = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let count = u32_at(bytes, 12).unwrap();
    let index = u64::from_le_bytes(*bytes[16..].first_chunk().unwrap()) as usize;
    for number in 0..count {
        let at = u64::from_le_bytes(*bytes[index + number as usize * 8..].first_chunk().unwrap()) as usize;
        let (Some(len), Some(links)) = (u32_at(bytes, at), u32_at(bytes, at.saturating_add(4))) else {
            continue;
        };
        let end = at + 16 + links as usize * 4 + len as usize;
        let Some(body) = bytes.get(at + 16..end) else {
            continue;
        };
        let mut hasher = Xxh3::new();
        for part in [number, len, links] {
            hasher.update(&part.to_le_bytes());
        }
        hasher.update(body);
        let hash = hasher.digest();
        bytes[at + 8..at + 16].copy_from_slice(&hash.to_le_bytes());
    }
    let head = xxh3_64(&bytes[..32]);
    bytes[32..40].copy_from_slice(&head.to_le_bytes());
}

#[test]
fn a_patch_of_a_wide_table_costs_its_path() {
    let store = Store::new();
    let image = image(&store, &wide(20_000));
    let path = ["item777".into(), "name".into()];
    let patched = image.patch(&path, Some("sword".into())).unwrap();
    assert_eq!(
        patched.get("item777").unwrap().get("name").unwrap().as_str(),
        Some("sword")
    );
    assert_eq!(patched.changed_keys(&image).unwrap(), ["item777".into()]);
    let back = patched.patch(&path, Some("item-777".into())).unwrap();
    assert!(back.is(&image), "the old blocks are found again");
    let (new, shared) = patched.sizes_beside(&image).unwrap();
    assert!(new < 32 << 10, "{new} bytes are new, {shared} shared");
    assert!(shared > 1 << 20);
}

#[test]
fn integers_in_any_order_make_an_array() {
    // Moving them one by one out of the others takes minutes.
    let len = 300_000;
    let mut items = Items::new();
    for key in (1..=len).rev() {
        items.insert(key, key);
    }
    let image = Store::new().image(items).unwrap();
    assert_eq!(image.table().unwrap().array_len().unwrap(), len as u64);
    assert_eq!(image.get(len).unwrap().as_i64(), Some(len));
}

#[test]
fn a_sequence_keeps_its_holes() {
    let store = Store::new();
    let list = vec![Some(1), None, Some(3)];
    let image = store.build(&(&list, (1, None::<i64>))).unwrap();
    let (back, pair): (Vec<Option<i64>>, (i64, Option<i64>)) =
        image.at([] as [&str; 0]).unwrap().deserialize().unwrap();
    assert_eq!((back, pair), (list, (1, None)));
    let first = image.get(1).unwrap();
    assert!(first.deserialize::<Vec<i64>>().is_err(), "a hole is no integer");
    assert!(
        first.deserialize::<(i64, Option<i64>)>().is_err(),
        "more than a pair"
    );
    let sparse = store.build(&BTreeMap::from([(1, "a"), (7, "b")])).unwrap();
    let sparse = sparse.at([] as [&str; 0]).unwrap();
    assert!(sparse.deserialize::<Vec<String>>().is_err());
    assert_eq!(sparse.deserialize::<BTreeMap<i64, &str>>().unwrap()[&7], "b");
}

#[test]
fn a_chain_of_blocks_in_a_file_is_no_recursion() {
    // Each block is a table whose only value is the block before.
    let (folder, count) = (Folder::new(), 300_000u32);
    let path = folder.0.join("chain");
    let (mut bytes, mut index) = (vec![0; 40], Vec::new());
    for number in 0..count {
        index.push(bytes.len() as u64);
        bytes.extend(13u32.to_le_bytes());
        bytes.extend(u32::from(number > 0).to_le_bytes());
        bytes.extend([0; 8]);
        match number {
            0 => bytes.extend([1, 1, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]),
            _ => {
                bytes.extend((number - 1).to_le_bytes());
                bytes.extend([1, 1, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
            }
        }
    }
    let index_at = bytes.len() as u64;
    bytes.extend(index.iter().flat_map(|at| at.to_le_bytes()));
    let total = bytes.len() as u64;
    bytes[..8].copy_from_slice(b"FULMARSD");
    bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&count.to_le_bytes());
    bytes[16..24].copy_from_slice(&index_at.to_le_bytes());
    bytes[24..32].copy_from_slice(&total.to_le_bytes());
    forge(&mut bytes);
    std::fs::write(&path, bytes).unwrap();

    let image = Store::new().map(&path).unwrap();
    let root = image.at([] as [&str; 0]).unwrap();
    assert!(root.deserialize::<serde_json::Value>().is_err());
    assert!(format!("{image:?}").contains("nested too deep"));
    assert_eq!(image.sizes_beside(&image).unwrap().0, 0);
    assert!(image.table().unwrap().bytes().unwrap() > 13 * u64::from(count));
    let copy = folder.0.join("copy");
    image.save(&copy).unwrap();
    assert_eq!(copy.metadata().unwrap().len(), total);
}

#[test]
fn images_are_saved_to_one_path_by_several_threads() {
    let folder = Folder::new();
    let path = folder.0.join("image");
    let models = [wide(400), wide(500), wide(600)];
    std::thread::scope(|scope| {
        for model in &models {
            let (path, models) = (&path, &models);
            scope.spawn(move || {
                let image = image(&Store::new(), model);
                for _ in 0..20 {
                    image.save(path).unwrap();
                    let found = Store::new().map(path).unwrap();
                    let places = found.table().unwrap().places().unwrap() as usize;
                    check_table(found.table().unwrap(), &models[places / 100 - 4]);
                }
            });
        }
    });
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().collect();
    assert_eq!(left.len(), 1, "no draft is left: {left:?}");
}

#[test]
fn a_hole_makes_no_difference() {
    let store = Store::new();
    let whole = store.build(&serde_json::json!({ "list": [1, 2, 3] })).unwrap();
    let holed = whole.patch(&["list".into(), 2.into()], None).unwrap();
    let mut list = Items::new();
    list.insert(3, 3);
    list.insert(1, 1);
    let mut root = Items::new();
    root.insert("list", store.table(list).unwrap());
    let sparse = store.image(root).unwrap();
    assert!(holed.table().unwrap().equals(sparse.table().unwrap()).unwrap());
    assert_eq!(holed.changed_keys(&sparse).unwrap(), []);
    assert!(!holed.table().unwrap().equals(whole.table().unwrap()).unwrap());
    assert!(!whole.table().unwrap().equals(holed.table().unwrap()).unwrap());
}

#[test]
fn what_cannot_be_built_is_refused() {
    let store = Store::new();
    let mut item = Item::from(1);
    for _ in 0..fulmar_sharedata::MAX_DEPTH {
        let mut items = Items::new();
        items.push(item);
        item = store.table(items).unwrap();
    }
    let deepest = store.image_of(item.clone()).unwrap();
    let mut items = Items::new();
    items.push(item.clone());
    assert_eq!(store.table(items).err(), Some(BuildError::TooDeep));
    assert!(deepest.patch(&[2.into()], Some(item)).is_err());
    assert_eq!(store.build(&3).err(), Some(BuildError::NotATable));
    assert_eq!(store.build(&[u64::MAX]).err(), Some(BuildError::IntegerTooLarge));
    assert!(matches!(
        store.build(&BTreeMap::from([(true, 1)])),
        Err(BuildError::Key(_))
    ));
    let deep = (0..200).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    assert_eq!(store.build(&deep).err(), Some(BuildError::TooDeep));
}

#[test]
fn what_is_shared_is_compared_once() {
    // Each table refers to the one below twice: 2^50 ways to the bottom.
    let knot = |bottom: i64| {
        let store = Store::new();
        let mut item = Item::from(bottom);
        for _ in 0..50 {
            let mut items = Items::new();
            items.insert("a", item.clone());
            items.insert("b", item);
            items.insert("a text that makes it a block", "x".repeat(2000));
            item = store.table(items).unwrap();
        }
        store.image_of(item).unwrap()
    };
    let (one, same, other) = (knot(1), knot(1), knot(2));
    assert!(one.table().unwrap().equals(same.table().unwrap()).unwrap());
    assert_eq!(one.changed_keys(&same).unwrap(), []);
    assert!(!one.table().unwrap().equals(other.table().unwrap()).unwrap());
    assert_eq!(one.changed_keys(&other).unwrap(), ["a".into(), "b".into()]);
}

#[test]
fn a_gap_behind_a_long_array_is_filled() {
    let store = Store::new();
    let filled: Vec<i64> = (1..=5000).collect();
    let whole = store.build(&serde_json::json!({ "list": filled })).unwrap();
    let mut holed = whole.clone();
    for number in 4990..=5000 {
        holed = holed.patch(&["list".into(), number.into()], None).unwrap();
    }
    for number in 4991..=5000 {
        holed = holed
            .patch(&["list".into(), number.into()], Some(number.into()))
            .unwrap();
    }
    let len = |image: &Image| {
        let list = image.get("list").unwrap().as_table().unwrap();
        (list.array_len().unwrap(), list.places().unwrap())
    };
    assert_eq!(len(&holed), (4989, 4999));
    let again = holed.patch(&["list".into(), 4990.into()], Some(4990.into()));
    let again = again.unwrap();
    assert_eq!(len(&again), (5000, 5000));
    assert_eq!(again.changed_keys(&whole).unwrap(), []);
    let (cost, _) = again.sizes_beside(&holed).unwrap();
    assert!(cost < 16 << 10, "{cost} bytes for one value");
}

fn table_at<'i>(image: &'i Image, name: &str) -> Table<'i> {
    image.get(name).unwrap().as_table().unwrap()
}

/// `a` and `b` are one table, `c` and `d` another, `e` is none of these; all have the same content.
fn twins<'a>(store: &Store, content: impl Fn() -> Items<'a>) -> Image {
    let mut ones = Ones::default();
    let mut one = || store.one(store.table(content()).unwrap(), &mut ones).unwrap();
    let (first, second) = (one(), one());
    let mut items = Items::new();
    items.insert("a", first.clone());
    items.insert("b", first);
    items.insert("c", second.clone());
    items.insert("d", second);
    items.insert("e", store.table(content()).unwrap());
    store.image(items).unwrap()
}

fn check_twins(image: &Image) {
    let identity = |name| table_at(image, name).identity();
    assert!(identity("a").is_some() && identity("c").is_some());
    assert_eq!(identity("a"), identity("b"));
    assert_eq!(identity("c"), identity("d"));
    assert_ne!(identity("a"), identity("c"));
    assert_eq!(identity("e"), None);
    let content = table_at(image, "e");
    for name in ["a", "b", "c", "d"] {
        assert!(table_at(image, name).equals(content).unwrap());
    }
    let mut places = Places::new(image.clone());
    let root = places.root().unwrap().unwrap();
    let mut number = |name: &str| {
        let table = places.table(root).unwrap().unwrap();
        match places.find(table, name.into()).unwrap().unwrap() {
            Found::Table(spot) => (spot.is_one(), places.number(spot).unwrap()),
            Found::Scalar(scalar) => panic!("{scalar:?}"),
        }
    };
    assert_eq!(number("a"), number("b"));
    assert_ne!(number("a"), number("c"));
    assert!(number("a").0 && !number("e").0);
}

#[test]
fn one_table_in_two_places_is_one_and_equal_ones_are_two() {
    let (folder, store) = (Folder::new(), Store::new());
    let empty = twins(&store, Items::new);
    let long = twins(&store, || {
        let mut items = Items::new();
        (0..20).for_each(|_| items.push("x".repeat(500)));
        items
    });
    let wide = twins(&store, || {
        let mut items = Items::new();
        (0..2000).for_each(|number| items.push(number));
        items
    });
    for image in [empty, long, wide] {
        check_twins(&image);
        let path = folder.0.join("twins");
        image.save(&path).unwrap();
        let mapped = store.map(&path).unwrap();
        check_twins(&mapped);
        assert_eq!(mapped.changed_keys(&image).unwrap(), []);

        // A change beside them leaves them what they are; one of their places gets a table of its own when it changes.
        for image in [&image, &mapped] {
            let beside = image.patch(&["e".into(), "new".into()], Some(1.into())).unwrap();
            let identity = |image: &Image, name| table_at(image, name).identity();
            assert_eq!(identity(&beside, "a"), identity(&beside, "b"));
            assert_ne!(identity(&beside, "a"), identity(&beside, "c"));
            let inside = image.patch(&["a".into(), "new".into()], Some(1.into())).unwrap();
            assert_eq!(inside.get("a").unwrap().get("new").unwrap().as_i64(), Some(1));
            assert_eq!(
                (identity(&inside, "a"), identity(&inside, "b").is_some()),
                (None, true)
            );
            assert_eq!(inside.changed_keys(image).unwrap(), ["a".into()]);
        }
    }
}

#[test]
fn the_next_version_shares_tables_that_are_one() {
    let store = Store::new();
    let content = || {
        let mut items = Items::new();
        items.push("x".repeat(1500));
        items
    };
    let (old, new) = (twins(&store, content), twins(&store, content));
    assert!(old.is(&new));
    let mut ones = Ones::default();
    let one = store.one(store.table(content()).unwrap(), &mut ones).unwrap();
    assert_eq!(
        store.one(one.clone(), &mut ones).err(),
        Some(BuildError::NotATable)
    );
    assert_eq!(store.one(1.into(), &mut ones).err(), Some(BuildError::NotATable));
    let image = store.image_of(one).unwrap();
    assert_eq!(image.get(1).unwrap().as_bytes().map(<[u8]>::len), Some(1500));
}

#[test]
fn objects_are_found_and_compared_and_never_saved() {
    let (folder, store) = (Folder::new(), Store::new());
    let object = Object::new(7u8);
    let image = |object: &Object| {
        let mut items = Items::new();
        items.insert("inside", {
            let mut items = Items::new();
            items.push(object.clone());
            items.push("x".repeat(1000));
            store.table(items).unwrap()
        });
        items.insert("object", object.clone());
        items.insert("n", 1);
        store.image(items).unwrap()
    };
    let (one, same, other) = (image(&object), image(&object), image(&Object::new(7u8)));
    assert!(one.is(&same), "equal blocks are one");
    let found = one.get("object").unwrap().as_object().unwrap();
    assert!(found.is(&object));
    assert_eq!(
        (found.downcast_ref::<u8>(), found.downcast_ref::<i8>()),
        (Some(&7), None)
    );
    assert_eq!(one.changed_keys(&same).unwrap(), []);
    let mut changed = other.changed_keys(&one).unwrap();
    changed.sort();
    assert_eq!(changed, ["inside".into(), "object".into()]);
    let patched = one.patch(&["n".into()], Some(2.into())).unwrap();
    assert!(
        patched
            .get("inside")
            .unwrap()
            .get(1)
            .unwrap()
            .as_object()
            .unwrap()
            .is(&object)
    );
    assert!(patched.table().unwrap().bytes().unwrap() > 1000);
    assert!(patched.sizes_beside(&one).unwrap().0 > 0);
    assert!(
        one.get("object")
            .unwrap()
            .deserialize::<serde_json::Value>()
            .is_err()
    );
    let path = folder.0.join("objects");
    assert!(matches!(one.save(&path), Err(SaveError::Object)));
    assert!(!path.exists());
}

#[test]
fn a_file_that_claims_an_object_or_nests_what_is_one_is_damaged() {
    let folder = Folder::new();
    let path = folder.0.join("claims");
    // A table whose one value is this slot, beside a block that it might lead to.
    let read = |tag: u8, root: &[u8]| {
        let mut bytes = vec![0; 40];
        let mut index = Vec::new();
        for (number, content) in [&[1u8, 0, 0, 0][..], root].into_iter().enumerate() {
            index.push(bytes.len() as u64);
            bytes.extend((content.len() as u32).to_le_bytes());
            bytes.extend((number as u32 * u32::from(matches!(tag, 7 | 16))).to_le_bytes());
            bytes.extend([0; 8]);
            if number == 1 && matches!(tag, 7 | 16) {
                bytes.extend([0; 4]);
            }
            bytes.extend(content);
        }
        let index_at = bytes.len() as u64;
        bytes.extend(index.iter().flat_map(|at| at.to_le_bytes()));
        let total = bytes.len() as u64;
        bytes[..8].copy_from_slice(b"FULMARSD");
        bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
        bytes[12..16].copy_from_slice(&2u32.to_le_bytes());
        bytes[16..24].copy_from_slice(&index_at.to_le_bytes());
        bytes[24..32].copy_from_slice(&total.to_le_bytes());
        forge(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        Store::new().map(&path).map(|image| image.get(1).map(|_| ()))
    };
    let slot = |tag: u8| [&[1, 1, 1, 0, tag][..], &[0; 8]].concat();
    assert!(matches!(read(7, &slot(7)), Ok(Ok(()))), "a link is a table");
    assert!(read(16, &slot(16)).is_err(), "an object is nothing of a file");
    let one = |inner: &[u8]| [&[6, 0, 2, 0, 6, 3, 22][..], &[0; 15], inner].concat();
    assert!(read(0, &one(&[1, 0, 0, 0])).is_ok());
    assert!(read(0, &one(&one(&[1, 0, 0, 0]))).is_err(), "one inside of one");
    assert!(read(0, &one(&[3, 0, 0, 0])).is_err(), "no table");
}
