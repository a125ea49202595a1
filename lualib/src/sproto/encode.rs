//! Lua tables as messages: the tables are walked as they are, and fields written as they are met.

use std::ffi::c_int;

use fulmar_sproto::wire::{Doubles, Integers, Item, Record, push_item};
use fulmar_sproto::{Field, Kind, MAX_DEPTH, MAX_MESSAGE_BYTES, Shape, Type};
use mlua::ffi::{self, lua_State};

use super::schemas::Shared;
use super::types::push_name;
use crate::raw;
use crate::stack::{self, Failure};

/// One run of the encoder. Holds no value with a destructor: reading a table may end in a long jump.
pub(super) struct Encoder<'a> {
    pub(super) state: *mut lua_State,
    pub(super) shared: &'a Shared,
    /// Index of the table of names.
    pub(super) names: c_int,
    /// The buffer that the message is appended to.
    pub(super) out: *mut Vec<u8>,
}

/// A value to be written as a structure.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    index: c_int,
    /// Where the names of its fields are on the stack, one after the other, if they are.
    names: Option<c_int>,
}

impl Subject {
    pub(super) fn new(index: c_int) -> Subject {
        Subject { index, names: None }
    }
}

impl Encoder<'_> {
    /// The buffer, for as long as nothing of Lua is called.
    #[expect(
        clippy::mut_from_ref,
        reason = "the buffer is this run's own; no two borrows overlap a call"
    )]
    unsafe fn out(&self) -> &mut Vec<u8> {
        // SAFETY: the buffer is this native's own (`Buffers`), and stays in place.
        unsafe { &mut *self.out }
    }

    /// Writes a value as type `of`. `level` counts structures from 1.
    ///
    /// # Safety
    /// The indices of `value` are absolute. May raise.
    pub(super) unsafe fn structure(&self, of: usize, value: Subject, level: usize) -> Result<(), Failure> {
        let (of, fields, first) = self.shared.of(of);
        let Subject { index, names } = value;
        // SAFETY: room is made; nothing with a destructor is alive when Lua is called. Stack: unchanged at the end.
        unsafe {
            self.enter(of, level)?;
            let table = self.plain_table(index);
            let mut record = Record::begin(self.out(), of.max_words());
            let top = ffi::lua_gettop(self.state);
            for (fields, number) in fields.chunks(BATCH).zip((0..).step_by(BATCH)) {
                for (field, number) in fields.iter().zip(number..) {
                    let name = match names {
                        Some(names) => *raw::at(self.state, names + number as c_int),
                        None => {
                            push_name(self.state, self.names, first + number, field.name());
                            raw::pop(self.state)
                        }
                    };
                    let found = self.look_up(index, table, name);
                    if found != ffi::LUA_TNIL {
                        self.field(of, field, found, &mut record, level)?;
                    }
                }
                raw::truncate(self.state, top);
            }
            record.finish(self.out());
        }
        self.room(0)
    }

    /// Pushes the value under `name`, if there is one; gives its Lua type. `table` is the value at `index` when it is a table
    /// without a metatable.
    #[inline]
    unsafe fn look_up(&self, index: c_int, table: Option<*const raw::Table>, name: raw::Value) -> c_int {
        // SAFETY: table and name are on the stack or, for the name, in the table of names. Stack: a value more, or none.
        unsafe {
            if let (Some(table), Some(text)) = (table, name.as_short_text()) {
                let value = raw::field(table, text);
                if value.is_nil() {
                    return ffi::LUA_TNIL;
                }
                raw::push(self.state, value);
                return value.kind();
            }
            raw::push(self.state, name);
            ffi::lua_gettable(self.state, index)
        }
    }

    unsafe fn enter(&self, of: &Type, level: usize) -> Result<(), Failure> {
        if level > MAX_DEPTH && !of.fields().is_empty() {
            return Err("The table is too deep".into());
        }
        // For every structure anew: how much lies below it differs from one to the next of the same level.
        // SAFETY: does not raise. Stack: unchanged.
        match unsafe { ffi::lua_checkstack(self.state, ROOM) } {
            0 => Err("stack overflow".into()),
            _ => Ok(()),
        }
    }

    /// The value at `index` when it is a table without a metatable: it can be read in place.
    #[inline]
    unsafe fn plain_table(&self, index: c_int) -> Option<*const raw::Table> {
        // SAFETY: the value is on the stack. Stack: unchanged.
        unsafe {
            (*raw::at(self.state, index))
                .as_table()
                .filter(|table| !raw::has_metatable(*table))
        }
    }

    /// Writes the value on top, which is not nil, as a field. `found` is its Lua type.
    #[inline]
    unsafe fn field(
        &self,
        of: &Type,
        field: &Field,
        found: c_int,
        record: &mut Record,
        level: usize,
    ) -> Result<(), Failure> {
        let tag = field.tag();
        // SAFETY: as in `structure`. Stack: unchanged.
        unsafe {
            match (field.shape(), field.kind()) {
                (Shape::One, Kind::Integer) => {
                    let value = self.integer(of, field, 0)?;
                    record.integer(self.out(), tag, value);
                }
                (Shape::One, Kind::Decimal(_)) => {
                    let value = self.decimal(field);
                    record.integer(self.out(), tag, value);
                }
                (Shape::One, Kind::Double) => {
                    let value = ffi::lua_tonumberx(self.state, -1, std::ptr::null_mut());
                    record.double(self.out(), tag, value);
                }
                (Shape::One, Kind::Boolean) => {
                    if found != ffi::LUA_TBOOLEAN {
                        return Err(self.wrong(of, field, 0, "a boolean"));
                    }
                    record.boolean(self.out(), tag, ffi::lua_toboolean(self.state, -1) != 0);
                }
                (Shape::One, Kind::String | Kind::Binary) => {
                    let value = self.string(of, field, 0, found)?;
                    record.bytes(self.out(), tag, value);
                }
                (Shape::One, Kind::Struct(index)) => {
                    let item = record.begin_item(self.out(), tag);
                    self.structure(index, Subject::new(ffi::lua_gettop(self.state)), level + 1)?;
                    item.end(self.out());
                }
                (Shape::Array, _) => {
                    let item = record.begin_item(self.out(), tag);
                    self.array(of, field, level)?;
                    item.end(self.out());
                }
                (Shape::Keyed { .. } | Shape::Pairs, _) => {
                    let item = record.begin_item(self.out(), tag);
                    self.map(of, field, level)?;
                    item.end(self.out());
                }
            }
        }
        Ok(())
    }

    /// Writes the elements 1, 2, ... of the value on top, up to the first nil.
    unsafe fn array(&self, of: &Type, field: &Field, level: usize) -> Result<(), Failure> {
        // SAFETY: as in `structure`. Stack: unchanged; one element above the table at a time.
        unsafe {
            let table = ffi::lua_gettop(self.state);
            let plain = self.plain_table(table);
            if plain.is_none() && !self.is_indexable(table) {
                return Err(self.no_table(of, field, table));
            }
            let names = self.push_element_names(field.kind());
            let base = ffi::lua_gettop(self.state);
            let mut integers = Integers::begin(self.out());
            let mut doubles = Doubles::default();
            let mut place = 1;
            loop {
                let found = match plain {
                    Some(plain) if (place as usize) <= raw::array_len(plain) => {
                        let value = raw::item(plain, place as usize - 1);
                        raw::push(self.state, value);
                        value.kind()
                    }
                    Some(_) => ffi::lua_rawgeti(self.state, table, place),
                    None => ffi::lua_geti(self.state, table, place),
                };
                if found == ffi::LUA_TNIL {
                    break;
                }
                match field.kind() {
                    Kind::Integer => {
                        let value = self.integer(of, field, place)?;
                        integers.push(self.out(), value);
                    }
                    Kind::Decimal(_) => {
                        let value = self.decimal(field);
                        integers.push(self.out(), value);
                    }
                    Kind::Double => {
                        let value = ffi::lua_tonumberx(self.state, -1, std::ptr::null_mut());
                        doubles.push(self.out(), value);
                    }
                    Kind::Boolean => {
                        if found != ffi::LUA_TBOOLEAN {
                            return Err(self.wrong(of, field, place, "a boolean"));
                        }
                        self.out().push(u8::from(ffi::lua_toboolean(self.state, -1) != 0));
                    }
                    Kind::String | Kind::Binary => {
                        let value = self.string(of, field, place, found)?;
                        push_item(self.out(), value);
                    }
                    Kind::Struct(index) => {
                        let item = Item::begin(self.out());
                        let value = Subject {
                            index: base + 1,
                            names,
                        };
                        self.structure(index, value, level + 1)?;
                        item.end(self.out());
                    }
                }
                self.room(0)?;
                raw::truncate(self.state, base);
                place += 1;
            }
            ffi::lua_settop(self.state, table);
        }
        Ok(())
    }

    /// Pushes the names of a structure's fields, so that its elements find them on the stack; gives the place of the first.
    unsafe fn push_element_names(&self, kind: Kind) -> Option<c_int> {
        let Kind::Struct(index) = kind else { return None };
        let (_, fields, first) = self.shared.of(index);
        if fields.len() > BATCH {
            return None;
        }
        // SAFETY: as in `structure`. Stack: the names.
        unsafe {
            let place = ffi::lua_gettop(self.state) + 1;
            for (number, field) in (first..).zip(fields) {
                push_name(self.state, self.names, number, field.name());
            }
            Some(place)
        }
    }

    /// Writes the entries of the value on top, in the order in which it gives them.
    unsafe fn map(&self, of: &Type, field: &Field, level: usize) -> Result<(), Failure> {
        // SAFETY: as in `structure`. Stack: unchanged at the end; above the table the iterator's triple (or nothing), then key
        // and value.
        unsafe {
            let table = ffi::lua_gettop(self.state);
            if ffi::luaL_getmetafield(self.state, table, c"__pairs".as_ptr()) != ffi::LUA_TNIL {
                ffi::lua_pushvalue(self.state, table);
                ffi::lua_callk(self.state, 1, 3, 0, None);
                let control = table + 3;
                loop {
                    ffi::lua_pushvalue(self.state, table + 1);
                    ffi::lua_pushvalue(self.state, table + 2);
                    ffi::lua_pushvalue(self.state, control);
                    ffi::lua_callk(self.state, 2, 2, 0, None);
                    if ffi::lua_type(self.state, control + 1) == ffi::LUA_TNIL {
                        break;
                    }
                    self.entry(field, control + 1, level)?;
                    ffi::lua_copy(self.state, control + 1, control);
                    ffi::lua_settop(self.state, control);
                }
            } else if ffi::lua_type(self.state, table) == ffi::LUA_TTABLE {
                ffi::lua_pushnil(self.state);
                while ffi::lua_next(self.state, table) != 0 {
                    self.entry(field, table + 1, level)?;
                    ffi::lua_settop(self.state, table + 1);
                }
            } else {
                return Err(self.no_table(of, field, table));
            }
            ffi::lua_settop(self.state, table);
        }
        Ok(())
    }

    /// Writes an entry of a map, whose key is at `key` and whose value is on top.
    unsafe fn entry(&self, field: &Field, key: c_int, level: usize) -> Result<(), Failure> {
        let Kind::Struct(index) = field.kind() else {
            return Ok(());
        };
        // SAFETY: as in `structure`. Stack: unchanged.
        unsafe {
            let item = Item::begin(self.out());
            if field.shape() == Shape::Pairs {
                let (element, fields, _) = self.shared.of(index);
                self.enter(element, level + 1)?;
                let mut record = Record::begin(self.out(), element.max_words());
                for (place, field) in fields.iter().enumerate().take(2) {
                    ffi::lua_pushvalue(self.state, key + place as c_int);
                    let found = ffi::lua_type(self.state, -1);
                    if found != ffi::LUA_TNIL {
                        self.field(element, field, found, &mut record, level + 1)?;
                    }
                    ffi::lua_settop(self.state, -2);
                }
                record.finish(self.out());
            } else {
                let value = Subject::new(key + 1);
                self.structure(index, value, level + 1)?;
            }
            item.end(self.out());
        }
        self.room(0)
    }

    /// The value on top as an integer.
    #[inline]
    unsafe fn integer(&self, of: &Type, field: &Field, place: ffi::lua_Integer) -> Result<i64, Failure> {
        // SAFETY: the value is on top. Stack: unchanged.
        if let Some(value) = unsafe { raw::top(self.state) }.as_integer() {
            return Ok(value);
        }
        let mut is_integer = 0;
        // SAFETY: converts in registers only. Stack: unchanged.
        let value = unsafe { ffi::lua_tointegerx(self.state, -1, &mut is_integer) };
        if is_integer == 0 {
            return Err(self.wrong(of, field, place, "an integer"));
        }
        Ok(value)
    }

    /// The value on top as the integer that stands for it; what is no number counts as 0, as in the reference.
    unsafe fn decimal(&self, field: &Field) -> i64 {
        // SAFETY: converts in registers only. Stack: unchanged.
        let value = unsafe { ffi::lua_tonumberx(self.state, -1, std::ptr::null_mut()) };
        (value * field.kind().scale()).round() as i64
    }

    /// The bytes of the string on top, whose Lua type is `found`.
    #[inline]
    unsafe fn string(
        &self,
        of: &Type,
        field: &Field,
        place: ffi::lua_Integer,
        found: c_int,
    ) -> Result<&[u8], Failure> {
        if found != ffi::LUA_TSTRING {
            return Err(self.wrong(of, field, place, "a string"));
        }
        // SAFETY: the value is on top, and stays there while it is copied. Stack: unchanged.
        if let Some(text) = unsafe { raw::top(self.state) }.as_short_text() {
            self.room(0)?;
            // SAFETY: as above.
            return Ok(unsafe { raw::text_bytes(text) });
        }
        let mut len = 0;
        // SAFETY: `lua_tolstring` of a string does not convert or allocate; the string stays on the stack while it is copied.
        // Stack: unchanged.
        let bytes = unsafe {
            let data = ffi::lua_tolstring(self.state, -1, &mut len);
            std::slice::from_raw_parts(data.cast::<u8>(), len)
        };
        self.room(len)?;
        Ok(bytes)
    }

    /// Whether `len` more bytes may follow.
    #[inline]
    fn room(&self, len: usize) -> Result<(), Failure> {
        // SAFETY: a look at the length, while nothing of Lua runs.
        let held = unsafe { self.out() }.len();
        if held + len > MAX_MESSAGE_BYTES {
            return Err(too_large());
        }
        Ok(())
    }

    /// Whether the value is a table, or a userdata that can be read like one.
    unsafe fn is_indexable(&self, index: c_int) -> bool {
        // SAFETY: there is room; may raise a memory error with nothing owned. Stack: unchanged.
        unsafe {
            match ffi::lua_type(self.state, index) {
                ffi::LUA_TTABLE => true,
                ffi::LUA_TUSERDATA => {
                    let found = ffi::luaL_getmetafield(self.state, index, c"__index".as_ptr());
                    if found != ffi::LUA_TNIL {
                        ffi::lua_settop(self.state, -2);
                    }
                    found != ffi::LUA_TNIL
                }
                _ => false,
            }
        }
    }

    #[cold]
    fn wrong(&self, of: &Type, field: &Field, place: ffi::lua_Integer, expected: &str) -> Failure {
        // SAFETY: reads a type. Stack: unchanged.
        let found = unsafe { stack::type_name(self.state, -1) };
        format!(
            "{}.{}[{place}] is not {expected} (Is a {found})",
            of.name(),
            field.name()
        )
        .into()
    }

    #[cold]
    fn no_table(&self, of: &Type, field: &Field, index: c_int) -> Failure {
        let found = if field.shape() == Shape::Pairs {
            // The reference says so of everything.
            "table"
        } else {
            // SAFETY: reads a type. Stack: unchanged.
            unsafe { stack::type_name(self.state, index) }
        };
        let (of, field) = (of.name(), field.name());
        format!("{of}.{field}(1) should be a table or an userdata with metamethods (Is a {found})").into()
    }
}

#[cold]
pub(super) fn too_large() -> Failure {
    format!("object is too large (>{MAX_MESSAGE_BYTES})").into()
}

/// So many values of fields gather on the stack before they are popped together.
const BATCH: usize = 16;

/// Stack slots that a structure needs: a batch of values, the names of an array's elements, and for maps an iterator's triple
/// and its next step.
const ROOM: c_int = 2 * BATCH as c_int + 12;
