//! The Lua host of Fulmar: services written in Lua, with skynet's API.
//!
//! [`boot`] makes an engine whose `snlua` module runs Lua services; [`exec`] runs one script. The Lua libraries and stock
//! services live inside this crate (`lua/`, `service/`), their definitions for editors in `meta/`.
//!
//! Inside: a `vm` per service, the coroutine scheduler in `tasks`, the message format in `seri`, the functions that
//! Lua code sees in `core` and its neighbours. `stack` is the one place that knows how Lua errors cross Rust.

#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "raw Lua stack code: one note per function states the shape of the stack"
)]

mod boxed;
mod buffers;
mod client_socket;
mod code_cache;
pub mod config;
mod core;
pub mod crypt;
pub mod data;
pub mod dns;
mod embedded;
mod facts;
mod image;
mod late;
mod launch;
mod library;
mod lines;
mod loader;
mod manager;
mod md5;
mod memory;
mod memory_module;
mod names;
mod netpack;
mod node;
mod profile;
mod random;
mod raw;
mod read_buffer;
pub mod seri;
mod signal;
mod snlua;
mod socket_options;
mod socketdriver;
mod sproto;
mod stack;
mod stm;
mod tables;
mod tasks;
mod vm;
mod watch;

pub use node::{
    BootError, Script, boot, boot_deterministic, boot_with, compile, exec, is_embedded_service,
    is_native_service, lua_version,
};
pub use tables::Tables;
