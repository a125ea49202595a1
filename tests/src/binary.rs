//! Where the `fulmar` executable is. Cargo builds no binaries of other packages for a test, so the first test that
//! asks has it built, with the profile that the test itself was built with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// The executable under test: `$FULMAR_BINARY`, or the one that cargo builds beside this test.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("FULMAR_BINARY") {
        Some(path) => fs::canonicalize(&path).expect("FULMAR_BINARY names no file"),
        None => build(),
    })
}

/// The test lies in `TARGET/[TRIPLE/]PROFILE/deps`; the target folder is the one with cargo's tag in it.
fn build() -> PathBuf {
    let test = env::current_exe().expect("a running test knows its file");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("cargo puts tests into PROFILE/deps");
    let above = profile.parent().expect("PROFILE lies in a folder");
    let tagged = above.join("CACHEDIR.TAG").is_file();
    let target = if tagged {
        above
    } else {
        above.parent().expect("TRIPLE lies in the target folder")
    };
    let name = |folder: &Path| {
        folder
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_owned)
    };
    let profile_name = match name(profile).expect("a profile's folder has a name").as_str() {
        "debug" => "dev".to_owned(),
        other => other.to_owned(),
    };

    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--quiet",
        "--package",
        "fulmar",
        "--bin",
        "fulmar",
    ]);
    cargo
        .args(["--profile", &profile_name])
        .arg("--target-dir")
        .arg(target);
    if !tagged {
        cargo
            .arg("--target")
            .arg(name(above).expect("a triple's folder has a name"));
    }
    let done = cargo
        .status()
        .expect("cargo, which runs this test, can be started");
    assert!(
        done.success(),
        "cargo could not build the fulmar binary: {done}; the tests that run it cannot work"
    );
    let binary = profile.join("fulmar");
    assert!(binary.is_file(), "cargo built no {}", binary.display());
    binary
}
