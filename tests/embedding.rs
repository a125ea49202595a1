//! Nodes inside a program: two of them live in one process, share its arena and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fulmar_engine::{Body, Context, Message, MessageType, Module, Service, StartError};
use fulmar_lualib::config::Settings;
use fulmar_lualib::{Tables, boot, boot_with};
use fulmar_sharedata::Watcher;
use fulmar_tests::Scratch;

/// Names, settings and files are each node's own: both use the same ones.
const MAIN: &str = r#"
local skynet = require "skynet"
require "skynet.manager"
if ... == "echo" then
    skynet.start(function()
        skynet.register ".echo"
        skynet.dispatch("lua", function(_, _, ...) skynet.retpack(skynet.getenv "who", ...) end)
    end)
    return
end
skynet.start(function()
    skynet.newservice(SERVICE_NAME, "echo")
    skynet.setenv("set_here", "by " .. skynet.getenv "who")
    for i = 1, 2000 do
        local who, n, text = skynet.call(".echo", "lua", i, ("x"):rep(i))
        assert(who == skynet.getenv "who" and n == i and #text == i)
    end
    skynet.error(skynet.getenv "who", "came to the end,", skynet.getenv "set_here", skynet.self())
    skynet.abort()
end)
"#;

#[test]
fn two_nodes_live_in_one_process() {
    let scratch = Scratch::new();
    scratch.write("main.lua", MAIN);
    let templates = format!("{}/?.lua", scratch.path().display());
    let node = |who: &str| {
        let log = scratch.path().join(who);
        let keys = [
            ("harbor", "0"),
            ("thread", "2"),
            ("who", who),
            ("luaservice", templates.as_str()),
            (
                "logger",
                log.to_str().expect("the temporary folder's path is text"),
            ),
        ];
        let values = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings::new(BTreeMap::from(values)).expect("the keys above are good");
        (boot(&settings).expect("a node of embedded services boots"), log)
    };
    let nodes = [node("one"), node("two")];
    for (engine, _) in &nodes {
        engine.start();
    }
    for ((engine, log), who) in nodes.iter().zip(["one", "two"]) {
        engine.wait();
        let log = fs::read_to_string(log).expect("the logger made its file");
        assert!(
            log.contains(&format!("{who} came to the end, by {who} 8")),
            "{log}"
        );
    }
}

#[test]
fn a_node_can_be_made_again_and_again() {
    let scratch = Scratch::new();
    scratch.write(
        "main.lua",
        "local s = require 'skynet' require 'skynet.manager' s.start(function() s.abort() end)",
    );
    let templates = format!("{}/?.lua", scratch.path().display());
    let log = scratch.path().join("log");
    for _ in 0..20 {
        let keys = [
            ("harbor", "0"),
            ("thread", "2"),
            ("luaservice", templates.as_str()),
            (
                "logger",
                log.to_str().expect("the temporary folder's path is text"),
            ),
        ];
        let values = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings::new(BTreeMap::from(values)).expect("the keys above are good");
        let engine = boot(&settings).expect("a node of embedded services boots");
        engine.start();
        engine.wait();
    }
    let log = fs::read_to_string(log).expect("the logger made its file");
    assert_eq!(log.matches("LAUNCH snlua main").count(), 20, "{log}");
}

/// Settings of a node whose services are in the folder, and its log.
fn settings(scratch: &Scratch) -> (Settings, PathBuf) {
    let log = scratch.path().join("log");
    let keys = [
        ("harbor", "0".to_owned()),
        ("luaservice", format!("{}/?.lua", scratch.path().display())),
        ("logger", log.display().to_string()),
    ];
    let values = keys.map(|(key, value)| (key.to_owned(), value));
    let settings = Settings::new(BTreeMap::from(values)).expect("the keys above are good");
    (settings, log)
}

/// A native service that panics: in its start, or at its first message, before it has said that it runs.
struct Panics;

impl Module for Panics {
    fn create(&self) -> Box<dyn Service> {
        Box::new(Panics)
    }
}

impl Service for Panics {
    fn start(&mut self, context: &Context, arguments: &str) -> Result<(), StartError> {
        assert_ne!(arguments, "start");
        let first = context.send(context.handle(), MessageType::TEXT, 0, Body::Empty);
        first.map_err(|error| StartError::new(error.to_string()))
    }

    fn receive(&mut self, _context: &Context, _message: Message) {
        panic!("at its first message");
    }
}

#[test]
fn who_waits_for_a_service_that_panics_gets_an_error() {
    let scratch = Scratch::new();
    scratch.write(
        "main.lua",
        r#"
        local skynet = require "skynet"
        require "skynet.manager"
        skynet.start(function()
            skynet.timeout(500, skynet.abort)
            for _, when in ipairs { "start", "receive" } do
                local ok, err = pcall(skynet.call, ".launcher", "lua", "LAUNCH", "panics", when)
                skynet.error(("at %s: %s %s"):format(when, ok, err))
            end
            local left = 0
            for _, line in pairs(skynet.call(".launcher", "lua", "LIST")) do
                left = left + (line:find "panics" and 1 or 0)
            end
            skynet.error(("%d left"):format(left))
            skynet.abort()
        end)
        "#,
    );
    let (settings, log) = settings(&scratch);
    let engine = boot(&settings).expect("a node of embedded services boots");
    engine.register_module("panics", Arc::new(Panics));
    engine.start();
    engine.wait();
    let log = fs::read_to_string(log).expect("the logger made its file");
    for words in ["at start: false", "at receive: false", "call failed", "0 left"] {
        assert!(log.contains(words), "{words} is not in {log}");
    }
}

/// Follows a table that Rust publishes, and says in one of its own what it has seen.
const FOLLOWER: &str = r#"
local skynet = require "skynet"
require "skynet.manager"
local sharedata = require "skynet.sharedata"
skynet.start(function()
    local items = sharedata.query "items"
    local row = items.row
    sharedata.listen("items", function(keys)
        sharedata.update("seen", { n = row.n, keys = keys })
        if items.last then
            skynet.abort()
        end
    end)
    sharedata.new("seen", { n = row.n })
end)
"#;

#[test]
fn rust_and_lua_follow_each_others_tables() {
    let scratch = Scratch::new();
    scratch.write("main.lua", FOLLOWER);
    let (settings, log) = settings(&scratch);
    let tables = Tables::new();
    let items = serde_json::json!({ "row": { "n": 0, "text": "x" }, "other": [1, 2, 3] });
    let items = tables.store().build(&items).unwrap();
    tables.registry().publish("items", items);
    let mut seen = tables.registry().watch("seen");
    let engine = boot_with(&settings, tables.clone()).expect("a node of embedded services boots");
    engine.start();

    let next = |seen: &mut Watcher| match seen.wait(Duration::from_secs(60)) {
        Some(change) => change.new.expect("nobody takes it away"),
        None => panic!(
            "the service is silent: {}",
            fs::read_to_string(&log).unwrap_or_default()
        ),
    };
    let first = next(&mut seen);
    assert_eq!(first.get("n").unwrap().as_i64(), Some(0));
    for n in 1..=50 {
        let path = ["row".into(), "n".into()];
        tables.registry().patch("items", &path, Some(n.into())).unwrap();
        let answer = next(&mut seen);
        assert_eq!(answer.get("n").unwrap().as_i64(), Some(n));
        let keys: Vec<&str> = answer.get("keys").unwrap().deserialize().unwrap();
        assert_eq!(keys, ["row"]);
    }
    tables
        .registry()
        .patch("items", &["last".into()], Some(true.into()))
        .unwrap();
    engine.wait();
}
