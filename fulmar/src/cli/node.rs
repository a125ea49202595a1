//! What `run` and `exec` share: the command line's say in the settings.

use std::collections::BTreeMap;
use std::io;

use fulmar_arena::{Arena, SEGMENT_BYTES};
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

/// Says so when the system gave messages less address space than was asked for.
pub(crate) fn tell_of_a_small_arena() {
    let stats = Arena::process().stats();
    if stats.requested_bytes.saturating_sub(stats.reserved_bytes) >= SEGMENT_BYTES as u64 {
        eprintln!(
            "{} the system reserves {} MiB for messages instead of {}: raise the limit on address space (ulimit -v), or set \
             fulmar_arena_reserve",
            Paint::of(&io::stderr()).yellow("warning:"),
            stats.reserved_bytes >> 20,
            stats.requested_bytes >> 20,
        );
    }
}
