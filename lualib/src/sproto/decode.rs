//! Messages as Lua tables, made in their final size.

use std::ffi::c_int;

use fulmar_sproto::wire::{Fields, Slot};
use fulmar_sproto::{DecodeCause, Field, Kind, MAX_DEPTH, Shape, Type, WireError};
use mlua::ffi::{self, lua_State};

use super::schemas::Shared;
use super::types::push_name;
use crate::stack::{self, Failure};

/// One run of the decoder. Holds no value with a destructor: making a table may end in a long jump.
pub(super) struct Decoder<'a> {
    pub(super) state: *mut lua_State,
    pub(super) shared: &'a Shared,
    /// Index of the table of names.
    pub(super) names: c_int,
}

impl Decoder<'_> {
    /// Reads a message of type `of` into the table on top; gives the bytes behind it.
    ///
    /// # Safety
    /// May raise: memory errors, and whatever metamethods of a program's own table raise.
    pub(super) unsafe fn fill<'m>(&self, of: usize, message: &'m [u8]) -> Result<&'m [u8], Failure> {
        let fields = Fields::new(message).map_err(plain)?;
        // SAFETY: by the caller. Stack: unchanged.
        unsafe {
            let raw = ffi::lua_getmetatable(self.state, -1) == 0;
            if !raw {
                ffi::lua_settop(self.state, -2);
            }
            self.fields(of, fields, 1, raw)
        }
    }

    /// Pushes a message of type `of` as a new table; gives the bytes behind it.
    ///
    /// # Safety
    /// As for [`Decoder::fill`].
    pub(super) unsafe fn structure<'m>(
        &self,
        of: usize,
        message: &'m [u8],
        level: usize,
    ) -> Result<&'m [u8], Failure> {
        let fields = Fields::new(message).map_err(plain)?;
        let room = fields.words_left().min(self.shared.of(of).1.len());
        // SAFETY: room is made. Stack: one table more.
        unsafe {
            if ffi::lua_checkstack(self.state, ROOM) == 0 {
                return Err("stack overflow".into());
            }
            ffi::lua_createtable(self.state, 0, room as c_int);
            self.fields(of, fields, level, true)
        }
    }

    /// Reads fields into the table on top.
    unsafe fn fields<'m>(
        &self,
        of: usize,
        mut fields: Fields<'m>,
        level: usize,
        raw: bool,
    ) -> Result<&'m [u8], Failure> {
        let (of, _, first) = self.shared.of(of);
        // SAFETY: the table is on top. Stack: unchanged; name and value of one field at a time above the table.
        unsafe {
            while let Some((tag, slot)) = fields.next_field().map_err(plain)? {
                let Some((place, field)) = of.field_tagged(tag) else {
                    continue;
                };
                if level > MAX_DEPTH {
                    return Err(too_deep());
                }
                push_name(self.state, self.names, first + place as u32, field.name());
                self.field(of, field, slot, level)?;
                if raw {
                    ffi::lua_rawset(self.state, -3);
                } else {
                    ffi::lua_settable(self.state, -3);
                }
            }
        }
        Ok(fields.rest())
    }

    /// Pushes the value of a field.
    #[inline]
    unsafe fn field(&self, of: &Type, field: &Field, slot: Slot<'_>, level: usize) -> Result<(), Failure> {
        let state = self.state;
        let at = |error: WireError| located(of, field, error);
        // SAFETY: there is room for the value and what it is made of. Stack: one value more.
        unsafe {
            match (field.shape(), field.kind()) {
                (Shape::One, Kind::Integer) => ffi::lua_pushinteger(state, slot.integer().map_err(at)?),
                (Shape::One, Kind::Decimal(_)) => {
                    ffi::lua_pushnumber(state, slot.integer().map_err(at)? as f64 / field.kind().scale());
                }
                (Shape::One, Kind::Boolean) => {
                    ffi::lua_pushboolean(state, slot.boolean().map_err(at)?.into())
                }
                (Shape::One, Kind::Double) => ffi::lua_pushnumber(state, slot.double().map_err(at)?),
                (Shape::One, Kind::String | Kind::Binary) => {
                    stack::push_bytes(state, slot.item().map_err(at)?)
                }
                (Shape::One, Kind::Struct(index)) => {
                    let item = slot.item().map_err(at)?;
                    self.whole(of, field, index, item, level + 1)?;
                }
                (Shape::Array, kind) => self.array(of, field, kind, slot, level)?,
                (Shape::Keyed { key }, Kind::Struct(index)) => {
                    self.keyed(of, field, index, key, slot, level)?
                }
                (Shape::Pairs, Kind::Struct(index)) => self.pairs(of, field, index, slot, level)?,
                (Shape::Keyed { .. } | Shape::Pairs, _) => ffi::lua_createtable(state, 0, 0),
            }
        }
        Ok(())
    }

    /// Pushes a structure that has to fill its item.
    unsafe fn whole(
        &self,
        of: &Type,
        field: &Field,
        index: usize,
        item: &[u8],
        level: usize,
    ) -> Result<(), Failure> {
        // SAFETY: as in `structure`. Stack: one table more.
        let rest = unsafe { self.structure(index, item, level)? };
        match rest.len() {
            0 => Ok(()),
            left => Err(located(of, field, WireError::Trailing { left })),
        }
    }

    unsafe fn array(
        &self,
        of: &Type,
        field: &Field,
        kind: Kind,
        slot: Slot<'_>,
        level: usize,
    ) -> Result<(), Failure> {
        let state = self.state;
        let at = |error: WireError| located(of, field, error);
        // SAFETY: as in `structure`. Stack: one table more; an element above it at a time.
        unsafe {
            match kind {
                Kind::Integer | Kind::Decimal(_) | Kind::Double => {
                    let numbers = slot.numbers().map_err(at)?;
                    ffi::lua_createtable(state, len_of(numbers.len()), 0);
                    for (place, number) in (1..).zip(numbers) {
                        match kind {
                            Kind::Integer => ffi::lua_pushinteger(state, number),
                            Kind::Double => ffi::lua_pushnumber(state, f64::from_bits(number as u64)),
                            _ => ffi::lua_pushnumber(state, number as f64 / kind.scale()),
                        }
                        ffi::lua_rawseti(state, -2, place);
                    }
                }
                Kind::Boolean => {
                    let booleans = slot.booleans().map_err(at)?;
                    ffi::lua_createtable(state, len_of(booleans.len()), 0);
                    for (place, boolean) in (1..).zip(booleans) {
                        ffi::lua_pushboolean(state, boolean.into());
                        ffi::lua_rawseti(state, -2, place);
                    }
                }
                Kind::String | Kind::Binary | Kind::Struct(_) => {
                    let elements = slot.elements().map_err(at)?;
                    ffi::lua_createtable(state, len_of(elements.clone().count()), 0);
                    for (place, element) in (1..).zip(elements) {
                        let element = element.map_err(at)?;
                        match kind {
                            Kind::Struct(index) => self.whole(of, field, index, element, level + 1)?,
                            _ => stack::push_bytes(state, element),
                        }
                        ffi::lua_rawseti(state, -2, place);
                    }
                }
            }
        }
        Ok(())
    }

    /// Pushes a table of structures, each under the value of its field `key`.
    unsafe fn keyed(
        &self,
        of: &Type,
        field: &Field,
        index: usize,
        key: u16,
        slot: Slot<'_>,
        level: usize,
    ) -> Result<(), Failure> {
        let state = self.state;
        let (element_type, _, first) = self.shared.of(index);
        let Some((place, key_field)) = element_type.field_tagged(key.into()) else {
            return Err("the key of a map is not a field of its elements".into());
        };
        // SAFETY: as in `structure`. Stack: one table more; element, key and element again above it at a time.
        unsafe {
            let elements = slot.elements().map_err(|error| located(of, field, error))?;
            ffi::lua_createtable(state, 0, len_of(elements.clone().count()));
            for element in elements {
                let element = element.map_err(|error| located(of, field, error))?;
                self.whole(of, field, index, element, level + 1)?;
                push_name(state, self.names, first + place as u32, key_field.name());
                if ffi::lua_rawget(state, -2) == ffi::LUA_TNIL {
                    return Err(incomplete(DecodeCause::NoKey { tag: key }, field));
                }
                ffi::lua_rotate(state, -2, 1);
                ffi::lua_rawset(state, -3);
            }
        }
        Ok(())
    }

    /// Pushes a table from one field of the elements to the other.
    unsafe fn pairs(
        &self,
        of: &Type,
        field: &Field,
        index: usize,
        slot: Slot<'_>,
        level: usize,
    ) -> Result<(), Failure> {
        let state = self.state;
        let at = |error: WireError| located(of, field, error);
        let (element_type, parts, _) = self.shared.of(index);
        // SAFETY: as in `structure`. Stack: one table more; key and value above it at a time.
        unsafe {
            if ffi::lua_checkstack(state, ROOM) == 0 {
                return Err("stack overflow".into());
            }
            let elements = slot.elements().map_err(at)?;
            ffi::lua_createtable(state, 0, len_of(elements.clone().count()));
            let table = ffi::lua_gettop(state);
            for element in elements {
                let mut fields = Fields::new(element.map_err(at)?).map_err(at)?;
                ffi::lua_pushnil(state);
                ffi::lua_pushnil(state);
                while let Some((tag, slot)) = fields.next_field().map_err(at)? {
                    let Some(place) = parts.iter().position(|part| u32::from(part.tag()) == tag) else {
                        continue;
                    };
                    if level + 1 > MAX_DEPTH {
                        return Err(too_deep());
                    }
                    self.field(element_type, &parts[place], slot, level + 1)?;
                    ffi::lua_replace(state, table + 1 + place as c_int);
                }
                fields.finish().map_err(at)?;
                for (place, cause) in [(1, DecodeCause::NoPairKey), (2, DecodeCause::NoPairValue)] {
                    if ffi::lua_type(state, table + place) == ffi::LUA_TNIL {
                        return Err(incomplete(cause, field));
                    }
                }
                ffi::lua_rawset(state, table);
            }
        }
        Ok(())
    }
}

/// A size hint for Lua. The length was counted in the message.
fn len_of(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

#[cold]
fn plain(error: WireError) -> Failure {
    format!("decode error: {error}").into()
}

#[cold]
fn located(of: &Type, field: &Field, error: WireError) -> Failure {
    format!("decode error: {}.{}: {error}", of.name(), field.name()).into()
}

#[cold]
fn incomplete(cause: DecodeCause, field: &Field) -> Failure {
    format!("{cause} in [{}]", field.name()).into()
}

#[cold]
fn too_deep() -> Failure {
    DecodeCause::TooDeep.to_string().into()
}

/// Stack slots that a structure needs.
const ROOM: c_int = 12;
