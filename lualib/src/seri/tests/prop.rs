//! Properties: what is packed comes back, and no bytes do harm.

use proptest::prelude::*;

use super::super::format::{MANY_ITEMS, NIL, TABLE, head};
use super::state::State;
use super::value::Value;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        (-70_000i64..70_000).prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("a key", |float| !float.is_nan() && float.fract() != 0.0)
            .prop_map(|float| Value::Float(float.to_bits())),
        any::<usize>().prop_map(Value::Pointer),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Value::String),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 200, 12, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..40);
        let pairs = prop::collection::vec((scalar(), inner), 0..12);
        (items, pairs).prop_map(|(items, pairs)| {
            let items = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| (Value::Integer(index as i64 + 1), item));
            Value::Table(items.chain(pairs).collect())
        })
    })
}

/// A stream of well-formed heads with arbitrary payloads: gets further than arbitrary bytes do.
fn near_stream() -> impl Strategy<Value = Vec<u8>> {
    let heads = prop::sample::select(vec![
        0u8, 1, 2, 0x0a, 0x12, 0x22, 0x42, 4, 0x0c, 0x15, 0x25, 6, 0x0e, 0xf6, 0xfe, 7,
    ]);
    prop::collection::vec(prop_oneof![4 => heads, 1 => any::<u8>()], 0..200)
}

/// Tables of any size as no packer writes them: keys repeat, lie among the items, and have nil values.
fn odd_table() -> impl Strategy<Value = (Vec<Value>, Vec<(Value, Value)>)> {
    let key = prop_oneof![
        4 => (0..400u32).prop_map(|number| Value::String(format!("key{number}").into_bytes())),
        1 => (1..300i64).prop_map(Value::Integer),
        1 => (0..9u8).prop_map(|number| Value::Float((f64::from(number) + 0.5).to_bits())),
        1 => Just(Value::Boolean(true)),
        1 => (40..60usize).prop_map(|len| Value::String(vec![b'x'; len])),
    ];
    let value = prop_oneof![
        8 => any::<i64>().prop_map(Value::Integer),
        4 => (0..9u32).prop_map(|number| Value::String(format!("value{number}").into_bytes())),
        1 => Just(Value::Table(vec![(Value::Integer(1), Value::Boolean(false))])),
    ];
    let nil = prop_oneof![9 => value.clone(), 1 => Just(Value::Nil)].boxed();
    let value = prop_oneof![1 => Just(value.boxed()), 1 => Just(nil)];
    let size = || prop_oneof![4 => 0..8usize, 2 => 0..40usize, 1 => 0..300usize];
    (size(), size(), value).prop_flat_map(move |(items, pairs, value)| {
        (
            prop::collection::vec(value.clone(), items),
            prop::collection::vec((key.clone(), value), pairs),
        )
    })
}

/// The stream of a table, by way of what the packer makes of its parts.
fn stream(state: &State, items: &[Value], pairs: &[(Value, Value)]) -> Vec<u8> {
    let mut stream = match items.len() {
        len @ 0..31 => vec![head(TABLE, len as u8)],
        len => {
            let mut stream = vec![head(TABLE, MANY_ITEMS)];
            stream.extend(state.pack_values(&[Value::Integer(len as i64)]));
            stream
        }
    };
    stream.extend(state.pack_values(items));
    for (key, value) in pairs {
        stream.extend(state.pack_values(&[key.clone(), value.clone()]));
    }
    stream.push(head(NIL, 0));
    stream
}

proptest! {
    #[test]
    fn the_last_value_of_a_key_counts(tables in prop::collection::vec(odd_table(), 1..3)) {
        let state = State::new();
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (items, pairs) in &tables {
            bytes.extend(stream(&state, items, pairs));
            let items = items.iter().enumerate().map(|(place, item)| (Value::Integer(place as i64 + 1), item.clone()));
            expected.push(Value::Table(items.chain(pairs.iter().cloned()).collect()).canonical());
        }
        prop_assert_eq!(state.unpack(&bytes), Ok(expected));
    }

    #[test]
    fn values_come_back(values in prop::collection::vec(value(), 0..6)) {
        let state = State::new();
        let packed = state.pack_values(&values);
        let expected: Vec<Value> = values.iter().map(Value::canonical).collect();
        prop_assert_eq!(state.unpack(&packed), Ok(expected));
    }

    #[test]
    fn any_bytes_are_values_or_an_error(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), near_stream()]) {
        let state = State::new();
        if let Ok(values) = state.unpack(&bytes) {
            prop_assert!(values.len() <= bytes.len());
        }
    }

    #[test]
    fn a_cut_stream_is_shorter_or_refused(values in prop::collection::vec(value(), 1..4), cut in any::<prop::sample::Index>()) {
        let state = State::new();
        let packed = state.pack_values(&values);
        let cut = cut.index(packed.len());
        if let Ok(fewer) = state.unpack(&packed[..cut]) {
            prop_assert!(fewer.len() <= values.len());
        }
    }

    #[test]
    fn memory_is_bounded_by_the_length(bytes in near_stream()) {
        let mut state = State::new();
        let _ = state.live_bytes();
        state.limit(4096 + bytes.len() * 100);
        if let Err(message) = state.unpack_limited(&bytes) {
            prop_assert!(!message.contains("memory"), "{}", message);
        }
    }
}
