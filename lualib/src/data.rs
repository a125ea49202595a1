//! Shared tables of Lua files, outside of any service: what `fulmar data` builds.

use std::fmt;

use fulmar_sharedata::{BuildError, Image, Item, Items, Key, MAX_DEPTH, Store};
use mlua::{Lua, Table, Value};

use crate::tables::literal;

/// Why a Lua source gives no shared table.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// It does not compile, or raises: Lua's own text.
    Lua(String),
    /// It returns something else than a table.
    NotATable(&'static str),
    /// There is a value in the table that cannot be shared: what it is, and where.
    Value {
        /// Its type, or what is wrong with a key.
        what: &'static str,
        /// The keys that lead there.
        path: String,
    },
    /// The table cannot be built.
    Build(BuildError),
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataError::Lua(text) => f.write_str(text),
            DataError::NotATable(found) => write!(f, "Not a table, it's a {found}."),
            DataError::Value { what, path } => write!(f, "{what} cannot be shared, at [{path}]"),
            DataError::Build(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DataError {}

/// Runs a Lua source in a state of its own, with the standard libraries, and builds the table that it returns; when it returns nothing,
/// the table of the globals that it sets, as `sharedata` does. A source that is nothing but data is read without running it.
///
/// # Errors
/// When it does not run, or returns what cannot be shared.
pub fn image_of_lua(store: &Store, source: &[u8], name: &str) -> Result<Image, DataError> {
    match literal::image(store, source) {
        Some(image) => Ok(image),
        None => run(store, source, name),
    }
}

pub(crate) fn run(store: &Store, source: &[u8], name: &str) -> Result<Image, DataError> {
    let lua = Lua::new();
    let root = root(&lua, source, name).map_err(|error| DataError::Lua(error.to_string()))?;
    match root {
        Value::Table(root) => {
            let items = items(store, &root, "", 1)?;
            store.image(items).map_err(DataError::Build)
        }
        other => Err(DataError::NotATable(other.type_name())),
    }
}

/// What a source returns, or else the globals that it sets, if it sets any.
fn root(lua: &Lua, source: &[u8], name: &str) -> mlua::Result<Value> {
    let (own, outer) = (lua.create_table()?, lua.create_table()?);
    outer.raw_set("__index", lua.globals())?;
    own.set_metatable(Some(outer))?;
    let result: Value = lua
        .load(source)
        .set_name(format!("@{name}"))
        .set_mode(mlua::chunk::ChunkMode::Text)
        .set_environment(own.clone())
        .eval()?;
    if result.is_nil() && !own.is_empty() {
        return Ok(Value::Table(own));
    }
    Ok(result)
}

fn items(store: &Store, table: &Table, path: &str, depth: usize) -> Result<Items<'static>, DataError> {
    if depth > MAX_DEPTH {
        return Err(DataError::Build(BuildError::TooDeep));
    }
    let mut items = Items::with_capacity(table.raw_len(), 0);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|error| DataError::Lua(error.to_string()))?;
        let key = match key {
            Value::Integer(integer) => Key::Integer(integer),
            Value::String(text) => Key::Text(text.as_bytes().as_ref().into()),
            _ => {
                return Err(DataError::Value {
                    what: "a key that is no integer and no string",
                    path: path.to_owned(),
                });
            }
        };
        let item = match value {
            Value::Boolean(boolean) => boolean.into(),
            Value::Integer(integer) => integer.into(),
            Value::Number(float) => float.into(),
            Value::String(text) => text.as_bytes().to_vec().into(),
            Value::Table(inner) => {
                let inner = self::items(store, &inner, &format!("{path}.{key}"), depth + 1)?;
                store.table(inner).map_err(DataError::Build)?
            }
            other => {
                return Err(DataError::Value {
                    what: other.type_name(),
                    path: format!("{path}.{key}"),
                });
            }
        };
        let item: Item<'static> = item;
        items.insert_owned(key, item);
    }
    Ok(items)
}
