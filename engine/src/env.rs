//! The environment: settings by name, shared by a whole node.
//!
//! Filled from the configuration before the first service starts; services read it with `GETENV` and may add to it with
//! `SETENV`. A key is written once and never changed or removed, so a value once read stays true.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{PoisonError, RwLock};

/// A write-once table of texts, in whatever encoding.
///
/// **Shape.** One read-write lock; a reader copies the value out.
///
/// ```
/// use fulmar_engine::Env;
///
/// let env = Env::default();
/// assert!(env.set("thread", "8"));
/// assert!(!env.set("thread", "16"), "the first value stays");
/// assert_eq!(env.get("thread").as_deref(), Some("8"));
/// ```
#[derive(Debug, Default)]
pub struct Env {
    values: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Env {
    /// The environment that holds `values`.
    pub fn new(values: BTreeMap<String, String>) -> Env {
        let bytes = |(key, value): (String, String)| (key.into_bytes(), value.into_bytes());
        Env {
            values: RwLock::new(values.into_iter().map(bytes).collect()),
        }
    }

    /// The value of `key`, if it was ever set. What is not UTF-8 in it is replaced.
    pub fn get(&self, key: &str) -> Option<String> {
        self.get_bytes(key.as_bytes())
            .map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    /// The value of `key` as it was set.
    pub fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.values
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Gives `key` its value; says false, and changes nothing, when it has one.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> bool {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        match values.entry(key.as_ref().to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(value.as_ref().to_owned());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays() {
        let env = Env::new(BTreeMap::from([("a".to_owned(), "1".to_owned())]));
        assert!(!env.set("a", "2"));
        assert!(env.set("b", ""));
        assert!(!env.set("b", "3"));
        assert_eq!(env.get("a").as_deref(), Some("1"));
        assert_eq!(env.get("b").as_deref(), Some(""));
        assert_eq!(env.get("c"), None);
        assert!(env.set(b"\xc4", b"\xe3"));
        assert_eq!(env.get_bytes(b"\xc4").as_deref(), Some(&b"\xe3"[..]));
        assert_eq!(env.get_bytes(b"\xc5"), None);
    }
}
