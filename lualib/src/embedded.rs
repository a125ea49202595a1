//! The Lua libraries and services that live inside the binary.

/// One Lua file.
pub(crate) struct Embedded {
    /// Module or service name.
    pub(crate) name: &'static str,
    /// What Lua calls the chunk in positions.
    pub(crate) chunk: &'static str,
    pub(crate) source: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The library with this module name.
pub(crate) fn library(name: &str) -> Option<&'static Embedded> {
    find(LIBRARIES, name)
}

/// The stock service with this name.
pub(crate) fn service(name: &str) -> Option<&'static Embedded> {
    find(SERVICES, name)
}

fn find(table: &'static [Embedded], name: &str) -> Option<&'static Embedded> {
    table
        .binary_search_by(|entry| entry.name.cmp(name))
        .ok()
        .map(|place| &table[place])
}
