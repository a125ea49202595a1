//! sproto: schemas, bundles, messages, packing, calls.

use std::sync::{Arc, OnceLock};

use fulmar_sproto::{
    EncodeError, Host, Incoming, MAX_MESSAGE_BYTES, Response, Schema, Struct, View, pack, packed_bound,
    parse, unpack,
};
use serde::Deserialize as _;

/// Parses a schema; what is one survives its bundle.
pub fn sproto_parser(data: &[u8]) {
    let Ok(schema) = parse(&String::from_utf8_lossy(data), "fuzz") else {
        return;
    };
    if !schema.types().is_empty() {
        let bundle = schema.to_bundle();
        let again = Schema::from_bundle(&bundle).expect("a bundle that was made can be read");
        assert_eq!(again.to_bundle(), bundle);
        assert_eq!(again.to_string(), schema.to_string());
    }
    let _ = (
        fulmar_sproto::generate::rust(&schema),
        fulmar_sproto::generate::lua(&schema),
    );
    assert_eq!(fulmar_sproto::compare(&schema, &schema), []);
}

/// Reads a bundle; what is one can be written and read again, and used.
pub fn sproto_bundle(data: &[u8]) {
    let Ok(schema) = Schema::from_bundle(data) else {
        return;
    };
    let bundle = schema.to_bundle();
    if !schema.types().is_empty() {
        let again = Schema::from_bundle(&bundle).expect("a bundle that was made can be read");
        assert_eq!(again.to_bundle(), bundle);
    }
    for of in schema.types() {
        let _ = schema.decode(of, data);
        let mut out = Vec::new();
        schema
            .encode(of, &Struct::new(), &mut out)
            .expect("nothing always fits");
    }
}

/// Decodes a message: the first byte chooses a schema, the second a type. Trees and views agree, and what was decoded can
/// be encoded, to what decodes alike.
pub fn sproto_decode(data: &[u8]) {
    let [schema, of, message @ ..] = data else { return };
    let schemas = schemas();
    let schema = &schemas[usize::from(*schema) % schemas.len()];
    let of = &schema.types()[usize::from(*of) % schema.types().len()];
    let decoded = schema.decode(of, message);
    let view = View::new(schema, of, message);
    assert_eq!(decoded.is_ok(), view.is_ok(), "{decoded:?} {view:?}");
    let (Ok((value, used)), Ok(view)) = (decoded, view) else {
        return;
    };
    assert_eq!(view.used(), used);
    for (_, shown) in view.iter() {
        let _ = (
            shown.as_integer(),
            shown.as_double(),
            shown.as_str(),
            shown.to_value(),
        );
        let _ = (
            shown.structs().map(Iterator::count),
            shown.strings().map(Iterator::count),
        );
    }
    let mut out = Vec::new();
    match schema.encode(of, &value, &mut out) {
        Ok(()) => {}
        // An empty structure one level too deep is read, but not written: so does the reference.
        Err(EncodeError::TooDeep) => return,
        Err(error) => panic!("what was decoded fits: {error}"),
    }
    let (again, used) = schema.decode(of, &out).expect("what was encoded can be decoded");
    assert_eq!(used, out.len());
    // Compared as text, since a NaN equals nothing; an integer with decimals may be rounded.
    if !has_decimals(schema) {
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
    }
}

fn has_decimals(schema: &Schema) -> bool {
    let mut fields = schema.types().iter().flat_map(|of| of.fields());
    fields.any(|field| matches!(field.kind(), fulmar_sproto::Kind::Decimal(_)))
}

/// Packs the bytes and unpacks them again, and unpacks them as they are.
pub fn sproto_unpack(data: &[u8]) {
    let mut packed = Vec::new();
    pack(data, &mut packed);
    assert!(packed.len() <= packed_bound(data.len()));
    let mut back = Vec::new();
    unpack(&packed, &mut back).expect("what was packed can be unpacked");
    assert_eq!(back.len(), data.len().next_multiple_of(8));
    assert!(back.starts_with(data));
    let mut out = Vec::new();
    let _ = unpack(data, &mut out);
    assert!(out.len() <= (8 * data.len().max(1)).min(MAX_MESSAGE_BYTES));
}

/// Dispatches a message to a host that waits for some answers.
pub fn sproto_rpc(data: &[u8]) {
    let schema = calls();
    let mut host = Host::new(Arc::clone(schema), "package").expect("the schema has a package");
    for session in 1..4 {
        let value = Struct::new().with("a", session);
        host.request(schema, "shop", Some(&value), Some(session), None)
            .expect("it is a request");
    }
    let Ok(incoming) = host.dispatch(data) else { return };
    match incoming {
        Incoming::Request(request) => {
            let _ = request.content.value();
            if let Some(responder) = request.responder {
                let protocol = schema.protocol_named(&request.name).expect("it was dispatched");
                let value = match protocol.response() {
                    Response::Type(_) => Some(Struct::new()),
                    Response::None | Response::Empty => None,
                };
                responder
                    .answer(value.as_ref(), None)
                    .expect("an answer can be made");
            }
        }
        Incoming::Response(reply) => {
            let _ = reply.content.value();
            assert!(!host.forget(reply.session), "an answer ends its session");
        }
    }
}

/// The schemas of the golden vectors.
fn schemas() -> &'static [Arc<Schema>] {
    static SCHEMAS: OnceLock<Vec<Arc<Schema>>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let text = include_str!("../../tests/vectors/sproto.json");
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.disable_recursion_limit();
        let vectors = serde_json::Value::deserialize(&mut reader).expect("the vectors are JSON");
        let texts = vectors["schemas"].as_array().expect("there are schemas").iter();
        texts
            .map(|case| parse(case["text"].as_str().unwrap_or_default(), "vectors").expect("it is a schema"))
            .filter(|schema| !schema.types().is_empty())
            .map(Arc::new)
            .collect()
    })
}

/// The schema of the golden calls.
fn calls() -> &'static Arc<Schema> {
    let found = schemas()
        .iter()
        .find(|schema| schema.protocol_named("shop").is_some() && schema.type_named("package").is_some());
    found.expect("the vectors have calls")
}
