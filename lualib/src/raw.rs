//! Lua's own records, read and written in place: what every message passes through.
//!
//! A call through Lua's C interface for a field, a type or a copy costs ten times the work that it does, and a message needs
//! dozens of them. The records below are those of the Lua that is compiled into this program, 5.5.1; [`is_expected`] probes them
//! once per process, and a node does not start on a Lua that lays them out differently. Only plain reads, and writes to the
//! stack of a thread that Lua is not running, or that runs the calling native. Both are what `lua_pushvalue`, `lua_xmove` and
//! `lua_settop` do: stacks need no write barrier.
//!
//! # Invariants
//! 1. The layouts are those of the compiled Lua: `boot` refuses to go on when [`is_expected`] says no.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use mlua::ffi::{self, lua_State};

/// A value: `TValue`, and with it `StackValue`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Value {
    payload: Payload,
    tag: u8,
}

#[derive(Clone, Copy)]
#[repr(C)]
union Payload {
    integer: i64,
    float: f64,
    pointer: *mut c_void,
    function: ffi::lua_CFunction,
}

/// The beginning of every object: the next one, its kind, its mark.
type Link = *mut c_void;

/// The beginning of `lua_State`.
#[repr(C)]
struct Thread {
    _link: Link,
    _kind: [u8; 2],
    _allow_hook: u8,
    status: u8,
    top: *mut Value,
    _global: *mut c_void,
    call: *mut CallInfo,
}

/// `CallInfo`.
#[repr(C)]
struct CallInfo {
    function: *mut Value,
    _top: *mut Value,
    previous: *mut CallInfo,
    _next: *mut CallInfo,
    _continuation: [usize; 3],
    _extra: c_int,
    /// Bits 0 to 7: the number of wanted results plus one.
    status: u32,
}

/// The beginning of `Table`.
#[repr(C)]
pub(crate) struct Table {
    _link: Link,
    _kind: [u8; 2],
    _flags: u8,
    log2_nodes: u8,
    array_len: u32,
    /// The middle of the array part: values lie before it, last first; a hint of 4 bytes and the tags behind it.
    array: *mut Payload,
    nodes: *mut Node,
    metatable: *mut c_void,
}

/// `Node`.
#[repr(C)]
struct Node {
    value: Payload,
    tag: u8,
    key_tag: u8,
    /// Distance to the next node of the chain, in nodes; 0 at its end.
    next: c_int,
    key: *mut c_void,
}

/// The beginning of `TString`; a short one has its bytes in place of `content`.
#[repr(C)]
pub(crate) struct Text {
    _link: Link,
    _kind: [u8; 2],
    _extra: u8,
    /// Negative for long strings.
    short_len: i8,
    hash: u32,
    _chain: usize,
    content: [u8; 8],
}

impl Value {
    pub(crate) const NIL: Value = Value {
        payload: Payload { integer: 0 },
        tag: NIL,
    };
    pub(crate) const TRUE: Value = Value {
        payload: Payload { integer: 0 },
        tag: TRUE,
    };

    #[inline(always)]
    pub(crate) fn integer(integer: i64) -> Value {
        Value {
            payload: Payload { integer },
            tag: INTEGER,
        }
    }

    #[inline(always)]
    pub(crate) fn boolean(boolean: bool) -> Value {
        Value {
            payload: Payload { integer: 0 },
            tag: if boolean { TRUE } else { FALSE },
        }
    }

    #[inline(always)]
    pub(crate) fn light(pointer: *mut c_void) -> Value {
        Value {
            payload: Payload { pointer },
            tag: LIGHT,
        }
    }

    #[inline(always)]
    pub(crate) fn float(float: f64) -> Value {
        Value {
            payload: Payload { float },
            tag: FLOAT,
        }
    }

    /// # Safety
    /// The table is live, and stays so for as long as the value is used.
    #[inline(always)]
    pub(crate) unsafe fn table(table: *const Table) -> Value {
        Value {
            payload: Payload {
                pointer: table.cast_mut().cast(),
            },
            tag: TABLE,
        }
    }

    /// A C function without upvalues.
    #[inline(always)]
    pub(crate) fn native(function: ffi::lua_CFunction) -> Value {
        Value {
            payload: Payload { function },
            tag: NATIVE,
        }
    }

    /// Whether this is exactly that C function.
    #[inline(always)]
    pub(crate) fn is_native(self, function: ffi::lua_CFunction) -> bool {
        // SAFETY: the tag says which part of the union is there.
        self.tag == NATIVE && unsafe { ptr::fn_addr_eq(self.payload.function, function) }
    }

    #[inline(always)]
    pub(crate) fn is_nil(self) -> bool {
        self.tag & KIND == 0
    }

    /// Its type, as `lua_type` gives it.
    #[inline(always)]
    pub(crate) fn kind(self) -> c_int {
        (self.tag & KIND).into()
    }

    #[inline(always)]
    pub(crate) fn as_integer(self) -> Option<i64> {
        match self.tag {
            // SAFETY: the tag says which part of the union is there.
            INTEGER => Some(unsafe { self.payload.integer }),
            _ => None,
        }
    }

    #[inline(always)]
    pub(crate) fn as_boolean(self) -> Option<bool> {
        match self.tag {
            TRUE => Some(true),
            FALSE => Some(false),
            _ => None,
        }
    }

    /// The table; alive while Lua can reach it.
    #[inline(always)]
    pub(crate) fn as_table(self) -> Option<*const Table> {
        // SAFETY: the tag says which part of the union is there.
        (self.tag == TABLE).then(|| unsafe { self.payload.pointer }.cast::<Table>().cast_const())
    }

    /// The string, if it is one of those that are interned; alive while Lua can reach it.
    #[inline(always)]
    pub(crate) fn as_short_text(self) -> Option<*const Text> {
        // SAFETY: the tag says which part of the union is there.
        (self.tag == SHORT_TEXT).then(|| unsafe { self.payload.pointer }.cast::<Text>().cast_const())
    }
}

/// A value by its kind.
pub(crate) enum Content {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// An interned string; alive while Lua can reach it.
    ShortText(*const Text),
    /// Alive while Lua can reach it.
    Table(*const Table),
    Light(*mut c_void),
    /// A long string, a function, a userdata, a thread.
    Other,
}

impl Value {
    #[inline(always)]
    pub(crate) fn content(self) -> Content {
        // SAFETY: the tag says which part of the union is there.
        unsafe {
            match self.tag {
                INTEGER => Content::Integer(self.payload.integer),
                FLOAT => Content::Float(self.payload.float),
                SHORT_TEXT => Content::ShortText(self.payload.pointer.cast::<Text>()),
                TABLE => Content::Table(self.payload.pointer.cast::<Table>()),
                FALSE => Content::Boolean(false),
                TRUE => Content::Boolean(true),
                LIGHT => Content::Light(self.payload.pointer),
                tag if tag & KIND == 0 => Content::Nil,
                _ => Content::Other,
            }
        }
    }
}

/// The bytes of a short string.
///
/// # Safety
/// It is live, and stays so while the bytes are looked at.
#[inline(always)]
pub(crate) unsafe fn text_bytes<'a>(text: *const Text) -> &'a [u8] {
    // SAFETY: by (1): a short string has its bytes, at most 40, behind its head.
    unsafe { std::slice::from_raw_parts((&raw const (*text).content).cast(), (*text).short_len as usize) }
}

/// Whether the table has a metatable.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn has_metatable(table: *const Table) -> bool {
    // SAFETY: by (1).
    unsafe { !(*table).metatable.is_null() }
}

/// The table's metatable.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn metatable(table: *const Table) -> Option<*const Table> {
    // SAFETY: by (1).
    let metatable = unsafe { (*table).metatable };
    (!metatable.is_null()).then_some(metatable.cast::<Table>().cast_const())
}

/// The length of the array part.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn array_len(table: *const Table) -> usize {
    // SAFETY: by (1).
    unsafe { (*table).array_len as usize }
}

/// A value of the array part, by its place from 0; what is empty is nil.
///
/// # Safety
/// The table is live, and `place` is below its [`array_len`].
#[inline(always)]
pub(crate) unsafe fn item(table: *const Table, place: usize) -> Value {
    // SAFETY: by (1): values before the middle, last first; tags behind the hint.
    unsafe {
        let middle = (*table).array;
        Value {
            payload: *middle.sub(1 + place),
            tag: *middle.cast::<u8>().add(size_of::<u32>() + place),
        }
    }
}

/// Sets a number in the array part, by its place from 0. A number is no object, so the collector need not be told.
///
/// # Safety
/// The table is live, `place` is below its [`array_len`], and `number` is an integer or a float.
#[inline(always)]
pub(crate) unsafe fn set_number(table: *const Table, place: usize, number: Value) {
    // SAFETY: as for `item`.
    unsafe {
        let middle = (*table).array;
        *middle.sub(1 + place) = number.payload;
        *middle.cast::<u8>().add(size_of::<u32>() + place) = number.tag;
    }
}

/// How many places the hash part has.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn hash_len(table: *const Table) -> usize {
    // SAFETY: by (1).
    unsafe { 1 << (*table).log2_nodes }
}

/// Key and value in a place of the hash part; none where it is empty.
///
/// # Safety
/// The table is live, and `place` is below its [`hash_len`].
#[inline(always)]
pub(crate) unsafe fn entry(table: *const Table, place: usize) -> Option<(Value, Value)> {
    // SAFETY: by (1). A key whose value is empty may be dead, and is not looked at.
    unsafe {
        let node = (*table).nodes.add(place);
        if (*node).tag & KIND == 0 {
            return None;
        }
        let key = Value {
            payload: Payload { pointer: (*node).key },
            tag: (*node).key_tag,
        };
        let value = Value {
            payload: (*node).value,
            tag: (*node).tag,
        };
        Some((key, value))
    }
}

#[inline(always)]
fn thread(state: *mut lua_State) -> *mut Thread {
    state.cast()
}

/// The first argument of the running native: stack index 1.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(crate) unsafe fn base(state: *mut lua_State) -> *mut Value {
    // SAFETY: by (1) of the module; a running call has its function on the stack.
    unsafe { (*(*thread(state)).call).function.add(1) }
}

/// `lua_gettop`.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(crate) unsafe fn count(state: *mut lua_State) -> c_int {
    // SAFETY: by (1); both lie in the thread's stack.
    unsafe { (*thread(state)).top.offset_from(base(state)) as c_int }
}

/// The value at a positive index.
///
/// # Safety
/// There is a value: `index` is from 1 to [`count`].
#[inline(always)]
pub(crate) unsafe fn at(state: *mut lua_State, index: c_int) -> *mut Value {
    // SAFETY: by the caller.
    unsafe { base(state).add(index as usize - 1) }
}

/// Pushes a value.
///
/// # Safety
/// There is a free slot; the value belongs to the same Lua state.
#[inline(always)]
pub(crate) unsafe fn push(state: *mut lua_State, value: Value) {
    // SAFETY: by the caller. Stack: one value more.
    unsafe {
        let top = &raw mut (*thread(state)).top;
        **top = value;
        *top = (*top).add(1);
    }
}

/// Takes the value on top off.
///
/// # Safety
/// There is one.
#[inline(always)]
pub(crate) unsafe fn pop(state: *mut lua_State) -> Value {
    // SAFETY: by the caller. Stack: one value less.
    unsafe {
        let top = &raw mut (*thread(state)).top;
        *top = (*top).sub(1);
        **top
    }
}

/// The value on top.
///
/// # Safety
/// There is one.
#[inline(always)]
pub(crate) unsafe fn top(state: *mut lua_State) -> Value {
    // SAFETY: by the caller.
    unsafe { *(*thread(state)).top.sub(1) }
}

/// Drops the values above index `count`. For natives and threads that mark no variable to be closed.
///
/// # Safety
/// There are that many values at least.
#[inline(always)]
pub(crate) unsafe fn truncate(state: *mut lua_State, count: c_int) {
    // SAFETY: by the caller.
    unsafe { (*thread(state)).top = base(state).add(count as usize) }
}

/// `lua_status`.
///
/// # Safety
/// `state` is live.
#[inline(always)]
pub(crate) unsafe fn status(state: *mut lua_State) -> c_int {
    // SAFETY: by (1).
    unsafe { (*thread(state)).status.into() }
}

/// The number of results that the caller of the running native wants; -1 when it takes all there are. `skynet.fork(f)` and
/// `skynet.timeout(ti, f)` return a thread that nearly no program looks at: not to make it saves a kilobyte and most of the time.
///
/// # Safety
/// Called from a native that Lua called on `state`.
#[inline]
pub(crate) unsafe fn wanted_results(state: *mut lua_State) -> c_int {
    // SAFETY: by (1); the record is live while its native runs.
    unsafe { ((*(*thread(state)).call).status & 0xff) as c_int - 1 }
}

/// The field of a table whose name is a short string; nil when there is none. Metatables are not asked.
///
/// # Safety
/// Both are live, and of the same Lua state.
#[inline(always)]
pub(crate) unsafe fn field(table: *const Table, name: *const Text) -> Value {
    // SAFETY: by (1): a table has a power of two of nodes, chained inside of that array; the hash chooses the first.
    unsafe {
        let mask = (1u32 << (*table).log2_nodes) - 1;
        let mut node = (*table).nodes.add(((*name).hash & mask) as usize);
        loop {
            if (*node).key == name.cast_mut().cast() && (*node).key_tag == SHORT_TEXT {
                return Value {
                    payload: (*node).value,
                    tag: (*node).tag,
                };
            }
            match (*node).next {
                0 => {
                    return Value::NIL;
                }
                distance => node = node.offset(distance as isize),
            }
        }
    }
}

/// The value of a table under a small positive number; none when it may lie in the array part, where only Lua looks.
///
/// # Safety
/// The table is live.
#[inline(always)]
pub(crate) unsafe fn numbered(table: *const Table, number: u8) -> Option<Value> {
    // SAFETY: as for `field`; a number chooses its first node by the remainder.
    unsafe {
        if u32::from(number) <= (*table).array_len {
            return None;
        }
        let nodes = ((1u32 << (*table).log2_nodes) - 1) | 1;
        let mut node = (*table).nodes.add((u32::from(number) % nodes) as usize);
        loop {
            if (*node).key_tag == INTEGER && (*node).key.addr() == usize::from(number) {
                return Some(Value {
                    payload: (*node).value,
                    tag: (*node).tag,
                });
            }
            match (*node).next {
                0 => {
                    return Some(Value::NIL);
                }
                distance => node = node.offset(distance as isize),
            }
        }
    }
}

/// Whether the records are laid out as this file says.
pub(crate) fn is_expected() -> bool {
    static EXPECTED: OnceLock<bool> = OnceLock::new();
    *EXPECTED.get_or_init(|| {
        // SAFETY: a state of our own, closed at the end; the probes compare what they read with what they were given.
        unsafe {
            let state = ffi::luaL_newstate();
            if state.is_null() {
                return false;
            }
            let expected = ffi::lua_checkstack(state, 64) != 0 && probe_results(state) && probe_values(state);
            ffi::lua_close(state);
            expected
        }
    })
}

/// Calls with known numbers of arguments and results.
unsafe fn probe_results(state: *mut lua_State) -> bool {
    unsafe extern "C-unwind" fn probe(state: *mut lua_State) -> c_int {
        // SAFETY: a probe compares what it reads with its arguments. Stack: three results.
        unsafe {
            let expected = ffi::lua_tointegerx(state, 1, ptr::null_mut());
            let same = ffi::lua_Integer::from(wanted_results(state)) == expected
                && count(state) == ffi::lua_gettop(state)
                && (*at(state, 1)).as_integer() == Some(expected);
            for _ in 0..3 {
                ffi::lua_pushboolean(state, same.into());
            }
            ffi::lua_pushboolean(state, 1);
            ffi::lua_setglobal(state, if same { c"good".as_ptr() } else { c"bad".as_ptr() });
            3
        }
    }
    let program = c"probe(0) local a = probe(1, 0) local b, c = probe(2, 0, 0) local t = {probe(-1)}";
    // SAFETY: the caller's state has room. Stack: unchanged.
    unsafe {
        ffi::lua_pushcclosure(state, probe, 0);
        ffi::lua_setglobal(state, c"probe".as_ptr());
        let ran = ffi::luaL_loadstring(state, program.as_ptr()) == ffi::LUA_OK
            && ffi::lua_pcall(state, 0, 0, 0) == ffi::LUA_OK;
        ffi::lua_getglobal(state, c"bad".as_ptr());
        ffi::lua_getglobal(state, c"good".as_ptr());
        let good = ffi::lua_toboolean(state, -1) != 0 && ffi::lua_toboolean(state, -2) == 0;
        ffi::lua_settop(state, 0);
        ran && good
    }
}

/// Values of each kind, written here and read by Lua and the other way round; fields of a table that has grown; a suspended thread.
unsafe fn probe_values(state: *mut lua_State) -> bool {
    unsafe extern "C-unwind" fn native(state: *mut lua_State) -> c_int {
        // SAFETY: the probe yields without values.
        unsafe { ffi::lua_yieldk(state, 0, 0, None) }
    }
    // SAFETY: the caller's state has room, and memory for a small table and a thread. Stack: unchanged.
    unsafe {
        let mark = ptr::from_ref(&0u8).cast_mut().cast::<c_void>();
        let values = [
            Value::integer(-7),
            Value::TRUE,
            Value::boolean(false),
            Value::light(mark),
            Value::native(native),
        ];
        values.into_iter().for_each(|value| push(state, value));
        let mut same = ffi::lua_gettop(state) == 5
            && ffi::lua_tointegerx(state, 1, ptr::null_mut()) == -7
            && ffi::lua_isinteger(state, 1) != 0
            && ffi::lua_type(state, 2) == ffi::LUA_TBOOLEAN
            && ffi::lua_toboolean(state, 2) != 0
            && ffi::lua_type(state, 3) == ffi::LUA_TBOOLEAN
            && ffi::lua_toboolean(state, 3) == 0
            && ffi::lua_type(state, 4) == ffi::LUA_TLIGHTUSERDATA
            && ffi::lua_touserdata(state, 4) == mark
            && ffi::lua_tocfunction(state, 5)
                .is_some_and(|found| ptr::fn_addr_eq(found, native as ffi::lua_CFunction));
        ffi::lua_pushnil(state);
        same = same
            && (*at(state, 6)).is_nil()
            && !(*at(state, 1)).is_nil()
            && (*at(state, 5)).is_native(native);
        truncate(state, 1);
        same = same && ffi::lua_gettop(state) == 1;

        ffi::lua_createtable(state, 0, 0);
        for name in NAMES {
            ffi::lua_pushinteger(state, name.count_bytes() as ffi::lua_Integer);
            ffi::lua_setfield(state, 2, name.as_ptr());
        }
        ffi::lua_pushnil(state);
        ffi::lua_setfield(state, 2, NAMES[0].as_ptr());
        let table = (*at(state, 2)).as_table();
        for (place, name) in NAMES.into_iter().enumerate() {
            ffi::lua_pushstring(state, name.as_ptr());
            same = same
                && match ((*at(state, 3)).as_short_text(), table) {
                    (Some(text), Some(table)) => {
                        let found = field(table, text);
                        let bytes = std::slice::from_raw_parts(
                            (&raw const (*text).content).cast::<u8>(),
                            (*text).short_len as usize,
                        );
                        bytes == name.to_bytes()
                            && match place {
                                0 => found.is_nil(),
                                _ => found.as_integer() == Some(name.count_bytes() as i64),
                            }
                    }
                    _ => false,
                };
            truncate(state, 2);
        }
        ffi::lua_pushstring(state, c"a name that no table of ours has".as_ptr());
        same = same
            && match ((*at(state, 3)).as_short_text(), table) {
                (Some(text), Some(table)) => field(table, text).is_nil(),
                _ => false,
            };
        let far = |number: u8| number * 14 + 20;
        for number in 1..=16u8 {
            ffi::lua_pushinteger(state, number.into());
            ffi::lua_rawseti(state, 2, far(number).into());
            ffi::lua_pushinteger(state, number.into());
            ffi::lua_rawseti(state, 2, number.into());
        }
        same =
            same && (1..=16u8).all(|number| {
                let is_it = |found: Value| found.as_integer() == Some(number.into());
                table.is_some_and(|table| {
                    numbered(table, far(number)).is_some_and(is_it)
                        && numbered(table, number).is_none_or(is_it)
                })
            }) && table.is_some_and(|table| numbered(table, 17).is_some_and(Value::is_nil));
        truncate(state, 1);

        same = same && probe_walk(state);

        let suspended = ffi::lua_newthread(state);
        push(suspended, Value::native(native));
        let mut results = 0;
        same = same
            && status(suspended) == ffi::LUA_OK
            && ffi::lua_resume(suspended, state, 0, &mut results) == ffi::LUA_YIELD
            && status(suspended) == ffi::LUA_YIELD
            && !(*(*thread(suspended)).call).previous.is_null();
        ffi::lua_settop(state, 0);
        same
    }
}

/// A table with an array part that has a hole and room, a hash part with every kind of key, and a metatable or none: walked here
/// and by Lua.
unsafe fn probe_walk(state: *mut lua_State) -> bool {
    // SAFETY: the caller's state has room, and memory for a small table. Stack: unchanged.
    unsafe {
        let top = ffi::lua_gettop(state);
        let index = top + 1;
        ffi::lua_createtable(state, 7, 3);
        for place in [1, 2, 3, 5] {
            ffi::lua_pushnumber(state, place as f64 + 0.5);
            ffi::lua_rawseti(state, index, place);
        }
        let Some(table) = (*at(state, index)).as_table() else {
            return false;
        };
        for (place, number) in [(5, Value::integer(-6)), (6, Value::float(7.5))] {
            set_number(table, place, number);
            ffi::lua_rawgeti(state, index, place as i64 + 1);
            push(state, number);
            if ffi::lua_rawequal(state, -1, -2) == 0 {
                return false;
            }
            ffi::lua_pushnil(state);
            ffi::lua_rawseti(state, index, place as i64 + 1);
            ffi::lua_settop(state, index);
        }
        ffi::lua_pushboolean(state, 1);
        ffi::lua_setfield(state, index, c"flag".as_ptr());
        ffi::lua_pushinteger(state, 77);
        ffi::lua_rawseti(state, index, 1 << 40);
        ffi::lua_pushnumber(state, 2.25);
        ffi::lua_pushstring(state, c"text".as_ptr());
        ffi::lua_rawset(state, index);
        let Some(table) = (*at(state, index)).as_table() else {
            return false;
        };
        let mut same = !has_metatable(table) && array_len(table) == 7;
        let array = (0..array_len(table)).filter_map(|place| {
            let value = item(table, place);
            (!value.is_nil()).then_some((Value::integer(place as i64 + 1), value))
        });
        let hash = (0..hash_len(table)).filter_map(|place| entry(table, place));
        let mut steps = 0;
        ffi::lua_pushnil(state);
        for (key, value) in array.chain(hash) {
            if ffi::lua_next(state, index) == 0 {
                same = false;
                break;
            }
            steps += 1;
            push(state, key);
            push(state, value);
            same = same
                && value.kind() == ffi::lua_type(state, -1)
                && ffi::lua_rawequal(state, -4, -2) != 0
                && ffi::lua_rawequal(state, -3, -1) != 0
                && match value.content() {
                    Content::Float(value) => {
                        value.to_bits() == ffi::lua_tonumberx(state, -1, ptr::null_mut()).to_bits()
                    }
                    Content::ShortText(text) => text_bytes(text) == b"text",
                    Content::Integer(value) => value == 77,
                    Content::Boolean(value) => value,
                    _ => false,
                };
            ffi::lua_settop(state, index + 1);
        }
        same = same && steps == 7 && ffi::lua_next(state, index) == 0;
        ffi::lua_settop(state, index);
        same = same && metatable(table).is_none();
        ffi::lua_createtable(state, 0, 0);
        let expected = (*at(state, index + 1)).as_table();
        ffi::lua_setmetatable(state, index);
        same = same && has_metatable(table) && metatable(table) == expected;
        ffi::lua_settop(state, top);
        same
    }
}

/// Names of different lengths that share chains.
const NAMES: [&std::ffi::CStr; 12] = [
    c"a",
    c"id",
    c"pack",
    c"trace",
    c"unpack",
    c"dispatch",
    c"name",
    c"k",
    c"key",
    c"keys1",
    c"keys22",
    c"keys333",
];

const KIND: u8 = 0x0f;
const COLLECTABLE: u8 = 1 << 6;
const NIL: u8 = ffi::LUA_TNIL as u8;
const FALSE: u8 = ffi::LUA_TBOOLEAN as u8;
const TRUE: u8 = ffi::LUA_TBOOLEAN as u8 | 1 << 4;
const LIGHT: u8 = ffi::LUA_TLIGHTUSERDATA as u8;
const INTEGER: u8 = ffi::LUA_TNUMBER as u8;
const FLOAT: u8 = ffi::LUA_TNUMBER as u8 | 1 << 4;
const NATIVE: u8 = ffi::LUA_TFUNCTION as u8 | 1 << 4;
const SHORT_TEXT: u8 = ffi::LUA_TSTRING as u8 | COLLECTABLE;
const TABLE: u8 = ffi::LUA_TTABLE as u8 | COLLECTABLE;

#[cfg(test)]
mod tests {
    #[test]
    fn records_are_laid_out_as_expected() {
        assert!(super::is_expected());
    }
}
