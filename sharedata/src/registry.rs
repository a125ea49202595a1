//! Names for images.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::build::Item;
use crate::error::{Damaged, PatchError};
use crate::image::Image;
use crate::key::Key;

/// How often something was published in a registry when an image was: later is greater.
pub type Version = u64;

/// Named images, and who is told of new ones. A clone is another handle to the same registry.
///
/// What is published together is seen together: a [`Registry::snapshot`] holds all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    current: Mutex<Arc<Snapshot>>,
    published: Condvar,
}

/// All named images at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    version: Version,
    images: HashMap<Box<str>, (Image, Version)>,
}

impl Snapshot {
    /// The version of whatever was published last.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The image of a name.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.get(name).map(|(image, _)| image)
    }

    /// When the image of a name was published.
    pub fn version_of(&self, name: &str) -> Option<Version> {
        self.images.get(name).map(|(_, version)| *version)
    }

    /// The names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.images.keys().map(|name| &**name)
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Registry {
        Registry::default()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        // Nothing that can panic runs under the lock.
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All named images at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock())
    }

    /// The image of a name.
    pub fn current(&self, name: &str) -> Option<Image> {
        self.lock().image(name).cloned()
    }

    /// Gives a name an image. Readers of the old one keep it until they look again.
    pub fn publish(&self, name: &str, image: Image) -> Version {
        self.publish_all([(name, Some(image))])
    }

    /// Takes a name away. Returns whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        let known = self.lock().image(name).is_some();
        if known {
            self.publish_all([(name, None)]);
        }
        known
    }

    /// Gives several names their images, or takes them away, in one step.
    pub fn publish_all<'n>(&self, batch: impl IntoIterator<Item = (&'n str, Option<Image>)>) -> Version {
        let batch: Vec<_> = batch.into_iter().collect();
        self.put(self.lock(), batch)
    }

    fn put(&self, mut current: MutexGuard<'_, Arc<Snapshot>>, batch: Vec<(&str, Option<Image>)>) -> Version {
        let mut next = Snapshot::clone(&current);
        next.version += 1;
        for (name, image) in batch {
            match image {
                Some(image) => next.images.insert(name.into(), (image, next.version)),
                None => next.images.remove(name),
            };
        }
        let version = next.version;
        let old = std::mem::replace(&mut *current, Arc::new(next));
        drop(current);
        self.0.published.notify_all();
        // Images that nobody else holds are freed here, outside of the lock.
        drop(old);
        version
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
        loop {
            let Some(old) = self.current(name) else {
                return Ok(None);
            };
            let new = old.patch(path, value.clone())?;
            if let Some(version) = self.publish_after(name, &old, new) {
                return Ok(Some(version));
            }
        }
    }

    /// Gives a name an image if its present one is `old`.
    fn publish_after(&self, name: &str, old: &Image, new: Image) -> Option<Version> {
        let current = self.lock();
        if !current.image(name).is_some_and(|image| image.is(old)) {
            return None;
        }
        Some(self.put(current, vec![(name, Some(new))]))
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

/// Follows the images of one name.
#[derive(Debug)]
pub struct Watcher {
    registry: Registry,
    name: Box<str>,
    seen: Option<Image>,
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
        let now = self.registry.current(&self.name);
        self.step(now)
    }

    /// Blocks this thread until something happens, or until the time is over.
    pub fn wait(&mut self, limit: Duration) -> Option<Change> {
        let end = Instant::now().checked_add(limit);
        let registry = self.registry.clone();
        let mut current = registry.lock();
        loop {
            let now = current.image(&self.name).cloned();
            if !same(self.seen.as_ref(), now.as_ref()) {
                drop(current);
                return self.step(now);
            }
            let left = match end {
                Some(end) => end.checked_duration_since(Instant::now())?,
                None => Duration::MAX,
            };
            current = registry
                .0
                .published
                .wait_timeout(current, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn step(&mut self, now: Option<Image>) -> Option<Change> {
        if same(self.seen.as_ref(), now.as_ref()) {
            return None;
        }
        let old = std::mem::replace(&mut self.seen, now.clone());
        Some(Change { old, new: now })
    }
}

fn same(a: Option<&Image>, b: Option<&Image>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is(b),
        (None, None) => true,
        _ => false,
    }
}
