//! What can go wrong, one enum per operation.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a schema. [`Display`](fmt::Display) is one line that begins with skynet's text; [`ParseError::excerpt`]
/// shows the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(pub(crate) Box<Place>);

/// A place in a text, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) reason: Reason,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) source: String,
}

/// What exactly is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The text does not follow the grammar.
    Syntax {
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// Two fields of a type have one name.
    RepeatedField {
        /// The field.
        field: String,
        /// The type.
        within: String,
    },
    /// Two fields of a type have one tag.
    RepeatedTag {
        /// The tag.
        tag: u16,
        /// The type.
        within: String,
    },
    /// Two types, or two protocols, have one name.
    RepeatedName {
        /// The name.
        name: String,
    },
    /// A protocol has two requests, or two responses.
    RepeatedPart {
        /// `request` or `response`.
        part: &'static str,
        /// The protocol.
        protocol: String,
    },
    /// Two protocols have one tag.
    RepeatedProtocolTag {
        /// The tag.
        tag: u16,
        /// The later protocol.
        protocol: String,
    },
    /// A field's type is not in the schema.
    UndefinedType {
        /// The name.
        name: String,
        /// The type that has the field.
        within: String,
    },
    /// The type of a request or a response is not in the schema.
    UndefinedPart {
        /// `request` or `response`.
        part: &'static str,
        /// The name.
        name: String,
        /// The protocol.
        protocol: String,
    },
    /// The key of a map is not a plain field of its elements.
    InvalidKey {
        /// The key.
        key: String,
    },
    /// The elements of a `*T()` have not exactly two fields.
    InvalidPairs {
        /// The field.
        field: String,
    },
    /// A suffix in brackets that means nothing there.
    InvalidSuffix {
        /// What stands in the brackets.
        suffix: String,
        /// The type that it follows.
        kind: String,
    },
    /// A tag above 32766.
    TagTooLarge {
        /// As it is written.
        tag: String,
    },
    /// More decimal places than `integer(9)` has: their factor has to fit 32 bits.
    TooManyDecimals {
        /// As it is written.
        digits: String,
    },
    /// Protocols, but no type at all.
    NoTypes,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Syntax { expected, found } => write!(f, "expected {expected}, found {found}"),
            Reason::RepeatedField { field, within } => write!(f, "redefine {field} in type {within}"),
            Reason::RepeatedTag { tag, within } => write!(f, "redefine tag {tag} in type {within}"),
            Reason::RepeatedName { name } => write!(f, "redefined {name}"),
            Reason::RepeatedPart { part, protocol } => write!(f, "redefine {part} in protocol {protocol}"),
            Reason::RepeatedProtocolTag { tag, protocol } => {
                write!(f, "redefined protocol tag {tag} at {protocol}")
            }
            Reason::UndefinedType { name, within } => write!(f, "Undefined type {name} in type {within}"),
            Reason::UndefinedPart { part, name, protocol } => {
                write!(f, "Undefined {part} type {name} in protocol {protocol}")
            }
            Reason::InvalidKey { key } => write!(f, "Invalid map index :{key}"),
            Reason::InvalidPairs { field } => {
                write!(f, "Invalid map definition: {field}, must only have two fields")
            }
            Reason::InvalidSuffix { suffix, kind } => write!(f, "({suffix}) means nothing behind {kind}"),
            Reason::TagTooLarge { tag } => write!(f, "tag {tag} is above 32766"),
            Reason::TooManyDecimals { digits } => {
                write!(f, "integer({digits}) has more than 9 decimal places")
            }
            Reason::NoTypes => write!(f, "a schema with protocols needs at least one type"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            reason,
            file,
            line,
            column,
            ..
        } = &*self.0;
        match reason {
            Reason::Syntax { .. } => {
                write!(
                    f,
                    "syntax error at [{file}] line ({line}), column {column}: {reason}"
                )
            }
            _ => write!(f, "{reason}, at [{file}] line ({line})"),
        }
    }
}

impl std::error::Error for ParseError {}

impl ParseError {
    /// What is wrong.
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// The line of the place, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The column of the place in characters, from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// The line of the text that is wrong, and a mark below the place.
    ///
    /// ```
    /// let error = fulmar_sproto::parse(".A {\n\tx 0 : Missing\n}", "a.sproto").unwrap_err();
    /// assert_eq!(
    ///     format!("{}\n{}", error, error.excerpt()),
    ///     "Undefined type Missing in type A, at [a.sproto] line (2)\n    2 | \tx 0 : Missing\n      | \t      ^"
    /// );
    /// ```
    pub fn excerpt(&self) -> String {
        let indent: String = self
            .0
            .source
            .chars()
            .take(self.0.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("{:5} | {}\n      | {indent}^", self.0.line, self.0.source)
    }
}

/// Why bytes are not a type bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The bytes end early, or a length runs past the end.
    #[error("the bundle is cut short")]
    Truncated,
    /// Not the field words that a bundle has at this place.
    #[error("not a bundle: {what} has other fields than it should")]
    Malformed {
        /// The part: `the group`, `a type`, `a field`, `a protocol`.
        what: &'static str,
    },
    /// A name is not UTF-8.
    #[error("a name in the bundle is not UTF-8")]
    Name,
    /// An index points past the last type, or to a kind of value that does not exist.
    #[error("{what} refers to a type that is not in the bundle")]
    Reference {
        /// The part: `a field`, `a request`, `a response`.
        what: &'static str,
    },
    /// The tags of a type's fields do not ascend.
    #[error("the tags of a type do not ascend")]
    TagOrder,
    /// The key of a map is not among the fields of its elements.
    #[error("the key of a map is not a field of its elements")]
    Key,
}

/// Why bytes are not a message, seen without a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A length runs past the end.
    #[error("the message is cut short: {needed} bytes are announced, {available} are there")]
    Truncated {
        /// Bytes that the message announces.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// Bytes are left behind a nested structure.
    #[error("{left} bytes are left behind the structure")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// An inline value where there must be data, or data where the value must be inline.
    #[error("the value is {found}, where {expected} is needed")]
    Slot {
        /// What the field's type needs.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A number of a width that does not exist.
    #[error("a number of {len} bytes")]
    Width {
        /// Its length in bytes.
        len: usize,
    },
    /// An array whose length is no multiple of its elements' width.
    #[error("an array of {len} bytes with elements of {width}")]
    Ragged {
        /// Its length in bytes.
        len: usize,
        /// The width of an element in bytes.
        width: u8,
    },
}

/// Why bytes are not a message of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The type and the field, where the fault is in one.
    pub(crate) place: Option<(Arc<str>, Arc<str>)>,
    pub(crate) cause: DecodeCause,
}

/// What exactly is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeCause {
    /// The bytes themselves.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// More structures inside each other than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("The table is too deep")]
    TooDeep,
    /// An integer that the field's Rust type cannot hold.
    #[error("decode error: {value} is out of range")]
    OutOfRange {
        /// The integer.
        value: i64,
    },
    /// A text that is not UTF-8, for a field that is a `String`.
    #[error("decode error: the text is not UTF-8")]
    Utf8,
    /// An element of a `*T(key)` without its key field.
    #[error("Can't find main index (tag={tag})")]
    NoKey {
        /// The tag of the key field.
        tag: u16,
    },
    /// An element of a `*T()` without its first field.
    #[error("Can't find key field")]
    NoPairKey,
    /// An element of a `*T()` without its second field.
    #[error("Can't find value field")]
    NoPairValue,
}

impl DecodeError {
    /// What is wrong.
    pub fn cause(&self) -> DecodeCause {
        self.cause
    }

    /// The names of the type and the field where the fault is, unless the message is broken as a whole.
    pub fn place(&self) -> Option<(&str, &str)> {
        self.place.as_ref().map(|(within, field)| (&**within, &**field))
    }

    pub(crate) fn within(mut self, within: &Arc<str>, field: &Arc<str>) -> DecodeError {
        self.place.get_or_insert_with(|| (within.clone(), field.clone()));
        self
    }
}

impl<E: Into<DecodeCause>> From<E> for DecodeError {
    fn from(cause: E) -> Self {
        DecodeError {
            place: None,
            cause: cause.into(),
        }
    }
}

/// One sentence, which begins with skynet's text where skynet has one.
impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.cause) {
            (Some((within, field)), DecodeCause::Wire(cause)) => {
                write!(f, "decode error: {within}.{field}: {cause}")
            }
            (None, DecodeCause::Wire(cause)) => write!(f, "decode error: {cause}"),
            (Some((_, field)), cause) if cause != DecodeCause::TooDeep => write!(f, "{cause} in [{field}]"),
            (_, cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a value cannot be encoded as a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field holds something else than its type says.
    #[error("{within}.{field}[{element}] is not {expected} (Is a {found})")]
    WrongType {
        /// The type.
        within: String,
        /// The field.
        field: String,
        /// The element of an array, from 1; 0 for a field that is none.
        element: usize,
        /// What the schema says: `an integer`, `a string`, `a table`.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The message is larger than [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES).
    #[error("object is too large (>{})", crate::MAX_MESSAGE_BYTES)]
    TooLarge,
    /// More structures inside each other than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("The table is too deep")]
    TooDeep,
    /// An unsigned integer of 64 bits that a signed one cannot hold.
    #[error("an integer is out of range")]
    OutOfRange,
}

/// Why bytes cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// They end in the middle of a group.
    #[error("Invalid unpack stream")]
    Truncated,
    /// The result would be larger than [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES).
    #[error("object is too large (>{})", crate::MAX_MESSAGE_BYTES)]
    TooLarge,
}

/// Why a call cannot be made or taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The schema lacks the header's type.
    #[error("type {name} not found")]
    NoPackage {
        /// The name that was asked for.
        name: String,
    },
    /// No protocol has this name, or this tag.
    #[error("{name} not found")]
    Unknown {
        /// Name or tag.
        name: String,
    },
    /// The message is neither a request nor a response.
    #[error("session not found")]
    NoSession,
    /// A response to a request that was not made, or that was answered before.
    #[error("Unknown session {session}")]
    UnknownSession {
        /// Its session.
        session: i64,
    },
    /// A value for a protocol that carries nothing there, or none for one that does.
    #[error("the protocol and the value do not agree on whether there is content")]
    Content,
    /// The packing is broken.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The header is broken.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A value does not fit its type.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
