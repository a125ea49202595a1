//! Sending: where a message goes, what it carries, and what becomes of it.

use std::ffi::{CStr, c_int};
use std::ptr;

use fulmar_engine::{Body, Handle, MessageType, SendFailure};
use mlua::ffi::{self, lua_State};

use super::protocol;
use crate::core::{pack_failure, pack_native};
use crate::raw;
use crate::seri::Attach;
use crate::stack::{self, Failure, native};
use crate::vm::Vm;

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[(c"send", post), (c"rawsend", rawpost)];

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    Handle(Handle),
    /// `:hex`, `.local` or a global name, as the program wrote it.
    Name(Box<[u8]>),
}

impl Destination {
    pub(super) fn is_handle(&self, handle: Handle) -> bool {
        *self == Destination::Handle(handle)
    }

    /// As `skynet.address` writes it.
    pub(super) fn text(&self) -> Vec<u8> {
        match self {
            Destination::Handle(handle) => handle.to_string().into_bytes(),
            Destination::Name(name) => name.to_vec(),
        }
    }
}

/// Reads the destination at `index`.
///
/// # Safety
/// `state` is valid; nothing is converted and nothing raises.
#[inline(always)]
pub(crate) unsafe fn destination(state: *mut lua_State, index: c_int) -> Result<Destination, Failure> {
    // SAFETY: reads of stack values. Stack: unchanged.
    unsafe {
        if index <= raw::count(state)
            && let Some(bits) = (*raw::at(state, index)).as_integer()
            && bits as u32 != 0
        {
            return Ok(Destination::Handle(Handle::from_bits(bits as u32)));
        }
        other_destination(state, index)
    }
}

/// A destination that is no integer.
#[cold]
unsafe fn other_destination(state: *mut lua_State, index: c_int) -> Result<Destination, Failure> {
    // SAFETY: as for `destination`.
    unsafe {
        match ffi::lua_type(state, index) {
            ffi::LUA_TNUMBER => {
                let bits = ffi::lua_tointegerx(state, index, ptr::null_mut()) as u32;
                if bits == 0 {
                    return Err("Invalid service address 0".into());
                }
                Ok(Destination::Handle(Handle::from_bits(bits)))
            }
            ffi::LUA_TSTRING => {
                let name = stack::bytes_at(state, index).unwrap_or_default();
                Ok(Destination::Name(name.into()))
            }
            _ => {
                let name = stack::type_name(state, index);
                Err(format!("dest address type ({name}) must be a string or number.").into())
            }
        }
    }
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Delivered,
    /// There is no such service.
    Dead,
    /// The package is beyond the limit, or the receiver's mailbox is full.
    Refused,
}

/// Sends in the name of `source`, or of the service itself.
pub(crate) fn send_body(
    vm: &mut Vm,
    to: &Destination,
    source: Option<Handle>,
    message_type: MessageType,
    session: i32,
    body: Body,
) -> Sent {
    let source = source.unwrap_or(vm.context.handle());
    let result = match to {
        Destination::Handle(to) => {
            let route = &mut vm.routes[usize::from(message_type.is_reply())];
            vm.context
                .send_along(route, source, *to, message_type, session, body)
        }
        Destination::Name(name) => vm.context.send_name_as(source, name, message_type, session, body),
    };
    match result.map_err(|error| error.reason) {
        Ok(()) => Sent::Delivered,
        Err(SendFailure::Full(..) | SendFailure::Exhausted | SendFailure::LocalType) => Sent::Refused,
        Err(_) => Sent::Dead,
    }
}

/// Takes a message body from the stack: a string (copied) at `index`, or a block of this service's and its size at
/// `index + 1`.
///
/// # Safety
/// `state` is valid; nothing raises.
pub(crate) unsafe fn take_body(vm: *mut Vm, state: *mut lua_State, index: c_int) -> Result<Body, Failure> {
    // SAFETY: the string is copied before anything else happens; addresses are checked by the arena. Stack: unchanged.
    unsafe {
        match ffi::lua_type(state, index) {
            ffi::LUA_TSTRING => match stack::bytes_at(state, index) {
                Some(bytes) if !bytes.is_empty() => {
                    Ok((*vm).context.bytes(bytes).map_err(|error| error.to_string())?)
                }
                _ => Ok(Body::Empty),
            },
            ffi::LUA_TLIGHTUSERDATA => {
                let data = ffi::lua_touserdata(state, index).cast::<u8>().cast_const();
                if data.is_null() {
                    return Ok(Body::Empty);
                }
                let mut is_integer = 0;
                let len = ffi::lua_tointegerx(state, index + 1, &mut is_integer);
                if is_integer == 0 {
                    let found = stack::type_name(state, index + 1);
                    return Err(format!("bad message size (number expected, got {found})").into());
                }
                let Ok(len) = usize::try_from(len) else {
                    return Err(format!("invalid message size {len}").into());
                };
                let mut block = (*vm).reclaim(data).map_err(|error| error.to_string())?;
                block.set_len(len.min(block.len()));
                Ok(Body::Block(block))
            }
            _ => Err(format!("invalid param {}", stack::type_name(state, index)).into()),
        }
    }
}

/// Packs the values from index `first` on by a protocol, whose table is on the stack.
///
/// # Safety
/// `state` runs protected, with a free slot. May raise through the protocol's own `pack`; no value with a destructor is alive then.
#[inline(always)]
pub(super) unsafe fn pack(
    vm: *mut Vm,
    state: *mut lua_State,
    class: *const raw::Table,
    first: c_int,
) -> Result<Body, Failure> {
    // SAFETY: the packer lives in the service's memory. Stack: a foreign `pack` leaves its results on top.
    unsafe {
        let top = raw::count(state);
        let packer = protocol::field(vm, class, (*vm).fixed.pack);
        if packer.is_native(pack_native) {
            return pack_values(vm, state, first, top);
        }
        if packer.is_nil() {
            return Err("attempt to call a nil value (field 'pack')".into());
        }
        raw::push(state, packer);
        ffi::lua_rotate(state, first, 1);
        ffi::lua_callk(state, top - first + 1, 2, 0, None);
        take_body(vm, state, first)
    }
}

/// Packs the values `first..=top` in skynet's format, long strings by reference.
///
/// # Safety
/// As for [`pack`]: a `__pairs` metamethod may raise.
#[inline(always)]
pub(super) unsafe fn pack_values(
    vm: *mut Vm,
    state: *mut lua_State,
    first: c_int,
    top: c_int,
) -> Result<Body, Failure> {
    // SAFETY: the packer lives in the service's memory and is cleared at its next use. Stack: unchanged.
    unsafe {
        let packer = &raw const (*vm).packer;
        (*packer)
            .pack(state, first, top, Attach::Yes)
            .map_err(pack_failure)?;
        if (*packer).bytes().is_empty() {
            return Ok(Body::Empty);
        }
        let block = (*packer)
            .to_block((*vm).context.handle().bits())
            .map_err(|error| error.to_string())?;
        Ok(Body::Block(block))
    }
}

/// For the arguments (addr, typename, ...) from `address` on: puts the protocol's table in the place of its name.
///
/// # Safety
/// `state` is the one the native was called with, so that it has more free slots than any native uses.
#[inline]
pub(super) unsafe fn open_message(
    vm: *mut Vm,
    state: *mut lua_State,
    address: c_int,
) -> Result<(*const raw::Table, MessageType), Failure> {
    // SAFETY: by the caller.
    unsafe {
        if raw::count(state) <= address {
            ffi::lua_settop(state, address + 1);
        }
        protocol::open(vm, state, address + 1)
    }
}

native! {
    /// `post(addr, typename, ...)` is `skynet.send`.
    fn post(state) {
        // SAFETY: as for `prepare_call`. Stack: at most one result.
        unsafe {
            let vm = Vm::of(state);
            let (class, message_type) = open_message(vm, state, 1)?;
            let body = pack(vm, state, class, 3)?;
            let to = destination(state, 1)?;
            let sent = send_body(&mut *vm, &to, None, message_type, 0, body);
            Ok(push_sent(state, sent, 0))
        }
    }
}

native! {
    /// `rawpost(addr, typename, msg, sz)` is `skynet.rawsend`.
    fn rawpost(state) {
        // SAFETY: nothing raises after the body is taken. Stack: at most one result.
        unsafe {
            let vm = Vm::of(state);
            ffi::lua_settop(state, 4);
            let (_, message_type) = protocol::open(vm, state, 2)?;
            let to = destination(state, 1)?;
            let body = take_body(vm, state, 3)?;
            let sent = send_body(&mut *vm, &to, None, message_type, 0, body);
            Ok(push_sent(state, sent, 0))
        }
    }
}

/// Pushes what `send` returns: the session, nothing when nobody is there, false when it was refused.
pub(crate) unsafe fn push_sent(state: *mut lua_State, sent: Sent, session: i32) -> c_int {
    // SAFETY: one free slot; numbers and booleans need no memory.
    unsafe {
        match sent {
            Sent::Delivered => ffi::lua_pushinteger(state, session.into()),
            Sent::Dead => return 0,
            Sent::Refused => ffi::lua_pushboolean(state, 0),
        }
        1
    }
}
