//! Type bundles: schemas as bytes, themselves messages, but read by position: a field that is absent has a skip word of its
//! own in its place.

use std::sync::Arc;

use crate::error::{BundleError, WireError};
use crate::schema::{Field, Kind, MAX_TAG, Protocol, Response, Schema, Shape, Type};
use crate::wire::{Elements, Item, Slot, push_item};

impl Schema {
    /// The bundle of this schema: byte for byte what skynet's `sprotoparser` makes of the same text.
    ///
    /// ```
    /// use fulmar_sproto::{Schema, parse};
    ///
    /// let bundle = parse(".A { a 0 : integer }", "a.sproto")?.to_bundle();
    /// assert_eq!(bundle.len(), 46);
    /// assert_eq!(Schema::from_bundle(&bundle)?.to_bundle(), bundle);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_bundle(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.types().is_empty() {
            return vec![0, 0];
        }
        let calls = !self.protocols().is_empty();
        words(&mut out, if calls { &[DATA, DATA] } else { &[DATA] });
        list(&mut out, self.types(), |out, found| {
            let has_fields = !found.fields.is_empty();
            words(out, if has_fields { &[DATA, DATA] } else { &[DATA] });
            push_item(out, found.name.as_bytes());
            if has_fields {
                list(out, &found.fields, |out, field| self.write_field(out, field));
            }
        });
        if calls {
            list(&mut out, self.protocols(), write_protocol);
        }
        out
    }

    fn write_field(&self, out: &mut Vec<u8>, field: &Field) {
        let (builtin, detail) = match field.kind {
            Kind::Integer => (inline(0), ABSENT),
            Kind::Decimal(digits) => (inline(0), inline(digits.into())),
            Kind::Boolean => (inline(1), ABSENT),
            Kind::String => (inline(2), ABSENT),
            Kind::Binary => (inline(2), inline(1)),
            Kind::Double => (inline(3), ABSENT),
            Kind::Struct(index) => (ABSENT, inline(index)),
        };
        let key = match field.shape {
            Shape::Keyed { key } => inline(key.into()),
            Shape::Pairs => inline(self.pair_tags(field).map_or(0, |(key, _)| key.into())),
            Shape::One | Shape::Array => ABSENT,
        };
        let all = [
            DATA,
            builtin,
            detail,
            inline(field.tag.into()),
            inline(1),
            key,
            inline(1),
        ];
        let count = match field.shape {
            Shape::One => 4,
            Shape::Array => 5,
            Shape::Keyed { .. } => 6,
            Shape::Pairs => 7,
        };
        words(out, all.split_at(count).0);
        push_item(out, field.name.as_bytes());
    }

    /// Reads a bundle; bytes behind it are ignored.
    ///
    /// Shape: memory in proportion to the input.
    ///
    /// # Errors
    /// [`BundleError`]: whatever skynet's loader refuses, and names that are not UTF-8, tags above 32766, decimal places above
    /// 9, and map keys that their elements do not have.
    pub fn from_bundle(bundle: &[u8]) -> Result<Schema, BundleError> {
        if bundle.len() < 4 {
            return Err(BundleError::Truncated);
        }
        let [types, calls] = parts(bundle, "the group")?;
        let names = types.elements("the group")?;
        let count = names.clone().count();
        let mut found = Vec::new();
        for element in names {
            found.push(read_type(element?, count)?);
        }
        check_maps(&found)?;
        let mut protocols = Vec::new();
        if calls != Part::Absent {
            for element in calls.elements("the group")? {
                protocols.push(read_protocol(element?, count)?);
            }
        }
        Ok(Schema::new(found, protocols))
    }
}

fn write_protocol(out: &mut Vec<u8>, protocol: &Protocol) {
    let request = protocol.request.map_or(ABSENT, inline);
    let (response, confirm) = match protocol.response {
        Response::None => (ABSENT, ABSENT),
        Response::Empty => (ABSENT, inline(1)),
        Response::Type(index) => (inline(index), ABSENT),
    };
    let all = [DATA, inline(protocol.tag.into()), request, response, confirm];
    let used = all
        .iter()
        .rposition(|word| *word != ABSENT)
        .map_or(0, |last| last + 1);
    words(out, all.split_at(used).0);
    push_item(out, protocol.name.as_bytes());
}

fn words(out: &mut Vec<u8>, words: &[u16]) {
    out.extend_from_slice(&(words.len() as u16).to_le_bytes());
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn list<T>(out: &mut Vec<u8>, elements: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    let item = Item::begin(out);
    for element in elements {
        let item = Item::begin(out);
        write(out, element);
        item.end(out);
    }
    item.end(out);
}

/// The word of an inline value: tags and indices are at most 32766, which parser and loader see to.
fn inline(value: usize) -> u16 {
    2 * (value as u16 + 1)
}

/// The word of a value in the data section.
const DATA: u16 = 0;
/// The word in the place of a value that is absent.
const ABSENT: u16 = 1;

/// What stands in one place of a positional message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Absent,
    Inline(u16),
    Item(&'a [u8]),
}

/// The parts of a positional message, which has at most `N`.
fn parts<'a, const N: usize>(message: &'a [u8], what: &'static str) -> Result<[Part<'a>; N], BundleError> {
    let malformed = BundleError::Malformed { what };
    let (count, rest) = message.split_first_chunk::<2>().ok_or(BundleError::Truncated)?;
    let count = usize::from(u16::from_le_bytes(*count));
    if count > N {
        return Err(malformed);
    }
    let (words, mut data) = rest.split_at_checked(2 * count).ok_or(BundleError::Truncated)?;
    let mut parts = [Part::Absent; N];
    for (part, word) in parts.iter_mut().zip(words.as_chunks::<2>().0) {
        *part = match u16::from_le_bytes(*word) {
            DATA => {
                let (len, rest) = data.split_first_chunk::<4>().ok_or(BundleError::Truncated)?;
                let len = u32::from_le_bytes(*len) as usize;
                let (item, rest) = rest.split_at_checked(len).ok_or(BundleError::Truncated)?;
                data = rest;
                Part::Item(item)
            }
            ABSENT => Part::Absent,
            word if word & 1 == 1 => return Err(malformed),
            word => Part::Inline(word / 2 - 1),
        };
    }
    Ok(parts)
}

impl<'a> Part<'a> {
    fn name(self, what: &'static str) -> Result<Arc<str>, BundleError> {
        let Part::Item(bytes) = self else {
            return Err(BundleError::Malformed { what });
        };
        std::str::from_utf8(bytes)
            .map(Arc::from)
            .map_err(|_| BundleError::Name)
    }

    fn elements(self, what: &'static str) -> Result<Elements<'a>, BundleError> {
        let Part::Item(item) = self else {
            return Err(BundleError::Malformed { what });
        };
        Slot::Item(item).elements().map_err(BundleError::from)
    }

    fn value(self, what: &'static str) -> Result<Option<u16>, BundleError> {
        match self {
            Part::Absent => Ok(None),
            Part::Inline(value) => Ok(Some(value)),
            Part::Item(_) => Err(BundleError::Malformed { what }),
        }
    }

    fn tag(self, what: &'static str) -> Result<u16, BundleError> {
        self.value(what)?
            .filter(|tag| *tag <= MAX_TAG)
            .ok_or(BundleError::Malformed { what })
    }

    fn reference(self, types: usize, what: &'static str) -> Result<Option<usize>, BundleError> {
        let index = self.value(what)?.map(usize::from);
        match index {
            Some(index) if index >= types => Err(BundleError::Reference { what }),
            index => Ok(index),
        }
    }
}

impl From<WireError> for BundleError {
    fn from(_: WireError) -> Self {
        BundleError::Truncated
    }
}

fn read_type(message: &[u8], types: usize) -> Result<Type, BundleError> {
    let [name, list] = parts(message, "a type")?;
    let name = name.name("a type")?;
    let mut fields: Vec<Field> = Vec::new();
    if list != Part::Absent {
        for element in list.elements("a type")? {
            let field = read_field(element?, types)?;
            if fields.last().is_some_and(|last| last.tag >= field.tag) {
                return Err(BundleError::TagOrder);
            }
            fields.push(field);
        }
    }
    Ok(Type::new(name, Arc::default(), fields))
}

fn read_field(message: &[u8], types: usize) -> Result<Field, BundleError> {
    const WHAT: &str = "a field";
    let [name, builtin, detail, tag, array, key, pairs] = parts(message, WHAT)?;
    let malformed = BundleError::Malformed { what: WHAT };
    let kind = match (builtin.value(WHAT)?, detail.value(WHAT)?) {
        (Some(0), None) => Kind::Integer,
        (Some(0), Some(digits @ 0..=9)) => Kind::Decimal(digits as u8),
        (Some(1), None) => Kind::Boolean,
        (Some(2), None) => Kind::String,
        (Some(2), Some(1)) => Kind::Binary,
        (Some(3), None) => Kind::Double,
        (Some(4..), _) => return Err(BundleError::Reference { what: WHAT }),
        (None, Some(_)) => Kind::Struct(detail.reference(types, WHAT)?.ok_or(malformed)?),
        _ => return Err(malformed),
    };
    let is_array = matches!(array.value(WHAT)?, Some(1..));
    let shape = match (is_array, key.value(WHAT)?, pairs.value(WHAT)?) {
        (false, ..) => Shape::One,
        (true, _, Some(1..)) => Shape::Pairs,
        (true, Some(key), _) => Shape::Keyed { key },
        (true, None, _) => Shape::Array,
    };
    Ok(Field {
        name: name.name(WHAT)?,
        doc: Arc::default(),
        tag: tag.tag(WHAT)?,
        kind,
        shape,
    })
}

/// Maps are made of structures that have what the map needs.
fn check_maps(types: &[Type]) -> Result<(), BundleError> {
    for field in types.iter().flat_map(Type::fields) {
        let element = match field.kind {
            Kind::Struct(index) => types.get(index),
            _ => None,
        };
        let fits = match field.shape {
            Shape::One | Shape::Array => true,
            Shape::Keyed { key } => element.is_some_and(|element| element.field_tagged(key.into()).is_some()),
            Shape::Pairs => element.is_some_and(|element| element.fields.len() == 2),
        };
        if !fits {
            return Err(BundleError::Key);
        }
    }
    Ok(())
}

fn read_protocol(message: &[u8], types: usize) -> Result<Protocol, BundleError> {
    const WHAT: &str = "a protocol";
    let [name, tag, request, response, confirm] = parts(message, WHAT)?;
    let response = match response.reference(types, "a response")? {
        Some(index) => Response::Type(index),
        None if matches!(confirm.value(WHAT)?, Some(1..)) => Response::Empty,
        None => Response::None,
    };
    Ok(Protocol {
        name: name.name(WHAT)?,
        doc: Arc::default(),
        tag: tag.tag(WHAT)?,
        request: request.reference(types, "a request")?,
        response,
    })
}
