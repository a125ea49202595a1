//! skynet's behaviours in Lua programs of our own (`compat/t_*.lua`), each run on a node of its own. `compat/run` runs
//! them on another engine, to see that what they expect is what skynet does.

use fulmar_tests::run_script;

fn script(name: &str) {
    run_script("compat", name, |_, _| ());
}

include!(concat!(env!("OUT_DIR"), "/compat.rs"));
