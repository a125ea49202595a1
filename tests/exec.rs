//! `fulmar exec`: one script as a service, and how it ends.

use fulmar_tests::Scratch;
use rustix::process::Signal;

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

#[test]
fn exec_ends_with_0_when_the_services_of_the_script_have_ended() {
    let scratch = Scratch::new();
    let script = r#"
        local skynet = require "skynet"
        local words = { ... }
        if words[1] == "child" then
            skynet.start(function()
                skynet.timeout(5, function()
                    skynet.error("child " .. words[2] .. " ends")
                    skynet.exit()
                end)
            end)
            return
        end
        skynet.start(function()
            skynet.error("words", ...)
            for i = 1, 3 do skynet.newservice(SERVICE_NAME, "child", i) end
            skynet.error "the parent ends"
            skynet.exit()
        end)
    "#;
    // the varargs of the chunk, not of the start function
    let script = script.replace(
        "skynet.error(\"words\", ...)",
        "skynet.error(\"words\", table.unpack(words))",
    );
    scratch.write("main.lua", &script);
    let ended = scratch
        .start(&["exec", "main.lua", "first", "-second", "--third"])
        .end()
        .expect_code(0);
    for words in [
        "words first -second --third",
        "the parent ends",
        "child 1 ends",
        "child 2 ends",
        "child 3 ends",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.text());
    }
    let (parent, last) = (ended.out.find("the parent ends"), ended.out.rfind("ends\n"));
    assert!(
        parent < last,
        "the children outlive their parent: {}",
        ended.text()
    );
}

#[test]
fn exec_does_not_wait_for_what_libraries_have_started() {
    let scratch = Scratch::new();
    let script = r#"
        local skynet = require "skynet"
        local sharedata = require "skynet.sharedata"
        local service = require "skynet.service"
        local sharetable = require "skynet.sharetable"
        local builder = require "skynet.datasheet.builder"
        skynet.start(function()
            sharedata.new("names", { one = "first" })
            sharetable.loadstring("numbers", "return { 1, 2 }")
            builder.new("letters", { a = 1 })
            local address = service.new("echo", function()
                local skynet = require "skynet"
                skynet.start(function()
                    skynet.dispatch("lua", function(_, _, word)
                        skynet.ret(skynet.pack(word))
                        skynet.timeout(5, function()
                            skynet.error "the last one ends"
                            skynet.exit()
                        end)
                    end)
                end)
            end)
            skynet.error(sharedata.query("names").one, skynet.call(address, "lua", "answer"))
            skynet.exit()
        end)
    "#;
    let ended = scratch.exec(script).end().expect_code(0);
    for words in ["first answer", "the last one ends"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.text());
    }
}

#[test]
fn exec_of_a_script_without_a_start_function_ends() {
    for script in [
        "print 'only a chunk' require 'skynet'.exit()",
        "print 'only a chunk'",
        "local skynet = require 'skynet' skynet.fork(print, 'only a chunk')",
    ] {
        let ended = Scratch::new().exec(script).end();
        assert!(ended.out.contains("only a chunk"), "{}", ended.text());
    }
    Scratch::new().exec("print 'only a chunk'").end().expect_code(0);
}

#[test]
fn exec_ends_with_1_when_the_script_fails_to_start() {
    for (script, words) in [
        ("error 'the chunk fails'", "the chunk fails"),
        ("this is not Lua", "main.lua:1:"),
        (
            "require 'skynet'.start(function() error 'the start fails' end)",
            "the start fails",
        ),
        ("require 'no.such.module'", "no.such.module"),
    ] {
        let scratch = Scratch::new();
        let ended = scratch.exec(script).end().expect_code(1);
        assert!(ended.text().contains(words), "{words}: {}", ended.text());
    }
    let scratch = Scratch::new();
    scratch
        .start(&["exec", "no_such_script.lua"])
        .end()
        .expect_code(1);
}

#[test]
fn exec_ends_by_abort_and_by_signal() {
    let scratch = Scratch::new();
    scratch.exec(ABORT).end().expect_code(0);
    let run = scratch.exec(STAY);
    run.expect("here I am").signal(Signal::INT);
    run.end().expect_code(0);
}

#[test]
fn exec_finds_services_and_modules_beside_the_script() {
    let scratch = Scratch::new();
    scratch.write("deep/folder/helper.lua", "return { word = 'from beside' }");
    scratch.write(
        "deep/folder/other.lua",
        "local skynet = require 'skynet' local helper = require 'helper'\n\
         skynet.start(function() skynet.error(helper.word) skynet.exit() end)",
    );
    scratch.write(
        "deep/folder/main.lua",
        "local skynet = require 'skynet'\n\
         skynet.start(function() skynet.newservice 'other' skynet.exit() end)",
    );
    let ended = scratch
        .start(&["exec", "deep/folder/main.lua"])
        .end()
        .expect_code(0);
    assert!(ended.out.contains("from beside"), "{}", ended.text());
}
