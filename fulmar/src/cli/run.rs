//! `fulmar run CONFIG`: config, daemon mode, boot, work, end; in skynet's order.

use std::path::Path;
use std::process::ExitCode;

use fulmar_lualib::config::{Config, Settings};

use super::Overrides;
use super::daemon::Daemon;
use super::node;
use super::report::Failure;
use super::signals::Signals;

pub(crate) fn run(config: &Path, overrides: &Overrides) -> Result<ExitCode, Failure> {
    let mut values = Config::load(config)?.values;
    node::override_values(&mut values, overrides);
    let mut settings = Settings::new(values)?;
    settings.colour = node::colour_for(&settings);

    // No thread but this one exists yet: the fork that detaches would leave others behind.
    let daemon = settings.daemon.as_deref().map(Daemon::detach).transpose()?;
    let signals = Signals::listen()?;
    let engine = fulmar_lualib::boot(&settings).map_err(|error| {
        let advice = format!("fulmar check {} lists what is missing", config.display());
        Failure::of(&error).advise(advice)
    })?;
    node::tell_of_a_small_arena();
    if let Some(daemon) = &daemon {
        daemon.silence()?;
    }
    signals.serve(&engine, settings.daemon.clone())?;
    engine.start();
    engine.wait();
    Ok(ExitCode::SUCCESS)
}
