//! The command line with nodes that run: what they print, how they end, what signals do. `exec` has a file of its own;
//! what `check` says and how broken configs are told is tested beside the command line itself.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fulmar_tests::{LIMIT, Run, Scratch};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Ends the node at once.
const ABORT: &str = r#"
local skynet = require "skynet"
require "skynet.manager"
skynet.start(function() skynet.abort() end)
"#;

/// Says that it runs, and goes on.
const STAY: &str = r#"
local skynet = require "skynet"
skynet.start(function() skynet.error "here I am" end)
"#;

/// Has a service that says when it is closed, and one that never gives its worker back.
const SPIN: &str = r#"
local skynet = require "skynet"
if ... == "other" then
    KEPT = setmetatable({}, { __gc = function() skynet.error "released" end })
    skynet.start(function() end)
    return
end
skynet.start(function()
    skynet.newservice(SERVICE_NAME, "other")
    skynet.fork(function()
        skynet.error "spinning"
        while true do end
    end)
end)
"#;

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let last = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < last, "did not come true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_node_boots_in_skynets_order() {
    let scratch = Scratch::new();
    scratch.write("main.lua", STAY);
    let node = scratch.node(&[("thread", "1")]);
    node.expect("here I am").expect("KILL self");
    node.signal(Signal::TERM);
    let out = node.end().out;
    let mut launches: Vec<&str> = out.lines().filter(|line| line.contains("LAUNCH")).collect();
    launches.sort_unstable();
    assert_eq!(
        launches,
        [
            "[:00000002] LAUNCH snlua bootstrap",
            "[:00000003] LAUNCH snlua launcher",
            "[:00000004] LAUNCH snlua cdummy",
            "[:00000005] LAUNCH harbor 0 4",
            "[:00000006] LAUNCH snlua datacenterd",
            "[:00000007] LAUNCH snlua service_mgr",
            "[:00000008] LAUNCH snlua main",
        ]
    );
    assert!(out.contains("[:00000002] KILL self\n"), "{out}");
    assert!(out.contains("[:00000008] here I am\n"), "{out}");
}

#[test]
fn abort_ends_a_node_with_0() {
    let scratch = Scratch::new();
    scratch.write("main.lua", ABORT);
    scratch.node(&[]).end().expect_code(0);
}

#[test]
fn a_node_whose_services_have_all_ended_ends_with_0() {
    let scratch = Scratch::new();
    // everything but the harbor, which does not count: the highest handle is the program's own
    let end = r#"
        local skynet = require "skynet"
        require "skynet.manager"
        skynet.start(function()
            for handle = 1, skynet.self() - 1 do skynet.kill(handle) end
            skynet.exit()
        end)
    "#;
    scratch.write("main.lua", end);
    scratch.node(&[]).end().expect_code(0);
}

#[test]
fn a_broken_start_service_leaves_a_node_that_runs() {
    let scratch = Scratch::new();
    scratch.write("main.lua", "error 'the main service fails'");
    let node = scratch.node(&[]);
    node.expect("the main service fails").expect("KILL self");
    node.signal(Signal::TERM);
    node.end();
}

#[test]
fn no_bootstrap_no_node() {
    let scratch = Scratch::new();
    let ended = scratch
        .node(&[("bootstrap", "no_such_module x")])
        .end()
        .expect_code(1);
    assert!(
        ended.text().contains("Bootstrap error : no_such_module x"),
        "{}",
        ended.text()
    );
    let ended = scratch
        .node(&[("logservice", "no_such_module")])
        .end()
        .expect_code(1);
    assert!(
        ended.err.contains("Can't launch no_such_module service"),
        "{}",
        ended.text()
    );
    let ended = scratch
        .node(&[("logger", "no/such/folder/log")])
        .end()
        .expect_code(1);
    assert!(
        ended.err.contains("Can't launch logger service"),
        "{}",
        ended.text()
    );
}

#[test]
fn a_log_service_that_cannot_start_says_so_itself() {
    let scratch = Scratch::new();
    scratch.write("main.lua", ABORT);
    let ended = scratch
        .node(&[("logservice", "snlua"), ("logger", "no_such_logger")])
        .end()
        .expect_code(0);
    assert!(ended.err.contains("no_such_logger"), "{}", ended.text());
}

#[test]
fn tls_is_set_up_by_a_service_of_its_own() {
    let scratch = Scratch::new();
    scratch.write("main.lua", ABORT);
    // in place of the module in C
    scratch.write(
        "ltls/init/c.lua",
        "return { constructor = function() require 'skynet'.error 'tls is ready' end }",
    );
    let ended = scratch
        .node(&[("enablessl", "true"), ("lua_path", "./?.lua")])
        .end()
        .expect_code(0);
    assert!(ended.out.contains("tls is ready"), "{}", ended.text());
}

#[test]
fn a_bootstrap_that_refuses_ends_itself() {
    let scratch = Scratch::new();
    let node = scratch.node(&[("standalone", "127.0.0.1:1")]);
    node.expect("init service failed: ")
        .expect("[:00000002] KILL self");
    node.signal(Signal::TERM);
    node.end().expect_code(0);
}

#[test]
fn a_log_file_has_the_time_and_the_handle() {
    let scratch = Scratch::new();
    scratch.write(
        "main.lua",
        r#"
        local skynet = require "skynet"
        require "skynet.manager"
        skynet.start(function()
            skynet.error("one", 2, 2.5, true, nil, "\nsecond line")
            skynet.error()
            skynet.abort()
        end)
        "#,
    );
    let ended = scratch.node(&[("logger", "node.log")]).end().expect_code(0);
    assert_eq!(ended.out, "");
    let log = scratch.read("node.log");
    let line = log
        .lines()
        .find(|line| line.contains("one 2 2.5 true nil"))
        .unwrap_or_else(|| panic!("{log}"));
    let shape: String = line
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    assert_eq!(shape, "99/99/99 99:99:99.99 [:99999999] one 9 9.9 true nil ");
    assert!(log.contains("\nsecond line\n"), "{log}");
    assert!(
        log.lines().any(|line| line.ends_with("] nil")),
        "no argument is nil: {log}"
    );
}

#[test]
fn every_line_before_the_end_is_logged() {
    let scratch = Scratch::new();
    let flood = r#"
        local skynet = require "skynet"
        require "skynet.manager"
        skynet.start(function()
            for i = 1, 20000 do skynet.error("line " .. i) end
            skynet.abort()
        end)
    "#;
    scratch.write("main.lua", flood);
    let ended = scratch.node(&[]).end().expect_code(0);
    let lines = ended.out.lines().filter_map(|line| line.split("] line ").nth(1));
    assert!(
        lines.eq((1..=20000).map(|i: u32| i.to_string())),
        "all of them, in order"
    );
}

#[test]
fn the_command_line_wins_over_the_config() {
    let scratch = Scratch::new();
    let tell = r#"
        local skynet = require "skynet"
        require "skynet.manager"
        skynet.start(function()
            skynet.error("threads " .. skynet.getenv "thread")
            skynet.abort()
        end)
    "#;
    scratch.write("main.lua", tell);
    scratch.config(&[("logger", "from_config.log"), ("thread", "2")]);
    scratch
        .start(&["run", "config", "--threads", "3", "--log", "given.log"])
        .end()
        .expect_code(0);
    assert!(scratch.read("given.log").contains("threads 3"));
    assert_eq!(scratch.read("from_config.log"), "");
    scratch
        .start(&["run", "--threads", "0", "config"])
        .end()
        .expect_code(2);
}

#[test]
fn unknown_keys_are_settings_of_the_program() {
    let scratch = Scratch::new();
    let tell = r#"
        local skynet = require "skynet"
        require "skynet.manager"
        skynet.start(function()
            skynet.error(skynet.getenv "my_own_key", skynet.getenv "threads", skynet.getenv "profile", skynet.getenv "nothing")
            skynet.abort()
        end)
    "#;
    scratch.write("main.lua", tell);
    let ended = scratch
        .node(&[("my_own_key", "mine"), ("threads", "nearly")])
        .end()
        .expect_code(0);
    assert!(ended.out.contains("mine nearly true nil"), "{}", ended.text());
}

#[test]
fn the_first_signal_ends_in_order_and_runs_finalizers() {
    for signal in [Signal::INT, Signal::TERM] {
        let scratch = Scratch::new();
        let stay = r#"
            local skynet = require "skynet"
            KEPT = setmetatable({}, { __gc = function() skynet.error "released" end })
            skynet.start(function() skynet.error "here I am" end)
        "#;
        scratch.write("main.lua", stay);
        let node = scratch.node(&[]);
        node.expect("here I am").signal(signal);
        let ended = node.end().expect_code(0);
        assert!(ended.out.contains("released"), "{}", ended.text());
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    let scratch = Scratch::new();
    scratch.write("main.lua", SPIN);
    let node = scratch.node(&[]);
    node.expect("spinning").signal(Signal::INT);
    // Two signals at once would count as one.
    node.expect("released");
    node.signal(Signal::INT);
    let ended = node.end();
    assert_eq!(ended.code(), Some(128 + 2), "{}", ended.text());
}

#[test]
fn sighup_reopens_the_log_file() {
    let scratch = Scratch::new();
    let talk = r#"
        local skynet = require "skynet"
        local n = 0
        local function talk()
            n = n + 1
            skynet.error("line " .. n)
            skynet.timeout(1, talk)
        end
        skynet.start(talk)
    "#;
    scratch.write("main.lua", talk);
    let node = scratch.node(&[("logger", "node.log")]);
    wait_for("the log has lines", || {
        scratch.read("node.log").contains("line 1")
    });
    fs::rename(scratch.path().join("node.log"), scratch.path().join("old.log"))
        .expect("rename in our folder");
    node.signal(Signal::HUP);
    wait_for("a new log is there", || {
        scratch.read("node.log").contains("line ")
    });
    node.signal(Signal::TERM);
    node.end().expect_code(0);
    let both = scratch.read("old.log") + &scratch.read("node.log");
    let lines = both
        .lines()
        .filter_map(|line| line.split("] line ").nth(1))
        .enumerate();
    for (i, line) in lines {
        assert_eq!(line, (i + 1).to_string(), "no line is lost between the two files");
    }
}

#[test]
fn a_lua_log_service_hears_of_sighup() {
    let scratch = Scratch::new();
    let log = r#"
        local skynet = require "skynet"
        require "skynet.manager"
        local function say(line) io.stdout:write(line, "\n") io.stdout:flush() end
        skynet.register_protocol {
            name = "text", id = skynet.PTYPE_TEXT, unpack = skynet.tostring,
            dispatch = function(_, source, line) say(skynet.address(source) .. " says " .. line) end,
        }
        skynet.register_protocol {
            name = "system", id = skynet.PTYPE_SYSTEM, unpack = function() end,
            dispatch = function() say "told to reopen" end,
        }
        skynet.start(function() end)
    "#;
    scratch.write("my_log.lua", log);
    scratch.write("main.lua", STAY);
    let node = scratch.node(&[("logservice", "snlua"), ("logger", "my_log")]);
    node.expect(":00000008 says here I am").signal(Signal::HUP);
    node.expect("told to reopen").signal(Signal::TERM);
    node.end().expect_code(0);
}

#[test]
fn nothing_in_a_pipe_is_coloured_but_the_errors_skynet_colours() {
    let scratch = Scratch::new();
    let ended = scratch
        .exec("local s = require 'skynet' s.start(function() s.error 'plain' s.exit() end)")
        .end();
    assert!(!ended.text().contains('\x1b'), "{}", ended.text());
    let ended = scratch.exec("this is not Lua").end();
    assert!(!ended.err.contains('\x1b'), "{}", ended.text());
}

#[test]
fn a_daemon_that_cannot_write_its_pid_does_not_start() {
    let scratch = Scratch::new();
    scratch.write("main.lua", STAY);
    let ended = scratch
        .node(&[("daemon", "no/such/folder/pid")])
        .end()
        .expect_code(1);
    assert!(
        ended.err.contains("cannot write the pid file"),
        "{}",
        ended.text()
    );
}

#[test]
fn a_daemon_detaches_writes_its_pid_and_ends_in_order() {
    let scratch = Scratch::new();
    scratch.write("main.lua", STAY);
    scratch.config(&[("daemon", "./node.pid"), ("logger", "node.log")]);
    scratch.start(&["run", "config"]).end().expect_code(0);
    wait_for("the daemon runs", || {
        scratch.read("node.log").contains("here I am")
    });
    let text = scratch.read("node.pid");
    let pid = text
        .strip_suffix('\n')
        .and_then(|n| n.parse().ok())
        .and_then(Pid::from_raw);
    let pid = pid.unwrap_or_else(|| panic!("no pid in {text:?}"));

    let second = scratch.start(&["run", "config"]).end().expect_code(1);
    let words = format!("Skynet is already running, pid = {}.", text.trim());
    let words = [words.clone(), words.replace("Skynet", "Fulmar")];
    assert!(
        words.iter().any(|words| second.err.contains(words.as_str())),
        "{}",
        second.text()
    );

    kill_process(pid, Signal::TERM).expect("the daemon runs");
    wait_for("the daemon ends", || test_kill_process(pid).is_err());
    assert!(
        !scratch.path().join("node.pid").exists(),
        "the pid file goes with the daemon"
    );
}

#[test]
fn a_busy_service_is_reported_and_can_be_interrupted() {
    let scratch = Scratch::new();
    let watch = r#"
        local skynet = require "skynet"
        require "skynet.manager"
        local core = require "skynet.core"
        if ... == "busy" then
            skynet.start(function()
                skynet.dispatch("lua", function(_, _, cmd)
                    if cmd == "spin" then while true do end end
                    skynet.retpack(skynet.endless(), skynet.endless())
                end)
            end)
            return
        end
        skynet.start(function()
            local busy = skynet.newservice(SERVICE_NAME, "busy")
            skynet.send(busy, "lua", "spin")
            skynet.dispatch("lua", function() end)
            skynet.register_protocol { name = "text", id = 0, unpack = skynet.tostring, dispatch = function()
                core.command("SIGNAL", skynet.address(busy) .. " 0")
                skynet.error("flags", skynet.call(busy, "lua"))
                skynet.abort()
            end }
            skynet.name(".watch", skynet.self())
        end)
    "#;
    scratch.write("main.lua", watch);
    // A log service that tells the program as soon as the monitor has spoken.
    let log = r#"
        local skynet = require "skynet"
        local core = require "skynet.core"
        skynet.register_protocol {
            name = "text", id = skynet.PTYPE_TEXT, unpack = skynet.tostring,
            dispatch = function(_, source, line)
                io.stdout:write(skynet.address(source), " ", line, "\n")
                io.stdout:flush()
                if line:find "maybe in an endless loop" then core.send(".watch", 0, 0, "now") end
            end,
        }
        skynet.start(function() end)
    "#;
    scratch.write("my_log.lua", log);
    let node = scratch.node(&[("logservice", "snlua"), ("logger", "my_log")]);
    let ended = node.end().expect_code(0);
    let line = ended
        .out
        .lines()
        .find(|line| line.contains("endless"))
        .unwrap_or_else(|| panic!("{}", ended.text()));
    assert!(
        line.starts_with(":00000000 error: A message from [ :00000008 ] to [ :00000009 ]"),
        "{line}"
    );
    assert!(
        ended.out.contains("flags true false"),
        "the flag is cleared by reading: {}",
        ended.text()
    );
}

#[test]
fn a_program_of_the_command_line_needs_nothing_beside_the_binary() {
    let scratch = Scratch::new();
    scratch.write("main.lua", ABORT);
    let mut command = Command::new("env");
    command
        .arg("-i")
        .arg(fulmar_tests::binary())
        .args(["exec", "main.lua"])
        .current_dir(scratch.path());
    Run::start(command).end().expect_code(0);
}
