//! `skynet.crypt`: hashes, DES, the key exchange of the login protocol and texts of bytes, over the RustCrypto crates.

pub mod des;
pub mod exchange;
pub mod mac;
pub mod text;

use std::ffi::{CStr, c_int};
use std::num::NonZeroU64;

use hmac::{Hmac, KeyInit as _, Mac as _};
use mlua::ffi::{self, lua_State};
use sha1::{Digest as _, Sha1};

use self::des::Padding;
use self::mac::Short;
use crate::buffers::push_written;
use crate::random;
use crate::stack::{self, Failure, check_bytes, native};

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"hashkey", hashkey),
    (c"randomkey", randomkey),
    (c"desencode", desencode),
    (c"desdecode", desdecode),
    (c"hexencode", hexencode),
    (c"hexdecode", hexdecode),
    (c"hmac64", hmac64),
    (c"hmac64_md5", hmac64_md5),
    (c"hmac_hash", hmac_hash),
    (c"dhexchange", dhexchange),
    (c"dhsecret", dhsecret),
    (c"base64encode", base64encode),
    (c"base64decode", base64decode),
    (c"sha1", sha1_),
    (c"hmac_sha1", hmac_sha1),
    (c"xor_str", xor_str),
];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int + 1);
        stack::register(state, FUNCTIONS);
        ffi::lua_createtable(state, 0, 2);
        for (name, padding) in [(c"iso7816_4", Padding::Iso7816), (c"pkcs7", Padding::Pkcs7)] {
            ffi::lua_pushinteger(state, padding as ffi::lua_Integer);
            ffi::lua_setfield(state, -2, name.as_ptr());
        }
        ffi::lua_setfield(state, -2, c"padding".as_ptr());
        1
    }
}

/// The eight bytes at `index`.
unsafe fn check_short(state: *mut lua_State, index: c_int, failure: &'static str) -> Result<Short, Failure> {
    // SAFETY: the check may raise; nothing is owned. Stack: unchanged.
    unsafe { check_bytes(state, index) }
        .try_into()
        .map_err(|_| failure.into())
}

/// A number that must not be zero, as the exchange has them.
fn nonzero(bytes: Short) -> Result<NonZeroU64, Failure> {
    NonZeroU64::new(u64::from_le_bytes(bytes)).ok_or_else(|| "Can't be 0".into())
}

/// The result of a native that is one string of few bytes.
unsafe fn push_array<const N: usize>(state: *mut lua_State, bytes: [u8; N]) -> stack::Outcome {
    // SAFETY: an array has no destructor. Stack: one string more.
    unsafe { stack::push_bytes(state, &bytes) };
    Ok(1)
}

native! {
    /// `hashkey(text) -> 8 bytes`
    fn hashkey(state) {
        // SAFETY: the check may raise; nothing is owned. Stack: one result.
        unsafe { push_array(state, mac::hashkey(check_bytes(state, 1))) }
    }
}

native! {
    /// `randomkey() -> 8 bytes`, from the system's source for secrets; the exclusive or of all is never 0.
    fn randomkey(state) {
        let mut key: Short = random::bytes()?;
        if key.iter().fold(0, |all, byte| all ^ byte) == 0 {
            key[0] ^= 1;
        }
        // SAFETY: nothing is owned. Stack: one result.
        unsafe { push_array(state, key) }
    }
}

/// Key and text of `desencode` and `desdecode`.
unsafe fn des_arguments<'a>(state: *mut lua_State) -> Result<([u8; des::BLOCK], &'a [u8]), Failure> {
    // SAFETY: checks may raise; nothing is owned. Stack: unchanged.
    unsafe {
        let key = check_bytes(state, 1);
        let Ok(key) = key.try_into() else {
            return Err(format!("Invalid key size {}, need 8 bytes", key.len()).into());
        };
        Ok((key, check_bytes(state, 2)))
    }
}

/// The padding at index 3. Its number is taken modulo 2^32, as in skynet.
unsafe fn padding(state: *mut lua_State) -> Result<Padding, Failure> {
    // SAFETY: the check may raise; nothing is owned. Stack: unchanged.
    let number = unsafe { ffi::luaL_optinteger(state, 3, Padding::Iso7816 as ffi::lua_Integer) } as i32;
    Padding::from_number(number).ok_or_else(|| format!("Invalid padding mode {number}").into())
}

native! {
    /// `desencode(key, text [, padding]) -> string`
    fn desencode(state) {
        // SAFETY: checks come first. Stack: one result.
        unsafe {
            let (key, text) = des_arguments(state)?;
            let padding = padding(state)?;
            push_written(state, |out| {
                des::encrypt(key, text, padding, out);
                Ok(())
            })
        }
    }
}

native! {
    /// `desdecode(key, text [, padding]) -> string`
    fn desdecode(state) {
        // SAFETY: checks come first. Stack: one result.
        unsafe {
            let (key, text) = des_arguments(state)?;
            if text.is_empty() || !text.len().is_multiple_of(des::BLOCK) {
                return Err(format!("Invalid des crypt text length {}", text.len()).into());
            }
            let padding = padding(state)?;
            push_written(state, |out| {
                des::decrypt(key, text, padding, out).ok_or_else(|| "Invalid des crypt text".into())
            })
        }
    }
}

native! {
    /// `hexencode(bytes) -> string`
    fn hexencode(state) {
        // SAFETY: the check comes first. Stack: one result.
        unsafe {
            let bytes = check_bytes(state, 1);
            push_written(state, |out| {
                text::hex_encode(bytes, out);
                Ok(())
            })
        }
    }
}

native! {
    /// `hexdecode(text) -> string`: digits in lower case.
    fn hexdecode(state) {
        // SAFETY: the check comes first. Stack: one result.
        unsafe {
            let digits = check_bytes(state, 1);
            if !digits.len().is_multiple_of(2) {
                return Err(format!("Invalid hex text size {}", digits.len()).into());
            }
            push_written(state, |out| text::hex_decode(digits, out).ok_or_else(|| "Invalid hex text".into()))
        }
    }
}

native! {
    /// `hmac64(x, y) -> 8 bytes`
    fn hmac64(state) {
        // SAFETY: the checks may raise; nothing is owned. Stack: one result.
        unsafe {
            let x = check_short(state, 1, "Invalid uint64 x")?;
            let y = check_short(state, 2, "Invalid uint64 y")?;
            push_array(state, mac::hmac64(x, y))
        }
    }
}

native! {
    /// `hmac64_md5(x, y) -> 8 bytes`
    fn hmac64_md5(state) {
        // SAFETY: as above.
        unsafe {
            let x = check_short(state, 1, "Invalid uint64 x")?;
            let y = check_short(state, 2, "Invalid uint64 y")?;
            push_array(state, mac::hmac64_md5(x, y))
        }
    }
}

native! {
    /// `hmac_hash(key, text) -> 8 bytes`
    fn hmac_hash(state) {
        // SAFETY: as above.
        unsafe {
            let key = check_short(state, 1, "Invalid uint64 key")?;
            push_array(state, mac::hmac64(mac::hashkey(check_bytes(state, 2)), key))
        }
    }
}

native! {
    /// `dhexchange(secret) -> 8 bytes`
    fn dhexchange(state) {
        // SAFETY: as above.
        unsafe {
            let secret = nonzero(check_short(state, 1, "Invalid dh uint64 key")?)?;
            push_array(state, exchange::public(secret).to_le_bytes())
        }
    }
}

native! {
    /// `dhsecret(other's, mine) -> 8 bytes`
    fn dhsecret(state) {
        // SAFETY: as above.
        unsafe {
            let theirs = check_short(state, 1, "Invalid uint64 x")?;
            let mine = check_short(state, 2, "Invalid uint64 y")?;
            push_array(state, exchange::power(nonzero(theirs)?, nonzero(mine)?).to_le_bytes())
        }
    }
}

native! {
    /// `base64encode(bytes) -> string`
    fn base64encode(state) {
        // SAFETY: the check comes first. Stack: one result.
        unsafe {
            let bytes = check_bytes(state, 1);
            push_written(state, |out| {
                text::base64_encode(bytes, out);
                Ok(())
            })
        }
    }
}

native! {
    /// `base64decode(text) -> string`
    fn base64decode(state) {
        // SAFETY: the check comes first. Stack: one result.
        unsafe {
            let text = check_bytes(state, 1);
            push_written(state, |out| text::base64_decode(text, out).ok_or_else(|| "Invalid base64 text".into()))
        }
    }
}

native! {
    /// `sha1(bytes) -> 20 bytes`
    fn sha1_(state) {
        // SAFETY: the check may raise; nothing is owned. Stack: one result.
        unsafe { push_array(state, Sha1::digest(check_bytes(state, 1)).into()) }
    }
}

native! {
    /// `hmac_sha1(key, bytes) -> 20 bytes`
    fn hmac_sha1(state) {
        // SAFETY: the checks may raise; the state of the hash has no destructor. Stack: one result.
        unsafe {
            let key = check_bytes(state, 1);
            let bytes = check_bytes(state, 2);
            let code = Hmac::<Sha1>::new_from_slice(key).expect("any key will do").chain_update(bytes);
            push_array::<20>(state, code.finalize().into_bytes().into())
        }
    }
}

native! {
    /// `xor_str(text, key) -> string`: the key as often as it takes.
    fn xor_str(state) {
        // SAFETY: the checks come first. Stack: one result.
        unsafe {
            let text = check_bytes(state, 1);
            let key = check_bytes(state, 2);
            if key.is_empty() {
                return Err("Can't xor empty string".into());
            }
            push_written(state, |out| {
                out.extend(text.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
                Ok(())
            })
        }
    }
}
