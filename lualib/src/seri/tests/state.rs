//! A Lua state with a memory limit, and the natives that tests call from Lua.

use std::alloc::{self, Layout};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::slice;

use fulmar_arena::{Arena, ArenaConfig, BufMut};
use mlua::ffi;

use super::value::{self, Value};
use crate::seri::{Attach, ExternalStrings, PackError, Packer, RecentStrings, flat_len, unpack};

/// Names that the vectors' expressions use.
const PRELUDE: &CStr = c"
rep, inf = string.rep, math.huge
function f64(hex) return (string.unpack('>d', (hex:gsub('..', function(x) return string.char(tonumber(x, 16)) end)))) end
function nest(n, ...) local t = { ... } for _ = 2, n do t = { t } end return t end
function seq(a, b) local t = {} for i = a, b do t[#t + 1] = i end return t end
function bytes(n, s) local t = {} for i = 0, n - 1 do t[#t + 1] = string.char((i * 7 + s) % 256) end return table.concat(t) end
function opairs(list)
  return setmetatable({}, { __pairs = function()
    local i = 0
    return function() i = i + 1 if list[i] then return list[i][1], list[i][2] end end
  end })
end
";

/// What the allocator counts.
struct Memory {
    used_bytes: usize,
    limit_bytes: usize,
}

/// What the natives work on.
pub(super) struct Host {
    pub(super) packer: Packer,
    pub(super) strings: ExternalStrings,
    pub(super) recent: RecentStrings,
    /// Blocks that `send` packed, for `receive`.
    blocks: RefCell<Vec<BufMut>>,
    /// The text of the error being raised: here, because whoever raises must own nothing.
    raised: RefCell<String>,
}

impl Host {
    /// Adds blocks that another state sent to those that `receive` finds.
    pub(super) fn give(&self, blocks: Vec<BufMut>) {
        self.blocks.borrow_mut().extend(blocks);
    }
}

/// A state with the standard libraries and the names of the vectors, and
///
/// * `packstring(...) -> string`, `unpack(string) -> ...`
/// * `send(...) -> number, size`: packs for a receiver in this process
/// * `receive(number) -> ...`: unpacks what was sent, as often as one likes
pub(super) struct State {
    pub(super) raw: *mut ffi::lua_State,
    memory: Box<Memory>,
    pub(super) host: Box<Host>,
    pub(super) arena: Arena,
}

impl State {
    pub(super) fn new() -> Self {
        let config = ArenaConfig {
            reserve_bytes: 256 << 20,
            ..ArenaConfig::default()
        };
        Self::in_arena(Arena::new(config).expect("the system grants a small arena"))
    }

    pub(super) fn in_arena(arena: Arena) -> Self {
        let mut memory = Box::new(Memory {
            used_bytes: 0,
            limit_bytes: usize::MAX,
        });
        // SAFETY: a state of our own; `memory` outlives it.
        let (raw, recent) = unsafe {
            let raw = ffi::lua_newstate(allocate, (&raw mut *memory).cast(), 1);
            assert!(!raw.is_null());
            (raw, RecentStrings::open(raw))
        };
        let host = Box::new(Host {
            packer: Packer::new(arena),
            recent,
            strings: ExternalStrings::new(),
            blocks: RefCell::default(),
            raised: RefCell::default(),
        });
        let natives: [(&CStr, ffi::lua_CFunction); 5] = [
            (c"packstring", packstring),
            (c"unpack", unpack_string),
            (c"send", send),
            (c"receive", receive),
            (c"ptr", pointer),
        ];
        // SAFETY: `memory` and `host` outlive the state, which `drop` closes first.
        unsafe {
            ffi::luaL_openlibs(raw);
            for (name, native) in natives {
                ffi::lua_pushlightuserdata(raw, (&raw const *host).cast_mut().cast());
                ffi::lua_pushcclosure(raw, native, 1);
                ffi::lua_setglobal(raw, name.as_ptr());
            }
        }
        let state = Self {
            raw,
            memory,
            host,
            arena,
        };
        state
            .run(PRELUDE.to_str().expect("source is text"))
            .expect("the prelude runs");
        state
    }

    /// Runs a chunk; its error message if it raises.
    pub(super) fn run(&self, source: &str) -> Result<(), String> {
        self.eval(source).map(drop)
    }

    /// Runs a chunk and returns its results.
    pub(super) fn eval(&self, source: &str) -> Result<Vec<Value>, String> {
        let source = CString::new(source).expect("no zero in a source");
        // SAFETY: a fresh stack above `top`, emptied again. Stack: + results or an error.
        unsafe {
            let top = ffi::lua_gettop(self.raw);
            let mut status = ffi::luaL_loadstring(self.raw, source.as_ptr());
            if status == ffi::LUA_OK {
                status = ffi::lua_pcall(self.raw, 0, ffi::LUA_MULTRET, 0);
            }
            let outcome = if status == ffi::LUA_OK {
                Ok((top + 1..=ffi::lua_gettop(self.raw))
                    .map(|index| value::read(self.raw, index))
                    .collect())
            } else {
                Err(String::from_utf8_lossy(text(self.raw, -1)).into_owned())
            };
            ffi::lua_settop(self.raw, top);
            outcome
        }
    }

    /// What `packstring(expression)` gives.
    pub(super) fn pack(&self, expression: &str) -> Result<Vec<u8>, String> {
        match self.eval(&format!("return packstring({expression})"))?.as_slice() {
            [Value::String(bytes)] => Ok(bytes.clone()),
            other => panic!("packstring gave {other:?}"),
        }
    }

    /// Packs values that Rust made.
    pub(super) fn pack_values(&self, values: &[Value]) -> Vec<u8> {
        // SAFETY: nothing limits the memory, so nothing raises. Stack: + the values, emptied again.
        unsafe {
            ffi::luaL_checkstack(self.raw, values.len() as c_int + 8, std::ptr::null());
            for value in values {
                value::push(self.raw, value);
            }
            self.host
                .packer
                .pack(self.raw, 1, values.len() as c_int, Attach::No)
                .expect("these values can be packed");
            ffi::lua_settop(self.raw, 0);
            self.host.packer.bytes().to_vec()
        }
    }

    /// Unpacks bytes; the error message if they are refused.
    pub(super) fn unpack(&self, bytes: &[u8]) -> Result<Vec<Value>, String> {
        // SAFETY: nothing limits the memory here, so nothing raises. Stack: + the values, emptied again.
        unsafe {
            let outcome = unpack(self.raw, bytes, None, &self.host.strings, self.host.recent)
                .map_err(|error| error.to_string())
                .map(|count| {
                    assert_eq!(count, ffi::lua_gettop(self.raw));
                    (1..=count).map(|index| value::read(self.raw, index)).collect()
                });
            if outcome.is_err() {
                assert_eq!(ffi::lua_gettop(self.raw), 0);
            }
            ffi::lua_settop(self.raw, 0);
            outcome
        }
    }

    /// Unpacks bytes and packs the values again, all in Lua.
    pub(super) fn repack(&self, bytes: &[u8]) -> Vec<u8> {
        // SAFETY: nothing limits the memory here, so nothing raises. Stack: + the values, emptied again.
        unsafe {
            let count = unpack(self.raw, bytes, None, &self.host.strings, self.host.recent)
                .expect("these bytes can be unpacked");
            self.host
                .packer
                .pack(self.raw, 1, count, Attach::No)
                .expect("what was unpacked can be packed");
            ffi::lua_settop(self.raw, 0);
            self.host.packer.bytes().to_vec()
        }
    }

    /// Unpacks bytes in a protected call; the error message if they are refused or memory ends.
    pub(super) fn unpack_limited(&self, bytes: &[u8]) -> Result<(), String> {
        // SAFETY: the native gets the address of `bytes`, which outlives the call. Stack: + function and argument,
        // emptied again.
        unsafe {
            ffi::lua_pushcclosure(self.raw, unpack_pointed, 0);
            ffi::lua_pushlightuserdata(self.raw, (&raw const bytes).cast_mut().cast());
            ffi::lua_pushlightuserdata(self.raw, (&raw const *self.host).cast_mut().cast());
            let status = ffi::lua_pcall(self.raw, 2, 0, 0);
            let outcome = match status {
                ffi::LUA_OK => Ok(()),
                _ => Err(String::from_utf8_lossy(text(self.raw, -1)).into_owned()),
            };
            ffi::lua_settop(self.raw, 0);
            outcome
        }
    }

    /// The blocks that were sent, which are then gone from here.
    pub(super) fn take_blocks(&self) -> Vec<BufMut> {
        self.host.blocks.take()
    }

    /// Live blocks of the arena.
    pub(super) fn live_blocks(&self) -> usize {
        self.arena.stats().live_blocks as usize
    }

    /// Bytes that the state holds after a full collection.
    pub(super) fn live_bytes(&self) -> usize {
        // SAFETY: no finalizer of these tests raises.
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCCOLLECT) };
        self.memory.used_bytes
    }

    /// Lets the state allocate this much more than it holds now.
    pub(super) fn limit(&mut self, more_bytes: usize) {
        self.memory.limit_bytes = self.memory.used_bytes.saturating_add(more_bytes);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: the state is ours and nobody uses it any more.
        unsafe { ffi::lua_close(self.raw) };
        assert_eq!(self.memory.used_bytes, 0, "the closed state left memory behind");
    }
}

/// The bytes of the string at an index.
unsafe fn text<'a>(state: *mut ffi::lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the caller uses the bytes while the string is on the stack.
    unsafe {
        let data = ffi::lua_tolstring(state, index, &mut len);
        assert!(!data.is_null(), "a string is expected");
        slice::from_raw_parts(data.cast(), len)
    }
}

unsafe fn host<'a>(state: *mut ffi::lua_State) -> &'a Host {
    // SAFETY: `State::in_arena` put the host there; it outlives the state.
    unsafe { &*ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast() }
}

/// Raises an error as a string with the position of the calling Lua code.
unsafe fn fail(state: *mut ffi::lua_State, host: &Host, error: &dyn std::fmt::Display) -> ! {
    // SAFETY: called by natives, which own nothing. The text stays in the host. Stack: + the message.
    unsafe {
        let (data, len) = {
            let mut raised = host.raised.borrow_mut();
            *raised = error.to_string();
            (raised.as_ptr(), raised.len())
        };
        ffi::luaL_where(state, 1);
        ffi::lua_pushlstring(state, data.cast(), len);
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}

/// Packs the arguments of a native.
unsafe fn pack_arguments(state: *mut ffi::lua_State, host: &Host, attach: Attach) {
    // SAFETY: a native called by Lua; nothing here has a destructor. Stack: unchanged.
    unsafe {
        match host.packer.pack(state, 1, ffi::lua_gettop(state), attach) {
            Ok(()) => {}
            Err(PackError::Raised) => ffi::lua_error(state),
            Err(error) => fail(state, host, &error),
        }
    }
}

unsafe extern "C-unwind" fn packstring(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a native called by Lua; nothing here has a destructor. Stack: + the string.
    unsafe {
        let host = host(state);
        pack_arguments(state, host, Attach::No);
        let bytes = host.packer.bytes();
        ffi::lua_pushlstring(state, bytes.as_ptr().cast::<c_char>(), bytes.len());
    }
    1
}

unsafe extern "C-unwind" fn unpack_string(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a native called by Lua; nothing here has a destructor. Stack: string, + its values.
    unsafe {
        let host = host(state);
        match unpack(state, text(state, 1), None, &host.strings, host.recent) {
            Ok(count) => count,
            Err(error) => fail(state, host, &error),
        }
    }
}

unsafe extern "C-unwind" fn send(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a native called by Lua; nothing here has a destructor where it raises. Stack: + number and size.
    unsafe {
        let host = host(state);
        pack_arguments(state, host, Attach::Yes);
        let size = host.packer.flat_len();
        let number = {
            let mut blocks = host.blocks.borrow_mut();
            let block = host.packer.to_block(7).expect("the arena has room");
            assert_eq!(flat_len(&block, block.attachments()), size);
            blocks.push(block);
            blocks.len()
        };
        ffi::lua_pushinteger(state, number as ffi::lua_Integer);
        ffi::lua_pushinteger(state, size as ffi::lua_Integer);
    }
    2
}

unsafe extern "C-unwind" fn receive(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a native called by Lua; nothing here has a destructor. The borrow of the list ends before Lua runs, the
    // block lives on: tests take none while they receive. Stack: number, + its values.
    unsafe {
        let host = host(state);
        let index = ffi::lua_tointegerx(state, 1, std::ptr::null_mut()) as usize - 1;
        let block: *const BufMut = {
            let blocks = host.blocks.borrow();
            &raw const blocks[index]
        };
        match unpack(
            state,
            &*block,
            Some(&mut (*block).attachments()),
            &host.strings,
            host.recent,
        ) {
            Ok(count) => count,
            Err(error) => fail(state, host, &error),
        }
    }
}

unsafe extern "C-unwind" fn unpack_pointed(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `unpack_limited` passes a slice and the host. Stack: their addresses, + the values.
    unsafe {
        let bytes = *ffi::lua_touserdata(state, 1).cast::<&[u8]>();
        let host = &*ffi::lua_touserdata(state, 2).cast::<Host>();
        match unpack(state, bytes, None, &host.strings, host.recent) {
            Ok(count) => count,
            Err(error) => fail(state, host, &error),
        }
    }
}

unsafe extern "C-unwind" fn pointer(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a native called by Lua. Stack: + the light userdata.
    unsafe {
        let address = ffi::lua_tointegerx(state, 1, std::ptr::null_mut()) as usize;
        ffi::lua_pushlightuserdata(state, std::ptr::without_provenance_mut(address));
    }
    1
}

#[allow(clippy::disallowed_methods)] // a Lua allocator: it must give memory back when Lua says so
unsafe extern "C" fn allocate(
    memory: *mut c_void,
    block: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
) -> *mut c_void {
    // SAFETY: `State::new` passed the counters; Lua passes what it got from here, with its size.
    unsafe {
        let memory = &mut *memory.cast::<Memory>();
        let old_bytes = if block.is_null() { 0 } else { old_bytes };
        if new_bytes > old_bytes && memory.used_bytes + (new_bytes - old_bytes) > memory.limit_bytes {
            return std::ptr::null_mut();
        }
        memory.used_bytes = memory.used_bytes - old_bytes + new_bytes;
        let old = Layout::from_size_align_unchecked(old_bytes, 16);
        match (block.is_null(), new_bytes) {
            (true, 0) => std::ptr::null_mut(),
            (true, _) => alloc::alloc(Layout::from_size_align_unchecked(new_bytes, 16)).cast(),
            (false, 0) => {
                alloc::dealloc(block.cast(), old);
                std::ptr::null_mut()
            }
            (false, _) => alloc::realloc(block.cast(), old, new_bytes).cast(),
        }
    }
}
