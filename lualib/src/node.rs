//! A node that hosts Lua services: what they share, and how it boots.

use std::ffi::CString;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use fulmar_arena::Arena;
use fulmar_arena::sync::atomic::{AtomicU64, Ordering};
use fulmar_engine::services::{gate::Gate, harbor::Harbor, logger::Logger};
use fulmar_engine::{BuildError, Clock, Engine, EngineBuilder, LaunchError, Random};
use mlua::ffi;

use crate::code_cache::CodeCache;
use crate::config::Settings;
use crate::image::Image;
use crate::snlua::Snlua;
use crate::sproto::Schemas;
use crate::stm::Tickets;
use crate::tables::{Staged, Tables};
use crate::{embedded, raw, signal};

/// What all Lua services of a node share.
pub(crate) struct Node {
    settings: Settings,
    pub(crate) cache: CodeCache,
    /// The file that loads services; none: the embedded loader.
    loader: Option<CString>,
    /// The service that `fulmar exec` runs, by its name.
    script: Option<String>,
    /// The schemas of `sproto`.
    pub(crate) schemas: Schemas,
    /// What `skynet.stm` hands from service to service.
    pub(crate) tickets: Tickets,
    /// Shared tables, and those on their way from service to service.
    pub(crate) tables: Tables,
    pub(crate) staged: Staged,
    /// Where the seeds of Lua's string hashes and of `math.random` come from.
    seed: AtomicU64,
    /// What every state starts with; made for the first one, `None` when that cannot be done.
    pub(crate) image: OnceLock<Option<Image>>,
}

impl Node {
    fn new(settings: Settings, tables: Tables, seed: u64) -> Node {
        let loader = own_loader(&settings);
        let script = settings
            .start()
            .strip_prefix("fulmar_exec ")
            .and_then(|line| line.split_whitespace().next())
            .map(str::to_owned);
        Node {
            settings,
            cache: CodeCache::default(),
            loader,
            script,
            schemas: Schemas::default(),
            tickets: Tickets::new(seed),
            tables,
            staged: Staged::default(),
            seed: AtomicU64::new(seed),
            image: OnceLock::new(),
        }
    }

    /// A seed for a new state: one after the other from the node's own.
    pub(crate) fn random_seed(&self) -> u32 {
        // Relaxed: each value is used once, in whatever order.
        let seed = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        ((seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
    }

    /// Whether libraries on `lua_path` come before the embedded ones.
    pub(crate) fn files_first(&self) -> bool {
        self.settings.libraries_from_files
    }

    pub(crate) fn loader(&self) -> Option<&CString> {
        self.loader.as_ref()
    }

    /// Whether this command line of a service is that of the script which `fulmar exec` runs.
    pub(crate) fn is_script(&self, line: &str) -> bool {
        self.script.is_some() && self.script.as_deref() == line.split_whitespace().next()
    }

    /// Where services' scripts may be: the templates of `luaservice`.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &str> {
        self.settings.templates()
    }

    /// A search path of the config, with its default.
    pub(crate) fn path(&self, key: &str) -> Option<&str> {
        match key {
            "lua_path" => Some(self.settings.lua_path()),
            "lua_cpath" => Some(self.settings.lua_cpath()),
            "luaservice" => Some(self.settings.luaservice()),
            _ => self.settings.preload(),
        }
    }
}

/// The config's loader when it is a program's own. The one in a skynet checkout (beside its `skynet.lua`) gives way to the
/// embedded loader, which finds the same and the embedded services too.
fn own_loader(settings: &Settings) -> Option<CString> {
    let text = settings.lualoader()?;
    let file = Path::new(text);
    let folder = file.parent().unwrap_or(Path::new("."));
    let is_stock = folder.join("skynet.lua").is_file() && !settings.libraries_from_files;
    (file.is_file() && !is_stock)
        .then(|| CString::new(text).ok())
        .flatten()
}

/// Why a node does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum BootError {
    /// The engine cannot be built.
    Build(BuildError),
    /// The handler that interrupts Lua code cannot be installed.
    Signal(io::Error),
    /// The program is linked with a Lua that this crate does not know: not the one that it compiles.
    ForeignLua,
    /// The log service does not start.
    Logger {
        /// Its module (`logservice`).
        module: String,
        /// Why.
        reason: LaunchError,
    },
    /// The first service does not start.
    Bootstrap {
        /// The config's `bootstrap`.
        line: String,
        /// Why.
        reason: LaunchError,
    },
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::Build(error) => write!(f, "{error}"),
            BootError::Signal(error) => write!(f, "cannot install the interrupt handler: {error}"),
            BootError::ForeignLua => write!(f, "this is not the Lua 5.5.1 that the host is made for"),
            BootError::Logger { module, .. } => write!(f, "Can't launch {module} service"),
            BootError::Bootstrap { line, .. } => write!(f, "Bootstrap error : {line}"),
        }
    }
}

impl std::error::Error for BootError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BootError::Build(error) => Some(error),
            BootError::Signal(error) => Some(error),
            BootError::ForeignLua => None,
            BootError::Logger { reason, .. } | BootError::Bootstrap { reason, .. } => Some(reason),
        }
    }
}

/// Builds the engine of a node and launches its log service and its first service. Nothing runs before `Engine::start`.
///
/// Behaviour: skynet's boot order, steps 3 to 5.
///
/// # Errors
/// When the engine cannot be built or one of the two services does not start.
pub fn boot(settings: &Settings) -> Result<Engine, BootError> {
    boot_with(settings, Tables::new())
}

/// The same with shared tables that the program has, too: see [`Tables`] for an example.
///
/// # Errors
/// As for [`boot`].
pub fn boot_with(settings: &Settings, tables: Tables) -> Result<Engine, BootError> {
    // A clash means that the process arena is in use already: two engines share it.
    let _ = Arena::configure(settings.arena);
    let seed = Random::fresh_seed();
    launch(settings, tables, Engine::builder().threads(settings.thread), seed)
}

/// The same node on one thread, with virtual time and every choice drawn from `seed`: two runs of the same program with
/// the same seed do the same. Drive it with `Engine::run_until_idle`.
///
/// # Errors
/// As for [`boot`].
pub fn boot_deterministic(settings: &Settings, seed: u64) -> Result<Engine, BootError> {
    let builder = Engine::builder()
        .deterministic(seed)
        .clock(Clock::manual(EPOCH_SECONDS));
    launch(settings, Tables::new(), builder, seed)
}

/// The wall clock of a deterministic node: a fixed day.
const EPOCH_SECONDS: u64 = 1_700_000_000;

fn launch(
    settings: &Settings,
    tables: Tables,
    builder: EngineBuilder,
    seed: u64,
) -> Result<Engine, BootError> {
    signal::install().map_err(BootError::Signal)?;
    if !raw::is_expected() {
        return Err(BootError::ForeignLua);
    }
    let node = Arc::new(Node::new(settings.clone(), tables, seed));
    let engine = builder
        .harbor(settings.harbor)
        .profile(settings.profile)
        .env(settings.env.clone())
        .module("snlua", Snlua { node })
        .module("logger", Logger::new(settings.colour))
        .module("harbor", Harbor)
        .module("gate", Gate)
        .build()
        .map_err(BootError::Build)?;
    let logger = settings.logger.as_deref().unwrap_or_default();
    let handle = engine
        .launch(&settings.logservice, logger)
        .map_err(|reason| BootError::Logger {
            module: settings.logservice.clone(),
            reason,
        })?;
    engine.names().register("logger", handle);
    let line = settings.bootstrap.trim();
    let (module, arguments) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    engine
        .launch(module, arguments.trim_start())
        .map_err(|reason| BootError::Bootstrap {
            line: line.to_owned(),
            reason,
        })?;
    Ok(engine)
}

/// A script that runs as the only program of a node; made by [`exec`].
pub struct Script {
    /// The node's engine, not started yet. It ends by itself when every service of the script has ended.
    pub engine: Engine,
}

impl Script {
    /// Whether the script started: to be asked when the engine has ended.
    pub fn finished_well(&self) -> bool {
        self.engine.env().get("fulmar_exec_failed").is_none()
    }
}

/// Prepares a node that runs one script as a service, without a config of its own.
///
/// The script is found by its name on the settings' `luaservice`.
///
/// # Errors
/// As for [`boot`].
pub fn exec(script: &Path, arguments: &[String], settings: &Settings) -> Result<Script, BootError> {
    let name = script
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let line = std::iter::once(name)
        .chain(arguments.iter().cloned())
        .collect::<Vec<_>>()
        .join(" ");
    let mut settings = settings.clone();
    settings
        .env
        .insert("start".to_owned(), format!("fulmar_exec {line}"));
    Ok(Script {
        engine: boot(&settings)?,
    })
}

/// Whether a Lua service of this name is part of this binary.
pub fn is_embedded_service(name: &str) -> bool {
    embedded::service(name).is_some()
}

/// Reads a Lua file as a service would, and runs nothing of it.
///
/// # Errors
/// When it cannot be read, or does not compile: in Lua's words, with file and line.
pub fn compile(file: &Path) -> Result<(), String> {
    let path = CString::new(file.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
    let lua = mlua::Lua::new_with(mlua::StdLib::NONE, mlua::LuaOptions::default());
    let lua = lua.map_err(|error| error.to_string())?;
    // SAFETY: runs protected, on a stack of its own; the path outlives the call. Stack: the chunk, which goes, or the error, which stays.
    let error = unsafe {
        lua.exec_raw::<Option<String>>((), |state| {
            if ffi::luaL_loadfilex(state, path.as_ptr(), c"bt".as_ptr()) == ffi::LUA_OK {
                ffi::lua_settop(state, 0);
            }
        })
    };
    match error.map_err(|error| error.to_string())? {
        Some(text) => Err(text),
        None => Ok(()),
    }
}

/// The Lua that services run on, as its `_VERSION` says.
pub fn lua_version() -> &'static str {
    "Lua 5.5"
}

/// Whether a module of this name is written in Rust and part of this binary.
pub fn is_native_service(name: &str) -> bool {
    matches!(name, "snlua" | "logger" | "harbor" | "gate")
}
