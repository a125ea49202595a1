//! Fulmar: services that exchange pointers to shared, reference-counted buffers instead of copies.
//!
//! This crate is the face of the workspace. A Rust program takes [`engine`] for services, handles and messages and
//! [`arena`] for the buffers they carry; with the feature `lua` (on by default) [`lualib`] runs Lua services with
//! skynet's API beside them. [`stm`] publishes what many read; [`sharedata`] holds tables that Rust and Lua read in place and
//! follow (`lualib::Tables`); [`sproto`] speaks to the world. The `fulmar` binary is built from the same parts.
//!
//! ```
//! use fulmar::prelude::*;
//!
//! let buffer = Arena::process().loan(5, 0).expect("five bytes fit");
//! assert_eq!(buffer.len(), 5);
//! ```

#![forbid(unsafe_code)]

pub use fulmar_arena as arena;
pub use fulmar_engine as engine;
#[cfg(feature = "lua")]
pub use fulmar_lualib as lualib;
pub use fulmar_sharedata as sharedata;
pub use fulmar_sproto as sproto;
pub use fulmar_stm as stm;

/// What most programs need, in one `use`.
pub mod prelude {
    pub use fulmar_arena::{Arena, ArenaConfig, Buf, BufMut};
    pub use fulmar_engine::{
        Body, Context, Engine, Handle, Message, MessageType, Module, Payload, Service, ServiceOptions,
    };
}

/// The README's Rust is compiled and run with the doc examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
