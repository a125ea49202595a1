//! Properties: what is packed comes back, and no bytes do harm.

use proptest::prelude::*;

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

proptest! {
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
