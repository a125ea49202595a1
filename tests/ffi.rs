//! A Lua C module of our own, compiled here against the Lua that the binary contains and loaded through `lua_cpath`.

use std::fs;
use std::process::Command;

use fulmar_tests::{Scratch, here, run_script};

/// Puts `probe.so` where the config's `lua_cpath` looks.
fn compile(scratch: &Scratch, _: &mut Command) {
    let folder = scratch.path().join("luaclib");
    fs::create_dir_all(&folder).expect("the test's folder is writable");
    let mut cc = Command::new("cc");
    cc.args([
        "-std=c11",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        "-I",
        env!("LUA_INCLUDE"),
        "-o",
    ]);
    let done = cc.arg(folder.join("probe.so")).arg(here("ffi/probe.c")).output();
    let done = done.expect("a C compiler is needed, as it is to build the engine");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_c_module_works_in_many_services() {
    run_script("ffi", "t_module", compile);
}
