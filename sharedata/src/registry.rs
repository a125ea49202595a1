//! Names for images: one box of `fulmar-stm`, whose value is all of them.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use fulmar_stm::{Reader, Writer};
use rpds::HashTrieMapSync;

use crate::error::{Damaged, PatchError};
use crate::image::Image;
use crate::item::Item;
use crate::key::Key;

/// How often something was published in a registry when an image was: later is greater.
pub type Version = u64;

/// Named images, and who is told of new ones. A clone is another handle to the same registry.
///
/// What is published together is seen together: a [`Registry::snapshot`] holds all of it or nothing. Readers never wait, neither for
/// each other nor for who publishes.
#[derive(Debug, Clone)]
pub struct Registry(Writer<Names>);

/// All names at one moment. A copy shares what does not change: publishing one of many names costs as much as publishing the only one.
#[derive(Debug, Clone, Default)]
struct Names(HashTrieMapSync<Arc<str>, (Image, Version)>);

impl Names {
    fn image(&self, name: &str) -> Option<&Image> {
        self.0.get(name).map(|(image, _)| image)
    }
}

/// All named images at one moment.
///
/// Shape: one pointer; cloning it adds a count.
#[derive(Debug, Clone)]
pub struct Snapshot(fulmar_stm::Snapshot<Names>);

impl Snapshot {
    /// The version of whatever was published last; 0 before the first.
    pub fn version(&self) -> Version {
        // A box begins with its first version: the one without a name.
        self.0.version().number() - 1
    }

    /// The image of a name.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.0.image(name)
    }

    /// When the image of a name was published.
    pub fn version_of(&self, name: &str) -> Option<Version> {
        self.0.0.get(name).map(|(_, version)| *version)
    }

    /// The names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.0.keys().map(|name| &**name)
    }
}

impl Default for Registry {
    fn default() -> Registry {
        Registry(Writer::new(Names::default()))
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// All named images at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.snapshot())
    }

    /// The image of a name.
    pub fn current(&self, name: &str) -> Option<Image> {
        self.0.snapshot().image(name).cloned()
    }

    /// Gives a name an image. Readers of the old one keep it until they look again.
    pub fn publish(&self, name: &str, image: Image) -> Version {
        self.publish_all([(name, Some(image))])
    }

    /// Takes a name away. Returns whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        loop {
            let seen = self.snapshot();
            if seen.image(name).is_none() {
                return false;
            }
            if self.put(&seen, &[(name, None)]).is_some() {
                return true;
            }
        }
    }

    /// Gives several names their images, or takes them away, in one step.
    pub fn publish_all<'n>(&self, batch: impl IntoIterator<Item = (&'n str, Option<Image>)>) -> Version {
        let batch: Vec<_> = batch.into_iter().collect();
        loop {
            if let Some(version) = self.put(&self.snapshot(), &batch) {
                return version;
            }
        }
    }

    /// Publishes a batch if nothing else was since `seen`.
    fn put(&self, seen: &Snapshot, batch: &[(&str, Option<Image>)]) -> Option<Version> {
        let version = seen.version() + 1;
        let mut next = Names::clone(&seen.0);
        for (name, image) in batch {
            match image {
                Some(image) => next.0.insert_mut((*name).into(), (image.clone(), version)),
                None => drop(next.0.remove_mut(*name)),
            }
        }
        self.0.commit_if(seen.0.version(), next).ok().map(|_| version)
    }

    /// Changes one place of the table of a name, whoever else changes it at the same time; see [`Image::patch`]. None when the name
    /// has no table.
    ///
    /// # Errors
    /// As for [`Image::patch`].
    pub fn patch(
        &self,
        name: &str,
        path: &[Key],
        value: Option<Item<'_>>,
    ) -> Result<Option<Version>, PatchError> {
        let mut patched: Option<(Image, Image)> = None;
        loop {
            let seen = self.snapshot();
            let Some(old) = seen.image(name) else {
                return Ok(None);
            };
            // Who publishes under another name is no reason to do it again.
            let new = match patched {
                Some((of, new)) if of.is(old) => new,
                _ => old.patch(path, value.clone())?,
            };
            if let Some(version) = self.put(&seen, &[(name, Some(new.clone()))]) {
                return Ok(Some(version));
            }
            patched = Some((old.clone(), new));
        }
    }

    /// Waits for what is published after a version, under any name.
    pub fn news(&self, seen: Version) -> News {
        News {
            reader: self.0.copy(),
            seen,
        }
    }

    /// Follows a name, whether it has an image or not.
    pub fn watch(&self, name: &str) -> Watcher {
        Watcher {
            registry: self.clone(),
            name: name.into(),
            seen: self.current(name),
        }
    }
}

/// Follows the images of one name. It keeps the one that it has seen last, and none of other names.
#[derive(Debug)]
pub struct Watcher {
    registry: Registry,
    name: Box<str>,
    seen: Option<Image>,
}

/// Waits for whatever is published in a registry. It keeps the images of when it was asked last.
#[derive(Debug)]
pub struct News {
    reader: Reader<Names>,
    seen: Version,
}

impl News {
    /// The newest version, if it is later than what was seen before. Else it leaves the waker of `context`, to be woken once when
    /// something is published; dropping it takes the waker back.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (store, registry) = (fulmar_sharedata::Store::new(), fulmar_sharedata::Registry::new());
    /// let mut news = registry.news(registry.snapshot().version());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert_eq!(news.poll(&mut context), Poll::Pending);
    /// let version = registry.publish("items", store.build(&[1, 2, 3])?);
    /// assert_eq!(news.poll(&mut context), Poll::Ready(version));
    /// # Ok::<(), fulmar_sharedata::BuildError>(())
    /// ```
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Version> {
        loop {
            let newest = Snapshot(self.reader.latest().clone()).version();
            if newest > self.seen {
                self.seen = newest;
                return Poll::Ready(newest);
            }
            // Without a handle to the registry nothing will be published any more.
            let Poll::Ready(Ok(_)) = self.reader.poll_update(context) else {
                return Poll::Pending;
            };
        }
    }
}

/// What has happened to a name.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its image before.
    pub old: Option<Image>,
    /// Its image now.
    pub new: Option<Image>,
}

impl Change {
    /// The keys at the top whose values differ; all keys when the name is new or gone.
    ///
    /// # Errors
    /// When one of the images is damaged.
    pub fn changed_keys(&self) -> Result<Vec<Key>, Damaged> {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => new.changed_keys(old),
            (Some(image), None) | (None, Some(image)) => image
                .table()?
                .entries()
                .map(|entry| Ok(entry?.0.to_key()))
                .collect(),
            (None, None) => Ok(Vec::new()),
        }
    }
}

impl Watcher {
    /// The image that was seen last.
    pub fn image(&self) -> Option<&Image> {
        self.seen.as_ref()
    }

    /// What has happened since the last look; none when it is nothing. Several changes are seen as one.
    pub fn poll(&mut self) -> Option<Change> {
        self.step(&self.registry.snapshot())
    }

    /// Blocks this thread until something happens, or until the time is over.
    pub fn wait(&mut self, limit: Duration) -> Option<Change> {
        // A time that no clock reaches is none.
        let end = Instant::now().checked_add(limit);
        let mut reader = self.registry.0.copy();
        loop {
            if let Some(change) = self.step(&Snapshot(reader.latest().clone())) {
                return Some(change);
            }
            match end {
                Some(end) => reader
                    .wait_timeout(end.saturating_duration_since(Instant::now()))
                    .ok()?,
                None => reader.wait().ok()?,
            };
        }
    }

    fn step(&mut self, now: &Snapshot) -> Option<Change> {
        let now = now.image(&self.name);
        if same(self.seen.as_ref(), now) {
            return None;
        }
        let new = now.cloned();
        let old = std::mem::replace(&mut self.seen, new.clone());
        Some(Change { old, new })
    }
}

fn same(a: Option<&Image>, b: Option<&Image>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is(b),
        (None, None) => true,
        _ => false,
    }
}
