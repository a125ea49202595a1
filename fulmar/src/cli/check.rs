//! `fulmar check CONFIG`: what a node would start with, what is missing, what looks misspelt. Starts nothing.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use fulmar_lualib::config::{Config, KNOWN_KEYS, ServiceSource, Settings};
use rustix::fs::{Access, access};

use super::daemon;
use super::report::{self, Failure, Paint};

pub(crate) fn check(config: &Path) -> Result<ExitCode, Failure> {
    let settings = Settings::new(Config::load(config)?.values)?;
    let mut findings = Findings::default();
    node(&settings, &mut findings);
    log(&settings, &mut findings);
    services(&settings, &mut findings);
    files(&settings, &mut findings);
    spelling(&settings, &mut findings);
    report::show(&findings.text(Paint::of(&io::stdout())))?;
    Ok(if findings.missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What was found, each a line.
#[derive(Default)]
struct Findings {
    /// A title and what is there.
    plan: Vec<(&'static str, String)>,
    /// Keeps the node from running.
    missing: Vec<String>,
    /// Runs, but probably not as meant.
    doubtful: Vec<String>,
}

impl Findings {
    fn plan(&mut self, title: &'static str, what: impl Into<String>) {
        self.plan.push((title, what.into()));
    }

    fn missing(&mut self, what: impl Into<String>) {
        self.missing.push(what.into());
    }

    fn doubt(&mut self, what: impl Into<String>) {
        self.doubtful.push(what.into());
    }

    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for (title, what) in &self.plan {
            let _ = writeln!(text, "{} {what}", paint.cyan(&format!("{title:<10}")));
        }
        for what in &self.doubtful {
            let _ = writeln!(text, "{} {what}", paint.yellow("warning:"));
        }
        for what in &self.missing {
            let _ = writeln!(text, "{} {what}", paint.red("error:"));
        }
        let verdict = match self.missing.len() {
            0 => paint.green("this config can run"),
            1 => paint.red("this config cannot run: 1 error"),
            n => paint.red(&format!("this config cannot run: {n} errors")),
        };
        let _ = writeln!(text, "{verdict}");
        text
    }
}

fn node(settings: &Settings, findings: &mut Findings) {
    findings.plan("threads", settings.thread.to_string());
    let standalone = settings.env.contains_key("standalone");
    if settings.harbor == 0 {
        findings.plan("node", "alone (harbor = 0)");
        if standalone {
            findings.missing("standalone is set although harbor is 0: remove one of them");
        }
        return;
    }
    findings.plan("node", format!("number {} of a harbor network", settings.harbor));
    for key in ["address", "master"] {
        if !settings.env.contains_key(key) {
            findings.missing(format!(
                "harbor is {} but {key} is not set: set it to an ip:port, or set harbor = 0 for a node that is alone",
                settings.harbor
            ));
        }
    }
}

fn log(settings: &Settings, findings: &mut Findings) {
    match (settings.logservice.as_str(), &settings.logger) {
        ("logger", None) => findings.plan("log", "standard output"),
        ("logger", Some(file)) => {
            findings.plan("log", file.as_str());
            writable("the log file", file, findings);
        }
        (service, argument) => {
            let argument = argument.as_deref().unwrap_or_default();
            findings.plan("log", format!("service {service} {argument}").trim_end());
            native(service, "logservice", settings, findings);
            if service == "snlua" {
                let name = argument.split_whitespace().next().unwrap_or_default();
                lua_service(name, "logger", settings, findings);
            }
        }
    }
    if let Some(folder) = settings.env.get("logpath")
        && !Path::new(folder).is_dir()
    {
        findings.doubt(format!(
            "logpath \"{folder}\" is not a folder: message logs cannot be opened"
        ));
    }
    if let Some(file) = &settings.daemon {
        findings.plan("daemon", format!("pid file {}", file.display()));
        writable("the pid file", &file.to_string_lossy(), findings);
        if let Some(pid) = daemon::running(file) {
            findings.missing(format!(
                "{} names a process that is running, pid = {pid}",
                file.display()
            ));
        }
    }
}

fn services(settings: &Settings, findings: &mut Findings) {
    let mut words = settings.bootstrap.split_whitespace();
    let module = words.next().unwrap_or_default();
    findings.plan("first", settings.bootstrap.as_str());
    native(module, "bootstrap", settings, findings);
    let script = words.next().unwrap_or_default();
    if module != "snlua" {
        return;
    }
    lua_service(script, "bootstrap", settings, findings);
    if script != "bootstrap" {
        return;
    }
    if settings.harbor != 0 {
        if settings.env.contains_key("standalone") {
            lua_service("cmaster", "standalone", settings, findings);
        }
        lua_service("cslave", "harbor", settings, findings);
    }
    // Its first word is the service, the rest its arguments.
    let start = settings.start().split_whitespace().next().unwrap_or_default();
    lua_service(start, "start", settings, findings);
}

/// A service that this binary must have inside; services as shared libraries are not loaded.
fn native(module: &str, key: &str, settings: &Settings, findings: &mut Findings) {
    if !fulmar_lualib::is_native_service(module) {
        findings.missing(format!(
            "{key} wants the native service \"{module}\", which is not built in; C services of cpath (\"{}\") are not loaded",
            settings.cpath
        ));
    }
}

fn lua_service(name: &str, key: &str, settings: &Settings, findings: &mut Findings) {
    match settings.find_service(name, fulmar_lualib::is_embedded_service(name)) {
        Ok(source) => {
            findings.plan("starts", format!("{name} ({source})"));
            if let ServiceSource::File(file) = source
                && let Err(why) = fulmar_lualib::compile(&file)
            {
                findings.missing(format!(
                    "{key} wants the service \"{name}\", which does not compile: {why}"
                ));
            }
        }
        Err(tried) => {
            let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
            findings.missing(format!(
                "{key} wants the service \"{name}\", which luaservice does not find: no {}",
                tried.join(", no ")
            ));
        }
    }
}

fn files(settings: &Settings, findings: &mut Findings) {
    if let Some(file) = settings.preload() {
        findings.plan("preload", file);
        if !Path::new(file).is_file() {
            findings.missing(format!(
                "preload \"{file}\" is not a file: no Lua service could start"
            ));
        }
    }
    if let Some(file) = settings.lualoader() {
        loader(file, settings, findings);
    }
    for (key, templates) in [
        ("luaservice", settings.luaservice()),
        ("lua_path", settings.lua_path()),
        ("lua_cpath", settings.lua_cpath()),
    ] {
        for template in templates.split(';').filter(|t| !t.is_empty() && !t.contains('?')) {
            findings.doubt(format!(
                "\"{template}\" in {key} has no ? for the name: it leads to one file only"
            ));
        }
    }
}

/// A program's own loader is used; the one of a skynet tree, beside its `skynet.lua`, is what the built-in one stands for.
fn loader(file: &str, settings: &Settings, findings: &mut Findings) {
    let path = Path::new(file);
    let in_skynet_tree = path
        .parent()
        .unwrap_or(Path::new(""))
        .join("skynet.lua")
        .is_file();
    if !path.is_file() {
        findings.doubt(format!(
            "lualoader \"{file}\" is not a file: the built-in loader is used"
        ));
    } else if settings.libraries_from_files || !in_skynet_tree {
        findings.plan("loader", file);
    }
}

/// Warns about keys that no part of the system reads but that nearly spell one that is.
fn spelling(settings: &Settings, findings: &mut Findings) {
    for key in settings.env.keys() {
        if let Some(meant) = nearly_known(key) {
            findings.doubt(format!("the key \"{key}\" is unknown; did you mean \"{meant}\"?"));
        }
    }
}

/// The known key that `key` nearly spells: one slip in a short word, two in a longer one.
fn nearly_known(key: &str) -> Option<&'static str> {
    if KNOWN_KEYS.iter().any(|known| known.name == key) {
        return None;
    }
    let slips = if key.chars().count() < 6 { 1 } else { 2 };
    let distances = KNOWN_KEYS
        .iter()
        .map(|known| (strsim::osa_distance(&key.to_lowercase(), known.name), known.name));
    distances
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}

/// Can `file` be written, or made?
fn writable(what: &str, file: &str, findings: &mut Findings) {
    let path = Path::new(file);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if path.is_dir() {
        findings.missing(format!("{what} {file} is a folder"));
    } else if path.exists() {
        if access(path, Access::WRITE_OK).is_err() {
            findings.missing(format!("{what} {file} may not be written"));
        }
    } else if !folder.is_dir() {
        findings.missing(format!(
            "{what} {file} cannot be made: there is no folder {}",
            folder.display()
        ));
    } else if access(folder, Access::WRITE_OK).is_err() {
        findings.missing(format!(
            "{what} {file} cannot be made: the folder may not be written"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_and_other_words_are_not() {
        for (key, meant) in [
            ("threads", Some("thread")),
            ("Thread", Some("thread")),
            ("tread", Some("thread")),
            ("luapath", Some("lua_path")),
            ("bootstarp", Some("bootstrap")),
            ("luaservices", Some("luaservice")),
            ("strat", Some("start")),
            ("thread", None),
            ("root", None),
            ("db", None),
            ("maxclient", None),
            ("", None),
        ] {
            assert_eq!(nearly_known(key), meant, "{key}");
        }
    }
}
