//! What can be wrong with a config, in skynet's words where skynet has words for it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A line of a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file as it was named, by the caller or by an `include`.
    pub path: PathBuf,
    /// Counted from one; `None` when the fault belongs to the file as a whole.
    pub line: Option<u32>,
    /// The line itself, shortened and made printable; the text as it stands in the file, before `$NAME` is replaced.
    pub text: Option<String>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// Why a config could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file that was to be read.
        path: PathBuf,
        /// The line with the `include`, when it was not the top-level file.
        included_from: Option<Position>,
        /// What the system said.
        source: io::Error,
    },
    /// A `$NAME` whose environment variable is not set.
    #[error("{at}: os.getenv() failed: {name}")]
    Variable {
        /// Where the name stands.
        at: Position,
        /// The variable's name.
        name: String,
    },
    /// Lua refused the text, or the chunk raised an error.
    #[error("{at}: {message}")]
    Lua {
        /// Where Lua saw the fault.
        at: Position,
        /// Lua's own words, without the position.
        message: String,
    },
    /// A value that is neither text, number nor boolean.
    #[error("Invalid config table key = {key}")]
    Value {
        /// The key whose value it is.
        key: String,
        /// The Lua type found.
        found: &'static str,
    },
    /// A key that is not a string.
    #[error("Invalid config table")]
    Key {
        /// The Lua type found.
        found: &'static str,
    },
    /// A key or value that is not UTF-8.
    #[error("Invalid config table key = {key}: the text is not UTF-8")]
    Encoding {
        /// The key, as far as it can be shown.
        key: String,
    },
    /// The file, or its text once `$NAME`s are replaced, is too large to be a config.
    #[error("{} is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit_bytes: usize,
    },
    /// Includes nested too deeply, as when a file includes itself.
    #[error("{at}: includes are nested more than {limit} deep")]
    IncludeDepth {
        /// The line with the `include` that was one too many.
        at: Position,
        /// The bound.
        limit: usize,
    },
    /// The chunk used more memory than a config may.
    #[error("{}: the config needs more than {limit_bytes} bytes of memory", path.display())]
    Memory {
        /// The top-level file.
        path: PathBuf,
        /// The bound.
        limit_bytes: usize,
    },
    /// The chunk ran longer than a config may, as an endless loop does.
    #[error("{at}: the config ran for more than {limit} instructions")]
    Instructions {
        /// The line that was running.
        at: Position,
        /// The bound.
        limit: u32,
    },
    /// Evaluation was not over in time: a pattern without end, or a file that does not answer.
    #[error("{}: the config was not evaluated within {} s", path.display(), limit.as_secs_f32())]
    Time {
        /// The top-level file.
        path: PathBuf,
        /// The bound.
        limit: Duration,
    },
    /// The system gave no thread or no memory to evaluate in.
    #[error("cannot evaluate {}: {source}", path.display())]
    System {
        /// The top-level file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ConfigError {
    /// The place in the files that the error is about, when it is about one.
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Variable { at, .. }
            | Self::Lua { at, .. }
            | Self::IncludeDepth { at, .. }
            | Self::Instructions { at, .. } => Some(at),
            Self::Read { included_from, .. } => included_from.as_ref(),
            _ => None,
        }
    }

    /// What a person can do about it: one sentence.
    pub fn advice(&self) -> String {
        match self {
            Self::Read {
                included_from: Some(_),
                ..
            } => "an include is looked for beside the file that includes it".into(),
            Self::Read { .. } => "give the path of a config file, such as examples/lua/config".into(),
            Self::Variable { name, .. } => {
                format!("set it before starting (export {name}=...), or write the value into the config")
            }
            Self::Lua { message, .. } if message.contains("nil value (global") => {
                "a config sees no Lua library: only assignments, operators, string methods and include".into()
            }
            Self::Lua { .. } => "a config is Lua: lines such as  thread = 8  or  start = \"main\"".into(),
            Self::Value { found, .. } => {
                format!("it is a {found}; a setting is a string, a number or a boolean")
            }
            Self::Key { found } => format!("a key is a {found}; give every setting a name"),
            Self::Encoding { .. } => "save the file as UTF-8".into(),
            Self::TooLarge { .. } => "keep data in files of their own and name them in the config".into(),
            Self::IncludeDepth { .. } => "does a file include itself?".into(),
            Self::Memory { .. } | Self::Instructions { .. } | Self::Time { .. } => {
                "a config only names settings; compute in a service".into()
            }
            Self::System { .. } => "free some memory or raise the limit on threads (ulimit -u)".into(),
        }
    }
}
