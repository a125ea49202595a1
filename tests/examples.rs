//! The examples that are one script each, in small, as their own first lines say that they are run.

use fulmar_tests::{Run, here};

/// Runs an example to its end, and looks for these words in what it prints.
fn example(script: &str, arguments: &[&str], words: &[&str]) {
    let mut command = Run::command(&["exec"]);
    command.arg(here("../examples").join(script)).args(arguments);
    let ended = Run::start(command).end().expect_code(0);
    for words in words {
        assert!(ended.out.contains(words), "{words}: {}", ended.text());
    }
}

#[test]
fn a_shared_table_reaches_its_readers() {
    let words = [
        "2000 rows built and published",
        "20 of them, 10 patches",
        "resident memory",
    ];
    example("items/items.lua", &["20", "2000"], &words);
}

#[test]
fn readers_of_a_record_are_woken_by_what_is_new() {
    let words = [
        "5 goals, 20 readers",
        "4 : 1 in the end; 0 readers saw half a goal",
    ];
    example("scores/scores.lua", &["20", "5"], &words);
}

#[test]
fn the_bank_loses_no_money() {
    let mut command = Run::command(&["run", "examples/lua/config"]);
    command.current_dir(here(".."));
    let ended = Run::start(command).end().expect_code(0);
    let expected = include_str!("../examples/lua/expected.txt");
    for line in expected.lines() {
        assert!(ended.out.contains(line), "{line}: {}", ended.text());
    }
}

#[test]
fn round_trips_are_drawn() {
    let words = ["round trips of 3 pairs", "---- 99 % ----", "300 calls in"];
    example("latency/latency.lua", &["3", "100"], &words);
}

/// The README has a line for each, and none for what is not there.
#[test]
fn the_readme_has_a_line_for_each() {
    let readme = include_str!("../README.md");
    let folders = std::fs::read_dir(here("../examples")).expect("the examples are there");
    for folder in folders {
        let folder = folder.expect("a readable folder").file_name();
        let folder = folder.to_str().expect("an ASCII name");
        let named = match folder {
            "rust" => "--example newsroom".to_owned(),
            folder => format!("examples/{folder}/"),
        };
        assert!(readme.contains(&named), "{named} is not in the README");
    }
}
