//! The binary as a person meets it: statuses, what it says, where it says it. What a node does once it runs is tested
//! in the workspace's `tests`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A working directory of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let place = Self(std::env::temp_dir().join(format!("fulmar-cli-{}-{name}", std::process::id())));
        fs::create_dir_all(&place.0).expect("the temporary folder can be written");
        for (name, text) in files {
            let file = place.0.join(name);
            fs::create_dir_all(file.parent().expect("a file in a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        }
        place
    }

    fn fulmar(&self, args: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_fulmar"))
            .args(args)
            .current_dir(&self.0)
            .output();
        Said::of(output.expect("the binary can be started"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A folder that stays behind spoils no later run: names carry the process id.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the binary writes UTF-8");
        Self {
            status: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

const MAIN: (&str, &str) = (
    "service/main.lua",
    "local skynet = require 'skynet'\nskynet.start(function() end)",
);

#[test]
fn check_tells_what_would_start() {
    let place = Place::new("plan", &[("node", "thread = 3\nharbor = 0\n"), MAIN]);
    let said = place.fulmar(&["check", "node"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    for part in [
        "threads    3\n",
        "alone",
        "standard output",
        "snlua bootstrap",
        "./service/main.lua",
        "can run",
    ] {
        assert!(said.out.contains(part), "{part:?} in {said:?}");
    }
    assert!(!said.out.contains("warning"), "{said:?}");
}

#[test]
fn check_tells_what_is_missing() {
    let config = "harbor = 0\nstart = 'nowhere'\nlogger = 'no/folder/log'\npreload = 'no.lua'\nluaservice = 'a/?.lua;b/?.lua'";
    let place = Place::new("missing", &[("node", config)]);
    let said = place.fulmar(&["check", "node"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    for part in [
        "no a/nowhere.lua, no b/nowhere.lua",
        "no folder no/folder",
        "no.lua",
        "3 errors",
    ] {
        assert!(said.out.contains(part), "{part:?} in {said:?}");
    }
}

#[test]
fn check_tells_what_cannot_boot() {
    for (config, part) in [
        ("harbor = 1", "address is not set"),
        (
            "harbor = 0\nstandalone = '127.0.0.1:2013'",
            "standalone is set although harbor is 0",
        ),
        (
            "harbor = 0\nbootstrap = 'mymodule arg'",
            "native service \"mymodule\"",
        ),
        (
            "harbor = 0\nlogservice = 'snlua'\nlogger = 'mylog'",
            "logger wants the service \"mylog\"",
        ),
    ] {
        let place = Place::new("boot", &[("node", config), MAIN]);
        let said = place.fulmar(&["check", "node"]);
        assert_eq!(said.status, Some(1), "{config}: {said:?}");
        assert!(said.out.contains(part), "{part:?} in {said:?}");
    }
}

#[test]
fn check_warns_about_keys_that_nearly_spell_another() {
    let config = "threads = 3\nharbor = 0\nlua_paths = '?.lua'\nmy_own_key = 1\n";
    let place = Place::new("spelling", &[("node", config), MAIN]);
    let said = place.fulmar(&["check", "node"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(
        said.out
            .contains("\"threads\" is unknown; did you mean \"thread\"?"),
        "{said:?}"
    );
    assert!(
        said.out
            .contains("\"lua_paths\" is unknown; did you mean \"lua_path\"?"),
        "{said:?}"
    );
    assert!(!said.out.contains("my_own_key"), "{said:?}");
}

#[test]
fn check_knows_whose_loader_is_used() {
    let files = [
        ("stock", "harbor = 0\nlualoader = 'tree/loader.lua'"),
        ("own", "harbor = 0\nlualoader = 'mine/loader.lua'"),
        (
            "patched",
            "harbor = 0\nlualoader = 'tree/loader.lua'\nfulmar_libraries = 'files'",
        ),
        ("absent", "harbor = 0\nlualoader = 'nowhere.lua'"),
        ("tree/loader.lua", ""),
        ("tree/skynet.lua", ""),
        ("mine/loader.lua", ""),
        MAIN,
    ];
    let place = Place::new("loader", &files);
    for (config, part, named) in [
        ("stock", "this config can run", false),
        ("own", "loader     mine/loader.lua", true),
        ("patched", "loader     tree/loader.lua", true),
        (
            "absent",
            "warning: lualoader \"nowhere.lua\" is not a file",
            false,
        ),
    ] {
        let said = place.fulmar(&["check", config]);
        assert_eq!(said.status, Some(0), "{said:?}");
        assert!(said.out.contains(part), "{said:?}");
        assert_eq!(said.out.contains("loader     "), named, "{said:?}");
    }
}

#[test]
fn a_config_that_is_not_lua_is_shown_with_its_line() {
    let place = Place::new("syntax", &[("node", "harbor = 0\nthread: 8\n")]);
    for command in ["run", "check"] {
        let said = place.fulmar(&[command, "node"]);
        assert_eq!(said.status, Some(1), "{said:?}");
        assert!(said.err.starts_with("error: node:2: "), "{said:?}");
        assert!(said.err.contains("2 | thread: 8\n"), "{said:?}");
        assert_eq!(said.out, "", "errors go to standard error");
    }
}

#[test]
fn faults_are_told_in_skynets_words() {
    for (config, words) in [
        ("thread = 0", "Invalid thread 0 , should be in [1,1024]"),
        ("thread = 2000", "Invalid thread 2000 , should be in [1,1024]"),
        ("x = {}", "Invalid config table key = x"),
        ("_ENV[1] = 1", "Invalid config table"),
        ("cpath = './c.so'", "Invalid C service path"),
        (
            "x = '$FULMAR_IS_NOT_SET'",
            "os.getenv() failed: FULMAR_IS_NOT_SET",
        ),
    ] {
        let place = Place::new("words", &[("node", config)]);
        let said = place.fulmar(&["run", "node"]);
        assert_eq!(said.status, Some(1), "{config}: {said:?}");
        assert!(
            said.err.lines().next().is_some_and(|line| line.ends_with(words)),
            "{config}: {said:?}"
        );
    }
}

#[test]
fn a_node_that_cannot_boot_says_why() {
    for (config, lines) in [
        (
            "harbor = 0\nlogger = 'no/folder/log'",
            ["Can't launch logger service", "no/folder/log"],
        ),
        (
            "harbor = 0\nlogservice = 'nothing'",
            ["Can't launch nothing service", "no module `nothing`"],
        ),
        (
            "harbor = 0\nbootstrap = 'nothing at all'",
            ["Bootstrap error : nothing at all", "no module `nothing`"],
        ),
    ] {
        let place = Place::new("boot-fails", &[("node", config)]);
        let said = place.fulmar(&["run", "node"]);
        assert_eq!(said.status, Some(1), "{config}: {said:?}");
        for part in lines.into_iter().chain(["fulmar check node"]) {
            assert!(said.err.contains(part), "{part:?} in {said:?}");
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new("absent", &[]);
    for args in [
        ["run", "nowhere"],
        ["check", "nowhere"],
        ["exec", "nowhere"],
        ["run", "."],
        ["exec", "."],
    ] {
        let said = place.fulmar(&args);
        assert_eq!(said.status, Some(1), "{args:?}: {said:?}");
        assert!(
            said.err.contains(args[1]) && said.err.contains("help:"),
            "{args:?}: {said:?}"
        );
    }
}

#[test]
fn exec_refuses_a_script_that_no_service_name_leads_to() {
    let files = [
        ("script.txt", ""),
        ("two words.lua", ""),
        ("what?.lua", ""),
        ("a;b/main.lua", ""),
        ("launcher.lua", ""),
    ];
    let place = Place::new("names", &files);
    for (script, part) in [
        ("script.txt", "does not end in .lua"),
        ("two words.lua", "no space"),
        ("what?.lua", "no '?'"),
        ("a;b/main.lua", "no ';'"),
        ("launcher.lua", "is a service of the node itself"),
    ] {
        let said = place.fulmar(&["exec", script]);
        assert_eq!(said.status, Some(1), "{said:?}");
        assert!(said.err.contains(part), "{said:?}");
    }
}

#[test]
fn exec_refuses_an_argument_of_two_lines() {
    let place = Place::new("lines", &[("script.lua", "")]);
    let said = place.fulmar(&["exec", "script.lua", "one\ntwo"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.err.contains("\"one\\ntwo\" is more than a line"), "{said:?}");
}

#[test]
fn check_compiles_what_it_finds() {
    let files = [
        ("node", "start = 'bad' luaservice = './?.lua'"),
        ("bad.lua", "local x\nx = = 1\n"),
    ];
    let said = Place::new("compile", &files).fulmar(&["check", "node"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    let line = "error: start wants the service \"bad\", which does not compile: ./bad.lua:2: unexpected symbol near '='";
    assert!(said.out.lines().any(|said| said == line), "{said:?}");
    assert!(!said.out.contains("traceback"), "{said:?}");
}

#[test]
fn a_pipe_gets_no_colours() {
    let place = Place::new("colours", &[("node", "threads = 1"), ("bad", "= 1")]);
    for args in [["check", "node"], ["check", "bad"], ["run", "bad"]] {
        let said = place.fulmar(&args);
        assert!(
            !said.out.contains('\x1b') && !said.err.contains('\x1b'),
            "{said:?}"
        );
    }
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2() {
    let place = Place::new("usage", &[]);
    for args in [
        &["frobnicate"][..],
        &[],
        &["run"],
        &["run", "--threads", "0", "c"],
        &["run", "--threads", "x", "c"],
    ] {
        assert_eq!(place.fulmar(args).status, Some(2), "{args:?}");
    }
    assert_eq!(place.fulmar(&["--help"]).status, Some(0));
}

#[test]
fn the_version_names_fulmar_and_lua() {
    let said = Place::new("version", &[]).fulmar(&["version"]);
    assert_eq!(said.status, Some(0));
    assert!(
        said.out
            .starts_with(concat!("fulmar ", env!("CARGO_PKG_VERSION"), "\n")),
        "{said:?}"
    );
    assert!(said.out.contains("Lua 5.5"), "{said:?}");
}

#[test]
fn a_node_that_already_runs_is_not_started_again() {
    // The pid file names this test's own process, which is alive.
    let pid = std::process::id();
    let place = Place::new(
        "daemon",
        &[
            ("node", "harbor = 0\ndaemon = './pid'\n"),
            ("pid", &format!("{pid}\n")),
        ],
    );
    let said = place.fulmar(&["run", "node"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(
        said.err
            .contains(&format!("Skynet is already running, pid = {pid}.")),
        "{said:?}"
    );
    assert!(
        Path::new(&place.0.join("pid")).exists(),
        "the file belongs to the other process"
    );
    let said = place.fulmar(&["check", "node"]);
    assert!(said.out.contains(&format!("pid = {pid}")), "{said:?}");
}

#[test]
fn data_builds_shows_and_compares_tables() {
    let lua = (
        "items.lua",
        "return { sword = { price = 3, tags = { 'old', 'sharp' } }, [7] = true }\n",
    );
    let json = (
        "items.json",
        r#"{ "sword": { "price": 4.5, "tags": ["old", "sharp"] }, "shield": "wood" }"#,
    );
    let place = Place::new(
        "data",
        &[
            lua,
            json,
            ("bad.lua", "return { f = print }"),
            ("text.lua", "return 1"),
            ("empty.lua", "local unused = 1"),
            (
                "globals.lua",
                "sword = { price = 3 } size = math.max(2, sword.price)",
            ),
        ],
    );
    let said = place.fulmar(&["data", "show", "globals.lua"]);
    assert!(
        said.out.contains("price  3") && said.out.contains("size  3"),
        "{said:?}"
    );
    let said = place.fulmar(&["data", "build", "items.lua"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let said = place.fulmar(&["data", "show", "items.fulmar"]);
    assert!(
        said.out.contains("price  3") && said.out.contains("2  \"sharp\""),
        "{said:?}"
    );
    let said = place.fulmar(&["data", "diff", "items.fulmar", "items.json"]);
    for line in [
        "- .7  true",
        "+ .shield  \"wood\"",
        "- .sword.price  3",
        "+ .sword.price  4.5",
        "3 changes",
    ] {
        assert!(said.out.contains(line), "{line}: {said:?}");
    }
    let refused = [
        (["data", "build", "bad.lua"], "function cannot be shared, at [.f]"),
        (["data", "build", "text.lua"], "Not a table"),
        (["data", "build", "empty.lua"], "Not a table"),
        (["data", "show", "none.json"], "cannot read none.json"),
        (["data", "build", "items.fulmar"], "would replace itself"),
    ];
    for (arguments, why) in refused {
        let said = place.fulmar(&arguments);
        assert_eq!(said.status, Some(1), "{said:?}");
        assert!(said.err.contains(why), "{why}: {said:?}");
    }
    let mut image = fs::read(place.0.join("items.fulmar")).expect("it was built");
    let middle = image.len() / 2;
    image[middle] ^= 1;
    fs::write(place.0.join("items.fulmar"), image).expect("a file");
    assert_eq!(place.fulmar(&["data", "show", "items.fulmar"]).status, Some(1));
}

const SCHEMA: (&str, &str) = (
    "game.sproto",
    ".Item { id 0 : integer  name 1 : string }\n.Bag { items 0 : *Item(name) end 1 : boolean }\nbuy 1 { request Item }\n",
);

#[test]
fn sproto_check_shows_where_a_schema_is_wrong() {
    let place = Place::new("sproto-wrong", &[("bad.sproto", ".A {\n\tx 0 ! integer\n}\n")]);
    let said = place.fulmar(&["sproto", "check", "bad.sproto"]);
    assert_eq!(said.status, Some(1));
    for part in [
        "syntax error at [bad.sproto] line (2), column 6",
        "2 | \tx 0 ! integer",
        "expected ':', found '!'",
    ] {
        assert!(said.err.contains(part), "{part:?} in {said:?}");
    }
    assert!(
        place
            .fulmar(&["sproto", "check", "none.sproto"])
            .err
            .contains("cannot read none.sproto")
    );
}

#[test]
fn sproto_check_says_what_a_new_version_breaks() {
    let new = (
        "new.sproto",
        ".Item { id 0 : double  name 1 : string }\n.Bag { items 0 : *Item(name) }\nbuy 1 { request Item }\n",
    );
    let place = Place::new("sproto-versions", &[SCHEMA, new]);
    let said = place.fulmar(&["sproto", "check", "game.sproto"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(said.out.contains("2 types, 1 protocols: sound"), "{said:?}");
    assert!(said.out.contains("note: Bag.end is a word of Lua"), "{said:?}");
    assert_eq!(
        place
            .fulmar(&["sproto", "check", "--against", "game.sproto", "game.sproto"])
            .status,
        Some(0)
    );
    let said = place.fulmar(&["sproto", "check", "--against", "game.sproto", "new.sproto"]);
    assert_eq!(said.status, Some(1));
    assert!(
        said.out.contains("breaks: Item.id is double, and was integer"),
        "{said:?}"
    );
    assert!(said.out.contains("fits: Bag.end is gone"), "{said:?}");
    assert!(said.err.contains("would misread 1 things"), "{said:?}");
}

#[test]
fn sproto_turns_json_into_messages_and_back() {
    let json = r#"{"items":{"axe":{"id":7,"name":"axe"}}}"#;
    let place = Place::new("sproto-codec", &[SCHEMA, ("bag.json", json)]);
    for flags in [&["--hex"][..], &["--hex", "--packed"]] {
        let said = place.fulmar(&[&["sproto", "encode", "game.sproto", "Bag", "bag.json"], flags].concat());
        assert_eq!(said.status, Some(0), "{said:?}");
        fs::write(place.0.join("bag.hex"), &said.out).expect("a file");
        let said = place.fulmar(&[&["sproto", "decode", "game.sproto", "Bag", "bag.hex"], flags].concat());
        assert_eq!(said.out.split_whitespace().collect::<String>(), json, "{said:?}");
    }
    let said = place.fulmar(&["sproto", "encode", "game.sproto", "bag", "bag.json"]);
    assert!(
        said.err.contains("no type bag") && said.err.contains("did you mean Bag?"),
        "{said:?}"
    );
    let said = place.fulmar(&["sproto", "encode", "game.sproto", "Item", "bag.json"]);
    assert!(said.err.contains("Item has no field items"), "{said:?}");
    let said = place.fulmar(&["sproto", "decode", "game.sproto", "Bag", "bag.json"]);
    assert!(
        said.err.contains("decode error") && said.err.contains("--packed"),
        "{said:?}"
    );
}

#[test]
fn sproto_bundles_dumps_and_generates() {
    let place = Place::new("sproto-bundle", &[SCHEMA]);
    assert_eq!(
        place
            .fulmar(&["sproto", "bundle", "game.sproto", "-o", "game.bin"])
            .status,
        Some(0)
    );
    let text = place.fulmar(&["sproto", "dump", "game.sproto"]).out;
    assert!(text.contains("items (0) *Item key[1]"), "{text}");
    assert_eq!(place.fulmar(&["sproto", "dump", "game.bin"]).out, text);
    let rust = place
        .fulmar(&["sproto", "generate", "--lang", "rust", "game.bin"])
        .out;
    assert!(rust.contains("pub struct Item {"), "{rust}");
    let lua = place
        .fulmar(&["sproto", "generate", "--lang", "lua", "game.sproto"])
        .out;
    assert!(lua.contains("---@field items? table<string, Item>"), "{lua}");
}
