//! Lists the Lua libraries and services of this crate for `src/embedded.rs`, so that they live inside the binary.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut text = String::new();
    for (table, folder, prefix) in [("LIBRARIES", "lua", "lualib"), ("SERVICES", "service", "service")] {
        let folder = root.join(folder);
        println!("cargo:rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        collect(&folder, &mut files);
        let mut entries: Vec<(String, PathBuf)> = files
            .into_iter()
            .map(|file| (module_name(&folder, &file), file))
            .collect();
        entries.sort();
        writeln!(text, "pub(crate) static {table}: &[Embedded] = &[").expect("a string takes anything");
        for (name, file) in entries {
            let chunk = format!("@{prefix}/{}.lua", name.replace('.', "/"));
            writeln!(
                text,
                "    Embedded {{ name: {name:?}, chunk: {chunk:?}, source: include_str!({file:?}) }},"
            )
            .expect("a string takes anything");
        }
        text.push_str("];\n");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("embedded.rs"), text).expect("the output folder can be written");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "lua") {
            files.push(path);
        }
    }
}

/// `skynet/queue.lua` is the module `skynet.queue`.
fn module_name(folder: &Path, file: &Path) -> String {
    let relative = file
        .strip_prefix(folder)
        .expect("found below the folder")
        .with_extension("");
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    parts.join(".")
}
