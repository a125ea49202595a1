//! Where services and libraries come from: the config's paths, the binary, a skynet checkout; preload, own loaders; the
//! arena's limit.

use fulmar_tests::{Ended, Run, Scratch};
use rustix::param;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

/// A service that logs `words` and ends the node.
fn saying(words: &str) -> String {
    format!(
        "local skynet = require 'skynet' require 'skynet.manager'\n\
         skynet.start(function() skynet.error({words}) skynet.abort() end)"
    )
}

/// Runs the node that is described by `keys` to its end and wants `words` in its log.
fn log_has(scratch: &Scratch, keys: &[(&str, &str)], words: &str) -> Ended {
    let ended = scratch.node(keys).end().expect_code(0);
    assert!(ended.out.contains(words), "{words}: {}", ended.text());
    ended
}

/// A service of the binary's own, as a project might replace it.
const OWN_DATACENTER: &str = "
local skynet = require 'skynet'
skynet.error 'my own datacenter'
skynet.start(function() skynet.dispatch('lua', function() skynet.retpack 'mine' end) end)
";

const ASK_DATACENTER: &str = "skynet.call('DATACENTER', 'lua', 'QUERY', 'x') or 'nothing stored'";

#[test]
fn a_projects_own_service_wins_over_the_embedded_one() {
    let scratch = Scratch::new();
    scratch.write("main.lua", &saying(ASK_DATACENTER));
    log_has(&scratch, &[], "nothing stored");
    scratch.write("datacenterd.lua", OWN_DATACENTER);
    log_has(&scratch, &[], "] mine\n");
}

#[test]
fn a_stock_service_in_a_skynet_tree_gives_way() {
    let scratch = Scratch::new();
    scratch.write("main.lua", &saying(ASK_DATACENTER));
    scratch.write("skynet/service/launcher.lua", "error 'the launcher of the tree'");
    scratch.write("skynet/service/datacenterd.lua", OWN_DATACENTER);
    scratch.write("skynet/service/own.lua", &saying("'from the tree'"));
    let keys = [("luaservice", "./skynet/service/?.lua;./?.lua")];
    log_has(&scratch, &keys, "nothing stored");
    // what is no stock service comes from there as from anywhere
    let keys = [("luaservice", "./skynet/service/?.lua;./?.lua"), ("start", "own")];
    log_has(&scratch, &keys, "from the tree");
}

#[test]
fn libraries_of_the_engine_come_from_the_binary_unless_told_otherwise() {
    let scratch = Scratch::new();
    scratch.write("lualib/skynet/queue.lua", "return 'from a file'");
    scratch.write("lualib/my/lib.lua", "return 'my own'");
    scratch.write(
        "main.lua",
        &saying("type(require 'skynet.queue'), require 'my.lib'"),
    );
    let path = ("lua_path", "./lualib/?.lua;./lualib/?/init.lua");
    log_has(&scratch, &[path], "function my own");
    log_has(&scratch, &[path, ("fulmar_libraries", "files")], "string my own");
    log_has(
        &scratch,
        &[path, ("fulmar_libraries", "embedded")],
        "function my own",
    );
    scratch
        .node(&[path, ("fulmar_libraries", "sometimes")])
        .end()
        .expect_code(1);
}

#[test]
fn preload_runs_before_every_service_with_its_words() {
    let scratch = Scratch::new();
    scratch.write(
        "before.lua",
        "PRELOADED = table.concat({ ... }, '+') .. '@' .. SERVICE_NAME",
    );
    scratch.write(
        "main.lua",
        "local skynet = require 'skynet' require 'skynet.manager'\n\
         if ... then return skynet.start(function() skynet.error(PRELOADED) skynet.abort() end) end\n\
         skynet.start(function() skynet.newservice('main', 'a', 'b') end)",
    );
    log_has(&scratch, &[("preload", "./before.lua")], "main+a+b@main");
}

#[test]
fn a_preload_that_fails_is_logged_and_nothing_starts() {
    let scratch = Scratch::new();
    scratch.write("main.lua", &saying("'started'"));
    scratch.write("before.lua", "error 'the preload fails'");
    let node = scratch.node(&[("preload", "./before.lua")]);
    node.expect("the preload fails")
        .expect("[:00000002] KILL self")
        .signal(Signal::TERM);
    let ended = node.end().expect_code(0);
    assert!(!ended.out.contains("started"), "{}", ended.text());
}

#[test]
fn an_own_loader_is_used_and_one_in_a_skynet_tree_is_not() {
    let scratch = Scratch::new();
    scratch.write("main.lua", &saying("LOADED_BY or 'the embedded loader'"));
    let own = r#"
        LOADED_BY = "my loader"
        local words = {}
        for word in (...):gmatch "%S+" do words[#words + 1] = word end
        SERVICE_NAME = words[1]
        if SERVICE_NAME ~= "main" then error "only main, please" end
        require = require "skynet.require".require
        assert(loadfile "main.lua")(table.unpack(words, 2))
    "#;
    scratch.write(
        "tree/lualib/loader.lua",
        "LOADED_BY = 'the loader of a tree' error(LOADED_BY)",
    );
    scratch.write("tree/lualib/skynet.lua", "error 'the library of a tree'");
    log_has(
        &scratch,
        &[("lualoader", "./tree/lualib/loader.lua")],
        "the embedded loader",
    );
    log_has(
        &scratch,
        &[("lualoader", "./there/is/none.lua")],
        "the embedded loader",
    );
    scratch.write("own/loader.lua", own);
    // only main can load: it is the first service, and there is no launcher to tell
    let keys = [("lualoader", "./own/loader.lua"), ("bootstrap", "snlua main")];
    log_has(&scratch, &keys, "my loader");
}

#[test]
fn a_folder_of_its_own_is_on_the_module_path_first() {
    let scratch = Scratch::new();
    scratch.write(
        "part/main.lua",
        &saying("SERVICE_NAME, SERVICE_PATH, require 'beside', require 'elsewhere'"),
    );
    scratch.write("part/beside.lua", "return 'beside'");
    scratch.write("elsewhere.lua", "return 'elsewhere'");
    let keys = [("start", "part"), ("luaservice", "./?.lua;./?/main.lua")];
    log_has(&scratch, &keys, "part ./part/ beside elsewhere");
}

#[test]
fn a_full_arena_is_an_error_in_the_service_that_asks() {
    let scratch = Scratch::new();
    let greedy = r#"
        local skynet = require "skynet"
        require "skynet.manager"
        if ... == "sink" then
            skynet.start(function() skynet.dispatch("lua", function() skynet.wait() end) end)
            return
        end
        skynet.start(function()
            local kept = {}
            local ok, err = pcall(function()
                for i = 1, 1000 do kept[i] = { skynet.pack(("x"):rep(1 << 20) .. i) } end
            end)
            skynet.error("full:", ok, err)
            skynet.error("at least 30:", #kept >= 30, "at most 64:", #kept <= 64)
            for _, m in ipairs(kept) do skynet.trash(m[1], m[2]) end
            kept = nil
            collectgarbage()
            local again = pcall(function() skynet.trash(skynet.pack(("y"):rep(1 << 20))) end)
            skynet.error("again:", again)
            skynet.error("too large:", pcall(skynet.pack, ("z"):rep(1 << 27)))
        end)
        skynet.timeout(10, function()
            skynet.error "still here"
            skynet.abort()
        end)
    "#;
    scratch.write("main.lua", greedy);
    let ended = scratch.node(&[("fulmar_arena_limit", "64")]).end().expect_code(0);
    for words in [
        "full: false",
        "at least 30: true at most 64: true",
        "again: true",
        "too large: false",
        "still here",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.text());
    }
}

#[test]
fn two_nodes_of_one_folder_do_not_meet() {
    let scratch = Scratch::new();
    scratch.write("main.lua", &saying("'one of two'"));
    scratch.config(&[]);
    let both: Vec<Run> = (0..2).map(|_| scratch.start(&["run", "config"])).collect();
    for node in both {
        assert!(node.end().expect_code(0).out.contains("one of two"));
    }
}

#[test]
fn services_start_without_a_mapping_for_their_copies() {
    let scratch = Scratch::new();
    scratch.write(
        "main.lua",
        r#"
        local skynet = require "skynet"
        require "skynet.manager"
        if ... then return skynet.start(function() end) end
        skynet.start(function()
            skynet.fork(function()
                skynet.newservice(SERVICE_NAME, "first")
                skynet.error "waiting"
                while not io.open "go" do skynet.sleep(1) end
                local started = 0
                for i = 1, 40 do
                    started = started + (pcall(skynet.newservice, SERVICE_NAME, i) and 1 or 0)
                end
                skynet.error(("%d started"):format(started))
                skynet.abort()
            end)
        end)
        "#,
    );
    let node = scratch.node(&[]);
    node.expect("waiting");
    // The node has what it has mapped, and gets nothing that is as long as room for several copies.
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", node.id())).unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let bytes = Some(pages * param::page_size() as u64 + (128 << 10));
    let pid = Pid::from_raw(i32::try_from(node.id()).unwrap());
    let limit = Rlimit {
        current: bytes,
        maximum: bytes,
    };
    prlimit(pid, Resource::As, limit).unwrap();
    scratch.write("go", "");
    node.expect("40 started");
    node.end().expect_code(0);
}
