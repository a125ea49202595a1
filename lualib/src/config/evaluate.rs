//! Runs a config in a Lua state of its own and collects what it assigned.
//!
//! The chunk sees an empty table and the function `include`; the string library is there only as methods of strings.
//! It runs on a thread of its own, because a pattern match inside Lua's C code hears no hook: when the time is up the
//! caller goes on without it. Everything else is stopped inside the state, by its memory limit or by the hook that
//! counts instructions.
//!
//! A fault inside an include, or one that the hook finds, is left in `Files::fault` before a plain Lua error unwinds
//! the chunks; so what reaches the caller is always the innermost cause, whatever Lua made of it on the way.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use mlua::chunk::ChunkMode;
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, Table, Value};

use super::error::{ConfigError, Position};
use super::expand::{ExpandError, expand};

/// An evaluated config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Every key the file assigned, and its value as text, in the order of the keys.
    pub values: BTreeMap<String, String>,
}

impl Config {
    /// Evaluates a file with the process's environment and the default [`Limits`].
    ///
    /// # Errors
    /// See [`ConfigError`]; the first fault ends the evaluation.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Evaluator::new().file(path)
    }
}

/// How much a config may use. The defaults are far above what a config needs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of one file, before and after `$NAME`s are replaced.
    pub source_bytes: usize,
    /// Files open in one another.
    pub include_depth: usize,
    /// Memory of the Lua state.
    pub memory_bytes: usize,
    /// Lua instructions, includes included.
    pub instructions: u32,
    /// Time on the clock.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 4 << 20,
            include_depth: 32,
            memory_bytes: 64 << 20,
            instructions: 100_000_000,
            time: Duration::from_secs(10),
        }
    }
}

/// Evaluates configs under limits and an environment that the caller chooses.
#[derive(Clone)]
pub struct Evaluator {
    limits: Limits,
    environment: Environment,
}

/// Looks an environment variable up.
type Environment = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

impl Evaluator {
    /// The process's environment, the default limits.
    pub fn new() -> Self {
        Self {
            limits: Limits::default(),
            environment: Arc::new(|name| std::env::var_os(name)),
        }
    }

    /// Sets other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Answers `$NAME` from elsewhere than the process's environment.
    #[must_use]
    pub fn environment(mut self, lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        self.environment = Arc::new(lookup);
        self
    }

    /// Evaluates a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn file(&self, path: &Path) -> Result<Config, ConfigError> {
        let limit_bytes = self.limits.source_bytes;
        self.evaluate(path, move |path| read(path, limit_bytes, None))
    }

    /// Evaluates a text as if it stood in the file `path`, which is not read.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn text(&self, path: &Path, text: Vec<u8>) -> Result<Config, ConfigError> {
        self.evaluate(path, |_| Ok(text))
    }

    fn evaluate(
        &self,
        path: &Path,
        source: impl FnOnce(&Path) -> Result<Vec<u8>, ConfigError> + Send + 'static,
    ) -> Result<Config, ConfigError> {
        let (answer, outcome) = mpsc::channel();
        let chunks = Arc::new(Chunks {
            limits: self.limits,
            environment: Arc::clone(&self.environment),
            top: path.to_owned(),
            files: Mutex::default(),
        });
        let work = move || {
            // The receiver is gone when the time was up; then nobody wants the answer.
            let _ = answer.send(source(&chunks.top).and_then(|text| run(&chunks, text)));
        };
        let system = |source| ConfigError::System {
            path: path.to_owned(),
            source,
        };
        thread::Builder::new()
            .name("config".into())
            .spawn(work)
            .map_err(system)?;
        match outcome.recv_timeout(self.limits.time) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(ConfigError::Time {
                path: path.to_owned(),
                limit: self.limits.time,
            }),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(system(io::Error::other("the evaluation ended without an answer")))
            }
        }
    }
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new()
    }
}

/// One evaluation, shared by the chunks, `include` and the hook.
struct Chunks {
    limits: Limits,
    environment: Environment,
    top: PathBuf,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    /// Every file so far. Inside Lua a file goes by its index, because Lua shortens long names.
    read: Vec<Source>,
    /// Those that are running, each included by the one before it.
    open: Vec<usize>,
    /// The first fault that Lua could not carry.
    fault: Option<ConfigError>,
}

struct Source {
    path: PathBuf,
    text: Vec<u8>,
}

fn run(chunks: &Arc<Chunks>, text: Vec<u8>) -> Result<Config, ConfigError> {
    let explain = |error: mlua::Error| chunks.explain(&error);
    let lua = Lua::new_with(StdLib::STRING, LuaOptions::default()).map_err(explain)?;
    lua.set_memory_limit(chunks.limits.memory_bytes)
        .map_err(explain)?;
    chunks.limit_instructions(&lua).map_err(explain)?;
    let keys = environment_table(chunks, &lua).map_err(explain)?;
    chunks.run(&lua, &keys, chunks.top.clone(), text)?;

    // The chunk is over; what is collected is bounded by what it could make.
    lua.set_memory_limit(0).map_err(explain)?;
    let mut values = BTreeMap::new();
    for pair in keys.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(explain)?;
        let (key, value) = setting(&lua, &key, &value)?;
        values.insert(key, value);
    }
    Ok(Config { values })
}

/// The chunk's globals: empty, with `include` behind them, so that it is no key of its own.
fn environment_table(chunks: &Arc<Chunks>, lua: &Lua) -> mlua::Result<Table> {
    let keys = lua.create_table()?;
    let (predefined, behind) = (lua.create_table()?, lua.create_table()?);
    let (chunks, globals) = (Arc::clone(chunks), keys.clone());
    let include = lua.create_function(move |lua, name: mlua::LuaString| {
        chunks
            .include(lua, &globals, &name.as_bytes())
            .map_err(|fault| chunks.leave(fault))
    })?;
    predefined.raw_set("include", include)?;
    behind.raw_set("__index", predefined)?;
    keys.set_metatable(Some(behind))?;
    Ok(keys)
}

impl Chunks {
    /// Expands and runs one file.
    fn run(&self, lua: &Lua, keys: &Table, path: PathBuf, text: Vec<u8>) -> Result<(), ConfigError> {
        let environment = |name: &str| (self.environment)(name).map(OsString::into_vec);
        let expanded = expand(&text, self.limits.source_bytes, &environment);
        let number = self.open(path, text);
        let expanded = expanded.map_err(|error| match error {
            ExpandError::Unset { name, offset } => ConfigError::Variable {
                at: self.position(number, self.line_of(number, offset)),
                name,
            },
            ExpandError::TooLarge => too_large(&self.path_of(number), self.limits.source_bytes),
        })?;
        let chunk = lua
            .load(expanded)
            .set_name(chunk_name(number))
            .set_mode(ChunkMode::Text);
        chunk
            .set_environment(keys.clone())
            .exec()
            .map_err(|error| self.cause(&error))?;
        self.files().open.pop();
        Ok(())
    }

    fn include(&self, lua: &Lua, keys: &Table, name: &[u8]) -> Result<(), ConfigError> {
        let from = self.running(lua.inspect_stack(1, |caller| caller.current_line()).flatten());
        if self.files().open.len() >= self.limits.include_depth {
            return Err(ConfigError::IncludeDepth {
                at: from,
                limit: self.limits.include_depth,
            });
        }
        let folder = from.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(OsString::from_vec(name.to_vec()));
        let text = read(&path, self.limits.source_bytes, Some(from))?;
        self.run(lua, keys, path, text)
    }

    fn limit_instructions(self: &Arc<Self>, lua: &Lua) -> mlua::Result<()> {
        let chunks = Arc::clone(self);
        let limit = self.limits.instructions;
        let hook = HookTriggers::new().every_nth_instruction(limit);
        lua.set_hook(hook, move |_, debug| {
            let at = chunks.running(debug.current_line());
            Err(chunks.leave(ConfigError::Instructions { at, limit }))
        })
    }

    /// Keeps a fault for whoever started the chunks, and makes the Lua error that ends them.
    fn leave(&self, fault: ConfigError) -> mlua::Error {
        self.files().fault.get_or_insert(fault);
        mlua::Error::RuntimeError(String::new())
    }

    /// Why a chunk ended: the fault that was left, or else what Lua says.
    fn cause(&self, error: &mlua::Error) -> ConfigError {
        let left = self.files().fault.take();
        left.unwrap_or_else(|| self.explain(error))
    }

    /// What Lua says, with the file and line that it means.
    fn explain(&self, error: &mlua::Error) -> ConfigError {
        let message = match error {
            mlua::Error::MemoryError(_) => {
                return ConfigError::Memory {
                    path: self.top.clone(),
                    limit_bytes: self.limits.memory_bytes,
                };
            }
            mlua::Error::CallbackError { cause, .. } => return self.explain(cause),
            mlua::Error::SyntaxError { message, .. } | mlua::Error::RuntimeError(message) => message.clone(),
            other => other.to_string(),
        };
        let message = message.split("\nstack traceback:").next().unwrap_or_default();
        match split_position(message) {
            Some((number, line, rest)) => ConfigError::Lua {
                at: self.position(number, Some(line)),
                message: rest.to_owned(),
            },
            None => ConfigError::Lua {
                at: self.running(None),
                message: message.to_owned(),
            },
        }
    }

    /// A line of the file that is running.
    fn running(&self, line: Option<usize>) -> Position {
        let number = self.files().open.last().copied();
        match number {
            Some(number) => self.position(number, line),
            None => Position {
                path: self.top.clone(),
                line: None,
                text: None,
            },
        }
    }

    fn position(&self, number: usize, line: Option<usize>) -> Position {
        let files = self.files();
        let Some(source) = files.read.get(number) else {
            return Position {
                path: self.top.clone(),
                line: None,
                text: None,
            };
        };
        let text = line.and_then(|line| source.text.split(|b| *b == b'\n').nth(line.checked_sub(1)?));
        Position {
            path: source.path.clone(),
            line: line.and_then(|line| u32::try_from(line).ok()),
            text: text.map(printable),
        }
    }

    fn open(&self, path: PathBuf, text: Vec<u8>) -> usize {
        let mut files = self.files();
        let number = files.read.len();
        files.read.push(Source { path, text });
        files.open.push(number);
        number
    }

    fn line_of(&self, number: usize, offset: usize) -> Option<usize> {
        let files = self.files();
        let before = files.read.get(number)?.text.get(..offset)?;
        Some(1 + before.iter().filter(|b| **b == b'\n').count())
    }

    fn path_of(&self, number: usize) -> PathBuf {
        self.files()
            .read
            .get(number)
            .map_or_else(|| self.top.clone(), |source| source.path.clone())
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key and its value as the environment keeps them: text.
fn setting(lua: &Lua, key: &Value, value: &Value) -> Result<(String, String), ConfigError> {
    let Value::String(key) = key else {
        return Err(ConfigError::Key {
            found: key.type_name(),
        });
    };
    let shown = || key.to_string_lossy();
    let value = match value {
        // Lua's own form of a number: 12, 1.5, 1e+15.
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(value.clone()).ok().flatten();
            text.and_then(|text| text.to_str().map(|text| text.to_owned()).ok())
        }
        Value::Boolean(yes) => Some(yes.to_string()),
        other => {
            return Err(ConfigError::Value {
                key: shown(),
                found: other.type_name(),
            });
        }
    };
    match (key.to_str(), value) {
        (Ok(key), Some(value)) => Ok((key.to_owned(), value)),
        _ => Err(ConfigError::Encoding { key: shown() }),
    }
}

fn read(path: &Path, limit_bytes: usize, included_from: Option<Position>) -> Result<Vec<u8>, ConfigError> {
    let mut text = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(limit_bytes as u64 + 1).read_to_end(&mut text));
    if let Err(source) = outcome {
        return Err(ConfigError::Read {
            path: path.to_owned(),
            included_from,
            source,
        });
    }
    if text.len() > limit_bytes {
        Err(too_large(path, limit_bytes))
    } else {
        Ok(text)
    }
}

fn too_large(path: &Path, limit_bytes: usize) -> ConfigError {
    ConfigError::TooLarge {
        path: path.to_owned(),
        limit_bytes,
    }
}

/// How Lua names the file `number` in its messages; `=` keeps the name as it is.
fn chunk_name(number: usize) -> String {
    format!("=<{number}>")
}

/// Splits `<3>:12: words` into file, line and words.
fn split_position(message: &str) -> Option<(usize, usize, &str)> {
    let (number, rest) = message.strip_prefix('<')?.split_once(">:")?;
    let (line, words) = rest.split_once(": ")?;
    Some((number.parse().ok()?, line.parse().ok()?, words))
}

/// A line of a file as it can be shown on a terminal: bounded, without control characters.
fn printable(line: &[u8]) -> String {
    const SHOWN: usize = 160;
    let line = String::from_utf8_lossy(line.trim_ascii_end());
    let mut text: String = line
        .chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.chars().nth(SHOWN).is_some() {
        text.push_str("...");
    }
    text
}
