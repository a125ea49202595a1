//! A config file: Lua code that is evaluated under limits.

use std::path::Path;

use fulmar_lualib::config::{Evaluator, Settings};

/// Evaluates a config and reads its settings: an error or settings, within the limits.
pub fn config(data: &[u8]) {
    let evaluator = Evaluator::new().environment(|_| None);
    if let Ok(config) = evaluator.text(Path::new("config"), data.to_vec()) {
        let _ = Settings::new(config.values);
    }
}
