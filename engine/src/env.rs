//! The environment: settings by name, shared by a whole node.
//!
//! Filled from the configuration before the first service starts; services read it with `GETENV` and may add to it with
//! `SETENV`. A key is written once and never changed or removed, so a value once read stays true.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{PoisonError, RwLock};

/// A write-once table of texts.
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
    values: RwLock<BTreeMap<String, String>>,
}

impl Env {
    /// The environment that holds `values`.
    pub fn new(values: BTreeMap<String, String>) -> Env {
        Env {
            values: RwLock::new(values),
        }
    }

    /// The value of `key`, if it was ever set.
    pub fn get(&self, key: &str) -> Option<String> {
        self.values
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Gives `key` its value; says false, and changes nothing, when it has one.
    pub fn set(&self, key: &str, value: &str) -> bool {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        match values.entry(key.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(value.to_owned());
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
    }
}
