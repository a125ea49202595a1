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
    find(script)?;
    if let Some(word) = args.iter().find(|word| word.contains(['\n', '\r'])) {
        return Err(Failure::new(format!(
            "an argument of a script is a word in a line, and {word:?} is more than a line"
        )));
    }
    let mut values = own_values(script);
    node::override_values(&mut values, overrides);
    let mut settings = Settings::new(values)?;
    settings.colour = node::colour_for(&settings);

    let signals = Signals::listen()?;
    let script = fulmar_lualib::exec(script, args, &settings).map_err(|error| Failure::of(&error))?;
    node::tell_of_a_small_arena();
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

/// Refuses what a Lua search path could not lead to, while the reason can still be told.
fn find(script: &Path) -> Result<(), Failure> {
    let refuse = |why: String| {
        let advice = "give the path of a Lua file, as in  fulmar exec hello.lua";
        Err(Failure::new(why).advise(advice))
    };
    let shown = script.display();
    match script.metadata() {
        Err(error) => return refuse(format!("cannot read {shown}: {error}")),
        Ok(file) if !file.is_file() => return refuse(format!("{shown} is not a file")),
        Ok(_) => {}
    }
    if script.extension() != Some("lua".as_ref()) {
        return refuse(format!("{shown} does not end in .lua"));
    }
    let name = script.file_stem().unwrap_or_default().to_string_lossy();
    if fulmar_lualib::is_embedded_service(&name) {
        return refuse(format!(
            "{shown}: {name} is a service of the node itself; give the script another name"
        ));
    }
    let Some(path) = script.to_str() else {
        return refuse(format!("the path {shown} is not UTF-8"));
    };
    if name.contains(char::is_whitespace) || path.contains([';', '?']) {
        return refuse(format!(
            "{shown}: a service's file has no space in its name, its path no ';' and no '?'"
        ));
    }
    Ok(())
}

/// A node that is alone, uses every core, and finds services and modules beside the script.
fn own_values(script: &Path) -> BTreeMap<String, String> {
    let folder = match script.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder.display();
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
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}
