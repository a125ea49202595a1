//! Derived types, trees and views say the same about the same bytes.

use std::collections::{BTreeMap, HashMap};

use fulmar_sproto::{
    DecodeCause, EncodeError, Kind, MAX_DEPTH, Packer, Shape, Sproto, Struct, Unpacker, Value, View, parse,
};
use proptest::prelude::*;

#[derive(Sproto, Debug, Default, Clone, PartialEq)]
struct Item {
    #[sproto(tag = 0)]
    id: i64,
    #[sproto(tag = 3)]
    name: Option<String>,
    #[sproto(tag = 4, decimals = 2)]
    price: Option<f64>,
    #[sproto(tag = 9, name = "type")]
    kind: u8,
}

#[derive(Sproto, Debug, Default, Clone, PartialEq)]
struct Bag {
    #[sproto(tag = 0)]
    first: Option<Box<Item>>,
    #[sproto(tag = 1)]
    all: Vec<Item>,
    #[sproto(tag = 2, key = "id")]
    by_id: BTreeMap<i64, Item>,
    #[sproto(tag = 3, pairs)]
    by_name: HashMap<String, Item>,
    #[sproto(tag = 6)]
    numbers: Vec<i64>,
    #[sproto(tag = 7)]
    floats: Vec<f64>,
    #[sproto(tag = 8)]
    flags: Option<Vec<bool>>,
    #[sproto(tag = 9)]
    texts: Vec<String>,
    #[sproto(tag = 100)]
    blob: Vec<u8>,
    #[sproto(tag = 101)]
    blobs: Vec<Vec<u8>>,
    #[sproto(tag = 102, decimals = 3)]
    prices: Vec<f64>,
    #[sproto(tag = 103)]
    ratio: f64,
    #[sproto(tag = 104)]
    on: bool,
}

#[derive(Sproto, Debug, Default, PartialEq)]
struct Chain {
    #[sproto(tag = 0)]
    next: Option<Box<Chain>>,
}

/// Named as what derived code has of its own.
#[derive(Sproto, Debug, Default, Clone, PartialEq)]
struct Names {
    #[sproto(tag = 0)]
    level: Option<i64>,
    #[sproto(tag = 1)]
    message: String,
    #[sproto(tag = 2)]
    tag: i64,
    #[sproto(tag = 3)]
    slot: i64,
    #[sproto(tag = 4)]
    fields: Vec<i64>,
    #[sproto(tag = 5)]
    record: bool,
    #[sproto(tag = 6)]
    out: Vec<u8>,
    #[sproto(tag = 7)]
    text: String,
    #[sproto(tag = 8)]
    error: Option<String>,
}

/// A chain that may end in a map.
#[derive(Sproto, Debug, Default, PartialEq)]
struct Ladder {
    #[sproto(tag = 0)]
    next: Option<Box<Ladder>>,
    #[sproto(tag = 1, pairs)]
    map: HashMap<i64, i64>,
}

fn item() -> impl Strategy<Value = Item> {
    (
        any::<i64>(),
        any::<Option<String>>(),
        prop::option::of(-1000i32..1000),
        any::<u8>(),
    )
        .prop_map(|(id, name, price, kind)| Item {
            id,
            name,
            price: price.map(|price| f64::from(price) / 4.0),
            kind,
        })
}

fn bag() -> impl Strategy<Value = Bag> {
    let lists = (
        prop::collection::vec(any::<i64>(), 0..5),
        prop::collection::vec(-1e9..1e9, 0..5),
        any::<Option<Vec<bool>>>(),
        prop::collection::vec(any::<String>(), 0..4),
        any::<Vec<u8>>(),
    );
    let items = (
        prop::option::of(item()),
        prop::collection::vec(item(), 0..4),
        prop::collection::vec(item(), 0..4),
        prop::collection::hash_map(any::<String>(), item(), 0..4),
    );
    (lists, items, any::<bool>()).prop_map(
        |((numbers, floats, flags, texts, blob), (first, all, by_id, by_name), on)| Bag {
            first: first.map(Box::new),
            all,
            by_id: by_id.into_iter().map(|item| (item.id, item)).collect(),
            by_name,
            numbers,
            floats,
            flags,
            texts,
            blobs: vec![blob.clone(), Vec::new()],
            blob,
            prices: vec![0.125, -3.5],
            ratio: 0.1,
            on,
        },
    )
}

/// Compares what a view shows with a tree, field by field.
fn compare(view: View<'_>, tree: &Struct) {
    for field in view.of().fields() {
        let shown = view.get(field.name());
        match (shown, tree.get(field.name())) {
            (None, None) => {}
            (Some(shown), Some(value)) => assert_eq!(&shown.to_value(), value, "{}", field.name()),
            (shown, value) => panic!("{}: {shown:?} and {value:?}", field.name()),
        }
        if let (Shape::One, Kind::Struct(_), Some(Value::Struct(value))) =
            (field.shape(), field.kind(), tree.get(field.name()))
        {
            compare(
                view.get(field.name())
                    .and_then(|shown| shown.as_struct())
                    .expect("it is one"),
                value,
            );
        }
    }
}

proptest! {
    #[test]
    fn a_derived_type_comes_back_and_agrees_with_trees_and_views(bag in bag()) {
        let schema = parse(&Bag::schema_text(), "derived").unwrap();
        let of = schema.type_named("Bag").unwrap();
        let bytes = bag.to_bytes().unwrap();
        prop_assert_eq!(Bag::decode(&bytes).unwrap(), (bag, bytes.len()));

        let (tree, used) = schema.decode(of, &bytes).unwrap();
        prop_assert_eq!(used, bytes.len());
        let mut again = Vec::new();
        schema.encode(of, &tree, &mut again).unwrap();
        prop_assert_eq!(&again, &bytes);

        let view = View::new(&schema, of, &bytes).unwrap();
        prop_assert_eq!(view.to_struct(), tree.clone());
        compare(view, &tree);
    }

    #[test]
    fn garbage_is_refused_alike(mut bytes in bag().prop_map(|bag| bag.to_bytes().unwrap()), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let schema = parse(&Bag::schema_text(), "derived").unwrap();
        let of = schema.type_named("Bag").unwrap();
        let place = at.index(bytes.len());
        bytes[place] = to;
        if to & 1 == 1 {
            bytes.truncate(cut.index(bytes.len()));
        }
        let tree = schema.decode(of, &bytes);
        let view = View::new(&schema, of, &bytes);
        prop_assert_eq!(view.is_ok(), tree.is_ok(), "{:?} {:?}", view, tree);
        // A derived type is stricter: its texts are UTF-8, its integers have their width.
        if let Err(error) = Bag::decode(&bytes) {
            let stricter = matches!(error.cause(), DecodeCause::Utf8 | DecodeCause::OutOfRange { .. });
            prop_assert!(tree.is_err() || stricter, "{}", error);
        } else {
            // Keys are no option in a derived type, so it takes elements without one.
            let lenient = tree.as_ref().err().is_some_and(|error| matches!(error.cause(), DecodeCause::NoKey { .. }));
            prop_assert!(tree.is_ok() || lenient, "{:?}", tree);
        }
        if let (Ok(view), Ok((tree, used))) = (view, tree) {
            prop_assert_eq!(view.used(), used);
            prop_assert!(same(&Value::Struct(view.to_struct()), &Value::Struct(tree)));
        }
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(bytes in any::<Vec<u8>>()) {
        let schema = parse(&Bag::schema_text(), "derived").unwrap();
        let of = schema.type_named("Bag").unwrap();
        let _ = (Bag::decode(&bytes), schema.decode(of, &bytes), View::new(&schema, of, &bytes));
        let _ = (fulmar_sproto::Schema::from_bundle(&bytes), fulmar_sproto::unpack(&bytes, &mut Vec::new()));
        let _ = parse(&String::from_utf8_lossy(&bytes), "noise");
    }

    #[test]
    fn packing_is_undone_by_unpacking(runs in prop::collection::vec((0u8..3, 1usize..40), 0..60)) {
        let bytes: Vec<u8> = runs.into_iter().flat_map(|(byte, len)| vec![byte; len]).collect();
        let (mut packed, mut back) = (Vec::new(), Vec::new());
        fulmar_sproto::pack(&bytes, &mut packed);
        fulmar_sproto::unpack(&packed, &mut back).unwrap();
        prop_assert_eq!(back.len(), bytes.len().next_multiple_of(8));
        prop_assert_eq!(&back[..bytes.len()], &bytes[..]);
        prop_assert!(back[bytes.len()..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn pieces_give_what_the_whole_gives(runs in prop::collection::vec((0u8..3, 1usize..60), 0..200), piece in 1usize..3000) {
        let bytes: Vec<u8> = runs.into_iter().flat_map(|(byte, len)| vec![byte; len]).collect();
        let (mut whole, mut packed) = (Vec::new(), Vec::new());
        fulmar_sproto::pack(&bytes, &mut whole);
        let mut packer = Packer::new();
        bytes.chunks(piece).for_each(|piece| packer.push(piece, &mut packed));
        packer.finish(&mut packed);
        prop_assert_eq!(&packed, &whole);

        let (mut all, mut parts) = (Vec::new(), Vec::new());
        fulmar_sproto::unpack(&packed, &mut all).unwrap();
        let mut unpacker = Unpacker::new();
        for piece in packed.chunks(piece) {
            unpacker.push(piece, &mut parts).unwrap();
        }
        prop_assert_eq!(unpacker.finish(), Ok(()));
        prop_assert_eq!(parts, all);
    }
}

/// Equal, with bits for floats: a damaged message may hold a NaN.
fn same(a: &Value, b: &Value) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn chain(len: usize) -> Chain {
    let mut chain = Chain::default();
    for _ in 1..len {
        chain = Chain {
            next: Some(Box::new(chain)),
        };
    }
    chain
}

#[test]
fn depth_is_bounded() {
    let deepest = chain(MAX_DEPTH).to_bytes().unwrap();
    assert_eq!(Chain::decode(&deepest).unwrap().0, chain(MAX_DEPTH));
    assert_eq!(chain(MAX_DEPTH + 1).to_bytes(), Err(EncodeError::TooDeep));

    let schema = parse(&Chain::schema_text(), "derived").unwrap();
    let of = schema.type_named("Chain").unwrap();
    let mut bytes = deepest;
    for _ in 0..2 {
        let len = (bytes.len() as u32).to_le_bytes();
        bytes = [&[1, 0, 0, 0][..], &len, &bytes].concat();
    }
    assert_eq!(Chain::decode(&bytes).unwrap_err().cause(), DecodeCause::TooDeep);
    assert_eq!(
        schema.decode(of, &bytes).unwrap_err().cause(),
        DecodeCause::TooDeep
    );
    assert_eq!(
        View::new(&schema, of, &bytes).unwrap_err().cause(),
        DecodeCause::TooDeep
    );
}

#[test]
fn errors_name_the_field() {
    let mut bytes = Item {
        name: Some("abc".into()),
        ..Item::default()
    }
    .to_bytes()
    .unwrap();
    let last = bytes.len() - 1;
    bytes[last] = 0xff;
    let error = Item::decode(&bytes).unwrap_err();
    assert_eq!(error.place(), Some(("Item", "name")));
    bytes.pop();
    assert!(
        Item::decode(&bytes)
            .unwrap_err()
            .to_string()
            .starts_with("decode error: ")
    );
}

#[test]
fn a_schema_describes_itself() {
    let text = Bag::schema_text();
    let schema = parse(&text, "derived").unwrap();
    let fields: Vec<_> = schema
        .type_named("Item")
        .unwrap()
        .fields()
        .iter()
        .map(|field| field.name())
        .collect();
    assert_eq!(fields, ["id", "name", "price", "type"]);
    assert!(text.contains("by_id 2 : *Item(id)"), "{text}");
    assert!(text.contains("prices 102 : *integer(3)"), "{text}");
}

#[test]
fn fields_may_be_called_anything() {
    let names = Names {
        level: Some(1),
        message: "m".into(),
        fields: vec![2],
        error: Some("e".into()),
        ..Names::default()
    };
    assert_eq!(Names::decode(&names.to_bytes().unwrap()).unwrap().0, names);
}

#[test]
fn an_empty_map_is_no_level_of_its_own() {
    let schema = parse(&Ladder::schema_text(), "derived").unwrap();
    let of = schema.type_named("Ladder").unwrap();
    for (entries, fits) in [(0, true), (1, false)] {
        let mut ladder = Ladder {
            next: None,
            map: (0..entries).map(|key| (key, key)).collect(),
        };
        let mut tree = Struct::new().with(
            "map",
            Value::Map((0..entries).map(|key| (key.into(), key.into())).collect()),
        );
        for _ in 1..MAX_DEPTH {
            ladder = Ladder {
                next: Some(Box::new(ladder)),
                map: HashMap::new(),
            };
            tree = Struct::new()
                .with("next", tree)
                .with("map", Value::Map(Vec::new()));
        }
        let mut out = Vec::new();
        assert_eq!(schema.encode(of, &tree, &mut out).is_ok(), fits);
        assert_eq!(ladder.to_bytes().is_ok(), fits);
        if fits {
            assert_eq!(ladder.to_bytes().unwrap(), out);
            assert_eq!(Ladder::decode(&out).unwrap().0, ladder);
            assert_eq!(schema.decode(of, &out).unwrap().0, tree);
            assert!(View::new(&schema, of, &out).is_ok());
        }
    }
}
