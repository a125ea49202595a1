//! Making nodes: slots in, a block or a part of one out.

use crate::block::{Link, Store};
use crate::error::{BuildError, Damaged};
use crate::item::Item;
use crate::key::KeyRef;
use crate::layout::*;
use crate::node::{Node, Slot};

/// A node with all that is inside of it, not yet part of a block.
#[derive(Clone)]
pub(crate) struct Fragment {
    bytes: Vec<u8>,
    links: Vec<Link>,
}

impl Fragment {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The first node of a block.
    pub(crate) fn of_block(link: &Link) -> Result<Fragment, Damaged> {
        let block = link.block()?;
        Ok(Fragment {
            bytes: block.bytes.to_vec(),
            links: (0..block.link_count())
                .map(|link| block.link_at(link))
                .collect::<Result<_, _>>()?,
        })
    }

    /// A block of its own.
    pub(crate) fn seal(self, store: &Store) -> Link {
        store.block(self.bytes, self.links)
    }
}

/// A node in the making: its slots come one after the other.
pub(crate) struct Writer<'s> {
    store: &'s Store,
    len: usize,
    next: usize,
    fragment: Fragment,
}

/// A node with these slots.
///
/// # Errors
/// When a text is too long.
pub(crate) fn node<'a>(
    store: &Store,
    kind: u8,
    aux: u8,
    slots: Vec<Item<'a>>,
) -> Result<Item<'a>, BuildError> {
    let behind = slots.iter().map(Item::bytes_behind).sum();
    let mut writer = Writer::new(store, kind, aux, slots.len(), behind)?;
    for slot in slots {
        writer.item(slot)?;
    }
    Ok(writer.finish())
}

impl<'s> Writer<'s> {
    /// A node with so many slots, and about so many bytes behind them.
    pub(crate) fn new(
        store: &'s Store,
        kind: u8,
        aux: u8,
        len: usize,
        behind: usize,
    ) -> Result<Writer<'s>, BuildError> {
        let count = u16::try_from(len).map_err(|_| BuildError::TooManyCollisions)?;
        let mut bytes = Vec::with_capacity(HEAD + len * SLOT + behind);
        bytes.extend([kind, aux]);
        bytes.extend(count.to_le_bytes());
        bytes.resize(HEAD + len * SLOT, 0);
        let links = Vec::new();
        Ok(Writer {
            store,
            len,
            next: 0,
            fragment: Fragment { bytes, links },
        })
    }

    /// The node: a block of its own when it is large, else part of whatever it will be put into.
    pub(crate) fn finish(self) -> Item<'static> {
        if self.fragment.bytes.len() >= OWN_BLOCK_BYTES || self.fragment.links.len() > OWN_BLOCK_LINKS {
            return Item::linked(self.seal());
        }
        Item::inner(self.fragment)
    }

    /// The node as a block of its own.
    pub(crate) fn seal(self) -> Link {
        self.fragment.seal(self.store)
    }

    pub(crate) fn key(&mut self, key: KeyRef<'_>, hash: u64) -> Result<(), BuildError> {
        match key {
            KeyRef::Integer(integer) => self.slot(INTEGER, integer.cast_unsigned()),
            KeyRef::Text(text) => return self.text(text, hash as u16),
        }
        Ok(())
    }

    pub(crate) fn item(&mut self, item: Item<'_>) -> Result<(), BuildError> {
        match item.into_content() {
            Content::Nil => self.slot(NIL, 0),
            Content::Boolean(boolean) => self.slot(if boolean { TRUE } else { FALSE }, 0),
            Content::Integer(integer) => self.slot(INTEGER, integer.cast_unsigned()),
            Content::Float(float) => self.slot(FLOAT, float.to_bits()),
            Content::Text(text, mark) => return self.text(&text, mark),
            Content::Inner(inner) => {
                let payload = pair(self.fragment.bytes.len(), self.fragment.links.len());
                self.slot(NODE, payload);
                self.fragment.bytes.extend(inner.bytes);
                self.fragment.links.extend(inner.links);
            }
            Content::Linked(link) => self.link(link),
        }
        Ok(())
    }

    fn slot(&mut self, tag: u8, payload: u64) {
        self.fragment.bytes[HEAD + self.next] = tag;
        let place = HEAD + self.len + self.next * 8;
        self.fragment.bytes[place..place + 8].copy_from_slice(&payload.to_le_bytes());
        self.next += 1;
    }

    fn link(&mut self, link: Link) {
        let tag = if link.is_object() { OBJECT } else { LINK };
        self.slot(tag, self.fragment.links.len() as u64);
        self.fragment.links.push(link);
    }

    fn text(&mut self, text: &[u8], mark: u16) -> Result<(), BuildError> {
        if text.len() <= MAX_SHORT {
            let mut payload = [0; 8];
            payload[..text.len()].copy_from_slice(text);
            self.slot(SHORT + text.len() as u8, u64::from_le_bytes(payload));
        } else if text.len() < OWN_BLOCK_BYTES {
            let upper = text.len() | usize::from(mark) << 16;
            self.slot(TEXT, pair(self.fragment.bytes.len(), upper));
            self.fragment.bytes.extend(text);
        } else if text.len() <= MAX_TEXT_BYTES {
            let mut bytes = Vec::with_capacity(HEAD + text.len());
            bytes.extend([LONG, 0, 0, 0]);
            bytes.extend(text);
            let link = self.store.block(bytes, Vec::new());
            self.link(link);
        } else {
            return Err(BuildError::TextTooLong);
        }
        Ok(())
    }
}

/// Blocks stay far below 4 GiB: a node has at most 65535 slots of less than `OWN_BLOCK_BYTES` each.
fn pair(low: usize, high: usize) -> u64 {
    low as u64 | (high as u64) << 32
}

/// What goes into a slot.
pub(crate) enum Content<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// A text, and the lowest bits of its hash if it is a key.
    Text(std::borrow::Cow<'a, [u8]>, u16),
    Inner(Fragment),
    Linked(Link),
}

/// What is in a slot, to be put into another node: blocks are shared and not looked at, the rest is copied as it is.
pub(crate) fn reuse<'a>(node: Node<'a>, slot: usize, len: usize) -> Result<Item<'a>, Damaged> {
    let (tag, payload) = node.raw(slot, len)?;
    if tag == LINK {
        return Ok(Item::linked(node.link(payload)?));
    }
    Ok(match node.slot(slot, len)? {
        Slot::Nil => Item::NIL,
        Slot::Boolean(boolean) => boolean.into(),
        Slot::Integer(integer) => integer.into(),
        Slot::Float(float) => float.into(),
        Slot::Text(text) if tag == TEXT => Item::from(text).marked((payload >> 48) as u16),
        Slot::Text(text) => text.into(),
        Slot::Object(object) => object.clone().into(),
        Slot::Node(inner) => reuse_node(inner)?,
    })
}

/// A node, to be put into another.
pub(crate) fn reuse_node<'a>(node: Node<'a>) -> Result<Item<'a>, Damaged> {
    if let Some(link) = node.own_block() {
        return Ok(Item::linked(link));
    }
    let (bytes, links) = node.extent()?;
    Ok(Item::inner(Fragment {
        bytes: node.bytes(0, bytes)?.to_vec(),
        links: (0..links).map(|link| node.link(link)).collect::<Result<_, _>>()?,
    }))
}

pub(crate) fn reuse_slots<'a>(node: Node<'a>) -> Result<Vec<Item<'a>>, Damaged> {
    let len = node.len()?;
    (0..len).map(|slot| reuse(node, slot, len)).collect()
}

/// The bytes that a text takes behind the slots of its node.
pub(crate) fn text_behind(text: &[u8]) -> usize {
    match text.len() {
        len if len > MAX_SHORT && len < OWN_BLOCK_BYTES => len,
        _ => 0,
    }
}
