//! Input that is broken or hostile (`bad_input/t_*.lua`): each gets its error, and nothing else is disturbed. A program
//! counts arena blocks, services and descriptors before and after many rounds of it.

use fulmar_tests::run_script;

fn script(name: &str) {
    run_script("bad_input", name, |_, _| ());
}

include!(concat!(env!("OUT_DIR"), "/bad_input.rs"));
