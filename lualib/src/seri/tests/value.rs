//! Values as tests write, read and compare them.

use std::ffi::c_int;
use std::ptr;
use std::slice;

use mlua::ffi;
use serde_json::Value as Json;

/// A Lua value. Floats are bits, so that every one equals itself; a table is its pairs in a canonical order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(u64),
    Pointer(usize),
    String(Vec<u8>),
    Table(Vec<(Value, Value)>),
}

impl Value {
    /// A value as the vectors write it. Table pairs stay in the order of the stream.
    pub(super) fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(boolean) => Self::Boolean(*boolean),
            _ => {
                let (tag, content) = json
                    .as_object()
                    .and_then(|tagged| tagged.iter().next())
                    .expect("a tag");
                let text = content.as_str().unwrap_or_default();
                match tag.as_str() {
                    "i" => Self::Integer(text.parse().expect("an integer")),
                    "f" => Self::Float(u64::from_str_radix(text, 16).expect("bits")),
                    "p" => Self::Pointer(usize::from_str_radix(text, 16).expect("an address")),
                    "s" => Self::String(from_hex(text)),
                    "t" => {
                        let items = content["a"].as_array().expect("items").iter().enumerate();
                        let items = items
                            .map(|(index, item)| (Self::Integer(index as i64 + 1), Self::from_json(item)));
                        let pairs = content["h"].as_array().expect("pairs").iter();
                        let pairs = pairs.map(|pair| (Self::from_json(&pair[0]), Self::from_json(&pair[1])));
                        Self::Table(items.chain(pairs).collect())
                    }
                    _ => panic!("unknown tag {tag}"),
                }
            }
        }
    }

    /// The form in which [`read`] gives this: pairs sorted, later ones win, nils removed.
    pub(super) fn canonical(&self) -> Self {
        let Self::Table(pairs) = self else {
            return self.clone();
        };
        let mut kept: Vec<(Value, Value)> = Vec::new();
        for (key, value) in pairs {
            let (key, value) = (key.canonical(), value.canonical());
            let same = |pair: &&mut (Value, Value)| pair.0 == key && !matches!(key, Self::Table(_));
            match kept.iter_mut().find(same) {
                Some(pair) => pair.1 = value,
                None => kept.push((key, value)),
            }
        }
        kept.retain(|pair| pair.1 != Self::Nil);
        kept.sort();
        Self::Table(kept)
    }
}

/// Bytes from hex digits.
pub(super) fn from_hex(hex: &str) -> Vec<u8> {
    let digit = |digit: &u8| (*digit as char).to_digit(16).expect("a hex digit") as u8;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| digit(&pair[0]) << 4 | digit(&pair[1]))
        .collect()
}

/// Pushes a value; tables get their pairs in order.
pub(super) unsafe fn push(state: *mut ffi::lua_State, value: &Value) {
    // SAFETY: the caller's state has no memory limit; room is made. Stack: + the value.
    unsafe {
        ffi::luaL_checkstack(state, 4, ptr::null());
        match value {
            Value::Nil => ffi::lua_pushnil(state),
            Value::Boolean(boolean) => ffi::lua_pushboolean(state, c_int::from(*boolean)),
            Value::Integer(integer) => ffi::lua_pushinteger(state, *integer),
            Value::Float(bits) => ffi::lua_pushnumber(state, f64::from_bits(*bits)),
            Value::Pointer(address) => {
                ffi::lua_pushlightuserdata(state, ptr::without_provenance_mut(*address))
            }
            Value::String(bytes) => {
                ffi::lua_pushlstring(state, bytes.as_ptr().cast(), bytes.len());
            }
            Value::Table(pairs) => {
                ffi::lua_createtable(state, 0, 0);
                for (key, value) in pairs {
                    push(state, key);
                    push(state, value);
                    ffi::lua_rawset(state, -3);
                }
            }
        }
    }
}

/// Reads the value at a positive index.
pub(super) unsafe fn read(state: *mut ffi::lua_State, index: c_int) -> Value {
    // SAFETY: the caller's index holds a value; room is made. Stack: unchanged.
    unsafe {
        ffi::luaL_checkstack(state, 4, ptr::null());
        match ffi::lua_type(state, index) {
            ffi::LUA_TNIL => Value::Nil,
            ffi::LUA_TBOOLEAN => Value::Boolean(ffi::lua_toboolean(state, index) != 0),
            ffi::LUA_TNUMBER if ffi::lua_isinteger(state, index) != 0 => {
                Value::Integer(ffi::lua_tointegerx(state, index, ptr::null_mut()))
            }
            ffi::LUA_TNUMBER => Value::Float(ffi::lua_tonumberx(state, index, ptr::null_mut()).to_bits()),
            ffi::LUA_TLIGHTUSERDATA => Value::Pointer(ffi::lua_touserdata(state, index).addr()),
            ffi::LUA_TSTRING => {
                let mut len = 0;
                let data = ffi::lua_tolstring(state, index, &mut len);
                Value::String(slice::from_raw_parts(data.cast(), len).to_vec())
            }
            ffi::LUA_TTABLE => {
                let mut pairs = Vec::new();
                let key = ffi::lua_gettop(state) + 1;
                ffi::lua_pushnil(state);
                while ffi::lua_next(state, index) != 0 {
                    pairs.push((read(state, key), read(state, key + 1)));
                    ffi::lua_settop(state, key);
                }
                pairs.sort();
                Value::Table(pairs)
            }
            other => panic!("a value of type {other} is not expected"),
        }
    }
}
