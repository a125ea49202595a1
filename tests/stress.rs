//! Much of everything at once: storms of services, floods of messages, many timers, a mesh of calls. Each Lua program counts
//! what it sent and what came (`stress/t_*.lua`). The short runs are part of every test run; the long ones, twenty times
//! as much, are ignored: `cargo test --test stress -- --ignored`.

use fulmar_tests::run_script;

fn short(name: &str) {
    run_script("stress", name, |_, command| {
        command.env("SCALE", "1");
    });
}

fn long(name: &str) {
    run_script("stress", name, |_, command| {
        command.env("SCALE", "20");
    });
}

#[test]
fn services_spawned_and_killed() {
    short("t_spawn");
}

#[test]
fn floods_are_counted() {
    short("t_flood");
}

#[test]
fn a_hundred_thousand_timers() {
    short("t_timers");
}

#[test]
fn a_mesh_of_calls() {
    short("t_mesh");
}

#[test]
#[ignore = "long"]
fn services_spawned_and_killed_for_long() {
    long("t_spawn");
}

#[test]
#[ignore = "long"]
fn floods_are_counted_for_long() {
    long("t_flood");
}

#[test]
#[ignore = "long"]
fn two_million_timers() {
    long("t_timers");
}

#[test]
#[ignore = "long"]
fn a_mesh_of_calls_for_long() {
    long("t_mesh");
}
