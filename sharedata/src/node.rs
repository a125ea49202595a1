//! Reading nodes. Every access is checked against the end of the block, whoever made it.

use crate::block::{BlockRef, Link};
use crate::error::Damaged;
use crate::key::KeyRef;
use crate::layout::*;
use crate::object::Object;
use crate::prefetch;

/// A node of a block.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) block: BlockRef<'a>,
    pub(crate) at: u32,
    /// Links of the block that come before its own.
    pub(crate) links: u32,
}

/// What a slot holds.
#[derive(Clone, Copy)]
pub(crate) enum Slot<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a [u8]),
    Object(&'a Object),
    Node(Node<'a>),
}

impl<'a> Node<'a> {
    pub(crate) fn first(block: BlockRef<'a>) -> Node<'a> {
        Node {
            block,
            at: 0,
            links: 0,
        }
    }

    /// The table of a block that begins with a `ONE`.
    #[inline]
    pub(crate) fn of_one(block: BlockRef<'a>) -> Node<'a> {
        Node {
            block,
            at: ONE_AT as u32,
            links: 0,
        }
    }

    pub(crate) fn damaged(self, what: &'static str) -> Damaged {
        self.block.damaged(what)
    }

    #[inline]
    fn byte(self, place: usize) -> Result<u8, Damaged> {
        match self.block.bytes.get(self.at as usize + place) {
            Some(byte) => Ok(*byte),
            None => Err(self.damaged("a node ends early")),
        }
    }

    #[inline]
    pub(crate) fn bytes(self, place: usize, len: usize) -> Result<&'a [u8], Damaged> {
        let start = self.at as usize + place;
        match self.block.bytes.get(start..start + len) {
            Some(bytes) => Ok(bytes),
            None => Err(self.damaged("a node ends early")),
        }
    }

    #[inline]
    pub(crate) fn kind(self) -> Result<u8, Damaged> {
        self.byte(0)
    }

    #[inline]
    pub(crate) fn aux(self) -> Result<u8, Damaged> {
        self.byte(1)
    }

    #[inline]
    pub(crate) fn len(self) -> Result<usize, Damaged> {
        let bytes = self.bytes(2, 2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]).into())
    }

    /// Tag and payload of a slot, of `len` in all.
    #[inline]
    pub(crate) fn raw(self, slot: usize, len: usize) -> Result<(u8, u64), Damaged> {
        if slot >= len {
            return Err(self.damaged("a slot that is not there"));
        }
        let tag = self.byte(HEAD + slot)?;
        let payload = self.bytes(HEAD + len + slot * 8, 8)?;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(payload);
        Ok((tag, u64::from_le_bytes(bytes)))
    }

    #[inline]
    pub(crate) fn slot(self, slot: usize, len: usize) -> Result<Slot<'a>, Damaged> {
        let (tag, payload) = self.raw(slot, len)?;
        Ok(match tag {
            NIL => Slot::Nil,
            FALSE => Slot::Boolean(false),
            TRUE => Slot::Boolean(true),
            INTEGER => Slot::Integer(payload.cast_signed()),
            FLOAT => Slot::Float(f64::from_bits(payload)),
            TEXT => Slot::Text(self.bytes(payload as u32 as usize, usize::from((payload >> 32) as u16))?),
            NODE => Slot::Node(self.inner(payload)?),
            LINK => self.linked(payload)?,
            _ if tag >= SHORT && usize::from(tag - SHORT) <= MAX_SHORT => {
                Slot::Text(self.bytes(HEAD + len + slot * 8, usize::from(tag - SHORT))?)
            }
            OBJECT => Slot::Object(self.block.object(u64::from(self.links).saturating_add(payload))?),
            _ => return Err(self.damaged("an unknown tag")),
        })
    }

    /// A node inside of this one.
    #[inline]
    fn inner(self, payload: u64) -> Result<Node<'a>, Damaged> {
        let (at, links) = (payload as u32, (payload >> 32) as u32);
        match (self.at.checked_add(at), self.links.checked_add(links)) {
            (Some(place), Some(links)) if at > 0 => {
                if let Some(bytes) = self.block.bytes.get(place as usize..) {
                    prefetch::begin(bytes);
                }
                Ok(Node {
                    block: self.block,
                    at: place,
                    links,
                })
            }
            _ => Err(self.damaged("a node outside of its block")),
        }
    }

    /// The block behind a link of this node.
    #[inline]
    pub(crate) fn linked_block(self, payload: u64) -> Result<BlockRef<'a>, Damaged> {
        match u64::from(self.links).checked_add(payload) {
            Some(link) => self.block.follow(link),
            None => Err(self.damaged("a link that is not there")),
        }
    }

    /// What is in another block: a node or a text.
    #[inline]
    fn linked(self, payload: u64) -> Result<Slot<'a>, Damaged> {
        let block = self.linked_block(payload)?;
        prefetch::begin(block.bytes);
        let node = Node::first(block);
        match node.kind()? {
            LONG => match block.bytes.get(HEAD..) {
                Some(text) => Ok(Slot::Text(text)),
                None => Err(node.damaged("a text ends early")),
            },
            ONE => Ok(Slot::Node(Node::of_one(block))),
            _ => Ok(Slot::Node(node)),
        }
    }

    /// A slot that must hold a node.
    #[inline]
    pub(crate) fn child(self, slot: usize, len: usize) -> Result<Node<'a>, Damaged> {
        match self.slot(slot, len)? {
            Slot::Node(node) => Ok(node),
            _ => Err(self.damaged("no node where one must be")),
        }
    }

    /// A slot that must hold a count.
    #[inline]
    pub(crate) fn count(self, slot: usize, len: usize) -> Result<u64, Damaged> {
        match self.raw(slot, len)? {
            // What would overflow sums of counts is no count.
            (INTEGER, count) if count <= u64::MAX >> 8 => Ok(count),
            _ => Err(self.damaged("no count where one must be")),
        }
    }

    /// A slot that must hold a key.
    pub(crate) fn key(self, slot: usize, len: usize) -> Result<KeyRef<'a>, Damaged> {
        match self.slot(slot, len)? {
            Slot::Integer(integer) => Ok(KeyRef::Integer(integer)),
            Slot::Text(text) => Ok(KeyRef::Text(text)),
            _ => Err(self.damaged("no key where one must be")),
        }
    }

    /// A link of this node: what it leads to is not looked at.
    pub(crate) fn link(self, payload: u64) -> Result<Link, Damaged> {
        match u64::from(self.links).checked_add(payload) {
            Some(link) => self.block.link_at(link),
            None => Err(self.damaged("a link that is not there")),
        }
    }

    /// How many bytes and links belong to this node and what is inside of it: all up to the end of the last slot that has some.
    pub(crate) fn extent(self) -> Result<(usize, u64), Damaged> {
        let len = self.len()?;
        let (mut bytes, mut links) = (None, None);
        for slot in (0..len).rev() {
            match self.raw(slot, len)? {
                (TEXT, payload) => {
                    bytes.get_or_insert(payload as u32 as usize + usize::from((payload >> 32) as u16));
                }
                (LINK | OBJECT, payload) => {
                    links.get_or_insert(payload.saturating_add(1));
                }
                (NODE, payload) if bytes.is_none() || links.is_none() => {
                    let (inner_bytes, inner_links) = self.inner(payload)?.extent()?;
                    bytes.get_or_insert(payload as u32 as usize + inner_bytes);
                    links.get_or_insert((payload >> 32) + inner_links);
                }
                _ => {}
            }
        }
        Ok((bytes.unwrap_or(HEAD + len * SLOT), links.unwrap_or(0)))
    }

    /// Whether both are the same bytes and lead to the same blocks: then they are equal.
    pub(crate) fn looks_like(self, other: Node<'_>) -> Result<bool, Damaged> {
        if self.is(other) {
            return Ok(true);
        }
        let (bytes, links) = self.extent()?;
        if other.extent()? != (bytes, links) || self.bytes(0, bytes)? != other.bytes(0, bytes)? {
            return Ok(false);
        }
        for link in 0..links {
            if self.link(link)? != other.link(link)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same for what is in two slots.
    pub(crate) fn slot_looks_like(
        self,
        slot: usize,
        len: usize,
        other: Node<'_>,
        other_slot: usize,
        other_len: usize,
    ) -> Result<bool, Damaged> {
        let (mine, theirs) = (self.raw(slot, len)?, other.raw(other_slot, other_len)?);
        Ok(match (mine, theirs) {
            ((LINK, mine), (LINK, theirs)) | ((OBJECT, mine), (OBJECT, theirs)) => {
                self.link(mine)? == other.link(theirs)?
            }
            ((NODE, mine), (NODE, theirs)) => self.inner(mine)?.looks_like(other.inner(theirs)?)?,
            ((TEXT, _), (TEXT, _)) => match (self.slot(slot, len)?, other.slot(other_slot, other_len)?) {
                (Slot::Text(mine), Slot::Text(theirs)) => mine == theirs,
                _ => false,
            },
            (mine, theirs) => mine == theirs,
        })
    }

    /// A number that no other live node has.
    pub(crate) fn address(self) -> usize {
        self.block.bytes.as_ptr().addr() + self.at as usize
    }

    /// Whether it is the table of a `ONE`.
    #[inline]
    pub(crate) fn is_one(self) -> bool {
        self.at as usize == ONE_AT && self.block.bytes.first() == Some(&ONE)
    }

    /// Whether links lead to it: they may be many.
    pub(crate) fn is_own_block(self) -> bool {
        self.at == 0 || self.is_one()
    }

    /// Its block as a link, when links lead to it.
    pub(crate) fn own_block(self) -> Option<Link> {
        self.is_own_block().then(|| self.block.link())
    }

    pub(crate) fn is(self, other: Node<'_>) -> bool {
        self.at == other.at && self.block.is(other.block)
    }
}
