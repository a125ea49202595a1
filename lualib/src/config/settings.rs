//! The typed face of a config: the keys that the engine itself reads, with skynet's defaults and checks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fulmar_arena::ArenaConfig;

/// What a node is started with.
///
/// `env` holds every key as text, the ones below included and the engine's defaults written back, as services see it
/// through `skynet.getenv`. The typed fields are what the engine needs before there is a service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Worker threads, 1 to 1024 (`thread`).
    pub thread: usize,
    /// Node number in the high bits of handles (`harbor`); 0: the node is alone.
    pub harbor: u8,
    /// Search templates for native services (`cpath`).
    pub cpath: String,
    /// First service: module, then arguments (`bootstrap`).
    pub bootstrap: String,
    /// Pid file; set: detach from the terminal (`daemon`).
    pub daemon: Option<PathBuf>,
    /// Argument of the log service; for the stock one a file, `None` for standard output (`logger`).
    pub logger: Option<String>,
    /// Module of the log service (`logservice`).
    pub logservice: String,
    /// Processor time is counted per service (`profile`).
    pub profile: bool,
    /// Size of the process's arena (`fulmar_arena_reserve`, `fulmar_arena_limit`, in MiB).
    pub arena: ArenaConfig,
    /// Libraries found in `lua_path` win over the built-in ones (`fulmar_libraries = "files"`).
    pub libraries_from_files: bool,
    /// The stock logger writes to a terminal and may use colours; never read from a config, the host sets it.
    pub colour: bool,
    /// Every key and its text.
    pub env: BTreeMap<String, String>,
}

/// Why a map of keys cannot start a node.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// `thread` is not a number from 1 to 1024.
    #[error("Invalid thread {found} , should be in [1,1024]")]
    Thread {
        /// The text found.
        found: String,
    },
    /// `harbor` is not a number from 0 to 255.
    #[error("Invalid harbor {found} , should be in [0,255]")]
    Harbor {
        /// The text found.
        found: String,
    },
    /// A template of `cpath` has no `?`.
    #[error("Invalid C service path")]
    Cpath {
        /// The template.
        found: String,
    },
    /// `fulmar_arena_reserve` or `fulmar_arena_limit` is not a positive number of MiB.
    #[error("Invalid {key} {found} , should be a number of MiB")]
    Size {
        /// The key.
        key: &'static str,
        /// The text found.
        found: String,
    },
    /// `fulmar_libraries` is neither `embedded` nor `files`.
    #[error("Invalid fulmar_libraries {found} , should be embedded or files")]
    Libraries {
        /// The text found.
        found: String,
    },
}

impl SettingsError {
    /// What a person can do about it: one sentence.
    pub fn advice(&self) -> String {
        match self {
            Self::Thread { .. } => "thread is the number of worker threads, as in  thread = 8".into(),
            Self::Harbor { .. } => "a node that is alone sets  harbor = 0".into(),
            Self::Cpath { found } => {
                format!("\"{found}\" in cpath has no ? for the service's name, as in \"./cservice/?.so\"")
            }
            Self::Size { key, .. } => format!("for a gigabyte, set  {key} = 1024"),
            Self::Libraries { .. } => "leave it out to use the libraries of this binary".into(),
        }
    }
}

impl Settings {
    /// Checks the engine's keys and writes its defaults back.
    ///
    /// # Errors
    /// The first key whose value the engine cannot use.
    pub fn new(mut env: BTreeMap<String, String>) -> Result<Self, SettingsError> {
        for (name, default) in WRITTEN_BACK {
            env.entry((*name).to_owned())
                .or_insert_with(|| (*default).to_owned());
        }
        let text = |key: &str| env.get(key).cloned().unwrap_or_default();

        let thread = whole_number(&env["thread"])
            .filter(|n| (1..=1024).contains(n))
            .ok_or_else(|| SettingsError::Thread {
                found: text("thread"),
            })?;
        let harbor = whole_number(&env["harbor"])
            .and_then(|n| u8::try_from(n).ok())
            .ok_or_else(|| SettingsError::Harbor {
                found: text("harbor"),
            })?;
        if let Some(found) = env["cpath"].split(';').find(|template| !template.contains('?')) {
            return Err(SettingsError::Cpath {
                found: found.to_owned(),
            });
        }
        let mut arena = ArenaConfig::default();
        if let Some(bytes) = mebibytes(&env, "fulmar_arena_reserve")? {
            arena.reserve_bytes = bytes;
        }
        if let Some(bytes) = mebibytes(&env, "fulmar_arena_limit")? {
            arena.limit_bytes = bytes;
        }
        let libraries_from_files = match env.get("fulmar_libraries").map(String::as_str) {
            None | Some("embedded") => false,
            Some("files") => true,
            Some(found) => {
                return Err(SettingsError::Libraries {
                    found: found.to_owned(),
                });
            }
        };
        Ok(Self {
            thread: usize::try_from(thread).expect("checked to be at most 1024"),
            harbor,
            cpath: text("cpath"),
            bootstrap: text("bootstrap"),
            daemon: env.get("daemon").map(PathBuf::from),
            logger: env.get("logger").cloned(),
            logservice: text("logservice"),
            profile: env["profile"] == "true",
            arena,
            libraries_from_files,
            colour: false,
            env,
        })
    }

    /// Templates that become `package.path` of every Lua service (`lua_path`).
    pub fn lua_path(&self) -> &str {
        self.or_default("lua_path", "./lualib/?.lua;./lualib/?/init.lua")
    }

    /// Templates that become `package.cpath` of every Lua service (`lua_cpath`).
    pub fn lua_cpath(&self) -> &str {
        self.or_default("lua_cpath", "./luaclib/?.so")
    }

    /// Templates by which a Lua service is found (`luaservice`).
    pub fn luaservice(&self) -> &str {
        self.or_default("luaservice", "./service/?.lua")
    }

    /// The Lua file that loads every Lua service, when the config names one (`lualoader`).
    pub fn lualoader(&self) -> Option<&str> {
        self.env.get("lualoader").map(String::as_str)
    }

    /// The Lua file that runs before every Lua service (`preload`).
    pub fn preload(&self) -> Option<&str> {
        self.env.get("preload").map(String::as_str)
    }

    /// The service that bootstrap launches last (`start`).
    pub fn start(&self) -> &str {
        self.or_default("start", "main")
    }

    fn or_default<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.env.get(key).map_or(default, String::as_str)
    }
}

/// The engine's defaults, which services can read as if the config had set them.
const WRITTEN_BACK: &[(&str, &str)] = &[
    ("thread", "8"),
    ("cpath", "./cservice/?.so"),
    ("harbor", "1"),
    ("bootstrap", "snlua bootstrap"),
    ("logservice", "logger"),
    ("profile", "true"),
];

/// A whole number as Lua writes one: `12`, or `12.0` when the config computed it with `/`.
fn whole_number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

fn mebibytes(env: &BTreeMap<String, String>, key: &'static str) -> Result<Option<usize>, SettingsError> {
    let Some(found) = env.get(key) else {
        return Ok(None);
    };
    whole_number(found)
        .filter(|n| *n > 0)
        .and_then(|n| usize::try_from(n).ok()?.checked_mul(1 << 20))
        .map(Some)
        .ok_or_else(|| SettingsError::Size {
            key,
            found: found.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(keys: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::new(
            keys.iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn defaults_are_written_back_and_unset_keys_stay_unset() {
        let settings = settings(&[]).expect("an empty config is a valid one");
        assert_eq!((settings.thread, settings.harbor, settings.profile), (8, 1, true));
        assert_eq!(settings.env["thread"], "8");
        assert_eq!(settings.env["bootstrap"], "snlua bootstrap");
        assert_eq!(settings.env["logservice"], "logger");
        assert_eq!(settings.env["cpath"], "./cservice/?.so");
        for unset in ["daemon", "logger", "start", "luaservice", "lua_path"] {
            assert!(!settings.env.contains_key(unset), "{unset}");
        }
        assert_eq!(
            (settings.start(), settings.luaservice()),
            ("main", "./service/?.lua")
        );
    }

    #[test]
    fn threads_are_bounded_with_the_known_text() {
        for bad in ["0", "1025", "-1", "many", "1.5", "", "99999999999999999999"] {
            let error = settings(&[("thread", bad)]).expect_err(bad);
            assert_eq!(
                error.to_string(),
                format!("Invalid thread {bad} , should be in [1,1024]")
            );
        }
        for (good, n) in [("1", 1), ("1024", 1024), ("4.0", 4)] {
            assert_eq!(settings(&[("thread", good)]).expect(good).thread, n);
        }
    }

    #[test]
    fn harbor_and_cpath_are_checked() {
        assert!(matches!(
            settings(&[("harbor", "256")]),
            Err(SettingsError::Harbor { .. })
        ));
        assert_eq!(
            settings(&[("harbor", "255")])
                .expect("the highest node number")
                .harbor,
            255
        );
        let error = settings(&[("cpath", "./a/?.so;./b/c.so")]).expect_err("a template without ?");
        assert_eq!(error.to_string(), "Invalid C service path");
        assert!(error.advice().contains("./b/c.so"));
    }

    #[test]
    fn only_the_text_true_enables_profiling() {
        for (text, on) in [("true", true), ("false", false), ("1", false), ("True", false)] {
            assert_eq!(settings(&[("profile", text)]).expect(text).profile, on);
        }
    }

    #[test]
    fn arena_sizes_are_in_mebibytes() {
        let sized =
            settings(&[("fulmar_arena_limit", "3"), ("fulmar_arena_reserve", "1024")]).expect("sizes");
        assert_eq!(
            (sized.arena.limit_bytes, sized.arena.reserve_bytes),
            (3 << 20, 1 << 30)
        );
        for bad in ["0", "-5", "1 GiB", "18446744073709551615"] {
            assert!(
                matches!(
                    settings(&[("fulmar_arena_limit", bad)]),
                    Err(SettingsError::Size { .. })
                ),
                "{bad}"
            );
        }
    }
}
