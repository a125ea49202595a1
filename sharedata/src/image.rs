//! One version of a shared table.

use std::collections::HashMap;
use std::fmt;

use crate::block::{Link, Store};
use crate::error::{Damaged, ReadError};
use crate::key::KeyRef;
use crate::layout::ONE;
use crate::node::Node;
use crate::table::Table;
use crate::value::Value;

/// An immutable table of tables. A clone shares everything; the last one frees what no other image has.
///
/// Shape: 32 bytes. Cost of a clone: two atomic increments.
#[derive(Clone)]
pub struct Image {
    store: Store,
    root: Link,
}

impl Image {
    pub(crate) fn new(store: Store, root: Link) -> Image {
        Image { store, root }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.root
    }

    /// The store that it was made in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The table at the top.
    ///
    /// # Errors
    /// When it lies in a file and its first block is damaged; never when [`Store::map`] has opened that file.
    pub fn table(&self) -> Result<Table<'_>, Damaged> {
        let block = self.root.block()?;
        let node = Node::first(block);
        Table::at(match node.kind()? {
            ONE => Node::of_one(block),
            _ => node,
        })
    }

    /// The value of a key of the table at the top.
    ///
    /// # Errors
    /// When there is none, and when the image's file is damaged.
    pub fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Result<Value<'_>, ReadError> {
        self.table()?.get(key)
    }

    /// The value at the end of a path; the table at the top at the end of an empty one.
    ///
    /// # Errors
    /// As for [`Image::get`], at each step.
    pub fn at<'k>(
        &self,
        path: impl IntoIterator<Item = impl Into<KeyRef<'k>>>,
    ) -> Result<Value<'_>, ReadError> {
        path.into_iter()
            .try_fold(Value::Table(self.table()?), |value, key| value.get(key))
    }

    /// The bytes of its blocks that `other` does not have, and of those that it has too. What several places share counts once.
    ///
    /// Cost: a walk over all blocks of both.
    ///
    /// # Errors
    /// When one of the images is damaged.
    pub fn sizes_beside(&self, other: &Image) -> Result<(u64, u64), Damaged> {
        let (mut known, mut mine) = (HashMap::new(), HashMap::new());
        other.root.count_bytes(&mut known)?;
        self.root.count_bytes(&mut mine)?;
        let sum = |wanted: bool| {
            let blocks = mine
                .iter()
                .filter(|(block, _)| known.contains_key(block) == wanted);
            blocks.map(|(_, bytes)| bytes).sum()
        };
        Ok((sum(false), sum(true)))
    }

    /// Whether both are one and the same version.
    pub fn is(&self, other: &Image) -> bool {
        self.root == other.root
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.table() {
            Ok(table) => table.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}
