//! Received attachments as Lua strings that share the arena's bytes.
//!
//! Lua's collector sees only the header of such a string, so what the strings keep alive is counted here: the host
//! drives collections by it and charges it to the service's memory limit.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr::{self, NonNull};

use fulmar_arena::Buf;
use mlua::ffi;

/// The external strings of one Lua state.
///
/// Shape: a pointer to counters and a map with an entry per block held. Cost of a string: one map insertion, and one
/// removal when it is collected.
///
/// # Invariants
/// 1. Every external string made here holds one count of its block and the address of `ledger`, until Lua calls
///    `release`.
/// 2. This lives until the state is closed (`push`'s contract), so `ledger` is there for every `release`.
/// 3. No borrow of `ledger`'s map is held while Lua runs.
#[derive(Default)]
pub struct ExternalStrings {
    ledger: Box<Ledger>,
}

/// In cache lines of its own, see [`lines`](crate::lines): it is looked at, and emptied, after each turn.
#[derive(Default)]
#[repr(align(128))]
struct Ledger {
    /// Strings by the block's body address.
    strings: RefCell<HashMap<usize, u32, BuildHasherDefault<AddressHasher>>>,
    held_bytes: Cell<usize>,
    arrived_bytes: Cell<usize>,
}

impl ExternalStrings {
    /// No strings yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of all blocks that strings of this state keep alive, each block once.
    pub fn held_bytes(&self) -> usize {
        self.ledger.held_bytes.get()
    }

    /// Bytes by which `held_bytes` has grown in all since this was last asked: the collector's unseen debt.
    pub fn take_arrived_bytes(&self) -> usize {
        self.ledger.arrived_bytes.take()
    }

    /// Pushes the content of `buf`, a whole block, as a string that holds its count.
    ///
    /// # Safety
    /// `state` is the Lua state that this belongs to, in a protected call, with a free slot. May raise (memory; the
    /// count is released then), and may run finalizers. This lives until the state is closed.
    pub(crate) unsafe fn push(&self, state: *mut ffi::lua_State, buf: Buf) {
        let len = buf.len();
        let body = buf.into_raw();
        self.ledger.enter(body.addr().get(), len);
        // SAFETY: by this function's contract; a zero byte follows every body. Lua calls `release` once, also when
        // it cannot make the string.
        unsafe {
            ffi::lua_pushexternalstring(
                state,
                body.as_ptr().cast(),
                len,
                Some(release),
                ptr::from_ref(&*self.ledger).cast_mut().cast(),
            );
        }
    }
}

// SAFETY: a state and what belongs to it are used by one thread at a time, and `ledger` only through this and the
// strings of that state.
unsafe impl Send for ExternalStrings {}

impl Ledger {
    fn enter(&self, address: usize, len: usize) {
        let mut strings = self.strings.borrow_mut();
        let count = strings.entry(address).or_insert(0);
        *count += 1;
        if *count == 1 {
            self.held_bytes.set(self.held_bytes.get() + len);
            self.arrived_bytes.set(self.arrived_bytes.get() + len);
        }
    }

    fn leave(&self, address: usize, len: usize) {
        let mut strings = self.strings.borrow_mut();
        let Some(count) = strings.get_mut(&address) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            strings.remove(&address);
            self.held_bytes.set(self.held_bytes.get() - len);
        }
    }
}

/// Lua's deallocator of an external string: `string` has `size` bytes, the zero byte included.
unsafe extern "C" fn release(ledger: *mut c_void, string: *mut c_void, size: usize, _: usize) -> *mut c_void {
    // SAFETY: invariant 2.
    let ledger = unsafe { &*ledger.cast::<Ledger>() };
    if let Some(body) = NonNull::new(string.cast::<u8>()) {
        ledger.leave(body.addr().get(), size - 1);
        // SAFETY: invariant 1; the string is gone, so its count is ours to drop.
        drop(unsafe { Buf::from_raw(body) });
    }
    ptr::null_mut()
}

/// Spreads body addresses, which are multiples of 64 and chosen by no one outside.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        // Fibonacci hashing: the high bits, which the map takes its tags from, depend on all of the address.
        self.0 = (self.0 ^ address as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}
