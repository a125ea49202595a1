//! The public conformance scripts and golden vectors, as anybody runs them: `conformance/run`, `vectors/v_all.lua`.

use std::process::Command;

use fulmar_tests::{Run, Scratch, binary, here};

fn script(name: &str) {
    let scratch = Scratch::new();
    let mut command = Command::new(here("conformance/run"));
    command
        .arg(binary())
        .arg(scratch.path())
        .arg(name)
        .env("SUBCOMMAND", "run")
        .env_remove("ONLY");
    let ended = Run::start(command).end();
    assert_eq!(ended.code(), Some(0), "{name}: {}", ended.text());
}

include!(concat!(env!("OUT_DIR"), "/conformance.rs"));

#[test]
fn packed_values_are_skynets_byte_for_byte() {
    let scratch = Scratch::new();
    let config = here("bench/config");
    let mut command = Run::command(&["run", config.to_str().expect("the crate's path is text")]);
    command
        .current_dir(scratch.path())
        .env("ROOT", scratch.path())
        .env("BENCH", here("vectors"))
        .env("CASE", "v_all");
    let ended = Run::start(command).end().expect_code(0);
    let last = ended
        .out
        .lines()
        .rev()
        .find(|line| line.contains(" passed, "))
        .unwrap_or("");
    let passed = last
        .strip_suffix(" passed, 0 failed")
        .and_then(|n| n.parse::<u32>().ok());
    assert!(passed.is_some_and(|n| n > 0), "{}", ended.text());
}
