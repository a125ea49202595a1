//! Schemas that types write down of themselves.

use std::fmt::Write as _;

use super::Sproto;

/// A schema being written down by types that describe themselves.
#[derive(Debug, Default)]
pub struct SchemaText {
    /// Name and text of each type that is begun or done.
    types: Vec<(String, String)>,
    /// The types that are begun.
    open: Vec<usize>,
}

impl SchemaText {
    /// The schema.
    pub(super) fn into_text(self) -> String {
        self.types.into_iter().map(|(_, body)| body).collect()
    }

    /// Begins a type; false when it is there already.
    pub fn begin(&mut self, name: &str) -> bool {
        let name = &flat(name);
        if self.types.iter().any(|(known, _)| known == name) {
            return false;
        }
        self.open.push(self.types.len());
        self.types.push((name.clone(), format!(".{name} {{\n")));
        true
    }

    /// Adds a field to the type begun last.
    pub fn field(&mut self, name: &str, tag: u16, kind: &str) {
        if let Some((_, body)) = self.open.last().and_then(|open| self.types.get_mut(*open)) {
            let _ = writeln!(body, "\t{name} {tag} : {kind}");
        }
    }

    /// Ends the type begun last.
    pub fn end(&mut self) {
        if let Some((_, body)) = self.open.pop().and_then(|open| self.types.get_mut(open)) {
            body.push_str("}\n");
        }
    }

    /// The name of a type, which is added when it is not there.
    pub fn mention<T: Sproto>(&mut self) -> String {
        T::describe(self);
        flat(T::NAME)
    }

    /// The name of an element type of pairs, which is added when it is not there.
    pub(super) fn pair(&mut self, key: &str, value: &str) -> String {
        let name: String = format!("{key}_{value}")
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let name = format!("pair_{name}");
        if self.begin(&name) {
            self.field("key", 0, key);
            self.field("value", 1, value);
            self.end();
        }
        name
    }
}

/// A nested type's name as that of a type of its own.
fn flat(name: &str) -> String {
    name.replace('.', "_")
}
