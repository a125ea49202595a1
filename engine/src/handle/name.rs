//! Local names: bytes that stand for a handle on this node; programs that are not in UTF-8 name their services, too.
//!
//! First come, first served; a service may own several, and they vanish together with its handle. Names are looked up by
//! people, scripts and log calls, not by every message, so a read-write lock serves.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Handle;

/// The local names of one engine, without their leading dot.
#[derive(Debug, Default)]
pub struct Names {
    maps: RwLock<Maps>,
}

/// The same pairs, both ways round.
#[derive(Debug, Default)]
struct Maps {
    owners: HashMap<Arc<[u8]>, Handle>,
    names: HashMap<Handle, Vec<Arc<[u8]>>>,
}

impl Names {
    /// Gives `handle` the name `name`. False, and no change, when the name is taken, by whomever.
    pub fn register(&self, name: impl AsRef<[u8]>, handle: Handle) -> bool {
        let name = name.as_ref();
        let maps = &mut *self.write();
        if maps.owners.contains_key(name) {
            return false;
        }
        let name: Arc<[u8]> = name.into();
        maps.names.entry(handle).or_default().push(Arc::clone(&name));
        maps.owners.insert(name, handle);
        true
    }

    /// The owner of `name`.
    pub fn query(&self, name: impl AsRef<[u8]>) -> Option<Handle> {
        self.read().owners.get(name.as_ref()).copied()
    }

    /// Every name with its owner, sorted; what is not UTF-8 in them is replaced.
    pub fn list(&self) -> Vec<(String, Handle)> {
        let mut names: Vec<_> = self
            .read()
            .owners
            .iter()
            .map(|(name, handle)| (String::from_utf8_lossy(name).into_owned(), *handle))
            .collect();
        names.sort();
        names
    }

    /// Forgets all names of a handle that is going away.
    pub(crate) fn forget(&self, handle: Handle) {
        // Most services have no name: look before taking the lock that stops readers.
        if self.read().names.contains_key(&handle) {
            let maps = &mut *self.write();
            for name in maps.names.remove(&handle).unwrap_or_default() {
                maps.owners.remove(&name);
            }
        }
    }

    // Nothing below panics while it holds the lock, so a poisoned map is still whole.
    fn read(&self) -> RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Maps> {
        self.maps.write().unwrap_or_else(PoisonError::into_inner)
    }
}
