//! The keys that some part of the system reads. An unknown key is legal, it is how programs pass their own settings;
//! the list serves `fulmar check`, which points out those that look misspelt, and the documentation.

/// A config key and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct KnownKey {
    /// The key.
    pub name: &'static str,
    /// What it sets, in a few words.
    pub purpose: &'static str,
}

/// Every key that the engine, its libraries or its stock services read, in alphabetical order.
pub const KNOWN_KEYS: &[KnownKey] = &[
    key("address", "this node's ip:port for other nodes"),
    key("bootstrap", "the first service"),
    key("certfile", "TLS certificate of http and websocket servers"),
    key("cluster", "Lua file with the cluster's nodes"),
    key("cpath", "where native services are looked for"),
    key("daemon", "pid file; its presence detaches the process"),
    key("enablessl", "prepare TLS at start"),
    key("fulmar_arena_limit", "most MiB that messages may occupy"),
    key(
        "fulmar_arena_reserve",
        "MiB of address space set aside for messages",
    ),
    key(
        "fulmar_console_token",
        "what connections to debug_console must show",
    ),
    key(
        "fulmar_libraries",
        "\"files\": a project's libraries win over the built-in ones",
    ),
    key("harbor", "this node's number, 0 when it is alone"),
    key("keyfile", "TLS key of http and websocket servers"),
    key("logger", "log file, or the log service's argument"),
    key("logpath", "folder for message logs"),
    key("logservice", "the service that logs"),
    key("lua_cpath", "where Lua C modules are looked for"),
    key("lua_path", "where Lua modules are looked for"),
    key("lualoader", "the Lua file that loads every service"),
    key("luaservice", "where Lua services are looked for"),
    key("master", "address of the master node"),
    key("mqueue", "ignored: a setting of old versions"),
    key("preload", "Lua file that runs before every service"),
    key("profile", "count processor time per service"),
    key("snax", "where snax services are looked for"),
    key("snax_interface_g", "module with the globals of snax interfaces"),
    key("snax_loader", "Lua file that loads snax services"),
    key("standalone", "this node is the master, at this address"),
    key("start", "the service launched last"),
    key("thread", "worker threads"),
];

const fn key(name: &'static str, purpose: &'static str) -> KnownKey {
    KnownKey { name, purpose }
}
