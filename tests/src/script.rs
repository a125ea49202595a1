//! Runs a Lua program of this crate on a node of its own, by `compat/config`.

use std::path::PathBuf;
use std::process::Command;

use crate::{Ended, Run, Scratch};

/// The path of a file or folder of this crate.
pub fn here(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs `FOLDER/NAME.lua`, which reports its cases with `try.lua`. `prepare` gets the command and the folder that the node
/// works in, which is also the engine's own tree of its config.
///
/// # Panics
/// When a case fails, none ran, or the process does not end well; shows what was printed.
pub fn run_script(folder: &str, name: &str, prepare: impl FnOnce(&Scratch, &mut Command)) -> Ended {
    let scratch = Scratch::new();
    let config = here("compat/config");
    let mut command = Run::command(&["run", config.to_str().expect("the crate's path is text")]);
    command
        .current_dir(scratch.path())
        .env("ROOT", scratch.path())
        .env("SUITE", here(folder))
        .env("LIBRARY", here("compat"))
        .env("CASE", name)
        .env("ENGINE", "fulmar");
    prepare(&scratch, &mut command);
    let ended = Run::start(command).end();
    let last = ended
        .out
        .lines()
        .rev()
        .find(|line| line.contains(" passed, "))
        .unwrap_or("");
    let passed = last.ends_with(" passed, 0 failed") && !last.starts_with("0 ");
    assert!(
        passed && ended.code() == Some(0),
        "{folder}/{name}.lua: {}",
        ended.text()
    );
    ended
}
