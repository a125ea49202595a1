//! What `run` and `exec` share: the command line's say in the settings.

use std::collections::BTreeMap;
use std::io;

use fulmar_lualib::config::Settings;

use super::Overrides;
use super::report::Paint;

/// Puts what the command line gives in the place of what the config says.
pub(crate) fn override_values(values: &mut BTreeMap<String, String>, overrides: &Overrides) {
    if let Some(threads) = overrides.threads {
        values.insert("thread".to_owned(), threads.to_string());
    }
    if let Some(log) = &overrides.log {
        values.insert("logger".to_owned(), log.clone());
    }
}

/// Whether log lines get colours: only on their way to a terminal.
pub(crate) fn colour_for(settings: &Settings) -> bool {
    settings.logger.is_none() && settings.daemon.is_none() && Paint::of(&io::stdout()).is_on()
}
