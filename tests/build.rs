//! Makes a test of every script in a list or folder, so that no list is kept twice, and passes on where Lua's headers are.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");

    let list = read("conformance/PASSING");
    let passing = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    write_tests(&out, "conformance.rs", passing);

    for folder in ["compat", "bad_input"] {
        println!("cargo:rerun-if-changed={folder}");
        let mut scripts: Vec<String> = fs::read_dir(folder)
            .expect("the folder is part of the crate")
            .map(|entry| {
                entry
                    .expect("readable folder")
                    .file_name()
                    .into_string()
                    .expect("ASCII names")
            })
            .filter_map(|name| Some(name.strip_suffix(".lua")?.to_owned()))
            .filter(|name| name.starts_with("t_"))
            .collect();
        scripts.sort();
        write_tests(&out, &format!("{folder}.rs"), scripts.iter().map(String::as_str));
    }

    let include = env::var("DEP_LUA_INCLUDE").expect("mlua-sys says where its headers are");
    println!("cargo:rustc-env=LUA_INCLUDE={include}");
}

/// One `#[test]` a script, which calls `script(name)` of the file that includes the result.
fn write_tests<'a>(out: &str, file: &str, scripts: impl Iterator<Item = &'a str>) {
    let mut text = String::new();
    for name in scripts {
        write!(text, "#[test]\nfn {name}() {{\n    script({name:?});\n}}\n\n").expect("writing to memory");
    }
    fs::write(Path::new(out).join(file), text).expect("OUT_DIR is writable");
}

fn read(path: &str) -> String {
    println!("cargo:rerun-if-changed={path}");
    fs::read_to_string(path).expect("the file is part of the crate")
}
