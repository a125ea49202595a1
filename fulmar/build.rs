//! Makes the executable export the Lua API it contains, so that Lua C modules loaded at run time find it there.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_UNIX").is_ok() {
        println!("cargo:rustc-link-arg-bins=-rdynamic");
    }
}
