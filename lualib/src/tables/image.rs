//! Images as Lua code holds them.

use std::ffi::{CStr, c_int};
use std::mem::{align_of, size_of};

use fulmar_sharedata::{Image, Key};
use mlua::ffi::{self, lua_State};

use super::staged;
use crate::stack::Failure;

/// The content of a userdata with the metatable [`NAME`].
pub(super) struct ImageRef {
    /// None until it is filled, and after its end.
    pub(super) image: Option<Image>,
    /// Of the last token that was made for it; it ends with this userdata.
    pub(super) token: usize,
    /// Keys that are about to be pushed.
    pub(super) keys: Vec<Key>,
}

const NAME: &CStr = c"fulmar.image";

/// Lua aligns userdata for anything of C.
const _: () = assert!(align_of::<ImageRef>() <= 8);

/// Pushes an image that is still to be filled: making it may raise, and filling it does not.
///
/// # Safety
/// Room for four values; nothing with a destructor is alive.
pub(super) unsafe fn push_empty(state: *mut lua_State) -> *mut ImageRef {
    // SAFETY: the userdata gets its metatable, and so its finalizer, once it has its content. Stack: one userdata more.
    unsafe {
        let place = ffi::lua_newuserdatauv(state, size_of::<ImageRef>(), 0).cast::<ImageRef>();
        place.write(ImageRef {
            image: None,
            token: 0,
            keys: Vec::new(),
        });
        if ffi::luaL_newmetatable(state, NAME.as_ptr()) != 0 {
            ffi::lua_pushcclosure(state, collect, 0);
            ffi::lua_setfield(state, -2, c"__gc".as_ptr());
            ffi::lua_pushboolean(state, 0);
            ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
        }
        ffi::lua_setmetatable(state, -2);
        place
    }
}

/// The userdata at `index`.
pub(super) unsafe fn place(state: *mut lua_State, index: c_int) -> Result<*mut ImageRef, Failure> {
    // SAFETY: the metatable tells what a userdata is, and no program can set it. Stack: unchanged.
    let place = unsafe { ffi::luaL_testudata(state, index, NAME.as_ptr()) }.cast::<ImageRef>();
    if place.is_null() {
        return Err("bad argument (an image expected)".into());
    }
    Ok(place)
}

/// The image at `index`; it lives as long as the userdata is on the stack.
pub(super) unsafe fn at<'a>(state: *mut lua_State, index: c_int) -> Result<&'a Image, Failure> {
    // SAFETY: as above; only the finalizer takes the image out.
    unsafe {
        let image = (*place(state, index)?).image.as_ref();
        image.ok_or_else(|| "the image is closed".into())
    }
}

/// `__gc`: gives the image back, and its token with it.
unsafe extern "C-unwind" fn collect(state: *mut lua_State) -> c_int {
    // SAFETY: a userdata with this metatable was made by `push_empty`; what is taken is not there a second time. Stack:
    // unchanged.
    unsafe {
        if let Ok(place) = place(state, 1) {
            drop((*place).image.take());
            drop(std::mem::take(&mut (*place).keys));
            drop(staged(state).claim(std::mem::take(&mut (*place).token)));
        }
        0
    }
}
