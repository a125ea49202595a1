//! `fulmar exec FILE.lua [ARGS]`: one script as a service, with settings made here instead of read from a config.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use fulmar_lualib::config::Settings;

use super::Overrides;
use super::node;
use super::report::Failure;
use super::signals::Signals;

pub(crate) fn exec(script: &Path, args: &[String], overrides: &Overrides) -> Result<ExitCode, Failure> {
    let mut values = values_for(script)?;
    node::override_values(&mut values, overrides);
    let mut settings = Settings::new(values)?;
    settings.colour = node::colour_for(&settings);

    let signals = Signals::listen()?;
    let script = fulmar_lualib::exec(script, args, &settings).map_err(Failure::new)?;
    signals.serve(&script.engine, None)?;
    script.engine.start();
    script.engine.wait();
    // What went wrong is in the log already, in the words of whoever saw it.
    Ok(if script.finished_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A node that is alone, uses every core, and finds services and modules beside the script.
fn values_for(script: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let advice = "give the path of a Lua file, as in  fulmar exec hello.lua";
    match script.metadata() {
        Ok(file) if file.is_file() => {}
        Ok(_) => return Err(Failure::new(format!("{} is not a file", script.display())).advise(advice)),
        Err(error) => {
            return Err(Failure::new(format!("cannot read {}: {error}", script.display())).advise(advice));
        }
    }
    let folder = match script.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder
        .to_str()
        .filter(|folder| !folder.contains([';', '?']))
        .ok_or_else(|| {
            Failure::new(format!(
                "the folder {} cannot be searched for services",
                folder.display()
            ))
            .advise(
                "a Lua search path is UTF-8 without ';' and '?': move the script, or run it from its folder",
            )
        })?;
    let cores = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(1024);
    let pairs = [
        ("thread", cores.to_string()),
        ("harbor", "0".to_owned()),
        (
            "luaservice",
            format!("{folder}/?.lua;{folder}/?/main.lua;./service/?.lua"),
        ),
        (
            "lua_path",
            format!("{folder}/?.lua;{folder}/?/init.lua;./lualib/?.lua;./lualib/?/init.lua"),
        ),
        ("lua_cpath", format!("{folder}/?.so;./luaclib/?.so")),
    ];
    Ok(pairs.map(|(key, value)| (key.to_owned(), value)).into())
}
