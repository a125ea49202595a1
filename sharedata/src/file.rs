//! Images in files: saved as they are in memory, and mapped back.
//!
//! ```text
//!   0          8        12         16             24            32              40
//!   +----------+--------+----------+--------------+-------------+---------------+--------+---------+
//!   | FULMARSD | format | blocks n | index: where | file: bytes | head's hash   | blocks | index   |
//!   +----------+--------+----------+--------------+-------------+---------------+--------+---------+
//!   block: bytes: u32, links: u32, hash: u64; its links, u32 each; its bytes.    index: where each block is, u64 each
//! ```
//!
//! A link is the number of a block before; the last block is the root. A block's hash covers its number, its lengths, its links and
//! its bytes.
//!
//! # What is trusted
//!
//! Nothing that is in the file. The head is checked when the file is opened, a block when it is first touched: its hash, which finds
//! accidents, and its structure (`validate`), which finds intent. A block that fails gives [`Damaged`], for ever. Reads of a
//! checked block still go through bounds. So a file from a stranger can make a reader see other *data*, which it could have held
//! anyway, and can cost time by sharing one table many times over; it cannot make a reader crash or see other memory.
//!
//! The file itself must stay: a file that is cut short while it is mapped ends the process with SIGBUS, as for any mapping, and
//! one that is written to shows through, unchecked. [`Image::save`] therefore never writes into a file: it makes a new one and
//! renames it. Take files from a place where others cannot write.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use fulmar_arena::sync::atomic::{AtomicU64, Ordering};
use memmap2::Mmap;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::block::{BlockRef, Link, Store};
use crate::error::{Damaged, MapError, SaveError};
use crate::image::Image;
use crate::validate;

const MAGIC: &[u8; 8] = b"FULMARSD";
const FORMAT: u32 = 2;
const HEAD_BYTES: usize = 40;
const BLOCK_HEAD_BYTES: usize = 16;

/// A mapped file.
pub(crate) struct Mapping {
    map: Mmap,
    blocks: u32,
    index: usize,
    /// A bit for each block that has been checked.
    checked: Box<[AtomicU64]>,
}

impl Store {
    /// Opens a file that [`Image::save`] has written, and reads it in place. Blocks, not the file, are checked when they are first
    /// touched, so this takes microseconds.
    ///
    /// What equals something else is stored once, so a small file may stand for a table of any size: whoever walks through all of a
    /// stranger's looks at [`Table::places`](crate::Table::places) first.
    ///
    /// The file must not be cut short or written to while an image of it lives; `save` replaces files and does neither.
    ///
    /// # Errors
    /// When it cannot be read, or is no image.
    pub fn map(&self, path: &Path) -> Result<Image, MapError> {
        let file = File::open(path)?;
        // SAFETY: the bytes are read through bounds and never as anything but bytes; that the file stays is asked of the caller.
        let map = unsafe { Mmap::map(&file)? };
        let mapping = Arc::new(Mapping::check(map)?);
        let root = Link::File(Arc::clone(&mapping), mapping.blocks - 1);
        let image = Image::new(self.clone(), root);
        image.table()?;
        Ok(image)
    }
}

impl Image {
    /// Writes the image into a file, which appears whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        // Threads and processes may save to one path at the same time: each has a draft of its own.
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut draft = tempfile::Builder::new();
        draft.prefix(".image-").suffix(".tmp");
        #[cfg(unix)]
        draft.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut draft = draft.tempfile_in(folder)?;
        self.write(draft.as_file_mut())?;
        draft.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn write(&self, draft: &mut File) -> Result<(), SaveError> {
        let mut output = Output {
            file: BufWriter::with_capacity(1 << 20, draft),
            numbers: HashMap::new(),
            index: Vec::new(),
            at: HEAD_BYTES as u64,
        };
        output.file.write_all(&[0; HEAD_BYTES])?;
        output.blocks(self.link())?;
        let index_at = output.at;
        for at in &output.index {
            output.file.write_all(&at.to_le_bytes())?;
        }
        let total = index_at + output.index.len() as u64 * 8;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend(MAGIC);
        head.extend(FORMAT.to_le_bytes());
        head.extend((output.index.len() as u32).to_le_bytes());
        head.extend(index_at.to_le_bytes());
        head.extend(total.to_le_bytes());
        head.extend(xxh3_64(&head).to_le_bytes());
        let file = output.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        write_at_start(file, &head)?;
        file.sync_all()?;
        Ok(())
    }
}

fn write_at_start(file: &mut File, head: &[u8]) -> io::Result<()> {
    use std::io::Seek as _;
    file.rewind()?;
    file.write_all(head)
}

/// A file in the making.
struct Output<'f> {
    file: BufWriter<&'f mut File>,
    /// The numbers of blocks that are in it.
    numbers: HashMap<(usize, u32), u32>,
    index: Vec<u64>,
    at: u64,
}

impl Output<'_> {
    /// Writes a block and all that it leads to, each once, and behind what it links to.
    fn blocks(&mut self, root: &Link) -> Result<(), SaveError> {
        // No recursion: a stranger's file may be one chain of blocks. A block is open while its links get their numbers.
        let mut open: Vec<(Link, Vec<u32>)> = vec![(root.clone(), Vec::new())];
        while let Some((link, numbers)) = open.last_mut() {
            if link.is_object() {
                return Err(SaveError::Object);
            }
            let block = link.block()?;
            if let Some(next) = (numbers.len() as u64 != block.link_count())
                .then(|| block.link_at(numbers.len() as u64))
                .transpose()?
            {
                match self.numbers.get(&next.identity()) {
                    Some(number) => numbers.push(*number),
                    None => open.push((next, Vec::new())),
                }
                continue;
            }
            let identity = link.identity();
            let number = self.block(block.bytes, numbers)?;
            self.numbers.insert(identity, number);
            open.pop();
        }
        Ok(())
    }

    /// Writes a block.
    fn block(&mut self, bytes: &[u8], links: &[u32]) -> Result<u32, SaveError> {
        let number = u32::try_from(self.index.len()).map_err(|_| SaveError::TooLarge)?;
        if number == u32::MAX {
            return Err(SaveError::TooLarge);
        }
        let lens = [bytes.len() as u32, links.len() as u32];
        let links: Vec<u8> = links.iter().flat_map(|link| link.to_le_bytes()).collect();
        self.file.write_all(&lens[0].to_le_bytes())?;
        self.file.write_all(&lens[1].to_le_bytes())?;
        self.file
            .write_all(&hash(number, lens, &links, bytes).to_le_bytes())?;
        self.file.write_all(&links)?;
        self.file.write_all(bytes)?;
        self.index.push(self.at);
        self.at += (BLOCK_HEAD_BYTES + links.len() + bytes.len()) as u64;
        Ok(number)
    }
}

fn hash(number: u32, lens: [u32; 2], links: &[u8], bytes: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    for part in [number, lens[0], lens[1]] {
        hasher.update(&part.to_le_bytes());
    }
    hasher.update(links);
    hasher.update(bytes);
    hasher.digest()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

/// A block of a file, taken apart.
struct Parts<'a> {
    hash: u64,
    links: &'a [u8],
    bytes: &'a [u8],
}

impl Mapping {
    fn check(map: Mmap) -> Result<Mapping, MapError> {
        let head = map.get(..HEAD_BYTES).ok_or(MapError::NotAnImage)?;
        if !head.starts_with(MAGIC) {
            return Err(MapError::NotAnImage);
        }
        let (Some(found), Some(blocks), Some(index), Some(expected), Some(hash)) = (
            u32_at(head, 8),
            u32_at(head, 12),
            u64_at(head, 16),
            u64_at(head, 24),
            u64_at(head, 32),
        ) else {
            return Err(MapError::NotAnImage);
        };
        if found != FORMAT {
            return Err(MapError::Format {
                expected: FORMAT,
                found,
            });
        }
        if hash != xxh3_64(&head[..32]) {
            return Err(MapError::Head);
        }
        let found = map.len() as u64;
        if expected != found {
            return Err(MapError::Truncated { expected, found });
        }
        let index = usize::try_from(index).map_err(|_| MapError::Head)?;
        let end = (blocks as usize)
            .checked_mul(8)
            .and_then(|len| len.checked_add(index));
        if blocks == 0 || index < HEAD_BYTES || end != Some(map.len()) {
            return Err(MapError::Head);
        }
        let checked = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Mapping {
            map,
            blocks,
            index,
            checked,
        })
    }

    /// A block, which is checked if it has not been.
    pub(crate) fn block(mapping: &Arc<Mapping>, number: u32) -> Result<BlockRef<'_>, Damaged> {
        let parts = mapping.parts(number)?;
        let (word, bit) = (&mapping.checked[number as usize / 64], 1 << (number % 64));
        // Relaxed: the bytes of the file do not change, so the bit publishes nothing; a lost look checks the block again.
        if word.load(Ordering::Relaxed) & bit == 0 {
            mapping.examine(number, &parts)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(BlockRef::of_file(mapping, number, parts.bytes))
    }

    /// The block behind a link of another, which has been checked.
    pub(crate) fn follow(self: &Arc<Mapping>, number: u32, link: u64) -> Result<BlockRef<'_>, Damaged> {
        Mapping::block(self, self.target(number, link)?)
    }

    /// The number of that block.
    pub(crate) fn target(&self, number: u32, link: u64) -> Result<u32, Damaged> {
        let parts = self.parts(number)?;
        let place = usize::try_from(link).ok().and_then(|link| link.checked_mul(4));
        match place.and_then(|place| u32_at(parts.links, place)) {
            // Once more: no circle, whatever happened to the file.
            Some(target) if target < number => Ok(target),
            _ => Err(damaged(number, "a link that is not there")),
        }
    }

    pub(crate) fn link_count(&self, number: u32) -> u64 {
        self.parts(number).map_or(0, |parts| parts.links.len() as u64 / 4)
    }

    fn parts(&self, number: u32) -> Result<Parts<'_>, Damaged> {
        if number >= self.blocks {
            return Err(damaged(number, "no such block"));
        }
        self.try_parts(number)
            .ok_or_else(|| damaged(number, "it lies outside of the file"))
    }

    fn try_parts(&self, number: u32) -> Option<Parts<'_>> {
        let at = usize::try_from(u64_at(&self.map, self.index + number as usize * 8)?).ok()?;
        let head = self.map.get(at..at.checked_add(BLOCK_HEAD_BYTES)?)?;
        let (len, links) = (u32_at(head, 0)? as usize, u32_at(head, 4)? as usize);
        let (links, rest) = self.map[at + BLOCK_HEAD_BYTES..].split_at_checked(links.checked_mul(4)?)?;
        Some(Parts {
            hash: u64_at(head, 8)?,
            links,
            bytes: rest.get(..len)?,
        })
    }

    fn examine(&self, number: u32, parts: &Parts<'_>) -> Result<(), Damaged> {
        let links = parts.links.len() as u32 / 4;
        let lens = [parts.bytes.len() as u32, links];
        if parts.hash != hash(number, lens, parts.links, parts.bytes) {
            return Err(damaged(number, "its hash is another"));
        }
        let backward =
            (0..links as usize).all(|link| u32_at(parts.links, link * 4).is_some_and(|to| to < number));
        if !backward {
            return Err(damaged(number, "a link to a block behind it"));
        }
        validate::block(parts.bytes, links.into()).map_err(|what| damaged(number, what))
    }
}

fn damaged(block: u32, what: &'static str) -> Damaged {
    Damaged { block, what }
}
