//! Messages read in place: checked once as a whole, then decoded only where somebody looks.

use crate::error::{DecodeCause, DecodeError, WireError};
use crate::schema::{Field, Kind, Schema, Shape, Type};
use crate::value::{Struct, Value};
use crate::wire::{Elements, Fields, Numbers, Slot};
use crate::{MAX_DEPTH, value};

/// A message of a type, in the bytes it came in: an arena buffer, a file, any slice. Copying one copies three pointers.
///
/// ```
/// use fulmar_sproto::{Struct, Value, View, parse};
///
/// let schema = parse(".Person { name 0 : string  age 1 : integer  friends 2 : *Person }", "people.sproto")?;
/// let person = schema.type_named("Person").expect("it is there");
/// let alice = Struct::new().with("name", "Alice").with("age", 13);
/// let mut bytes = Vec::new();
/// schema.encode(person, &Struct::new().with("friends", vec![Value::from(alice)]), &mut bytes)?;
///
/// let view = View::new(&schema, person, &bytes)?;
/// let alice = view.get("friends").and_then(|friends| friends.structs()?.next()).expect("she is there");
/// assert_eq!(alice.get("name").and_then(|name| name.as_str()), Some("Alice"));
/// assert!(view.get("age").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    schema: &'a Schema,
    of: &'a Type,
    message: &'a [u8],
}

/// The value of a field of a [`View`].
#[derive(Debug, Clone, Copy)]
pub struct ViewValue<'a> {
    schema: &'a Schema,
    field: &'a Field,
    slot: Slot<'a>,
}

impl<'a> View<'a> {
    /// Checks that the bytes begin with a message of type `of`, in all its parts.
    ///
    /// Shape: one pass over the message, no allocation.
    ///
    /// # Errors
    /// Those of [`Schema::decode`].
    pub fn new(schema: &'a Schema, of: &'a Type, message: &'a [u8]) -> Result<View<'a>, DecodeError> {
        let rest = check(schema, of, message, 1)?;
        let message = message.split_at(message.len() - rest.len()).0;
        Ok(View { schema, of, message })
    }

    /// The type.
    pub fn of(&self) -> &'a Type {
        self.of
    }

    /// How many bytes the message takes.
    pub fn used(&self) -> usize {
        self.message.len()
    }

    /// The value of a field; none when it is absent, or the type has no such field.
    ///
    /// Shape: walks the field words before it.
    pub fn get(&self, name: &str) -> Option<ViewValue<'a>> {
        let wanted = self.of.field_named(name)?;
        self.iter()
            .find(|(field, _)| field.tag == wanted.tag)
            .map(|(_, value)| value)
    }

    /// All fields that are there, in the order of their tags.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Field, ViewValue<'a>)> + use<'a> {
        let (schema, of) = (self.schema, self.of);
        // The message was checked, so neither the first step nor a later one fails.
        let mut fields = Fields::new(self.message).ok();
        std::iter::from_fn(move || {
            loop {
                let (tag, slot) = fields.as_mut()?.next_field().ok()??;
                if let Some((_, field)) = of.field_tagged(tag) {
                    return Some((field, ViewValue { schema, field, slot }));
                }
            }
        })
    }

    /// The message as a tree.
    pub fn to_struct(&self) -> Struct {
        let decoded = self.schema.decode(self.of, self.message);
        decoded.map(|(value, _)| value).unwrap_or_default()
    }
}

impl<'a> ViewValue<'a> {
    /// The integer of an `integer` field.
    pub fn as_integer(&self) -> Option<i64> {
        self.one(Kind::Integer)?.integer().ok()
    }

    /// The number of an `integer`, `integer(n)` or `double` field.
    pub fn as_double(&self) -> Option<f64> {
        if self.field.shape != Shape::One {
            return None;
        }
        match self.field.kind {
            Kind::Double => self.slot.double().ok(),
            Kind::Integer | Kind::Decimal(_) => {
                Some(self.slot.integer().ok()? as f64 / self.field.kind.scale())
            }
            _ => None,
        }
    }

    /// The boolean of a `boolean` field.
    pub fn as_boolean(&self) -> Option<bool> {
        self.one(Kind::Boolean)?.boolean().ok()
    }

    /// The bytes of a `string` or `binary` field, where they are.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        self.one(Kind::String)
            .or_else(|| self.one(Kind::Binary))?
            .item()
            .ok()
    }

    /// The same as text, when it is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The structure of a field that holds one.
    pub fn as_struct(&self) -> Option<View<'a>> {
        match (self.field.shape, self.field.kind) {
            (Shape::One, Kind::Struct(index)) => self.view(index, self.slot.item().ok()?),
            _ => None,
        }
    }

    /// The elements of a `*integer`, or the bits of those of a `*double`.
    pub fn numbers(&self) -> Option<Numbers<'a>> {
        match (self.field.shape, self.field.kind) {
            (Shape::Array, Kind::Integer | Kind::Decimal(_) | Kind::Double) => self.slot.numbers().ok(),
            _ => None,
        }
    }

    /// The elements of a `*boolean`.
    pub fn booleans(&self) -> Option<impl ExactSizeIterator<Item = bool> + use<'a>> {
        match (self.field.shape, self.field.kind) {
            (Shape::Array, Kind::Boolean) => self.slot.booleans().ok(),
            _ => None,
        }
    }

    /// The elements of a `*string` or `*binary`.
    pub fn strings(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        match (self.field.shape, self.field.kind) {
            (Shape::Array, Kind::String | Kind::Binary) => {
                Some(self.slot.elements().ok()?.filter_map(Result::ok))
            }
            _ => None,
        }
    }

    /// The structures of an array or a map, in the order of the message. The last of several with one key is the one that
    /// counts in a map.
    pub fn structs(&self) -> Option<impl Iterator<Item = View<'a>> + use<'a>> {
        let Kind::Struct(index) = self.field.kind else {
            return None;
        };
        if self.field.shape == Shape::One {
            return None;
        }
        let value = *self;
        Some(
            self.slot
                .elements()
                .ok()?
                .filter_map(move |element| value.view(index, element.ok()?)),
        )
    }

    /// The value as a tree.
    pub fn to_value(&self) -> Value {
        value::of_field(self.schema, self.field, self.slot).unwrap_or(Value::Boolean(false))
    }

    fn one(&self, kind: Kind) -> Option<Slot<'a>> {
        (self.field.shape == Shape::One && self.field.kind == kind).then_some(self.slot)
    }

    fn view(&self, index: usize, message: &'a [u8]) -> Option<View<'a>> {
        Some(View {
            schema: self.schema,
            of: self.schema.types().get(index)?,
            message,
        })
    }
}

/// Whether a message can be decoded; gives the bytes behind it.
fn check<'m>(schema: &Schema, of: &Type, message: &'m [u8], level: usize) -> Result<&'m [u8], DecodeError> {
    let mut fields = Fields::new(message)?;
    while let Some((tag, slot)) = fields.next_field()? {
        let Some((_, field)) = of.field_tagged(tag) else {
            continue;
        };
        if level > MAX_DEPTH {
            return Err(DecodeCause::TooDeep.into());
        }
        check_field(schema, field, slot, level).map_err(|error| error.within(&of.name, &field.name))?;
    }
    Ok(fields.rest())
}

fn check_field(schema: &Schema, field: &Field, slot: Slot<'_>, level: usize) -> Result<(), DecodeError> {
    match (field.shape, field.kind) {
        (Shape::One, Kind::Integer | Kind::Decimal(_)) => slot.integer().map(|_| ())?,
        (Shape::One, Kind::Boolean) => slot.boolean().map(|_| ())?,
        (Shape::One, Kind::Double) => slot.double().map(|_| ())?,
        (Shape::One, Kind::String | Kind::Binary) => slot.item().map(|_| ())?,
        (Shape::One, Kind::Struct(index)) => check_whole(schema, index, slot.item()?, level)?,
        (_, Kind::Integer | Kind::Decimal(_) | Kind::Double) => slot.numbers().map(|_| ())?,
        (_, Kind::Boolean) => slot.booleans().map(|_| ())?,
        (_, Kind::String | Kind::Binary) => slot.elements()?.try_for_each(|element| element.map(|_| ()))?,
        (shape, Kind::Struct(index)) => check_elements(schema, shape, index, slot.elements()?, level)?,
    }
    Ok(())
}

fn check_elements(
    schema: &Schema,
    shape: Shape,
    index: usize,
    elements: Elements<'_>,
    level: usize,
) -> Result<(), DecodeError> {
    let of = schema.type_at(index);
    for element in elements {
        let element = element?;
        check_whole(schema, index, element, level)?;
        let has = |tag: u16| has_field(element, tag);
        match (shape, of.fields.as_slice()) {
            (Shape::Keyed { key }, _) if !has(key) => return Err(DecodeCause::NoKey { tag: key }.into()),
            (Shape::Pairs, [key, _]) if !has(key.tag) => return Err(DecodeCause::NoPairKey.into()),
            (Shape::Pairs, [_, value]) if !has(value.tag) => return Err(DecodeCause::NoPairValue.into()),
            _ => {}
        }
    }
    Ok(())
}

fn check_whole(schema: &Schema, index: usize, item: &[u8], level: usize) -> Result<(), DecodeError> {
    let rest = check(schema, schema.type_at(index), item, level + 1)?;
    match rest.len() {
        0 => Ok(()),
        left => Err(WireError::Trailing { left }.into()),
    }
}

fn has_field(message: &[u8], wanted: u16) -> bool {
    let Ok(mut fields) = Fields::new(message) else {
        return false;
    };
    while let Ok(Some((tag, _))) = fields.next_field() {
        if tag == u32::from(wanted) {
            return true;
        }
    }
    false
}
