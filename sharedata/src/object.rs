//! Values without bytes.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Something of this process that an image refers to and knows nothing about, such as a function. It cannot be saved.
///
/// A clone refers to the same thing.
///
/// ```
/// use fulmar_sharedata::{Items, Object, Store};
///
/// let double = Object::new((|number| number * 2) as fn(i64) -> i64);
/// let mut items = Items::new();
/// items.insert("double", double);
/// let image = Store::new().image(items)?;
/// let found = image.get("double")?.as_object().unwrap().downcast_ref::<fn(i64) -> i64>().unwrap();
/// assert_eq!(found(21), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Boxed, so that a link stays as small as one to a block.
#[derive(Clone)]
pub struct Object(Arc<Box<dyn Any + Send + Sync>>);

impl Object {
    /// An object that is this value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Object {
        Object(Arc::new(Box::new(value)))
    }

    /// The value, when it is of this type.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// Whether both are one object.
    pub fn is(&self, other: &Object) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number that no other live object has.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Object")
    }
}
