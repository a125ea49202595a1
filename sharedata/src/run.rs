//! One entry of a table after another.

use crate::error::Damaged;
use crate::key::KeyRef;
use crate::layout::{ARRAY, NIL};
use crate::node::{Node, Slot};
use crate::table::Table;
use crate::tree::Leaf;
use crate::value::Value;

/// Entries of a table that lie in one node, one place after the other.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) node: Node<'a>,
    /// The place of the first of them.
    pub(crate) first: u64,
}

impl<'a> Run<'a> {
    /// The place behind the last of them.
    pub(crate) fn end(self) -> Result<u64, Damaged> {
        let len = match self.node.kind()? {
            ARRAY => self.node.len()?,
            _ => {
                let leaf = Leaf::at(self.node)?;
                leaf.array + leaf.entries
            }
        };
        Ok(self.first + len as u64)
    }

    /// Whether nothing is at a place, which is one of the run.
    pub(crate) fn is_hole(self, place: u64) -> Result<bool, Damaged> {
        let (_, slot, len) = self.slot(place)?;
        Ok(self.node.raw(slot, len)?.0 == NIL)
    }

    /// The entry at a place, which is one of the run; none at a hole.
    pub(crate) fn entry(self, place: u64) -> Result<Option<(KeyRef<'a>, Value<'a>)>, Damaged> {
        match self.value(place)? {
            Some(value) => Ok(Some((self.key(place)?, value))),
            None => Ok(None),
        }
    }

    /// The key of a place, which is one of the run.
    pub(crate) fn key(self, place: u64) -> Result<KeyRef<'a>, Damaged> {
        match self.slot(place)? {
            (Some(key), _, len) => self.node.key(key, len),
            (None, ..) => Ok(KeyRef::Integer((place + 1).cast_signed())),
        }
    }

    /// What is at a place, which is one of the run, as it lies there.
    pub(crate) fn peek(self, place: u64) -> Result<Slot<'a>, Damaged> {
        let (_, slot, len) = self.slot(place)?;
        self.node.slot(slot, len)
    }

    /// The value at a place, which is one of the run; none at a hole.
    fn value(self, place: u64) -> Result<Option<Value<'a>>, Damaged> {
        let (_, slot, len) = self.slot(place)?;
        Value::of(self.node, slot, len)
    }

    /// Slots of the key, if it has one, and of the value at a place, and the number of all slots.
    fn slot(self, place: u64) -> Result<(Option<usize>, usize, usize), Damaged> {
        let nth = (place - self.first) as usize;
        if self.node.kind()? == ARRAY {
            return Ok((None, nth, self.node.len()?));
        }
        let leaf = Leaf::at(self.node)?;
        Ok(match nth.checked_sub(leaf.array) {
            Some(entry) => (Some(leaf.array + entry), leaf.value(entry), leaf.len),
            None => (None, nth, leaf.len),
        })
    }
}

/// The entries of a [`Table`].
#[derive(Clone)]
pub struct Entries<'a> {
    table: Table<'a>,
    next: u64,
    /// What the last entry was in, and where it ends.
    run: Option<(Run<'a>, u64)>,
}

impl<'a> Entries<'a> {
    pub(crate) fn of(table: Table<'a>) -> Entries<'a> {
        Entries {
            table,
            next: 0,
            run: None,
        }
    }

    /// The entry at the next place, none at a hole; ends behind the last place.
    fn step(&mut self) -> Result<Option<Option<(KeyRef<'a>, Value<'a>)>>, Damaged> {
        let run = match self.run {
            Some((run, end)) if self.next < end => run,
            _ => {
                let Some(run) = self.table.run(self.next)? else {
                    return Ok(None);
                };
                self.run = Some((run, run.end()?));
                run
            }
        };
        self.next += 1;
        run.entry(self.next - 1).map(Some)
    }
}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(KeyRef<'a>, Value<'a>), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Ok(None) => return None,
                Ok(Some(None)) => {}
                Ok(Some(Some(entry))) => return Some(Ok(entry)),
                Err(error) => {
                    // Nothing is read after damage.
                    self.next = u64::MAX;
                    self.run = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
