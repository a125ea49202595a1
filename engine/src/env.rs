//! The environment: settings by name, shared by a whole node.
//!
//! Filled from the configuration before the first service starts; services read it with `GETENV` and may add to it with
//! `SETENV`. A key is written once and never changed or removed, so a value once read stays true.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A write-once table of texts.
///
/// **Shape.** One lock; a reader gets a counted reference and copies nothing.
///
/// ```
/// use fulmar_engine::Environment;
///
/// let env = Environment::default();
/// assert!(env.set("thread", "8").is_ok());
/// assert!(env.set("thread", "16").is_err());
/// assert_eq!(env.read("thread").as_deref(), Some("8"));
/// ```
#[derive(Debug, Default)]
pub struct Environment {
    values: RwLock<BTreeMap<Box<str>, Arc<str>>>,
}

impl Environment {
    /// The value of `key`, if it was ever set.
    pub fn read(&self, key: &str) -> Option<Arc<str>> {
        self.values
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Gives `key` its value.
    ///
    /// # Errors
    /// [`AlreadySet`] when it has one; that one stays.
    pub fn set(&self, key: &str, value: &str) -> Result<(), AlreadySet> {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        if values.contains_key(key) {
            return Err(AlreadySet);
        }
        values.insert(key.into(), value.into());
        Ok(())
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Environment {
    /// Of two values for one key, the first one stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Environment {
        let env = Environment::default();
        for (key, value) in pairs {
            let _first_stays = env.set(key.as_ref(), value.as_ref());
        }
        env
    }
}

/// A key of the environment has a value already, and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is set already and cannot be changed")]
pub struct AlreadySet;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays() {
        let env: Environment = [("a", "1"), ("b", ""), ("a", "2")].into_iter().collect();
        assert_eq!(env.read("a").as_deref(), Some("1"));
        assert_eq!(env.read("b").as_deref(), Some(""));
        assert_eq!(env.read("c"), None);
        assert_eq!(env.set("b", "3"), Err(AlreadySet));
        assert_eq!(env.set("c", "4"), Ok(()));
        assert_eq!(env.read("c").as_deref(), Some("4"));
    }
}
