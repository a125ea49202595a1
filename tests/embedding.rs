//! Nodes inside a program: two of them live in one process, share its arena and nothing else.

use std::collections::BTreeMap;
use std::fs;

use fulmar_lualib::boot;
use fulmar_lualib::config::Settings;
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
