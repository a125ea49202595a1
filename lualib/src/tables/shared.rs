//! What the services of a node share: the store, the names, and images on their way from one service to another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fulmar_sharedata::{Image, Registry, Store};

/// What stands for an image in a message: a light userdata that no address in use equals. Never used twice.
pub(super) type Token = usize;

/// The shared tables of a node.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    store: Store,
    registry: Registry,
    staged: Mutex<Staged>,
}

#[derive(Debug, Default)]
struct Staged {
    images: HashMap<Token, Image>,
    tokens: usize,
}

/// Tokens lie in the part of the address space that programs never get.
const FIRST_TOKEN: usize = 1 << 63;

impl Tables {
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    fn staged(&self) -> MutexGuard<'_, Staged> {
        // Nothing that can panic runs under the lock.
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stage(&self, image: Image) -> Token {
        let mut staged = self.staged();
        staged.tokens += 1;
        let token = FIRST_TOKEN | staged.tokens;
        staged.images.insert(token, image);
        token
    }

    /// Takes the image of a token: it is gone afterwards, and the caller frees it outside of the lock.
    pub(super) fn claim(&self, token: Token) -> Option<Image> {
        self.staged().images.remove(&token)
    }
}
