//! Values that are to become part of an image.

use std::borrow::Cow;

use crate::block::{Link, Store};
use crate::error::Damaged;
use crate::layout::{SMALL, WIDE};
use crate::node::Node;
use crate::object::Object;
use crate::write::{Content, Fragment, text_behind};

/// A value that is to become part of an image: a scalar, a text, or a table that [`Store::table`](crate::Store::table) has made.
///
/// Made by `into()`: `3.into()`, `1.5.into()`, `true.into()`, `"text".into()`.
#[derive(Clone)]
pub struct Item<'a>(Form<'a>);

#[derive(Clone)]
enum Form<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// A text, and the lowest bits of its hash if it is a key.
    Text(Cow<'a, [u8]>, u16),
    Inner(Fragment, u8),
    /// A table, or an object.
    Linked(Link, u8),
}

impl<'a> Item<'a> {
    /// Nothing: as a value of a key it means that there is no such key.
    pub const NIL: Item<'static> = Item(Form::Nil);

    /// How deep tables are nested in it.
    pub(crate) fn depth(&self) -> u8 {
        match self.0 {
            Form::Inner(_, depth) | Form::Linked(_, depth) => depth,
            _ => 0,
        }
    }

    pub(crate) fn with_depth(self, depth: u8) -> Item<'a> {
        Item(match self.0 {
            Form::Inner(fragment, _) => Form::Inner(fragment, depth),
            Form::Linked(link, _) => Form::Linked(link, depth),
            other => other,
        })
    }

    /// Whether it is a table with a block of its own: a clone of it is another reference to that, and no copy.
    pub fn is_block(&self) -> bool {
        matches!(&self.0, Form::Linked(link, _) if !link.is_object())
    }

    /// The bytes that it takes behind the slots of the node that it goes into.
    pub(crate) fn bytes_behind(&self) -> usize {
        match &self.0 {
            Form::Text(text, _) => text_behind(text),
            Form::Inner(fragment, _) => fragment.len(),
            _ => 0,
        }
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self.0, Form::Nil)
    }

    /// None for nothing.
    pub(crate) fn present(self) -> Option<Item<'a>> {
        (!self.is_nil()).then_some(self)
    }

    pub(crate) fn marked(self, mark: u16) -> Item<'a> {
        match self.0 {
            Form::Text(text, _) => Item(Form::Text(text, mark)),
            _ => self,
        }
    }

    pub(crate) fn inner(fragment: Fragment) -> Item<'a> {
        Item(Form::Inner(fragment, 0))
    }

    pub(crate) fn linked(link: Link) -> Item<'a> {
        Item(Form::Linked(link, 0))
    }

    pub(crate) fn into_content(self) -> Content<'a> {
        match self.0 {
            Form::Nil => Content::Nil,
            Form::Boolean(boolean) => Content::Boolean(boolean),
            Form::Integer(integer) => Content::Integer(integer),
            Form::Float(float) => Content::Float(float),
            Form::Text(text, mark) => Content::Text(text, mark),
            Form::Inner(fragment, _) => Content::Inner(fragment),
            Form::Linked(link, _) => Content::Linked(link),
        }
    }

    /// The node that is this table; none when it is no table, or one that has a block around it.
    pub(crate) fn into_fragment(self) -> Result<Option<Fragment>, Damaged> {
        Ok(match self.0 {
            Form::Inner(fragment, _) => Some(fragment),
            Form::Linked(link, _) if !link.is_object() => {
                let kind = Node::first(link.block()?).kind()?;
                matches!(kind, SMALL | WIDE)
                    .then(|| Fragment::of_block(&link))
                    .transpose()?
            }
            _ => None,
        })
    }

    /// A block that is this table and nothing else; none when it is no table.
    pub(crate) fn into_block(self, store: &Store) -> Option<Link> {
        match self.0 {
            Form::Inner(fragment, _) => Some(fragment.seal(store)),
            Form::Linked(link, _) if !link.is_object() => Some(link),
            _ => None,
        }
    }
}

impl From<Object> for Item<'_> {
    fn from(object: Object) -> Self {
        Item(Form::Linked(Link::Object(object), 0))
    }
}

impl From<bool> for Item<'_> {
    fn from(boolean: bool) -> Self {
        Item(Form::Boolean(boolean))
    }
}

impl From<i64> for Item<'_> {
    fn from(integer: i64) -> Self {
        Item(Form::Integer(integer))
    }
}

impl From<i32> for Item<'_> {
    fn from(integer: i32) -> Self {
        Item(Form::Integer(integer.into()))
    }
}

impl From<f64> for Item<'_> {
    fn from(float: f64) -> Self {
        Item(Form::Float(float))
    }
}

impl<'a> From<&'a [u8]> for Item<'a> {
    fn from(text: &'a [u8]) -> Self {
        Item(Form::Text(Cow::Borrowed(text), 0))
    }
}

impl<'a> From<&'a str> for Item<'a> {
    fn from(text: &'a str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Item<'_> {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for Item<'_> {
    fn from(text: Vec<u8>) -> Self {
        Item(Form::Text(Cow::Owned(text), 0))
    }
}
