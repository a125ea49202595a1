//! The schemas of a node: tokens that Lua code passes around, and the sixteen places of `sprotoloader`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fulmar_sproto::{Field, Schema, Type};

/// A schema, and a number for each field of it, under which a state keeps the field's name.
#[derive(Debug)]
pub(crate) struct Shared {
    schema: Schema,
    /// The number of the first field of each type; those of the others follow.
    first: Box<[u32]>,
    fields: u32,
}

impl Shared {
    fn new(schema: Schema) -> Shared {
        let mut next = 1;
        let first = schema
            .types()
            .iter()
            .map(|of| {
                let first = next;
                next += of.fields().len() as u32;
                first
            })
            .collect();
        Shared {
            schema,
            first,
            fields: next - 1,
        }
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How many fields there are, and so how many names.
    pub(super) fn fields(&self) -> u32 {
        self.fields
    }

    /// A type with its fields and the number of the first one.
    pub(super) fn of(&self, index: usize) -> (&Type, &[Field], u32) {
        let of = &self.schema.types()[index];
        (of, of.fields(), self.first[index])
    }
}

/// What stands for a schema in Lua: a light userdata that no address in use equals. Never used twice.
pub(crate) type Token = usize;

/// The schemas of a node.
#[derive(Debug, Default)]
pub(crate) struct Schemas(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    live: HashMap<Token, Arc<Shared>>,
    tokens: usize,
    places: [Option<(Token, Arc<Shared>)>; PLACES],
}

/// Places of `sprotoloader`.
pub(super) const PLACES: usize = 16;

/// Tokens lie in the part of the address space that programs never get.
const FIRST_TOKEN: usize = 1 << 63;

impl Inner {
    fn token(&mut self) -> Token {
        self.tokens += 1;
        FIRST_TOKEN | self.tokens
    }
}

impl Schemas {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, schema: Schema) -> Token {
        let shared = Arc::new(Shared::new(schema));
        let mut inner = self.lock();
        let token = inner.token();
        inner.live.insert(token, shared);
        token
    }

    pub(super) fn get(&self, token: Token) -> Option<Arc<Shared>> {
        self.lock().live.get(&token).cloned()
    }

    pub(super) fn remove(&self, token: Token) {
        // The schema, which may be large, is freed outside the lock.
        let removed = self.lock().live.remove(&token);
        drop(removed);
    }

    /// Puts a schema into a place, under a token of its own: it stays when the given one is removed.
    pub(super) fn save(&self, token: Token, place: usize) -> bool {
        let mut inner = self.lock();
        let Some(shared) = inner.live.get(&token).cloned() else {
            return false;
        };
        let own = inner.token();
        inner.live.insert(own, Arc::clone(&shared));
        inner.places[place] = Some((own, shared));
        true
    }

    pub(super) fn load(&self, place: usize) -> Option<Token> {
        let mut inner = self.lock();
        let (token, shared) = inner.places[place].clone()?;
        // A program may have removed what it loaded.
        inner.live.entry(token).or_insert(shared);
        Some(token)
    }
}
