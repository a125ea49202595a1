//! `skynet.netpack`: frames with a length of two bytes, for services that take socket messages themselves, as gates do.
//!
//! A frame gets a block of its own, in its own size, and moves from the message into it: Lua can only be given whole blocks.
//! From there on nothing copies it: the block is sent on as a message, or becomes a string in place when it is a large one.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, c_int};

use fulmar_arena::{BufMut, LoanError};
use fulmar_engine::{Event, EventKind, FrameError, FramePrefix, FrameReader, Framing};
use mlua::ffi::{self, lua_State};

use crate::boxed::{self, Boxed};
use crate::core::with_block;
use crate::seri::ATTACH_MIN_BYTES;
use crate::stack::{self, Failure, check_bytes, native};
use crate::vm::Vm;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"pack", pack),
    (c"filter", filter),
    (c"pop", pop),
    (c"clear", clear),
    (c"tostring", tostring),
];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

/// The streams of all connections of a service, and the frames that were not fetched.
#[derive(Default)]
struct Queue {
    /// Streams that stand within a frame, by socket; none when a buffer was refused, so that nobody knows where frames begin.
    streams: HashMap<i32, Option<FrameReader<BufMut>>>,
    whole: VecDeque<(i32, BufMut)>,
}

impl Boxed for Queue {
    const METATABLE: &'static CStr = c"fulmar.netpack";
}

/// A length of two bytes, the high one first; any length goes.
const FRAMING: Framing = Framing {
    prefix: FramePrefix::U16Be,
    limit_bytes: u16::MAX as usize,
};

/// What a piece of a stream has brought.
enum Fed {
    Nothing,
    /// A frame, and not a byte besides.
    One(BufMut),
    /// Frames that stand in the queue.
    More,
}

impl Queue {
    /// Takes a piece of the stream of socket `id`.
    fn feed(
        &mut self,
        id: i32,
        mut bytes: &[u8],
        mut loan: impl FnMut(usize) -> Result<BufMut, LoanError>,
    ) -> Result<Fed, FrameError<LoanError>> {
        let Some(mut stream) = self
            .streams
            .remove(&id)
            .unwrap_or_else(|| Some(FrameReader::new(FRAMING)))
        else {
            self.streams.insert(id, None);
            return Ok(Fed::Nothing);
        };
        let before = self.whole.len();
        loop {
            match stream.poll(&mut bytes, &mut loan) {
                Ok(Some((frame, _))) => self.whole.push_back((id, frame)),
                Ok(None) => break,
                Err(error) => {
                    self.streams.insert(id, None);
                    return Err(error);
                }
            }
        }
        let between = stream.is_between_frames();
        if !between {
            self.streams.insert(id, Some(stream));
        }
        Ok(match self.whole.len() - before {
            0 => Fed::Nothing,
            1 if between => self
                .whole
                .pop_back()
                .map_or(Fed::Nothing, |(_, frame)| Fed::One(frame)),
            _ => Fed::More,
        })
    }
}

native! {
    /// `pack(string | msg, sz) -> msg, sz`: a copy with its length before it.
    fn pack(state) {
        // SAFETY: see `pack_bytes`.
        unsafe {
            if ffi::lua_type(state, 1) == ffi::LUA_TLIGHTUSERDATA {
                return with_block(state, 1, |bytes| pack_bytes(state, bytes));
            }
            pack_bytes(state, check_bytes(state, 1))
        }
    }
}

unsafe fn pack_bytes(state: *mut lua_State, bytes: &[u8]) -> stack::Outcome {
    // SAFETY: the block is this service's before anything is pushed. Stack: two results.
    unsafe {
        let Ok(len) = u16::try_from(bytes.len()) else {
            return Err(format!("Invalid size (too long) of data : {}", bytes.len()).into());
        };
        let header = len.to_be_bytes();
        let vm = Vm::of(state);
        let mut block = (*vm)
            .context
            .loan(header.len() + bytes.len())
            .map_err(|error| error.to_string())?;
        let (start, body) = block.split_at_mut(header.len());
        start.copy_from_slice(&header);
        body.copy_from_slice(bytes);
        push_block(state, block);
        Ok(2)
    }
}

/// Pushes a block that Lua code owns from now on, and its size.
unsafe fn push_block(state: *mut lua_State, block: BufMut) {
    // SAFETY: neither value needs memory. Stack: two values more.
    unsafe {
        let (data, len) = (*Vm::of(state)).lend(block);
        ffi::lua_pushlightuserdata(state, data.cast_mut().cast());
        ffi::lua_pushinteger(state, len as ffi::lua_Integer);
    }
}

native! {
    /// `filter(queue | nil, msg, sz) -> queue | nil, type, ...`: what a socket message means. Makes the queue when it needs one.
    fn filter(state) {
        // SAFETY: the message stays this service's meanwhile; the queue is only touched where Lua does not run. Stack: at most five
        // results.
        unsafe {
            stack::make_room(state)?;
            ffi::luaL_checkinteger(state, 3);
            with_block(state, 2, |bytes| {
                let event = Event::parse(bytes).ok_or("invalid socket message")?;
                match event.kind {
                    EventKind::Data => filter_data(state, event),
                    EventKind::Connect => {
                        push_event(state, c"init", event.id);
                        stack::push_bytes(state, event.bytes);
                        ffi::lua_pushinteger(state, event.ud.into());
                        Ok(5)
                    }
                    EventKind::Close => {
                        forget(state, event.id);
                        push_event(state, c"close", event.id);
                        Ok(3)
                    }
                    EventKind::Accept => {
                        push_event(state, c"open", event.ud);
                        stack::push_bytes(state, event.bytes);
                        Ok(4)
                    }
                    EventKind::Error => {
                        forget(state, event.id);
                        push_event(state, c"error", event.id);
                        stack::push_bytes(state, event.bytes);
                        Ok(4)
                    }
                    EventKind::Warning => {
                        push_event(state, c"warning", event.id);
                        ffi::lua_pushinteger(state, event.ud.into());
                        Ok(4)
                    }
                    EventKind::Udp => {
                        ffi::lua_pushvalue(state, 1);
                        Ok(1)
                    }
                }
            })
        }
    }
}

/// Pushes the queue, the name of an event and its socket.
unsafe fn push_event(state: *mut lua_State, name: &CStr, id: i32) {
    // SAFETY: nothing is owned. Stack: three values more.
    unsafe {
        ffi::lua_pushvalue(state, 1);
        ffi::lua_pushstring(state, name.as_ptr());
        ffi::lua_pushinteger(state, id.into());
    }
}

/// Drops what has come of a socket's next frame.
unsafe fn forget(state: *mut lua_State, id: i32) {
    // SAFETY: no Lua code runs. Stack: unchanged.
    unsafe {
        if let Some(queue) = boxed::at::<Queue>(state, 1) {
            (*queue).streams.remove(&id);
        }
    }
}

/// The results of `filter` for received bytes.
unsafe fn filter_data(state: *mut lua_State, event: Event<'_>) -> stack::Outcome {
    // SAFETY: what may raise comes before and after the frames are touched; a frame belongs to Lua before anything is pushed. The
    // queue is at index 1. Stack: at most five results.
    unsafe {
        if ffi::lua_isnil(state, 1) != 0 {
            boxed::push::<Queue>(state);
            ffi::lua_replace(state, 1);
        }
        let Some(queue) = boxed::at::<Queue>(state, 1) else {
            return Err("need a queue object at param 1".into());
        };
        let vm = Vm::of(state);
        let fed = (*queue).feed(event.id, &event.bytes[..event.ud as usize], |len| {
            (*vm).context.loan(len)
        });
        let frame = match fed {
            Ok(Fed::Nothing) => {
                ffi::lua_pushvalue(state, 1);
                return Ok(1);
            }
            Ok(Fed::More) => {
                ffi::lua_pushvalue(state, 1);
                ffi::lua_pushstring(state, c"more".as_ptr());
                return Ok(2);
            }
            Ok(Fed::One(frame)) => (*vm).lend(frame),
            Err(error) => {
                push_event(state, c"error", event.id);
                let text = match error {
                    FrameError::Loan(error) => error.to_string(),
                    error => error.to_string(),
                };
                stack::push_text(state, text);
                return Ok(4);
            }
        };
        push_event(state, c"data", event.id);
        ffi::lua_pushlightuserdata(state, frame.0.cast_mut().cast());
        ffi::lua_pushinteger(state, frame.1 as ffi::lua_Integer);
        Ok(5)
    }
}

native! {
    /// `pop(queue) -> fd, msg, sz`; nothing when no frame is left.
    fn pop(state) {
        // SAFETY: nothing that is pushed needs memory. Stack: three results.
        unsafe {
            let Some(queue) = boxed::at::<Queue>(state, 1) else { return Ok(0) };
            let Some((id, frame)) = (*queue).whole.pop_front() else { return Ok(0) };
            ffi::lua_pushinteger(state, id.into());
            push_block(state, frame);
            Ok(3)
        }
    }
}

native! {
    /// `clear(queue)`: frees all frames, and what has come of others.
    fn clear(state) {
        // SAFETY: no Lua code runs.
        unsafe {
            if let Some(queue) = boxed::at::<Queue>(state, 1) {
                *queue = Queue::default();
            }
            Ok(0)
        }
    }
}

native! {
    /// `tostring(msg, sz) -> string`: takes the block. A large one becomes the string without being copied.
    fn tostring(state) {
        // SAFETY: nothing is owned where Lua may raise: `strings` frees a block that it cannot make a string of. Stack: one result.
        unsafe {
            let len = usize::try_from(ffi::luaL_checkinteger(state, 2)).unwrap_or(0);
            let data = ffi::lua_touserdata(state, 1).cast::<u8>().cast_const();
            if data.is_null() {
                ffi::lua_pushstring(state, c"".as_ptr());
                return Ok(1);
            }
            let vm = Vm::of(state);
            let whole = (*vm).script_len(data).map_err(|error| error.to_string())?;
            if len >= whole && whole >= ATTACH_MIN_BYTES {
                let block = (*vm).reclaim(data).map_err(|error| error.to_string())?;
                let strings = &raw const *(*vm).strings;
                (*strings).push(state, block.freeze());
                return Ok(1);
            }
            with_block(state, 1, |bytes| {
                stack::push_bytes(state, bytes);
                Ok(1)
            })?;
            (*vm).reclaim(data).map_err(|error| Failure::from(error.to_string()))?;
            Ok(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_buffer_ends_the_stream() {
        let refuse = |requested_bytes| {
            Err(LoanError::TooLarge {
                requested_bytes,
                max_bytes: 0,
            })
        };
        let mut queue = Queue::default();
        assert!(matches!(
            queue.feed(7, b"\0\x02ab\0\x01c", refuse),
            Err(FrameError::Loan(_))
        ));
        let fed = queue.feed(7, b"\0\x01c", |_| unreachable!("not asked"));
        assert!(matches!(fed, Ok(Fed::Nothing)));
        assert!(queue.whole.is_empty() && queue.streams.contains_key(&7));
    }
}
