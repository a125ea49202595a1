//! Configs as people write them, and as nobody should: every fault is an error with a place, never a panic or a hang.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fulmar_lualib::config::{Config, ConfigError, Evaluator, Limits};
use proptest::prelude::*;

fn evaluator() -> Evaluator {
    Evaluator::new().environment(|name| match name {
        "WORD" => Some(OsString::from("replaced")),
        "QUOTE" => Some(OsString::from("\"")),
        _ => None,
    })
}

fn evaluate(text: &str) -> Result<Config, ConfigError> {
    evaluator().text(Path::new("dir/node.config"), text.as_bytes().to_vec())
}

fn values(text: &str) -> Vec<(String, String)> {
    evaluate(text).expect(text).values.into_iter().collect()
}

fn fault(text: &str) -> ConfigError {
    evaluate(text).expect_err(text)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// A folder that is removed with everything in it when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("fulmar-config-{}-{name}", std::process::id()));
        let folder = Self(path);
        for (name, text) in files {
            let file = folder.0.join(name);
            fs::create_dir_all(file.parent().expect("a file in a folder")).expect("the folder can be made");
            fs::write(file, text).expect("the file can be written");
        }
        folder
    }

    fn evaluate(&self, name: &str) -> Result<Config, ConfigError> {
        evaluator().file(&self.0.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind spoils no later run: names carry the process id.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn assignments_become_text_in_the_order_of_keys() {
    let text =
        "z = 'text'\nb = 12\na = true\nc = false\nd = 1.5\ne = 3 / 1\nf = 1e15\ng = 0x10\nh = nil\ni = -1";
    let expected = [
        ("a", "true"),
        ("b", "12"),
        ("c", "false"),
        ("d", "1.5"),
        ("e", "3.0"),
        ("f", "1e+15"),
        ("g", "16"),
        ("i", "-1"),
        ("z", "text"),
    ];
    assert_eq!(values(text), pairs(&expected));
}

#[test]
fn a_key_can_be_read_again_and_strings_have_methods() {
    let text = "root = './'\ncpath = root .. 'cservice/?.so'\nx = ('ab'):rep(3):upper()\nlocal hidden = 1";
    assert_eq!(
        values(text),
        pairs(&[("cpath", "./cservice/?.so"), ("root", "./"), ("x", "ABABAB")])
    );
}

#[test]
fn no_library_is_visible() {
    for name in [
        "print",
        "os",
        "io",
        "_G",
        "require",
        "load",
        "string",
        "setmetatable",
        "debug",
    ] {
        assert_eq!(
            values(&format!("seen = {name} ~= nil")),
            pairs(&[("seen", "false")]),
            "{name}"
        );
    }
    let error = fault("x = 1\nprint('hello')");
    assert_eq!(
        error.to_string(),
        "dir/node.config:2: attempt to call a nil value (global 'print')"
    );
    assert!(error.advice().contains("no Lua library"));
}

#[test]
fn dollar_names_are_replaced_before_lua_sees_the_text() {
    assert_eq!(
        values("x = '$WORD' .. '/$WORD.' -- $WORD"),
        pairs(&[("x", "replaced/replaced.")])
    );
    assert_eq!(values("$WORD = 1"), pairs(&[("replaced", "1")]));
    let error = fault("a = 1\nx = '$NOT_SET'");
    assert_eq!(
        error.to_string(),
        "dir/node.config:2: os.getenv() failed: NOT_SET"
    );
    assert_eq!(
        error.position().and_then(|at| at.text.as_deref()),
        Some("x = '$NOT_SET'")
    );
    assert!(
        fault("-- $NOT_SET")
            .to_string()
            .ends_with("os.getenv() failed: NOT_SET")
    );
}

#[test]
fn a_fault_shows_the_line_as_it_stands_in_the_file() {
    let error = fault("thread = 8\nname = \"$QUOTE\"\n");
    let at = error.position().expect("a syntax error has a place");
    assert_eq!(
        (at.line, at.text.as_deref()),
        (Some(2), Some("name = \"$QUOTE\""))
    );
    let error = fault("thread = = 1");
    assert_eq!(error.to_string(), "dir/node.config:1: unexpected symbol near '='");
}

#[test]
fn what_is_not_lua_is_refused_with_its_place() {
    for text in [
        "{ \"thread\": 8 }",
        "<xml/>",
        "[section]\nkey=value",
        "\x1bLuaS",
        "\0\0\0",
        "thread: 8",
    ] {
        let error = fault(text);
        assert!(matches!(&error, ConfigError::Lua { .. }), "{text:?}: {error:?}");
        assert!(error.to_string().starts_with("dir/node.config"), "{error}");
    }
}

#[test]
fn values_and_keys_of_other_types_are_refused() {
    for (text, found) in [("x = {}", "table"), ("x = function() end", "function")] {
        let error = fault(text);
        assert_eq!(error.to_string(), "Invalid config table key = x");
        assert!(error.advice().contains(found), "{}", error.advice());
    }
    assert_eq!(fault("_ENV[1] = 2").to_string(), "Invalid config table");
    assert!(matches!(fault("x = '\\xff'"), ConfigError::Encoding { .. }));
}

#[test]
fn include_is_relative_to_the_including_file() {
    let files = [
        (
            "node.config",
            "include 'sub/more.lua'\njoined = from_more .. '+' .. from_deep\ninclude 'last.lua'",
        ),
        (
            "sub/more.lua",
            "from_more = 'more'\ninclude 'deep/deep.lua'\ninclude '../beside.lua'",
        ),
        ("sub/deep/deep.lua", "from_deep = '$WORD'"),
        ("beside.lua", "beside = from_deep"),
        ("last.lua", "last = joined"),
    ];
    let folder = Folder::new("include", &files);
    let config = folder.evaluate("node.config").expect("every file is there");
    let expected = [
        ("beside", "replaced"),
        ("from_deep", "replaced"),
        ("from_more", "more"),
        ("joined", "more+replaced"),
        ("last", "more+replaced"),
    ];
    assert_eq!(config.values.into_iter().collect::<Vec<_>>(), pairs(&expected));
}

#[test]
fn a_missing_include_names_both_files() {
    let folder = Folder::new("missing", &[("node.config", "x = 1\ninclude 'nowhere.lua'\n")]);
    let error = folder
        .evaluate("node.config")
        .expect_err("the include is missing");
    assert!(error.to_string().contains("nowhere.lua"), "{error}");
    let at = error.position().expect("the line with the include");
    assert_eq!(
        (at.line, at.text.as_deref()),
        (Some(2), Some("include 'nowhere.lua'"))
    );
    assert!(matches!(
        folder.evaluate("nothing.config"),
        Err(ConfigError::Read {
            included_from: None,
            ..
        })
    ));
}

#[test]
fn a_fault_in_an_include_is_placed_there() {
    let folder = Folder::new(
        "fault",
        &[
            ("node.config", "\ninclude 'sub.lua'"),
            ("sub.lua", "a = 1\n\nb = a.b.c"),
        ],
    );
    let error = folder
        .evaluate("node.config")
        .expect_err("the included file has a fault");
    let at = error.position().expect("a place");
    assert_eq!(
        (at.path.file_name(), at.line),
        (Some("sub.lua".as_ref()), Some(3))
    );
}

#[test]
fn a_file_that_includes_itself_is_stopped() {
    let folder = Folder::new("loop", &[("node.config", "include 'node.config'")]);
    assert!(matches!(
        folder.evaluate("node.config"),
        Err(ConfigError::IncludeDepth { limit: 32, .. })
    ));
}

#[test]
fn include_wants_a_name() {
    for text in ["include()", "include(nil)", "include({})"] {
        assert!(matches!(fault(text), ConfigError::Lua { .. }), "{text}");
    }
    let folder = Folder::new("folder", &[("node.config", "include '.'")]);
    assert!(matches!(
        folder.evaluate("node.config"),
        Err(ConfigError::Read { .. })
    ));
}

#[test]
fn an_endless_loop_is_stopped_at_its_line() {
    let limits = Limits {
        instructions: 10_000,
        ..Limits::default()
    };
    let error = evaluator()
        .limits(limits)
        .text(Path::new("c"), b"x = 1\nwhile true do\nend".to_vec())
        .expect_err("the loop never ends");
    let ConfigError::Instructions { at, limit: 10_000 } = &error else {
        panic!("{error:?}")
    };
    assert!(matches!(at.line, Some(2 | 3)), "{at:?}");
}

#[test]
fn hoarding_memory_is_stopped() {
    for text in [
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "x = 'x' while true do x = x .. x end",
        "x = ('x'):rep(1 << 40)",
        "local function f() return f() .. f() end x = f()",
    ] {
        let error = fault(text);
        assert!(
            matches!(error, ConfigError::Memory { .. } | ConfigError::Lua { .. }),
            "{text}: {error:?}"
        );
    }
}

// The abandoned thread still holds its Lua state when the tests end, which a leak checker reports.
#[cfg(not(fulmar_asan))]
#[test]
fn a_pattern_without_end_is_abandoned() {
    let limits = Limits {
        time: Duration::from_millis(20),
        ..Limits::default()
    };
    // About 10^9 steps inside one C function, where no hook is heard.
    let text = "x = ('a'):rep(2000):find('.-.-.-b')";
    let error = evaluator()
        .limits(limits)
        .text(Path::new("c"), text.into())
        .expect_err("out of time");
    assert!(matches!(error, ConfigError::Time { .. }), "{error:?}");
}

#[test]
fn an_oversized_source_is_refused() {
    let limits = Limits {
        source_bytes: 100,
        ..Limits::default()
    };
    let folder = Folder::new("large", &[("node.config", &"-".repeat(101))]);
    let file = evaluator().limits(limits).file(&folder.0.join("node.config"));
    assert!(matches!(file, Err(ConfigError::TooLarge { .. })), "{file:?}");
    let expanded = evaluator()
        .limits(limits)
        .text(Path::new("c"), "--$WORD".repeat(13).into_bytes());
    assert!(
        matches!(expanded, Err(ConfigError::TooLarge { .. })),
        "{expanded:?}"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(text: Vec<u8>) {
        // Any answer will do; what is tested is that there is one.
        let _ = evaluator().text(Path::new("c"), text);
    }

    #[test]
    fn lua_like_text_never_panics(words in proptest::collection::vec(word(), 0..40)) {
        let limits = Limits { instructions: 100_000, memory_bytes: 1 << 20, ..Limits::default() };
        let _ = evaluator().limits(limits).text(Path::new("c"), words.join(" ").into_bytes());
    }

    #[test]
    fn strings_come_through_unchanged(value in "[^\\x00$]{0,80}") {
        let quoted: String = value.bytes().map(|b| format!("\\x{b:02x}")).collect();
        let config = evaluate(&format!("x = '{quoted}'")).expect("a string");
        prop_assert_eq!(&config.values["x"], &value);
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "x", "=", "1", "'a'", "{", "}", "(", ")", "[", "]", ",", "..", ":rep(9)", "include", "while", "true",
        "do", "end", "function", "return", "local", "if", "then", "else", "$WORD", "$QUOTE", "$", "--", "\n",
        "[[", "]]", "_ENV", "nil", "goto", "::a::", "for", "in", "#", "-", "not", "<close>", "<const>", ";",
        "0x1p4", "\"",
    ])
}
