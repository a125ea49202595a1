//! The read buffer of `skynet.socketdriver`: received blocks in a row, given out as strings of any length.

use std::collections::VecDeque;
use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_arena::BufMut;
use mlua::ffi::{self, lua_State};

use crate::boxed::{self, Boxed};
use crate::seri::ATTACH_MIN_BYTES;
use crate::stack::{self, Failure, native};
use crate::vm::{Vm, frame};

pub(crate) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"buffer", buffer),
    (c"push", push),
    (c"pop", pop),
    (c"readline", readline),
    (c"readall", readall),
    (c"clear", clear),
    (c"frame", next_frame),
];

/// Bytes that have arrived and were not read.
#[derive(Default)]
struct ReadBuffer {
    blocks: VecDeque<BufMut>,
    /// Each block is a frame, and taken out as such. An empty one is one, too.
    framed: bool,
    /// Bytes of the first block that were read.
    read: usize,
    len: usize,
    /// No separator begins before this place, when `sought` is the one last looked for.
    searched: usize,
    sought: Vec<u8>,
    /// Where a string that spans blocks is put together.
    joined: Vec<u8>,
    /// The frame of the native whose bytes Lua copies right now; 0 for none. A finalizer that runs meanwhile is refused.
    busy: usize,
}

impl Boxed for ReadBuffer {
    const METATABLE: &'static CStr = c"fulmar.readbuffer";
}

impl ReadBuffer {
    fn push(&mut self, block: BufMut) {
        if !block.is_empty() || self.framed {
            self.len += block.len();
            self.blocks.push_back(block);
        }
    }

    /// What is here, as those see it who must not let it grow without end.
    fn weight(&self) -> usize {
        match self.framed {
            true => self.len + self.blocks.len() * FRAME_WEIGHT,
            false => self.len,
        }
    }

    fn clear(&mut self) {
        *self = ReadBuffer {
            framed: self.framed,
            ..ReadBuffer::default()
        };
    }

    /// The next `len` bytes, of at most `self.len`; they stay until [`ReadBuffer::skip`].
    fn peek(&mut self, len: usize) -> &[u8] {
        debug_assert!(len <= self.len);
        let fits = self
            .blocks
            .front()
            .is_none_or(|first| first.len() - self.read >= len);
        if fits {
            return self
                .blocks
                .front()
                .map_or(&[], |first| &first[self.read..][..len]);
        }
        self.joined.clear();
        let mut read = self.read;
        for block in &self.blocks {
            let part = &block[read..];
            self.joined
                .extend_from_slice(&part[..part.len().min(len - self.joined.len())]);
            read = 0;
            if self.joined.len() == len {
                break;
            }
        }
        &self.joined
    }

    fn skip(&mut self, len: usize) {
        self.len -= len;
        self.read += len;
        self.searched = 0;
        while let Some(first) = self.blocks.front()
            && self.read >= first.len()
        {
            self.read -= first.len();
            self.blocks.pop_front();
        }
        if self.joined.capacity() > KEPT_BYTES {
            self.joined = Vec::new();
        }
    }

    /// Where `separator` begins.
    fn find(&mut self, separator: &[u8]) -> Option<usize> {
        if self.sought != separator {
            self.sought = separator.to_vec();
            self.searched = 0;
        }
        let (&head, tail) = separator.split_first()?;
        let mut start = 0;
        for (index, block) in self.blocks.iter().enumerate() {
            let bytes = if index == 0 {
                &block[self.read..]
            } else {
                &block[..]
            };
            let from = self.searched.saturating_sub(start).min(bytes.len());
            for (place, byte) in bytes.iter().enumerate().skip(from) {
                if *byte != head {
                    continue;
                }
                let begin = start + place;
                if begin + separator.len() > self.len {
                    self.searched = begin;
                    return None;
                }
                let rest = bytes[place + 1..]
                    .iter()
                    .chain(self.blocks.iter().skip(index + 1).flat_map(|block| block.iter()));
                if rest.take(tail.len()).eq(tail) {
                    return Some(begin);
                }
            }
            start += bytes.len();
        }
        self.searched = self.len;
        None
    }
}

/// The buffer at index 1.
unsafe fn buffer_at(state: *mut lua_State) -> Result<*mut ReadBuffer, Failure> {
    // SAFETY: the userdata is on the stack. Stack: unchanged.
    unsafe {
        let buffer = boxed::at::<ReadBuffer>(state, 1).ok_or("need buffer object at param 1")?;
        // The stack grows downwards: a frame that is not above ours was cut short by a memory error.
        if (*buffer).busy > frame() {
            return Err("the buffer is being read".into());
        }
        Ok(buffer)
    }
}

/// `buffer([framed]) -> buffer`
unsafe extern "C-unwind" fn buffer(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        let framed = ffi::lua_toboolean(state, 1) != 0;
        boxed::push::<ReadBuffer>(state);
        if let Some(buffer) = boxed::at::<ReadBuffer>(state, -1) {
            (*buffer).framed = framed;
        }
    }
    1
}

native! {
    /// `push(buffer, pool, msg, sz) -> total`: takes the block over.
    fn push(state) {
        // SAFETY: nothing raises once the block is taken. Stack: one result.
        unsafe {
            let buffer = buffer_at(state)?;
            let data = ffi::lua_touserdata(state, 3).cast::<u8>().cast_const();
            let len = usize::try_from(ffi::luaL_checkinteger(state, 4)).unwrap_or(0);
            if !data.is_null() {
                let mut block = (*Vm::of(state)).reclaim(data).map_err(|error| error.to_string())?;
                block.set_len(len.min(block.len()));
                (*buffer).push(block);
            }
            ffi::lua_pushinteger(state, (*buffer).weight() as ffi::lua_Integer);
            Ok(1)
        }
    }
}

/// Pushes the next `len` bytes and skips them and `behind` more.
unsafe fn take(state: *mut lua_State, buffer: *mut ReadBuffer, len: usize, behind: usize) {
    // SAFETY: the bytes belong to the buffer, whose userdata is on the stack, while Lua copies them; finalizers that run meanwhile
    // find it busy. Stack: one string more.
    unsafe {
        let bytes: *const [u8] = (*buffer).peek(len);
        (*buffer).busy = frame();
        ffi::lua_pushlstring(state, bytes.cast(), bytes.len());
        (*buffer).busy = 0;
        (*buffer).skip(len + behind);
    }
}

native! {
    /// `pop(buffer, pool, sz) -> string | nil, left`
    fn pop(state) {
        // SAFETY: see `take`. Stack: two results.
        unsafe {
            let buffer = buffer_at(state)?;
            let len = ffi::luaL_checkinteger(state, 3);
            match usize::try_from(len) {
                Ok(len) if len > 0 && len <= (*buffer).len => take(state, buffer, len, 0),
                _ => ffi::lua_pushnil(state),
            }
            ffi::lua_pushinteger(state, (*buffer).len as ffi::lua_Integer);
            Ok(2)
        }
    }
}

native! {
    /// `readline(buffer, pool | nil, sep) -> string | true | nothing`
    fn readline(state) {
        // SAFETY: see `take`. Stack: at most one result.
        unsafe {
            let buffer = buffer_at(state)?;
            ffi::luaL_checklstring(state, 3, ptr::null_mut());
            let separator = stack::bytes_at(state, 3).unwrap_or_default();
            let Some(begin) = (*buffer).find(separator) else { return Ok(0) };
            if ffi::lua_isnoneornil(state, 2) != 0 {
                ffi::lua_pushboolean(state, 1);
            } else {
                take(state, buffer, begin, separator.len());
            }
            Ok(1)
        }
    }
}

native! {
    /// `readall(buffer, pool) -> string`
    fn readall(state) {
        // SAFETY: see `take`. Stack: one result.
        unsafe {
            let buffer = buffer_at(state)?;
            let len = (*buffer).len;
            take(state, buffer, len, 0);
            Ok(1)
        }
    }
}

native! {
    /// `frame(buffer) -> string | nothing`: the next frame. A large one is not copied.
    fn next_frame(state) {
        // SAFETY: see `take`; `strings` frees a block that it cannot make a string of. Stack: at most one result.
        unsafe {
            let buffer = buffer_at(state)?;
            let Some(first) = (*buffer).blocks.front() else { return Ok(0) };
            let bytes: *const [u8] = &raw const **first;
            let is_copied = bytes.len() < ATTACH_MIN_BYTES;
            if is_copied {
                (*buffer).busy = frame();
                ffi::lua_pushlstring(state, bytes.cast(), bytes.len());
                (*buffer).busy = 0;
            }
            let Some(block) = (*buffer).blocks.pop_front() else { return Ok(0) };
            (*buffer).len -= block.len();
            if !is_copied {
                let strings = &raw const *(*Vm::of(state)).strings;
                (*strings).push(state, block.freeze());
            }
            Ok(1)
        }
    }
}

native! {
    /// `clear(buffer, pool)`
    fn clear(state) {
        // SAFETY: no Lua code runs in here.
        unsafe {
            if ffi::lua_isnoneornil(state, 1) == 0 {
                (*buffer_at(state)?).clear();
            }
            Ok(0)
        }
    }
}

/// What a frame weighs besides its bytes.
const FRAME_WEIGHT: usize = 64;
/// What the buffer for joined strings may keep.
const KEPT_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use fulmar_arena::Arena;
    use proptest::prelude::*;

    use super::*;

    fn block(bytes: &[u8]) -> BufMut {
        let mut block = Arena::process().loan(bytes.len(), 0).unwrap();
        block.copy_from_slice(bytes);
        block
    }

    proptest! {
        /// However the stream is split, lines and rests come out as from one string.
        #[test]
        fn lines_do_not_depend_on_splits(parts in proptest::collection::vec(proptest::collection::vec(97u8..101, 0..6), 0..20), sep in proptest::collection::vec(97u8..101, 1..4)) {
            let mut buffer = ReadBuffer::default();
            let mut model: Vec<u8> = Vec::new();
            for part in parts {
                buffer.push(block(&part));
                model.extend(&part);
                loop {
                    let expected = model.windows(sep.len()).position(|window| window == sep);
                    prop_assert_eq!(buffer.find(&sep), expected);
                    let Some(begin) = expected else { break };
                    prop_assert_eq!(buffer.peek(begin), &model[..begin]);
                    buffer.skip(begin + sep.len());
                    model.drain(..begin + sep.len());
                }
            }
            let len = buffer.len;
            prop_assert_eq!(buffer.peek(len), &model[..]);
        }
    }
}
