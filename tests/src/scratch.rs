//! A folder of its own for a test, gone with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use crate::run::Run;

/// A temporary folder with the files of one test.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty folder.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number counts, nothing is published with it.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("fulmar-test-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self { path }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, with the folders above it; `name` is relative to the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        let folder = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).expect("the test's folder is writable");
        fs::write(&path, text).expect("the test's folder is writable");
        path
    }

    /// The text of a file, empty when there is none.
    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Writes `config`: a single node that finds services and modules in this folder; `keys` are added or put in place
    /// of those.
    pub fn config(&self, keys: &[(&str, &str)]) -> PathBuf {
        let usual = [
            ("thread", "2"),
            ("harbor", "0"),
            ("luaservice", "./?.lua;./?/main.lua"),
            ("lua_path", "./?.lua"),
            ("lua_cpath", "./?.so"),
        ];
        let given = |key: &str| keys.iter().any(|(name, _)| *name == key);
        let pairs = usual.iter().filter(|(key, _)| !given(key)).chain(keys);
        let text: String = pairs.map(|(key, value)| format!("{key} = {value:?}\n")).collect();
        self.write("config", &text)
    }

    /// Starts the binary in this folder.
    pub fn start(&self, args: &[&str]) -> Run {
        let mut command = Run::command(args);
        command.current_dir(&self.path);
        Run::start(command)
    }

    /// Starts a node on [`Scratch::config`] with these keys.
    pub fn node(&self, keys: &[(&str, &str)]) -> Run {
        self.config(keys);
        self.start(&["run", "config"])
    }

    /// Writes `main.lua` and starts it by `fulmar exec`.
    pub fn exec(&self, lua: &str) -> Run {
        self.write("main.lua", lua);
        self.start(&["exec", "main.lua"])
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed is the system's to tidy, and no reason to fail a test.
        let _ = fs::remove_dir_all(&self.path);
    }
}
