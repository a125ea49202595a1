//! An address book of ten people as sproto, in each of the crate's faces, and as an equivalent protobuf message by prost.
//!
//! Every result is checked before anything is timed.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fulmar_sproto::{Sproto, View, pack, parse, unpack};
use prost::Message;

/// The allocator of the `fulmar` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Sproto, Clone, Default, Debug, PartialEq)]
struct PhoneNumber {
    #[sproto(tag = 0)]
    number: String,
    #[sproto(tag = 1, name = "type")]
    kind: i64,
}

#[derive(Sproto, Clone, Default, Debug, PartialEq)]
struct Person {
    #[sproto(tag = 0)]
    name: String,
    #[sproto(tag = 1)]
    id: i64,
    #[sproto(tag = 2)]
    email: String,
    #[sproto(tag = 3)]
    phone: Vec<PhoneNumber>,
    #[sproto(tag = 4)]
    score: f64,
    #[sproto(tag = 5)]
    on: bool,
}

#[derive(Sproto, Clone, Default, Debug, PartialEq)]
struct AddressBook {
    #[sproto(tag = 0)]
    person: Vec<Person>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoPhone {
    #[prost(string, tag = "1")]
    number: String,
    #[prost(int64, tag = "2")]
    kind: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoPerson {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "2")]
    id: i64,
    #[prost(string, tag = "3")]
    email: String,
    #[prost(message, repeated, tag = "4")]
    phone: Vec<ProtoPhone>,
    #[prost(double, tag = "5")]
    score: f64,
    #[prost(bool, tag = "6")]
    on: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoBook {
    #[prost(message, repeated, tag = "1")]
    person: Vec<ProtoPerson>,
}

fn book() -> AddressBook {
    let person = |i: i64| Person {
        name: format!("Person {i}"),
        id: 10000 + i,
        email: format!("p{i}@example.com"),
        phone: vec![
            PhoneNumber {
                number: "123456789".into(),
                kind: 1,
            },
            PhoneNumber {
                number: format!("87654321{i}"),
                kind: 2,
            },
        ],
        score: i as f64 * 1.25,
        on: true,
    };
    AddressBook {
        person: (1..=10).map(person).collect(),
    }
}

fn proto(book: &AddressBook) -> ProtoBook {
    let phone = |phone: &PhoneNumber| ProtoPhone {
        number: phone.number.clone(),
        kind: phone.kind,
    };
    let person = |person: &Person| ProtoPerson {
        name: person.name.clone(),
        id: person.id,
        email: person.email.clone(),
        phone: person.phone.iter().map(phone).collect(),
        score: person.score,
        on: person.on,
    };
    ProtoBook {
        person: book.person.iter().map(person).collect(),
    }
}

fn address_book(c: &mut Criterion) {
    let book = book();
    let proto = proto(&book);
    let bytes = book.to_bytes().unwrap();
    let proto_bytes = proto.encode_to_vec();
    let schema = parse(&AddressBook::schema_text(), "book").unwrap();
    let of = schema.type_named("AddressBook").unwrap();
    let (tree, _) = schema.decode(of, &bytes).unwrap();
    let mut packed = Vec::new();
    pack(&bytes, &mut packed);
    assert_eq!(AddressBook::decode(&bytes).unwrap().0, book);
    assert_eq!(ProtoBook::decode(&proto_bytes[..]).unwrap(), proto);

    let mut out = Vec::with_capacity(4096);
    let mut group = c.benchmark_group("encode");
    group.bench_function("sproto derived", |b| {
        b.iter(|| {
            out.clear();
            black_box(&book).encode(&mut out).unwrap();
        });
    });
    group.bench_function("prost", |b| {
        b.iter(|| {
            out.clear();
            black_box(&proto).encode(&mut out).unwrap();
        });
    });
    group.bench_function("sproto tree", |b| {
        b.iter(|| {
            out.clear();
            schema.encode(of, black_box(&tree), &mut out).unwrap();
        });
    });
    group.finish();

    let mut group = c.benchmark_group("decode");
    group.bench_function("sproto derived", |b| {
        b.iter(|| AddressBook::decode(black_box(&bytes)).unwrap())
    });
    group.bench_function("prost", |b| {
        b.iter(|| ProtoBook::decode(black_box(&proto_bytes[..])).unwrap())
    });
    group.bench_function("sproto tree", |b| {
        b.iter(|| schema.decode(of, black_box(&bytes)).unwrap())
    });
    group.bench_function("sproto view, check and one field", |b| {
        b.iter(|| {
            let view = View::new(&schema, of, black_box(&bytes)).unwrap();
            view.get("person")
                .unwrap()
                .structs()
                .unwrap()
                .next()
                .unwrap()
                .get("id")
                .unwrap()
                .as_integer()
        });
    });
    group.finish();

    let mut group = c.benchmark_group("zero-packing");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("pack", |b| {
        b.iter(|| {
            out.clear();
            pack(black_box(&bytes), &mut out);
        });
    });
    group.bench_function("unpack", |b| {
        b.iter(|| {
            out.clear();
            unpack(black_box(&packed), &mut out).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, address_book);
criterion_main!(benches);
