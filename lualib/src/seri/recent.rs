//! Short strings that were unpacked lately: messages repeat their commands and keys, and to look a string up among all of the
//! state's takes longer than everything else about it.

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use crate::raw;

/// A few strings of a state, on the stack of a thread of its own, so that they live. A string has one place there.
#[derive(Clone, Copy)]
pub struct RecentStrings {
    thread: *mut lua_State,
    first: c_int,
}

impl RecentStrings {
    /// How many stack slots they take.
    pub const SLOTS: usize = 12;

    /// Strings in the slots from stack index `first` of `thread` on.
    ///
    /// # Safety
    /// There are as many values as [`SLOTS`](Self::SLOTS) says, for this use alone, whenever a string is pushed; the thread does not run then.
    pub unsafe fn new(thread: *mut lua_State, first: c_int) -> Self {
        Self { thread, first }
    }

    /// Strings on a thread that is made for them, and lives as long as the state.
    ///
    /// # Safety
    /// `state` has two free slots. May raise (memory).
    pub unsafe fn open(state: *mut lua_State) -> Self {
        // SAFETY: the thread is anchored, and nobody else knows it. Stack of `state`: unchanged; of the thread: the slots.
        unsafe {
            let thread = ffi::lua_newthread(state);
            ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            ffi::lua_settop(thread, Self::SLOTS as c_int);
            Self::new(thread, 1)
        }
    }

    /// Pushes a string of at most 31 bytes.
    ///
    /// # Safety
    /// `state` belongs to the state of the thread, runs protected and has a free slot. May raise (memory).
    #[inline(always)]
    pub(super) unsafe fn push(self, state: *mut lua_State, string: &[u8]) {
        let place = self.first + slot_of(string) as c_int;
        // SAFETY: by the caller and `new`. A collection may move the thread's stack, so the place is asked for again. Stack: + the
        // string.
        unsafe {
            let kept = *raw::at(self.thread, place);
            if let Some(text) = kept.as_short_text()
                && is_same(raw::text_bytes(text), string)
            {
                return raw::push(state, kept);
            }
            ffi::lua_pushlstring(state, string.as_ptr().cast(), string.len());
            *raw::at(self.thread, place) = raw::top(state);
        }
    }
}

#[inline(always)]
fn slot_of(string: &[u8]) -> usize {
    let (first, last) = match string {
        [] => (0, 0),
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
    };
    (string.len() + usize::from(first) + 3 * usize::from(last)) % RecentStrings::SLOTS
}

/// Compares by pieces of fixed sizes, which may overlap: short strings are not worth a call.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    #[inline(always)]
    fn ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk::<N>() && one.last_chunk::<N>() == other.last_chunk::<N>()
    }
    one.len() == other.len()
        && match one.len() {
            33.. => one == other,
            16.. => ends::<16>(one, other),
            8.. => ends::<8>(one, other),
            4.. => ends::<4>(one, other),
            2.. => ends::<2>(one, other),
            _ => one == other,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_the_same_as_itself_and_no_other(
            string in prop::collection::vec(any::<u8>(), 0..40),
            place in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let mut other = string.clone();
            prop_assert!(is_same(&string, &other));
            if !string.is_empty() {
                other[place.index(string.len())] ^= 1 << bit;
                prop_assert!(!is_same(&string, &other));
            }
            other.push(0);
            prop_assert!(!is_same(&string, &other));
        }
    }
}
