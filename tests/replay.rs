//! A whole engine, Lua services included, on one thread with virtual time and a seeded schedule: the same seed gives the
//! same run, line by line; other seeds give others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use fulmar_lualib::boot_deterministic;
use fulmar_lualib::config::Settings;
use fulmar_tests::{Scratch, here};

/// The log of `replay/main.lua` under a seed.
fn run(seed: u64) -> String {
    let scratch = Scratch::new();
    let log = scratch.path().join("log");
    let folder = here("replay");
    let lua = format!("{0}/?.lua", folder.display());
    let keys = [
        ("harbor", "0"),
        ("start", "main"),
        ("luaservice", lua.as_str()),
        ("lua_path", lua.as_str()),
        (
            "logger",
            log.to_str().expect("the temporary folder's path is text"),
        ),
    ];
    let values = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let settings = Settings::new(BTreeMap::from(values)).expect("the keys above are good");
    let engine = boot_deterministic(&settings, seed).expect("a node of embedded services boots");
    engine.run_until_idle();
    fs::read_to_string(log).expect("the logger made its file")
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 7, 0xfeed] {
        let first = run(seed);
        assert!(
            first.contains("the last line"),
            "the program came to its end:\n{first}"
        );
        assert_eq!(first, run(seed), "seed {seed}");
    }
}

#[test]
fn other_seeds_give_other_orders_and_the_same_result() {
    let runs: Vec<String> = (0..8).map(run).collect();
    let orders: BTreeSet<String> = runs.iter().map(|log| order(log)).collect();
    assert!(orders.len() > 1, "eight seeds, one order:\n{}", runs[0]);
    for log in &runs {
        let total = log.lines().find_map(|line| line.split("total ").nth(1));
        assert_eq!(total, Some("360"), "{log}");
    }
}

/// The log without its clock.
fn order(log: &str) -> String {
    log.lines()
        .map(|line| line.split_once('[').map_or(line, |(_, text)| text))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn virtual_time_passes_without_waiting() {
    // replay/main.lua sleeps for an hour and a half on top of everything else
    let log = run(3);
    let slept = log
        .lines()
        .find_map(|line| line.split("slept ").nth(1))
        .and_then(|n| n.parse::<u64>().ok());
    assert!(slept.is_some_and(|cs| (540_000..540_100).contains(&cs)), "{log}");
}
