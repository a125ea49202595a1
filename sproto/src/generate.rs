//! Types from schemas: Rust structures for [`Sproto`](crate::Sproto), and definitions for the Lua language server.
//!
//! In a `build.rs`, with `fulmar-sproto` among the build-dependencies:
//!
//! ```no_run
//! fulmar_sproto::generate::build("proto/game.sproto")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! and in the program: `include!(concat!(env!("OUT_DIR"), "/game.rs"));`
//!
//! | schema | Rust |
//! |---|---|
//! | a field | `Option`, but for keys of maps |
//! | `*T` | `Vec`; an absent array and an empty one are both empty |
//! | `*T(key)`, `*T()` | `BTreeMap`; `Vec` when the key has no order, or its tags are not 0 and 1 |
//! | a type that contains itself | in a `Box` |
//! | a protocol | a type that implements [`Call`](crate::Call) |

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::compare::describe;
use crate::schema::{Field, Kind, Response, Schema, Shape, Type};

/// Generates Rust types from a schema file into `OUT_DIR`, under the file's name with the ending `rs`, and tells cargo to do
/// so again when the file changes. Gives the path of what was written.
///
/// # Errors
/// When the file cannot be read or is no schema, or the result cannot be written. The text says where and what.
pub fn build(file: impl AsRef<Path>) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let file = file.as_ref();
    println!("cargo:rerun-if-changed={}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let schema = crate::parse(&text, &file.display().to_string())
        .map_err(|error| format!("{error}\n{}", error.excerpt()))?;
    let out = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this is for build scripts")?;
    let name = file.file_stem().ok_or("the schema file has no name")?;
    let path = Path::new(&out).join(name).with_extension("rs");
    std::fs::write(&path, rust(&schema))?;
    Ok(path)
}

/// Rust types for all types and protocols of a schema.
pub fn rust(schema: &Schema) -> String {
    let mut out = String::new();
    let keys = key_fields(schema);
    for (index, of) in schema.types().iter().enumerate() {
        if !out.is_empty() {
            out.push('\n');
        }
        doc(&mut out, "", of.doc(), &format!("The type `{}`.", of.name()));
        out.push_str("#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]\n");
        if camel(of.name()) != of.name() {
            let _ = writeln!(out, "#[sproto(name = \"{}\")]", of.name());
        }
        let _ = writeln!(out, "pub struct {} {{", camel(of.name()));
        for field in of.fields() {
            write_field(
                &mut out,
                schema,
                index,
                field,
                keys.contains(&(index, field.tag())),
            );
        }
        out.push_str("}\n");
    }
    for protocol in schema.protocols() {
        let name = camel(protocol.name());
        let call = if schema.types().iter().any(|of| camel(of.name()) == name) {
            format!("{name}Call")
        } else {
            name
        };
        let part = |index: Option<usize>| index.map_or("()".to_owned(), |index| camel(schema.name_of(index)));
        let response = match protocol.response() {
            Response::Type(index) => Some(index),
            Response::None | Response::Empty => None,
        };
        out.push('\n');
        doc(
            &mut out,
            "",
            protocol.doc(),
            &format!("The protocol `{}`.", protocol.name()),
        );
        let _ = write!(
            out,
            "#[derive(Debug, Clone, Copy)]\npub struct {call};\n\n\
             impl ::fulmar_sproto::Call for {call} {{\n    \
             const NAME: &'static str = \"{}\";\n    \
             const TAG: u16 = {};\n    \
             type Request = {};\n    \
             type Response = {};\n}}\n",
            protocol.name(),
            protocol.tag(),
            part(protocol.request()),
            part(response),
        );
    }
    out
}

fn write_field(out: &mut String, schema: &Schema, owner: usize, field: &Field, is_key: bool) {
    let ident = snake(field.name());
    let mut attributes = format!("tag = {}", field.tag());
    if ident.trim_start_matches("r#") != field.name() {
        let _ = write!(attributes, ", name = \"{}\"", field.name());
    }
    if let Kind::Decimal(digits) = field.kind() {
        let _ = write!(attributes, ", decimals = {digits}");
    }
    let single = match field.kind() {
        Kind::Struct(index) if field.shape() == Shape::One && reaches(schema, index, owner) => {
            format!("Box<{}>", camel(schema.name_of(index)))
        }
        kind => rust_kind(schema, kind),
    };
    let element = match field.kind() {
        Kind::Struct(index) => schema.types().get(index),
        _ => None,
    };
    let kind = match (field.shape(), element) {
        (Shape::One, _) if is_key => single,
        (Shape::One, _) => format!("Option<{single}>"),
        (Shape::Keyed { key }, Some(element)) => match element.field_tagged(key.into()) {
            Some((_, key)) if has_order(key) => {
                let _ = write!(attributes, ", key = \"{}\"", snake(key.name()));
                format!(
                    "std::collections::BTreeMap<{}, {single}>",
                    rust_kind(schema, key.kind())
                )
            }
            _ => format!("Vec<{single}>"),
        },
        (Shape::Pairs, Some(element)) => match plain_pair(element) {
            Some((key, value)) => {
                attributes.push_str(", pairs");
                let (key, value) = (rust_kind(schema, key.kind()), rust_kind(schema, value.kind()));
                format!("std::collections::BTreeMap<{key}, {value}>")
            }
            None => format!("Vec<{single}>"),
        },
        _ => format!("Vec<{single}>"),
    };
    doc(
        out,
        "    ",
        field.doc(),
        &format!("`{}`", describe(schema, field)),
    );
    let _ = writeln!(out, "    #[sproto({attributes})]\n    pub {ident}: {kind},");
}

/// Fields that are keys of maps somewhere: they are always there.
fn key_fields(schema: &Schema) -> HashSet<(usize, u16)> {
    let fields = schema.types().iter().flat_map(Type::fields);
    fields
        .filter_map(|field| match (field.shape(), field.kind()) {
            (Shape::Keyed { key }, Kind::Struct(index)) => {
                let (_, key) = schema.types().get(index)?.field_tagged(key.into())?;
                has_order(key).then_some((index, key.tag()))
            }
            _ => None,
        })
        .collect()
}

/// Whether the field can be the key of a `BTreeMap`.
fn has_order(field: &Field) -> bool {
    field.shape() == Shape::One
        && matches!(
            field.kind(),
            Kind::Integer | Kind::Boolean | Kind::String | Kind::Binary
        )
}

/// The fields of a `*T()` element, when they are what the derive macro takes for a pair.
fn plain_pair(element: &Type) -> Option<(&Field, &Field)> {
    match element.fields() {
        [key, value]
            if key.tag() == 0 && value.tag() == 1 && has_order(key) && value.shape() == Shape::One =>
        {
            let is_decimal = matches!(value.kind(), Kind::Decimal(_));
            (!is_decimal).then_some((key, value))
        }
        _ => None,
    }
}

/// Whether a value of type `from` can hold one of type `to` in place, without an array between.
fn reaches(schema: &Schema, from: usize, to: usize) -> bool {
    let (mut seen, mut open) = (HashSet::new(), vec![from]);
    while let Some(index) = open.pop() {
        if index == to {
            return true;
        }
        if seen.insert(index) {
            let fields = schema.types().get(index).map_or(&[][..], Type::fields);
            open.extend(
                fields
                    .iter()
                    .filter_map(|field| match (field.shape(), field.kind()) {
                        (Shape::One, Kind::Struct(inner)) => Some(inner),
                        _ => None,
                    }),
            );
        }
    }
    false
}

fn rust_kind(schema: &Schema, kind: Kind) -> String {
    match kind {
        Kind::Integer => "i64".to_owned(),
        Kind::Decimal(_) | Kind::Double => "f64".to_owned(),
        Kind::Boolean => "bool".to_owned(),
        Kind::String => "String".to_owned(),
        Kind::Binary => "Vec<u8>".to_owned(),
        Kind::Struct(index) => camel(schema.name_of(index)),
    }
}

/// Definitions for the Lua language server: a class for each type.
pub fn lua(schema: &Schema) -> String {
    let mut out = String::from("---@meta\n");
    for of in schema.types() {
        out.push('\n');
        for line in of.doc().lines() {
            let _ = writeln!(out, "--- {line}");
        }
        let _ = writeln!(out, "---@class {}", of.name());
        for field in of.fields() {
            let kind = |kind: Kind| match kind {
                Kind::Integer => "integer",
                Kind::Decimal(_) | Kind::Double => "number",
                Kind::Boolean => "boolean",
                Kind::String | Kind::Binary => "string",
                Kind::Struct(index) => schema.name_of(index),
            };
            let element = match field.kind() {
                Kind::Struct(index) => schema.types().get(index),
                _ => None,
            };
            let own = kind(field.kind());
            let shown = match (field.shape(), element.map(Type::fields)) {
                (Shape::One, _) => own.to_owned(),
                (Shape::Keyed { key }, Some(fields)) => {
                    let key = fields.iter().find(|field| field.tag() == key);
                    format!("table<{}, {own}>", key.map_or("any", |key| kind(key.kind())))
                }
                (Shape::Pairs, Some([key, value])) => {
                    format!("table<{}, {}>", kind(key.kind()), kind(value.kind()))
                }
                _ => format!("{own}[]"),
            };
            let _ = write!(out, "---@field {}? {shown}", field.name());
            for line in field.doc().lines() {
                let _ = write!(out, "  {line}");
            }
            out.push('\n');
        }
    }
    out
}

fn doc(out: &mut String, indent: &str, text: &str, otherwise: &str) {
    let text = if text.is_empty() { otherwise } else { text };
    for line in text.lines() {
        let _ = writeln!(out, "{indent}/// {line}");
    }
}

/// `Outer.inner_type` as `OuterInnerType`.
fn camel(name: &str) -> String {
    let mut out = String::new();
    for word in name.split(['.', '_']) {
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            out.push(first.to_ascii_uppercase());
            out.push_str(chars.as_str());
        }
    }
    if out.is_empty() {
        "Underscore".to_owned()
    } else {
        out
    }
}

/// `someName` as `some_name`, and `type` as `r#type`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && !before.is_ascii_uppercase() && before != '_' {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "false", "fn",
        "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref",
        "return", "static", "struct", "trait", "true", "type", "unsafe", "use", "where", "while", "abstract",
        "become", "box", "do", "final", "macro", "override", "priv", "try", "typeof", "unsized", "virtual",
        "yield",
    ];
    if KEYWORDS.contains(&out.as_str()) {
        return format!("r#{out}");
    }
    match out.as_str() {
        // These cannot be raw.
        "self" | "super" | "crate" | "_" => format!("{out}_"),
        _ => out,
    }
}
