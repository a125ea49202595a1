//! The sockets of an engine, by their ids.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use super::socket::Socket;

/// Ids grow, and come back only after 2^31 others.
#[derive(Default)]
pub(super) struct Table(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    sockets: HashMap<i32, Arc<Socket>>,
    last: i32,
}

impl Table {
    /// Makes a socket under a new id.
    pub(super) fn insert(&self, make: impl FnOnce(i32) -> Socket) -> io::Result<Arc<Socket>> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if inner.sockets.len() >= MOST_SOCKETS {
            return Err(io::Error::other("too many sockets"));
        }
        loop {
            inner.last = inner.last.checked_add(1).unwrap_or(1);
            if !inner.sockets.contains_key(&inner.last) {
                break;
            }
        }
        let socket = Arc::new(make(inner.last));
        inner.sockets.insert(socket.id, Arc::clone(&socket));
        Ok(socket)
    }

    pub(super) fn find(&self, id: i32) -> Option<Arc<Socket>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.sockets.get(&id).map(Arc::clone)
    }

    /// Those of `ids` that there are, in their order.
    pub(super) fn find_all(&self, ids: impl Iterator<Item = i32>) -> Vec<Arc<Socket>> {
        let ids: Vec<i32> = ids.collect(); // the caller's iterator may do anything with sockets
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ids.into_iter()
            .filter_map(|id| inner.sockets.get(&id).map(Arc::clone))
            .collect()
    }

    pub(super) fn remove(&self, id: i32) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.sockets.remove(&id);
    }

    pub(super) fn all(&self) -> Vec<Arc<Socket>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.sockets.values().map(Arc::clone).collect()
    }
}

const MOST_SOCKETS: usize = 65536;
