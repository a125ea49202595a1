//! The first thing that a service does: finds its script, sets up the environment, runs the main chunk. In skynet this is
//! `lualib/loader.lua`; here it is native, because every service would carry it.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use mlua::ffi::{self, lua_State};

use crate::config::services::{Candidate, is_stock};
use crate::node::Node;
use crate::vm::Vm;
use crate::{code_cache, embedded, stack, tasks};

/// What a service is started with. Lives outside of the protected call, so that a raise leaks none of it.
pub(crate) struct Start {
    /// The service's name and its arguments.
    line: String,
    /// The file being loaded.
    file: CString,
    /// Why the files so far could not be loaded, a line each.
    errors: Vec<u8>,
}

impl Start {
    pub(crate) fn new(line: String) -> Start {
        Start {
            line,
            file: CString::default(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.line
            .split(|c: char| c.is_ascii_whitespace() || c == '\x0b')
            .filter(|word| !word.is_empty())
    }
}

/// Runs the loader of the config, or ours. Protected; its argument is the [`Start`].
///
/// # Safety
/// As for a native.
pub(crate) unsafe extern "C-unwind" fn run(state: *mut lua_State) -> c_int {
    // SAFETY: the start lives in the caller's frame, the node as long as the state. Stack: handler, loader, its argument.
    unsafe {
        let start = ffi::lua_touserdata(state, 1).cast::<Start>();
        let node = Vm::node_of(state);
        ffi::lua_settop(state, 0);
        ffi::lua_pushcclosure(state, tasks::traceback, 0);
        match node.loader() {
            None => {
                ffi::lua_pushcclosure(state, load, 0);
                ffi::lua_pushlightuserdata(state, start.cast());
            }
            Some(file) => {
                export_paths(state, node);
                if code_cache::load_file(state, file.as_ptr()) != ffi::LUA_OK {
                    ffi::lua_error(state);
                }
                stack::push_bytes(state, (*start).line.as_bytes());
            }
        }
        if ffi::lua_pcall(state, 1, 0, 1) != ffi::LUA_OK {
            ffi::lua_error(state);
        }
        0
    }
}

/// A loader in Lua finds the search paths in globals.
unsafe fn export_paths(state: *mut lua_State, node: &Node) {
    for (name, key) in [
        (c"LUA_PATH", "lua_path"),
        (c"LUA_CPATH", "lua_cpath"),
        (c"LUA_SERVICE", "luaservice"),
        (c"LUA_PRELOAD", "preload"),
    ] {
        if let Some(text) = node.path(key) {
            // SAFETY: the texts are the node's. Stack: unchanged.
            unsafe {
                stack::push_bytes(state, text.as_bytes());
                ffi::lua_setglobal(state, name.as_ptr());
            }
        }
    }
}

/// The loader: `load(start)`.
unsafe extern "C-unwind" fn load(state: *mut lua_State) -> c_int {
    // SAFETY: the start and the node outlive the call, and what is borrowed of them is not owned here. Stack: start, `package`,
    // main chunk; then what is called, and its arguments.
    unsafe {
        let start = ffi::lua_touserdata(state, 1).cast::<Start>();
        let node = Vm::node_of(state);
        ffi::lua_getglobal(state, c"package".as_ptr());

        let Some(name) = (*start).words().next() else {
            ffi::lua_pushstring(state, c"a service without a name".as_ptr());
            ffi::lua_error(state);
        };
        stack::push_bytes(state, name.as_bytes());
        ffi::lua_setglobal(state, c"SERVICE_NAME".as_ptr());
        let template = push_script(state, node, start, name);

        for (field, key) in [(c"path", "lua_path"), (c"cpath", "lua_cpath")] {
            stack::push_bytes(state, node.path(key).unwrap_or_default().as_bytes());
            ffi::lua_setfield(state, 2, field.as_ptr());
        }
        set_folder(state, template, name);

        if let Some(preload) = node.path("preload") {
            (*start).file = CString::new(preload).unwrap_or_default();
            if code_cache::load_file(state, (*start).file.as_ptr()) != ffi::LUA_OK {
                ffi::lua_error(state);
            }
            let count = push_words(state, start, 0);
            ffi::lua_callk(state, count, 0, 0, None);
        }

        ffi::lua_getglobal(state, c"require".as_ptr());
        ffi::lua_pushstring(state, c"skynet.require".as_ptr());
        ffi::lua_callk(state, 1, 1, 0, None);
        ffi::lua_getfield(state, -1, c"require".as_ptr());
        ffi::lua_setglobal(state, c"require".as_ptr());

        ffi::lua_settop(state, 3);
        let count = push_words(state, start, 1);
        ffi::lua_callk(state, count, 0, 0, None);
        0
    }
}

/// Pushes the words of a start, without the first `skipped`, and tells how many.
unsafe fn push_words(state: *mut lua_State, start: *mut Start, skipped: usize) -> c_int {
    // SAFETY: by the caller; the words lie in the start.
    unsafe {
        let mut count = 0;
        for word in (*start).words().skip(skipped) {
            ffi::luaL_checkstack(state, 1, c"too many arguments".as_ptr());
            stack::push_bytes(state, word.as_bytes());
            count += 1;
        }
        count
    }
}

/// Pushes the main chunk of the service `name`, and gives the template that has led to it. Raises when there is none.
unsafe fn push_script<'a>(state: *mut lua_State, node: &'a Node, start: *mut Start, name: &str) -> &'a str {
    // SAFETY: what is owned lives in the start whenever Lua can raise. Stack: one value more.
    unsafe {
        let embedded = embedded::service(name);
        let mut is_broken = false;
        for template in node.templates() {
            {
                let candidate = Candidate::new(template, name);
                let exists = embedded.is_some() && candidate.exists();
                if exists && is_stock(candidate.path()) {
                    is_broken = false;
                    break;
                }
                is_broken |= exists;
                (*start).file = CString::new(candidate.into_text()).unwrap_or_default();
            }
            if code_cache::load_file(state, (*start).file.as_ptr()) == ffi::LUA_OK {
                return template;
            }
            let errors = &mut (*start).errors;
            if !errors.is_empty() {
                errors.push(b'\n');
            }
            errors.extend_from_slice(stack::bytes_at(state, -1).unwrap_or_default());
            ffi::lua_pop(state, 1);
        }
        match embedded {
            Some(service) if !is_broken => {
                if code_cache::load_embedded(state, service) != ffi::LUA_OK {
                    ffi::lua_error(state);
                }
                STOCK_TEMPLATE
            }
            _ => {
                stack::push_bytes(state, &*ptr::from_ref(&(*start).errors));
                ffi::lua_error(state);
            }
        }
    }
}

const STOCK_TEMPLATE: &str = "./service/?.lua";

/// Sets `SERVICE_PATH`; a service with a folder of its own finds the modules beside it first.
unsafe fn set_folder(state: *mut lua_State, template: &str, name: &str) {
    let Some(end) = template.rfind('/') else { return };
    let (folder, file) = template.split_at(end + 1);
    let mark: &CStr = c"?";
    // SAFETY: Lua makes the strings, so nothing is owned here; the buffer that `luaL_gsub` needs is on the stack.
    // Stack: unchanged.
    unsafe {
        stack::push_bytes(state, folder.as_bytes());
        stack::push_bytes(state, name.as_bytes());
        let (folder_text, name_text) = (
            ffi::lua_tolstring(state, -2, ptr::null_mut()),
            ffi::lua_tolstring(state, -1, ptr::null_mut()),
        );
        ffi::luaL_gsub(state, folder_text, mark.as_ptr(), name_text);
        if folder.contains('?') || !file.contains('?') {
            ffi::lua_pushvalue(state, -1);
            ffi::lua_pushstring(state, c"?.lua;".as_ptr());
            ffi::lua_getfield(state, 2, c"path".as_ptr());
            ffi::lua_concat(state, 3);
            ffi::lua_setfield(state, 2, c"path".as_ptr());
        }
        ffi::lua_setglobal(state, c"SERVICE_PATH".as_ptr());
        ffi::lua_pop(state, 2);
    }
}
