//! Where a Lua service's script comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::Settings;

/// The script that a service name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceSource {
    /// A stock service inside this binary.
    BuiltIn,
    /// A file found through `luaservice`.
    File(PathBuf),
}

impl fmt::Display for ServiceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Settings {
    /// Finds the script of the Lua service `name`; `built_in` says whether this binary has one of that name.
    ///
    /// The templates of `luaservice` count from left to right. A built-in service gives way to a file, except to the
    /// copy in a skynet tree, which is a folder that also holds `launcher.lua`.
    ///
    /// # Errors
    /// The paths tried, in order.
    pub fn find_service(&self, name: &str, built_in: bool) -> Result<ServiceSource, Vec<PathBuf>> {
        let mut tried = Vec::new();
        for template in self.templates() {
            let candidate = Candidate::new(template, name);
            if candidate.exists() {
                return Ok(if built_in && is_stock(candidate.path()) {
                    ServiceSource::BuiltIn
                } else {
                    ServiceSource::File(candidate.path().to_owned())
                });
            }
            tried.push(candidate.path().to_owned());
        }
        if built_in {
            Ok(ServiceSource::BuiltIn)
        } else {
            Err(tried)
        }
    }

    /// The templates of `luaservice`.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &str> {
        self.luaservice()
            .split(';')
            .filter(|template| !template.is_empty())
    }
}

/// A file that may hold a service's script.
pub(crate) struct Candidate(String);

impl Candidate {
    pub(crate) fn new(template: &str, name: &str) -> Candidate {
        Candidate(template.replace('?', name))
    }

    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    pub(crate) fn exists(&self) -> bool {
        self.path().is_file()
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// Whether `path` is a skynet tree's own copy of a stock service. A project's script of the same name is not.
pub(crate) fn is_stock(path: &Path) -> bool {
    path.parent()
        .unwrap_or(Path::new(""))
        .join("launcher.lua")
        .is_file()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    #[test]
    fn a_projects_service_wins_and_a_skynet_trees_does_not() {
        let root = std::env::temp_dir().join(format!("fulmar-services-{}", std::process::id()));
        for (folder, file) in [
            ("own", "gate.lua"),
            ("tree", "gate.lua"),
            ("tree", "launcher.lua"),
            ("tree", "own.lua"),
        ] {
            fs::create_dir_all(root.join(folder)).expect("a temporary folder");
            fs::write(root.join(folder).join(file), "").expect("a temporary file");
        }
        let find = |folders: &[&str], name: &str, built_in: bool| {
            let templates: Vec<_> = folders
                .iter()
                .map(|folder| format!("{}/{folder}/?.lua", root.display()))
                .collect();
            let env = BTreeMap::from([("luaservice".to_owned(), templates.join(";"))]);
            Settings::new(env)
                .expect("valid settings")
                .find_service(name, built_in)
        };
        let file = |path: &str| Ok(ServiceSource::File(root.join(path)));
        assert_eq!(find(&["own", "tree"], "gate", true), file("own/gate.lua"));
        assert_eq!(find(&["tree", "own"], "gate", true), Ok(ServiceSource::BuiltIn));
        assert_eq!(find(&["tree"], "own", false), file("tree/own.lua"));
        assert_eq!(find(&["own"], "launcher", true), Ok(ServiceSource::BuiltIn));
        let tried = vec![root.join("own/none.lua"), root.join("tree/none.lua")];
        assert_eq!(find(&["own", "tree"], "none", false), Err(tried));
        fs::remove_dir_all(&root).expect("the temporary folder is there");
    }
}
