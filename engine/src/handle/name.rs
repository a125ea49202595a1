//! Local names: text that stands for a handle on this node.
//!
//! First come, first served; a service may own several, and they vanish together with its handle. Names are looked up by
//! people, scripts and log calls, not by every message, so a read-write lock serves.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Handle;

/// The local names of one engine, without their leading dot.
#[derive(Debug, Default)]
pub struct Names {
    by_name: RwLock<HashMap<Box<str>, Handle>>,
}

impl Names {
    /// Gives `handle` the name `name`. False, and no change, when the name is taken, by whomever.
    pub fn register(&self, name: &str, handle: Handle) -> bool {
        let mut names = self.write();
        if names.contains_key(name) {
            return false;
        }
        names.insert(name.into(), handle);
        true
    }

    /// The owner of `name`.
    pub fn query(&self, name: &str) -> Option<Handle> {
        self.read().get(name).copied()
    }

    /// Every name with its owner, sorted.
    pub fn list(&self) -> Vec<(String, Handle)> {
        let mut names: Vec<_> = self
            .read()
            .iter()
            .map(|(name, handle)| (name.to_string(), *handle))
            .collect();
        names.sort();
        names
    }

    /// Forgets all names of a handle that is going away.
    pub(crate) fn forget(&self, handle: Handle) {
        // Most services have no name: look before taking the lock that stops readers.
        if self.read().values().any(|owner| *owner == handle) {
            self.write().retain(|_, owner| *owner != handle);
        }
    }

    // Nothing below panics while it holds the lock, so a poisoned map is still whole.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Handle>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Box<str>, Handle>> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }
}
