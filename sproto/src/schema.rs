//! The model of a schema: types, their fields, protocols. Made by [`parse`](crate::parse) or [`Schema::from_bundle`],
//! read by every codec; immutable, so one is shared by whoever needs it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A schema: every type and protocol of it, with references between them resolved.
///
/// Shape: a few allocations per type; lookups by name and of protocols by tag are one hash, of types by index one array access.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    types: Vec<Type>,
    protocols: Vec<Protocol>,
    type_by_name: HashMap<Arc<str>, usize>,
    protocol_by_name: HashMap<Arc<str>, usize>,
    protocol_by_tag: HashMap<u16, usize>,
}

/// A type: named fields in the order of their tags.
#[derive(Debug, Clone)]
pub struct Type {
    pub(crate) name: Arc<str>,
    pub(crate) doc: Arc<str>,
    pub(crate) fields: Vec<Field>,
    max_words: usize,
}

/// A field of a type.
#[derive(Debug, Clone)]
pub struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) doc: Arc<str>,
    pub(crate) tag: u16,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
}

/// What a field, or each element of it, holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A 64-bit integer.
    Integer,
    /// A number with this many decimal places, kept as an integer: `integer(2)`.
    Decimal(u8),
    /// True or false.
    Boolean,
    /// A 64-bit float.
    Double,
    /// Text. Nothing on the wire says that it is UTF-8.
    String,
    /// Bytes; on the wire the same as [`Kind::String`].
    Binary,
    /// A value of the type with this index, see [`Schema::types`].
    Struct(usize),
}

/// How many values a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One: `T`.
    One,
    /// A list: `*T`.
    Array,
    /// A list of structures that decodes as a map by one of their fields: `*T(key)`.
    Keyed {
        /// The tag of that field.
        key: u16,
    },
    /// A list of structures of two fields that decodes as a map from one to the other: `*T()`. The key is the field with
    /// the smaller tag.
    Pairs,
}

/// A protocol: a kind of request, and its response.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub(crate) name: Arc<str>,
    pub(crate) doc: Arc<str>,
    pub(crate) tag: u16,
    pub(crate) request: Option<usize>,
    pub(crate) response: Response,
}

/// What answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// The schema names no response.
    None,
    /// A response without content: `response nil`.
    Empty,
    /// A value of the type with this index.
    Type(usize),
}

impl Schema {
    /// Puts together what a parser or a bundle found. Indices are valid by the caller's doing; names may not repeat in a text,
    /// and in a bundle the first of a name is found.
    pub(crate) fn new(types: Vec<Type>, protocols: Vec<Protocol>) -> Schema {
        let mut schema = Schema {
            types,
            protocols,
            ..Schema::default()
        };
        for (index, found) in schema.types.iter().enumerate() {
            schema.type_by_name.entry(found.name.clone()).or_insert(index);
        }
        for (index, found) in schema.protocols.iter().enumerate() {
            schema.protocol_by_name.entry(found.name.clone()).or_insert(index);
            schema.protocol_by_tag.entry(found.tag).or_insert(index);
        }
        schema
    }

    /// All types; their positions are the indices of [`Kind::Struct`]. A parsed schema has them in the order of their names.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// All protocols; a parsed schema has them in the order of their tags.
    pub fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// The type of this full name: a nested one is `Outer.Inner`.
    pub fn type_named(&self, name: &str) -> Option<&Type> {
        self.types.get(self.type_index(name)?)
    }

    /// The index of the type of this full name.
    pub fn type_index(&self, name: &str) -> Option<usize> {
        self.type_by_name.get(name).copied()
    }

    /// The protocol of this name.
    pub fn protocol_named(&self, name: &str) -> Option<&Protocol> {
        self.protocols.get(*self.protocol_by_name.get(name)?)
    }

    /// The protocol of this tag.
    pub fn protocol_tagged(&self, tag: i64) -> Option<&Protocol> {
        let tag = u16::try_from(tag).ok()?;
        self.protocols.get(*self.protocol_by_tag.get(&tag)?)
    }

    /// The tags of key and value of a `*T()` field's elements.
    pub(crate) fn pair_tags(&self, field: &Field) -> Option<(u16, u16)> {
        let Kind::Struct(index) = field.kind else {
            return None;
        };
        match self.types.get(index)?.fields.as_slice() {
            [key, value] => Some((key.tag, value.tag)),
            _ => None,
        }
    }

    pub(crate) fn name_of(&self, index: usize) -> &str {
        self.types.get(index).map_or("?", Type::name)
    }
}

impl Type {
    /// `fields` are in the order of their tags, which do not repeat.
    pub(crate) fn new(name: Arc<str>, doc: Arc<str>, fields: Vec<Field>) -> Type {
        let mut max_words = 0;
        let mut next = 0;
        for field in &fields {
            max_words += if field.tag == next { 1 } else { 2 };
            next = field.tag.saturating_add(1);
        }
        Type {
            name,
            doc,
            fields,
            max_words,
        }
    }

    /// Its full name: `Outer.Inner` for a nested type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comment beside or above it in the text, lines separated by line feeds; empty for a schema from a bundle.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// Its fields, in the order of their tags.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field with this tag, and its position.
    #[inline]
    pub fn field_tagged(&self, tag: u32) -> Option<(usize, &Field)> {
        // Tags mostly count from 0 without gaps.
        let here = tag as usize;
        if let Some(field) = self.fields.get(here)
            && u32::from(field.tag) == tag
        {
            return Some((here, field));
        }
        let place = self
            .fields
            .binary_search_by(|field| u32::from(field.tag).cmp(&tag))
            .ok()?;
        Some((place, self.fields.get(place)?))
    }

    /// The field of this name.
    pub fn field_named(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| &*field.name == name)
    }

    /// How many field words a message of this type has at most: what to reserve in a [`Record`](crate::wire::Record).
    pub fn max_words(&self) -> usize {
        self.max_words
    }
}

impl Field {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comment beside or above it in the text, lines separated by line feeds; empty for a schema from a bundle.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// Its tag, which stands for it on the wire: at most 32766.
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// What it, or each of its elements, holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many it holds.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

impl Protocol {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comment beside or above it in the text, lines separated by line feeds; empty for a schema from a bundle.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// Its tag, which stands for it on the wire: at most 32766.
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The index of the type that a request carries, if any.
    pub fn request(&self) -> Option<usize> {
        self.request
    }

    /// What answers it.
    pub fn response(&self) -> Response {
        self.response
    }
}

impl Kind {
    /// 10 to the number of decimal places: what a [`Kind::Decimal`] is multiplied with. 1 for everything else.
    pub fn scale(self) -> f64 {
        match self {
            Kind::Decimal(digits) => POWERS.get(usize::from(digits)).copied().unwrap_or(1e9),
            _ => 1.0,
        }
    }
}

const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// The largest tag of a field or a protocol.
pub const MAX_TAG: u16 = 32766;

/// The schema as text: what skynet's `dumpproto` prints.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "=== {} types ===", self.types.len())?;
        for found in &self.types {
            writeln!(f, "{}", found.name)?;
            for field in &found.fields {
                let list = if field.shape == Shape::One { "" } else { "*" };
                write!(f, "\t{} ({}) {list}", field.name, field.tag)?;
                match field.kind {
                    Kind::Integer => f.write_str("integer")?,
                    Kind::Decimal(digits) => write!(f, "decimal({})", 10u64.pow(digits.into()))?,
                    Kind::Boolean => f.write_str("boolean")?,
                    Kind::Double => f.write_str("double")?,
                    Kind::String => f.write_str("string")?,
                    Kind::Binary => f.write_str("binary")?,
                    Kind::Struct(index) => f.write_str(self.name_of(index))?,
                }
                match field.shape {
                    Shape::Keyed { key } => writeln!(f, " key[{key}]")?,
                    Shape::Pairs => {
                        let (key, value) = self.pair_tags(field).unwrap_or_default();
                        writeln!(f, " key[{key}] value[{value}]")?;
                    }
                    Shape::One | Shape::Array => writeln!(f)?,
                }
            }
        }
        writeln!(f, "=== {} protocol ===", self.protocols.len())?;
        for protocol in &self.protocols {
            let request = protocol.request.map_or("(null)", |index| self.name_of(index));
            write!(f, "\t{} ({}) request:{request}", protocol.name, protocol.tag)?;
            match protocol.response {
                Response::None => writeln!(f)?,
                Response::Empty => writeln!(f, " response nil")?,
                Response::Type(index) => writeln!(f, " response:{}", self.name_of(index))?,
            }
        }
        Ok(())
    }
}
