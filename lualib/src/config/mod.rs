//! Reading a skynet config: a Lua chunk whose global assignments become the node's settings.
//!
//! `evaluate` turns a file into an ordered map of key to text; it is the only part that knows Lua, and it treats the
//! file as untrusted: memory, instructions, source size, include depth and time are bounded, and every fault is a
//! [`ConfigError`] that names file and line. `settings` turns that map into typed [`Settings`] with the engine's
//! defaults and checks. The command line calls [`Config::load`]; an embedder may fill the map itself.

mod error;
mod evaluate;
mod expand;
mod keys;
pub(crate) mod services;
mod settings;

pub use error::{ConfigError, Position};
pub use evaluate::{Config, Evaluator, Limits};
pub use keys::{KNOWN_KEYS, KnownKey};
pub use services::ServiceSource;
pub use settings::{Settings, SettingsError};
