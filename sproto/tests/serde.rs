//! Types of serde, and JSON, as messages by a schema.
#![cfg(feature = "serde")]

use std::collections::BTreeMap;

use fulmar_sproto::{Schema, Type, parse, serde as sproto};
use serde::{Deserialize, Serialize};
use serde_json::json;

const SCHEMA: &str = "
.Item { id 0 : integer  name 1 : string  price 2 : integer(2)  raw 3 : binary }
.Count { key 0 : integer  value 1 : Item }
.Bag {
	items 0 : *Item(name)  counts 1 : *Count()  list 2 : *Item  numbers 3 : *integer  ratio 4 : double
	on 5 : boolean  color 6 : string  shape 7 : Shape
}
.Shape { Circle 0 : double  Named 1 : Item }
";

fn schema() -> Schema {
    parse(SCHEMA, "serde").unwrap()
}

fn of<'a>(schema: &'a Schema, name: &str) -> &'a Type {
    schema.type_named(name).unwrap()
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Item {
    id: u32,
    name: String,
    price: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    raw: Vec<u8>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Color {
    Red,
    Green,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Shape {
    Circle(f64),
    Named(Item),
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Bag {
    items: BTreeMap<String, Item>,
    counts: BTreeMap<i64, Item>,
    list: Vec<Item>,
    numbers: (i8, i64),
    ratio: f32,
    on: bool,
    color: Color,
    shape: Shape,
}

fn item(id: u32) -> Item {
    Item {
        id,
        name: format!("item{id}"),
        price: id.is_multiple_of(2).then_some(1.25),
        raw: vec![0xff; id as usize % 3],
    }
}

#[test]
fn types_come_back() {
    let schema = schema();
    let bag = Bag {
        items: BTreeMap::from([("item1".into(), item(1)), ("item2".into(), item(2))]),
        counts: BTreeMap::from([(-5, item(3))]),
        list: vec![item(4)],
        numbers: (-1, i64::MAX),
        ratio: 0.5,
        on: true,
        color: Color::Green,
        shape: Shape::Named(item(6)),
    };
    let bytes = sproto::to_vec(&schema, of(&schema, "Bag"), &bag).unwrap();
    assert_eq!(
        sproto::from_slice::<Bag>(&schema, of(&schema, "Bag"), &bytes).unwrap(),
        bag
    );
    assert_eq!(
        Shape::Circle(1.0),
        sproto::from_struct(sproto::to_struct(&schema, of(&schema, "Shape"), &Shape::Circle(1.0)).unwrap())
            .unwrap()
    );
}

#[test]
fn json_comes_back() {
    let schema = schema();
    let json = json!({
        "items": { "axe": { "id": 1, "name": "axe", "price": 2.5 } },
        "counts": { "7": { "name": "seven" } },
        "numbers": [1, -2, 3000000000u64],
        "on": false,
    });
    let bytes = sproto::to_vec(&schema, of(&schema, "Bag"), &json).unwrap();
    assert_eq!(
        sproto::from_slice::<serde_json::Value>(&schema, of(&schema, "Bag"), &bytes).unwrap(),
        json
    );
    // A map of structures may come as a list: each has its key.
    let listed = json!({ "items": [{ "id": 1, "name": "axe", "price": 2.5 }] });
    let bytes = sproto::to_vec(&schema, of(&schema, "Bag"), &listed).unwrap();
    let back: serde_json::Value = sproto::from_slice(&schema, of(&schema, "Bag"), &bytes).unwrap();
    assert_eq!(back["items"]["axe"]["id"], 1);
}

#[test]
fn what_does_not_fit_is_named() {
    let schema = schema();
    let refused = |json: serde_json::Value| {
        sproto::to_vec(&schema, of(&schema, "Bag"), &json)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(json!({ "item": {} })).contains("Bag has no field item"));
    assert!(refused(json!({ "numbers": 1 })).contains("Bag.numbers"));
    assert!(
        refused(json!({ "list": [{ "id": "x" }] })).contains("Item.id[0] is not an integer (Is a string)")
    );
    assert!(refused(json!({ "list": [null] })).contains("absent"));
    assert!(refused(json!([])).contains("Bag is a structure"));
    assert!(refused(json!({ "numbers": [u64::MAX] })).contains("out of range"));
}
