//! sproto: the protocol that skynet servers speak with their clients.
//!
//! A *schema* ([`parse`]) names types and protocols. A value of a type becomes a *message*, a compact form whose fields are
//! known by small numbers, so that old and new programs understand each other; *zero-packing* ([`pack`]) then takes the zeros
//! out. Every byte is as the reference implementation writes it.
//!
//! ```
//! use fulmar_sproto::{Struct, pack, parse, unpack};
//!
//! let schema = parse(".Person { name 0 : string  age 1 : integer }", "people.sproto")?;
//! let person = schema.type_named("Person").expect("the schema has it");
//!
//! let mut message = Vec::new();
//! schema.encode(person, &Struct::new().with("name", "Alice").with("age", 13), &mut message)?;
//! let mut packed = Vec::new();
//! pack(&message, &mut packed);
//!
//! let mut received = Vec::new();
//! unpack(&packed, &mut received)?;
//! let (alice, _) = schema.decode(person, &received)?;
//! assert_eq!(alice.get("age"), Some(&13.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | for | see |
//! |---|---|
//! | schemas, from text or bundle | [`parse`], [`Schema`] |
//! | Rust types from schemas | [`generate`] |
//! | what a new version of a schema breaks | [`compare`] |
//! | Rust types | [`Sproto`] and its derive macro |
//! | values as trees | [`Schema::encode`], [`Schema::decode`], [`Value`] |
//! | serde, JSON (feature `serde`) | `serde` |
//! | messages read in place | [`View`] |
//! | a codec of one's own, without trees | [`wire`] |
//! | calls | [`Host`] |
//! | zero-packing | [`pack`], [`unpack`]; in pieces [`Packer`], [`Unpacker`] |
//!
//! Bytes from strangers are read safely: every length is compared with what is there, nesting is bounded, and memory grows
//! with the input, never with what it announces.

#![forbid(unsafe_code)]

// So that derived code in this crate's own tests and examples finds it.
extern crate self as fulmar_sproto;

mod bundle;
mod compare;
pub mod derived;
mod error;
pub mod generate;
mod pack;
mod parser;
mod rpc;
mod schema;
#[cfg(feature = "serde")]
pub mod serde;
mod stream;
mod value;
mod view;
pub mod wire;

pub use compare::{Change, compare};
pub use derived::Sproto;
pub use error::{
    BundleError, DecodeCause, DecodeError, EncodeError, ParseError, Reason, RpcError, UnpackError, WireError,
};
pub use fulmar_sproto_derive::Sproto;
pub use pack::{pack, packed_bound, unpack};
pub use parser::parse;
pub use rpc::{Call, Content, Host, Incoming, Reply, Request, Responder};
pub use schema::{Field, Kind, MAX_TAG, Protocol, Response, Schema, Shape, Type};
pub use stream::{Packer, Unpacker};
pub use value::{Struct, Value};
pub use view::{View, ViewValue};

/// The most structures inside each other.
pub const MAX_DEPTH: usize = 64;

/// The most bytes of a message, packed or not.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;
