//! The Lua host of Fulmar.

pub mod config;
pub mod seri;
