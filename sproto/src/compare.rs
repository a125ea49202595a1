//! Two versions of a schema: what changed, and what of it breaks peers that still have the old one.

use std::fmt;

use crate::schema::{Field, Kind, Protocol, Response, Schema, Shape, Type};

/// A difference between two versions of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whether a peer with the other version misreads messages, or cannot make a call.
    pub breaking: bool,
    /// Where: a type, `Type.field`, or a protocol.
    pub place: String,
    /// What changed there, as a clause: `is new`, `has tag 3, and had 2`.
    pub what: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.breaking { "breaks" } else { "fits" };
        write!(f, "{verdict}: {} {}", self.place, self.what)
    }
}

/// What changed from `old` to `new`, in the order of the old version, then what is new.
///
/// On the wire there are only tags: names may change, fields may come and go, but a tag must go on meaning the same.
///
/// ```
/// use fulmar_sproto::{compare, parse};
///
/// let old = parse(".A { x 0 : integer  y 1 : string }", "old")?;
/// let new = parse(".A { x 0 : double  z 2 : string }", "new")?;
/// let changes: Vec<String> = compare(&old, &new).iter().map(ToString::to_string).collect();
/// assert_eq!(changes, [
///     "breaks: A.x is double, and was integer",
///     "fits: A.y is gone: old peers get none",
///     "fits: A.z is new",
/// ]);
/// # Ok::<(), fulmar_sproto::ParseError>(())
/// ```
pub fn compare(old: &Schema, new: &Schema) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    for before in old.types() {
        match new.type_named(before.name()) {
            Some(after) => changes.fields((old, before), (new, after)),
            None => changes.add(true, before.name(), "is gone"),
        }
    }
    for after in new.types() {
        if old.type_named(after.name()).is_none() {
            changes.add(false, after.name(), "is new");
        }
    }
    for before in old.protocols() {
        match new.protocol_named(before.name()) {
            Some(after) => changes.protocol((old, before), (new, after)),
            None => changes.add(true, format!("protocol {}", before.name()), "is gone"),
        }
    }
    for after in new.protocols() {
        if old.protocol_named(after.name()).is_none() {
            let taken = old.protocol_tagged(after.tag().into());
            let place = format!("protocol {}", after.name());
            match taken {
                Some(before) => changes.add(
                    true,
                    place,
                    format!("takes tag {} from {}", after.tag(), before.name()),
                ),
                None => changes.add(false, place, "is new"),
            }
        }
    }
    changes.0
}

struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, breaking: bool, place: impl Into<String>, what: impl Into<String>) {
        self.0.push(Change {
            breaking,
            place: place.into(),
            what: what.into(),
        });
    }

    fn fields(&mut self, (old, before): (&Schema, &Type), (new, after): (&Schema, &Type)) {
        for field in before.fields() {
            let place = format!("{}.{}", before.name(), field.name());
            let same_tag = after.field_tagged(field.tag().into()).map(|(_, field)| field);
            let same_name = after.field_named(field.name());
            match (same_tag, same_name) {
                (Some(now), _) => {
                    let (is, was) = (describe(new, now), describe(old, field));
                    if now.name() != field.name() && same_name.is_none() {
                        self.add(false, &place, format!("is called {} now", now.name()));
                    }
                    if let Some(moved) = same_name.filter(|moved| moved.tag() != field.tag()) {
                        self.add(
                            true,
                            &place,
                            format!("has tag {}, and had {}", moved.tag(), field.tag()),
                        );
                    }
                    if wire(new, now) != wire(old, field) {
                        self.add(true, &place, format!("is {is}, and was {was}"));
                    } else if is != was {
                        self.add(
                            false,
                            &place,
                            format!("is {is}, and was {was}: the same on the wire"),
                        );
                    }
                }
                (None, Some(moved)) => {
                    self.add(
                        true,
                        &place,
                        format!("has tag {}, and had {}", moved.tag(), field.tag()),
                    );
                }
                (None, None) => self.add(false, &place, "is gone: old peers get none"),
            }
        }
        for field in after.fields() {
            let is_known = before.field_named(field.name()).is_some()
                || before.field_tagged(field.tag().into()).is_some();
            if !is_known {
                self.add(false, format!("{}.{}", after.name(), field.name()), "is new");
            }
        }
    }

    fn protocol(&mut self, (old, before): (&Schema, &Protocol), (new, after): (&Schema, &Protocol)) {
        let place = format!("protocol {}", before.name());
        if before.tag() != after.tag() {
            self.add(
                true,
                &place,
                format!("has tag {}, and had {}", after.tag(), before.tag()),
            );
        }
        let request = |schema: &Schema, protocol: &Protocol| {
            protocol
                .request()
                .map_or("nothing".to_owned(), |index| schema.name_of(index).to_owned())
        };
        let response = |schema: &Schema, protocol: &Protocol| match protocol.response() {
            Response::Type(index) => schema.name_of(index).to_owned(),
            Response::Empty => "an empty answer".to_owned(),
            Response::None => "nothing".to_owned(),
        };
        for (part, was, is) in [
            ("asks with", request(old, before), request(new, after)),
            ("answers with", response(old, before), response(new, after)),
        ] {
            if was != is {
                self.add(true, &place, format!("{part} {is}, and did with {was}"));
            }
        }
    }
}

/// A field's type as a schema writes it.
pub(crate) fn describe(schema: &Schema, field: &Field) -> String {
    let kind = match field.kind() {
        Kind::Integer => "integer".to_owned(),
        Kind::Decimal(digits) => format!("integer({digits})"),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Double => "double".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Binary => "binary".to_owned(),
        Kind::Struct(index) => schema.name_of(index).to_owned(),
    };
    match field.shape() {
        Shape::One => kind,
        Shape::Array => format!("*{kind}"),
        Shape::Pairs => format!("*{kind}()"),
        Shape::Keyed { key } => {
            let element = match field.kind() {
                Kind::Struct(index) => schema.types().get(index),
                _ => None,
            };
            let name = element
                .and_then(|element| element.field_tagged(key.into()))
                .map_or("?", |(_, field)| field.name());
            format!("*{kind}({name})")
        }
    }
}

/// What of it peers see: maps are arrays, and bytes are bytes.
fn wire(schema: &Schema, field: &Field) -> (bool, String) {
    let kind = match field.kind() {
        Kind::String | Kind::Binary => "bytes".to_owned(),
        _ => {
            let one = Field {
                shape: Shape::One,
                ..field.clone()
            };
            describe(schema, &one)
        }
    };
    (field.shape() != Shape::One, kind)
}
