//! The handshakes of `snax.loginserver` and `snax.msgserver`, by the scripts themselves in a state where their sockets are lines of the
//! input and their hashes are the ones of the host.

use std::num::NonZeroU64;

use fulmar_lualib::crypt::des::{self, Padding};
use fulmar_lualib::crypt::{exchange, mac, text};
use mlua::{Error, Function, Lua, LuaString as Bytes, Table};

/// Splits the bytes into lines: those of a client at the login server, and frames of one at the message server. Its first byte says which
/// steps the client takes as it should. Who does not know the secret gets in nowhere, no error leaves a handler, and every client
/// that is let go hears why.
pub fn login(data: &[u8]) {
    thread_local! {
        static DRIVE: (Lua, Function) = start().expect("the scripts load");
    }
    DRIVE.with(|(lua, drive)| {
        let data = lua.create_string(data).expect("there is memory");
        drive.call::<()>(data).unwrap_or_else(|error| panic!("{error}"));
    });
}

fn start() -> mlua::Result<(Lua, Function)> {
    let lua = Lua::new();
    let scripts = lua.create_table()?;
    for (name, script) in [
        (
            "snax.loginserver",
            include_str!("../../lualib/lua/snax/loginserver.lua"),
        ),
        (
            "snax.msgserver",
            include_str!("../../lualib/lua/snax/msgserver.lua"),
        ),
    ] {
        scripts.set(name, script)?;
    }
    let drive = lua
        .load(include_str!("login.lua"))
        .set_name("@login.lua")
        .call::<Function>((scripts, crypt(&lua)?))?;
    Ok((lua, drive))
}

/// The functions of `skynet.crypt` that the scripts use.
fn crypt(lua: &Lua) -> mlua::Result<Table> {
    let crypt = lua.create_table()?;
    let one = |name: &str, work: fn(&[u8]) -> Option<Vec<u8>>| {
        let function = lua.create_function(move |lua, bytes: Bytes| result(lua, work(&bytes.as_bytes())))?;
        crypt.set(name, function)
    };
    let two = |name: &str, work: fn(mac::Short, &[u8]) -> Option<Vec<u8>>| {
        let function = lua.create_function(move |lua, (short, bytes): (Bytes, Bytes)| {
            let short = (*short.as_bytes()).try_into().ok();
            result(lua, short.and_then(|short| work(short, &bytes.as_bytes())))
        })?;
        crypt.set(name, function)
    };
    one("hexencode", |bytes| made(|out| text::hex_encode(bytes, out)))?;
    one("base64encode", |bytes| {
        made(|out| text::base64_encode(bytes, out))
    })?;
    one("base64decode", |text| tried(|out| text::base64_decode(text, out)))?;
    one("dhexchange", |secret| {
        Some(exchange::public(number(secret)?).to_le_bytes().into())
    })?;
    two("dhsecret", |theirs, mine| {
        Some(
            exchange::power(number(&theirs)?, number(mine)?)
                .to_le_bytes()
                .into(),
        )
    })?;
    two("hmac64", |x, y| Some(mac::hmac64(x, y.try_into().ok()?).into()))?;
    two("hmac_hash", |key, bytes| {
        Some(mac::hmac64(mac::hashkey(bytes), key).into())
    })?;
    two("desencode", |key, plain| {
        made(|out| des::encrypt(key, plain, Padding::Iso7816, out))
    })?;
    two("desdecode", |key, coded| {
        let is_whole = !coded.is_empty() && coded.len().is_multiple_of(des::BLOCK);
        is_whole.then(|| tried(|out| des::decrypt(key, coded, Padding::Iso7816, out)))?
    })?;
    Ok(crypt)
}

fn number(bytes: &[u8]) -> Option<NonZeroU64> {
    NonZeroU64::new(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn made(write: impl FnOnce(&mut Vec<u8>)) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write(&mut out);
    Some(out)
}

fn tried(write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write(&mut out).map(|()| out)
}

fn result(lua: &Lua, bytes: Option<Vec<u8>>) -> mlua::Result<Bytes> {
    lua.create_string(bytes.ok_or_else(|| Error::runtime("refused"))?)
}
