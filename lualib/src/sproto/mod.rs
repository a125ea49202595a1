//! `sproto.core`: the codec of crate `fulmar-sproto` on Lua tables, without trees in between.
//!
//! A schema lives in the node (`schemas`), shared by whoever has its token; a type (`types`) is a userdata that keeps its
//! schema alive. Messages are written into the service's `buffers` and leave as strings.

mod decode;
mod default;
mod encode;
mod schemas;
mod types;

use std::ffi::{CStr, c_int};
use std::io::Write as _;
use std::ptr;
use std::sync::Arc;

use fulmar_sproto::{Response, Schema};
use mlua::ffi::{self, lua_State};

use self::decode::Decoder;
use self::encode::{Encoder, Subject};
use self::schemas::{PLACES, Shared, Token};
use self::types::TypeArgument;
use crate::core::with_block;
use crate::stack::{self, Failure, Outcome, native};
use crate::vm::Vm;

pub(crate) use self::schemas::Schemas;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"parse", parse),
    (c"newproto", newproto),
    (c"deleteproto", deleteproto),
    (c"dumpproto", dumpproto),
    (c"querytype", querytype),
    (c"protocol", protocol),
    (c"encode", encode),
    (c"decode", decode),
    (c"default", default),
    (c"pack", pack),
    (c"unpack", unpack),
    (c"saveproto", saveproto),
    (c"loadproto", loadproto),
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

/// The node's schemas.
unsafe fn schemas<'a>(state: *mut lua_State) -> &'a Schemas {
    // SAFETY: the node outlives every state of it.
    unsafe { &Vm::node_of(state).schemas }
}

/// The schema that the token at index 1 stands for.
unsafe fn token(state: *mut lua_State) -> Token {
    // SAFETY: reads a pointer. Stack: unchanged.
    unsafe {
        match ffi::lua_type(state, 1) {
            ffi::LUA_TLIGHTUSERDATA => ffi::lua_touserdata(state, 1).addr(),
            _ => 0,
        }
    }
}

unsafe fn schema_argument(state: *mut lua_State) -> Result<Arc<Shared>, Failure> {
    // SAFETY: as above.
    let shared = unsafe { schemas(state).get(token(state)) };
    shared.ok_or_else(|| "bad argument #1 (Need a sproto object)".into())
}

/// The token of the schema at index 1, and how many fields it has.
unsafe fn measure(state: *mut lua_State) -> Result<(Token, u32), Failure> {
    // SAFETY: as above.
    unsafe { Ok((token(state), schema_argument(state)?.fields())) }
}

unsafe fn push_token(state: *mut lua_State, token: Token) {
    // SAFETY: a light userdata needs no memory. Stack: one value more.
    unsafe { ffi::lua_pushlightuserdata(state, ptr::without_provenance_mut(token)) };
}

native! {
    /// `parse(text [, name]) -> bundle`
    fn parse(state) {
        // SAFETY: argument checks come first; the bundle moves into the service's buffer before it is pushed. Stack: one
        // result.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            ffi::luaL_optlstring(state, 2, c"=text".as_ptr(), ptr::null_mut());
            let text = stack::text_at(state, 1).unwrap_or_default();
            let name = stack::text_at(state, 2).unwrap_or_else(|| "=text".to_owned());
            let schema = fulmar_sproto::parse(&text, &name)
                .map_err(|error| format!("{error}\n{}", error.excerpt()))?;
            let buffers = &raw mut (*Vm::of(state)).buffers;
            let out = (*buffers).enter();
            *out = schema.to_bundle();
            drop((text, name, schema));
            stack::push_bytes(state, &*out);
            (*buffers).leave();
            Ok(1)
        }
    }
}

native! {
    /// `newproto(bundle) -> cobj | nil, reason`
    fn newproto(state) {
        // SAFETY: the check comes first; the reason moves into the service's memory. Stack: at most two results.
        unsafe {
            ffi::luaL_checklstring(state, 1, ptr::null_mut());
            match Schema::from_bundle(stack::bytes_at(state, 1).unwrap_or_default()) {
                Ok(schema) => {
                    push_token(state, schemas(state).add(schema));
                    Ok(1)
                }
                Err(reason) => {
                    ffi::lua_pushnil(state);
                    stack::push_text(state, reason.to_string());
                    Ok(2)
                }
            }
        }
    }
}

native! {
    /// `deleteproto(cobj)`: does nothing the second time
    fn deleteproto(state) {
        // SAFETY: no Lua code runs.
        unsafe {
            if ffi::lua_type(state, 1) != ffi::LUA_TLIGHTUSERDATA {
                return Err("bad argument #1 (Need a sproto object)".into());
            }
            schemas(state).remove(token(state));
            Ok(0)
        }
    }
}

native! {
    /// `dumpproto(cobj)`: prints the schema.
    fn dumpproto(state) {
        // SAFETY: no Lua code runs.
        unsafe {
            let shared = schema_argument(state)?;
            // Nobody to tell when the output is closed.
            let _ = write!(std::io::stdout().lock(), "{}", shared.schema());
            Ok(0)
        }
    }
}

native! {
    /// `querytype(cobj, name) -> type | nothing`
    fn querytype(state) {
        // SAFETY: the userdata is made before anything is owned. Stack: at most one result.
        unsafe {
            ffi::luaL_checklstring(state, 2, ptr::null_mut());
            let (token, fields) = measure(state)?;
            let place = types::push_empty(state, token, fields);
            let shared = schema_argument(state)?;
            let name = std::str::from_utf8(stack::bytes_at(state, 2).unwrap_or_default()).unwrap_or_default();
            let Some(index) = shared.schema().type_index(name) else {
                return Ok(0);
            };
            (*place).index = index;
            (*place).shared = Some(shared);
            Ok(1)
        }
    }
}

native! {
    /// `protocol(cobj, name | tag) -> tag | name, request, response`
    fn protocol(state) {
        // SAFETY: the userdata are made before anything is owned; the name belongs to the schema, which they keep. Stack: at
        // most three results.
        unsafe {
            let by_tag = match ffi::lua_type(state, 2) {
                ffi::LUA_TNUMBER => true,
                ffi::LUA_TSTRING => false,
                _ => return Err("bad argument #2 (Should be number or string)".into()),
            };
            ffi::lua_settop(state, 2);
            let (token, fields) = measure(state)?;
            let request = types::push_empty(state, token, fields);
            let response = types::push_empty(state, token, fields);
            let shared = schema_argument(state)?;
            let schema = shared.schema();
            let found = if by_tag {
                schema.protocol_tagged(ffi::lua_tointegerx(state, 2, ptr::null_mut()))
            } else {
                schema.protocol_named(std::str::from_utf8(stack::bytes_at(state, 2).unwrap_or_default()).unwrap_or_default())
            };
            let Some(found) = found else { return Ok(0) };
            let fill = |place: *mut types::TypeRef, index| {
                (*place).index = index;
                (*place).shared = Some(Arc::clone(&shared));
            };
            match found.request() {
                Some(index) => fill(request, index),
                None => {
                    ffi::lua_pushnil(state);
                    ffi::lua_replace(state, 3);
                }
            }
            match found.response() {
                Response::Type(index) => fill(response, index),
                Response::Empty => {
                    ffi::lua_pushlightuserdata(state, ptr::null_mut());
                    ffi::lua_replace(state, 4);
                }
                Response::None => {
                    ffi::lua_pushnil(state);
                    ffi::lua_replace(state, 4);
                }
            }
            if by_tag {
                let name = found.name().to_owned();
                drop(shared);
                stack::push_text(state, name);
            } else {
                ffi::lua_pushinteger(state, found.tag().into());
            }
            ffi::lua_insert(state, 3);
            Ok(3)
        }
    }
}

/// The schema and the index of the type at index 1. The schema lives as long as the userdata is on the stack.
unsafe fn type_at<'a>(argument: *const types::TypeRef) -> Option<(&'a Shared, usize)> {
    // SAFETY: `types::argument` gave the pointer; the caller leaves the userdata where it is.
    unsafe {
        let shared = (*argument).shared.as_ref()?;
        Some((&*Arc::as_ptr(shared), (*argument).index))
    }
}

native! {
    /// `encode(type, value) -> string`
    fn encode(state) {
        // SAFETY: see `with_encoded`. Stack: one result.
        unsafe {
            with_encoded(state, |bytes| {
                stack::push_bytes(state, bytes);
                Ok(1)
            })
        }
    }
}

/// Runs `take` on the encoding of the value at index 2 by the type at index 1.
///
/// # Safety
/// `take` may raise: it owns nothing then. It runs no natives that write into buffers.
pub(crate) unsafe fn with_encoded(state: *mut lua_State, take: impl FnOnce(&[u8]) -> Outcome) -> Outcome {
    // SAFETY: the type stays at index 1, so the schema stays; nothing with a destructor is alive. Stack: the names at 3, then
    // what `take` pushes.
    unsafe {
        let TypeArgument::Type(argument) = types::argument(state, 1)? else {
            if ffi::lua_isnoneornil(state, 2) == 0 {
                let found = stack::type_name(state, 2);
                return Err(format!("bad argument #2 to 'encode' (nil expected, got {found})").into());
            }
            return take(b"");
        };
        let Some((shared, index)) = type_at(argument) else {
            return Ok(0);
        };
        ffi::lua_settop(state, 2);
        ffi::lua_getiuservalue(state, 1, 1);
        let buffers = &raw mut (*Vm::of(state)).buffers;
        let out = (*buffers).enter();
        let encoder = Encoder {
            state,
            shared,
            names: 3,
            out,
        };
        let encoded = encoder.structure(index, Subject::new(2), 1);
        let outcome = encoded.and_then(|()| take(&*out));
        (*buffers).leave();
        outcome
    }
}

native! {
    /// `decode(type, string | pointer, size [, into]) -> value, used`
    fn decode(state) {
        // SAFETY: as in `encode`; the message is a string on the stack or a block in `reading`. Stack: the table to fill at 4,
        // the names at 5, then the value.
        unsafe {
            let TypeArgument::Type(argument) = types::argument(state, 1)? else { return Ok(0) };
            let Some((shared, index)) = type_at(argument) else { return Ok(0) };
            ffi::lua_settop(state, 4);
            if ffi::lua_type(state, 2) == ffi::LUA_TSTRING && ffi::lua_type(state, 3) == ffi::LUA_TTABLE {
                ffi::lua_copy(state, 3, 4);
            }
            ffi::lua_getiuservalue(state, 1, 1);
            with_message(state, 2, "bad argument #2 to 'decode' (Need a string or userdata)", |message| {
                let decoder = Decoder { state, shared, names: 5 };
                let rest = if ffi::lua_type(state, 4) == ffi::LUA_TTABLE {
                    ffi::lua_pushvalue(state, 4);
                    decoder.fill(index, message)?
                } else {
                    decoder.structure(index, message, 1)?
                };
                ffi::lua_pushinteger(state, (message.len() - rest.len()) as ffi::lua_Integer);
                Ok(2)
            })
        }
    }
}

native! {
    /// `default(type) -> value`
    fn default(state) {
        // SAFETY: as in `encode`. Stack: the names at 2, one result.
        unsafe {
            let TypeArgument::Type(argument) = types::argument(state, 1)? else {
                return Err("bad argument #1 (Need a sproto_type object)".into());
            };
            let Some((shared, index)) = type_at(argument) else { return Ok(0) };
            ffi::lua_settop(state, 1);
            ffi::lua_getiuservalue(state, 1, 1);
            default::push(state, shared, 2, index);
            Ok(1)
        }
    }
}

native! {
    /// `pack(string | pointer, size) -> string`
    fn pack(state) {
        // SAFETY: see `recode`.
        unsafe {
            recode(state, "bad argument #1 to 'sproto.core.pack' (Need a string or userdata)", |bytes, out| {
                // What the reference reserves, without the padding of the last group.
                if bytes.len() + 2 * bytes.len().div_ceil(2048) + 2 > fulmar_sproto::MAX_MESSAGE_BYTES {
                    return Err(encode::too_large());
                }
                fulmar_sproto::pack(bytes, out);
                Ok(())
            })
        }
    }
}

native! {
    /// `unpack(string | pointer, size) -> string`
    fn unpack(state) {
        // SAFETY: see `recode`.
        unsafe {
            recode(state, "bad argument #1 to 'sproto.core.unpack' (Need a string or userdata)", |bytes, out| {
                fulmar_sproto::unpack(bytes, out).map_err(|error| error.to_string().into())
            })
        }
    }
}

/// Turns the bytes at index 1 into others. `work` runs no Lua code.
unsafe fn recode(
    state: *mut lua_State,
    refusal: &'static str,
    work: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<(), Failure>,
) -> Outcome {
    // SAFETY: the buffer is the service's; nothing is owned when the result is pushed. Stack: one result.
    unsafe {
        with_message(state, 1, refusal, |bytes| {
            let buffers = &raw mut (*Vm::of(state)).buffers;
            let out = (*buffers).enter();
            let result = work(bytes, &mut *out);
            if result.is_ok() {
                stack::push_bytes(state, &*out);
            }
            (*buffers).leave();
            result.map(|()| 1)
        })
    }
}

/// Runs `read` on the bytes at `index`: a string; a block that this service owns, with its size behind it; or a userdata.
unsafe fn with_message(
    state: *mut lua_State,
    index: c_int,
    refusal: &'static str,
    read: impl FnOnce(&[u8]) -> Outcome,
) -> Outcome {
    // SAFETY: the bytes stay where they are while the value is on the stack, or the block in `reading`; `read` owns nothing
    // when it raises.
    unsafe {
        match ffi::lua_type(state, index) {
            ffi::LUA_TSTRING => read(stack::bytes_at(state, index).unwrap_or_default()),
            ffi::LUA_TUSERDATA => {
                let held = ffi::lua_rawlen(state, index) as usize;
                let data = ffi::lua_touserdata(state, index).cast::<u8>().cast_const();
                let asked = ffi::luaL_optinteger(state, index + 1, held as ffi::lua_Integer);
                let len = usize::try_from(asked).unwrap_or(0).min(held);
                read(std::slice::from_raw_parts(data, len))
            }
            ffi::LUA_TLIGHTUSERDATA => with_block(state, index, read),
            _ => Err(refusal.into()),
        }
    }
}

/// The place of `sprotoloader` at `index`.
unsafe fn place(state: *mut lua_State, index: c_int) -> Result<usize, Failure> {
    // SAFETY: the check may raise; nothing is owned. Stack: unchanged.
    let asked = unsafe { ffi::luaL_optinteger(state, index, 0) };
    match usize::try_from(asked) {
        Ok(place) if place < PLACES => Ok(place),
        _ => Err(format!("Invalid global slot index {asked}").into()),
    }
}

native! {
    /// `saveproto(cobj, index)`
    fn saveproto(state) {
        // SAFETY: no Lua code runs once the place is read.
        unsafe {
            let place = place(state, 2)?;
            if !schemas(state).save(token(state), place) {
                return Err("bad argument #1 (Need a sproto object)".into());
            }
            Ok(0)
        }
    }
}

native! {
    /// `loadproto(index) -> cobj`
    fn loadproto(state) {
        // SAFETY: no Lua code runs once the place is read. Stack: one result.
        unsafe {
            let place = place(state, 1)?;
            let Some(token) = schemas(state).load(place) else {
                return Err(format!("nil sproto at index {place}").into());
            };
            push_token(state, token);
            Ok(1)
        }
    }
}
