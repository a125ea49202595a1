//! Replays `tests/vectors/seri.json`: bytes and outcomes of the reference implementation.

use serde_json::Value as Json;

use super::state::State;
use super::value::{Value, from_hex};

/// The cases of a section. The file has a line for each; the values of those nested deeper than the JSON reader goes
/// are left out.
fn section(name: &str) -> Vec<Json> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/seri.json");
    let text = std::fs::read_to_string(path).expect("the vectors are in the repository");
    let start = format!("\"{name}\": [");
    let lines = text
        .lines()
        .skip_while(|line| *line != start)
        .skip(1)
        .take_while(|line| line.starts_with('{'));
    let parse = |line: &str| match line.split_once(",\"values\"") {
        Some((before, _)) if line.contains("\"accept_deep\"") => serde_json::from_str(&format!("{before}}}")),
        _ => serde_json::from_str(line.trim_end_matches(',')),
    };
    lines.map(|line| parse(line).expect("a line is JSON")).collect()
}

fn values_of(case: &Json) -> Option<Vec<Value>> {
    case["values"]
        .as_array()
        .map(|values| values.iter().map(Value::from_json).collect())
}

fn canonical(values: &[Value]) -> Vec<Value> {
    values.iter().map(Value::canonical).collect()
}

/// The message without the part that is no contract.
fn without_line(message: &str) -> &str {
    message.split(" (line:").next().expect("split gives a first part")
}

#[test]
fn every_case_packs_to_the_reference_bytes_and_back() {
    let state = State::new();
    let mut checked = 0;
    for case in section("cases") {
        let flag = |name: &str| case[name].as_bool().unwrap_or(false);
        let expression = case["expr"].as_str().expect("an expression");
        let values = values_of(&case);
        let packed = state.pack(expression).expect(expression);
        let expected = case["packed"].as_str().map_or_else(|| packed.clone(), from_hex);
        // What Lua answers for the length of a table with holes depends on its release.
        let any_order = flag("repack_any_order") || flag("lua_border");
        if any_order {
            assert_eq!(state.unpack(&packed), state.unpack(&expected), "{expression}");
        } else {
            assert_eq!(
                packed.len() as u64,
                case["packed_len"].as_u64().expect("a length"),
                "{expression}"
            );
            assert_eq!(packed, expected, "{expression}");
        }
        if let Some(head) = case["head"].as_str() {
            let tail = case["tail"].as_str().expect("a tail");
            assert!(
                packed.starts_with(&from_hex(head)) && packed.ends_with(&from_hex(tail)),
                "{expression}"
            );
        }
        if let Some(error) = case["unpack_error"].as_str() {
            assert_eq!(state.unpack(&expected), Err(error.to_owned()), "{expression}");
            continue;
        }
        let unpacked = state.unpack(&expected).expect(expression);
        if let Some(values) = values {
            assert_eq!(unpacked, canonical(&values), "{expression}");
        }
        if any_order || flag("via_pairs") || flag("repack_differs") {
            assert_eq!(
                state.unpack(&state.repack(&expected)),
                Ok(unpacked),
                "{expression}"
            );
        } else {
            assert_eq!(state.repack(&expected), expected, "{expression}");
            assert_eq!(state.pack_values(&unpacked), expected, "{expression}");
        }
        checked += 1;
    }
    assert!(checked > 250);
}

#[test]
fn what_the_reference_cannot_pack_raises_its_text() {
    let state = State::new();
    for case in section("pack_errors") {
        let expression = case["expr"].as_str().expect("an expression");
        let expected = case["error"].as_str().expect("an error");
        let message = state.pack(expression).expect_err(expression);
        assert!(message.ends_with(expected), "{expression}: {message}");
        assert_eq!(state.pack("1").expect("the packer still works"), [0x0a, 1]);
    }
}

#[test]
fn foreign_bytes_are_taken_or_refused_as_by_the_reference() {
    let state = State::new();
    let mut deepest = 0;
    for case in section("unpack") {
        let hex = case["hex"].as_str().expect("bytes");
        let bytes = from_hex(hex);
        let outcome = state.unpack(&bytes);
        if !case["accepts"].as_bool().expect("an outcome") {
            let message = outcome.expect_err(hex);
            let expected = case["error"].as_str().expect("an error");
            if expected.starts_with("Invalid") {
                assert_eq!(without_line(&message), expected, "{hex}");
            }
        } else if case["optional"].as_bool() == Some(true) {
            assert!(
                outcome.expect_err(hex).starts_with("Invalid serialize stream"),
                "{hex}"
            );
        } else if case["kind"] == "accept_deep" {
            deepest = deepest.max(depth(&outcome.expect(hex)[0]));
        } else {
            let values = values_of(&case).expect("values");
            assert_eq!(outcome.expect(hex), canonical(&values), "{hex}");
            if let Some(repack) = case["repack"].as_str() {
                assert_eq!(state.repack(&bytes), from_hex(repack), "{hex}");
            }
        }
    }
    assert_eq!(deepest, 150);
}

/// How many tables lie one in the other.
fn depth(value: &Value) -> usize {
    match value {
        Value::Table(pairs) => 1 + pairs.iter().map(|pair| depth(&pair.1)).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn a_stream_nested_beyond_reason_is_refused() {
    let state = State::new();
    let nested = |depth: usize| [vec![0x0e; depth], vec![2], vec![0; depth]].concat();
    assert_eq!(
        state.unpack(&nested(1000)).map(|values| depth(&values[0])),
        Ok(1000)
    );
    for beyond in [1025, 5000, 3_000_000] {
        assert!(
            state
                .unpack(&nested(beyond))
                .is_err_and(|message| message.starts_with("Invalid")),
            "{beyond}"
        );
    }
}

#[test]
fn errors_are_strings_with_the_position_of_the_caller() {
    let state = State::new();
    let message = state.run("\npackstring(print)").expect_err("a function");
    assert!(
        message.ends_with(":2: Unsupport type function to serialize"),
        "{message}"
    );
    let message = state
        .run("unpack '\\255\\255'")
        .expect_err("no packer wrote this");
    assert!(
        message.contains(":1: Invalid serialize stream 1 (line:"),
        "{message}"
    );
}

#[test]
fn keys_that_repeat_are_told_apart() {
    let state = State::new();
    state
        .run(
            "local rows = {}
             for i = 1, 300 do
               local row = {}
               for j = 1, i % 40 do
                 local key = string.rep(string.char(97 + (i * j) % 26), 1 + j % 31)
                 row[key] = (row[key] or 0) + j
               end
               row[''], row.id, row.name = i, i, {id = -i, name = 'n' .. i}
               rows[i] = row
             end
             local function same(a, b)
               if type(a) ~= 'table' then return a == b end
               for k, v in pairs(a) do if not same(v, b[k]) then return false end end
               for k in pairs(b) do if a[k] == nil then return false end end
               return true
             end
             local a, b, c = unpack(packstring(rows, {rows}, {key = rows}))
             assert(same(a, rows) and same(b, {rows}) and same(c, {key = rows}))",
        )
        .unwrap();
}
