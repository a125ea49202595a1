//! To be written.

pub mod seri;
