//! The side that publishes.

use std::fmt;
use std::sync::{Arc, Weak};

use fulmar_arena::Buf;

use crate::reader::Reader;
use crate::stm_box::{Snapshot, StmBox, Version};

/// Publishes versions of a box.
///
/// Shape: one pointer. Clones write to the same box, which is closed when the last of them is dropped.
pub struct Writer<T = Buf>(Arc<Publisher<T>>);

/// A way to a writer that does not keep the box open. See [`Writer::downgrade`].
///
/// Shape: one pointer.
pub struct WeakWriter<T = Buf>(Weak<Publisher<T>>);

/// What the writers of a box share: its end closes the box.
struct Publisher<T>(Arc<StmBox<T>>);

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// [`Writer::commit_if`] came too late: another version was published meanwhile.
#[derive(PartialEq, Eq, thiserror::Error)]
#[error("the newest version is {found}, not {expected}")]
pub struct Conflict<T> {
    /// What was not published.
    pub value: T,
    /// The version that was expected to be the newest.
    pub expected: Version,
    /// The one that is.
    pub found: Version,
}

impl<T> fmt::Debug for Conflict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conflict")
            .field("expected", &self.expected)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl<T> Writer<T> {
    /// A box whose first version is `value`.
    pub fn new(value: T) -> Writer<T> {
        Writer(Arc::new(Publisher(Arc::new(StmBox::new(value)))))
    }

    /// A reader of the box. It has taken no version yet, so its first [`update`](Reader::update) gives one.
    pub fn copy(&self) -> Reader<T> {
        Reader::new(Arc::clone(&self.0.0))
    }

    /// Publishes `value` as the newest version, whatever the one before was.
    ///
    /// Cost: an allocation, a lock among the writers of this box, two atomic exchanges. Never waits for a reader.
    ///
    /// The bytes of a version can lie in the arena:
    ///
    /// ```
    /// use fulmar_arena::{Arena, ArenaConfig, Buf};
    /// use fulmar_stm::Writer;
    ///
    /// # let arena = Arena::new(ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
    /// let bytes = |text: &str| -> Result<Buf, fulmar_arena::LoanError> {
    ///     let mut draft = arena.loan(text.len(), 0)?;
    ///     draft.copy_from_slice(text.as_bytes());
    ///     Ok(draft.freeze())
    /// };
    /// let writer = Writer::new(bytes("one")?);
    /// let mut reader = writer.copy();
    /// let version = writer.commit(bytes("two")?);
    /// assert_eq!(&reader.latest()[..], b"two");
    /// assert_eq!(version.number(), 2);
    /// assert_eq!(arena.stats().live_blocks, 1, "nobody reads the first one any more");
    /// # drop((writer, reader));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn commit(&self, value: T) -> Version {
        match self.0.0.commit(None, value) {
            Ok(version) => version,
            Err(_) => unreachable!("no version was expected"),
        }
    }

    /// Publishes `value` if `expected` is still the newest version: for several writers that compute a version from another.
    ///
    /// # Errors
    /// [`Conflict`], with the value, when another version is the newest.
    pub fn commit_if(&self, expected: Version, value: T) -> Result<Version, Conflict<T>> {
        self.0
            .0
            .commit(Some(expected), value)
            .map_err(|(value, found)| Conflict {
                value,
                expected,
                found,
            })
    }

    /// The newest version.
    pub fn snapshot(&self) -> Snapshot<T> {
        self.0.0.newest()
    }

    /// A way back to this writer for as long as one of its clones is there.
    ///
    /// ```
    /// let writer = fulmar_stm::Writer::new(1);
    /// let weak = writer.downgrade();
    /// assert_eq!(*weak.upgrade().unwrap().snapshot(), 1);
    /// drop(writer);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(&self) -> WeakWriter<T> {
        WeakWriter(Arc::downgrade(&self.0))
    }
}

impl<T> WeakWriter<T> {
    /// The writer; none when the box is closed.
    pub fn upgrade(&self) -> Option<Writer<T>> {
        self.0.upgrade().map(Writer)
    }
}

impl<T> Clone for Writer<T> {
    fn clone(&self) -> Self {
        Writer(Arc::clone(&self.0))
    }
}

impl<T> Clone for WeakWriter<T> {
    fn clone(&self) -> Self {
        WeakWriter(Weak::clone(&self.0))
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("newest", &self.0.0.state().version())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for WeakWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakWriter").finish_non_exhaustive()
    }
}
