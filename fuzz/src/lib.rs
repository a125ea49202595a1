//! What strangers can send, one operation per entrance. Each takes any bytes, and panics where a promise is broken.
//!
//! libFuzzer drives them (`cargo fuzz run -s none --features fuzzer TARGET`); a test replays the corpus of each.

mod config;
mod crypt;
mod dns;
mod frame;
mod frames;
mod image;
mod login;
mod seri;
mod sproto;

pub use config::config;
pub use crypt::crypt;
pub use dns::dns;
pub use frame::frame;
pub use frames::frames;
pub use image::image;
pub use login::login;
pub use seri::seri;
pub use sproto::{sproto_bundle, sproto_decode, sproto_parser, sproto_rpc, sproto_unpack};

/// An operation on any bytes.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("config", config),
    ("crypt", crypt),
    ("dns", dns),
    ("frame", frame),
    ("frames", frames),
    ("image", image),
    ("login", login),
    ("seri", seri),
    ("sproto_bundle", sproto_bundle),
    ("sproto_decode", sproto_decode),
    ("sproto_parser", sproto_parser),
    ("sproto_rpc", sproto_rpc),
    ("sproto_unpack", sproto_unpack),
];
