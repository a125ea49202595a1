//! Shared tables: immutable trees of tables that any number of readers read in place.
//!
//! A [`Store`] makes [`Image`]s. An image is one version of a table: a root and counted, immutable blocks. A [`Table`] and
//! a [`Value`] are views into it that copy nothing. [`Image::patch`] makes a new image in which one place differs: it copies
//! the blocks on the way there and shares the others. A [`Registry`] gives images names, and tells readers of new ones.
//! [`Image::save`] writes an image into a file, and [`Store::map`] reads that file in place, checking each block when it is
//! first touched.
//!
//! ```
//! use fulmar_sharedata::{Registry, Store};
//! use serde_json::json;
//!
//! let store = Store::new();
//! let items = store.build(&json!({ "item77": { "price": 12.5, "tags": ["rare", "old"] }, "item78": { "price": 3 } }))?;
//! assert_eq!(items.get("item77")?.get("price")?.as_f64(), Some(12.5));
//! assert_eq!(items.get("item77")?.get("tags")?.get(2)?.as_str(), Some("old"));
//!
//! let registry = Registry::new();
//! registry.publish("items", items.clone());
//! let cheaper = items.patch(&["item77".into(), "price".into()], Some(9.into()))?;
//! registry.publish("items", cheaper.clone());
//! assert_eq!(registry.current("items").unwrap().get("item77")?.get("price")?.as_i64(), Some(9));
//! assert_eq!(cheaper.changed_keys(&items)?, ["item77".into()]);
//! assert_eq!(items.get("item77")?.get("price")?.as_f64(), Some(12.5)); // whoever holds the old version reads it as it was
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where things are: `layout` draws the bytes; `node` reads them and `write` makes them; `block` owns them; `table` is what
//! readers see; `build`, `patch` and `diff` make and compare images; `file` saves and maps them; `registry` names them.
//! Nothing here knows of actors or Lua.

mod block;
mod build;
mod de;
mod diff;
mod error;
mod file;
mod image;
mod item;
mod items;
mod key;
mod layout;
mod node;
mod object;
mod patch;
mod places;
mod prefetch;
mod registry;
mod run;
mod ser;
mod table;
mod tree;
mod validate;
mod value;
mod write;

pub use block::Store;
pub use build::Ones;
pub use error::{BuildError, Damaged, MapError, PatchError, ReadError, SaveError};
pub use image::Image;
pub use item::Item;
pub use items::{Following, Items};
pub use key::{Key, KeyRef};
pub use layout::{MAX_DEPTH, MAX_TEXT_BYTES};
pub use object::Object;
pub use places::{Found, Place, Places, Spot, Step};
pub use registry::{Change, News, Registry, Snapshot, Version, Watcher};
pub use run::Entries;
pub use table::Table;
pub use value::Value;
