//! What is generated from a schema is what is kept here, compiles, and speaks the same bytes as the schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fulmar_sproto::{Call, Sproto, compare, generate, parse};

#[allow(
    dead_code,
    unreachable_pub,
    reason = "a program includes what it generates where its other types are"
)]
mod game {
    include!("generated/game.rs");
}

use game::{Bag, Buy, BuyRequest, Entry, Item, ItemLevelRange, Odd, Ping};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated")
}

fn text() -> String {
    std::fs::read_to_string(folder().join("game.sproto")).unwrap()
}

/// With `UPDATE=1` in the environment the files are written anew.
fn kept(name: &str, made: &str) {
    let file = folder().join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, made).unwrap();
    }
    assert_eq!(made, std::fs::read_to_string(file).unwrap());
}

#[test]
fn rust_types_are_those_kept_here() {
    kept(
        "game.rs",
        &generate::rust(&parse(&text(), "game.sproto").unwrap()),
    );
}

#[test]
fn lua_types_are_those_kept_here() {
    kept(
        "game.lua",
        &generate::lua(&parse(&text(), "game.sproto").unwrap()),
    );
}

#[test]
fn generated_types_speak_the_bytes_of_the_schema() {
    let schema = parse(&text(), "game.sproto").unwrap();
    let item = Item {
        item_id: "axe".into(),
        r#type: Some(3),
        price: Some(12.25),
        levels: Some(ItemLevelRange {
            low: Some(1),
            high: None,
        }),
        raw: Some(vec![0xff]),
    };
    let bag = Bag {
        items: BTreeMap::from([("axe".to_owned(), item)]),
        counts: BTreeMap::from([("gold".to_owned(), 5)]),
        odd: vec![Odd {
            key: Some("k".into()),
            value: Some(1),
        }],
        parent: Some(Box::new(Bag::default())),
        self_: Some(true),
        history: vec![1.5],
        prices: vec![0.5],
    };
    let bytes = bag.to_bytes().unwrap();
    let (tree, used) = schema.decode(schema.type_named("Bag").unwrap(), &bytes).unwrap();
    assert_eq!(used, bytes.len());
    let items = tree.get("items").and_then(|items| items.as_map()).unwrap();
    assert_eq!(
        items[0].1.as_struct().unwrap().get("price").unwrap().as_double(),
        Some(12.25)
    );
    let mut again = Vec::new();
    schema
        .encode(schema.type_named("Bag").unwrap(), &tree, &mut again)
        .unwrap();
    assert_eq!(Bag::decode(&again).unwrap().0, bag);
}

#[test]
fn types_describe_the_schema_they_came_from() {
    let described = parse(&Bag::schema_text(), "described").unwrap();
    let original = parse(&text(), "game.sproto").unwrap();
    for name in ["Bag", "Item"] {
        let (a, b) = (
            described.type_named(name).unwrap(),
            original.type_named(name).unwrap(),
        );
        let tags = |of: &fulmar_sproto::Type| of.fields().iter().map(|field| field.tag()).collect::<Vec<_>>();
        assert_eq!(tags(a), tags(b));
    }
}

#[test]
fn protocols_are_types() {
    assert_eq!((Buy::NAME, Buy::TAG), ("buy", 1));
    let _: <Buy as Call>::Request = BuyRequest {
        id: Some("axe".into()),
    };
    let _: <Buy as Call>::Response = Item::default();
    let () = <Ping as Call>::Request::default();
    let _ = Entry::default();
}

#[test]
fn a_comparison_says_what_breaks() {
    let old = parse(&text(), "old").unwrap();
    let new = text()
        .replace("session 1 : integer", "session 2 : integer")
        .replace("raw 4 : binary", "raw 4 : string")
        .replace("history 5 : *double", "history 5 : double")
        .replace("items 0 : *Item(itemId)", "things 0 : *Item")
        .replace("ping 2", "pong 2")
        .replace("response Item", "response Bag");
    let new = parse(&new, "new").unwrap();
    assert_eq!(compare(&old, &old), []);
    let changes: Vec<String> = compare(&old, &new).iter().map(ToString::to_string).collect();
    let wanted = [
        "fits: Bag.items is called things now",
        "fits: Bag.items is *Item, and was *Item(itemId): the same on the wire",
        "breaks: Bag.history is double, and was *double",
        "fits: Item.raw is string, and was binary: the same on the wire",
        "breaks: package.session has tag 2, and had 1",
        "breaks: protocol buy answers with Bag, and did with Item",
        "breaks: protocol ping is gone",
        "breaks: protocol pong takes tag 2 from ping",
    ];
    assert_eq!(changes, wanted);
}

#[test]
fn what_stands_on_one_line_shares_its_comment() {
    let comment = "# a line of a long comment\n".repeat(2000);
    let fields: String = (0..2000).map(|tag| format!(" f{tag} {tag} : integer")).collect();
    let schema = parse(
        &format!("{comment}.A {{{fields} }}\n\n# lost\n\n.B {{ x 0 : integer }} # beside\n.C {{ }}"),
        "long",
    )
    .unwrap();
    let a = schema.type_named("A").unwrap();
    assert_eq!(a.doc().lines().count(), 2000);
    assert!(a.fields().iter().all(|field| std::ptr::eq(field.doc(), a.doc())));
    assert_eq!(schema.type_named("B").unwrap().doc(), "beside");
    assert_eq!(schema.type_named("C").unwrap().doc(), "");
}
