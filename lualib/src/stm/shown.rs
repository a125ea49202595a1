//! Values of boxes that Lua code may read through a pointer: for as long as the function runs that was called with it.
//!
//! A value is frozen and has other readers, so it is no script's block. Natives that read a block find it here.

use fulmar_arena::Buf;

/// The values shown to the functions that run right now, the innermost last.
///
/// An error may cut a function short and leave its value behind; that goes with the function around it, or when the turn ends.
/// No entry is removed while a native reads it: what runs meanwhile only adds entries and removes its own.
#[derive(Default)]
pub(crate) struct Shown(Vec<Buf>);

impl Shown {
    /// Shows a value. Gives its address, its length and its place.
    pub(super) fn begin(&mut self, value: Buf) -> (*const u8, usize, usize) {
        let (data, len) = (value.body_ptr().as_ptr().cast_const(), value.len());
        self.0.push(value);
        (data, len, self.0.len() - 1)
    }

    /// The function that was called with the value at `place` has ended.
    pub(super) fn end(&mut self, place: usize) {
        self.0.truncate(place);
    }

    /// The length of a shown value, by its address.
    pub(crate) fn len_of(&self, data: *const u8) -> Option<usize> {
        let value = self
            .0
            .iter()
            .rfind(|value| value.body_ptr().as_ptr().cast_const() == data)?;
        Some(value.len())
    }

    /// The turn is over: no function runs.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
