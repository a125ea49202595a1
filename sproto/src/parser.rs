//! Schemas from text: a recursive descent over the grammar, then the resolution of names.
//!
//! ```text
//! schema   = _ { item } _                    item = type | protocol          _  = optional blanks
//! type     = "." word _ body                                                 __ = at least one blank
//! body     = "{" _ { field | type } _ "}"
//! field    = word __ number _ ":" _ [ "*" ] typename [ suffix ]
//! suffix   = "(" _ [ word | number ] _ ")"   typename = word { "." word }
//! protocol = word __ number _ "{" _ { part } _ "}"
//! part     = ( "request" | "response" ) __ ( typename | body )
//! ```

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::error::{ParseError, Place, Reason};
use crate::schema::{Field, Kind, MAX_TAG, Protocol, Response, Schema, Shape, Type};

/// Parses the text of a schema. `file` is what errors call it.
///
/// Shape: linear in the text, but for the resolution of names, which also grows with their nesting.
///
/// # Errors
/// [`ParseError`], with the place and skynet's words where skynet has some.
///
/// ```
/// let schema = fulmar_sproto::parse(
///     ".Person { name 0 : string  friends 1 : *Person(name) }  hello 1 { request Person }",
///     "people.sproto",
/// )?;
/// assert_eq!(schema.type_named("Person").unwrap().fields()[1].name(), "friends");
/// assert_eq!(schema.protocol_named("hello").unwrap().tag(), 1);
/// # Ok::<(), fulmar_sproto::ParseError>(())
/// ```
pub fn parse(text: &str, file: &str) -> Result<Schema, ParseError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        comments: Comments::of(text),
        types: BTreeMap::new(),
        protocols: Vec::new(),
        protocol_names: HashSet::new(),
    };
    parser
        .schema()
        .and_then(|()| resolve(&parser))
        .map_err(|fault| fault.locate(text, file))
}

/// What is wrong, and at which byte.
#[derive(Debug)]
struct Fault {
    at: usize,
    reason: Reason,
}

impl Fault {
    fn locate(self, text: &str, file: &str) -> ParseError {
        let (before, after) = text.split_at_checked(self.at).unwrap_or((text, ""));
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let head = before.split_at_checked(line_start).map_or("", |(_, head)| head);
        let tail = after.split('\n').next().unwrap_or_default();
        ParseError(Box::new(Place {
            reason: self.reason,
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: head.chars().count() + 1,
            source: format!("{head}{}", tail.trim_end_matches('\r')),
        }))
    }
}

/// A word of the text with its place.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    at: usize,
}

/// A type as it is written: its fields in the order of their tags.
#[derive(Debug)]
struct RawType<'a> {
    at: usize,
    fields: Vec<RawField<'a>>,
}

/// What the comments of a text say about each line, made in one pass: lines share no text, and what stands on one line shares
/// its comment.
struct Comments {
    /// Where each line begins.
    starts: Vec<usize>,
    about: Vec<Arc<str>>,
}

impl Comments {
    /// A line's comment is the one behind it, else the lines of comments right above it.
    fn of(text: &str) -> Self {
        let (mut starts, mut about) = (Vec::new(), Vec::new());
        let (mut start, mut above) = (0, Vec::new());
        for line in text.split('\n') {
            starts.push(start);
            start += line.len() + 1;
            let comment = line
                .split_once('#')
                .map(|(code, comment)| (code.trim(), comment.trim()));
            about.push(match comment {
                Some(("", comment)) => {
                    above.push(comment);
                    Arc::default()
                }
                Some((_, beside)) => {
                    above.clear();
                    Arc::from(beside)
                }
                None => Arc::from(std::mem::take(&mut above).join("\n")),
            });
        }
        Comments { starts, about }
    }

    /// The comment about what stands at `at`.
    fn about(&self, at: usize) -> Arc<str> {
        let line = self
            .starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1);
        self.about.get(line).cloned().unwrap_or_default()
    }
}

/// A field as it is written.
#[derive(Debug)]
struct RawField<'a> {
    name: Word<'a>,
    tag: u16,
    array: bool,
    kind: Word<'a>,
    suffix: Option<Suffix<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Suffix<'a> {
    Empty,
    Word(Word<'a>),
    Number(Word<'a>),
}

#[derive(Debug)]
struct RawProtocol<'a> {
    name: Word<'a>,
    tag: u16,
    request: Option<Part<'a>>,
    response: Option<Part<'a>>,
}

/// The type of a request or a response.
#[derive(Debug)]
struct Part<'a> {
    name: String,
    word: Word<'a>,
    /// The type was written right there.
    inline: bool,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    comments: Comments,
    /// By full name; that order is the order of their indices.
    types: BTreeMap<String, RawType<'a>>,
    protocols: Vec<RawProtocol<'a>>,
    protocol_names: HashSet<&'a str>,
}

/// Types inside types inside types ...
const MAX_NESTING: usize = 64;
/// An index has to fit an inline value of a bundle.
const MAX_TYPES: usize = MAX_TAG as usize + 1;

impl<'a> Parser<'a> {
    fn schema(&mut self) -> Result<(), Fault> {
        self.list(None, |parser| match parser.peek() {
            Some(b'.') => parser.define_type(""),
            Some(c) if starts_word(c) => parser.protocol(),
            _ => Err(parser.unexpected("a type (.Name { ... }) or a protocol (name tag { ... })")),
        })
    }

    /// Entries up to `close`, or to the end of the text. They are separated by blanks; once two have touched, no later two
    /// may be separated.
    fn list(
        &mut self,
        close: Option<u8>,
        mut entry: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (mut first, mut touched) = (true, false);
        loop {
            let separated = self.blanks();
            if self.peek() == close {
                self.at += usize::from(close.is_some());
                return Ok(());
            }
            if !first && touched && separated {
                return Err(
                    self.unexpected("no blank, since two entries before have none between them either")
                );
            }
            touched |= !first && !separated;
            first = false;
            entry(self)?;
        }
    }

    fn define_type(&mut self, outer: &str) -> Result<(), Fault> {
        self.at += 1;
        let word = self.word("the name of a type")?;
        let name = if outer.is_empty() {
            word.text.to_owned()
        } else {
            format!("{outer}.{}", word.text)
        };
        self.blanks();
        self.body(name, word)
    }

    /// A body in braces defines the type `name`.
    fn body(&mut self, name: String, word: Word<'a>) -> Result<(), Fault> {
        self.expect(b'{', "'{'")?;
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(self.unexpected("fewer types inside each other"));
        }
        let mut fields = Vec::new();
        self.list(Some(b'}'), |parser| match parser.peek() {
            Some(b'.') => parser.define_type(&name),
            Some(c) if starts_word(c) => {
                fields.push(parser.field()?);
                Ok(())
            }
            _ => Err(parser.unexpected("a field (name tag : type), a type (.Name { ... }) or '}'")),
        })?;
        self.depth -= 1;
        check_fields(&name, &mut fields)?;
        if self.types.contains_key(&name) {
            return Err(fault(word.at, Reason::RepeatedName { name }));
        }
        if self.types.len() == MAX_TYPES {
            return Err(self.unexpected("no more than 32767 types"));
        }
        self.types.insert(name, RawType { at: word.at, fields });
        Ok(())
    }

    fn field(&mut self) -> Result<RawField<'a>, Fault> {
        let name = self.word("the name of a field")?;
        self.some_blanks()?;
        let tag = self.tag()?;
        self.blanks();
        self.expect(b':', "':'")?;
        self.blanks();
        let array = self.peek() == Some(b'*');
        self.at += usize::from(array);
        let kind = self.typename()?;
        let suffix = self.suffix()?;
        Ok(RawField {
            name,
            tag,
            array,
            kind,
            suffix,
        })
    }

    fn suffix(&mut self) -> Result<Option<Suffix<'a>>, Fault> {
        if self.peek() != Some(b'(') {
            return Ok(None);
        }
        self.at += 1;
        self.blanks();
        let suffix = match self.peek() {
            Some(c) if starts_word(c) => Suffix::Word(self.word("a field")?),
            Some(c) if c.is_ascii_digit() => Suffix::Number(self.number()?),
            _ => Suffix::Empty,
        };
        self.blanks();
        self.expect(b')', "a field, a number or ')'")?;
        Ok(Some(suffix))
    }

    fn protocol(&mut self) -> Result<(), Fault> {
        let name = self.word("the name of a protocol")?;
        self.some_blanks()?;
        let tag = self.tag()?;
        self.blanks();
        self.expect(b'{', "'{'")?;
        let (mut request, mut response) = (None, None);
        self.list(Some(b'}'), |parser| {
            let keyword = parser.word("request, response or '}'")?;
            let (part, place) = match keyword.text {
                "request" => ("request", &mut request),
                "response" => ("response", &mut response),
                _ => {
                    parser.at = keyword.at;
                    return Err(parser.unexpected("request, response or '}'"));
                }
            };
            parser.some_blanks()?;
            let found = parser.part(name, part)?;
            if place.replace(found).is_some() {
                let protocol = name.text.to_owned();
                return Err(fault(keyword.at, Reason::RepeatedPart { part, protocol }));
            }
            Ok(())
        })?;
        if !self.protocol_names.insert(name.text) {
            let name_text = name.text.to_owned();
            return Err(fault(name.at, Reason::RepeatedName { name: name_text }));
        }
        self.protocols.push(RawProtocol {
            name,
            tag,
            request,
            response,
        });
        Ok(())
    }

    fn part(&mut self, protocol: Word<'a>, part: &str) -> Result<Part<'a>, Fault> {
        if self.peek() == Some(b'{') {
            let name = format!("{}.{part}", protocol.text);
            self.body(name.clone(), protocol)?;
            return Ok(Part {
                name,
                word: protocol,
                inline: true,
            });
        }
        let word = self.typename()?;
        Ok(Part {
            name: word.text.to_owned(),
            word,
            inline: false,
        })
    }

    fn typename(&mut self) -> Result<Word<'a>, Fault> {
        let first = self.word("the name of a type")?;
        while self.peek() == Some(b'.') {
            self.at += 1;
            self.word("the name of a type")?;
        }
        Ok(self.since(first.at))
    }

    fn word(&mut self, expected: &'static str) -> Result<Word<'a>, Fault> {
        if !self.peek().is_some_and(starts_word) {
            return Err(self.unexpected(expected));
        }
        Ok(self.take_while(|c| starts_word(c) || c.is_ascii_digit()))
    }

    fn number(&mut self) -> Result<Word<'a>, Fault> {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(self.unexpected("a number"));
        }
        Ok(self.take_while(|c| c.is_ascii_digit()))
    }

    fn tag(&mut self) -> Result<u16, Fault> {
        let number = self.number()?;
        let tag = number.text.parse().ok().filter(|tag| *tag <= MAX_TAG);
        tag.ok_or_else(|| {
            let tag = number.text.to_owned();
            fault(number.at, Reason::TagTooLarge { tag })
        })
    }

    /// Blanks, line ends and comments. A carriage return counts only before a line feed.
    fn blanks(&mut self) -> bool {
        let start = self.at;
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n') => self.at += 1,
                Some(b'\r') if self.text.as_bytes().get(self.at + 1) == Some(&b'\n') => self.at += 2,
                Some(b'#') => drop(self.take_while(|c| c != b'\n')),
                _ => return self.at > start,
            }
        }
    }

    fn some_blanks(&mut self) -> Result<(), Fault> {
        if self.blanks() {
            Ok(())
        } else {
            Err(self.unexpected("a blank"))
        }
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> Word<'a> {
        let start = self.at;
        while self.peek().is_some_and(&belongs) {
            self.at += 1;
        }
        self.since(start)
    }

    fn since(&self, start: usize) -> Word<'a> {
        Word {
            text: self.text.get(start..self.at).unwrap_or_default(),
            at: start,
        }
    }

    #[cold]
    fn unexpected(&self, expected: &'static str) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let word: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(32)
            .collect();
        let found = match rest.chars().next() {
            None => "the end of the text".to_owned(),
            Some(_) if !word.is_empty() => format!("'{word}'"),
            Some(c) => format!("{c:?}"),
        };
        fault(self.at, Reason::Syntax { expected, found })
    }
}

fn starts_word(c: u8) -> bool {
    c.is_ascii_alphabetic() || c == b'_'
}

fn fault(at: usize, reason: Reason) -> Fault {
    Fault { at, reason }
}

/// Sorts the fields of a type by tag; neither names nor tags may repeat.
fn check_fields(within: &str, fields: &mut [RawField<'_>]) -> Result<(), Fault> {
    let (mut names, mut tags) = (HashSet::new(), HashSet::new());
    for field in &*fields {
        let within = within.to_owned();
        if !names.insert(field.name.text) {
            let field_name = field.name.text.to_owned();
            let reason = Reason::RepeatedField {
                field: field_name,
                within,
            };
            return Err(fault(field.name.at, reason));
        }
        if !tags.insert(field.tag) {
            let tag = field.tag;
            return Err(fault(field.name.at, Reason::RepeatedTag { tag, within }));
        }
    }
    fields.sort_by_key(|field| field.tag);
    Ok(())
}

/// Turns names into indices.
fn resolve(parser: &Parser<'_>) -> Result<Schema, Fault> {
    let names: Vec<&str> = parser.types.keys().map(String::as_str).collect();
    let raw: Vec<&[RawField<'_>]> = parser.types.values().map(|of| of.fields.as_slice()).collect();
    let mut types = Vec::with_capacity(names.len());
    for (name, of) in &parser.types {
        let mut fields = Vec::with_capacity(of.fields.len());
        for field in &of.fields {
            let mut resolved = resolve_field(name, field, &names, &raw)?;
            resolved.doc = parser.comments.about(field.name.at);
            fields.push(resolved);
        }
        types.push(Type::new(
            Arc::from(name.as_str()),
            parser.comments.about(of.at),
            fields,
        ));
    }
    let mut protocols = Vec::with_capacity(parser.protocols.len());
    let mut tags = HashSet::new();
    for protocol in &parser.protocols {
        if !tags.insert(protocol.tag) {
            let reason = Reason::RepeatedProtocolTag {
                tag: protocol.tag,
                protocol: protocol.name.text.to_owned(),
            };
            return Err(fault(protocol.name.at, reason));
        }
        let mut resolved = resolve_protocol(protocol, &names)?;
        resolved.doc = parser.comments.about(protocol.name.at);
        protocols.push(resolved);
    }
    if let (true, Some(protocol)) = (types.is_empty(), parser.protocols.first()) {
        return Err(fault(protocol.name.at, Reason::NoTypes));
    }
    protocols.sort_by_key(Protocol::tag);
    Ok(Schema::new(types, protocols))
}

fn resolve_field(
    within: &str,
    field: &RawField<'_>,
    names: &[&str],
    raw: &[&[RawField<'_>]],
) -> Result<Field, Fault> {
    let (kind, shape) = if let Some(kind) = builtin(field.kind.text) {
        (
            builtin_suffix(field, kind)?,
            if field.array { Shape::Array } else { Shape::One },
        )
    } else {
        let index = look_up(within, field.kind.text, names).ok_or_else(|| {
            let reason = Reason::UndefinedType {
                name: field.kind.text.to_owned(),
                within: within.to_owned(),
            };
            fault(field.kind.at, reason)
        })?;
        let elements = raw.get(index).copied().unwrap_or_default();
        (Kind::Struct(index), struct_shape(field, elements)?)
    };
    Ok(Field {
        name: Arc::from(field.name.text),
        doc: Arc::default(),
        tag: field.tag,
        kind,
        shape,
    })
}

fn builtin(name: &str) -> Option<Kind> {
    Some(match name {
        "integer" => Kind::Integer,
        "boolean" => Kind::Boolean,
        "string" => Kind::String,
        "binary" => Kind::Binary,
        "double" => Kind::Double,
        _ => return None,
    })
}

/// The kind of a built-in type with its suffix: `integer(digits)`. A word behind a field that is no array is ignored, as the
/// reference does.
fn builtin_suffix(field: &RawField<'_>, kind: Kind) -> Result<Kind, Fault> {
    let (suffix, at) = match field.suffix {
        None => return Ok(kind),
        Some(Suffix::Number(digits)) if kind == Kind::Integer => {
            return match digits.text.parse() {
                Ok(count @ 0..=9) => Ok(Kind::Decimal(count)),
                _ => {
                    let digits_text = digits.text.to_owned();
                    Err(fault(digits.at, Reason::TooManyDecimals { digits: digits_text }))
                }
            };
        }
        Some(Suffix::Number(number)) => (number.text, number.at),
        Some(Suffix::Empty | Suffix::Word(_)) if !field.array => return Ok(kind),
        Some(Suffix::Word(word)) => (word.text, word.at),
        Some(Suffix::Empty) => ("", field.kind.at),
    };
    let reason = Reason::InvalidSuffix {
        suffix: suffix.to_owned(),
        kind: field.kind.text.to_owned(),
    };
    Err(fault(at, reason))
}

/// The shape of a field of structures; `elements` are the fields of one.
fn struct_shape(field: &RawField<'_>, elements: &[RawField<'_>]) -> Result<Shape, Fault> {
    if !field.array {
        return match field.suffix {
            Some(Suffix::Number(number)) => {
                let reason = Reason::InvalidSuffix {
                    suffix: number.text.to_owned(),
                    kind: field.kind.text.to_owned(),
                };
                Err(fault(number.at, reason))
            }
            _ => Ok(Shape::One),
        };
    }
    let plain = |element: &&RawField<'_>| builtin(element.kind.text).is_some();
    let invalid = |word: Word<'_>| {
        let key = word.text.to_owned();
        fault(word.at, Reason::InvalidKey { key })
    };
    match field.suffix {
        None => Ok(Shape::Array),
        Some(Suffix::Word(word) | Suffix::Number(word)) => elements
            .iter()
            .find(|element| element.name.text == word.text)
            .filter(plain)
            .map(|element| Shape::Keyed { key: element.tag })
            .ok_or_else(|| invalid(word)),
        Some(Suffix::Empty) => match elements {
            [key, _] if plain(&key) => Ok(Shape::Pairs),
            [key, _] => Err(invalid(Word {
                text: key.name.text,
                at: field.kind.at,
            })),
            _ => {
                let name = field.name.text.to_owned();
                Err(fault(field.kind.at, Reason::InvalidPairs { field: name }))
            }
        },
    }
}

/// A name as the type `within` sees it: its own nested types first, then those of the types around it.
fn look_up(within: &str, name: &str, names: &[&str]) -> Option<usize> {
    let mut scope = Some(within);
    while let Some(outer) = scope {
        let full = format!("{outer}.{name}");
        if let Ok(index) = names.binary_search(&full.as_str()) {
            return Some(index);
        }
        scope = outer.rsplit_once('.').map(|(outer, _)| outer);
    }
    names.binary_search(&name).ok()
}

fn resolve_protocol(protocol: &RawProtocol<'_>, names: &[&str]) -> Result<Protocol, Fault> {
    let find = |part: &Part<'_>, what: &'static str| {
        names.binary_search(&part.name.as_str()).map_err(|_| {
            let reason = Reason::UndefinedPart {
                part: what,
                name: part.name.clone(),
                protocol: protocol.name.text.to_owned(),
            };
            fault(part.word.at, reason)
        })
    };
    let request = match &protocol.request {
        Some(part) if part.inline || part.name != "nil" => Some(find(part, "request")?),
        _ => None,
    };
    let response = match &protocol.response {
        None => Response::None,
        Some(part) if !part.inline && part.name == "nil" => Response::Empty,
        Some(part) => Response::Type(find(part, "response")?),
    };
    Ok(Protocol {
        name: Arc::from(protocol.name.text),
        doc: Arc::default(),
        tag: protocol.tag,
        request,
        response,
    })
}
