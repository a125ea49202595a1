//! What can go wrong, one enum per operation.

use std::io;

use crate::key::Key;
use crate::layout::{MAX_DEPTH, MAX_TEXT_BYTES};

/// A block of a mapped file is not what was saved. Nothing of it was taken for true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {block} of the image is damaged: {what}")]
pub struct Damaged {
    /// The number of the block in its file.
    pub block: u32,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The table has no such key.
    #[error("there is no key {0}")]
    Missing(Key),
    /// A key was looked up in something else than a table.
    #[error("the key {0} was looked up in a value that is no table")]
    NotATable(Key),
    /// The image's file is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Why an image cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Tables inside of tables, too many of them; or one inside of itself.
    #[error("tables are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A text is longer than [`MAX_TEXT_BYTES`].
    #[error("a text is longer than {MAX_TEXT_BYTES} bytes")]
    TextTooLong,
    /// More keys have one and the same hash than a leaf holds: they were made for that.
    #[error("too many keys have the same hash")]
    TooManyCollisions,
    /// What stands at the top is no table.
    #[error("an image is a table, and this is none")]
    NotATable,
    /// A key is neither an integer nor a text.
    #[error("a key is {0}, and not an integer or a text")]
    Key(&'static str),
    /// An integer beyond 64 bits.
    #[error("an integer has more than 64 bits")]
    IntegerTooLarge,
    /// Parts of a damaged image were to be built into a new one.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// What serde's `Serialize` said by itself.
    #[error("{0}")]
    Custom(Box<str>),
}

/// Why a place of an image cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The path is empty.
    #[error("a path has at least one key")]
    EmptyPath,
    /// There is no table at the path that ends with this key.
    #[error("there is no table under the key {0}")]
    NotATable(Key),
    /// The new value cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl From<Damaged> for PatchError {
    fn from(damaged: Damaged) -> PatchError {
        PatchError::Build(BuildError::Damaged(damaged))
    }
}

/// Why an image cannot be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The file cannot be written.
    #[error("cannot write the image: {0}")]
    Io(#[from] io::Error),
    /// It has more blocks than a file can number.
    #[error("the image has more than {} blocks", u32::MAX)]
    TooLarge,
    /// It holds an [`Object`](crate::Object).
    #[error("the image holds an object of the process, such as a function")]
    Object,
    /// Parts of it come from a damaged file.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Why a file cannot be mapped as an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The file cannot be read.
    #[error("cannot read the image: {0}")]
    Io(#[from] io::Error),
    /// It does not begin as an image does.
    #[error("the file is no image")]
    NotAnImage,
    /// It was written by a version of this crate that wrote another format.
    #[error("the image has format {found}, and this program reads format {expected}")]
    Format {
        /// The format that this program reads.
        expected: u32,
        /// The format of the file.
        found: u32,
    },
    /// It is shorter or longer than it says.
    #[error("the image has {found} bytes and says that it has {expected}")]
    Truncated {
        /// As it says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Its head is damaged.
    #[error("the head of the image is damaged")]
    Head,
    /// Its first block is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}
