//! A message on its way into a task, and the blocks that Lua code holds by their addresses.
//!
//! Lua code sees a message as a pointer and a size. It gets the pointer in one place ([`push_pointer`]), where the bytes become flat and
//! the block the script's; it gives blocks back in one place ([`Vm::reclaim`]), where the arena checks the address.

use std::ffi::c_void;

use fulmar_arena::{BufMut, ClaimError};
use fulmar_engine::{Body, Handle, Message, MessageType};
use mlua::ffi::lua_State;

use super::Request;
use crate::raw;
use crate::seri;
use crate::stack;
use crate::vm::Vm;

/// A message on its way into a task.
pub(crate) struct Delivery {
    pub(super) head: Head,
    pub(super) body: DeliveryBody,
}

impl Delivery {
    #[inline(always)]
    pub(super) fn of(message: Message) -> Delivery {
        Delivery {
            head: Head {
                message_type: message.message_type(),
                session: message.session(),
                source: message.source(),
            },
            body: DeliveryBody::Message(message),
        }
    }
}

/// A delivery without its bytes.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) message_type: MessageType,
    pub(super) session: i32,
    pub(super) source: Handle,
}

impl Head {
    /// The request; none when no answer is wanted.
    pub(super) fn request(self) -> Option<Request> {
        (self.session != 0).then_some(Request {
            session: self.session,
            source: self.source,
        })
    }
}

/// The bytes of a delivery.
pub(crate) enum DeliveryBody {
    /// Still the engine's: nobody in Lua has a pointer to it.
    Message(Message),
    /// Lua code holds the pointer (a message function of its own, or after [`expose`]).
    Script { data: *const u8, len: usize },
}

/// Pushes the delivery as Lua sees it: pointer and size. The block then belongs to the script until the turn ends.
///
/// # Safety
/// `state` has two free slots. Fails without touching the stack.
pub(super) unsafe fn push_pointer(vm: *mut Vm, state: *mut lua_State) -> Result<(), stack::Failure> {
    // SAFETY: light userdata and integers need no memory. Stack: two values more.
    unsafe {
        let (data, len) = expose(vm)?;
        raw::push(state, raw::Value::light(data.cast_mut().cast::<c_void>()));
        raw::push(state, raw::Value::integer(len as i64));
        Ok(())
    }
}

/// Makes the delivery's bytes something Lua may point at: flat, in a block that the script owns.
unsafe fn expose(vm: *mut Vm) -> Result<(*const u8, usize), stack::Failure> {
    // SAFETY: no Lua code runs in here.
    let vm = unsafe { &mut *vm };
    let Some(delivery) = &mut vm.tasks.delivery else {
        return Ok((std::ptr::null(), 0));
    };
    if let DeliveryBody::Script { data, len } = delivery.body {
        return Ok((data, len));
    }
    let placeholder = DeliveryBody::Script {
        data: std::ptr::null(),
        len: 0,
    };
    let DeliveryBody::Message(message) = std::mem::replace(&mut delivery.body, placeholder) else {
        unreachable!()
    };
    let Some(block) = flat_block(vm, message)? else {
        return Ok((std::ptr::null(), 0));
    };
    let (data, len) = vm.lend(block);
    vm.tasks.lent = data;
    if let Some(delivery) = &mut vm.tasks.delivery {
        delivery.body = DeliveryBody::Script { data, len };
    }
    Ok((data, len))
}

/// The message's payload as one flat block; none when it is empty or a Rust value.
fn flat_block(vm: &mut Vm, message: Message) -> Result<Option<BufMut>, stack::Failure> {
    let owner = vm.context.handle().bits();
    match message.into_body() {
        Body::Block(block) => Ok(Some(
            seri::flatten(vm.arena, block, owner).map_err(|error| error.to_string())?,
        )),
        Body::Shared(buf) => {
            let block = seri::flat_copy(vm.arena, &buf, buf.attachments(), owner)
                .map_err(|error| error.to_string())?;
            Ok(Some(block))
        }
        _ => Ok(None),
    }
}

impl Vm {
    /// Gives a block to Lua code: from here on it is known by its address.
    pub(crate) fn lend(&mut self, block: BufMut) -> (*const u8, usize) {
        let len = block.len();
        (self.scripts.lend(block).as_ptr(), len)
    }

    /// Gives a block with these bytes to Lua code.
    pub(super) fn lend_copy(&mut self, bytes: &[u8]) -> Result<(*const u8, usize), stack::Failure> {
        let mut block = self
            .context
            .loan(bytes.len())
            .map_err(|error| error.to_string())?;
        block.copy_from_slice(bytes);
        Ok(self.lend(block))
    }

    /// Takes a block back from Lua code.
    ///
    /// # Errors
    /// When the address is not that of a block which this service owns, or a native further up reads the block.
    pub(crate) fn reclaim(&mut self, data: *const u8) -> Result<BufMut, NotOurs> {
        if self.reading.contains(data) {
            return Err(NotOurs::InUse);
        }
        let block = self.scripts.claim(data)?;
        self.tasks.taken(data);
        Ok(block)
    }

    /// The length of a block that Lua code of this service owns, or of a value that is shown to it.
    ///
    /// # Errors
    /// When the address is not that of such a block.
    pub(crate) fn script_len(&self, data: *const u8) -> Result<usize, NotOurs> {
        match self.scripts.view(data) {
            Ok(bytes) => Ok(bytes.len()),
            Err(error @ ClaimError::NotScript { .. }) => self.shown.len_of(data).ok_or(NotOurs::Claim(error)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why an address from Lua code cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOurs {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("this message is being unpacked")]
    InUse,
}

/// Frees the block lent to Lua code during this turn, unless Lua code has given it away, and what it did not unpack.
#[inline]
pub(super) unsafe fn release_lent(vm: *mut Vm) {
    // SAFETY: no Lua code runs in here.
    let vm = unsafe { &mut *vm };
    if !vm.tasks.lent.is_null() {
        let _ = vm.reclaim(vm.tasks.lent);
        vm.tasks.lent = std::ptr::null();
    }
    if !vm.tasks.unpacking.is_empty() {
        vm.tasks.unpacking.clear();
    }
}
