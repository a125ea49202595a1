//! Waiting for a notice: the service has a message ready for itself, and something outside of it will send it.

use fulmar_engine::Notice;
use mlua::ffi::lua_State;

use super::{Wait, anchor, release_anchor};
use crate::stack::Failure;
use crate::vm::Vm;

/// Makes a notice whose arrival starts a task that runs the function on top of the stack, which is popped. Gives its session, too.
///
/// # Safety
/// `state` runs protected, with two free slots. May raise a memory error: nothing with a destructor is alive.
pub(crate) unsafe fn expect_notice(state: *mut lua_State) -> Result<(i32, Notice), Failure> {
    // SAFETY: nothing raises once the function is anchored. Stack: one value less.
    unsafe {
        let vm = Vm::of(state);
        let function = anchor(state);
        let session = (*vm).new_session();
        match (*vm).context.notice(session) {
            Ok(notice) => {
                let to = (*vm).context.handle();
                (*vm).tasks.waits.insert(session, Wait::Request { function, to });
                Ok((session, notice))
            }
            Err(error) => {
                release_anchor(vm, function);
                Err(error.to_string().into())
            }
        }
    }
}

/// The notice is not waited for any longer. `was_sent`: it arrives all the same, unless it has arrived.
///
/// # Safety
/// `vm` is a live host. No Lua code runs in here.
pub(crate) unsafe fn ignore_notice(vm: *mut Vm, session: i32, was_sent: bool) {
    // SAFETY: by the caller.
    unsafe {
        let waits = &mut (*vm).tasks.waits;
        let Some(Wait::Request { function, .. }) = waits.get(session) else {
            return;
        };
        let function = *function;
        if was_sent {
            waits.insert(session, Wait::Cancelled);
        } else {
            waits.remove(session);
        }
        release_anchor(vm, function);
    }
}
