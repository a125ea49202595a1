//! The golden vectors of sproto, replayed by the crate alone. Cases that need Lua (metamethods, odd values in tables) are
//! replayed by the Lua face.

use std::path::Path;
use std::sync::Arc;

use fulmar_sproto::{
    Field, Host, Incoming, Kind, Response, Schema, Shape, Struct, Type, Value, pack, parse, unpack,
};
use serde::Deserialize as _;
use serde_json::Value as Json;

fn vectors(name: &str) -> Json {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/vectors")
        .join(name);
    let text = std::fs::read_to_string(file).unwrap();
    let mut reader = serde_json::Deserializer::from_str(&text);
    reader.disable_recursion_limit(); // some values are as deep as sproto allows, and deeper
    Json::deserialize(&mut reader).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}"))
}

/// A tagged scalar, or none when Lua would have to convert it.
fn scalar(kind: Kind, json: &Json) -> Option<Value> {
    if let Some(value) = json.as_bool() {
        return (kind == Kind::Boolean).then_some(Value::Boolean(value));
    }
    if let Some(integer) = json["i"].as_str() {
        let is_number = matches!(kind, Kind::Integer | Kind::Decimal(_) | Kind::Double);
        return is_number.then_some(Value::Integer(integer.parse().ok()?));
    }
    if let Some(bits) = json["f"].as_str() {
        let value = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        return match kind {
            Kind::Integer => None,
            _ => Some(Value::Double(value)),
        };
    }
    if let Some(text) = json["s"].as_str() {
        return match kind {
            Kind::String | Kind::Binary => Some(Value::Bytes(bytes(text))),
            _ => None,
        };
    }
    None
}

/// A tagged value of a field, by the schema; none when it is not what the schema says.
fn tagged(schema: &Schema, field: &Field, json: &Json) -> Option<Value> {
    match field.shape() {
        Shape::One => element(schema, field.kind(), json),
        Shape::Array => {
            let pairs = json["m"].as_array()?;
            let mut values = Vec::new();
            for place in 1..=pairs.len() {
                let place = place.to_string();
                let Some(pair) = pairs.iter().find(|pair| pair[0]["i"].as_str() == Some(&place)) else {
                    break;
                };
                values.push(element(schema, field.kind(), &pair[1])?);
            }
            Some(Value::Array(values))
        }
        Shape::Keyed { .. } => {
            let mut pairs = Vec::new();
            for pair in json["m"].as_array()? {
                let element = structure(schema, index_of(schema, field), &pair[1])?;
                let key = [Kind::String, Kind::Integer, Kind::Boolean]
                    .iter()
                    .find_map(|kind| scalar(*kind, &pair[0]))?;
                pairs.push((key, Value::Struct(element)));
            }
            Some(Value::Map(pairs))
        }
        Shape::Pairs => {
            let [key, value] = index_of(schema, field).fields() else {
                return None;
            };
            let mut pairs = Vec::new();
            for pair in json["m"].as_array()? {
                pairs.push((tagged(schema, key, &pair[0])?, tagged(schema, value, &pair[1])?));
            }
            Some(Value::Map(pairs))
        }
    }
}

fn index_of<'a>(schema: &'a Schema, field: &Field) -> &'a Type {
    let Kind::Struct(index) = field.kind() else {
        panic!("no structure")
    };
    &schema.types()[index]
}

fn element(schema: &Schema, kind: Kind, json: &Json) -> Option<Value> {
    match kind {
        Kind::Struct(index) => structure(schema, &schema.types()[index], json).map(Value::Struct),
        kind => scalar(kind, json),
    }
}

fn structure(schema: &Schema, of: &Type, json: &Json) -> Option<Struct> {
    let mut value = Struct::new();
    for pair in json["m"].as_array()? {
        let Some(name) = pair[0]["s"].as_str() else {
            continue;
        };
        let name = String::from_utf8(bytes(name)).ok()?;
        if let Some(field) = of.field_named(&name) {
            value.set(name, tagged(schema, field, &pair[1])?);
        }
    }
    Some(value)
}

/// Equal, with bits for floats and without an order for maps.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Struct(a), Value::Struct(b)) => {
            a.iter().len() == b.iter().len()
                && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            let found = |key: &Value| b.iter().find(|(other, _)| same(key, other));
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| found(key).is_some_and(|(_, b)| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn schemas_become_the_same_bundles_and_back() {
    let vectors = vectors("sproto.json");
    for case in list(&vectors, "schemas") {
        let schema = parse(text(case, "text"), "=text").unwrap_or_else(|error| panic!("{error}: {case}"));
        assert_eq!(hex(&schema.to_bundle()), text(case, "bundle"));
        let loaded = Schema::from_bundle(&bytes(text(case, "bundle"))).unwrap();
        assert_eq!(loaded.to_bundle(), schema.to_bundle());
        assert_eq!(loaded.to_string(), schema.to_string());
    }
}

#[test]
fn faulty_schemas_are_refused_with_the_same_words() {
    let vectors = vectors("sproto.json");
    for case in list(&vectors, "schema_errors") {
        let error = parse(text(case, "text"), "=text").unwrap_err().to_string();
        let wanted = text(case, "error");
        let is_of_lua = ["attempt to", "bad argument", "assertion failed"]
            .iter()
            .any(|start| wanted.starts_with(start));
        assert!(is_of_lua || error.contains(wanted), "{error:?} lacks {wanted:?}");
    }
}

#[test]
fn bundles_are_accepted_and_refused_alike() {
    let vectors = vectors("sproto.json");
    for case in list(&vectors, "bundles") {
        let loaded = Schema::from_bundle(&bytes(text(case, "hex")));
        assert_eq!(
            loaded.is_ok(),
            case["loads"].as_bool().unwrap(),
            "{case}: {loaded:?}"
        );
    }
}

#[test]
fn values_are_encoded_and_decoded_alike() {
    let vectors = vectors("sproto.json");
    let (mut encoded, mut decoded) = (0, 0);
    for case in list(&vectors, "schemas") {
        let schema = parse(text(case, "text"), "=text").unwrap();
        for value in list(case, "values") {
            let of = schema.type_named(text(value, "type")).unwrap();
            let Some(wanted) = value["encoded"].as_str() else {
                continue;
            };
            let wanted = bytes(wanted);
            let lua_only = value["lua_only"].as_bool() == Some(true);
            if let (false, Some(tree)) = (lua_only, structure(&schema, of, &value["value"])) {
                let mut out = Vec::new();
                schema
                    .encode(of, &tree, &mut out)
                    .unwrap_or_else(|error| panic!("{error}: {value}"));
                assert_eq!(hex(&out), hex(&wanted), "{value}");
                let mut packed = Vec::new();
                pack(&out, &mut packed);
                if let Some(wanted) = value["packed"].as_str() {
                    assert_eq!(hex(&packed), wanted);
                }
                encoded += 1;
            }
            let result = schema.decode(of, &wanted);
            if value["decode_error"].is_string() {
                assert!(result.is_err(), "{value}");
            } else if !value["decoded"].is_null() {
                let (tree, used) = result.unwrap_or_else(|error| panic!("{error}: {value}"));
                let wanted_tree = structure(&schema, of, &value["decoded"]).unwrap();
                assert!(
                    same(&Value::Struct(tree.clone()), &Value::Struct(wanted_tree)),
                    "{value}: {tree:?}"
                );
                assert_eq!(used, wanted.len());
                decoded += 1;
            }
        }
    }
    assert!(
        encoded > 240 && decoded > 240,
        "{encoded} encoded, {decoded} decoded"
    );
}

#[test]
fn odd_and_malformed_messages_are_read_alike() {
    let vectors = vectors("sproto.json");
    let mut cases = 0;
    for case in list(&vectors, "schemas") {
        let schema = parse(text(case, "text"), "=text").unwrap();
        for message in list(case, "decode") {
            let of = schema.type_named(text(message, "type")).unwrap();
            let result = schema.decode(of, &bytes(text(message, "hex")));
            cases += 1;
            if let Some(wanted) = message["error"].as_str() {
                let error = result.expect_err(&message.to_string()).to_string();
                assert!(error.contains(wanted), "{error:?} lacks {wanted:?}: {message}");
            } else {
                let (tree, used) = result.unwrap_or_else(|error| panic!("{error}: {message}"));
                let wanted = structure(&schema, of, &message["decoded"]).unwrap();
                assert!(
                    same(&Value::Struct(tree.clone()), &Value::Struct(wanted)),
                    "{message}: {tree:?}"
                );
                if let Some(consumed) = message["consumed"].as_u64() {
                    assert_eq!(used as u64, consumed, "{message}");
                }
            }
        }
    }
    assert!(cases > 100, "{cases}");
}

#[test]
fn bytes_are_packed_and_unpacked_alike() {
    let vectors = vectors("sprotopack.json");
    let mut cases = 0;
    for case in list(&vectors, "cases") {
        let (Some(raw), Some(packed)) = (case["raw"].as_str(), case["packed"].as_str()) else {
            continue;
        };
        let raw = bytes(raw);
        let mut out = Vec::new();
        pack(&raw, &mut out);
        assert_eq!(hex(&out), packed);
        let mut back = Vec::new();
        unpack(&out, &mut back).unwrap();
        assert_eq!(back.len() as u64, case["unpacked_len"].as_u64().unwrap());
        assert!(back.starts_with(&raw) && back[raw.len()..].iter().all(|byte| *byte == 0));
        cases += 1;
    }
    for case in list(&vectors, "unpack") {
        let mut out = Vec::new();
        let result = unpack(&bytes(text(case, "packed")), &mut out);
        match case["error"].as_str() {
            Some(wanted) => assert_eq!(result.unwrap_err().to_string(), wanted),
            None => assert_eq!(hex(&out), text(case, "unpacked")),
        }
        cases += 1;
    }
    assert!(cases > 100, "{cases}");
}

#[test]
fn calls_are_made_and_taken_apart_alike() {
    let vectors = vectors("sproto.json");
    let mut cases = 0;
    for case in list(&vectors, "schemas") {
        let schema = Arc::new(parse(text(case, "text"), "=text").unwrap());
        for call in list(case, "rpc") {
            if text(call, "proto").is_empty() || call["request_error"].is_string() {
                continue;
            }
            let protocol = schema.protocol_named(text(call, "proto")).unwrap();
            let package = schema.type_named("package").unwrap();
            let ud_field = package.field_named("ud");
            let ud = |key: &str| ud_field.and_then(|field| tagged(&schema, field, &call[key]));
            let tree = |index: usize, key: &str| structure(&schema, &schema.types()[index], &call[key]);
            let value = protocol
                .request()
                .map(|index| tree(index, "args").unwrap_or_default());
            let session = call["session"].as_i64();
            let mut client = Host::new(schema.clone(), "package").unwrap();
            let mut server = Host::new(schema.clone(), "package").unwrap();
            let request = client
                .request(
                    &schema,
                    protocol.name(),
                    value.as_ref(),
                    session,
                    ud("ud").as_ref(),
                )
                .unwrap();
            assert_eq!(hex(&request), text(call, "request"), "{call}");
            let Incoming::Request(incoming) = server.dispatch(&request).unwrap() else {
                panic!("{call}")
            };
            assert_eq!(&*incoming.name, protocol.name());
            assert_eq!(
                incoming.responder.is_some(),
                call["dispatch"]["responder"].as_bool().unwrap()
            );
            assert_eq!(
                incoming.content.value().unwrap().is_some(),
                !call["dispatch"]["args"].is_null()
            );
            cases += 1;
            let (Some(responder), Some(wanted)) = (incoming.responder, call["response"].as_str()) else {
                continue;
            };
            let answer = match protocol.response() {
                Response::Type(index) => Some(tree(index, "response_args").unwrap_or_default()),
                _ => None,
            };
            let response = responder
                .answer(answer.as_ref(), ud("response_ud").as_ref())
                .unwrap();
            assert_eq!(hex(&response), wanted, "{call}");
            let Incoming::Response(reply) = client.dispatch(&response).unwrap() else {
                panic!("{call}")
            };
            assert_eq!(Some(reply.session), session);
            assert!(client.dispatch(&response).is_err());
        }
        for message in list(case, "dispatch") {
            let mut host = Host::new(schema.clone(), "package").unwrap();
            let result = host.dispatch(&bytes(text(message, "hex")));
            let result = result
                .map_err(|error| error.to_string())
                .and_then(|incoming| match incoming {
                    Incoming::Request(request) => {
                        request.content.value().map_err(|error| error.to_string())?;
                        Ok(request)
                    }
                    Incoming::Response(_) => panic!("a fresh host waits for nothing"),
                });
            match message["error"].as_str() {
                Some(wanted) => {
                    let error = result.expect_err(&message.to_string());
                    assert!(error.contains(wanted), "{error:?} lacks {wanted:?}");
                }
                None => assert_eq!(&*result.unwrap().name, text(message, "name")),
            }
            cases += 1;
        }
    }
    assert!(cases > 30, "{cases}");
}
