//! What the services of a node share: the store, the names, and images on their way from one service to another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fulmar_sharedata::{Image, Registry, Store};

/// Shared tables of a node, in the hands of the program around it: see [`boot_with`](crate::boot_with).
///
/// A table that Rust publishes under a name is what `sharedata.query(name)` reads, and services that hold it follow what is published
/// next; what services publish through `skynet.sharedata`, Rust finds under the same name. The names of
/// `skynet.sharetable` begin with `sharetable/` here, those of `skynet.datasheet` with `datasheet/`.
///
/// A clone is another handle to the same tables.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use fulmar_lualib::{Tables, boot_with, config::Settings};
/// use serde_json::json;
///
/// let tables = Tables::new();
/// let items = tables.store().build(&json!({ "sword": { "price": 12 }, "shield": { "price": 30 } }))?;
/// tables.registry().publish("items", items);
/// # let folder = std::env::temp_dir().join(format!("fulmar-doc-tables-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
///
/// std::fs::write(folder.join("main.lua"), r#"
///     local skynet = require "skynet"
///     require "skynet.manager"
///     local sharedata = require "skynet.sharedata"
///     skynet.start(function()
///         local items = sharedata.query "items"
///         sharedata.patch("items", { "sword", "price" }, items.sword.price // 2)
///         sharedata.new("done", { by = "Lua" })
///         skynet.abort()
///     end)
/// "#)?;
/// let path = format!("{}/?.lua", folder.display());
/// let keys = [("harbor", "0"), ("luaservice", &path), ("logger", "/dev/null")];
/// let settings = Settings::new(BTreeMap::from(keys.map(|(key, value)| (key.to_owned(), value.to_owned()))))?;
///
/// let mut watcher = tables.registry().watch("items");
/// let engine = boot_with(&settings, tables.clone())?;
/// engine.start();
/// engine.wait();
///
/// let change = watcher.poll().expect("a service has changed it");
/// assert_eq!(change.changed_keys()?, ["sword".into()]);
/// let items = change.new.expect("it is there");
/// assert_eq!(items.get("sword")?.get("price")?.as_i64(), Some(6));
/// assert_eq!(tables.registry().current("done").unwrap().get("by")?.as_str(), Some("Lua"));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tables {
    store: Store,
    registry: Registry,
}

impl Tables {
    /// No tables.
    pub fn new() -> Tables {
        Tables::default()
    }

    /// What makes tables. An image of another store does as well, but shares nothing with those of this one.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Their names: publish, patch, read and follow here.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// What stands for an image in a message: a light userdata that no address in use equals. Never used twice.
pub(super) type Token = usize;

/// Images that services have sent and not received yet.
#[derive(Debug, Default)]
pub(crate) struct Staged(Mutex<Tokens>);

#[derive(Debug, Default)]
struct Tokens {
    images: HashMap<Token, Image>,
    last: usize,
}

/// Tokens lie in the part of the address space that programs never get.
const FIRST_TOKEN: usize = 1 << 63;

impl Staged {
    fn lock(&self) -> MutexGuard<'_, Tokens> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stage(&self, image: Image) -> Token {
        let mut tokens = self.lock();
        tokens.last += 1;
        let token = FIRST_TOKEN | tokens.last;
        tokens.images.insert(token, image);
        token
    }

    /// Takes the image of a token: it is gone afterwards, and the caller frees it outside of the lock.
    pub(super) fn claim(&self, token: Token) -> Option<Image> {
        self.lock().images.remove(&token)
    }
}
